//! Sums of products of rows of weights and columns of codes.

use super::columns;
use super::depthwise::Taps;
use super::finish::ByteStage;
use crate::arrange::unsigned::{step, step_of_four, unit};
use crate::{ActivationBits, WeightBits};

/// How weights and codes are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    /// One by one, codes as halves of a word.
    Single {
        /// Whether codes are signed.
        signed: bool,
    },
    /// Two at once; the upper half is taken out after that many units of weights, or after every two steps for 0.
    Two {
        /// Units.
        units: usize,
    },
    /// Four at once, codes in the bytes of a word; the highest byte is taken out after every unit.
    Four,
}

impl Product {
    /// The way for these widths.
    pub(crate) const fn new(weights: WeightBits, codes: ActivationBits) -> Self {
        if codes.signed() {
            return Self::Single { signed: true };
        }
        if matches!((weights, codes), (WeightBits::W2, ActivationBits::A2)) {
            return Self::Four;
        }
        let largest = ((1 << weights.bits()) - 1) * codes.hi();
        // The upper half gains two products a step, the lower half one.
        let steps = u16::MAX as i32 / (2 * largest);
        match steps {
            0 => Self::Single { signed: false },
            _ => Self::Two { units: steps as usize * 2 / unit(weights).0 },
        }
    }

    /// Codes of a column's word.
    pub(crate) const fn codes_of_a_word(self) -> usize {
        match self {
            Self::Four => 4,
            _ => 2,
        }
    }
}

/// Inner loops.
pub(crate) trait Blocks {
    /// `sums[c][j]` = `start[j]` and the sum of row `c` of `rows` times column `j`, the codes of `columns[..][j]`, wrapping. Nothing is
    /// promised where `columns` or `rows` are shorter than the rows need.
    fn run<const N: usize>(rows: Rows<'_>, columns: &[[u32; N]], start: &[u32; N], sums: &mut [[u32; N]]);

    /// Writes groups of four bytes `a0` to `a3` into column `index` as `a0 | a2 << 16` and `a1 | a3 << 16`, and returns the sum of the codes.
    fn bytes<const N: usize>(codes: &[u32], index: usize, columns: &mut [[u32; N]]) -> u32 {
        columns::apart(codes, index, columns)
    }

    /// Adds products of a pixel's channels to `sums[..][index]`.
    fn add_taps<const N: usize>(taps: &Taps<'_>, index: usize, sums: &mut [[u32; N]]) {
        taps.add(index, sums);
    }

    /// Writes the codes of `sums` into bytes: channel `c` of pixel `j` at `c + j * pixel_bytes` of `output`, as far as that reaches.
    fn finish<const N: usize>(stage: &ByteStage<'_>, sums: &[[u32; N]], output: &mut [u8]) {
        stage.finish(sums, output);
    }
}

/// Rows of weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) bits: WeightBits,
    pub(crate) product: Product,
    pub(crate) words: &'a [u32],
    /// Words of one row.
    pub(crate) row_words: usize,
}

/// Plain Rust.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Blocks for Portable {
    fn run<const N: usize>(rows: Rows<'_>, columns: &[[u32; N]], start: &[u32; N], sums: &mut [[u32; N]]) {
        let mut words = rows.words;
        for pair in sums.chunks_mut(2) {
            let Some((first, others)) = words.split_at_checked(rows.row_words) else {
                return;
            };
            let (second, others) = others.split_at_checked(rows.row_words).unwrap_or((first, others));
            words = others;
            let both = match (rows.product, rows.bits) {
                (Product::Single { .. }, WeightBits::W2) => single::<2, 1, 8, N>([first, second], columns),
                (Product::Single { .. }, WeightBits::W4) => single::<4, 1, 4, N>([first, second], columns),
                (Product::Single { .. }, WeightBits::W6) => single::<6, 3, 8, N>([first, second], columns),
                (Product::Single { .. }, WeightBits::W8) => single::<8, 1, 2, N>([first, second], columns),
                (product, bits) => [first, second].map(|row| several(bits, product, row, columns)),
            };
            for (sums, row) in pair.iter_mut().zip(both) {
                for ((sum, start), products) in sums.iter_mut().zip(start).zip(row) {
                    *sum = start.wrapping_add(products);
                }
            }
        }
    }
}

/// Several products at once.
#[inline(always)]
fn several<const N: usize>(bits: WeightBits, product: Product, row: &[u32], columns: &[[u32; N]]) -> [u32; N] {
    match (product, bits) {
        (Product::Two { units: 0 }, _) => two::<6, 3, 8, 2, N>(1, row, columns),
        (Product::Two { units }, WeightBits::W2) => two::<2, 1, 8, 8, N>(units, row, columns),
        (Product::Two { units }, WeightBits::W4) => two::<4, 1, 4, 4, N>(units, row, columns),
        (Product::Two { units }, WeightBits::W6) => two::<6, 3, 8, 8, N>(units, row, columns),
        (Product::Two { units }, WeightBits::W8) => two::<8, 1, 2, 2, N>(units, row, columns),
        _ => four(row, columns),
    }
}

/// Two products at once. A unit is `WORDS` words and `STEPS` steps; the sums are taken out after every `SPLIT` steps, or where that is the
/// whole unit, after so many units.
#[inline(never)]
fn two<const BITS: u32, const WORDS: usize, const STEPS: usize, const SPLIT: usize, const N: usize>(
    units: usize,
    row: &[u32],
    columns: &[[u32; N]],
) -> [u32; N] {
    let (mut row, _) = row.as_chunks::<WORDS>();
    let (mut columns, _) = columns.as_chunks::<STEPS>();
    let mut sums = [0u32; N];
    while let (Some((words, words_left)), Some((codes, codes_left))) =
        (row.split_at_checked(units.min(row.len())), columns.split_at_checked(units.min(columns.len())))
    {
        if words.is_empty() || codes.is_empty() {
            break;
        }
        (row, columns) = (words_left, codes_left);
        let mut accs = [0u32; N];
        for (unit, codes) in words.iter().zip(codes) {
            for (index, codes) in codes.iter().enumerate() {
                let weights = step::<BITS>(unit, index);
                for (acc, &code) in accs.iter_mut().zip(codes) {
                    *acc = acc.wrapping_add(weights.wrapping_mul(code));
                }
                if SPLIT < STEPS && index % SPLIT == SPLIT - 1 {
                    take_out(&mut sums, &mut accs);
                }
            }
        }
        take_out(&mut sums, &mut accs);
    }
    sums
}

#[inline(always)]
fn take_out<const N: usize>(sums: &mut [u32; N], accs: &mut [u32; N]) {
    for (sum, acc) in sums.iter_mut().zip(accs) {
        *sum = sum.wrapping_add(*acc >> 16);
        *acc = 0;
    }
}

/// Four products at once, 2 bits by 2 bits: four steps of at most 36 fit a byte.
#[inline(never)]
fn four<const N: usize>(row: &[u32], columns: &[[u32; N]]) -> [u32; N] {
    let mut sums = [0u32; N];
    for (word, codes) in row.iter().zip(columns.as_chunks::<4>().0) {
        let mut accs = [0u32; N];
        for (index, codes) in codes.iter().enumerate() {
            let weights = step_of_four(&[*word], index);
            for (acc, &code) in accs.iter_mut().zip(codes) {
                *acc = acc.wrapping_add(weights.wrapping_mul(code));
            }
        }
        for (sum, acc) in sums.iter_mut().zip(accs) {
            *sum = sum.wrapping_add(acc >> 24);
        }
    }
    sums
}

/// Product by product, for two rows: the halves of the columns' words serve both.
#[inline(never)]
fn single<const BITS: u32, const WORDS: usize, const STEPS: usize, const N: usize>(
    [first, second]: [&[u32]; 2],
    columns: &[[u32; N]],
) -> [[u32; N]; 2] {
    let mut sums = [[0u32; N]; 2];
    let [first_sums, second_sums] = &mut sums;
    let rows = first.as_chunks::<WORDS>().0.iter().zip(second.as_chunks::<WORDS>().0);
    for ((first, second), codes) in rows.zip(columns.as_chunks::<STEPS>().0) {
        for (index, codes) in codes.iter().enumerate() {
            let (first, second) = (step::<BITS>(first, index), step::<BITS>(second, index));
            for ((a, b), &code) in first_sums.iter_mut().zip(&mut *second_sums).zip(codes) {
                let (low, high) = (code as i16 as u32, (code as i32 >> 16) as u32);
                *a = a.wrapping_add(low.wrapping_mul(first >> 16)).wrapping_add(high.wrapping_mul(first & 0xffff));
                *b = b.wrapping_add(low.wrapping_mul(second >> 16)).wrapping_add(high.wrapping_mul(second & 0xffff));
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_do_not_overflow() {
        for weights in WeightBits::ALL {
            for codes in ActivationBits::ALL {
                let largest = ((1u32 << weights.bits()) - 1) * codes.hi() as u32;
                let (of_a_unit, _) = unit(weights);
                match Product::new(weights, codes) {
                    Product::Single { .. } => assert!(codes.signed() || 2 * largest > 0xffff, "{weights:?} {codes:?}"),
                    Product::Four => assert!(4 * 4 * largest <= 0xff),
                    Product::Two { units: 0 } => assert!(weights == WeightBits::W6 && 2 * 2 * largest <= 0xffff, "{codes:?}"),
                    Product::Two { units } => {
                        assert!(units as u32 * of_a_unit as u32 * largest <= 0xffff, "{weights:?} {codes:?}");
                    }
                }
            }
        }
    }
}
