//! Convolution and fully connected layers with weights in the orders [`Pairs`](Arrangement::Pairs) and [`Duals`](Arrangement::Duals).
//!
//! The image is taken in blocks of three output pixels. Their columns (im2col) are widened to 16 bits once and serve all channels; two
//! channels by three columns are six sums, which leave a processor with fourteen registers room for the operands. Scratch holds the three
//! columns: six bytes for each weight of a row. A single vector of bytes is read where it lies.
//!
//! The loops are here, in safe code for every machine; what a processor does better is a [`Blocks`].

mod blocks;
mod columns;
mod vector;

use crate::arrange::{duals, pairs};
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Arrangement, Conv, OutputStage, WeightBits, pack, requant};
#[cfg(core_feature = "dsp")]
pub(crate) use blocks::Run;
pub(crate) use blocks::{Blocks, Portable};
pub(crate) use columns::COLUMNS;
use columns::Packer;
use core::ops::RangeInclusive;

/// Shifts r for which rounding and zero point go into the high word of the product: it stays below 2^31, since the product of an
/// accumulator and a multiplier is below 2^62 and `(2z + 1) << (r - 33)` below 2^30 for every zero point of a byte.
pub(crate) const HIGH_SHIFTS: RangeInclusive<u8> = 33..=54;

/// Sums of four channels and of the columns of a block.
pub(crate) type Sums = [[i32; COLUMNS]; 4];

/// Scratch bytes, for that input width. With less the layer is left to the reference.
pub(crate) fn scratch_bytes(conv: &Conv<'_>, input: ActivationBits) -> usize {
    if conv.accumulator != Accumulator::I32 {
        return 0;
    }
    if vector::applies(conv, input) {
        return vector::scratch_bytes(conv, input);
    }
    (columns_words(conv) * size_of::<u32>()).saturating_add(columns::extra_bytes(conv, input))
}

/// Whether the weights are in the order of [`duals`] and not in that of [`pairs`].
const fn is_dual(conv: &Conv<'_>) -> bool {
    matches!((conv.arrangement, conv.weight_bits), (Arrangement::Duals, WeightBits::W2))
}

/// Weights of a padded row.
fn padded(conv: &Conv<'_>) -> usize {
    if is_dual(conv) { duals::padded(conv.row_len()) } else { pairs::padded(conv.weight_bits, conv.row_len()) }
}

/// Words of the columns of a block.
fn columns_words(conv: &Conv<'_>) -> usize {
    COLUMNS * padded(conv) / 2
}

/// Convolution; see [`Conv`].
pub(crate) fn conv(blocks: impl Blocks, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    let done = conv.accumulator == Accumulator::I32
        && if vector::applies(conv, input.bits) {
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

/// Output channels that read the same columns.
#[derive(Clone, Copy)]
#[cfg_attr(not(core_feature = "dsp"), allow(dead_code, reason = "some of it is for the kernels of a processor"))]
pub(crate) struct Group<'a> {
    pub(crate) weight_bits: WeightBits,
    pub(crate) input_bits: ActivationBits,
    /// Weights of a row, padding included.
    pub(crate) row_len: usize,
    /// Whether the weights are in the order of [`duals`].
    pub(crate) dual: bool,
    pub(crate) weights: &'a [u8],
    /// Bytes of four channels' rows.
    pub(crate) row_bytes: usize,
    /// Output stage of the group's channels.
    pub(crate) stage: OutputStage<'a>,
    /// Whether all shifts are in [`HIGH_SHIFTS`].
    pub(crate) high: bool,
    /// First channel of the group.
    pub(crate) first: usize,
    /// Bytes of an output pixel.
    pub(crate) pixel_bytes: usize,
}

impl<'a> Group<'a> {
    fn new(conv: &Conv<'a>, input: ActivationBits, index: usize) -> Option<Self> {
        let (dual, shape, row_len) = (is_dual(conv), conv.weight_shape(), conv.row_len());
        let (row_bytes, bytes) = if dual {
            (duals::row_bytes(row_len), duals::group_fours(&shape) * duals::row_bytes(row_len))
        } else {
            let two = pairs::row_bytes(conv.weight_bits, row_len);
            (2 * two, pairs::group_pairs(&shape) * two)
        };
        let channels = conv.group_outputs();
        let (first, stage) = (index * channels, conv.stage);
        let stage = OutputStage {
            bias: stage.bias.get(first..)?.get(..channels)?,
            multiplier: stage.multiplier.get(first..)?.get(..channels)?,
            shift: stage.shift.get(first..)?.get(..channels)?,
            ..stage
        };
        Some(Self {
            weight_bits: conv.weight_bits,
            input_bits: input,
            row_len: padded(conv),
            dual,
            weights: conv.weights.get(index * bytes..)?.get(..bytes)?,
            row_bytes,
            stage,
            high: stage.shift.iter().all(|shift| HIGH_SHIFTS.contains(shift)),
            first,
            pixel_bytes: conv.output.pixel_bytes(conv.stage.bits).max(1),
        })
    }

    /// Rows of four channels, or of the last two where the weights are in twos.
    fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        self.weights.chunks(self.row_bytes.max(1))
    }

    /// Weights of channels `2 * two` and `2 * two + 1` of four.
    #[inline]
    fn two(&self, row: &[u8], two: usize, place: usize) -> [i32; 2] {
        if self.dual {
            duals::two(row, two, place)
        } else {
            pairs::two(self.weight_bits, row.get(two * (self.row_bytes / 2)..).unwrap_or_default(), place)
        }
    }

    /// Writes the channels from channel `done` on.
    #[inline(never)]
    fn finish<B: Blocks>(&self, blocks: B, columns: &[u32], totals: [i32; COLUMNS], done: usize, pixels: &mut [u8]) {
        for (four, row) in self.rows().enumerate().skip(done / 4) {
            let channels: [_; 4] = core::array::from_fn(|index| self.stage.channel(4 * four + index));
            let bias = channels.map(|channel| channel.map_or(0, |(bias, _, _)| bias));
            let sums = blocks.sums(self, row, columns, totals, bias);
            for ((index, channel), sums) in (4 * four..).zip(channels).zip(sums) {
                if let Some((_, multiplier, shift)) = channel.filter(|_| index >= done) {
                    for (pixel, sum) in pixels.chunks_exact_mut(self.pixel_bytes.max(1)).zip(sums) {
                        write(&self.stage, pixel, self.first + index, sum, multiplier, shift);
                    }
                }
            }
        }
    }
}

/// `false` where the scratch is too small.
fn by_columns<B: Blocks>(blocks: B, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    let Some((columns, rest)) = words.split_at_mut_checked(columns_words(conv)) else {
        return false;
    };
    let Some(rest) = bytemuck::cast_slice_mut(rest).get_mut(..columns::extra_bytes(conv, input.bits)) else {
        return false;
    };
    // What pads a row stays.
    columns.fill(0);
    for index in 0..conv.groups {
        let Some((group, mut packer)) = Group::new(conv, input.bits, index).zip(Packer::new(conv, input, index, rest)) else {
            return true;
        };
        let mut plan = blocks.plan(&group);
        for pixels in output.chunks_mut((group.pixel_bytes * COLUMNS).max(1)) {
            let totals = packer.fill(blocks, columns);
            let done = blocks.channels(&mut plan, columns, totals, pixels);
            if done < group.stage.bias.len() {
                group.finish(blocks, columns, totals, done, pixels);
            }
        }
    }
    true
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
    use std::vec::Vec;

    fn check(seed: u64, shapes: Vec<testing::conv::Shape>, offset: usize, spare: isize) {
        for arrangement in [Arrangement::Pairs, Arrangement::Duals] {
            testing::conv::check_arranged(arrangement, seed, shapes.clone(), |conv, input, output| {
                let bytes = scratch_bytes(conv, input.bits).saturating_add_signed(spare);
                super::conv(Portable, conv, input, output, &mut vec![0x77; bytes + offset][offset..]);
            });
        }
    }

    #[test]
    fn equals_the_reference() {
        check(120, testing::conv::shapes(), 0, 0);
        check(121, testing::conv::wide_shapes().into_iter().step_by(3).collect(), 0, 0);
    }

    #[test]
    fn equals_the_reference_with_misaligned_scratch_or_too_little() {
        let some = || testing::conv::shapes().into_iter().step_by(5).collect();
        check(122, some(), 1, 3);
        check(123, some(), 0, -1);
        check(124, some(), 0, isize::MIN);
    }
}
