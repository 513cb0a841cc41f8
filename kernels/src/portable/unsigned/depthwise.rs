//! Depthwise convolution without a channel multiplier, channel after channel: the rows of a channel that the window meets, padded, stand
//! side by side in scratch, so that every loop runs over neighbours.

use super::finish::ByteStage;
use crate::arrange::unsigned;
use crate::{Activations, Conv, OutputCodes, pack, requant};

/// Whether this is the kernel for that convolution.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels && conv.groups == conv.output.channels
}

/// Weights of a channel, with what the arrangement pads them with.
fn padded_taps(conv: &Conv<'_>) -> usize {
    let (weights, _) = unsigned::unit(conv.weight_bits);
    conv.window.taps().div_ceil(weights).saturating_mul(weights)
}

/// Codes of a row that the outputs of a row read, padding included.
fn row_codes(conv: &Conv<'_>) -> usize {
    let (last, window) = (conv.output.width.saturating_sub(1), conv.window);
    let taps = window.kernel[1].saturating_sub(1).saturating_mul(window.dilation[1]);
    last.saturating_mul(window.stride[1]).saturating_add(taps).saturating_add(1)
}

/// Words of scratch: the weights and the rows of one channel, and sums of a row of outputs.
pub(super) fn scratch_words(conv: &Conv<'_>) -> usize {
    let rows = conv.window.kernel[0].saturating_mul(row_codes(conv));
    rows.saturating_add(padded_taps(conv)).saturating_add(conv.output.width)
}

/// `scratch` has [`scratch_words`].
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], weights: &[u32], scratch: &mut [u32]) {
    let Some((taps, scratch)) = scratch.split_at_mut_checked(padded_taps(conv)) else {
        return;
    };
    let Some((sums, rows)) = scratch.split_at_mut_checked(conv.output.width) else {
        return;
    };
    let row_words = unsigned::row_words(conv.weight_bits, conv.row_len()).max(1);
    let row_codes = row_codes(conv).max(1);
    let [height, taps_x] = conv.window.kernel;
    let ([stride_y, stride_x], [dilation_y, dilation_x]) = (conv.window.stride, conv.window.dilation);
    let mut weights = weights;
    for channel in 0..conv.output.channels {
        let (Some((row, others)), Some(stage)) = (weights.split_at_checked(row_words), Channel::new(conv, channel)) else {
            return;
        };
        weights = others;
        unsigned::unpack(conv.weight_bits, row, taps);
        // Rows of the padded image below this one stand in scratch.
        let (mut next, mut first, mut slot) = (0, 0, 0);
        for y in 0..conv.output.height {
            sums.fill(0);
            let (mut at, mut taps) = (slot, &*taps);
            for tap in 0..height {
                // Rows that follow each other stay for the next outputs.
                let row = first + tap * dilation_y;
                let Some(codes) = rows.get_mut(at * row_codes..).and_then(|rows| rows.get_mut(..row_codes)) else {
                    return;
                };
                if dilation_y > 1 || row >= next {
                    fill(conv, input, channel, row, codes);
                }
                let (weights, others) = taps.split_at_checked(taps_x).unwrap_or_default();
                taps = others;
                if let (&[a, b, c], 1, 1) = (weights, stride_x, dilation_x) {
                    add_three([a, b, c], codes, sums);
                } else {
                    add_any(weights, stride_x, dilation_x, codes, sums);
                }
                at = if at + 1 < height { at + 1 } else { 0 };
            }
            stage.write(conv, y * conv.output.width, sums, output);
            next = first + height;
            first += stride_y;
            if dilation_y == 1 {
                slot += stride_y;
                if slot >= height {
                    slot %= height.max(1);
                }
            }
        }
    }
}

/// Adds the products of three weights and neighbouring codes.
#[inline(never)]
fn add_three([a, b, c]: [u32; 3], codes: &[u32], sums: &mut [u32]) {
    let Some((&[mut first, mut second], codes)) = codes.split_first_chunk() else {
        return;
    };
    for (sum, &third) in sums.iter_mut().zip(codes) {
        let products = first.wrapping_mul(a).wrapping_add(second.wrapping_mul(b)).wrapping_add(third.wrapping_mul(c));
        *sum = sum.wrapping_add(products);
        (first, second) = (second, third);
    }
}

/// Adds the products of weights and codes.
#[inline(never)]
fn add_any(weights: &[u32], stride: usize, dilation: usize, mut codes: &[u32], sums: &mut [u32]) {
    for &weight in weights {
        let mut rest = codes;
        for sum in &mut *sums {
            let Some(&code) = rest.first() else {
                break;
            };
            *sum = sum.wrapping_add(code.wrapping_mul(weight));
            rest = rest.get(stride..).unwrap_or_default();
        }
        codes = codes.get(dilation..).unwrap_or_default();
    }
}

/// Copies a channel of a row of the padded image.
#[inline(never)]
fn fill(conv: &Conv<'_>, input: Activations<'_>, channel: usize, row: usize, to: &mut [u32]) {
    let (image, [pad_y, pad_x]) = (conv.input, conv.window.pad);
    let zero = input.zero_point as u32;
    let Some(y) = row.checked_sub(pad_y).filter(|&y| y < image.height) else {
        return to.fill(zero);
    };
    let (left, rest) = to.split_at_mut(pad_x.min(to.len()));
    left.fill(zero);
    let (inside, right) = rest.split_at_mut(image.width.min(rest.len()));
    right.fill(zero);
    let pixel_bytes = image.pixel_bytes(input.bits);
    let pixels = input.codes.get(y * image.width * pixel_bytes..).unwrap_or_default();
    if input.bits.bits() == 8 || input.bits.bits() == 6 {
        let mut at = channel;
        for to in inside {
            *to = pixels.get(at).copied().map_or(0, u32::from);
            at += pixel_bytes;
        }
    } else {
        for (to, pixel) in inside.iter_mut().zip(pixels.chunks_exact(pixel_bytes.max(1))) {
            *to = pack::code(pixel, input.bits, channel) as u32;
        }
    }
}

/// Output stage of a channel.
struct Channel {
    channel: usize,
    pixel_bytes: usize,
    bias: i32,
    multiplier: i32,
    shift: u8,
    is_fast: bool,
}

impl Channel {
    fn new(conv: &Conv<'_>, channel: usize) -> Option<Self> {
        let (bias, multiplier, shift) = conv.stage.channel(channel)?;
        let bits = conv.stage.bits;
        let is_fast = matches!(bits.bits(), 6 | 8) && ByteStage::SHIFTS.contains(&shift);
        Some(Self { channel, pixel_bytes: conv.output.pixel_bytes(bits), bias, multiplier, shift, is_fast })
    }

    /// Writes the channel of the pixels from `pixel` on.
    #[inline(never)]
    fn write(&self, conv: &Conv<'_>, pixel: usize, sums: &[u32], output: &mut [u8]) {
        let codes = conv.stage.codes();
        let Some(output) = output.get_mut(pixel * self.pixel_bytes..) else {
            return;
        };
        if !self.is_fast {
            return self.write_any(codes, sums, output);
        }
        let (addend, shift) = ByteStage::addend_and_shift(codes.zero_point, self.shift);
        let mut at = self.channel;
        for &sum in sums {
            let acc = sum.wrapping_add(self.bias as u32) as i32;
            let code = requant::upper(acc, self.multiplier).wrapping_add(addend).wrapping_shr(shift);
            if let Some(to) = output.get_mut(at) {
                *to = code.max(codes.lo).min(codes.hi) as u8;
            }
            at += self.pixel_bytes;
        }
    }

    #[inline(never)]
    fn write_any(&self, codes: OutputCodes, sums: &[u32], output: &mut [u8]) {
        let mut begin = 0;
        for &sum in sums {
            let pixel = output.get_mut(begin..).unwrap_or_default();
            let acc = sum.wrapping_add(self.bias as u32) as i32;
            let scaled = requant::requantize_i32(acc, self.multiplier, self.shift);
            pack::set_code(pixel, codes.bits, self.channel, codes.code(scaled));
            begin += self.pixel_bytes;
        }
    }
}
