// Products of pairs of rows and one or three columns.
//
// extern "C" fn(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize)
//
// Two rows and three columns are six sums, which VMLADAV keeps in even registers; what remains are five pointers and the loop's count.
// Row 0 and 1 of a pair: r5, r7. Columns: r1, r3, r11. Sums of row 0: r0, r2, r4; of row 1: r6, r8, r10. r9: where sums go, lr: count,
// r12: pairs. q7 is the mask of a code. On the stack: the arguments, then left.

// One vector of each row, in \wa and \wb, and of each column; \qa and \qb hold columns and may be one.
.macro apq_products n, op, load, wa, wb, qa, qb
    \load \qa, [r1], #16
    \op r0, \wa, \qa
    \op r6, \wb, \qa
.if \n == 3
    \load \qb, [r3], #16
    \op r2, \wa, \qb
    \op r8, \wb, \qb
    \load \qa, [r11], #16
    \op r4, \wa, \qa
    \op r10, \wb, \qa
.endif
.endm

.macro apq_begin name
    apq_function \name
    push {r4-r11, lr}
    vpush {d8-d15}
    ldr r12, [sp, #100]
    mov r7, r1
    mov r9, r2
    sub sp, sp, #24
    ldm r0, {r0, r4, r5, r6, r8}
    stm sp, {r0, r4, r5, r6, r8}
    str r12, [sp, #20]
    mov r12, r3
10:
    ldm sp, {r0, r1, r3, r11, lr}
    mov r5, r7
    add r7, r5, r0
.endm

.macro apq_clear n
    movs r0, #0
    movs r6, #0
.if \n == 3
    movs r2, #0
    mov r8, r0
    movs r4, #0
    mov r10, r0
.endif
.endm

.macro apq_end name, n
.if \n == 3
    strd r2, r8, [r9, #256]
    strd r4, r10, [r9, #512]
.endif
    strd r0, r6, [r9], #8
    subs r12, r12, #1
    bne 10b
    add sp, sp, #24
    vpop {d8-d15}
    pop {r4-r11, pc}
    .size apq_mve_\name, . - apq_mve_\name
.endm

// 8 bits: two vectors at a time; before the loop the first, and where there is an \even number the second.
.macro apq_w8 name, n, even
    apq_begin \name
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
    apq_products \n, vmladav.u8, vldrb.u8, q0, q1, q2, q3
.if \even
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
    apq_products \n, vmladava.u8, vldrb.u8, q0, q1, q2, q3
.endif
    wls lr, lr, 2f
1:
.rept 2
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
    apq_products \n, vmladava.u8, vldrb.u8, q0, q1, q2, q3
.endr
    le lr, 1b
2:
    apq_end \name, \n
.endm

// 2 and 4 bits: \places vectors in 16 bytes.
.macro apq_narrow name, n, width, places
    apq_begin \name
    apq_clear \n
    vmov.i8 q7, #((1 << \width) - 1)
    wls lr, lr, 2f
1:
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
.rept \places - 1
    vand q4, q0, q7
    vand q5, q1, q7
    apq_products \n, vmladava.u8, vldrb.u8, q4, q5, q2, q3
    vshr.u8 q0, q0, #\width
    vshr.u8 q1, q1, #\width
.endr
    apq_products \n, vmladava.u8, vldrb.u8, q0, q1, q2, q3
    le lr, 1b
2:
    ldr lr, [sp, #20]
    wls lr, lr, 4f
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
3:
    vand q4, q0, q7
    vand q5, q1, q7
    apq_products \n, vmladava.u8, vldrb.u8, q4, q5, q2, q3
    vshr.u8 q0, q0, #\width
    vshr.u8 q1, q1, #\width
    le lr, 3b
4:
    apq_end \name, \n
.endm

// 6 bits: four vectors in 48 bytes, the fourth from the high bits of the others.
.macro apq_w6 name, n
    apq_begin \name
    apq_clear \n
    vmov.i8 q7, #63
    wls lr, lr, 2f
1:
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
    vshr.u8 q4, q0, #2
    vshr.u8 q5, q1, #2
    vand q0, q0, q7
    vand q1, q1, q7
    apq_products \n, vmladava.u8, vldrb.u8, q0, q1, q2, q3
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
    vsri.8 q4, q0, #4
    vsri.8 q5, q1, #4
    vand q0, q0, q7
    vand q1, q1, q7
    apq_products \n, vmladava.u8, vldrb.u8, q0, q1, q2, q3
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
    vsri.8 q4, q0, #6
    vsri.8 q5, q1, #6
    vand q0, q0, q7
    vand q1, q1, q7
    apq_products \n, vmladava.u8, vldrb.u8, q0, q1, q2, q3
    apq_products \n, vmladava.u8, vldrb.u8, q4, q5, q2, q3
    le lr, 1b
2:
    ldr lr, [sp, #20]
    wls lr, lr, 4f
3:
    vldrb.u8 q0, [r5], #16
    vldrb.u8 q1, [r7], #16
    apq_products \n, vmladava.u8, vldrb.u8, q0, q1, q2, q3
    le lr, 3b
4:
    apq_end \name, \n
.endm

// The same with columns of 16 bits: half a vector of codes fills the lanes.
.macro apq_w8_wide name, n
    apq_begin \name
    apq_clear \n
    wls lr, lr, 2f
1:
.rept 2
    vldrb.u16 q0, [r5], #8
    vldrb.u16 q1, [r7], #8
    apq_products \n, vmladava.s16, vldrh.u16, q0, q1, q2, q3
.endr
    le lr, 1b
2:
    apq_end \name, \n
.endm

.macro apq_halves n, width
    vand q6, q0, q7
    vand q3, q1, q7
    apq_products \n, vmladava.s16, vldrh.u16, q6, q3, q2, q2
    vand q6, q4, q7
    vand q3, q5, q7
    apq_products \n, vmladava.s16, vldrh.u16, q6, q3, q2, q2
    vshr.u8 q0, q0, #\width
    vshr.u8 q1, q1, #\width
    vshr.u8 q4, q4, #\width
    vshr.u8 q5, q5, #\width
.endm

.macro apq_load_halves
    vldrb.u16 q0, [r5], #8
    vldrb.u16 q1, [r7], #8
    vldrb.u16 q4, [r5], #8
    vldrb.u16 q5, [r7], #8
.endm

.macro apq_narrow_wide name, n, width, places
    apq_begin \name
    apq_clear \n
    vmov.i8 q7, #((1 << \width) - 1)
    wls lr, lr, 2f
1:
    apq_load_halves
.rept \places
    apq_halves \n, \width
.endr
    le lr, 1b
2:
    ldr lr, [sp, #20]
    wls lr, lr, 4f
    apq_load_halves
3:
    apq_halves \n, \width
    le lr, 3b
4:
    apq_end \name, \n
.endm

// Half of four vectors, which begins \at bytes into each 16; columns step over the other half.
.macro apq_w6_half n, at
.irp place, 0, 16, 32
    vldrb.u16 q0, [r5, #\at + \place]
    vldrb.u16 q1, [r7, #\at + \place]
.if \place == 0
    vshr.u8 q4, q0, #2
    vshr.u8 q5, q1, #2
.elseif \place == 16
    vsri.8 q4, q0, #4
    vsri.8 q5, q1, #4
.else
    vsri.8 q4, q0, #6
    vsri.8 q5, q1, #6
.endif
    vand q0, q0, q7
    vand q1, q1, q7
    apq_step_products \n, q0, q1
.endr
    apq_step_products \n, q4, q5
.endm

.macro apq_step_products n, wa, wb
    apq_products \n, vmladava.s16, vldrh.u16, \wa, \wb, q2, q3
    apq_move \n, 16
.endm

.macro apq_move n, by
    add r1, r1, #\by
.if \n == 3
    add r3, r3, #\by
    add r11, r11, #\by
.endif
.endm

.macro apq_w6_wide name, n
    apq_begin \name
    apq_clear \n
    vmov.i8 q7, #63
    wls lr, lr, 2f
1:
    apq_w6_half \n, 0
    apq_move \n, -112
    apq_w6_half \n, 8
    apq_move \n, -16
    add r5, r5, #48
    add r7, r7, #48
    le lr, 1b
2:
    ldr lr, [sp, #20]
    wls lr, lr, 4f
3:
.rept 2
    vldrb.u16 q0, [r5], #8
    vldrb.u16 q1, [r7], #8
    apq_products \n, vmladava.s16, vldrh.u16, q0, q1, q2, q3
.endr
    le lr, 3b
4:
    apq_end \name, \n
.endm

    apq_w8 multiply_w8_1, 1, 0
    apq_w8 multiply_w8_3, 3, 0
    apq_w8 multiply_w8_1_even, 1, 1
    apq_w8 multiply_w8_3_even, 3, 1
    apq_narrow multiply_w4_1, 1, 4, 2
    apq_narrow multiply_w4_3, 3, 4, 2
    apq_narrow multiply_w2_1, 1, 2, 4
    apq_narrow multiply_w2_3, 3, 2, 4
    apq_w6 multiply_w6_1, 1
    apq_w6 multiply_w6_3, 3
    apq_w8_wide multiply_w8_1_wide, 1
    apq_w8_wide multiply_w8_3_wide, 3
    apq_narrow_wide multiply_w4_1_wide, 1, 4, 2
    apq_narrow_wide multiply_w4_3_wide, 3, 4, 2
    apq_narrow_wide multiply_w2_1_wide, 1, 2, 4
    apq_narrow_wide multiply_w2_3_wide, 3, 2, 4
    apq_w6_wide multiply_w6_1_wide, 1
    apq_w6_wide multiply_w6_3_wide, 3
