//! Sums to codes, at every width of a code and with every shift.

use super::{Blocks, CHUNK, Channels, Pixels, Stage, Sums};
use crate::{ActivationBits, pack, requant};

/// Writes some channels of the pixels, whose bytes from `pixels.at` on those are where a code is a byte. `codes` is what is prepared for
/// these channels.
#[inline(always)]
pub(super) fn finish<B: Blocks, const N: usize>(
    stage: &Stage<'_>,
    codes: &B::Codes<'_>,
    channels: Channels,
    corrections: &[i32; N],
    sums: &[Sums; N],
    mut pixels: Pixels<'_, N>,
) {
    if stage.is_high() && matches!(stage.codes().bits, ActivationBits::A6 | ActivationBits::A8) {
        B::finish(codes, corrections, sums, &mut pixels);
    } else {
        others::<B, N>(stage, codes, channels, corrections, sums, pixels);
    }
}

/// Codes that are not bytes, or by any shift.
#[inline(never)]
fn others<B: Blocks, const N: usize>(
    stage: &Stage<'_>,
    codes: &B::Codes<'_>,
    channels: Channels,
    corrections: &[i32; N],
    sums: &[Sums; N],
    mut pixels: Pixels<'_, N>,
) {
    let bits = stage.codes().bits;
    if stage.is_high() && matches!(bits, ActivationBits::A2 | ActivationBits::A4) {
        let mut bytes = [[0; CHUNK]; N];
        B::finish(codes, corrections, sums, &mut Pixels { bytes: bytes.as_flattened_mut(), step: CHUNK, at: 0 });
        for (pixel, bytes) in pixels.each().zip(&bytes) {
            pack_bytes(bits, pixel, channels.first, bytes.get(..channels.count).unwrap_or_default());
        }
    } else {
        for ((pixel, sums), &correction) in pixels.each().zip(sums).zip(corrections) {
            any(stage, channels, correction, sums, pixel);
        }
    }
    for pixel in pixels.each() {
        // Channels are written in ascending order.
        pack::clear_unused(pixel, bits, stage.lists().0.len());
    }
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
fn any(stage: &Stage<'_>, Channels { first, count }: Channels, correction: i32, sums: &Sums, pixel: &mut [u8]) {
    for ((index, &sum), (bias, multiplier, shift)) in sums.iter().enumerate().zip(stage.channels(first, count)) {
        let acc = sum.wrapping_add(correction).wrapping_add(bias);
        let code = stage.codes().code(requant::requantize_i32(acc, multiplier, shift));
        pack::set_code(pixel, stage.codes().bits, first + index, code);
    }
}
