//! The inner loops, in plain Rust; `arch` has others.

use super::{Block, COLUMNS, Sums};
use crate::arrange::pairs::{quantum, two};
use crate::{ActivationBits, WeightBits, pack};

/// Inner loops. An implementation gives what [`Portable`] gives, bit for bit.
pub(crate) trait Blocks: Copy {
    /// Widens codes into columns: `4 * quads` codes from each of `from`, `rows` times, each time `stride` bytes further on. Adds each
    /// column's codes to `totals`. `columns` has `rows * quads * 2 * COLUMNS` words.
    fn widen(&self, run: &Run<'_>, columns: &mut [u32], totals: &mut [i32; COLUMNS]);

    /// Sums of the two channels of `row`, from their biases on.
    fn sums(&self, block: &Block<'_>, row: &[u8], bias: [i32; 2]) -> Sums;

    /// Writes what it can of a block's channels into `pixels`, from the first pair on. Returns how many pairs are done.
    fn channels(&self, block: &Block<'_>, pixels: &mut [u8]) -> usize;

    /// As [`Blocks::sums`] of one column of bytes, whose sum is `total`. `codes` has at most as many codes as the row has weights.
    fn vector(&self, bits: WeightBits, row: &[u8], codes: &[u8], total: i32, bias: [i32; 2]) -> [i32; 2];
}

/// Codes that lie alike for each column of a block.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) bits: ActivationBits,
    /// Packed codes, from the first one on, of each column.
    pub(crate) from: [&'a [u8]; COLUMNS],
    /// Runs.
    pub(crate) rows: usize,
    /// Bytes from one run to the next.
    pub(crate) stride: usize,
    /// Groups of four codes of a run.
    pub(crate) quads: usize,
}

/// Plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Blocks for Portable {
    fn widen(&self, run: &Run<'_>, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let rows = columns.chunks_exact_mut((run.quads * 2 * COLUMNS).max(1)).take(run.rows);
        for (row, columns) in rows.enumerate() {
            for (index, (from, total)) in run.from.into_iter().zip(totals.iter_mut()).enumerate() {
                let codes = from.get(row.wrapping_mul(run.stride)..).unwrap_or_default();
                for (quad, words) in columns.as_chunks_mut::<{ 2 * COLUMNS }>().0.iter_mut().enumerate() {
                    let bytes = codes.get(pack::row_bytes(run.bits, 4 * quad)..).unwrap_or_default();
                    let mut four = [0i16; 4];
                    pack::unpack_row(run.bits, bytes.get(..pack::row_bytes(run.bits, 4)).unwrap_or_default(), &mut four);
                    *total = four.iter().fold(*total, |total, &code| total.wrapping_add(i32::from(code)));
                    words[index] = halves(four[0], four[2]);
                    words[COLUMNS + index] = halves(four[1], four[3]);
                }
            }
        }
    }

    fn sums(&self, block: &Block<'_>, row: &[u8], bias: [i32; 2]) -> Sums {
        let mut sums = bias.map(|bias| [bias; COLUMNS]);
        for (pair, words) in block.columns.as_chunks::<COLUMNS>().0.iter().enumerate() {
            let place = pair / 2 * 4 + pair % 2;
            let weights = [two(block.weight_bits, row, place), two(block.weight_bits, row, place + 2)];
            for (channel, sums) in sums.iter_mut().enumerate() {
                for (sum, &word) in sums.iter_mut().zip(words) {
                    let (low, high) = (i32::from(word as i16), i32::from((word >> 16) as i16));
                    *sum = sum.wrapping_add(low.wrapping_mul(weights[0][channel])).wrapping_add(high.wrapping_mul(weights[1][channel]));
                }
            }
        }
        sums
    }

    fn channels(&self, _: &Block<'_>, _: &mut [u8]) -> usize {
        0
    }

    fn vector(&self, bits: WeightBits, row: &[u8], codes: &[u8], _: i32, bias: [i32; 2]) -> [i32; 2] {
        debug_assert!(codes.len() <= row.len() * 4 / bits.bits() as usize && quantum(bits) > 0);
        codes.iter().enumerate().fold(bias, |sums, (place, &code)| {
            let [first, second] = two(bits, row, place);
            [sums[0].wrapping_add(first.wrapping_mul(i32::from(code))), sums[1].wrapping_add(second.wrapping_mul(i32::from(code)))]
        })
    }
}

/// Two codes in a word.
#[inline]
pub(super) fn halves(low: i16, high: i16) -> u32 {
    u32::from(low as u16) | u32::from(high as u16) << 16
}
