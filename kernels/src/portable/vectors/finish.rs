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
    let (bits, Channels { first, count }) = (stage.codes().bits, channels);
    let starts_byte = first.is_multiple_of(4);
    if stage.is_high() && bits == ActivationBits::A16 {
        pixels.at *= 2;
        return B::finish(codes, corrections, sums, &mut pixels);
    }
    if stage.is_high() && starts_byte && matches!(bits, ActivationBits::A2 | ActivationBits::A4) {
        let mut bytes = [[0; CHUNK]; N];
        B::finish(codes, corrections, sums, &mut Pixels { bytes: bytes.as_flattened_mut(), step: CHUNK, at: 0 });
        for (pixel, bytes) in pixels.each().zip(&bytes) {
            let to = pixel.get_mut(pack::row_bytes(bits, first)..).and_then(|rest| rest.get_mut(..pack::row_bytes(bits, count)));
            B::pack(bits, bytes, to.unwrap_or_default());
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

/// Code by code.
#[inline(never)]
fn any(stage: &Stage<'_>, Channels { first, count }: Channels, correction: i32, sums: &Sums, pixel: &mut [u8]) {
    for ((index, &sum), (bias, multiplier, shift)) in sums.iter().enumerate().zip(stage.channels(first, count)) {
        let acc = sum.wrapping_add(correction).wrapping_add(bias);
        let code = stage.codes().code(requant::requantize_i32(acc, multiplier, shift));
        pack::set_code(pixel, stage.codes().bits, first + index, code);
    }
}
