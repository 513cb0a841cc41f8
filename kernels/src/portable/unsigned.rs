//! Convolution and fully connected layers for processors that multiply whole words only, with weights arranged `unsigned`.
//!
//! Two codes `a0`, `a1` of a column in the halves of a word, times two weights the other way round in another, leave `a0 w0 + a1 w1` in the
//! upper half of the 32-bit product, and one product in the lower half, as long as neither half overflows: two multiply-accumulates an
//! instruction. Sums may run over several steps before the upper half is taken out, the more the narrower the codes are ([`Product::new`]);
//! 2-bit codes by 2-bit weights fit four to a word. Codes and weights have to be unsigned for that. A weight is stored `2^(b-1)` too large,
//! and that times the sum of the column's codes is taken away, once for all output channels. What fits no half is multiplied one by one.
//!
//! The inner loops are [`Blocks`], so that `arch` can bring its own.

mod blocks;
mod columns;
mod depthwise;
mod finish;

pub(crate) use blocks::{Blocks, Portable, Product, Rows};
#[cfg_attr(not(all(core_feature = "thumb", not(core_feature = "dsp"))), expect(unused_imports, reason = "for loops of a core's own"))]
pub(crate) use depthwise::Taps;
#[cfg_attr(not(all(core_feature = "thumb", not(core_feature = "dsp"))), expect(unused_imports, reason = "for loops of a core's own"))]
pub(crate) use finish::ByteStage;

use crate::arrange::unsigned;
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack};
use columns::Source;
use finish::Finish;

/// Columns that are multiplied at once.
pub(crate) const COLUMNS: usize = 4;

/// Output channels between two turns of the output stage.
const CHANNELS: usize = 16;

/// Words of a column in scratch.
pub(crate) fn column_words(conv: &Conv<'_>, input: ActivationBits) -> usize {
    let (weights, _) = unsigned::unit(conv.weight_bits);
    let codes = conv.row_len().div_ceil(weights).saturating_mul(weights);
    codes / Product::new(conv.weight_bits, input).codes_of_a_word()
}

/// Columns that a convolution needs at once.
fn columns_at_once(conv: &Conv<'_>) -> usize {
    if conv.output.pixels() == 1 { 1 } else { COLUMNS }
}

/// Scratch bytes, aligned to four: the columns, or what a depthwise convolution keeps.
pub(super) fn scratch_bytes(conv: &Conv<'_>, input: ActivationBits) -> usize {
    match conv.accumulator {
        Accumulator::I32 if depthwise::applies(conv) => depthwise::scratch_bytes(conv, input),
        Accumulator::I32 => column_words(conv, input).saturating_mul(columns_at_once(conv) * size_of::<u32>()),
        Accumulator::I64 => 0,
    }
}

/// Convolution; see [`Conv`]. As slow as the reference where the accumulator has 64 bits, where weights or scratch are not aligned to words,
/// and where words are not little-endian.
pub(crate) fn conv<B: Blocks>(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    let weights = bytemuck::try_cast_slice::<u8, u32>(conv.weights);
    let scratch = scratch.get_mut(..scratch_bytes(conv, input.bits));
    let (Ok(weights), Some(scratch), Accumulator::I32, true) = (weights, scratch, conv.accumulator, cfg!(target_endian = "little")) else {
        return reference::conv::<Native>(conv, input, output);
    };
    if depthwise::applies(conv) {
        depthwise::conv::<B>(conv, input, output, weights, scratch);
    } else {
        match bytemuck::try_cast_slice_mut(scratch) {
            Ok(columns) if columns_at_once(conv) == 1 => by_blocks::<B, 1>(conv, input, output, weights, columns),
            Ok(columns) => by_blocks::<B, COLUMNS>(conv, input, output, weights, columns),
            Err(_) => return reference::conv::<Native>(conv, input, output),
        }
    }
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(conv.output.pixel_bytes(conv.stage.bits).max(1)) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
}

fn by_blocks<B: Blocks, const N: usize>(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], weights: &[u32], columns: &mut [u32]) {
    let (columns, _) = columns.as_chunks_mut::<N>();
    let product = Product::new(conv.weight_bits, input.bits);
    let row_words = unsigned::row_words(conv.weight_bits, conv.row_len());
    let finish = Finish::new(conv);
    let (pixels, outputs) = (conv.output.pixels(), conv.group_outputs());
    for group in 0..conv.groups {
        let source = Source::new(conv, input, group, product);
        let (mut pixel, mut position) = (0, [0, 0]);
        while pixel < pixels {
            let codes = source.fill::<B, N>(position, columns);
            position = after(position, N, conv.output.width);
            // What the weights' offset adds.
            let start = codes.map(|sum| sum.wrapping_mul(unsigned::offset(conv.weight_bits) as u32).wrapping_neg());
            let (mut channel, end) = (group * outputs, (group + 1) * outputs);
            while channel < end {
                let count = CHANNELS.min(end - channel);
                let mut sums = [[0; N]; CHANNELS];
                let (Some(sums), Some(words)) = (sums.get_mut(..count), weights.get(channel * row_words..)) else {
                    return;
                };
                B::run(Rows { bits: conv.weight_bits, product, words, row_words }, columns, &start, sums);
                finish.block::<B, N>(pixel, channel, sums, output);
                channel += count;
            }
            pixel += N;
        }
    }
}

/// The row and column that many pixels on, without division.
fn after([mut y, mut x]: [usize; 2], pixels: usize, width: usize) -> [usize; 2] {
    x += pixels;
    while x >= width.max(1) {
        (y, x) = (y + 1, x - width.max(1));
    }
    [y, x]
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::{Arrangement, testing};

    #[test]
    fn equals_the_reference() {
        let run = |params: &Conv<'_>, input: Activations<'_>, output: &mut [u8]| {
            let mut scratch = vec![0x7777_7777u32; scratch_bytes(params, input.bits).div_ceil(4)];
            conv::<Portable>(params, input, output, bytemuck::cast_slice_mut(&mut scratch));
        };
        testing::conv::check_arranged(Arrangement::Unsigned, 400, testing::conv::shapes(), run);
        testing::conv::check_arranged(Arrangement::Unsigned, 401, testing::conv::wide_shapes(), run);
    }

    #[test]
    fn equals_the_reference_without_scratch_or_alignment() {
        testing::conv::check_arranged(Arrangement::Unsigned, 402, testing::conv::shapes(), |params, input, output| {
            conv::<Portable>(params, input, output, &mut []);
            let mut scratch = vec![0x7777_7777u32; scratch_bytes(params, input.bits) / 4 + 1];
            conv::<Portable>(params, input, output, bytemuck::cast_slice_mut::<u32, u8>(&mut scratch).get_mut(1..).unwrap_or_default());
        });
    }
}
