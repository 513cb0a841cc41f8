// Sums of four channels (two rows of two) and one column of bytes, added to what is there. The argument is the address of a `VectorTask`.
//   r0, r1 weights   r2, r3 codes and their end   r4, r6 sums of the first channels   r5, r7 sums of fields   others on their way

.syntax unified
.thumb

.equ VECTOR_SUMS, 16
.equ VECTOR_BIAS, 32
.equ VECTOR_CLAMP, 56

// Four codes, widened: 0 and 2 in r8, 1 and 3 in r9.
.macro CODES
    ldr r8, [r2], #4
    uxtb16 r9, r8, ror #8
    uxtb16 r8, r8
.endm

.macro MULTIPLY field, first, word, codes
    smlad \field, \word, \codes, \field
    .if VECTOR_BITS == 8
    uxtb16 \word, \word
    .elseif VECTOR_BITS == 6
    and \word, \word, #0x003f003f
    .elseif VECTOR_BITS == 4
    and \word, \word, #0x000f000f
    .else
    and \word, \word, #0x00030003
    .endif
    smlad \first, \word, \codes, \first
.endm

.macro VECTOR_STEP_8
    CODES
    ldrd r10, r11, [r0], #8
    MULTIPLY r5, r4, r10, r8
    MULTIPLY r5, r4, r11, r9
    ldrd r10, r11, [r1], #8
    MULTIPLY r7, r6, r10, r8
    MULTIPLY r7, r6, r11, r9
.endm

.macro ROW_4 weights, field, first
    ldr r10, [\weights], #4
    sxtb16 r11, r10
    MULTIPLY \field, \first, r11, r8
    sxtb16 r11, r10, ror #8
    MULTIPLY \field, \first, r11, r9
.endm

.macro VECTOR_STEP_4
    CODES
    ROW_4 r0, r5, r4
    ROW_4 r1, r7, r6
.endm

.macro ROW_2 word, field, first, shift
    and lr, r12, \word, lsr #\shift
    MULTIPLY \field, \first, lr, r8
    and lr, r12, \word, lsr #(\shift + 4)
    MULTIPLY \field, \first, lr, r9
.endm

.macro VECTOR_STEP_2
    ldr r10, [r0], #4
    ldr r11, [r1], #4
    CODES
    and lr, r12, r10
    MULTIPLY r5, r4, lr, r8
    and lr, r12, r10, lsr #4
    MULTIPLY r5, r4, lr, r9
    and lr, r12, r11
    MULTIPLY r7, r6, lr, r8
    and lr, r12, r11, lsr #4
    MULTIPLY r7, r6, lr, r9
    CODES
    ROW_2 r10, r5, r4, 8
    ROW_2 r11, r7, r6, 8
.endm

.macro FIELD_6 weights, field, first, codes, rest
    ldr r10, [\weights], #4
    \rest
    bic r10, r10, #0xf000f000
    MULTIPLY \field, \first, r10, \codes
.endm

.macro REST_6
    and r11, r10, #0xf000f000
    orr lr, r11, lr, lsr #4
.endm

.macro ROW_6 weights, field, first
    CODES
    mov lr, #0
    FIELD_6 \weights, \field, \first, r8, REST_6
    FIELD_6 \weights, \field, \first, r9, REST_6
    CODES
    FIELD_6 \weights, \field, \first, r8, REST_6
    lsr r10, lr, #4
    MULTIPLY \field, \first, r10, r9
.endm

.macro VECTOR_STEP_6
    ROW_6 r0, r5, r4
    sub r2, r2, #8
    ROW_6 r1, r7, r6
.endm

// \codes: log2 of the codes of a step.
.macro VECTOR name, bits, codes
    .set VECTOR_BITS, \bits
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r0, r4-r11, lr}
    ldm r0, {r0-r3}
    mov r4, #0
    mov r5, #0
    mov r6, #0
    mov r7, #0
    .if \bits == 2
    mov r12, #0x000f000f
    .endif
    // Of an odd number of steps, the first one goes alone.
    sub r8, r3, r2
    tst r8, #(1 << \codes)
    bne 2f
1:
    VECTOR_STEP_\bits
2:
    VECTOR_STEP_\bits
    cmp r2, r3
    bne.w 1b
    sub r5, r5, r4
    sub r7, r7, r6
    pop {r3}
    stm r3, {r0, r1, r2}
    add r0, r3, #VECTOR_SUMS
    ldm r0, {r8-r11}
    add r8, r8, r4
    add r9, r9, r5, asr #\bits
    add r10, r10, r6
    add r11, r11, r7, asr #\bits
    stm r0, {r8-r11}
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

VECTOR apq_dsp_vector_8, 8, 2
VECTOR apq_dsp_vector_6, 6, 3
VECTOR apq_dsp_vector_4, 4, 2
VECTOR apq_dsp_vector_2, 2, 3

// The output stage of `pairs.s` for up to four sums: bytes.
    .section .text.apq_dsp_vector_stage, "ax", %progbits
    .balign 4
    .global apq_dsp_vector_stage
    .type apq_dsp_vector_stage, %function
    .thumb_func
apq_dsp_vector_stage:
    push {r4-r11, lr}
    mov r12, r0
    add r1, r0, #VECTOR_BIAS
    ldm r1, {r2-r7}
    ldrd r10, r11, [r0, #VECTOR_CLAMP]
    add r0, r0, #VECTOR_SUMS
1:
    ldr r8, [r0], #4
    ldr r9, [r2], #4
    ldrb lr, [r4], #1
    add r8, r8, r9
    ldr r9, [r3], #4
    sub lr, lr, #33
    lsl r1, r7, lr
    smmla r8, r8, r9, r1
    asr r8, r8, lr
    usat r8, #8, r8, asr #1
    // At most hi, then at least lo, by saturation at 255 and at 0.
    ldr r9, [r12, #VECTOR_CLAMP + 8]
    uqadd8 r8, r8, r10
    uqsub8 r8, r8, r11
    add r8, r8, r9
    strb r8, [r5], #1
    subs r6, r6, #1
    bne 1b
    add r1, r12, #VECTOR_BIAS
    stm r1, {r2-r5}
    pop {r4-r11, pc}
    .size apq_dsp_vector_stage, . - apq_dsp_vector_stage

// Assembly of other files may follow.
.purgem CODES
.purgem MULTIPLY
.purgem VECTOR_STEP_8
.purgem ROW_4
.purgem VECTOR_STEP_4
.purgem ROW_2
.purgem VECTOR_STEP_2
.purgem FIELD_6
.purgem REST_6
.purgem ROW_6
.purgem VECTOR_STEP_6
.purgem VECTOR
.text
