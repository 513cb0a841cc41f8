// Copies with sums of what is copied, and sums alone.

    .cpu cortex-m55

.macro apq_function name
    .section .text.apq_mve_\name, "ax", %progbits
    .global apq_mve_\name
    .type apq_mve_\name, %function
    .balign 4
    .thumb_func
apq_mve_\name:
.endm

// extern "C" fn(from, to, codes, rows, from_stride, to_stride) -> i32, `codes` and not 0 `rows`.
.macro apq_gather name, lanes, load, store, sum
    apq_function \name
    push {r4-r8, lr}
    ldrd r5, r8, [sp, #24]
    movs r4, #0
10:
    mov r6, r0
    mov r7, r1
    wlstp.\lanes lr, r2, 2f
1:
    \load q0, [r6], #16
    \store q0, [r7], #16
    \sum r4, q0
    letp lr, 1b
2:
    add r0, r0, r5
    add r1, r1, r8
    subs r3, r3, #1
    bne 10b
    mov r0, r4
    pop {r4-r8, pc}
    .size apq_mve_\name, . - apq_mve_\name
.endm

// The same with `codes` / 48, not 0.
    apq_function gather_48
    push {r4-r8, lr}
    ldrd r5, r8, [sp, #24]
    movs r4, #0
10:
    mov r6, r0
    mov r7, r1
    dls lr, r2
1:
    vldrb.u8 q0, [r6], #16
    vldrb.u8 q1, [r6], #16
    vldrb.u8 q2, [r6], #16
    vaddva.u8 r4, q0
    vstrb.8 q0, [r7], #16
    vaddva.u8 r4, q1
    vstrb.8 q1, [r7], #16
    vaddva.u8 r4, q2
    vstrb.8 q2, [r7], #16
    le lr, 1b
    add r0, r0, r5
    add r1, r1, r8
    subs r3, r3, #1
    bne 10b
    mov r0, r4
    pop {r4-r8, pc}
    .size apq_mve_gather_48, . - apq_mve_gather_48

// extern "C" fn(to, count, value)
    apq_function fill
    push {r7, lr}
    vdup.8 q0, r2
    wlstp.8 lr, r1, 2f
1:
    vstrb.8 q0, [r0], #16
    letp lr, 1b
2:
    pop {r7, pc}
    .size apq_mve_fill, . - apq_mve_fill

// extern "C" fn(codes: *const u8, count: usize) -> i32
.macro apq_total name, lanes, load, sum
    apq_function \name
    push {r7, lr}
    movs r2, #0
    wlstp.\lanes lr, r1, 2f
1:
    \load q0, [r0], #16
    \sum r2, q0
    letp lr, 1b
2:
    mov r0, r2
    pop {r7, pc}
    .size apq_mve_\name, . - apq_mve_\name
.endm

    apq_gather gather, 8, vldrb.u8, vstrb.8, vaddva.u8
    apq_gather gather_wide, 16, vldrh.u16, vstrh.16, vaddva.s16
    apq_total total, 8, vldrb.u8, vaddva.u8
    apq_total total_wide, 16, vldrh.u16, vaddva.s16
