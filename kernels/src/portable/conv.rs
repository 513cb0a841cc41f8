//! Convolution and fully connected layers as dot products of weight rows and columns.

use super::columns::{Columns, unpack_from};
use super::dot::{LANES, Lanes, dot, dot_wide};
use super::vectors::{self, PlainRust};
use super::{depthwise, pairs, planes, unsigned};
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Arrangement, Conv, FullyConnected, OutputCodes, pack, requant};

/// Columns of a block together stay below this many codes, where that leaves at least [`BLOCK_MIN`] of them: half of
/// a common first-level cache.
const BLOCK_CODES: usize = 8192;

/// Fewest columns of a block with the full scratch buffer: a weight row is unpacked once for a block.
const BLOCK_MIN: usize = 8;

/// Most columns of a block.
const BLOCK_MAX: usize = 64;

/// Bytes that may be lost to alignment.
const ALIGNMENT: usize = align_of::<Lanes>() - 1;

/// Scratch bytes with which [`conv`] is fastest, for that input width.
pub fn conv_scratch_bytes(conv: &Conv<'_>, input: ActivationBits) -> usize {
    match conv.arrangement.known() {
        Arrangement::RowMajor => {}
        Arrangement::Pairs | Arrangement::Duals => return pairs::scratch_bytes(conv, input),
        Arrangement::Unsigned => return unsigned::scratch_bytes(conv, input),
        Arrangement::Vectors => return vectors::scratch_bytes(conv, input),
        Arrangement::Lanes => return vectors::depthwise_scratch_bytes(conv, input),
    }
    let plain = if depthwise::applies(conv) {
        depthwise::scratch_bytes(conv)
    } else {
        let chunks = conv.row_len().div_ceil(LANES).max(1);
        let columns = (BLOCK_CODES / LANES / chunks).clamp(BLOCK_MIN, BLOCK_MAX).min(conv.output.pixels());
        bytes(chunks, columns)
    };
    plain.max(planes::scratch_bytes(conv, input))
}

/// Scratch bytes below which [`conv`] falls back to the reference.
pub fn conv_scratch_bytes_min(conv: &Conv<'_>, input: ActivationBits) -> usize {
    match conv.arrangement.known() {
        Arrangement::RowMajor => {}
        Arrangement::Pairs | Arrangement::Duals => return pairs::scratch_bytes(conv, input),
        Arrangement::Unsigned => return unsigned::scratch_bytes(conv, input),
        Arrangement::Vectors => return vectors::scratch_bytes(conv, input),
        Arrangement::Lanes => return vectors::depthwise_scratch_bytes(conv, input),
    }
    if depthwise::applies(conv) {
        return depthwise::scratch_bytes(conv);
    }
    bytes(conv.row_len().div_ceil(LANES).max(1), 1)
}

/// A weight row and some columns.
fn bytes(chunks: usize, columns: usize) -> usize {
    (columns + 1).saturating_mul(chunks).saturating_mul(size_of::<Lanes>()).saturating_add(ALIGNMENT)
}

/// Scratch bytes with which [`fully_connected`] is fastest, for that input width.
pub fn fully_connected_scratch_bytes(layer: &FullyConnected<'_>, input: ActivationBits) -> usize {
    conv_scratch_bytes(&layer.as_conv(), input)
}

/// Scratch bytes below which [`fully_connected`] falls back to the reference.
pub fn fully_connected_scratch_bytes_min(layer: &FullyConnected<'_>, input: ActivationBits) -> usize {
    conv_scratch_bytes_min(&layer.as_conv(), input)
}

/// Fully connected layer; see [`FullyConnected`].
pub fn fully_connected(layer: &FullyConnected<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    conv(&layer.as_conv(), input, output, scratch);
}

/// Dot products of a row of weights and a column, which are of one length, in 32 bits, wrapping, and in 64.
#[derive(Clone, Copy)]
pub(crate) struct Dots {
    pub(crate) narrow: fn(&[Lanes], &[Lanes]) -> i32,
    pub(crate) wide: fn(&[Lanes], &[Lanes]) -> i64,
}

/// Convolution; see [`Conv`].
pub fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    match conv.arrangement.known() {
        Arrangement::RowMajor => {}
        // Known when the program is built: kernels for other cores are not linked.
        other if !other.has_kernels() => return reference::conv::<Native>(conv, input, output),
        Arrangement::Pairs | Arrangement::Duals => return pairs::conv(pairs::Portable, conv, input, output, scratch),
        Arrangement::Unsigned => return unsigned::conv::<unsigned::Portable>(conv, input, output, scratch),
        // `native` gives these to `arch`: their plain Rust would take flash for nothing.
        Arrangement::Vectors | Arrangement::Lanes if cfg!(core_feature = "mve") => return reference::conv::<Native>(conv, input, output),
        Arrangement::Vectors => return vectors::conv::<PlainRust>(conv, input, output, scratch),
        Arrangement::Lanes => return vectors::depthwise::<PlainRust>(conv, input, output, scratch),
    }
    if depthwise::applies(conv) {
        let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, i16>(scratch);
        depthwise::conv(conv, input, output, scratch);
        return;
    }
    conv_with(Dots { narrow: dot, wide: dot_wide }, conv, input, output, scratch);
}

/// As [`conv`], with those dot products; what is depthwise too.
pub(crate) fn conv_with(dots: Dots, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, i16>(scratch);
    let chunks = conv.row_len().div_ceil(LANES).max(1);
    let (lanes, _) = scratch.as_chunks_mut::<LANES>();
    match lanes.split_at_mut_checked(chunks) {
        Some((weights, columns)) if columns.len() >= chunks => {
            by_columns(dots, conv, input, output, weights, columns);
        }
        _ => reference::conv::<Native>(conv, input, output),
    }
}

fn by_columns(dots: Dots, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], weights: &mut [Lanes], columns: &mut [Lanes]) {
    let chunks = weights.len().max(1);
    let block_len = (columns.len() / chunks).clamp(1, BLOCK_MAX);
    let row_bytes = pack::weight_row_bytes(conv.weight_bits, conv.row_len());
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    let (codes, width) = (conv.stage.codes(), conv.output.width.max(1));
    weights.as_flattened_mut().fill(0);
    for group in 0..conv.groups {
        let source = Columns::new(conv, input, group);
        for (block, pixels) in output.chunks_mut((pixel_bytes * block_len).max(1)).enumerate() {
            let used = pixels.chunks_exact(pixel_bytes).len();
            for (index, column) in columns.chunks_exact_mut(chunks).take(used).enumerate() {
                let pixel = block * block_len + index;
                let column = column.as_flattened_mut();
                source.fill((pixel / width, pixel % width), 0, column, input.zero_point as i16, |row, first, codes| {
                    unpack_from(input.bits, row, first, codes);
                });
            }
            let first = group * conv.group_outputs();
            for channel in first..first + conv.group_outputs() {
                let row = pack::row(conv.weights, row_bytes, channel);
                let Some(unpacked) = weights.as_flattened_mut().get_mut(..conv.row_len()) else {
                    return;
                };
                pack::unpack_weights(conv.weight_bits, row, unpacked);
                let Some(channel) = Channel::new(conv, channel, dots) else {
                    return;
                };
                channel.run(conv.accumulator, codes, weights, columns, pixels, pixel_bytes);
            }
        }
    }
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(pixel_bytes) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
}

/// One output channel of the output stage.
struct Channel {
    dots: Dots,
    index: usize,
    bias: i32,
    multiplier: i32,
    shift: u8,
}

impl Channel {
    fn new(conv: &Conv<'_>, index: usize, dots: Dots) -> Option<Self> {
        let (bias, multiplier, shift) = conv.stage.channel(index)?;
        Some(Self { dots, index, bias, multiplier, shift })
    }

    /// Writes this channel of every pixel of a block.
    fn run(
        &self,
        accumulator: Accumulator,
        codes: OutputCodes,
        weights: &[Lanes],
        columns: &[Lanes],
        pixels: &mut [u8],
        pixel_bytes: usize,
    ) {
        let (multiplier, shift) = (self.multiplier, self.shift);
        let acc = |column: &[Lanes]| (self.dots.narrow)(weights, column).wrapping_add(self.bias);
        let columns = columns.chunks_exact(weights.len().max(1));
        let pixels = columns.zip(pixels.chunks_exact_mut(pixel_bytes.max(1)));
        let byte = matches!(codes.bits, ActivationBits::A6 | ActivationBits::A8);
        match accumulator {
            // The common case, with nothing left to decide in the loop.
            Accumulator::I32 if byte && shift >= requant::HIGH_SHIFT_MIN => {
                for (column, pixel) in pixels {
                    let code = requant::requantize_high(acc(column), multiplier, shift).wrapping_add(codes.zero_point);
                    if let Some(to) = pixel.get_mut(self.index) {
                        *to = code.max(codes.lo).min(codes.hi) as u8;
                    }
                }
            }
            Accumulator::I32 => {
                for (column, pixel) in pixels {
                    let scaled = requant::requantize_i32(acc(column), multiplier, shift);
                    pack::set_code(pixel, codes.bits, self.index, codes.code(scaled));
                }
            }
            Accumulator::I64 => {
                for (column, pixel) in pixels {
                    let acc = (self.dots.wide)(weights, column).wrapping_add(i64::from(self.bias));
                    let scaled = requant::requantize(acc, multiplier, shift);
                    pack::set_code(pixel, codes.bits, self.index, codes.code(scaled));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::vec;

    #[test]
    fn equals_the_reference() {
        testing::conv::check(100, |conv, input, output| {
            let mut scratch = vec![0x77; super::conv_scratch_bytes(conv, input.bits)];
            super::conv(conv, input, output, &mut scratch);
        });
    }

    #[test]
    fn equals_the_reference_with_the_least_scratch_misaligned_or_none() {
        testing::conv::check(101, |conv, input, output| {
            let mut scratch = vec![0x77; super::conv_scratch_bytes_min(conv, input.bits) + 1];
            super::conv(conv, input, output, &mut scratch[1..]);
        });
        testing::conv::check(102, |conv, input, output| super::conv(conv, input, output, &mut []));
    }

    #[test]
    fn the_least_scratch_is_enough_for_the_fast_kernel() {
        for shape in testing::conv::shapes() {
            let mut random = testing::Random::new(5);
            let bits = [ActivationBits::A8, ActivationBits::A8];
            let (w8, i32) = (crate::WeightBits::W8, Accumulator::I32);
            let case = testing::conv::Case::random(&mut random, shape, w8, bits, i32);
            let conv = case.conv();
            let (least, best) = (conv_scratch_bytes_min(&conv, bits[0]), conv_scratch_bytes(&conv, bits[0]));
            assert!(least <= best);
            assert_eq!(conv.check(case.input.view().operand(), case.output_bytes(), least - 1), Err(crate::Invalid::ScratchLength));
        }
    }
}
