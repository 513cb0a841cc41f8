//! The functions in assembly. None uses memory but through its arguments; sizes and alignment are the callers' to see to.

use core::arch::global_asm;

global_asm!(
    include_str!("macros.s"),
    include_str!("multiply.s"),
    include_str!("finish.s"),
    include_str!("gather.s"),
    include_str!("pack.s"),
    include_str!("depthwise.s"),
    include_str!("elementwise.s"),
    options(raw)
);

/// Arguments of [`MultiplyFunction`], in the order in which registers are loaded.
#[repr(C)]
pub(super) struct Multiply {
    pub(super) row_bytes: usize,
    pub(super) columns: [*const u8; 3],
    /// Vectors packed together, in whole; at 8 bits, with columns of 8, pairs of vectors after the first or the first two.
    pub(super) together: usize,
}

/// Products of `pairs` pairs of rows with 1 or 3 columns; sums of column c go to `sums[64 * c]`. `left`: vectors of a row after those
/// that are packed together in whole.
pub(super) type MultiplyFunction =
    unsafe extern "C" fn(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);

/// What [`apq_mve_finish_1`] and [`apq_mve_finish_3`] know of channels, in the order in which registers are loaded.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Finish {
    pub(super) shift: *const u8,
    pub(super) bias: *const i32,
    pub(super) multiplier: *const i32,
    pub(super) lo: i32,
    pub(super) zero_point: i32,
    /// At least 1.
    pub(super) channels: usize,
    pub(super) hi: i32,
}

/// Arguments of [`apq_mve_gather`] and its like: copies rows of codes, for each column, and adds each column up.
#[repr(C)]
pub(super) struct Gather {
    pub(super) from: *const u8,
    pub(super) to: *mut u8,
    /// Of a row; in 48s where those are copied.
    pub(super) codes: usize,
    /// At least 1.
    pub(super) rows: usize,
    /// Bytes from row to row, from and to.
    pub(super) strides: [usize; 2],
    /// Bytes from behind a column's last row to the next column, from and to.
    pub(super) steps: [usize; 2],
    /// At least 1.
    pub(super) columns: usize,
    pub(super) totals: *mut i32,
}

/// Arguments of [`apq_mve_add`], in the order in which registers are loaded.
#[repr(C)]
pub(super) struct Add {
    pub(super) multiplier_a: i32,
    pub(super) lo: i32,
    pub(super) hi: i32,
    pub(super) a: *const u8,
    pub(super) b: *const u8,
    pub(super) output: *mut u8,
    pub(super) multiplier_b: i32,
    pub(super) constant: i32,
    /// Negative: to the right.
    pub(super) shift: i32,
    pub(super) zero_point: i32,
    pub(super) count: usize,
}

/// What [`DepthwiseFunction`]s know of a pass, in the order in which registers are loaded.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Depthwise {
    /// Where taps 0 to 6 begin, from the function's `base` on.
    pub(super) taps: [usize; 7],
    pub(super) weights: *const u8,
    /// From tap 6 to 7, from 7 to 8, from 8 to 6.
    pub(super) steps: [usize; 3],
    /// Of eight channels, at least 1.
    pub(super) blocks: usize,
    /// What a tap moves by from the end of its channels to the next pixel.
    pub(super) to_pixel: usize,
    /// Likewise, sums.
    pub(super) to_sums: usize,
    pub(super) weight_bytes: usize,
}

impl Depthwise {
    /// The same with other taps.
    #[inline(always)]
    pub(super) fn with_taps(self, &[t0, t1, t2, t3, t4, t5, t6, t7, t8]: &[usize; 9]) -> Self {
        let steps = [t7.wrapping_sub(t6), t8.wrapping_sub(t7), t6.wrapping_sub(t8)];
        Self { taps: [t0, t1, t2, t3, t4, t5, t6], steps, ..self }
    }
}

/// Products of nine taps at `pixels` pixels, at least 1; sums of a pixel lie 64 apart from those of the next.
pub(super) type DepthwiseFunction = unsafe extern "C" fn(pass: &Depthwise, base: usize, sums: *mut i32, pixels: usize);

/// Unpacks `count` bytes into as many codes as they hold, in order, and adds them up; `from` may lie in what is written, as long as its
/// end is the end of that.
pub(super) type UnpackFunction = unsafe extern "C" fn(to: *mut u8, count: usize, from: *const u8) -> i32;

unsafe extern "C" {
    pub(super) fn apq_mve_unpack_2(to: *mut u8, count: usize, from: *const u8) -> i32;
    pub(super) fn apq_mve_unpack_4(to: *mut u8, count: usize, from: *const u8) -> i32;
    /// Packs codes, a byte each, into `count` bytes.
    pub(super) fn apq_mve_pack_2(codes: *const u8, count: usize, to: *mut u8);
    pub(super) fn apq_mve_pack_4(codes: *const u8, count: usize, to: *mut u8);

    pub(super) fn apq_mve_multiply_w8_1(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w8_3(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    /// For an even number of vectors, as the two before for an odd one.
    pub(super) fn apq_mve_multiply_w8_1_even(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w8_3_even(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w6_1(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w6_3(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w4_1(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w4_3(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w2_1(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w2_3(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w8_1_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w8_3_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w6_1_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w6_3_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w4_1_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w4_3_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w2_1_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w2_3_wide(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);

    /// Codes of sums at one pixel.
    pub(super) fn apq_mve_finish_1(finish: &Finish, sums: *const i32, to: *mut u8, step: usize, corrections: *const i32);
    /// As [`apq_mve_finish_1`], codes of 16 bits.
    pub(super) fn apq_mve_finish_1_wide(finish: &Finish, sums: *const i32, to: *mut u8, step: usize, corrections: *const i32);
    pub(super) fn apq_mve_finish_3_wide(finish: &Finish, sums: *const i32, to: *mut u8, step: usize, corrections: *const i32);
    /// As [`apq_mve_finish_1`], at three pixels, `step` bytes apart; sums lie 64 apart.
    pub(super) fn apq_mve_finish_3(finish: &Finish, sums: *const i32, to: *mut u8, step: usize, corrections: *const i32);

    pub(super) fn apq_mve_gather(arguments: &Gather);
    /// As [`apq_mve_gather`], of 16 bits, aligned.
    pub(super) fn apq_mve_gather_wide(arguments: &Gather);
    /// As [`apq_mve_gather`], of rows of 48, 96, ... codes.
    pub(super) fn apq_mve_gather_48(arguments: &Gather);
    /// Sets `count` bytes, pair by pair.
    pub(super) fn apq_mve_fill(to: *mut u8, count: usize, pair: u16);
    /// Sum of `count` codes.
    pub(super) fn apq_mve_total(codes: *const u8, count: usize) -> i32;
    /// As [`apq_mve_total`], of 16 bits, aligned.
    pub(super) fn apq_mve_total_wide(codes: *const u8, count: usize) -> i32;

    /// Sums of `count`, not 0, codes.
    pub(super) fn apq_mve_add(arguments: &Add);

    pub(super) fn apq_mve_depthwise(pass: &Depthwise, base: usize, sums: *mut i32, pixels: usize);
    pub(super) fn apq_mve_depthwise_add(pass: &Depthwise, base: usize, sums: *mut i32, pixels: usize);
    pub(super) fn apq_mve_depthwise_wide(pass: &Depthwise, base: usize, sums: *mut i32, pixels: usize);
    pub(super) fn apq_mve_depthwise_add_wide(pass: &Depthwise, base: usize, sums: *mut i32, pixels: usize);
}
