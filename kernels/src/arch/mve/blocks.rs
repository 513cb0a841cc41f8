//! The inner blocks of convolutions.

use super::symbols::*;
use crate::WeightBits;
use crate::arrange::lanes::{BLOCK, PASS};
use crate::arrange::vectors;
use crate::portable::vectors::{Blocks, CHUNK, COLUMNS, Columns, Lanes, Pixels, PlainRust, Rect, Rows, Stage, Sums};

pub(super) struct Mve;

/// For `N` columns, each as long as the rows and aligned to its codes.
#[inline(always)]
fn multiply_function<const N: usize>(bits: WeightBits, wide: bool) -> MultiplyFunction {
    let [one, three]: [MultiplyFunction; 2] = match (wide, bits) {
        (false, WeightBits::W8) => [apq_mve_multiply_w8_1, apq_mve_multiply_w8_3],
        (false, WeightBits::W6) => [apq_mve_multiply_w6_1, apq_mve_multiply_w6_3],
        (false, WeightBits::W4) => [apq_mve_multiply_w4_1, apq_mve_multiply_w4_3],
        (false, WeightBits::W2) => [apq_mve_multiply_w2_1, apq_mve_multiply_w2_3],
        (true, WeightBits::W8) => [apq_mve_multiply_w8_1_wide, apq_mve_multiply_w8_3_wide],
        (true, WeightBits::W6) => [apq_mve_multiply_w6_1_wide, apq_mve_multiply_w6_3_wide],
        (true, WeightBits::W4) => [apq_mve_multiply_w4_1_wide, apq_mve_multiply_w4_3_wide],
        (true, WeightBits::W2) => [apq_mve_multiply_w2_1_wide, apq_mve_multiply_w2_3_wide],
    };
    if N == 1 { one } else { three }
}

impl Blocks for Mve {
    #[inline(always)]
    fn multiply<const N: usize>(rows: &Rows<'_>, first: usize, count: usize, columns: Columns<'_, N>, sums: &mut [Sums; N]) {
        let last = columns.codes.len().checked_sub(rows.column_bytes());
        let columns_fit = last.is_some_and(|last| columns.at.iter().all(|&at| at <= last));
        let aligned = |at: &usize| columns.codes.as_ptr().addr().wrapping_add(*at).is_multiple_of(2);
        let channels_fit = count <= CHUNK && first <= rows.count() && count <= rows.count() - first;
        if !channels_fit || !(N == 1 || N == COLUMNS) || !columns_fit || (rows.wide() && !columns.at.iter().all(aligned)) {
            return PlainRust::multiply(rows, first, count, columns, sums);
        }
        let mut pointers = [core::ptr::null(); COLUMNS];
        for (pointer, at) in pointers.iter_mut().zip(columns.at) {
            *pointer = columns.codes.as_ptr().wrapping_add(at);
        }
        let vectors = rows.vectors();
        let shift = vectors::together(rows.bits()).trailing_zeros();
        let (together, left) = (vectors >> shift, vectors & !(usize::MAX << shift));
        // The loop for bytes leaves out the first vector.
        let together = together - usize::from(rows.bits() == WeightBits::W8 && !rows.wide());
        let function = multiply_function::<N>(rows.bits(), rows.wide());
        let mut arguments = Multiply { row_bytes: rows.row_bytes(), columns: pointers, together };
        let (pairs, sums) = (count / 2, sums.as_flattened_mut().as_mut_ptr());
        let weights = rows.row(first).as_ptr();
        if pairs != 0 {
            // SAFETY: there are weights of `2 * pairs` rows, every column has as many vectors as a row, aligned, and there are sums for
            // `CHUNK` rows.
            unsafe { function(&arguments, weights, sums, pairs, left) };
        }
        if !count.is_multiple_of(2) {
            // The last row is a pair by itself.
            arguments.row_bytes = 0;
            let (weights, last) = (weights.wrapping_add(2 * pairs * rows.row_bytes()), sums.wrapping_add(2 * pairs));
            // SAFETY: as above; `CHUNK` is even, and so the last row's is not the last sum.
            unsafe { function(&arguments, weights, last, 1, left) };
        }
    }

    #[inline(always)]
    fn finish<const N: usize>(
        stage: &Stage<'_>,
        first: usize,
        count: usize,
        corrections: &[i32; N],
        sums: &[Sums; N],
        pixels: &mut Pixels<'_, N>,
    ) {
        let (bias, multiplier, shift) = stage.lists();
        let end = N.saturating_sub(1).checked_mul(pixels.step).and_then(|last| last.checked_add(pixels.at));
        let pixels_fit = end.and_then(|end| end.checked_add(count)).is_some_and(|end| end <= pixels.bytes.len());
        let channels_fit = count != 0 && count <= CHUNK && first <= bias.len() && count <= bias.len() - first;
        if !channels_fit || !(N == 1 || N == COLUMNS) || !pixels_fit {
            return PlainRust::finish(stage, first, count, corrections, sums, pixels);
        }
        let codes = stage.codes();
        let (start, step) = (pixels.bytes.as_mut_ptr().wrapping_add(pixels.at), pixels.step);
        let mut arguments = Finish {
            lo: codes.lo,
            hi: codes.hi,
            sums: sums.as_ptr().cast(),
            shift: shift.as_ptr().wrapping_add(first),
            codes: [start, start.wrapping_add(step), start.wrapping_add(2 * step)],
            bias: bias.as_ptr().wrapping_add(first),
            multiplier: multiplier.as_ptr().wrapping_add(first),
            corrections: [0; 3],
            zero_point: codes.zero_point,
            channels: count,
        };
        for (to, from) in arguments.corrections.iter_mut().zip(corrections) {
            *to = *from;
        }
        if N == COLUMNS {
            arguments.sums = arguments.sums.wrapping_add(CHUNK);
            // SAFETY: the lists, which are of one length, have `count` entries from `first` on, there are as many sums, at most `CHUNK`,
            // which lie `CHUNK` apart, and pixels have as many bytes from where they begin.
            unsafe { apq_mve_finish_3(&arguments) }
        } else {
            // SAFETY: as above, of one pixel.
            unsafe { apq_mve_finish_1(&arguments) }
        }
    }

    #[inline(always)]
    fn gather(rect: &Rect, from: &[u8], to: &mut [u8], wide: bool, totals: &mut [i32]) {
        let (bytes, strides, steps) = (rect.bytes(totals.len()), rect.strides(), rect.steps());
        let places = || from.as_ptr().addr() | to.as_ptr().addr() | strides.0 | strides.1 | steps.0 | steps.1 | rect.len();
        let counts = rect.rows() != 0 && (1..=COLUMNS).contains(&totals.len());
        if !counts || from.len() < bytes.0 || to.len() < bytes.1 || (wide && !places().is_multiple_of(2)) {
            return PlainRust::gather(rect, from, to, wide, totals);
        }
        let arguments = Gather {
            from: from.as_ptr(),
            to: to.as_mut_ptr(),
            codes: match rect.threes() {
                _ if wide => rect.len() / 2,
                Some(threes) => threes.get(),
                None => rect.len(),
            },
            rows: rect.rows(),
            strides: [strides.0, strides.1],
            steps: [steps.0.wrapping_sub(rect.rows().wrapping_mul(strides.0)), steps.1.wrapping_sub(rect.rows().wrapping_mul(strides.1))],
            columns: totals.len(),
            totals: totals.as_mut_ptr(),
        };
        // SAFETY: the rectangle's rows, at least 1, for as many columns as there are totals, are within both slices, whose bytes it
        // counts; 16-bit codes are aligned.
        unsafe {
            match (wide, rect.threes().is_some()) {
                (true, _) => apq_mve_gather_wide(&arguments),
                (false, true) => apq_mve_gather_48(&arguments),
                (false, false) => apq_mve_gather(&arguments),
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
    fn depthwise(lanes: &Lanes<'_>, pass: usize, first: usize, count: usize, taps: &[&[u8]; PASS], step: usize, sums: &mut [Sums]) {
        let (size, blocks, weights) = (if lanes.wide() { 2 } else { 1 }, count / BLOCK, lanes.blocks(pass, first));
        let end = sums.len().saturating_sub(1).checked_mul(step).and_then(|last| last.checked_add((first + count) * size));
        let within = end.is_some_and(|end| taps.iter().all(|tap| end <= tap.len()));
        if !within || sums.is_empty() || count > CHUNK || weights.len() < count.div_ceil(BLOCK) * BLOCK * PASS {
            return PlainRust::depthwise(lanes, pass, first, count, taps, step, sums);
        }
        if blocks != 0 {
            let pointers = taps.map(|tap| tap.as_ptr().wrapping_add(first * size));
            // SAFETY: `blocks` blocks of channels of all pixels are within every tap and have their weights and sums.
            unsafe { depthwise_blocks(&pointers, weights, blocks, lanes.wide(), pass > 0, step, sums) };
        }
        if !count.is_multiple_of(BLOCK) {
            let done = blocks * BLOCK;
            let weights = weights.get(done * PASS..).unwrap_or_default();
            for (pixel, sums) in sums.iter_mut().enumerate() {
                let begin = pixel * step + (first + done) * size;
                last_channels(taps, begin, (count - done) * size, weights, lanes.wide(), pass > 0, done, sums);
            }
        }
    }
}

/// Channels that do not fill a block: `bytes` bytes from byte `begin` of every tap on, with the sums from `done` on.
#[allow(clippy::too_many_arguments)]
#[inline(never)]
fn last_channels(
    taps: &[&[u8]; PASS],
    begin: usize,
    bytes: usize,
    weights: &[u8],
    wide: bool,
    add: bool,
    done: usize,
    sums: &mut Sums,
) {
    let mut last = [[0; 2 * BLOCK]; PASS];
    for (last, tap) in last.iter_mut().zip(taps) {
        let codes = tap.get(begin..).and_then(|rest| rest.get(..bytes)).unwrap_or_default();
        for (to, from) in last.iter_mut().zip(codes) {
            *to = *from;
        }
    }
    let mut block = [0; CHUNK];
    let Some(sums) = sums.get_mut(done..) else {
        return;
    };
    for (to, from) in block.iter_mut().zip(sums.iter()).take(BLOCK) {
        *to = *from;
    }
    if weights.len() >= PASS * BLOCK {
        let taps = last.each_ref().map(|tap| tap.as_ptr());
        // SAFETY: a block of channels is in `last`, and `weights` begins with its weights.
        unsafe { depthwise_blocks(&taps, weights, 1, wide, add, 0, core::slice::from_mut(&mut block)) };
    }
    for (to, from) in sums.iter_mut().zip(block).take(BLOCK) {
        *to = from;
    }
}

/// # Safety
/// `blocks`, at least 1 and at most those of `CHUNK`, blocks of channels of each pixel can be read from every tap, and their weights lie
/// in `weights`. There is at least one pixel.
#[inline(always)]
unsafe fn depthwise_blocks(
    taps: &[*const u8; PASS],
    weights: &[u8],
    blocks: usize,
    wide: bool,
    add: bool,
    step: usize,
    sums: &mut [Sums],
) {
    let &[t0, t1, t2, t3, t4, t5, t6, t7, t8] = taps;
    let steps = [t7.addr().wrapping_sub(t6.addr()), t8.addr().wrapping_sub(t7.addr()), t6.addr().wrapping_sub(t8.addr())];
    let channels = blocks * BLOCK;
    let arguments = Depthwise {
        taps: [t0, t1, t2, t3, t4, t5, t6],
        weights: weights.as_ptr(),
        steps,
        sums: sums.as_mut_ptr().cast(),
        blocks,
        pixels: sums.len(),
        to_pixel: step.wrapping_sub(if wide { 2 * channels } else { channels }),
        to_sums: (CHUNK - channels) * size_of::<i32>(),
        weight_bytes: channels * PASS,
    };
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
