//! The inner blocks of convolutions.

use super::symbols::*;
use crate::WeightBits;
use crate::arrange::lanes::{BLOCK, PASS};
use crate::arrange::vectors;
use crate::portable::vectors::{Blocks, CHUNK, COLUMNS, Channels, Columns, Lanes, Pixels, PlainRust, Rect, Rows, Stage, Sums, Taps};

pub(super) struct Mve;

/// For 1 column and for [`COLUMNS`], each as long as the rows and aligned to its codes.
fn multiply_functions(bits: WeightBits, wide: bool) -> [MultiplyFunction; 2] {
    match (wide, bits) {
        (false, WeightBits::W8) => [apq_mve_multiply_w8_1, apq_mve_multiply_w8_3],
        (false, WeightBits::W6) => [apq_mve_multiply_w6_1, apq_mve_multiply_w6_3],
        (false, WeightBits::W4) => [apq_mve_multiply_w4_1, apq_mve_multiply_w4_3],
        (false, WeightBits::W2) => [apq_mve_multiply_w2_1, apq_mve_multiply_w2_3],
        (true, WeightBits::W8) => [apq_mve_multiply_w8_1_wide, apq_mve_multiply_w8_3_wide],
        (true, WeightBits::W6) => [apq_mve_multiply_w6_1_wide, apq_mve_multiply_w6_3_wide],
        (true, WeightBits::W4) => [apq_mve_multiply_w4_1_wide, apq_mve_multiply_w4_3_wide],
        (true, WeightBits::W2) => [apq_mve_multiply_w2_1_wide, apq_mve_multiply_w2_3_wide],
    }
}

/// Rows of weights within bounds: `count` from `weights` on, at most [`CHUNK`].
#[derive(Clone, Copy)]
pub(super) struct Products<'a> {
    plain: <PlainRust as Blocks>::Products<'a>,
    fits: bool,
    weights: *const u8,
    row_bytes: usize,
    column_bytes: usize,
    /// For 1 column and for [`COLUMNS`].
    functions: [MultiplyFunction; 2],
    together: usize,
    left: usize,
}

/// Lists of the output stage within bounds: `count` entries from their first on, at most [`CHUNK`].
#[derive(Clone, Copy)]
pub(super) struct Codes<'a> {
    plain: <PlainRust as Blocks>::Codes<'a>,
    fits: bool,
    finish: Finish,
}

impl Blocks for Mve {
    type Products<'a> = Products<'a>;
    type Codes<'a> = Codes<'a>;

    #[inline(never)]
    fn products<'a>(rows: &Rows<'a>, channels: Channels) -> Products<'a> {
        let vectors = rows.vectors();
        let shift = vectors::together(rows.bits()).trailing_zeros();
        let (together, left) = (vectors >> shift, vectors & !(usize::MAX << shift));
        Products {
            plain: (*rows, channels),
            fits: channels.count <= CHUNK && channels.first <= rows.count() && channels.count <= rows.count() - channels.first,
            weights: rows.row(channels.first).as_ptr(),
            row_bytes: rows.row_bytes(),
            column_bytes: rows.column_bytes(),
            functions: multiply_functions(rows.bits(), rows.wide()),
            // The loop for bytes leaves out the first vector.
            together: together - usize::from(rows.bits() == WeightBits::W8 && !rows.wide()),
            left,
        }
    }

    #[inline(never)]
    fn codes<'a>(stage: &Stage<'a>, channels: Channels) -> Codes<'a> {
        let ((bias, multiplier, shift), codes, Channels { first, count }) = (stage.lists(), stage.codes(), channels);
        let finish = Finish {
            shift: shift.as_ptr().wrapping_add(first),
            bias: bias.as_ptr().wrapping_add(first),
            multiplier: multiplier.as_ptr().wrapping_add(first),
            lo: codes.lo,
            zero_point: codes.zero_point,
            channels: count,
            hi: codes.hi,
        };
        // The lists are of one length.
        let fits = count != 0 && count <= CHUNK && first <= bias.len() && count <= bias.len() - first;
        Codes { plain: (*stage, channels), fits, finish }
    }

    #[inline(always)]
    fn multiply<const N: usize>(products: &Products<'_>, columns: Columns<'_, N>, sums: &mut [Sums; N]) {
        let (codes, (rows, Channels { count, .. })) = (columns.codes, &products.plain);
        let last = codes.len().checked_sub(products.column_bytes);
        let columns_fit = last.is_some_and(|last| columns.at.iter().all(|&at| at <= last));
        let aligned = |at: &usize| codes.as_ptr().addr().wrapping_add(*at).is_multiple_of(2);
        if !products.fits || !(N == 1 || N == COLUMNS) || !columns_fit || (rows.wide() && !columns.at.iter().all(aligned)) {
            return PlainRust::multiply(&products.plain, columns, sums);
        }
        let mut pointers = [core::ptr::null(); COLUMNS];
        for (pointer, at) in pointers.iter_mut().zip(columns.at) {
            *pointer = codes.as_ptr().wrapping_add(at);
        }
        let function = products.functions[usize::from(N == COLUMNS)];
        let mut arguments = Multiply { row_bytes: products.row_bytes, columns: pointers, together: products.together };
        let (pairs, sums) = (count / 2, sums.as_flattened_mut().as_mut_ptr());
        if pairs != 0 {
            // SAFETY: there are weights of `2 * pairs` rows, every column has as many vectors as a row, aligned, and there are sums for
            // `CHUNK` rows.
            unsafe { function(&arguments, products.weights, sums, pairs, products.left) };
        }
        if !count.is_multiple_of(2) {
            // The last row is a pair by itself.
            arguments.row_bytes = 0;
            let weights = products.weights.wrapping_add(2 * pairs * products.row_bytes);
            // SAFETY: as above; `CHUNK` is even, and so the last row's is not the last sum.
            unsafe { function(&arguments, weights, sums.wrapping_add(2 * pairs), 1, products.left) };
        }
    }

    #[inline(always)]
    fn finish<const N: usize>(codes: &Codes<'_>, corrections: &[i32; N], sums: &[Sums; N], pixels: &mut Pixels<'_, N>) {
        let end = N.saturating_sub(1).checked_mul(pixels.step).and_then(|last| last.checked_add(pixels.at));
        let pixels_fit = end.and_then(|end| end.checked_add(codes.finish.channels)).is_some_and(|end| end <= pixels.bytes.len());
        if !codes.fits || !(N == 1 || N == COLUMNS) || !pixels_fit {
            return PlainRust::finish(&codes.plain, corrections, sums, pixels);
        }
        let to = pixels.bytes.as_mut_ptr().wrapping_add(pixels.at);
        let (sums, corrections) = (sums.as_ptr().cast(), corrections.as_ptr());
        // SAFETY: the lists have as many entries as there are channels, there are as many sums, at most `CHUNK`, which lie `CHUNK`
        // apart, `N` corrections, and the pixels, `step` apart, have as many bytes from where they begin.
        unsafe {
            if N == COLUMNS {
                apq_mve_finish_3(&codes.finish, sums, to, pixels.step, corrections);
            } else {
                apq_mve_finish_1(&codes.finish, sums, to, pixels.step, corrections);
            }
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
    fn depthwise(lanes: &Lanes<'_>, pass: usize, channels: Channels, taps: &Taps<'_>, sums: &mut [Sums]) {
        let Channels { first, count } = channels;
        let (size, blocks, weights) = (if lanes.wide() { 2 } else { 1 }, count / BLOCK, lanes.blocks(pass, first));
        let pixels_end = sums.len().saturating_sub(1).checked_mul(taps.step).and_then(|last| last.checked_add((first + count) * size));
        let last = pixels_end.and_then(|end| taps.codes.len().checked_sub(end));
        // Zeros are of one pixel.
        let zeros_fit = sums.len() == 1 && (first + count) * size <= taps.zeros.len();
        let mut pointers = [core::ptr::null(); PASS];
        let mut fits = !sums.is_empty() && count <= CHUNK && weights.len() >= count.div_ceil(BLOCK) * BLOCK * PASS;
        for (pointer, at) in pointers.iter_mut().zip(taps.at) {
            let is_zero = at == Taps::ZERO;
            fits &= if is_zero { zeros_fit } else { last.is_some_and(|last| at <= last) };
            let begin = if is_zero { taps.zeros.as_ptr() } else { taps.codes.as_ptr().wrapping_add(at) };
            *pointer = begin.wrapping_add(first * size);
        }
        if !fits || !count.is_multiple_of(BLOCK) {
            return others(lanes, pass, channels, taps, sums);
        }
        // SAFETY: `blocks` blocks of channels of all pixels are within every tap and have their weights and sums.
        unsafe { depthwise_blocks(&pointers, weights, blocks, lanes.wide(), pass > 0, taps.step, sums) };
    }
}

/// Channels that are not whole blocks: as many blocks as there are, from copies of their codes.
#[inline(never)]
fn others(lanes: &Lanes<'_>, pass: usize, channels: Channels, taps: &Taps<'_>, sums: &mut [Sums]) {
    let (Channels { first, count }, size) = (channels, if lanes.wide() { 2 } else { 1 });
    let weights = lanes.blocks(pass, first);
    let mut blocks = weights.chunks_exact(BLOCK * PASS);
    if count.div_ceil(BLOCK) > blocks.len() || count > CHUNK {
        return PlainRust::depthwise(lanes, pass, channels, taps, sums);
    }
    for (start, weights) in (0..count).step_by(BLOCK).zip(&mut blocks) {
        let bytes = (count - start).min(BLOCK) * size;
        for (pixel, sums) in sums.iter_mut().enumerate() {
            let mut codes = [[0; 2 * BLOCK]; PASS];
            for (codes, at) in codes.iter_mut().zip(taps.at) {
                let (from, at) = if at == Taps::ZERO { (taps.zeros, 0) } else { (taps.codes, at + pixel * taps.step) };
                let from = from.get(at + (first + start) * size..).and_then(|rest| rest.get(..bytes)).unwrap_or_default();
                for (to, from) in codes.iter_mut().zip(from) {
                    *to = *from;
                }
            }
            let mut block = [0; CHUNK];
            let sums = sums.get_mut(start..).unwrap_or_default();
            for (to, from) in block.iter_mut().zip(sums.iter()).take(BLOCK) {
                *to = *from;
            }
            let taps = codes.each_ref().map(|tap| tap.as_ptr());
            // SAFETY: a block of channels is in `codes`, and `weights` are its weights.
            unsafe { depthwise_blocks(&taps, weights, 1, lanes.wide(), pass > 0, 0, core::slice::from_mut(&mut block)) };
            for (to, from) in sums.iter_mut().zip(block).take(BLOCK) {
                *to = from;
            }
        }
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
