//! Products one by one.

use core::arch::naked_asm;

use crate::arch::thumb::Products;

/// The weight at `$byte` of r1 by the codes at these offsets.
macro_rules! single {
    ($byte:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "
        ldrb r2, [r1, #",
            $byte,
            "]
        ldrh r3, [r0, #",
            $a,
            "]
        muls r3, r2, r3
        adds r4, r4, r3
        ldrh r3, [r0, #",
            $b,
            "]
        muls r3, r2, r3
        adds r5, r5, r3
        ldrh r3, [r0, #",
            $c,
            "]
        muls r3, r2, r3
        adds r6, r6, r3
        ldrh r3, [r0, #",
            $d,
            "]
        muls r3, r2, r3
        adds r7, r7, r3
        "
        )
    };
}

/// 8-bit weights by unsigned codes, one by one. r1 weights, r8 the end of the columns. The frame: columns at 0, sums' address at 8, channels
/// at 12, words of a row at 16, start at 24.
// SAFETY: reads and writes what `Products` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn single_8(products: &Products) {
    naked_asm!(
        save!(),
        "
        ldmia r0!, {{r1, r2, r3, r4, r5, r6, r7}}
        push {{r1, r2, r3, r4, r5, r6, r7}}
        lsls r5, r5, #5
        adds r1, r1, r5
        mov r8, r1
        mov r1, r2
    10: ldr r3, [sp, #24]
        ldmia r3!, {{r4, r5, r6, r7}}
        ldr r0, [sp]
        ldr r3, [sp, #16]
        lsls r3, r3, #31
        beq 11f
        ",
        // The bytes of a word of weights are those of places 2, 3, 0 and 1.
        single!(0, 2, 6, 10, 14),
        single!(1, 18, 22, 26, 30),
        single!(2, 0, 4, 8, 12),
        single!(3, 16, 20, 24, 28),
        "
        adds r0, #32
        adds r1, #4
        cmp r0, r8
        bne 11f
        b 12f
    11:
        ",
        single!(0, 2, 6, 10, 14),
        single!(1, 18, 22, 26, 30),
        single!(2, 0, 4, 8, 12),
        single!(3, 16, 20, 24, 28),
        single!(4, 34, 38, 42, 46),
        single!(5, 50, 54, 58, 62),
        single!(6, 32, 36, 40, 44),
        single!(7, 48, 52, 56, 60),
        "
        adds r0, #64
        adds r1, #8
        cmp r0, r8
        bne 11b
    12: ldr r3, [sp, #8]
        stmia r3!, {{r4, r5, r6, r7}}
        str r3, [sp, #8]
        ldr r3, [sp, #12]
        subs r3, #1
        str r3, [sp, #12]
        beq 13f
        b 10b
    13: add sp, #28
        ",
        restore!(),
    )
}
