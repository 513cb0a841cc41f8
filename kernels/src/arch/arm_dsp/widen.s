// Codes of three columns, widened to 16 bits and interleaved. The argument is the address of a `Widen`.
//   r0-r2 codes   r3 columns   r4-r6 totals   r7 a constant   r8-r10, r11, r12, lr codes on their way
// The even codes of a group of four are stored first, then the odd ones.

.syntax unified
.thumb

.equ WIDEN_TOTALS, 16
.equ WIDEN_BYTES, 28
.equ WIDEN_ROWS, 32
.equ WIDEN_SKIP, 36

.macro QUAD_8
    ldr r8, [r0], #4
    ldr r9, [r1], #4
    ldr r10, [r2], #4
    usada8 r4, r8, r7, r4
    usada8 r5, r9, r7, r5
    usada8 r6, r10, r7, r6
    uxtb16 r11, r8, ror #8
    uxtb16 r12, r9, ror #8
    uxtb16 lr, r10, ror #8
    uxtb16 r8, r8
    uxtb16 r9, r9
    uxtb16 r10, r10
.endm

.macro TOTALS
    smlad r4, r8, r7, r4
    smlad r5, r9, r7, r5
    smlad r6, r10, r7, r6
    smlad r4, r11, r7, r4
    smlad r5, r12, r7, r5
    smlad r6, lr, r7, r6
.endm

// \a: codes 0 and 1, \b: 2 and 3  ->  \a: 0 and 2, \b: 1 and 3.
.macro EXCHANGE a, b
    pkhbt r7, \a, \b, lsl #16
    pkhtb \b, \b, \a, asr #16
    mov \a, r7
.endm

.macro QUAD_16
    ldr r8, [r0], #4
    ldr r9, [r1], #4
    ldr r10, [r2], #4
    ldr r11, [r0], #4
    ldr r12, [r1], #4
    ldr lr, [r2], #4
    EXCHANGE r8, r11
    EXCHANGE r9, r12
    EXCHANGE r10, lr
    mov r7, #0x00010001
    TOTALS
.endm

.macro QUAD_4
    ldrh r8, [r0], #2
    ldrh r9, [r1], #2
    ldrh r10, [r2], #2
    NARROW r8, r11, r4, 8, 4
    NARROW r9, r12, r5, 8, 4
    NARROW r10, lr, r6, 8, 4
.endm

.macro QUAD_2
    ldrb r8, [r0], #1
    ldrb r9, [r1], #1
    ldrb r10, [r2], #1
    NARROW r8, r11, r4, 12, 2
    NARROW r9, r12, r5, 12, 2
    NARROW r10, lr, r6, 12, 2
.endm

// r7 is a mask. Both halves of a total are sums.
.macro NARROW even, odd, total, spread, bits
    orr \even, \even, \even, lsl #\spread
    and \odd, r7, \even, lsr #\bits
    and \even, r7, \even
    add \total, \total, \odd
    add \total, \total, \even
.endm

.macro STORE
    stm r3!, {r8, r9, r10}
    stm r3!, {r11, r12, lr}
.endm

.macro WIDEN name, quad, constant, halves
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r0, r1, r4-r11, lr}
    mov r12, r0
    ldm r12, {r0-r6}
    mov r7, #\constant
    .if \halves
    mov r4, #0
    mov r5, #0
    mov r6, #0
    .endif
1:  // a run
    ldr r12, [sp]
    ldr r8, [r12, #WIDEN_BYTES]
    add r9, r8, r3
    str r9, [sp, #4]
    // Of an odd number of groups, the first one goes alone.
    tst r8, #8
    bne 3f
2:
    \quad
    STORE
3:
    \quad
    STORE
    ldr r8, [sp, #4]
    cmp r3, r8
    bne 2b
    ldr r12, [sp]
    ldrd r8, r9, [r12, #WIDEN_ROWS]
    subs r8, r8, #1
    beq 4f
    str r8, [r12, #WIDEN_ROWS]
    add r0, r0, r9
    add r1, r1, r9
    add r2, r2, r9
    b 1b
4:
    add r12, r12, #WIDEN_TOTALS
    .if \halves
    ldm r12, {r8, r9, r10}
    uxtah r8, r8, r4
    uxtah r9, r9, r5
    uxtah r10, r10, r6
    add r4, r8, r4, lsr #16
    add r5, r9, r5, lsr #16
    add r6, r10, r6, lsr #16
    .endif
    stm r12, {r4, r5, r6}
    pop {r0, r1, r4-r11, pc}
    .size \name, . - \name
.endm

WIDEN apq_dsp_widen_8, QUAD_8, 0, 0
WIDEN apq_dsp_widen_16, QUAD_16, 0x00010001, 0
WIDEN apq_dsp_widen_4, QUAD_4, 0x000f000f, 1
WIDEN apq_dsp_widen_2, QUAD_2, 0x00030003, 1

// Assembly of other files may follow.
.purgem QUAD_8
.purgem TOTALS
.purgem EXCHANGE
.purgem QUAD_16
.purgem QUAD_4
.purgem QUAD_2
.purgem NARROW
.purgem STORE
.purgem WIDEN
.text
