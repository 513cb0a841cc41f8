//! Products one by one.

use core::arch::naked_asm;

use crate::arch::thumb::Products;

/// One weight of two channels by the codes at that place of the four columns.
macro_rules! single {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "
        ldrb r2, [r1], #1
        ldrb r3, [r12], #1
        ldrsh lr, [r0, #",
            $a,
            "]
        mla r4, r2, lr, r4
        mla r8, r3, lr, r8
        ldrsh lr, [r0, #",
            $b,
            "]
        mla r5, r2, lr, r5
        mla r9, r3, lr, r9
        ldrsh lr, [r0, #",
            $c,
            "]
        mla r6, r2, lr, r6
        mla r10, r3, lr, r10
        ldrsh lr, [r0",
            $d,
            "
        mla r7, r2, lr, r7
        mla r11, r3, lr, r11
        "
        )
    };
}

/// 8-bit weights one by one. Two channels: r1 and r12 their weights, r4 to r7 and r8 to r11 their sums; the last channel of an odd number is
/// computed twice. The frame: end of the columns at 0, columns at 4, bytes of a row at 8, channels at 12, sums' address at 16,
/// start at 20.
// SAFETY: reads and writes what `Products` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn single_8(products: &Products) {
    naked_asm!(
        "
        push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}
        sub sp, #24
        ldmia r0, {{r1, r2, r3, r4, r5, r6, r7}}
        str r7, [sp, #20]
        add r6, r1, r5, lsl #5
        lsls r5, r5, #2
        strd r6, r1, [sp]
        strd r5, r4, [sp, #8]
        str r3, [sp, #16]
        mov r1, r2
    10: ldr r2, [sp, #8]
        ldr r3, [sp, #12]
        cmp r3, #1
        ite eq
        moveq r12, r1
        addne r12, r1, r2
        ldr r0, [sp, #4]
        ldr r2, [sp, #20]
        ldmia r2, {{r4, r5, r6, r7}}
        ldmia r2, {{r8, r9, r10, r11}}
    11:
        ",
        // The bytes of a word of weights are those of places 2, 3, 0 and 1.
        single!("2", "6", "10", ", #14]"),
        single!("18", "22", "26", ", #30]"),
        single!("0", "4", "8", ", #12]"),
        single!("16", "20", "24", ", #28]"),
        "
        adds r0, r0, #32
        ldr lr, [sp]
        cmp r0, lr
        bne 11b
        mov r1, r12
        ldr lr, [sp, #16]
        stmia lr!, {{r4, r5, r6, r7}}
        ldr r3, [sp, #12]
        subs r3, r3, #1
        beq 12f
        stmia lr!, {{r8, r9, r10, r11}}
        str lr, [sp, #16]
        subs r3, r3, #1
        str r3, [sp, #12]
        bne 10b
    12: add sp, #24
        pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}
        "
    )
}
