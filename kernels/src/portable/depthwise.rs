//! Depthwise convolution without a channel multiplier, vectorised over the channels.

use super::columns::unpack_from;
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack, requant};

/// Channels that the inner loop takes at once.
const LANES: usize = 16;

type Lanes = [i16; LANES];

/// Whether this kernel is the one for that convolution.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels
        && conv.groups == conv.output.channels
        && conv.accumulator == Accumulator::I32
}

/// The weights, transposed to `[C / 16][taps][16]`, in 16 bits.
pub(super) fn scratch_bytes(conv: &Conv<'_>) -> usize {
    let blocks = conv.groups.div_ceil(LANES);
    blocks
        .saturating_mul(conv.window.taps())
        .saturating_mul(size_of::<Lanes>())
        .saturating_add(align_of::<Lanes>() - 1)
}

pub(super) fn conv(
    conv: &Conv<'_>,
    input: Activations<'_>,
    output: &mut [u8],
    scratch: &mut [i16],
) {
    let taps = conv.window.taps().max(1);
    let blocks = conv.groups.div_ceil(LANES);
    let (lanes, _) = scratch.as_chunks_mut::<LANES>();
    let Some(weights) = lanes.get_mut(..blocks * taps) else {
        return reference::conv::<Native>(conv, input, output);
    };
    transpose_weights(conv, taps, weights);
    let width = conv.output.width.max(1);
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    for (index, pixel) in output.chunks_exact_mut(pixel_bytes).enumerate() {
        let at = (index / width, index % width);
        // Every codes' width makes 16 of them whole bytes.
        let block_bytes = pack::row_bytes(conv.stage.bits, LANES);
        let outputs = pixel.chunks_mut(block_bytes);
        for (block, (out, weights)) in outputs.zip(weights.chunks_exact(taps)).enumerate() {
            let acc = match input.bits {
                ActivationBits::A16 => accumulate::<true>(conv, input, at, block * LANES, weights),
                _ => accumulate::<false>(conv, input, at, block * LANES, weights),
            };
            finish(conv, block * LANES, &acc, out);
        }
    }
}

/// Lanes past the last channel are 0.
fn transpose_weights(conv: &Conv<'_>, taps: usize, weights: &mut [Lanes]) {
    let row_bytes = pack::weight_row_bytes(conv.weight_bits, taps);
    weights.as_flattened_mut().fill(0);
    for (block, tap_lanes) in weights.chunks_exact_mut(taps).enumerate() {
        for lane in 0..LANES.min(conv.groups - block * LANES) {
            let row = pack::row(conv.weights, row_bytes, block * LANES + lane);
            for (tap, lanes) in tap_lanes.iter_mut().enumerate() {
                if let Some(to) = lanes.get_mut(lane) {
                    *to = pack::weight(row, conv.weight_bits, tap) as i16;
                }
            }
        }
    }
}

/// `sum w * a` of 16 channels at one output pixel.
#[inline]
fn accumulate<const WIDE: bool>(
    conv: &Conv<'_>,
    input: Activations<'_>,
    (y, x): (usize, usize),
    channel: usize,
    weights: &[Lanes],
) -> [i32; LANES] {
    let pixel_bytes = conv.input.pixel_bytes(input.bits);
    let offset = pack::row_bytes(input.bits, channel);
    let padding = [input.zero_point as i16; LANES];
    let mut acc = [0i32; LANES];
    for (ky, weights) in weights
        .chunks_exact(conv.window.kernel[1].max(1))
        .enumerate()
    {
        let from_y = conv.window.position(0, y, ky, conv.input.height);
        for (kx, weights) in weights.iter().enumerate() {
            let from_x = conv.window.position(1, x, kx, conv.input.width);
            let codes = match from_y.zip(from_x) {
                Some((y, x)) => {
                    let start = (y * conv.input.width + x) * pixel_bytes;
                    let end = start + pixel_bytes;
                    load(
                        input.bits,
                        input.codes.get(start + offset..end).unwrap_or_default(),
                        conv.groups - channel,
                    )
                }
                None => padding,
            };
            for ((acc, &w), &a) in acc.iter_mut().zip(weights).zip(&codes) {
                // |w * a| <= 128 * 255 fits 16 bits, and 16-bit multiplication has twice the lanes.
                let product = if WIDE {
                    i32::from(w) * i32::from(a)
                } else {
                    i32::from(w.wrapping_mul(a))
                };
                *acc = acc.wrapping_add(product);
            }
        }
    }
    acc
}

/// The next 16 codes, or as many as the pixel has left.
#[inline]
fn load(bits: ActivationBits, pixel: &[u8], channels: usize) -> Lanes {
    let mut codes = [0; LANES];
    if bits == ActivationBits::A8
        && let Some(bytes) = pixel.first_chunk::<LANES>()
    {
        return bytes.map(i16::from);
    }
    if let Some(codes) = codes.get_mut(..channels.min(LANES)) {
        unpack_from(bits, pixel, 0, codes);
    }
    codes
}

/// Output stage of 16 channels, or as many as there are left.
#[inline]
fn finish(conv: &Conv<'_>, channel: usize, acc: &[i32; LANES], out: &mut [u8]) {
    let stage = &conv.stage;
    let codes = stage.codes();
    let bias = stage.bias.get(channel..).unwrap_or_default();
    let multiplier = stage.multiplier.get(channel..).unwrap_or_default();
    let shift = stage.shift.get(channel..).unwrap_or_default();
    let mut packed = [0i16; LANES];
    let stages = bias.iter().zip(multiplier).zip(shift);
    for ((code, &acc), ((&bias, &multiplier), &shift)) in packed.iter_mut().zip(acc).zip(stages) {
        *code = codes.code(requant::requantize_i32(
            acc.wrapping_add(bias),
            multiplier,
            shift,
        )) as i16;
    }
    let left = bias.len().min(LANES);
    pack::pack_row(codes.bits, packed.get(..left).unwrap_or_default(), out);
}
