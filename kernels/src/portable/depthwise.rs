//! Depthwise convolution without a channel multiplier, vectorised over the channels.

use super::blocks::{self, BLOCK, Block};
use super::columns::unpack_from;
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack, requant};

/// Whether this kernel is the one for that convolution.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels && conv.groups == conv.output.channels && conv.accumulator == Accumulator::I32
}

/// The weights, transposed to `[taps][C]`, in 16 bits.
pub(super) fn scratch_bytes(conv: &Conv<'_>) -> usize {
    let weights = conv.groups.saturating_mul(conv.window.taps());
    weights.saturating_mul(size_of::<i16>()).saturating_add(align_of::<i16>() - 1)
}

pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [i16]) {
    let Some(weights) = scratch.get_mut(..conv.groups * conv.window.taps()) else {
        return reference::conv::<Native>(conv, input, output);
    };
    transpose_weights(conv, weights);
    let high = conv.stage.shift.iter().all(|&shift| shift >= requant::HIGH_SHIFT_MIN);
    let (channels, width) = (conv.groups, conv.output.width.max(1));
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    for (index, pixel) in output.chunks_exact_mut(pixel_bytes).enumerate() {
        let at = (index / width, index % width);
        blocks::each_block(channels, conv.stage.bits, pixel, |first, codes| {
            let mut acc = [0i32; BLOCK];
            if let Some(acc) = acc.get_mut(..BLOCK.min(channels - first.min(channels))) {
                accumulate(conv, input, at, first, weights, acc);
            }
            if high {
                finish::<true>(conv, first, &acc, codes);
            } else {
                finish::<false>(conv, first, &acc, codes);
            }
        });
    }
}

fn transpose_weights(conv: &Conv<'_>, weights: &mut [i16]) {
    let row_bytes = pack::weight_row_bytes(conv.weight_bits, conv.window.taps());
    for (tap, weights) in weights.chunks_exact_mut(conv.groups.max(1)).enumerate() {
        for (channel, to) in weights.iter_mut().enumerate() {
            let row = pack::row(conv.weights, row_bytes, channel);
            *to = pack::weight(row, conv.weight_bits, tap) as i16;
        }
    }
}

/// Adds `sum w * a` of the channels from `first` on at output pixel `(y, x)`; `acc` has one entry for each.
fn accumulate(conv: &Conv<'_>, input: Activations<'_>, (y, x): (usize, usize), first: usize, weights: &[i16], acc: &mut [i32]) {
    let (bits, image) = (input.bits, conv.input);
    let pixel_bytes = image.pixel_bytes(bits);
    let mut tap = 0;
    for ky in 0..conv.window.kernel[0] {
        let from_y = conv.window.position(0, y, ky, image.height);
        for kx in 0..conv.window.kernel[1] {
            let from_x = conv.window.position(1, x, kx, image.width);
            let weights = weights.get(tap * conv.groups + first..).unwrap_or_default();
            tap += 1;
            let mut codes: Block = [input.zero_point as i16; BLOCK];
            if let Some((y, x)) = from_y.zip(from_x) {
                let pixel = pack::row(input.codes, pixel_bytes, y * image.width + x);
                if matches!(bits, ActivationBits::A6 | ActivationBits::A8) {
                    add_bytes(acc, weights, pixel.get(first..).unwrap_or_default());
                    continue;
                }
                if let Some(codes) = codes.get_mut(..acc.len()) {
                    unpack_from(bits, pixel, first, codes);
                }
            }
            add_words(acc, weights, &codes);
        }
    }
}

// Each in a function of its own: a plain loop over three slices, which LLVM vectorises, and not a part of a larger body
// that it unrolls first.
#[inline(never)]
fn add_bytes(acc: &mut [i32], weights: &[i16], codes: &[u8]) {
    for ((acc, &w), &a) in acc.iter_mut().zip(weights).zip(codes) {
        // |w * a| <= 128 * 255 fits 16 bits, and 16-bit multiplication has twice the lanes.
        *acc = acc.wrapping_add(i32::from(w.wrapping_mul(i16::from(a))));
    }
}

#[inline(never)]
fn add_words(acc: &mut [i32], weights: &[i16], codes: &Block) {
    for ((acc, &w), &a) in acc.iter_mut().zip(weights).zip(codes) {
        *acc = acc.wrapping_add(i32::from(w) * i32::from(a));
    }
}

/// Output stage of the channels from `first` on. `HIGH`: every shift has the fast form.
#[inline]
fn finish<const HIGH: bool>(conv: &Conv<'_>, first: usize, acc: &[i32; BLOCK], block: &mut Block) {
    let stage = &conv.stage;
    let codes = stage.codes();
    let bias = stage.bias.get(first..).unwrap_or_default();
    let multiplier = stage.multiplier.get(first..).unwrap_or_default();
    let shift = stage.shift.get(first..).unwrap_or_default();
    let stages = bias.iter().zip(multiplier).zip(shift);
    for ((code, &acc), ((&bias, &multiplier), &shift)) in block.iter_mut().zip(acc).zip(stages) {
        let acc = acc.wrapping_add(bias);
        *code = if HIGH {
            let code = requant::requantize_high(acc, multiplier, shift).wrapping_add(codes.zero_point);
            code.max(codes.lo).min(codes.hi) as i16
        } else {
            codes.code(requant::requantize_i32(acc, multiplier, shift)) as i16
        };
    }
}
