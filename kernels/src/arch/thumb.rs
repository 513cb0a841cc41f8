//! Cortex-M without products of halves: M3, and M0 with its like.
//!
//! Inner loops for weights arranged `unsigned`, each an assembler function: LLVM keeps neither four accumulators nor four words of columns
//! in registers there.

#[cfg(core_feature = "thumb2")]
mod v7m;
#[cfg(core_feature = "thumb2")]
use v7m as core_loops;
#[cfg(not(core_feature = "thumb2"))]
mod v6m;
#[cfg(not(core_feature = "thumb2"))]
use v6m as core_loops;

use crate::WeightBits;
use crate::portable::unsigned::{Blocks, COLUMNS, Portable, Product};

/// What an assembler function works on.
#[repr(C)]
struct Task {
    columns: *const [u32; COLUMNS],
    rows: *const u32,
    sums: *mut [u32; COLUMNS],
    /// At least 1.
    channels: usize,
    /// At least 1.
    row_words: usize,
    /// Words of a row between two times that sums are taken out, at least 1; for functions that do not know it.
    interval: usize,
}

/// The loops of this core where it has them, else plain Rust.
pub(crate) struct Thumb;

impl Blocks for Thumb {
    #[inline]
    fn run<const N: usize>(
        bits: WeightBits,
        product: Product,
        rows: &[u32],
        row_words: usize,
        columns: &[[u32; N]],
        sums: &mut [[u32; N]],
    ) {
        let interval = match product {
            Product::Two { units } => units,
            _ => 1,
        };
        let (_, columns_of_a_row) = (row_words, needed(bits, product, row_words));
        let fits = row_words > 0
            && !sums.is_empty()
            && columns.len() >= columns_of_a_row
            && row_words.checked_mul(sums.len()).is_some_and(|words| words <= rows.len());
        match core_loops::function(bits, product) {
            Some(function) if N == COLUMNS && fits => {
                let task = Task {
                    columns: columns.as_ptr().cast(),
                    rows: rows.as_ptr(),
                    sums: sums.as_mut_ptr().cast(),
                    channels: sums.len(),
                    row_words,
                    interval,
                };
                // SAFETY: N is COLUMNS; a function reads `channels * row_words` words of `rows` and the columns that so many words of a row
                // have, and writes `channels` sums: the slices have them.
                unsafe { function(&task) }
            }
            _ => Portable::run(bits, product, rows, row_words, columns, sums),
        }
    }
}

/// Columns' words that `row_words` words of weights are multiplied by.
fn needed(bits: WeightBits, product: Product, row_words: usize) -> usize {
    match (bits, product) {
        (WeightBits::W2, Product::Four) => row_words.saturating_mul(4),
        (WeightBits::W2, _) => row_words.saturating_mul(8),
        (WeightBits::W4, _) => row_words.saturating_mul(4),
        (WeightBits::W6, _) => row_words.saturating_mul(8).div_ceil(3),
        (WeightBits::W8, _) => row_words.saturating_mul(2),
    }
}
