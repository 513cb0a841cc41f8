// Sums of two tensors.

// extern "C" fn(&Add)
//
// r0, r1: codes; r2: output; r3: multiplier of the second; r4: constant; r5: -shift; r6: zero point; lr: codes left.
    apq_function add
    push {r4-r7, lr}
    vpush {d8-d9}
    mov r12, r0
    ldm r12!, {r1-r3}
    vdup.32 q2, r1
    vdup.32 q3, r2
    vdup.32 q4, r3
    ldm r12, {r0-r6, lr}
    dlstp.32 lr, lr
1:
    vldrb.u32 q0, [r0], #4
    vldrb.u32 q1, [r1], #4
    vmlas.s32 q0, q2, r4
    vmla.s32 q0, q1, r3
    vrshl.s32 q0, r5
    vadd.i32 q0, q0, r6
    vmax.s32 q0, q0, q3
    vmin.s32 q0, q0, q4
    vstrb.32 q0, [r2], #4
    letp lr, 1b
    vpop {d8-d9}
    pop {r4-r7, pc}
    .size apq_mve_add, . - apq_mve_add
