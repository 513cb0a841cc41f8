//! Cortex-M0: one channel by four columns. Only r0 to r7 can be multiplied, loaded and shifted; the sums, the mask and the weights' address
//! wait in the others.

use core::arch::naked_asm;

use super::{Channels, Products, Stage};
use crate::WeightBits;
use crate::portable::unsigned::Product;

/// The function for these products.
pub(super) fn function(bits: WeightBits, product: Product) -> Option<unsafe extern "C" fn(&Products)> {
    Some(match (bits, product) {
        (WeightBits::W2, Product::Four) => four_2,
        (WeightBits::W2, Product::Two { .. }) => two_2,
        (WeightBits::W4, Product::Two { units: 2 }) => two_4_of_8,
        (WeightBits::W4, Product::Two { .. }) => two_4,
        (WeightBits::W8, Product::Single { signed: false }) => single_8,
        _ => return None,
    })
}

// In all functions: r0 columns, r1 the word of weights, r2 the weights of a step, r3 anything, r4 to r7 accumulators, r8 the mask, r9
// weights, r10, r11, r12 and lr sums.

macro_rules! save {
    () => {
        "
        push {{r4, r5, r6, r7, lr}}
        mov r4, r8
        mov r5, r9
        mov r6, r10
        mov r7, r11
        push {{r4, r5, r6, r7}}
        "
    };
}

macro_rules! restore {
    () => {
        "
        pop {{r4, r5, r6, r7}}
        mov r8, r4
        mov r9, r5
        mov r10, r6
        mov r11, r7
        pop {{r4, r5, r6, r7, pc}}
        "
    };
}

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
unsafe extern "C" fn two_4_of_8(products: &Products) {
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
unsafe extern "C" fn two_4(products: &Products) {
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
unsafe extern "C" fn two_2(products: &Products) {
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
unsafe extern "C" fn four_2(products: &Products) {
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
// SAFETY: as above.
#[unsafe(naked)]
unsafe extern "C" fn single_8(products: &Products) {
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

/// `groups` (at least 1) words of four bytes as two words of a column each, which are 16 bytes apart; the sum of the bytes, of at most 128
/// groups.
// SAFETY: reads that many words, writes twice as many; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn apart(codes: *const u32, groups: usize, column: *mut u32) -> u32 {
    naked_asm!(
        "
        push {{r4, r5, r6, lr}}
        movs r3, #0xff
        lsls r4, r3, #16
        orrs r3, r4
        movs r6, #0
    10: ldmia r0!, {{r4}}
        mov r5, r4
        ands r5, r3
        str r5, [r2]
        adds r6, r6, r5
        lsrs r4, r4, #8
        ands r4, r3
        str r4, [r2, #16]
        adds r6, r6, r4
        adds r2, #32
        subs r1, #1
        bne 10b
        uxth r0, r6
        lsrs r6, r6, #16
        adds r0, r0, r6
        pop {{r4, r5, r6, pc}}
        "
    )
}

/// A tap's weight and code of a channel.
macro_rules! channel {
    ($at:literal, $acc:literal) => {
        concat!(
            "
        ldrb r2, [r0, #",
            $at,
            "]
        ldrb r3, [r1, #",
            $at,
            "]
        sxtb r3, r3
        muls r3, r2, r3
        adds ",
            $acc,
            ", ",
            $acc,
            ", r3
        "
        )
    };
}

/// Taps of four channels at a time. r0 the pixel, r1 weights, r4 to r7 accumulators, r8 pixels, r9 the channel, r10 the stride, r11 the end
/// of the pixels. The frame: pixels at 0, weights at 8, groups at 20, sums at 24.
// SAFETY: reads and writes what `Channels` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn add_taps(channels: &Channels) {
    naked_asm!(
        save!(),
        "
        ldmia r0!, {{r1, r2, r3, r4, r5, r6, r7}}
        push {{r1, r2, r3, r4, r5, r6, r7}}
        mov r11, r2
        mov r10, r4
        mov r9, r5
    10: ldr r1, [sp]
        mov r8, r1
        ldr r1, [sp, #24]
        ldr r4, [r1]
        ldr r5, [r1, #16]
        ldr r6, [r1, #32]
        ldr r7, [r1, #48]
        ldr r1, [sp, #8]
    11: mov r2, r8
        ldr r0, [r2]
        adds r2, #8
        mov r8, r2
        add r0, r9
        ",
        channel!("0", "r4"),
        channel!("1", "r5"),
        channel!("2", "r6"),
        channel!("3", "r7"),
        "
        add r1, r10
        cmp r8, r11
        bne 11b
        ldr r1, [sp, #24]
        str r4, [r1]
        str r5, [r1, #16]
        str r6, [r1, #32]
        str r7, [r1, #48]
        adds r1, #64
        str r1, [sp, #24]
        ldr r1, [sp, #8]
        adds r1, #4
        str r1, [sp, #8]
        movs r1, #4
        add r9, r1
        ldr r1, [sp, #20]
        subs r1, #1
        str r1, [sp, #20]
        bne 10b
        add sp, #28
        ",
        restore!(),
    )
}

/// One output: sum `$sum` to its code. r4 and r5 the lower and the upper half of the multiplier, r6 the rounding and the zero point, r7 the
/// shift, r9 where the code goes, r10 the bias, r11 the bytes of a pixel.
macro_rules! code {
    ($sum:literal) => {
        concat!(
            "
        ldr r0, [sp]
        ldr r0, [r0, #",
            $sum,
            "]
        add r0, r10
        uxth r1, r0
        asrs r0, r0, #16
        mov r2, r1
        muls r2, r4, r2
        lsrs r2, r2, #16
        mov r3, r0
        muls r3, r4, r3
        adds r3, r3, r2
        uxth r2, r3
        muls r1, r5, r1
        adds r1, r1, r2
        lsrs r1, r1, #16
        asrs r3, r3, #16
        muls r0, r5, r0
        adds r0, r0, r3
        adds r0, r0, r1
        adds r0, r0, r6
        asrs r0, r7
        ldr r1, [sp, #32]
        cmp r0, r1
        bge 11f
        mov r0, r1
    11: ldr r1, [sp, #36]
        cmp r0, r1
        ble 12f
        mov r0, r1
    12: mov r1, r9
        strb r0, [r1]
        add r9, r11
        "
        )
    };
}

/// Codes of all channels. The upper word of a product comes from products of halves. The frame is the stage.
// SAFETY: reads and writes what `Stage` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn finish(stage: &Stage) {
    naked_asm!(
        save!(),
        "
        mov r7, r0
        adds r7, #28
        ldmia r7!, {{r1, r2, r3}}
        push {{r1, r2, r3}}
        ldmia r0!, {{r1, r2, r3, r4, r5, r6, r7}}
        push {{r1, r2, r3, r4, r5, r6, r7}}
        mov r11, r3
    10: ldr r0, [sp, #12]
        ldmia r0!, {{r1}}
        str r0, [sp, #12]
        mov r10, r1
        ldr r0, [sp, #16]
        ldmia r0!, {{r4}}
        str r0, [sp, #16]
        lsrs r5, r4, #16
        uxth r4, r4
        ldr r0, [sp, #20]
        ldrb r7, [r0]
        adds r0, #1
        str r0, [sp, #20]
        subs r7, #33
        ldr r6, [sp, #28]
        lsls r6, r7
        adds r7, #1
        ldr r0, [sp, #4]
        mov r9, r0
        adds r0, #1
        str r0, [sp, #4]
        ",
        code!(0),
        code!(4),
        code!(8),
        code!(12),
        "
        ldr r0, [sp]
        adds r0, #16
        str r0, [sp]
        ldr r0, [sp, #24]
        subs r0, #1
        str r0, [sp, #24]
        beq 13f
        b 10b
    13: add sp, #40
        ",
        restore!(),
    )
}

/// As [`finish`].
// SAFETY: as above.
pub(super) unsafe extern "C" fn finish_within(stage: &Stage) {
    // SAFETY: as the caller has it.
    unsafe { finish(stage) }
}
