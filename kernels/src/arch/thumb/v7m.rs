//! Cortex-M3: one channel by four columns in thirteen registers, so that four words of columns are one instruction; bytes by halves as two
//! channels by four columns.

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
        (WeightBits::W8, Product::Single { .. }) => single_8,
        _ => return None,
    })
}

// In all functions with one channel: r0 columns, r1 weights, r2 the word of weights, r3 the mask, r4 the weights of a step, r5 to r8 words
// of the columns, r9 to r12 accumulators, lr a counter. On the stack: four sums, then what is counted.

/// Loads the columns' words of a step and its weights, `shift` bits up in their word.
macro_rules! load {
    (0) => {
        "
        ldmia r0!, {{r5, r6, r7, r8}}
        and r4, r3, r2
        "
    };
    ($shift:literal) => {
        concat!(
            "
        ldmia r0!, {{r5, r6, r7, r8}}
        and r4, r3, r2, lsr #",
            $shift,
            "
        "
        )
    };
}

/// The first step after the sums were taken out.
macro_rules! first_step {
    ($shift:tt) => {
        concat!(
            load!($shift),
            "
        mul r9, r4, r5
        mul r10, r4, r6
        mul r11, r4, r7
        mul r12, r4, r8
        "
        )
    };
}

/// Any other step.
macro_rules! step {
    ($shift:tt) => {
        concat!(
            load!($shift),
            "
        mla r9, r4, r5, r9
        mla r10, r4, r6, r10
        mla r11, r4, r7, r11
        mla r12, r4, r8, r12
        "
        )
    };
}

/// Adds the upper parts of the accumulators to the sums.
macro_rules! take_out {
    ($shift:literal) => {
        concat!(
            "
        ldmia sp, {{r5, r6, r7, r8}}
        add r5, r5, r9, lsr #",
            $shift,
            "
        add r6, r6, r10, lsr #",
            $shift,
            "
        add r7, r7, r11, lsr #",
            $shift,
            "
        add r8, r8, r12, lsr #",
            $shift,
            "
        stmia sp, {{r5, r6, r7, r8}}
        "
        )
    };
}

/// The frame: sums at 0, columns at 16, sums' address at 20, channels at 24, words of a row at 28, interval at 32, words left at 36, start
/// at 40.
macro_rules! enter {
    ($mask:literal) => {
        concat!(
            "
        push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}
        sub sp, #48
        ldmia r0, {{r1, r2, r3, r4, r5, r6, r7}}
        str r1, [sp, #16]
        strd r3, r4, [sp, #20]
        strd r5, r6, [sp, #28]
        str r7, [sp, #40]
        mov r1, r2
        mov r3, #",
            $mask,
            "
    10: ldr r4, [sp, #40]
        ldmia r4, {{r5, r6, r7, r8}}
        stmia sp, {{r5, r6, r7, r8}}
        ldr r0, [sp, #16]
        "
        )
    };
}

/// Stores the sums and turns to the next channel.
macro_rules! leave {
    () => {
        "
        ldr r4, [sp, #20]
        ldmia sp, {{r5, r6, r7, r8}}
        stmia r4!, {{r5, r6, r7, r8}}
        ldr r5, [sp, #24]
        subs r5, r5, #1
        strd r4, r5, [sp, #20]
        bne 10b
        add sp, #48
        pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}
        "
    };
}

/// 4-bit weights by 8-bit codes: sums are taken out after two words.
// SAFETY: reads and writes what `Products` says; keeps the registers that a function must keep.
#[unsafe(naked)]
unsafe extern "C" fn two_4_of_8(products: &Products) {
    naked_asm!(
        enter!("0x000f000f"),
        "
        ldr lr, [sp, #28]
        lsrs lr, lr, #1
        beq 12f
    11: ldr r2, [r1], #4
        ",
        first_step!(0),
        step!(4),
        step!(8),
        step!(12),
        "
        ldr r2, [r1], #4
        ",
        step!(0),
        step!(4),
        step!(8),
        step!(12),
        take_out!(16),
        "
        subs lr, lr, #1
        bne 11b
    12: ldr r4, [sp, #28]
        lsls r4, r4, #31
        beq 13f
        ldr r2, [r1], #4
        ",
        first_step!(0),
        step!(4),
        step!(8),
        step!(12),
        take_out!(16),
        "
    13:
        ",
        leave!(),
    )
}

/// The words of a row in intervals: label 11 begins an interval, label 12 its next word.
macro_rules! begin_interval {
    () => {
        "
        ldr r4, [sp, #28]
        str r4, [sp, #36]
    11: ldr r4, [sp, #36]
        ldr lr, [sp, #32]
        cmp lr, r4
        it hi
        movhi lr, r4
        sub r4, r4, lr
        str r4, [sp, #36]
        mov r9, #0
        mov r10, #0
        mov r11, #0
        mov r12, #0
    12: ldr r2, [r1], #4
        "
    };
}

macro_rules! next_word {
    () => {
        "
        subs lr, lr, #1
        bne 12b
        "
    };
}

macro_rules! next_interval {
    () => {
        "
        ldr r4, [sp, #36]
        cmp r4, #0
        bne 11b
        "
    };
}

/// 4-bit weights, two products at once.
// SAFETY: as above.
#[unsafe(naked)]
unsafe extern "C" fn two_4(products: &Products) {
    naked_asm!(
        enter!("0x000f000f"),
        begin_interval!(),
        step!(0),
        step!(4),
        step!(8),
        step!(12),
        next_word!(),
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
        enter!("0x00030003"),
        begin_interval!(),
        step!(8),
        step!(0),
        step!(10),
        step!(2),
        step!(12),
        step!(4),
        step!(14),
        step!(6),
        next_word!(),
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
        enter!("0x03030303"),
        "
        ldr lr, [sp, #28]
    11: ldr r2, [r1], #4
        ",
        first_step!(0),
        step!(2),
        step!(4),
        step!(6),
        take_out!(24),
        "
        subs lr, lr, #1
        bne 11b
        ",
        leave!(),
    )
}

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
// SAFETY: as above.
#[unsafe(naked)]
unsafe extern "C" fn single_8(products: &Products) {
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

/// `groups` (at least 1) words of four bytes as two words of a column each, which are 16 bytes apart; the sum of the bytes, of at most 128
/// groups.
// SAFETY: reads that many words, writes twice as many; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn apart(codes: *const u32, groups: usize, column: *mut u32) -> u32 {
    naked_asm!(
        "
        push {{r4, r5}}
        mov r3, #0x00ff00ff
        mov r12, #0
        lsrs r1, r1, #1
        bcc 12f
        ldr r4, [r0], #4
        and r5, r3, r4, lsr #8
        ands r4, r3
        str r4, [r2], #16
        str r5, [r2], #16
        add r12, r4, r5
        cbz r1, 13f
    12: ldr r4, [r0], #4
        and r5, r3, r4, lsr #8
        ands r4, r3
        str r4, [r2], #16
        str r5, [r2], #16
        add r12, r4
        add r12, r5
        ldr r4, [r0], #4
        and r5, r3, r4, lsr #8
        ands r4, r3
        str r4, [r2], #16
        str r5, [r2], #16
        add r12, r4
        add r12, r5
        subs r1, r1, #1
        bne 12b
    13: uxth r0, r12
        add r0, r0, r12, lsr #16
        pop {{r4, r5}}
        bx lr
        "
    )
}

/// A tap's weight and code of a channel.
macro_rules! channel {
    ($at:literal, $acc:literal) => {
        concat!(
            "
        ldrb r8, [lr, #",
            $at,
            "]
        ldrsb r9, [r2, #",
            $at,
            "]
        mla ",
            $acc,
            ", r8, r9, ",
            $acc,
            "
        "
        )
    };
}

/// Taps of four channels at a time. r0 pixels, r1 their end, r2 weights, r3 the stride, r4 to r7 accumulators, r10 sums, r11 groups, r12 the
/// channel, lr the pixel. The frame: pixels at 0, weights at 4.
// SAFETY: reads and writes what `Channels` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn add_taps(channels: &Channels) {
    naked_asm!(
        "
        push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}
        sub sp, #8
        ldmia r0, {{r4, r5, r6, r7, r8, r9, r10}}
        strd r4, r6, [sp]
        mov r1, r5
        mov r3, r7
        mov r12, r8
        mov r11, r9
    10: ldrd r0, r2, [sp]
        ldr r4, [r10]
        ldr r5, [r10, #16]
        ldr r6, [r10, #32]
        ldr r7, [r10, #48]
    11: ldr lr, [r0], #8
        add lr, r12
        ",
        channel!("0", "r4"),
        channel!("1", "r5"),
        channel!("2", "r6"),
        channel!("3", "r7"),
        "
        add r2, r3
        cmp r0, r1
        bne 11b
        str r5, [r10, #16]
        str r6, [r10, #32]
        str r7, [r10, #48]
        str r4, [r10], #64
        add r12, #4
        ldr r2, [sp, #4]
        adds r2, #4
        str r2, [sp, #4]
        subs r11, #1
        bne 10b
        add sp, #8
        pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}
        "
    )
}

/// One output: the sum in `$sum` to its code. r6 the rounding and the zero point, r5 the shift, r12 the bias, lr the multiplier.
macro_rules! code {
    ($sum:literal, $clamp:expr) => {
        concat!(
            "
        add ",
            $sum,
            ", ",
            $sum,
            ", r12
        smull r11, ",
            $sum,
            ", ",
            $sum,
            ", lr
        add ",
            $sum,
            ", ",
            $sum,
            ", r6
        asr ",
            $sum,
            ", ",
            $sum,
            ", r5
        ",
            $clamp
        )
    };
}

/// Clamps to a byte.
macro_rules! byte {
    ($sum:literal) => {
        concat!("usat ", $sum, ", #8, ", $sum)
    };
}

/// Clamps to the bounds at 8 and 12 of the frame.
macro_rules! bounds {
    ($sum:literal) => {
        concat!(
            "
        ldr r11, [sp, #8]
        cmp ",
            $sum,
            ", r11
        it lt
        movlt ",
            $sum,
            ", r11
        ldr r11, [sp, #12]
        cmp ",
            $sum,
            ", r11
        it gt
        movgt ",
            $sum,
            ", r11
        "
        )
    };
}

/// r0 sums, r1 output, r2 and r3 once and three times the bytes of a pixel, r4 the channel. The frame: the stage at 0, channels at 4, bounds
/// at 8.
macro_rules! finish {
    ($clamp:ident) => {
        concat!(
            "
        push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}
        sub sp, #16
        ldr r4, [r0, #24]
        strd r0, r4, [sp]
        ldrd r4, r5, [r0, #32]
        strd r4, r5, [sp, #8]
        ldmia r0, {{r0, r1, r2}}
        add r3, r2, r2, lsl #1
        mov r4, #0
    10: ldr r6, [sp]
        ldrd r12, lr, [r6, #12]
        ldr r5, [r6, #20]
        ldr r6, [r6, #28]
        ldr r12, [r12, r4, lsl #2]
        ldr lr, [lr, r4, lsl #2]
        ldrb r5, [r5, r4]
        subs r5, #33
        lsls r6, r5
        adds r5, #1
        ldmia r0!, {{r7, r8, r9, r10}}
        ",
            code!("r7", $clamp!("r7")),
            code!("r8", $clamp!("r8")),
            code!("r9", $clamp!("r9")),
            code!("r10", $clamp!("r10")),
            "
        strb r8, [r1, r2]
        strb r9, [r1, r2, lsl #1]
        strb r10, [r1, r3]
        strb r7, [r1], #1
        adds r4, #1
        ldr r11, [sp, #4]
        cmp r4, r11
        bne 10b
        add sp, #16
        pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}
        "
        )
    };
}

/// Codes of all channels, clamped to bytes.
// SAFETY: reads and writes what `Stage` says; keeps the registers that a function must keep.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn finish(stage: &Stage) {
    naked_asm!(finish!(byte))
}

/// As [`finish`], clamped to the bounds.
// SAFETY: as above.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn finish_within(stage: &Stage) {
    naked_asm!(finish!(bounds))
}
