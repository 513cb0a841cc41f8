//! Depthwise convolution on planes: for processors that multiply two pairs of 16-bit numbers in one instruction.
//!
//! Four input channels at a time, the rows that a strip of output rows reads are widened into four planes in scratch memory, with the padding
//! in place, so that what follows knows no borders. Two neighbours of a row are one word. An output channel is a program:
//! its taps as words of two, in the order in which they are used, then its output stage. [`Blocks`] runs programs over a [`Span`](span::Span) of
//! the strip, in blocks of a few neighbours of a row.

pub(crate) mod blocks;
mod finish;
pub(crate) mod layout;
pub(crate) mod program;
pub(crate) mod span;
mod stage;
pub(crate) mod widen;

use super::columns::rows_join;
use crate::{ActivationBits, Activations, Conv, pack};
use blocks::Blocks;
use finish::Channels;
use layout::Layout;
use program::Programs;
use span::Spans;
use widen::{Widen, pair};

/// Channels that are widened together: as many as a word has bytes.
pub(crate) const TOGETHER: usize = 4;

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
    let Some((words, rest)) = scratch.split_at_mut_checked(TOGETHER * layout.program_words) else {
        return false;
    };
    let Some((kept, planes)) = rest.split_at_mut_checked(layout.kept_words) else {
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
    let last_rows = conv.output.height - (strips - 1) * layout.rows;
    // Before the last strip there are as many rows below as the last has, or more.
    let spans = Spans::new(conv, &layout, layout.rows, last_rows);
    let last_spans = Spans::new(conv, &layout, last_rows, 0);
    let mut programs = Programs::new(blocks, conv, &layout, words);
    for first in (0..conv.groups).step_by(TOGETHER) {
        let count = TOGETHER.min(conv.groups - first);
        if outputs == 1 {
            programs.set_all(blocks, conv, input.bits, first..first + count);
        }
        for strip in 0..strips {
            let spans = if strip + 1 < strips { &spans } else { &last_spans };
            let top = strip * layout.rows;
            let widen = Widen::new(conv, &layout, input, first, top, spans.rows);
            if strips > 1 {
                widen.pad(planes, padding);
            }
            blocks.widen(&widen, planes);
            let Some(output) = output.get_mut(top * row_bytes..) else {
                return true;
            };
            if let Some(run) = programs.codes(count).filter(|_| outputs == 1) {
                Channels { blocks, conv, run, planes, spans, index: first }.run(kept, output);
                continue;
            }
            for (planes, group) in planes.chunks_exact(layout.plane_words.max(1)).zip(first..conv.groups) {
                for index in group * outputs..(group + 1) * outputs {
                    let place = if outputs == 1 { index - first } else { 0 };
                    let set = outputs == 1 || programs.set(blocks, conv, input.bits, place, index);
                    if let Some(run) = programs.one(place).filter(|_| set) {
                        Channels { blocks, conv, run, planes, spans, index }.run(kept, output);
                    }
                }
            }
        }
    }
    let codes = conv.stage.codes();
    if matches!(codes.bits, ActivationBits::A6 | ActivationBits::A8) {
        if codes.lo > 0 || codes.hi < 255 {
            blocks.clamp(output, codes.lo as u8, codes.hi as u8);
        }
    } else if !rows_join(codes.bits, conv.output.channels) {
        for pixel in output.chunks_exact_mut(conv.output.pixel_bytes(conv.stage.bits).max(1)) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
    true
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
        let least = |conv: &Conv<'_>, _| Layout::least(conv).map_or(0, |layout| layout.words() * 4 + 3);
        let shapes = testing::conv::depthwise_shapes();
        let cases = shapes.len() * 4 * 5;
        let taken = check(401, shapes, least);
        assert!(taken >= cases, "{taken} of {cases}");
    }
}
