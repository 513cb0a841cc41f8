//! The inner blocks of convolutions.

use super::symbols::*;
use crate::WeightBits;
use crate::arrange::lanes::{BLOCK, PASS};
use crate::arrange::vectors::{self, LANES};
use crate::portable::vectors::{Blocks, CHUNK, COLUMNS, PlainRust, Rect, Rows, Stage, Sums};

pub(super) struct Mve;

/// For `N` columns, each as long as the rows and aligned to its codes.
fn multiply_function<const N: usize>(bits: WeightBits, wide: bool) -> MultiplyFunction {
    match (bits, wide, N == COLUMNS) {
        (WeightBits::W8, false, false) => apq_mve_multiply_w8_1,
        (WeightBits::W8, false, true) => apq_mve_multiply_w8_3,
        (WeightBits::W6, false, false) => apq_mve_multiply_w6_1,
        (WeightBits::W6, false, true) => apq_mve_multiply_w6_3,
        (WeightBits::W4, false, false) => apq_mve_multiply_w4_1,
        (WeightBits::W4, false, true) => apq_mve_multiply_w4_3,
        (WeightBits::W2, false, false) => apq_mve_multiply_w2_1,
        (WeightBits::W2, false, true) => apq_mve_multiply_w2_3,
        (WeightBits::W8, true, false) => apq_mve_multiply_w8_1_wide,
        (WeightBits::W8, true, true) => apq_mve_multiply_w8_3_wide,
        (WeightBits::W6, true, false) => apq_mve_multiply_w6_1_wide,
        (WeightBits::W6, true, true) => apq_mve_multiply_w6_3_wide,
        (WeightBits::W4, true, false) => apq_mve_multiply_w4_1_wide,
        (WeightBits::W4, true, true) => apq_mve_multiply_w4_3_wide,
        (WeightBits::W2, true, false) => apq_mve_multiply_w2_1_wide,
        (WeightBits::W2, true, true) => apq_mve_multiply_w2_3_wide,
    }
}

impl Blocks for Mve {
    #[inline(always)]
    fn multiply<const N: usize>(rows: &Rows<'_>, columns: [&[u8]; N], wide: bool, sums: &mut Sums) {
        let column_bytes = rows.vectors.wrapping_mul(if wide { 2 * LANES } else { LANES });
        let whole = |column: &&[u8]| column.len() == column_bytes && (!wide || column.as_ptr().addr().is_multiple_of(2));
        let suits = (N == 1 || N == COLUMNS)
            && rows.vectors != 0
            && rows.count <= CHUNK
            && rows.row_bytes == vectors::row_bytes(rows.bits, rows.vectors * LANES)
            && rows.bytes.len() == rows.count * rows.row_bytes
            && columns.iter().all(whole);
        if !suits {
            return PlainRust::multiply(rows, columns, wide, sums);
        }
        let mut pointers = [core::ptr::null(); COLUMNS];
        for (pointer, column) in pointers.iter_mut().zip(columns) {
            *pointer = column.as_ptr();
        }
        let (together, left) = match rows.bits {
            // The loop for bytes leaves out the first vector.
            WeightBits::W8 if !wide => (rows.vectors - 1, 0),
            WeightBits::W8 => (rows.vectors, 0),
            WeightBits::W4 => (rows.vectors / 2, rows.vectors % 2),
            WeightBits::W2 | WeightBits::W6 => (rows.vectors / 4, rows.vectors % 4),
        };
        let function = multiply_function::<N>(rows.bits, wide);
        let mut arguments = Multiply { row_bytes: rows.row_bytes, columns: pointers, together };
        let (pairs, sums) = (rows.count / 2, sums.as_flattened_mut().as_mut_ptr());
        if pairs != 0 {
            // SAFETY: weights hold `2 * pairs` rows, every column as many vectors as a row, and there are sums for `CHUNK` rows.
            unsafe { function(&arguments, rows.bytes.as_ptr(), sums, pairs, left) };
        }
        if !rows.count.is_multiple_of(2) {
            // The last row is a pair by itself.
            arguments.row_bytes = 0;
            let (weights, last) = (rows.bytes.as_ptr().wrapping_add(2 * pairs * rows.row_bytes), sums.wrapping_add(2 * pairs));
            // SAFETY: as above; `CHUNK` is even and so the last row is not the last sum.
            unsafe { function(&arguments, weights, last, 1, left) };
        }
    }

    #[inline(always)]
    fn finish<const N: usize>(stage: &Stage<'_>, corrections: [i32; N], sums: &Sums, mut pixels: [&mut [u8]; N]) {
        let channels = stage.bias.len();
        let suits = channels != 0
            && channels <= CHUNK
            && stage.multiplier.len() == channels
            && stage.shift.len() == channels
            && pixels.iter().all(|pixel| pixel.len() == channels);
        let [first, second, _] = sums;
        let mut arguments = Finish {
            lo: stage.codes.lo,
            hi: stage.codes.hi,
            sums: first.as_ptr(),
            shift: stage.shift.as_ptr(),
            codes: [core::ptr::null_mut(); 3],
            bias: stage.bias.as_ptr(),
            multiplier: stage.multiplier.as_ptr(),
            corrections: [0; 3],
            zero_point: stage.codes.zero_point,
            channels,
        };
        match (&mut pixels[..], &corrections[..]) {
            _ if !suits => PlainRust::finish(stage, corrections, sums, pixels),
            ([one, two, three], &[of_one, of_two, of_three]) => {
                arguments.sums = second.as_ptr();
                arguments.codes = [one.as_mut_ptr(), two.as_mut_ptr(), three.as_mut_ptr()];
                arguments.corrections = [of_one, of_two, of_three];
                // SAFETY: all lists and pixels have `channels` entries, at most `CHUNK`, and sums are `CHUNK` apart.
                unsafe { apq_mve_finish_3(&arguments) }
            }
            ([one], &[of_one]) => {
                arguments.codes[1] = one.as_mut_ptr();
                arguments.corrections[1] = of_one;
                // SAFETY: as above, of one pixel.
                unsafe { apq_mve_finish_1(&arguments) }
            }
            _ => PlainRust::finish(stage, corrections, sums, pixels),
        }
    }

    #[inline(always)]
    fn gather(rect: &Rect, from: &[u8], to: &mut [u8], wide: bool) -> i32 {
        let ((from_bytes, to_bytes), (rows, len), strides) = (rect.bytes(), rect.size(), rect.strides());
        let aligned = || (from.as_ptr().addr() | to.as_ptr().addr() | strides.0 | strides.1 | len).is_multiple_of(2);
        if rows == 0 || from.len() < from_bytes || to.len() < to_bytes || (wide && !aligned()) {
            return PlainRust::gather(rect, from, to, wide);
        }
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        // SAFETY: the rectangle's rows, at least 1, are within both slices, whose bytes it counts; 16-bit codes are aligned.
        unsafe {
            if wide {
                apq_mve_gather_wide(from, to, len / 2, rows, strides.0, strides.1)
            } else if len.is_multiple_of(3 * LANES) {
                apq_mve_gather_48(from, to, len / (3 * LANES), rows, strides.0, strides.1)
            } else {
                apq_mve_gather(from, to, len, rows, strides.0, strides.1)
            }
        }
    }

    #[inline(always)]
    fn fill(codes: &mut [u8], value: u8) {
        // SAFETY: writes the slice.
        unsafe { apq_mve_fill(codes.as_mut_ptr(), codes.len(), value) }
    }

    #[inline(always)]
    fn total(codes: &[u8], wide: bool) -> i32 {
        if !wide {
            // SAFETY: reads the slice.
            unsafe { apq_mve_total(codes.as_ptr(), codes.len()) }
        } else if codes.as_ptr().addr().is_multiple_of(2) {
            // SAFETY: reads the slice, which is aligned.
            unsafe { apq_mve_total_wide(codes.as_ptr(), codes.len() / 2) }
        } else {
            PlainRust::total(codes, wide)
        }
    }

    #[inline(always)]
    fn depthwise(taps: &[&[u8]; PASS], first: usize, channels: usize, weights: &[u8], wide: bool, add: bool, sums: &mut [i32; CHUNK]) {
        let size = if wide { 2 } else { 1 };
        let end = first.checked_add(channels).and_then(|end| end.checked_mul(size));
        let within = end.is_some_and(|end| taps.iter().all(|tap| end <= tap.len()));
        let blocks = channels / BLOCK;
        if !within || channels > CHUNK || weights.len() < channels.div_ceil(BLOCK) * BLOCK * PASS {
            return PlainRust::depthwise(taps, first, channels, weights, wide, add, sums);
        }
        let pointers = taps.map(|tap| tap.as_ptr().wrapping_add(first * size));
        if blocks != 0 {
            // SAFETY: `blocks` blocks of channels are within every tap and have their weights and sums.
            unsafe { depthwise_blocks(&pointers, weights, blocks, wide, add, sums.as_mut_ptr()) };
        }
        if !channels.is_multiple_of(BLOCK) {
            let done = blocks * BLOCK;
            let mut last = [[0; 2 * BLOCK]; PASS];
            for (last, tap) in last.iter_mut().zip(taps) {
                let codes = tap.get((first + done) * size..(first + channels) * size).unwrap_or_default();
                for (to, from) in last.iter_mut().zip(codes) {
                    *to = *from;
                }
            }
            let weights = weights.get(done * PASS..).unwrap_or_default();
            let sums = sums.as_mut_ptr().wrapping_add(done);
            // SAFETY: a block of channels is in `last`, `weights` begins with its weights, and `CHUNK` has whole blocks of sums.
            unsafe { depthwise_blocks(&last.each_ref().map(|tap| tap.as_ptr()), weights, 1, wide, add, sums) };
        }
    }
}

/// # Safety
/// `blocks`, at least 1, blocks of channels can be read from every tap, their weights lie in `weights`, and their sums can be written.
#[inline(always)]
unsafe fn depthwise_blocks(taps: &[*const u8; PASS], weights: &[u8], blocks: usize, wide: bool, add: bool, sums: *mut i32) {
    let &[t0, t1, t2, t3, t4, t5, t6, t7, t8] = taps;
    let steps = [t7.addr().wrapping_sub(t6.addr()), t8.addr().wrapping_sub(t7.addr()), t6.addr().wrapping_sub(t8.addr())];
    let arguments = Depthwise { taps: [t0, t1, t2, t3, t4, t5, t6], weights: weights.as_ptr(), steps, sums, blocks };
    // SAFETY: the caller's promise.
    unsafe {
        match (wide, add) {
            (false, false) => apq_mve_depthwise(&arguments),
            (false, true) => apq_mve_depthwise_add(&arguments),
            (true, false) => apq_mve_depthwise_wide(&arguments),
            (true, true) => apq_mve_depthwise_add_wide(&arguments),
        }
    }
}
