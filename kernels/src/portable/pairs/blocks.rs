//! The inner loops, in plain Rust; `arch` has others.

use super::{COLUMNS, Group, Sums};
use crate::{ActivationBits, pack};

/// Inner loops. An implementation gives what [`Portable`] gives, bit for bit.
pub(crate) trait Blocks: Copy {
    /// What is known of a group before its first block.
    type Plan<'a>;

    /// See [`Blocks::Plan`].
    fn plan<'a>(self, group: &Group<'a>) -> Self::Plan<'a>;

    /// Copies `rows` times `bytes` bytes from `from`, each time `stride` further on, to `to`, one behind the other. May leave rubbish in
    /// what follows in `to`.
    #[inline]
    fn gather(self, from: &[u8], rows: usize, stride: usize, bytes: usize, to: &mut [u8]) {
        for (row, to) in to.chunks_exact_mut(bytes.max(1)).take(rows).enumerate() {
            let from = from.get(row.wrapping_mul(stride)..).unwrap_or_default();
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }

    /// Widens codes into the words of columns: for each pair `COLUMNS` words with its two codes in their halves. Adds each column's codes
    /// to `totals`.
    fn widen(self, run: &Run<'_>, columns: &mut [u32], totals: &mut [i32; COLUMNS]);

    /// Sums of the four channels of `row`, from their biases on. `totals` are the sums of the columns' codes. Where there are fewer channels,
    /// the last sums are rubbish.
    fn sums(self, group: &Group<'_>, row: &[u8], columns: &[u32], totals: [i32; COLUMNS], bias: [i32; 4]) -> Sums;

    /// Writes what it can of the group's channels into up to `COLUMNS` pixels, from the first one on. Returns how many are done.
    fn channels(self, plan: &mut Self::Plan<'_>, columns: &[u32], totals: [i32; COLUMNS], pixels: &mut [u8]) -> usize;

    /// One column of bytes, of which there are as many as a row has weights that are no padding; `total` is their sum. Writes what it can of
    /// the channels, and gives `each` the output, the index of a channel and the sums of it and the next three, without their biases, for
    /// the others; where there are fewer channels, the last sums are rubbish.
    fn vector(self, group: &Group<'_>, codes: &[u8], total: i32, output: &mut [u8], each: impl FnMut(&mut [u8], usize, [i32; 4]));
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
    /// Groups of four codes of a run, and their bytes.
    pub(crate) quads: usize,
    pub(crate) bytes: usize,
}

/// Plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Blocks for Portable {
    type Plan<'a> = ();

    fn plan<'a>(self, _: &Group<'a>) {}

    #[inline(never)]
    fn widen(self, run: &Run<'_>, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let rows = columns.chunks_exact_mut((run.quads * 2 * COLUMNS).max(1)).take(run.rows);
        for (row, columns) in rows.enumerate() {
            for (index, (from, total)) in run.from.into_iter().zip(totals.iter_mut()).enumerate() {
                let codes = from.get(row.wrapping_mul(run.stride)..).unwrap_or_default();
                let codes = codes.get(..run.bytes).unwrap_or_default().chunks_exact(pack::row_bytes(run.bits, 4).max(1));
                for (bytes, words) in codes.zip(columns.as_chunks_mut::<{ 2 * COLUMNS }>().0) {
                    let mut four = [0i16; 4];
                    pack::unpack_row(run.bits, bytes, &mut four);
                    *total = four.iter().fold(*total, |total, &code| total.wrapping_add(i32::from(code)));
                    let [even, odd] = [halves(four[0], four[2]), halves(four[1], four[3])];
                    for (place, pair) in [(index, even), (COLUMNS + index, odd)] {
                        if let Some(word) = words.get_mut(place) {
                            *word = pair;
                        }
                    }
                }
            }
        }
    }

    #[inline(never)]
    fn sums(self, group: &Group<'_>, row: &[u8], columns: &[u32], _: [i32; COLUMNS], bias: [i32; 4]) -> Sums {
        let mut sums = bias.map(|bias| [bias; COLUMNS]);
        for (pair, words) in columns.as_chunks::<COLUMNS>().0.iter().enumerate() {
            let place = pair / 2 * 4 + pair % 2;
            for (two, sums) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let weights = [group.two(row, two, place), group.two(row, two, place + 2)];
                for (channel, sums) in sums.iter_mut().enumerate() {
                    for (sum, &word) in sums.iter_mut().zip(words) {
                        let (low, high) = (i32::from(word as i16), i32::from((word >> 16) as i16));
                        *sum = sum.wrapping_add(low.wrapping_mul(weights[0][channel])).wrapping_add(high.wrapping_mul(weights[1][channel]));
                    }
                }
            }
        }
        sums
    }

    fn channels(self, (): &mut (), _: &[u32], _: [i32; COLUMNS], _: &mut [u8]) -> usize {
        0
    }

    #[inline(never)]
    fn vector(self, group: &Group<'_>, codes: &[u8], _: i32, output: &mut [u8], mut each: impl FnMut(&mut [u8], usize, [i32; 4])) {
        for (index, row) in group.rows().enumerate() {
            let mut sums = [0i32; 4];
            for (two, sums) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                for (place, &code) in codes.iter().enumerate() {
                    for (sum, weight) in sums.iter_mut().zip(group.two(row, two, place)) {
                        *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(code)));
                    }
                }
            }
            each(output, 4 * index, sums);
        }
    }
}

/// Two codes in a word.
#[inline]
pub(super) fn halves(low: i16, high: i16) -> u32 {
    u32::from(low as u16) | u32::from(high as u16) << 16
}
