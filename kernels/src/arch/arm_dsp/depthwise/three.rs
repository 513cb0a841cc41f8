//! Blocks of the kernel of three rows and at most three columns, with strides 1 and 2.
//!
//! Registers: the sums in r0 to r5 (or r0 to r3), four words of the plane in r6 to r9, two words of taps in r10 and r11, the pointer into the
//! plane in r12, that into the program in lr.

use core::arch::naked_asm;

use super::Frame;

/// What all blocks have in common: `$bias` is the register of the last sum, `$first` adds a row's products to the bias and `$other` to the
/// sums, `$codes` makes codes of the sums, `$store` writes them.
macro_rules! block {
    ($name:ident, $bias:literal, $load:expr, $first:expr, $other:expr, $codes:expr, $store:expr) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(frame: &Frame) {
            naked_asm!(
                cpu!(),
                enter!(),
                "2:",
                // Bias, then kind, way, taps and taps of each row.
                concat!("ldm lr!, {{", $bias, ", r6, r7, r10, r11}}"),
                $load,
                $first,
                "ldm lr!, {{r6, r7, r10, r11}}",
                "add r12, r12, r7",
                $load,
                $other,
                "ldm lr!, {{r6, r7, r10, r11}}",
                "add r12, r12, r7",
                $load,
                $other,
                // Kind, multiplier, rounding, shift, way back.
                "ldm lr, {{r6-r10}}",
                "sub lr, lr, #52",
                "add r12, r12, r10",
                $codes,
                // Output, step, row step, end.
                "ldm sp, {{r6-r9}}",
                $store,
                "add r6, r6, r8",
                "str r6, [sp]",
                "cmp r6, r9",
                "bne 2b",
                turn!(),
            )
        }
    };
}

/// Two outputs of a row with stride 1: `even += a x + high(b) low(next)`, `odd += low(a) high(x) + b next`; the sums are `$e` and `$o` before.
#[rustfmt::skip]
macro_rules! dense {
    ($even:literal, $odd:literal, $x:literal, $next:literal, $e:literal, $o:literal) => {
        concat!(
            "smlad ", $even, ", ", $x, ", r10, ", $e, "\n", "smlatb ", $odd, ", ", $x, ", r10, ", $o, "\n", "smlabt ", $even, ", ", $next,
            ", r11, ", $even, "\n", "smlad ", $odd, ", ", $next, ", r11, ", $odd, "\n"
        )
    };
}

/// One output of a row with stride 2: `sum += a x + b next`; the sum is `$e` before.
macro_rules! halved {
    ($sum:literal, $x:literal, $next:literal, $e:literal) => {
        concat!("smlad ", $sum, ", ", $x, ", r10, ", $e, "\nsmlad ", $sum, ", ", $next, ", r11, ", $sum, "\n")
    };
}

macro_rules! codes {
    ($($sum:literal)*) => {
        concat!($("smmla ", $sum, ", ", $sum, ", r7, r8\nasr ", $sum, ", ", $sum, ", r9\nusat ", $sum, ", #8, ", $sum, "\n"),*)
    };
}

macro_rules! store_4 {
    () => {
        "strb r0, [r6]
        strb r1, [r6, r7]
        add r6, r6, r7, lsl #1
        strb r2, [r6]
        strb r3, [r6, r7]\n"
    };
}

macro_rules! store_6 {
    () => {
        concat!(
            store_4!(),
            "add r6, r6, r7, lsl #1
            strb r4, [r6]
            strb r5, [r6, r7]\n"
        )
    };
}

block!(
    dense_6,
    "r5",
    "ldm r12, {{r6-r9}}",
    concat!(
        dense!("r0", "r1", "r6", "r7", "r5", "r5"),
        dense!("r2", "r3", "r7", "r8", "r5", "r5"),
        dense!("r4", "r5", "r8", "r9", "r5", "r5")
    ),
    concat!(
        dense!("r0", "r1", "r6", "r7", "r0", "r1"),
        dense!("r2", "r3", "r7", "r8", "r2", "r3"),
        dense!("r4", "r5", "r8", "r9", "r4", "r5")
    ),
    codes!("r0" "r1" "r2" "r3" "r4" "r5"),
    store_6!()
);

block!(
    dense_4,
    "r3",
    "ldm r12, {{r6-r8}}",
    concat!(dense!("r0", "r1", "r6", "r7", "r3", "r3"), dense!("r2", "r3", "r7", "r8", "r3", "r3")),
    concat!(dense!("r0", "r1", "r6", "r7", "r0", "r1"), dense!("r2", "r3", "r7", "r8", "r2", "r3")),
    codes!("r0" "r1" "r2" "r3"),
    store_4!()
);

block!(
    halved_6,
    "r5",
    "ldm r12!, {{r6-r9}}",
    concat!(
        halved!("r0", "r6", "r7", "r5"),
        halved!("r1", "r7", "r8", "r5"),
        halved!("r2", "r8", "r9", "r5"),
        "smlad r3, r9, r10, r5
        ldm r12, {{r6-r8}}
        smlad r3, r6, r11, r3\n",
        halved!("r4", "r6", "r7", "r5"),
        halved!("r5", "r7", "r8", "r5")
    ),
    concat!(
        halved!("r0", "r6", "r7", "r0"),
        halved!("r1", "r7", "r8", "r1"),
        halved!("r2", "r8", "r9", "r2"),
        "smlad r3, r9, r10, r3
        ldm r12, {{r6-r8}}
        smlad r3, r6, r11, r3\n",
        halved!("r4", "r6", "r7", "r4"),
        halved!("r5", "r7", "r8", "r5")
    ),
    codes!("r0" "r1" "r2" "r3" "r4" "r5"),
    store_6!()
);

block!(
    halved_4,
    "r3",
    "ldm r12!, {{r6-r9}}",
    concat!(
        halved!("r0", "r6", "r7", "r3"),
        halved!("r1", "r7", "r8", "r3"),
        halved!("r2", "r8", "r9", "r3"),
        "ldr r6, [r12]\n",
        halved!("r3", "r9", "r6", "r3")
    ),
    concat!(
        halved!("r0", "r6", "r7", "r0"),
        halved!("r1", "r7", "r8", "r1"),
        halved!("r2", "r8", "r9", "r2"),
        "ldr r6, [r12]\n",
        halved!("r3", "r9", "r6", "r3")
    ),
    codes!("r0" "r1" "r2" "r3"),
    store_4!()
);
