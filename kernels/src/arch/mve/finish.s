// Sums to codes.

// Bias, requantisation, zero point and clamp of \acc, whose pixel's correction is \correction; stored at \to.
.macro apq_codes acc, correction, to, store, step
    vadd.i32 \acc, \acc, q1
    vadd.i32 \acc, \acc, \correction
    vqdmulh.s32 \acc, \acc, q2
    vrshl.s32 \acc, \acc, q0
    vadd.i32 \acc, \acc, r11
    vmax.s32 \acc, \acc, q6
    vmin.s32 \acc, \acc, q5
    \store \acc, [\to], #\step
.endm

// extern "C" fn(&Finish, sums, to, step, corrections)
//
// r0: sums, of the middle one of three columns or of the only one; r1: shifts; r2, r3, r4: codes; r5: biases; r6: multipliers;
// r8, r9, r10: corrections; r11: zero point; lr: channels.
// (acc m + 2^(r-1)) >> r is the doubled high word of acc m, rounded by a shift of r - 31.
.macro apq_finish name, n, store, step
    apq_function \name
    push {r4-r11, lr}
    vpush {d8-d15}
    ldr r12, [sp, #100]
.if \n == 3
    ldm r12, {r8-r10}
    add r4, r2, r3, lsl #1
    add r3, r2
.else
    ldr r8, [r12]
.endif
    mov r12, r0
    add r0, r1, #(\n / 3 * 256)
    ldm r12!, {r1, r5, r6, r7, r11, lr}
    vdup.32 q6, r7
    ldr r7, [r12]
    vdup.32 q5, r7
    movs r7, #31
    vdup.32 q7, r7
    dlstp.32 lr, lr
1:
    vldrb.u32 q0, [r1], #4
    vsub.i32 q0, q7, q0
    vldrw.u32 q1, [r5], #16
    vldrw.u32 q2, [r6], #16
.if \n == 3
    vldrw.u32 q3, [r0, #-256]
    apq_codes q3, r8, r2, \store, \step
    vldrw.u32 q3, [r0, #256]
    apq_codes q3, r10, r4, \store, \step
    vldrw.u32 q4, [r0], #16
    apq_codes q4, r9, r3, \store, \step
.else
    vldrw.u32 q3, [r0], #16
    apq_codes q3, r8, r2, \store, \step
.endif
    letp lr, 1b
    vpop {d8-d15}
    pop {r4-r11, pc}
    .size apq_mve_\name, . - apq_mve_\name
.endm

    apq_finish finish_1, 1, vstrb.32, 4
    apq_finish finish_3, 3, vstrb.32, 4
    apq_finish finish_1_wide, 1, vstrh.32, 8
    apq_finish finish_3_wide, 3, vstrh.32, 8
