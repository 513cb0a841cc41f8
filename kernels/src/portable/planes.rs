//! Depthwise convolution on planes: for processors that multiply two pairs of 16-bit numbers in one instruction.
//!
//! Four input channels at a time, the rows that a strip of output rows reads are widened into four planes in scratch memory, with the padding
//! in place, so that what follows knows no borders. Two neighbours of a row are one word. An output channel is a [`Program`](program::Program):
//! its taps as words of two, in the order in which they are used, then its output stage. [`Blocks`] runs it down a column of blocks, each of
//! a few neighbours of a row.

pub(crate) mod blocks;
pub(crate) mod layout;
pub(crate) mod program;
mod stage;
pub(crate) mod widen;

use crate::{ActivationBits, Activations, Conv, pack, requant};
use blocks::{Blocks, Column};
use layout::{BLOCK_MAX, Layout};
use program::{Channel, End, Program};
use stage::Stage;
use widen::{Widen, pair};

/// Channels that are widened together: as many as a word has bytes.
pub(crate) const TOGETHER: usize = 4;

/// Rows of which the words are kept where they do not become codes at once.
const SUMS_ROWS: usize = 4;
const SUMS_WORDS: usize = SUMS_ROWS * BLOCK_MAX;

/// Scratch bytes with which [`conv`] is fastest; 0 where it does not apply.
pub(crate) fn scratch_bytes(conv: &Conv<'_>, input: ActivationBits) -> usize {
    Layout::best(conv, input).map_or(0, |layout| layout.words() * size_of::<u32>() + align_of::<u32>() - 1)
}

/// Depthwise convolution, or `false`, with the output untouched, where the scratch memory is not enough or the convolution is another.
pub(crate) fn conv<B: Blocks>(blocks: &B, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    let Some(layout) = Layout::new(conv, scratch.len()) else {
        return false;
    };
    let Some((program, rest)) = scratch.split_at_mut_checked(layout.program_words) else {
        return false;
    };
    let Some((sums, planes)) = rest.split_first_chunk_mut::<SUMS_WORDS>() else {
        return false;
    };
    let Some(planes) = planes.get_mut(..TOGETHER * layout.plane_words) else {
        return false;
    };
    let padding = pair(input.zero_point, input.zero_point);
    planes.fill(padding);
    let strips = conv.output.height.div_ceil(layout.rows.max(1));
    let outputs = conv.group_outputs();
    let row_bytes = conv.output.width * conv.output.pixel_bytes(conv.stage.bits);
    for first in (0..conv.groups).step_by(TOGETHER) {
        for strip in 0..strips {
            let top = strip * layout.rows;
            let rows = layout.rows.min(conv.output.height - top);
            let widen = Widen::new(conv, &layout, input, first, top, rows);
            if strips > 1 {
                widen.pad(planes, padding);
            }
            blocks.widen(&widen, planes);
            let Some(output) = output.get_mut(top * row_bytes..(top + rows) * row_bytes) else {
                return true;
            };
            for (plane, channel) in planes.chunks_exact(layout.plane_words.max(1)).zip(first..conv.groups) {
                for channel in channel * outputs..(channel + 1) * outputs {
                    let parts = parts(conv, input.bits, channel);
                    if let Some(program) = parts.and_then(|parts| Program::new(blocks, conv, &layout, parts, program)) {
                        let strip = Strip { blocks, conv, layout: &layout, program, plane, rows, channel };
                        strip.run(sums, output);
                    }
                }
            }
        }
    }
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(conv.output.pixel_bytes(conv.stage.bits).max(1)) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
    true
}

/// What the program of an output channel is made from.
fn parts<'a>(conv: &Conv<'a>, input: ActivationBits, channel: usize) -> Option<Channel<'a>> {
    let taps = conv.window.taps();
    let row = pack::row(conv.weights, pack::weight_row_bytes(conv.weight_bits, taps), channel);
    let (bias, multiplier, shift) = conv.stage.channel(channel)?;
    let stage = Stage::new(&conv.stage.codes(), shift, || {
        let taps: u64 = (0..taps).map(|tap| u64::from(pack::weight(row, conv.weight_bits, tap).unsigned_abs())).sum();
        let code = input.hi().unsigned_abs().max(input.lo().unsigned_abs());
        taps * u64::from(code) + u64::from(bias.unsigned_abs())
    });
    Some(Channel { row, bias, multiplier, stage })
}

/// One output channel of a strip of rows.
struct Strip<'a, B> {
    blocks: &'a B,
    conv: &'a Conv<'a>,
    layout: &'a Layout,
    program: Program<'a>,
    plane: &'a [u32],
    rows: usize,
    channel: usize,
}

impl<B: Blocks> Strip<'_, B> {
    fn run(&self, sums: &mut [u32; SUMS_WORDS], output: &mut [u8]) {
        let straight = self.program.end == End::Codes;
        for (start, size) in Layout::columns(self.conv.output.width, straight && self.layout.compact) {
            let Some(pairs) = self.plane.get(self.layout.offset(start)..) else {
                return;
            };
            if straight {
                self.codes(start, size, pairs, output);
            } else {
                self.words(start, pairs, sums, output);
            }
        }
    }

    /// Codes of 8 bits, straight to the output.
    fn codes(&self, start: usize, size: usize, pairs: &[u32], output: &mut [u8]) {
        let (width, channels) = (self.conv.output.width, self.conv.output.channels);
        // A block that passes the right border writes into the rows below, which come after it. The last rows go elsewhere.
        let beyond = (start + size).saturating_sub(width);
        let last = if beyond == 0 { 0 } else { beyond.div_ceil(width.max(1)).min(self.rows) };
        let rows = self.rows - last;
        let to = output.get_mut(start * channels + self.channel..).unwrap_or_default();
        if rows > 0 {
            self.blocks.codes(&Column { program: &self.program, size, pairs, rows }, to, channels, width * channels);
        }
        for row in rows..self.rows {
            let mut codes = [0; BLOCK_MAX];
            let pairs = pairs.get(row * self.layout.row_words..).unwrap_or_default();
            self.blocks.codes(&Column { program: &self.program, size, pairs, rows: 1 }, &mut codes, 1, 0);
            let to = output.get_mut((row * width + start) * channels + self.channel..).unwrap_or_default();
            for (to, code) in to.iter_mut().step_by(channels.max(1)).zip(codes).take(width - start.min(width)) {
                *to = code;
            }
        }
    }

    /// Codes of any width, from words.
    #[inline(never)]
    fn words(&self, start: usize, pairs: &[u32], sums: &mut [u32; SUMS_WORDS], output: &mut [u8]) {
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits);
        for first in (0..self.rows).step_by(SUMS_ROWS) {
            let rows = SUMS_ROWS.min(self.rows - first);
            let pairs = pairs.get(first * self.layout.row_words..).unwrap_or_default();
            self.blocks.sums(&Column { program: &self.program, size: BLOCK_MAX, pairs, rows }, sums);
            let output = output.get_mut(first * self.conv.output.width * pixel_bytes..).unwrap_or_default();
            self.finish(start, sums.get(..rows * BLOCK_MAX).unwrap_or_default(), output);
        }
    }

    fn finish(&self, start: usize, sums: &[u32], output: &mut [u8]) {
        let (width, codes) = (self.conv.output.width, self.conv.stage.codes());
        let pixel_bytes = self.conv.output.pixel_bytes(codes.bits).max(1);
        let Some((_, multiplier, shift)) = self.conv.stage.channel(self.channel) else {
            return;
        };
        let rows = output.chunks_exact_mut((width * pixel_bytes).max(1));
        for (sums, row) in sums.as_chunks::<BLOCK_MAX>().0.iter().zip(rows) {
            let pixels = row.chunks_exact_mut(pixel_bytes).skip(start);
            for (&sum, pixel) in sums.iter().zip(pixels) {
                let sum = sum as i32;
                let code = if self.program.end == End::Words {
                    sum.max(codes.lo).min(codes.hi)
                } else {
                    codes.code(requant::requantize_i32(sum, multiplier, shift))
                };
                pack::set_code(pixel, codes.bits, self.channel, code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::planes::blocks::Portable;
    use crate::reference::{self, Native};
    use crate::testing;
    use core::cell::Cell;
    use std::vec;

    /// As many taken as there are, with that much scratch.
    fn check(seed: u64, shapes: std::vec::Vec<testing::conv::Shape>, bytes: fn(&Conv<'_>, ActivationBits) -> usize) -> usize {
        let taken = Cell::new(0);
        testing::conv::check_shapes(seed, shapes, |params, input, output| {
            let mut scratch = vec![0x77; bytes(params, input.bits)];
            if conv(&Portable, params, input, output, &mut scratch) {
                taken.set(taken.get() + 1);
            } else {
                reference::conv::<Native>(params, input, output);
            }
        });
        taken.get()
    }

    #[test]
    fn equals_the_reference() {
        let shapes = testing::conv::depthwise_shapes();
        let cases = shapes.len() * 4 * 5;
        let taken = check(400, shapes, scratch_bytes);
        assert!(taken >= cases, "{taken} of {cases}");
    }

    #[test]
    fn equals_the_reference_with_the_least_scratch() {
        let least = |conv: &Conv<'_>, input| Layout::least(conv, input).map_or(0, |layout| layout.words() * 4 + 3);
        let shapes = testing::conv::depthwise_shapes();
        let cases = shapes.len() * 4 * 5;
        let taken = check(401, shapes, least);
        assert!(taken >= cases, "{taken} of {cases}");
    }
}
