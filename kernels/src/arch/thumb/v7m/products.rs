//! Several products at once: one channel by four columns.

use core::arch::naked_asm;

use crate::arch::thumb::Products;

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
pub(super) unsafe extern "C" fn two_4_of_8(products: &Products) {
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
pub(super) unsafe extern "C" fn two_4(products: &Products) {
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
pub(super) unsafe extern "C" fn two_2(products: &Products) {
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
pub(super) unsafe extern "C" fn four_2(products: &Products) {
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
