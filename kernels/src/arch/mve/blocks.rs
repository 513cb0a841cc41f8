//! The inner blocks of convolutions.

use super::symbols::*;
use crate::arrange::lanes::{BLOCK, PASS};
use crate::arrange::vectors;
use crate::portable::vectors::{
    Blocks, CHUNK, COLUMNS, Channels, Columns, Lanes, Pixels, Places, PlainPass, PlainRust, Rect, Rows, Stage, Sums, ZERO,
};
use crate::{ActivationBits, WeightBits};

pub(super) struct Mve;

/// For 1 column and for [`COLUMNS`], each as long as the rows and aligned to its codes.
fn multiply_functions(bits: WeightBits, wide: bool, vectors: usize) -> [MultiplyFunction; 2] {
    match (wide, bits) {
        (false, WeightBits::W8) if vectors.is_multiple_of(2) => [apq_mve_multiply_w8_1_even, apq_mve_multiply_w8_3_even],
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
    /// Codes have 16 bits.
    wide: bool,
    finish: Finish,
}

impl Blocks for Mve {
    type Products<'a> = Products<'a>;
    type Codes<'a> = Codes<'a>;
    type Pass<'a> = Pass<'a>;

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
            functions: multiply_functions(rows.bits(), rows.wide(), vectors),
            // The loop for bytes takes two vectors, and leaves out one or two.
            together: if rows.bits() == WeightBits::W8 && !rows.wide() { (vectors - 1) / 2 } else { together },
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
        Codes { plain: (*stage, channels), fits, wide: codes.bits == ActivationBits::A16, finish }
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
        let bytes = codes.finish.channels << u32::from(codes.wide);
        let pixels_fit = end.and_then(|end| end.checked_add(bytes)).is_some_and(|end| end <= pixels.bytes.len());
        let aligned = !codes.wide || (pixels.bytes.as_ptr().addr() | pixels.step | pixels.at).is_multiple_of(2);
        if !codes.fits || !aligned || !(N == 1 || N == COLUMNS) || !pixels_fit {
            return PlainRust::finish(&codes.plain, corrections, sums, pixels);
        }
        let to = pixels.bytes.as_mut_ptr().wrapping_add(pixels.at);
        let (sums, corrections) = (sums.as_ptr().cast(), corrections.as_ptr());
        // SAFETY: the lists have as many entries as there are channels, there are as many sums, at most `CHUNK`, which lie `CHUNK`
        // apart, `N` corrections, and the pixels, `step` apart, have room for as many codes from where they begin, aligned at 16 bits.
        unsafe {
            match (codes.wide, N == COLUMNS) {
                (false, false) => apq_mve_finish_1(&codes.finish, sums, to, pixels.step, corrections),
                (false, true) => apq_mve_finish_3(&codes.finish, sums, to, pixels.step, corrections),
                (true, false) => apq_mve_finish_1_wide(&codes.finish, sums, to, pixels.step, corrections),
                (true, true) => apq_mve_finish_3_wide(&codes.finish, sums, to, pixels.step, corrections),
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
    fn fill(codes: &mut [u8], pair: [u8; 2]) {
        // SAFETY: writes the slice.
        unsafe { apq_mve_fill(codes.as_mut_ptr(), codes.len(), u16::from_le_bytes(pair)) }
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

    fn unpack(bits: ActivationBits, codes: &mut [u8]) -> i32 {
        let (each, function): (usize, UnpackFunction) = match bits {
            ActivationBits::A2 => (4, apq_mve_unpack_2),
            ActivationBits::A4 => (2, apq_mve_unpack_4),
            _ => return PlainRust::unpack(bits, codes),
        };
        let packed = codes.len() / each;
        if !codes.len().is_multiple_of(each) {
            return PlainRust::unpack(bits, codes);
        }
        // SAFETY: `packed` bytes at the end of the slice become `each` times as many, which are the slice.
        unsafe { function(codes.as_mut_ptr(), packed, codes.as_ptr().wrapping_add(codes.len() - packed)) }
    }

    fn pack(bits: ActivationBits, codes: &[u8; CHUNK], to: &mut [u8]) {
        // SAFETY: each of the bytes is made of as many codes as it packs, and of those there are enough.
        unsafe {
            match bits {
                ActivationBits::A2 if to.len() <= CHUNK / 4 => apq_mve_pack_2(codes.as_ptr(), to.len(), to.as_mut_ptr()),
                ActivationBits::A4 if to.len() <= CHUNK / 2 => apq_mve_pack_4(codes.as_ptr(), to.len(), to.as_mut_ptr()),
                _ => PlainRust::pack(bits, codes, to),
            }
        }
    }

    #[inline(never)]
    fn pass<'a>(lanes: &Lanes<'a>, pass: usize, channels: Channels, places: Places) -> Pass<'a> {
        let Channels { first, count } = channels;
        let (size, weights) = (if lanes.wide() { 2 } else { 1 }, lanes.blocks(pass, first));
        let mut fits = count != 0 && count <= CHUNK && count.is_multiple_of(BLOCK) && weights.len() >= count * PASS;
        if places.count < PASS {
            let blocks = weights.as_chunks::<BLOCK>().0.as_chunks::<PASS>().0;
            let fillers = blocks.iter().take(count / BLOCK).flat_map(|taps| taps.iter().skip(places.count));
            fits &= fillers.copied().all(|weights| u64::from_ne_bytes(weights) == 0);
        }
        let depthwise = Depthwise {
            taps: [0; PASS - 2],
            weights: weights.as_ptr(),
            steps: [0; 3],
            blocks: count / BLOCK,
            to_pixel: places.step.wrapping_sub(size * count),
            to_sums: CHUNK.wrapping_sub(count).wrapping_mul(size_of::<i32>()),
            weight_bytes: count * PASS,
        };
        let functions: [DepthwiseFunction; 2] =
            if lanes.wide() { [apq_mve_depthwise_wide, apq_mve_depthwise_add_wide] } else { [apq_mve_depthwise, apq_mve_depthwise_add] };
        let plain = PlainRust::pass(lanes, pass, channels, places);
        Pass {
            plain,
            fits,
            begin: first * size,
            end: (first + count) * size,
            last_place: places.taps.into_iter().fold(0, usize::max),
            function: functions[usize::from(pass > 0)],
            depthwise: depthwise.with_taps(&places.taps),
        }
    }

    #[inline(always)]
    fn depthwise(pass: &Pass<'_>, codes: &[u8], begin: usize, sums: &mut [Sums]) {
        let (pixels, step) = (sums.len(), pass.plain.places.step);
        let last = pixels.checked_sub(1).and_then(|last| last.checked_mul(step)).and_then(|last| last.checked_add(begin));
        let end = last.and_then(|last| last.checked_add(pass.last_place)).and_then(|last| last.checked_add(pass.end));
        if !pass.fits || end.is_none_or(|end| end > codes.len()) {
            return others(pass, codes, begin, sums);
        }
        let from = codes.as_ptr().addr().wrapping_add(begin).wrapping_add(pass.begin);
        // SAFETY: all channels of all pixels, at least one, are within every tap, and have their weights and sums.
        unsafe { (pass.function)(&pass.depthwise, from, sums.as_mut_ptr().cast(), pixels) };
    }

    #[inline(always)]
    fn depthwise_at(pass: &Pass<'_>, codes: &[u8], zeros: &[u8], at: &[usize; PASS], sums: &mut Sums) {
        let (mut fits, last) = (pass.fits && pass.end <= zeros.len(), codes.len().checked_sub(pass.end));
        let taps = at.map(|at| {
            let begin = if at == ZERO { zeros.as_ptr().addr() } else { codes.as_ptr().addr().wrapping_add(at) };
            fits &= at == ZERO || last.is_some_and(|last| at <= last);
            begin.wrapping_add(pass.begin)
        });
        if !fits {
            return others_at(pass, codes, zeros, at, sums);
        }
        let depthwise = pass.depthwise.with_taps(&taps);
        // SAFETY: all channels are within the pixel of every tap, and have their weights and sums.
        unsafe { (pass.function)(&depthwise, 0, sums.as_mut_ptr(), 1) };
    }
}

/// A pass of a depthwise convolution.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    plain: PlainPass<'a>,
    /// There are channels, at most [`CHUNK`], in whole blocks, with their weights.
    fits: bool,
    /// First byte of the channels in a pixel, and the one behind their last.
    begin: usize,
    end: usize,
    last_place: usize,
    function: DepthwiseFunction,
    depthwise: Depthwise,
}

/// Windows that [`others_at`] takes.
#[inline(never)]
fn others(pass: &Pass<'_>, codes: &[u8], begin: usize, sums: &mut [Sums]) {
    let places = pass.plain.places;
    for (pixel, sums) in sums.iter_mut().enumerate() {
        let at = places.taps.map(|place| begin.wrapping_add(place).wrapping_add(pixel.wrapping_mul(places.step)));
        others_at(pass, codes, &[], &at, sums);
    }
}

/// A pixel whose channels are not whole blocks, or whose fillers are not 0: block by block, from copies.
#[inline(never)]
fn others_at(pass: &Pass<'_>, codes: &[u8], zeros: &[u8], at: &[usize; PASS], sums: &mut Sums) {
    let PlainPass { lanes, channels: Channels { first, count }, .. } = pass.plain;
    let (size, weights) = (if lanes.wide() { 2 } else { 1 }, lanes.blocks(pass.plain.pass, first));
    if count > CHUNK {
        return PlainRust::depthwise_at(&pass.plain, codes, zeros, at, sums);
    }
    let blocks = weights.as_chunks::<{ BLOCK * PASS }>().0.iter().zip(sums.as_chunks_mut::<BLOCK>().0);
    for (start, (weights, sums)) in (0..count).step_by(BLOCK).zip(blocks) {
        let bytes = (count - start).min(BLOCK) * size;
        let mut copies = [[0; 2 * BLOCK]; PASS];
        for (copy, &at) in copies.iter_mut().zip(at).take(pass.plain.places.count) {
            let (from, at) = if at == ZERO { (zeros, 0) } else { (codes, at) };
            let from = from.get(at..).and_then(|rest| rest.get((first + start) * size..)).and_then(|rest| rest.get(..bytes));
            for (to, from) in copy.iter_mut().zip(from.unwrap_or_default()) {
                *to = *from;
            }
        }
        let depthwise = Depthwise { weights: weights.as_ptr(), blocks: 1, ..pass.depthwise };
        let depthwise = depthwise.with_taps(&copies.each_ref().map(|copy| copy.as_ptr().addr()));
        // SAFETY: a block of channels is in `copies`, `weights` are its weights and `sums` its sums.
        unsafe { (pass.function)(&depthwise, 0, sums.as_mut_ptr(), 1) };
    }
}
