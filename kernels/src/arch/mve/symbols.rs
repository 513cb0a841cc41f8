//! The functions in assembly. None uses memory but through its arguments; sizes and alignment are the callers' to see to.

use core::arch::global_asm;

global_asm!(include_str!("multiply.s"), options(raw));
global_asm!(include_str!("finish.s"), options(raw));
global_asm!(include_str!("gather.s"), options(raw));
global_asm!(include_str!("depthwise.s"), options(raw));

/// Arguments of [`MultiplyFunction`], in the order in which registers are loaded.
#[repr(C)]
pub(super) struct Multiply {
    pub(super) row_bytes: usize,
    pub(super) columns: [*const u8; 3],
    /// Vectors packed together, in whole; at 8 bits one less than there are.
    pub(super) together: usize,
}

/// Products of `pairs` pairs of rows with 1 or 3 columns; sums of column c go to `sums[64 * c]`. `left`: vectors of a row after those
/// that are packed together in whole.
pub(super) type MultiplyFunction =
    unsafe extern "C" fn(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);

/// Arguments of `apq_mve_finish_1` and `_3`, in the order in which registers are loaded.
#[repr(C)]
pub(super) struct Finish {
    pub(super) lo: i32,
    pub(super) hi: i32,
    /// Of the second column, or the only one.
    pub(super) sums: *const i32,
    pub(super) shift: *const u8,
    pub(super) codes: [*mut u8; 3],
    pub(super) bias: *const i32,
    pub(super) multiplier: *const i32,
    pub(super) corrections: [i32; 3],
    pub(super) zero_point: i32,
    pub(super) channels: usize,
}

/// Arguments of `apq_mve_depthwise` and its like, in the order in which registers are loaded.
#[repr(C)]
pub(super) struct Depthwise {
    pub(super) taps: [*const u8; 7],
    pub(super) weights: *const u8,
    /// From tap 6 to 7, from 7 to 8, from 8 to 6.
    pub(super) steps: [usize; 3],
    pub(super) sums: *mut i32,
    /// Of eight channels, at least 1.
    pub(super) blocks: usize,
}

unsafe extern "C" {
    pub(super) fn apq_mve_multiply_w8_1(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
    pub(super) fn apq_mve_multiply_w8_3(arguments: &Multiply, weights: *const u8, sums: *mut i32, pairs: usize, left: usize);
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

    pub(super) fn apq_mve_finish_1(arguments: &Finish);
    pub(super) fn apq_mve_finish_3(arguments: &Finish);

    /// Copies `rows` (not 0) rows of `codes` codes and adds them up; the strides are in bytes.
    pub(super) fn apq_mve_gather(from: *const u8, to: *mut u8, codes: usize, rows: usize, from_stride: usize, to_stride: usize) -> i32;
    /// As [`apq_mve_gather`], of 16 bits, aligned.
    pub(super) fn apq_mve_gather_wide(from: *const u8, to: *mut u8, codes: usize, rows: usize, from_stride: usize, to_stride: usize)
    -> i32;
    /// As [`apq_mve_gather`], with rows of `threes` times 48 codes.
    pub(super) fn apq_mve_gather_48(from: *const u8, to: *mut u8, threes: usize, rows: usize, from_stride: usize, to_stride: usize) -> i32;
    /// Sets `count` bytes.
    pub(super) fn apq_mve_fill(to: *mut u8, count: usize, value: u8);
    /// Sum of `count` codes.
    pub(super) fn apq_mve_total(codes: *const u8, count: usize) -> i32;
    /// As [`apq_mve_total`], of 16 bits, aligned.
    pub(super) fn apq_mve_total_wide(codes: *const u8, count: usize) -> i32;

    pub(super) fn apq_mve_depthwise(arguments: &Depthwise);
    pub(super) fn apq_mve_depthwise_add(arguments: &Depthwise);
    pub(super) fn apq_mve_depthwise_wide(arguments: &Depthwise);
    pub(super) fn apq_mve_depthwise_add_wide(arguments: &Depthwise);
}
