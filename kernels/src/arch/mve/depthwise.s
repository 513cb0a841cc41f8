// Depthwise products of nine taps.

// Products of the channels at \at and the next weights, added to q4 (channels 0, 2, 4, 6) and q5 (1, 3, 5, 7).
.macro apq_tap load, at:vararg
    \load q0, \at
    vldrb.s16 q1, [r7], #8
    vmullb.s16 q2, q0, q1
    vmullt.s16 q3, q0, q1
    vadd.i32 q4, q4, q2
    vadd.i32 q5, q5, q3
.endm

// extern "C" fn(&Depthwise, base, sums, pixels)
//
// r0 .. r6: taps 0 to 6, the only registers with which loads widen; r6 then goes by r8 to tap 7, by r9 to tap 8 and by r10 back.
// r7: weights; r11: sums; lr: blocks of eight channels. On the stack: pass, pixels left.
.macro apq_depthwise name, add, load, step
    apq_function \name
    push {r4-r11, lr}
    vpush {d8-d15}
    push {r0, r3}
    mov r12, r0
    mov r11, r2
    mov lr, r1
    ldm r12, {r0-r10}
.irp tap, r0, r1, r2, r3, r4, r5, r6
    add \tap, lr
.endr
    ldr lr, [r12, #44]
20:
    dls lr, lr
1:
.if \add
    vld20.32 {q4, q5}, [r11]
    vld21.32 {q4, q5}, [r11]
    apq_tap \load, [r0], #\step
.else
    \load q0, [r0], #\step
    vldrb.s16 q1, [r7], #8
    vmullb.s16 q4, q0, q1
    vmullt.s16 q5, q0, q1
.endif
    apq_tap \load, [r1], #\step
    apq_tap \load, [r2], #\step
    apq_tap \load, [r3], #\step
    apq_tap \load, [r4], #\step
    apq_tap \load, [r5], #\step
    apq_tap \load, [r6], #\step
    add r6, r8
    apq_tap \load, [r6, #-\step]
    add r6, r9
    apq_tap \load, [r6, #-\step]
    add r6, r10
    vst20.32 {q4, q5}, [r11]
    vst21.32 {q4, q5}, [r11]!
    le lr, 1b
    ldr r12, [sp, #4]
    subs r12, r12, #1
    beq 30f
    str r12, [sp, #4]
    ldr r12, [sp]
    ldr lr, [r12, #48]
.irp tap, r0, r1, r2, r3, r4, r5, r6
    add \tap, lr
.endr
    ldr lr, [r12, #52]
    add r11, lr
    ldr lr, [r12, #56]
    sub r7, r7, lr
    ldr lr, [r12, #44]
    b 20b
30:
    add sp, sp, #8
    vpop {d8-d15}
    pop {r4-r11, pc}
    .size apq_mve_\name, . - apq_mve_\name
.endm

    apq_depthwise depthwise, 0, vldrb.u16, 8
    apq_depthwise depthwise_add, 1, vldrb.u16, 8
    apq_depthwise depthwise_wide, 0, vldrb.u8, 16
    apq_depthwise depthwise_add_wide, 1, vldrb.u8, 16
