// Copies with sums of what is copied, and sums alone.

// extern "C" fn(&Gather)
//
// r0, r1: where a row comes from and goes to; r2: codes of a row; r3: rows left; r4, r5: from row to row; r6, r7: from behind a column's
// last row to the next column; r8: columns left; r9: totals; r10: total; r11, r12: within a row. On the stack: rows.
.macro apq_gather_begin name
    apq_function \name
    push {r4-r11, lr}
    ldm r0, {r0-r9}
    push {r3}
20:
    mov r10, #0
10:
    mov r11, r0
    mov r12, r1
.endm

.macro apq_gather_end name
    add r0, r0, r4
    add r1, r1, r5
    subs r3, r3, #1
    bne 10b
    str r10, [r9], #4
    add r0, r0, r6
    add r1, r1, r7
    ldr r3, [sp]
    subs r8, r8, #1
    bne 20b
    add sp, sp, #4
    pop {r4-r11, pc}
    .size apq_mve_\name, . - apq_mve_\name
.endm

.macro apq_gather name, lanes, load, store, sum
    apq_gather_begin \name
    wlstp.\lanes lr, r2, 2f
1:
    \load q0, [r11], #16
    \store q0, [r12], #16
    \sum r10, q0
    letp lr, 1b
2:
    apq_gather_end \name
.endm

// Of r2 times 48 codes, not 0.
    apq_gather_begin gather_48
    dls lr, r2
1:
    vldrb.u8 q0, [r11], #16
    vldrb.u8 q1, [r11], #16
    vldrb.u8 q2, [r11], #16
    vaddva.u8 r10, q0
    vstrb.8 q0, [r12], #16
    vaddva.u8 r10, q1
    vstrb.8 q1, [r12], #16
    vaddva.u8 r10, q2
    vstrb.8 q2, [r12], #16
    le lr, 1b
    apq_gather_end gather_48

// extern "C" fn(to, count, pair)
    apq_function fill
    push {r7, lr}
    vdup.16 q0, r2
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
