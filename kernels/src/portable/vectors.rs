//! Convolutions with weights arranged for vectors of bytes: [`Arrangement::Vectors`](crate::Arrangement::Vectors), and
//! [`Arrangement::Lanes`](crate::Arrangement::Lanes) where they are depthwise.
//!
//! Three columns at a time meet the output channels, whose sums are kept for a chunk of channels, and one output stage makes codes of a
//! chunk. The inner blocks are a parameter: plain Rust here, an instruction set's vectors in `arch`.

mod blocks;
mod depthwise;
mod finish;
mod source;

pub(crate) use blocks::{Blocks, CHUNK, COLUMNS, PlainRust, Rect, Rows, Stage, Sums};
pub(crate) use depthwise::{conv as depthwise, scratch_bytes as depthwise_scratch_bytes};

use crate::arrange::vectors;
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv};
use finish::Finish;
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
    if conv.accumulator == Accumulator::I64 || !source::suffices(conv, input, columns) {
        return reference::conv::<Native>(conv, input, output);
    }
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    let layer = Layer::new(conv, input.bits);
    let mut sums = [[0; CHUNK]; COLUMNS];
    for group in 0..conv.groups {
        let mut source = Source::new(conv, input, group, columns);
        for pixels in output.chunks_mut(pixel_bytes * COLUMNS) {
            let count = pixels.chunks_exact(pixel_bytes).len();
            let (columns, totals) = source.next::<B>(count);
            let mut pixels = pixels.chunks_exact_mut(pixel_bytes);
            if count == COLUMNS {
                let pixels = core::array::from_fn(|_| pixels.next().unwrap_or_default());
                layer.block::<B, COLUMNS>(group, columns, totals, pixels, &mut sums);
            } else {
                for ((pixel, column), total) in pixels.zip(columns).zip(totals) {
                    layer.block::<B, 1>(group, [column], [total], [pixel], &mut sums);
                }
            }
        }
    }
}

/// What all blocks of a layer have in common.
struct Layer<'a> {
    conv: &'a Conv<'a>,
    finish: Finish<'a>,
    vectors: usize,
    row_bytes: usize,
    wide: bool,
}

impl<'a> Layer<'a> {
    fn new(conv: &'a Conv<'a>, bits: ActivationBits) -> Self {
        Self {
            conv,
            finish: Finish::new(&conv.stage),
            vectors: conv.row_len().div_ceil(vectors::LANES),
            row_bytes: vectors::row_bytes(conv.weight_bits, conv.row_len()),
            wide: bits == ActivationBits::A16,
        }
    }

    /// All output channels of a group at `N` pixels; `totals` are the sums of the columns' codes.
    #[inline(always)]
    fn block<B: Blocks, const N: usize>(
        &self,
        group: usize,
        columns: [&[u8]; N],
        totals: [i32; N],
        mut pixels: [&mut [u8]; N],
        sums: &mut Sums,
    ) {
        let offset = vectors::offset(self.conv.weight_bits);
        let corrections = totals.map(|total| total.wrapping_mul(-offset));
        let outputs = self.conv.group_outputs();
        for start in (0..outputs).step_by(CHUNK) {
            let (first, count) = (group * outputs + start, (outputs - start).min(CHUNK));
            let bytes = self.conv.weights.get(first * self.row_bytes..).and_then(|rest| rest.get(..count * self.row_bytes));
            let Some(bytes) = bytes else {
                return;
            };
            let rows = Rows { bytes, bits: self.conv.weight_bits, vectors: self.vectors, row_bytes: self.row_bytes, count };
            B::multiply(&rows, columns, self.wide, sums);
            self.finish.run::<B, N>(first, count, corrections, sums, &mut pixels);
        }
    }
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
        testing::conv::check_arranged(Arrangement::Vectors, 122, testing::conv::shapes(), |params, input, output| {
            conv::<PlainRust>(params, input, output, &mut []);
        });
    }
}
