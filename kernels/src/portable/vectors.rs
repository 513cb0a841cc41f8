//! Convolutions with weights arranged for vectors of bytes: [`Arrangement::Vectors`](crate::Arrangement::Vectors), and
//! [`Arrangement::Lanes`](crate::Arrangement::Lanes) where they are depthwise.
//!
//! Three columns at a time meet the output channels, whose sums are kept for a chunk of channels, and one output stage makes codes of a
//! chunk. The inner blocks are a parameter: plain Rust here, an instruction set's vectors in `arch`.

mod blocks;
mod depthwise;
mod finish;
mod parameters;
mod source;

#[cfg(core_feature = "mve")]
pub(crate) use blocks::PlainPass;
pub(crate) use blocks::{Blocks, CHUNK, COLUMNS, Channels, Places, PlainRust, Sums, ZERO};
pub(crate) use depthwise::{conv as depthwise, scratch_bytes as depthwise_scratch_bytes};
pub(crate) use parameters::{Columns, Lanes, Pixels, Rect, Rows, Stage};

use crate::arrange::vectors;
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv};
use source::Source;

/// Columns in scratch memory; none where the input's pixels are columns already. Sums of 64 bits are the reference's.
pub(crate) fn scratch_bytes(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    if conv.accumulator == Accumulator::I64 || source::is_direct(conv, bits) {
        return 0;
    }
    source::column_bytes(conv, bits).saturating_mul(COLUMNS.min(conv.output.pixels())).saturating_add(source::ALIGNMENT)
}

/// See [`native::conv`](crate::native::conv), for [`Arrangement::Vectors`](crate::Arrangement::Vectors).
pub(crate) fn conv<B: Blocks>(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    let (_, columns, _) = bytemuck::pod_align_to_mut::<u8, i16>(scratch);
    let suffices = conv.accumulator == Accumulator::I32 && source::suffices(conv, input, columns);
    match Rows::new(conv, input.bits).zip(Stage::new(&conv.stage)) {
        Some((rows, stage)) if suffices => {
            let layer = Layer { conv, rows, stage };
            // A fully connected layer needs less stack, and less of it cleared.
            if conv.output.pixels() < COLUMNS {
                layer.each_pixel::<B>(input, output, columns);
            } else {
                layer.blocks::<B>(input, output, columns);
            }
        }
        _ => reference::conv::<Native>(conv, input, output),
    }
}

/// A convolution, checked.
struct Layer<'a> {
    conv: &'a Conv<'a>,
    rows: Rows<'a>,
    stage: Stage<'a>,
}

impl Layer<'_> {
    #[inline(never)]
    fn each_pixel<B: Blocks>(&self, input: Activations<'_>, output: &mut [u8], scratch: &mut [i16]) {
        let mut sums = [[0; CHUNK]];
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits).max(1);
        let outputs = self.conv.group_outputs();
        for group in 0..self.conv.groups {
            let mut source = Source::new::<B>(self.conv, input, group, scratch);
            let group = self.group::<B>(group * outputs, (group + 1) * outputs);
            for pixel in output.chunks_exact_mut(pixel_bytes) {
                let (columns, totals) = source.next::<B, 1>();
                self.block::<B, 1>(&group, columns, totals, pixel, pixel_bytes, &mut sums);
            }
        }
    }

    #[inline(never)]
    fn blocks<B: Blocks>(&self, input: Activations<'_>, output: &mut [u8], scratch: &mut [i16]) {
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits).max(1);
        let mut sums = [[0; CHUNK]; COLUMNS];
        let outputs = self.conv.group_outputs();
        for group in 0..self.conv.groups {
            let mut source = Source::new::<B>(self.conv, input, group, scratch);
            let group = self.group::<B>(group * outputs, (group + 1) * outputs);
            let mut blocks = output.chunks_exact_mut(pixel_bytes * COLUMNS);
            for pixels in &mut blocks {
                let (columns, totals) = source.next::<B, COLUMNS>();
                self.block::<B, COLUMNS>(&group, columns, totals, pixels, pixel_bytes, &mut sums);
            }
            let [sums, ..] = &mut sums;
            for pixel in blocks.into_remainder().chunks_exact_mut(pixel_bytes) {
                let (columns, totals) = source.next::<B, 1>();
                self.block::<B, 1>(&group, columns, totals, pixel, pixel_bytes, core::array::from_mut(sums));
            }
        }
    }

    /// Output channels of a group at `N` pixels; `totals` are the sums of the columns' codes.
    #[inline(always)]
    fn block<B: Blocks, const N: usize>(
        &self,
        group: &Group<'_, B>,
        columns: Columns<'_, N>,
        totals: [i32; N],
        bytes: &mut [u8],
        step: usize,
        sums: &mut [Sums; N],
    ) {
        let offset = vectors::offset(self.rows.bits());
        let corrections = totals.map(|total| total.wrapping_mul(-offset));
        self.chunk(group, columns, &corrections, Pixels { bytes: &mut *bytes, step, at: group.chunk.first }, sums);
        let mut first = group.chunk.first + group.chunk.count;
        while first < group.end {
            let next = self.group::<B>(first, group.end);
            self.chunk(&next, columns, &corrections, Pixels { bytes: &mut *bytes, step, at: first }, sums);
            first += next.chunk.count;
        }
    }

    /// The first chunk of channels at `N` pixels.
    #[inline(always)]
    fn chunk<B: Blocks, const N: usize>(
        &self,
        group: &Group<'_, B>,
        columns: Columns<'_, N>,
        corrections: &[i32; N],
        pixels: Pixels<'_, N>,
        sums: &mut [Sums; N],
    ) {
        B::multiply(&group.products, columns, sums);
        finish::finish::<B, N>(&self.stage, &group.codes, group.chunk, corrections, sums, pixels);
    }

    /// Prepares output channels `first .. end`, not none.
    fn group<B: Blocks>(&self, first: usize, end: usize) -> Group<'_, B> {
        let chunk = Channels { first, count: (end - first).min(CHUNK) };
        Group { chunk, end, products: B::products(&self.rows, chunk), codes: B::codes(&self.stage, chunk) }
    }
}

/// Output channels of a group, the first chunk of them prepared.
struct Group<'a, B: Blocks> {
    chunk: Channels,
    /// Behind the last chunk.
    end: usize,
    products: B::Products<'a>,
    codes: B::Codes<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arrangement, testing};
    use std::vec;

    #[test]
    fn equals_the_reference() {
        for shapes in [testing::conv::shapes(), testing::conv::wide_shapes()] {
            testing::conv::check_arranged(Arrangement::Vectors, 120, shapes, |params, input, output| {
                let mut scratch = vec![0x77; scratch_bytes(params, input.bits)];
                conv::<PlainRust>(params, input, output, &mut scratch);
            });
        }
    }

    #[test]
    fn equals_the_reference_with_misaligned_or_too_little_scratch() {
        testing::conv::check_arranged(Arrangement::Vectors, 121, testing::conv::shapes(), |params, input, output| {
            let mut scratch = vec![0x77; scratch_bytes(params, input.bits) + 1];
            conv::<PlainRust>(params, input, output, &mut scratch[1..]);
        });
        testing::conv::check_widths(Arrangement::Vectors, 122, testing::conv::shapes(), |params, input, output| {
            conv::<PlainRust>(params, input, output, &mut []);
        });
    }
}
