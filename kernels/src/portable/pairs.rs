//! Convolution and fully connected layers with weights in the order [`pairs`](crate::Arrangement::Pairs).
//!
//! The image is taken in blocks of three output pixels. Their columns (im2col) are widened to 16 bits once and serve all channels; two
//! channels by three columns are six sums, which leave a processor with fourteen registers room for the operands. Scratch holds the three
//! columns: six bytes for each weight of a row. A single vector of bytes is read where it lies.
//!
//! The loops are here, in safe code for every machine; what a processor does better is a [`Blocks`].

mod blocks;
mod columns;
mod vector;

use crate::arrange::pairs::{group_pairs, padded, row_bytes};
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv, OutputStage, WeightBits, pack, requant};
pub(crate) use blocks::{Blocks, Portable, Run};
pub(crate) use columns::COLUMNS;
use columns::Packer;
use core::ops::RangeInclusive;

/// Shifts r for which rounding and zero point go into the high word of the product: it stays below 2^31, since the product of an
/// accumulator and a multiplier is below 2^62 and `(2z + 1) << (r - 33)` below 2^30 for every zero point of a byte.
pub(crate) const HIGH_SHIFTS: RangeInclusive<u8> = 33..=54;

/// Sums of two channels and of the columns of a block.
pub(crate) type Sums = [[i32; COLUMNS]; 2];

/// Scratch bytes, for that input width. With less the layer is left to the reference.
pub(crate) fn scratch_bytes(conv: &Conv<'_>, input: ActivationBits) -> usize {
    if conv.accumulator != Accumulator::I32 {
        return 0;
    }
    let codes = padded(conv.weight_bits, conv.row_len());
    if vector::applies(conv) {
        return if matches!(input, ActivationBits::A6 | ActivationBits::A8) { 0 } else { codes * size_of::<i16>() };
    }
    (columns_words(conv) * size_of::<u32>()).saturating_add(columns::border_bytes(conv, input))
}

/// Words of the columns of a block.
fn columns_words(conv: &Conv<'_>) -> usize {
    COLUMNS * padded(conv.weight_bits, conv.row_len()) / 2
}

/// Convolution; see [`Conv`].
pub(crate) fn conv(blocks: impl Blocks, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    let done = conv.accumulator == Accumulator::I32
        && if vector::applies(conv) {
            vector::fully_connected(blocks, conv, input, output, scratch)
        } else {
            by_columns(blocks, conv, input, output, scratch)
        };
    if !done {
        reference::conv::<Native>(conv, input, output);
    } else if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(conv.output.pixel_bytes(conv.stage.bits).max(1)) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
}

/// The columns of up to three output pixels.
pub(crate) struct Block<'a> {
    pub(crate) weight_bits: WeightBits,
    pub(crate) input_bits: ActivationBits,
    /// Weights of the group.
    pub(crate) weights: &'a [u8],
    /// Bytes of two channels' rows.
    pub(crate) row_bytes: usize,
    /// `[pairs][COLUMNS]`: the two codes of a pair in the halves of a word.
    pub(crate) columns: &'a [u32],
    /// Sum of the codes of each column.
    pub(crate) totals: [i32; COLUMNS],
    /// Columns that are pixels of the output, from the first on; the others hold rubbish.
    pub(crate) used: usize,
    /// Output stage of the group's channels.
    pub(crate) stage: OutputStage<'a>,
    /// Whether all shifts are in [`HIGH_SHIFTS`].
    pub(crate) high: bool,
    /// First channel of the group.
    pub(crate) first: usize,
    /// Bytes of an output pixel.
    pub(crate) pixel_bytes: usize,
}

/// Weights and output stage of a group.
fn group<'a>(conv: &Conv<'a>, index: usize) -> Option<(&'a [u8], OutputStage<'a>)> {
    let bytes = group_pairs(&conv.weight_shape()) * row_bytes(conv.weight_bits, conv.row_len());
    let channels = conv.group_outputs();
    let (first, stage) = (index * channels, conv.stage);
    Some((
        conv.weights.get(index * bytes..)?.get(..bytes)?,
        OutputStage {
            bias: stage.bias.get(first..)?.get(..channels)?,
            multiplier: stage.multiplier.get(first..)?.get(..channels)?,
            shift: stage.shift.get(first..)?.get(..channels)?,
            ..stage
        },
    ))
}

/// `false` where the scratch is too small.
fn by_columns(blocks: impl Blocks, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    let Some((columns, border)) = words.split_at_mut_checked(columns_words(conv)) else {
        return false;
    };
    let Some(border) = bytemuck::cast_slice_mut(border).get_mut(..columns::border_bytes(conv, input.bits)) else {
        return false;
    };
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    for index in 0..conv.groups {
        let Some((weights, stage)) = group(conv, index) else {
            return true;
        };
        let Some(mut packer) = Packer::new(conv, input, index, border) else {
            return true;
        };
        let high = stage.shift.iter().all(|shift| HIGH_SHIFTS.contains(shift));
        for pixels in output.chunks_mut(pixel_bytes * COLUMNS) {
            let mut block = Block {
                weight_bits: conv.weight_bits,
                input_bits: input.bits,
                weights,
                row_bytes: row_bytes(conv.weight_bits, conv.row_len()),
                totals: packer.fill(&blocks, columns),
                columns,
                used: COLUMNS.min(pixels.chunks_exact(pixel_bytes).len()),
                stage,
                high,
                first: index * conv.group_outputs(),
                pixel_bytes,
            };
            let done = blocks.channels(&block, pixels);
            block.finish(blocks, done, pixels);
        }
    }
    true
}

impl Block<'_> {
    /// Writes the channels from pair `done` on.
    fn finish(&mut self, blocks: impl Blocks, done: usize, pixels: &mut [u8]) {
        let rows = self.weights.chunks_exact(self.row_bytes.max(1)).enumerate();
        for (index, row) in rows.skip(done) {
            let (channel, stage) = (2 * index, self.stage);
            let [Some(first), second] = [stage.channel(channel), stage.channel(channel + 1)] else {
                return;
            };
            let sums = blocks.sums(self, row, [first.0, second.map_or(0, |second| second.0)]);
            for (offset, (channel, sums)) in [Some(first), second].into_iter().zip(sums).enumerate() {
                let Some((_, multiplier, shift)) = channel else {
                    return;
                };
                for (pixel, sum) in pixels.chunks_exact_mut(self.pixel_bytes.max(1)).zip(sums) {
                    write(&stage, pixel, self.first + 2 * index + offset, sum, multiplier, shift);
                }
            }
        }
    }
}

/// One output code.
#[inline(never)]
fn write(stage: &OutputStage<'_>, pixel: &mut [u8], channel: usize, sum: i32, multiplier: i32, shift: u8) {
    let code = stage.codes().code(requant::requantize_i32(sum, multiplier, shift));
    pack::set_code(pixel, stage.bits, channel, code);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arrangement, testing};
    use std::vec;

    #[test]
    fn equals_the_reference() {
        let shapes = || testing::conv::shapes().into_iter().chain(testing::conv::wide_shapes()).collect();
        testing::conv::check_arranged(Arrangement::Pairs, 120, shapes(), |conv, input, output| {
            let mut scratch = vec![0x77; scratch_bytes(conv, input.bits)];
            super::conv(Portable, conv, input, output, &mut scratch);
        });
    }

    #[test]
    fn equals_the_reference_with_misaligned_scratch_or_none() {
        testing::conv::check_arranged(Arrangement::Pairs, 121, testing::conv::shapes(), |conv, input, output| {
            let mut scratch = vec![0x77; scratch_bytes(conv, input.bits) + 4];
            super::conv(Portable, conv, input, output, &mut scratch[1..]);
        });
        testing::conv::check_arranged(Arrangement::Pairs, 122, testing::conv::shapes(), |conv, input, output| {
            super::conv(Portable, conv, input, output, &mut []);
        });
    }
}
