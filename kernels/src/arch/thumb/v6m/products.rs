//! Several products at once: one channel by four columns.

use core::arch::naked_asm;

use crate::arch::thumb::Products;

// In all functions: r0 columns, r1 the word of weights, r2 the weights of a step, r3 anything, r4 to r7 accumulators, r8 the mask, r9
// weights, r10, r11, r12 and lr sums.

/// The frame: two counters at 0 and 4, columns at 8, sums' address at 16, channels at 20, words of a row at 24, interval at 28, start at 32.
/// `$mask` makes the mask in r3.
macro_rules! enter {
    ($mask:expr) => {
        concat!(
            save!(),
            "
        ldmia r0!, {{r1, r2, r3, r4, r5, r6, r7}}
        push {{r1, r2, r3, r4, r5, r6, r7}}
        sub sp, #8
        mov r9, r2
        ",
            $mask,
            "
        mov r8, r3
    10: ldr r3, [sp, #32]
        ldmia r3!, {{r4, r5, r6, r7}}
        mov r10, r4
        mov r11, r5
        mov r12, r6
        mov lr, r7
        ldr r0, [sp, #8]
        "
        )
    };
}

/// The same in both halves of r3.
macro_rules! halves {
    ($value:literal) => {
        concat!(
            "
        movs r3, #",
            $value,
            "
        lsls r1, r3, #16
        orrs r3, r1
        "
        )
    };
}

/// Stores the sums and turns to the next channel.
macro_rules! leave {
    () => {
        concat!(
            "
        ldr r3, [sp, #16]
        mov r4, r10
        mov r5, r11
        mov r6, r12
        mov r7, lr
        stmia r3!, {{r4, r5, r6, r7}}
        str r3, [sp, #16]
        ldr r3, [sp, #20]
        subs r3, #1
        str r3, [sp, #20]
        beq 19f
        b 10b
    19: add sp, #36
        ",
            restore!()
        )
    };
}

macro_rules! load_word {
    () => {
        "
        mov r3, r9
        ldmia r3!, {{r1}}
        mov r9, r3
        "
    };
}

/// The weights of a step, `shift` bits up in their word.
macro_rules! weights {
    (0) => {
        "
        mov r2, r8
        ands r2, r1
        "
    };
    ($shift:literal) => {
        concat!(
            "
        lsrs r2, r1, #",
            $shift,
            "
        mov r3, r8
        ands r2, r3
        "
        )
    };
}

/// The first step after the sums were taken out, with the words of the columns at these offsets.
macro_rules! first_step {
    ($shift:tt, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            weights!($shift),
            "
        ldr r4, [r0, #",
            $a,
            "]
        muls r4, r2, r4
        ldr r5, [r0, #",
            $b,
            "]
        muls r5, r2, r5
        ldr r6, [r0, #",
            $c,
            "]
        muls r6, r2, r6
        ldr r7, [r0, #",
            $d,
            "]
        muls r7, r2, r7
        "
        )
    };
}

/// Any other step.
macro_rules! step {
    ($shift:tt, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            weights!($shift),
            "
        ldr r3, [r0, #",
            $a,
            "]
        muls r3, r2, r3
        adds r4, r4, r3
        ldr r3, [r0, #",
            $b,
            "]
        muls r3, r2, r3
        adds r5, r5, r3
        ldr r3, [r0, #",
            $c,
            "]
        muls r3, r2, r3
        adds r6, r6, r3
        ldr r3, [r0, #",
            $d,
            "]
        muls r3, r2, r3
        adds r7, r7, r3
        "
        )
    };
}

/// Adds the upper parts of the accumulators to the sums.
macro_rules! take_out {
    ($shift:literal) => {
        concat!(
            "
        lsrs r4, r4, #",
            $shift,
            "
        add r10, r4
        lsrs r5, r5, #",
            $shift,
            "
        add r11, r5
        lsrs r6, r6, #",
            $shift,
            "
        add r12, r6
        lsrs r7, r7, #",
            $shift,
            "
        add lr, r7
        "
        )
    };
}

/// Counts the counter at that place of the frame down and goes on at `$again` until it is 0.
macro_rules! until_zero {
    ($at:literal, $again:literal) => {
        concat!(
            "
        ldr r3, [sp, #",
            $at,
            "]
        subs r3, #1
        str r3, [sp, #",
            $at,
            "]
        beq 18f
        b ",
            $again,
            "
    18:
        "
        )
    };
}

/// 4-bit weights by 8-bit codes: sums are taken out after two words.
// SAFETY: reads and writes what `Products` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn two_4_of_8(products: &Products) {
    naked_asm!(
        enter!(halves!("0x0f")),
        "
        ldr r3, [sp, #24]
        lsrs r3, r3, #1
        str r3, [sp]
        bne 11f
        b 12f
    11:
        ",
        load_word!(),
        first_step!(0, 0, 4, 8, 12),
        step!(4, 16, 20, 24, 28),
        step!(8, 32, 36, 40, 44),
        step!(12, 48, 52, 56, 60),
        load_word!(),
        step!(0, 64, 68, 72, 76),
        step!(4, 80, 84, 88, 92),
        step!(8, 96, 100, 104, 108),
        step!(12, 112, 116, 120, 124),
        "
        adds r0, #128
        ",
        take_out!(16),
        until_zero!(0, "11b"),
        "
    12: ldr r3, [sp, #24]
        lsls r3, r3, #31
        bne 13f
        b 14f
    13:
        ",
        load_word!(),
        first_step!(0, 0, 4, 8, 12),
        step!(4, 16, 20, 24, 28),
        step!(8, 32, 36, 40, 44),
        step!(12, 48, 52, 56, 60),
        take_out!(16),
        "
    14:
        ",
        leave!(),
    )
}

/// The words of a row in intervals: label 11 begins an interval, label 12 its next word.
macro_rules! begin_interval {
    () => {
        concat!(
            "
        ldr r1, [sp, #24]
    11: ldr r2, [sp, #28]
        cmp r2, r1
        bls 12f
        mov r2, r1
    12: subs r1, r1, r2
        str r1, [sp]
        str r2, [sp, #4]
        movs r4, #0
        movs r5, #0
        movs r6, #0
        movs r7, #0
    13:
        ",
            load_word!()
        )
    };
}

macro_rules! next_interval {
    () => {
        "
        ldr r1, [sp]
        cmp r1, #0
        beq 14f
        b 11b
    14:
        "
    };
}

/// 4-bit weights, two products at once.
// SAFETY: as above.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn two_4(products: &Products) {
    naked_asm!(
        enter!(halves!("0x0f")),
        begin_interval!(),
        step!(0, 0, 4, 8, 12),
        step!(4, 16, 20, 24, 28),
        step!(8, 32, 36, 40, 44),
        step!(12, 48, 52, 56, 60),
        "
        adds r0, #64
        ",
        until_zero!(4, "13b"),
        take_out!(16),
        next_interval!(),
        leave!(),
    )
}

/// 2-bit weights, two products at once.
// SAFETY: as above.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn two_2(products: &Products) {
    naked_asm!(
        enter!(halves!("0x03")),
        begin_interval!(),
        step!(8, 0, 4, 8, 12),
        step!(0, 16, 20, 24, 28),
        step!(10, 32, 36, 40, 44),
        step!(2, 48, 52, 56, 60),
        step!(12, 64, 68, 72, 76),
        step!(4, 80, 84, 88, 92),
        step!(14, 96, 100, 104, 108),
        step!(6, 112, 116, 120, 124),
        "
        adds r0, #128
        ",
        until_zero!(4, "13b"),
        take_out!(16),
        next_interval!(),
        leave!(),
    )
}

/// 2-bit weights by 2-bit codes, four products at once.
// SAFETY: as above.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn four_2(products: &Products) {
    naked_asm!(
        enter!(
            "
        ldr r3, =0x03030303
        "
        ),
        "
        ldr r3, [sp, #24]
        str r3, [sp]
    11:
        ",
        load_word!(),
        first_step!(0, 0, 4, 8, 12),
        step!(2, 16, 20, 24, 28),
        step!(4, 32, 36, 40, 44),
        step!(6, 48, 52, 56, 60),
        "
        adds r0, #64
        ",
        take_out!(24),
        until_zero!(0, "11b"),
        leave!(),
        ".pool",
    )
}
