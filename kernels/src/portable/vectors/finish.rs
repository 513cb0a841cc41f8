//! Sums to codes, at every width of a code and with every shift.

use super::{Blocks, CHUNK, Pixels, Stage, Sums};
use crate::{ActivationBits, pack, requant};

/// Writes channels `first .. first + count` of the pixels, whose bytes from `pixels.at` on those are where a code is a byte.
#[inline(always)]
pub(super) fn finish<B: Blocks, const N: usize>(
    stage: &Stage<'_>,
    first: usize,
    count: usize,
    corrections: &[i32; N],
    sums: &[Sums; N],
    mut pixels: Pixels<'_, N>,
) {
    match stage.codes().bits {
        ActivationBits::A6 | ActivationBits::A8 if stage.is_high() => {
            B::finish(stage, first, count, corrections, sums, &mut pixels);
        }
        ActivationBits::A2 | ActivationBits::A4 if stage.is_high() => {
            packed::<B, N>(stage, first, count, corrections, sums, pixels);
        }
        _ => any(stage, first, count, corrections, sums, pixels),
    }
}

/// Codes of 2 and 4 bits, by way of bytes.
#[inline(never)]
fn packed<B: Blocks, const N: usize>(
    stage: &Stage<'_>,
    first: usize,
    count: usize,
    corrections: &[i32; N],
    sums: &[Sums; N],
    mut pixels: Pixels<'_, N>,
) {
    let mut bytes = [[0; CHUNK]; N];
    B::finish(stage, first, count, corrections, sums, &mut Pixels { bytes: bytes.as_flattened_mut(), step: CHUNK, at: 0 });
    for (pixel, bytes) in pixels.each().zip(&bytes) {
        pack_bytes(stage.codes().bits, pixel, first, bytes.get(..count).unwrap_or_default());
        clear_unused(stage, pixel);
    }
}

/// Channels are written in ascending order.
fn clear_unused(stage: &Stage<'_>, pixel: &mut [u8]) {
    pack::clear_unused(pixel, stage.codes().bits, stage.lists().0.len());
}

/// Packs codes of 2 or 4 bits as channels `first ..` of a pixel.
fn pack_bytes(bits: ActivationBits, pixel: &mut [u8], first: usize, codes: &[u8]) {
    let each = if bits == ActivationBits::A2 { 4 } else { 2 };
    let whole = if first.is_multiple_of(each) { codes.len() / each * each } else { 0 };
    let (packed, rest) = codes.split_at_checked(whole).unwrap_or((&[], codes));
    let to = pixel.get_mut(pack::row_bytes(bits, first)..).unwrap_or_default();
    if bits == ActivationBits::A2 {
        for (to, &[a, b, c, d]) in to.iter_mut().zip(packed.as_chunks().0) {
            *to = a | b << 2 | c << 4 | d << 6;
        }
    } else {
        for (to, &[a, b]) in to.iter_mut().zip(packed.as_chunks().0) {
            *to = a | b << 4;
        }
    }
    for (index, &code) in rest.iter().enumerate() {
        pack::set_code(pixel, bits, first + whole + index, i32::from(code));
    }
}

/// Code by code.
#[inline(never)]
fn any<const N: usize>(
    stage: &Stage<'_>,
    first: usize,
    count: usize,
    corrections: &[i32; N],
    sums: &[Sums; N],
    mut pixels: Pixels<'_, N>,
) {
    for ((pixel, sums), &correction) in pixels.each().zip(sums).zip(corrections) {
        for ((index, &sum), (bias, multiplier, shift)) in sums.iter().enumerate().zip(stage.channels(first, count)) {
            let acc = sum.wrapping_add(correction).wrapping_add(bias);
            let code = stage.codes().code(requant::requantize_i32(acc, multiplier, shift));
            pack::set_code(pixel, stage.codes().bits, first + index, code);
        }
        clear_unused(stage, pixel);
    }
}
