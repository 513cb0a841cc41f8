// Sums of two channels by three columns, and their output stage. See `pairs.rs` for what the caller vouches for.
//
// A kernel is called with one argument, the address of a `Task`. It keeps that at [sp] and, in its inner loops,
//   r0 weights   r1 columns   r4-r6 sums of the first channel   r7-r9 sums of fields   r10-r12 columns' words   r2, r3, lr others
// The sums of fields are 2^bits times the second channel's sums more than the first channel's are.

.syntax unified
.thumb

.equ TASK_WEIGHTS, 0
.equ TASK_BIAS, 8
.equ TASK_START, 12
.equ TASK_MAIN, 24
.equ TASK_TAIL, 28
.equ TASK_SEGMENTS, 32
.equ TASK_SEGMENT_BYTES, 36
.equ TASK_BEFORE, 40
.equ TASK_AFTER, 44
.equ TASK_MULTIPLIER, 48
.equ TASK_OUT, 56
.equ TASK_OFFSETS, 60
.equ TASK_ROUND, 68
.equ TASK_CLAMP, 72
.equ TASK_END, 84
.equ TASK_STAGE, 88
.equ TASK_NEXT, 92
.equ TASK_PHASE, 96
// Of duals, which know no segments.
.equ TASK_CENTER, TASK_SEGMENT_BYTES

// Stack: [0] task, [4] totals of the second channel over segments, or the sums of two more channels, [16] end of a loop,
// [20] segments left, [24] output of two channels on its way into one byte with that of two more.
.equ FRAME, 36

.macro FIRST word
    smlad r4, \word, r10, r4
    smlad r5, \word, r11, r5
    smlad r6, \word, r12, r6
.endm

.macro FIELDS word
    smlad r7, \word, r10, r7
    smlad r8, \word, r11, r8
    smlad r9, \word, r12, r9
.endm

.macro COLUMNS
    ldm r1!, {r10, r11, r12}
.endm

// 8 bits: four weights of each channel.
.macro STEP_8
    ldrd r2, r3, [r0], #8
    COLUMNS
    FIELDS r2
    uxtb16 r2, r2
    FIRST r2
    COLUMNS
    FIELDS r3
    uxtb16 r3, r3
    FIRST r3
.endm

// 8 bits, where a sum of fields would not fit: `FIELDS` sums the second channel alone.
.macro STEP_8_WIDE
    .rept 2
    ldr r2, [r0], #4
    COLUMNS
    sxtb16 r3, r2, ror #8
    FIELDS r3
    uxtb16 r2, r2
    FIRST r2
    .endr
.endm

// 4 bits: four weights.
.macro STEP_4
    ldr r2, [r0], #4
    COLUMNS
    sxtb16 r3, r2
    FIELDS r3
    and r3, r3, #0x000f000f
    FIRST r3
    COLUMNS
    sxtb16 r3, r2, ror #8
    FIELDS r3
    and r3, r3, #0x000f000f
    FIRST r3
.endm

// 2 bits: eight weights. lr holds the mask of a field.
.macro PAIR_2 shift
    COLUMNS
    .if \shift
    and r3, lr, r2, lsr #\shift
    .else
    and r3, lr, r2
    .endif
    FIELDS r3
    and r3, r3, #0x00030003
    FIRST r3
.endm

.macro STEP_2
    ldr r2, [r0], #4
    PAIR_2 0
    PAIR_2 4
    PAIR_2 8
    PAIR_2 12
.endm

// 6 bits: eight weights. A fourth pair is collected in lr.
.macro PAIR_6
    COLUMNS
    FIELDS r2
    and r2, r2, #0x003f003f
    FIRST r2
.endm

.macro STEP_6
    ldr r2, [r0], #4
    and lr, r2, #0xf000f000
    bic r2, r2, #0xf000f000
    PAIR_6
    .rept 2
    ldr r2, [r0], #4
    and r3, r2, #0xf000f000
    orr lr, r3, lr, lsr #4
    bic r2, r2, #0xf000f000
    PAIR_6
    .endr
    lsr r2, lr, #4
    PAIR_6
.endm

// As STEP_6, where a sum of fields would not fit.
.macro PAIR_6_WIDE
    COLUMNS
    and r3, r2, #0x003f003f
    FIRST r3
    lsr r2, r2, #6
    and r2, r2, #0x003f003f
    FIELDS r2
.endm

.macro STEP_6_WIDE
    ldr r2, [r0], #4
    and lr, r2, #0xf000f000
    PAIR_6_WIDE
    .rept 2
    ldr r2, [r0], #4
    and r3, r2, #0xf000f000
    orr lr, r3, lr, lsr #4
    PAIR_6_WIDE
    .endr
    lsr r2, lr, #4
    PAIR_6_WIDE
.endm

// Runs \step from r0 to r0 + \bytes, \unroll at a time. \end is `lr`, or `stack` where the step needs lr.
.macro LOOP step, unroll, end, bytes
    add \bytes, \bytes, r0
    .ifc \end, stack
    str \bytes, [sp, #16]
    .ifc \step, STEP_2
    mov lr, #0x000f000f
    .endif
    .ifc \step, STEP_DUAL
    movw lr, #0xc003
    movt lr, #0xc003
    .endif
    .else
    .ifnc \bytes, lr
    mov lr, \bytes
    .endif
    .endif
1:
    .rept \unroll
    \step
    .endr
    .ifc \end, stack
    ldr r3, [sp, #16]
    cmp r0, r3
    .else
    cmp r0, lr
    .endif
    bne 1b
.endm

// The second channel's sums, from those of fields. \offset: its codes have the offset too.
.macro DECODE shift, offset
    sub r7, r7, r4
    sub r8, r8, r5
    sub r9, r9, r6
    ldr r2, [r12, #TASK_BIAS]
    ldr r2, [r2, #-4]
    add r7, r2, r7, asr #\shift
    add r8, r2, r8, asr #\shift
    add r9, r2, r9, asr #\shift
    .if \offset
    add r3, r12, #TASK_START
    ldm r3, {r0, r1, r2}
    add r7, r7, r0
    add r8, r8, r1
    add r9, r9, r2
    .endif
.endm

// \shift: bits of a weight, 0 where r7-r9 are the second channel's sums all along. \segments: there may be more than one.
.macro KERNEL name, step, unroll, end, shift, offset, segments
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r11, lr}
    sub sp, sp, #FRAME
    str r0, [sp]
    adr r1, 2f
    orr r1, r1, #1
    str r1, [r0, #TASK_NEXT]
    .balign 4
2:  // two channels
    ldr r12, [sp]
    ldm r12, {r0, r1, r2, r4, r5, r6, lr}
    ldr r10, [r2], #8
    str r2, [r12, #TASK_BIAS]
    .if \shift
    add r4, r4, r10
    add r5, r5, r10
    add r6, r6, r10
    mov r7, r4
    mov r8, r5
    mov r9, r6
    .else
    ldr r11, [r2, #-4]
    .if \offset
    add r7, r4, r11
    add r8, r5, r11
    add r9, r6, r11
    .else
    mov r7, r11
    mov r8, r11
    mov r9, r11
    .endif
    add r4, r4, r10
    add r5, r5, r10
    add r6, r6, r10
    .endif
    ldr r3, [r12, #TASK_BEFORE]
    .if \segments
    str r3, [sp, #20]
    .endif
    cbz r3, 3f
    b.w 10f
3:
    LOOP \step, \unroll, \end, lr
4:
    ldr r12, [sp]
    ldr r3, [r12, #TASK_AFTER]
    cbz r3, 5f
    b.w 7f
5:
    str r0, [r12, #TASK_WEIGHTS]
    .if \shift
    DECODE \shift, \offset
    .endif
6:
    ldr pc, [r12, #TASK_STAGE]
7:
    .if \segments
    ldr r3, [sp, #20]
    cmp r3, #0
    beq 8f
    // At the end of a segment the sums of fields begin anew.
    sub r7, r7, r4
    sub r8, r8, r5
    sub r9, r9, r6
    add r2, sp, #4
    ldm r2, {r10, r11, r12}
    add r10, r10, r7, asr #\shift
    add r11, r11, r8, asr #\shift
    add r12, r12, r9, asr #\shift
    stm r2, {r10, r11, r12}
    mov r7, r4
    mov r8, r5
    mov r9, r6
    ldr r12, [sp]
    subs r3, r3, #1
    str r3, [sp, #20]
    ite eq
    ldreq lr, [r12, #TASK_MAIN]
    ldrne lr, [r12, #TASK_SEGMENT_BYTES]
    cmp lr, #0
    bne.w 3b
8:
    .endif
    ldr r3, [r12, #TASK_TAIL]
    cmp r3, #0
    beq.w 9f
    LOOP \step, 1, \end, r3
    ldr r12, [sp]
9:
    .if \segments
    ldr r3, [r12, #TASK_SEGMENTS]
    cmp r3, #0
    beq.w 5b
    str r0, [r12, #TASK_WEIGHTS]
    DECODE \shift, \offset
    add r3, sp, #4
    ldm r3, {r0, r1, r2}
    add r7, r7, r0
    add r8, r8, r1
    add r9, r9, r2
    b.w 6b
    .else
    b.w 5b
    .endif
10:  // segments, or nothing for the unrolled loop
    .if \segments
    ldr r3, [r12, #TASK_SEGMENTS]
    str r3, [sp, #20]
    cmp r3, #0
    beq.w 4b
    ldr lr, [r12, #TASK_SEGMENT_BYTES]
    mov r10, #0
    mov r11, #0
    mov r12, #0
    add r2, sp, #4
    stm r2, {r10, r11, r12}
    b.w 3b
    .else
    b.w 4b
    .endif
    .size \name, . - \name
.endm

KERNEL apq_dsp_pairs_8, STEP_8, 4, lr, 8, 0, 1
KERNEL apq_dsp_pairs_8_wide, STEP_8_WIDE, 4, lr, 0, 0, 0
KERNEL apq_dsp_pairs_4, STEP_4, 4, lr, 4, 0, 1
KERNEL apq_dsp_pairs_2, STEP_2, 2, stack, 2, 1, 0
KERNEL apq_dsp_pairs_6, STEP_6, 2, stack, 6, 1, 0
KERNEL apq_dsp_pairs_6_wide, STEP_6_WIDE, 2, stack, 0, 1, 0

// Four weights of four channels: four products in one multiplication. lr holds the mask of an operand.
.macro STEP_DUAL
    ldr r2, [r0], #4
    COLUMNS
    and r3, lr, r2
    FIRST r3
    and r3, lr, r2, ror #4
    FIELDS r3
    COLUMNS
    and r3, lr, r2, ror #8
    FIRST r3
    and r3, lr, r2, ror #12
    FIELDS r3
.endm

// The sums of two channels from the double ones in r4-r6, whose low parts are TASK_CENTER too large.
.macro SPLIT
    ldr r2, [r12, #TASK_BIAS]
    ldr r3, [r12, #TASK_CENTER]
    ldr r10, [r2], #4
    ldr r11, [r2], #4
    str r2, [r12, #TASK_BIAS]
    sub r10, r10, r3
    add r7, r11, r4, asr #14
    add r8, r11, r5, asr #14
    add r9, r11, r6, asr #14
    ubfx r4, r4, #0, #14
    ubfx r5, r5, #0, #14
    ubfx r6, r6, #0, #14
    add r4, r4, r10
    add r5, r5, r10
    add r6, r6, r10
.endm

    .section .text.apq_dsp_duals, "ax", %progbits
    .balign 4
    .global apq_dsp_duals
    .type apq_dsp_duals, %function
    .thumb_func
apq_dsp_duals:
    push {r4-r11, lr}
    sub sp, sp, #FRAME
    str r0, [sp]
    .balign 4
2:  // four channels
    ldr r12, [sp]
    ldm r12, {r0, r1, r2, r4, r5, r6, lr}
    mov r7, r4
    mov r8, r5
    mov r9, r6
    ldr r3, [r12, #TASK_BEFORE]
    cbz r3, 3f
    b.w 4f
3:
    LOOP STEP_DUAL, 4, stack, lr
4:
    ldr r12, [sp]
    ldr r3, [r12, #TASK_AFTER]
    cbz r3, 5f
    LOOP STEP_DUAL, 1, stack, r3
    ldr r12, [sp]
5:
    str r0, [r12, #TASK_WEIGHTS]
    add r3, sp, #4
    stm r3, {r7, r8, r9}
    adr r1, 6f
    orr r1, r1, #1
    str r1, [r12, #TASK_NEXT]
    SPLIT
    ldr pc, [r12, #TASK_STAGE]
    .balign 4
6:
    add r3, sp, #4
    ldm r3, {r4, r5, r6}
    adr r1, 2b
    orr r1, r1, #1
    str r1, [r12, #TASK_NEXT]
    SPLIT
    ldr pc, [r12, #TASK_STAGE]
    .size apq_dsp_duals, . - apq_dsp_duals

// Leaves the sums where the output would go.
    .section .text.apq_dsp_stage_sums, "ax", %progbits
    .balign 4
    .global apq_dsp_stage_sums
    .type apq_dsp_stage_sums, %function
    .thumb_func
apq_dsp_stage_sums:
    add r3, r12, #TASK_MULTIPLIER
    ldm r3, {r0, r1, r2}
    stm r2!, {r4-r9}
    add r0, r0, #8
    stm r3, {r0, r1, r2}
    ldr r3, [r12, #TASK_END]
    cmp r0, r3
    beq 2f
    ldr pc, [r12, #TASK_NEXT]
2:
    add sp, sp, #FRAME
    pop {r4-r11, pc}
    .size apq_dsp_stage_sums, . - apq_dsp_stage_sums

// ((sum * m + 2^(r-1)) >> r) + z, for 33 <= r, saturated by \saturate to \bits: with the rounding and the zero point in one term,
// (2z + 1) << (r-33), the high word of a product and a shift.
.macro SCALE a, b, c, saturate, bits
    ldrb r11, [r1], #1
    ldr lr, [r0], #4
    sub r11, r11, #33
    lsl r3, r10, r11
    smmla \a, \a, lr, r3
    smmla \b, \b, lr, r3
    smmla \c, \c, lr, r3
    asr \a, \a, r11
    asr \b, \b, r11
    asr \c, \c, r11
    \saturate \a, #\bits, \a, asr #1
    \saturate \b, #\bits, \b, asr #1
    \saturate \c, #\bits, \c, asr #1
.endm

// Columns are stored last to first: those that are no pixels have the offset of one that is.
.macro STAGE name, bits
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    add r3, r12, #TASK_MULTIPLIER
    ldm r3, {r0, r1, r2}
    ldr r10, [r12, #TASK_ROUND]
    SCALE r4, r5, r6, usat, \bits
    SCALE r7, r8, r9, usat, \bits
    orr r4, r4, r7, lsl #8
    orr r5, r5, r8, lsl #8
    orr r6, r6, r9, lsl #8
    ldr r3, [r12, #TASK_CLAMP + 4]
    cbz r3, 1f
    // At most hi, then at least lo, by saturation at 255 and at 0.
    ldr r7, [r12, #TASK_CLAMP]
    ldr r8, [r12, #TASK_CLAMP + 8]
    .irp r, r4, r5, r6
    uqadd8 \r, \r, r7
    uqsub8 \r, \r, r3
    uadd8 \r, \r, r8
    .endr
1:
    ldrd r10, r11, [r12, #TASK_OFFSETS]
    .if \bits == 4
    orr r4, r4, r4, lsr #4
    orr r5, r5, r5, lsr #4
    orr r6, r6, r6, lsr #4
    strb r6, [r2, r11]
    strb r5, [r2, r10]
    strb r4, [r2], #1
    .elseif \bits == 2
    orr r4, r4, r4, lsr #6
    orr r5, r5, r5, lsr #6
    orr r6, r6, r6, lsr #6
    ldr r3, [r12, #TASK_PHASE]
    add r7, sp, #24
    eors r3, r3, #1
    str r3, [r12, #TASK_PHASE]
    itt ne
    stmne r7, {r4, r5, r6}
    bne 3f
    ldm r7, {r7, r8, r9}
    orr r4, r7, r4, lsl #4
    orr r5, r8, r5, lsl #4
    orr r6, r9, r6, lsl #4
    strb r6, [r2, r11]
    strb r5, [r2, r10]
    strb r4, [r2], #1
3:
    .else
    strh r6, [r2, r11]
    strh r5, [r2, r10]
    strh r4, [r2], #2
    .endif
    add r3, r12, #TASK_MULTIPLIER
    stm r3, {r0, r1, r2}
    ldr r3, [r12, #TASK_END]
    cmp r0, r3
    beq 2f
    ldr pc, [r12, #TASK_NEXT]
2:
    add sp, sp, #FRAME
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

STAGE apq_dsp_stage_8, 8
STAGE apq_dsp_stage_4, 4
STAGE apq_dsp_stage_2, 2

// 16 bits, all codes or those from 0 on.
.macro STAGE_WIDE name, saturate, bits
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    add r3, r12, #TASK_MULTIPLIER
    ldm r3, {r0, r1, r2}
    ldr r10, [r12, #TASK_ROUND]
    SCALE r4, r5, r6, \saturate, \bits
    SCALE r7, r8, r9, \saturate, \bits
    pkhbt r4, r4, r7, lsl #16
    pkhbt r5, r5, r8, lsl #16
    pkhbt r6, r6, r9, lsl #16
    ldrd r10, r11, [r12, #TASK_OFFSETS]
    str r6, [r2, r11]
    str r5, [r2, r10]
    str r4, [r2], #4
    add r3, r12, #TASK_MULTIPLIER
    stm r3, {r0, r1, r2}
    ldr r3, [r12, #TASK_END]
    cmp r0, r3
    beq 2f
    ldr pc, [r12, #TASK_NEXT]
2:
    add sp, sp, #FRAME
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

STAGE_WIDE apq_dsp_stage_16, ssat, 16
STAGE_WIDE apq_dsp_stage_15, usat, 15

// Assembly of other files may follow.
.purgem FIRST
.purgem FIELDS
.purgem COLUMNS
.purgem STEP_8
.purgem STEP_8_WIDE
.purgem STEP_4
.purgem PAIR_2
.purgem STEP_2
.purgem PAIR_6
.purgem STEP_6
.purgem PAIR_6_WIDE
.purgem STEP_6_WIDE
.purgem LOOP
.purgem DECODE
.purgem KERNEL
.purgem STEP_DUAL
.purgem SPLIT
.purgem SCALE
.purgem STAGE
.purgem STAGE_WIDE
.text
