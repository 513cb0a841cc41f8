//! Programs of any steps, as threaded code: a step ends with a jump to the next one, whose address is its name in the program.
//!
//! Registers: the sums in r0 to r5, four words of the plane in r6 to r9, two words of taps in r10 and r11, the pointer into the plane in r12,
//! that into the program in lr.

use core::arch::naked_asm;

use super::Frame;
use crate::portable::planes::program::{End, Step};

/// What a program calls that step.
pub(super) fn address(step: Step) -> u32 {
    let code: unsafe extern "C" fn() = match step {
        Step::Middle => middle,
        Step::First => first,
        Step::Last => last,
        Step::Both => both,
        Step::Pair => pair,
        Step::Two => two,
    };
    code as usize as u32
}

/// What a program calls that end.
pub(super) fn address_of_end(end: End) -> u32 {
    let code: unsafe extern "C" fn() = match end {
        End::Codes => codes,
        End::Words => words,
        End::Sums => sums,
    };
    code as usize as u32
}

/// Runs a column of blocks.
///
/// # Safety
/// The program is one of these steps and ends; what it reads and writes is there.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn run(frame: &Frame) {
    naked_asm!(
        cpu!(),
        enter!(),
        "b {next}",
        next = sym next,
    )
}

/// Begins a block.
#[unsafe(naked)]
unsafe extern "C" fn next() {
    naked_asm!(
        cpu!(),
        "ldr lr, [sp, #16]",
        "ldr r0, [lr], #4",
        "mov r1, r0",
        "mov r2, r0",
        "mov r3, r0",
        "mov r4, r0",
        "mov r5, r0",
        "ldr pc, [lr], #4",
    )
}

/// Ends a block: r6 is the output of the next one, r9 that after the last.
macro_rules! next {
    () => {
        "str r6, [sp]
        cmp r6, r9
        bne {next}
        b {ended}"
    };
}

/// Ends a column of blocks.
#[unsafe(naked)]
unsafe extern "C" fn ended() {
    naked_asm!(cpu!(), "b 3f", "2:", "b {next}", "3:", "ldr lr, [sp, #16]", turn!(), next = sym next)
}

macro_rules! step {
    ($name:ident, $load:literal, $body:expr) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(cpu!(), "ldm lr!, {{r6, r10, r11}}", "add r12, r12, r6", $load, $body, "ldr pc, [lr], #4")
        }
    };
}

macro_rules! each_middle {
    () => {
        "smlad r0, r6, r10, r0
        smlad r1, r7, r11, r1
        smlad r2, r7, r10, r2
        smlad r3, r8, r11, r3
        smlad r4, r8, r10, r4
        smlad r5, r9, r11, r5\n"
    };
}

macro_rules! each_first {
    () => {
        "smlatb r1, r6, r10, r1
        smlatb r3, r7, r10, r3
        smlatb r5, r8, r10, r5\n"
    };
}

macro_rules! each_last {
    () => {
        "smlabt r0, r7, r11, r0
        smlabt r2, r8, r11, r2
        smlabt r4, r9, r11, r4\n"
    };
}

step!(middle, "ldm r12, {{r6-r9}}", each_middle!());
step!(first, "ldm r12, {{r6-r9}}", concat!(each_middle!(), each_first!()));
step!(last, "ldm r12, {{r6-r9}}", concat!(each_middle!(), each_last!()));
step!(both, "ldm r12, {{r6-r9}}", concat!(each_middle!(), each_first!(), each_last!()));

step!(
    pair,
    "ldm r12, {{r6-r9}}",
    "smlad r0, r6, r10, r0
    smlad r1, r7, r10, r1
    ldrd r6, r7, [r12, #16]
    smlad r2, r8, r10, r2
    smlad r3, r9, r10, r3
    smlad r4, r6, r10, r4
    smlad r5, r7, r10, r5"
);

step!(
    two,
    "ldm r12!, {{r6-r9}}",
    "smlad r0, r6, r10, r0
    smlad r1, r7, r10, r1
    smlad r2, r8, r10, r2
    smlad r3, r9, r10, r3
    smlad r0, r7, r11, r0
    smlad r1, r8, r11, r1
    smlad r2, r9, r11, r2
    ldm r12, {{r6-r8}}
    smlad r3, r6, r11, r3
    smlad r4, r6, r10, r4
    smlad r5, r7, r10, r5
    smlad r4, r7, r11, r4
    smlad r5, r8, r11, r5"
);

macro_rules! requantized {
    ($($sum:literal)*) => {
        concat!(
            // Multiplier, rounding, shift, way back.
            "ldm lr, {{r6-r9}}\nadd r12, r12, r9\n",
            $("smmla ", $sum, ", ", $sum, ", r6, r7\nasr ", $sum, ", ", $sum, ", r8\n"),*
        )
    };
}

#[unsafe(naked)]
unsafe extern "C" fn codes() {
    naked_asm!(
        cpu!(),
        requantized!("r0" "r1" "r2" "r3" "r4" "r5"),
        "usat r0, #8, r0",
        "usat r1, #8, r1",
        "usat r2, #8, r2",
        "usat r3, #8, r3",
        "usat r4, #8, r4",
        "usat r5, #8, r5",
        "ldm sp, {{r6-r9}}",
        "strb r0, [r6]",
        "strb r1, [r6, r7]",
        "add r6, r6, r7, lsl #1",
        "strb r2, [r6]",
        "strb r3, [r6, r7]",
        "add r6, r6, r7, lsl #1",
        "strb r4, [r6]",
        "strb r5, [r6, r7]",
        "add r6, r6, r8",
        next!(),
        next = sym next,
        ended = sym ended,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn words() {
    naked_asm!(
        cpu!(),
        requantized!("r0" "r1" "r2" "r3" "r4" "r5"),
        "ldm sp, {{r6-r9}}",
        "stm r6!, {{r0-r5}}",
        next!(),
        next = sym next,
        ended = sym ended,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn sums() {
    naked_asm!(
        cpu!(),
        "ldr r9, [lr, #12]",
        "add r12, r12, r9",
        "ldm sp, {{r6-r9}}",
        "stm r6!, {{r0-r5}}",
        next!(),
        next = sym next,
        ended = sym ended,
    )
}
