//! The product of two matrices, and a portable way to compute it.

use alloc::vec;

/// Sizes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of A and C.
    pub rows: usize,
    /// Columns of A, rows of B.
    pub inner: usize,
    /// Columns of B and C.
    pub columns: usize,
}

/// Something that multiplies matrices of `f32`.
///
/// A row of the result must not depend on the other rows of A or on their number, as long as that is a multiple of [`Self::row_multiple`].
pub trait MatrixProduct {
    /// The number of rows is made a multiple of this, with rows of zeros, so that an implementation in tiles has none that is cut off.
    fn row_multiple(&self) -> usize {
        1
    }

    /// `c = a * b`, all row-major: `a` is `[rows, inner]`, `b` is `[inner, columns]`, `c` is `[rows, columns]` and overwritten. The slices have these
    /// sizes.
    fn multiply(&mut self, sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]);
}

impl<P: MatrixProduct + ?Sized> MatrixProduct for &mut P {
    fn row_multiple(&self) -> usize {
        (**self).row_multiple()
    }

    fn multiply(&mut self, sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
        (**self).multiply(sizes, a, b, c);
    }
}

/// Rows of a tile of sums that stays in registers.
const ROWS: usize = 4;

/// Columns of such a tile.
const COLUMNS: usize = 8;

/// Plain Rust, without assumptions about the processor. Each value is summed over the inner dimension from first to last, so that the result is the same
/// on every machine that computes as IEEE 754 asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portable;

impl MatrixProduct for Portable {
    fn multiply(&mut self, sizes: Sizes, a: &[f32], b: &[f32], c: &mut [f32]) {
        let Sizes { rows, inner, columns } = sizes;
        if rows == 0 || columns == 0 {
            return;
        }
        if inner == 0 {
            c.fill(0.0);
            return;
        }
        // Tiles of A and B lie as they are read: `[tile][inner][ROWS]` and `[inner][COLUMNS]`, zero beyond the edges.
        let mut a_tiles = vec![0.0; rows.div_ceil(ROWS) * inner * ROWS];
        for (of_tile, tile) in a.chunks(ROWS * inner).zip(a_tiles.chunks_exact_mut(ROWS * inner)) {
            for (row, values) in of_tile.chunks_exact(inner).enumerate() {
                tile.iter_mut().skip(row).step_by(ROWS).zip(values).for_each(|(to, value)| *to = *value);
            }
        }
        let mut b_tile = vec![0.0; inner * COLUMNS];
        for first in (0..columns).step_by(COLUMNS) {
            let width = COLUMNS.min(columns - first);
            for (row, tile) in b.chunks_exact(columns).zip(b_tile.chunks_exact_mut(COLUMNS)) {
                tile.iter_mut().zip(row.iter().skip(first).take(width)).for_each(|(to, value)| *to = *value);
            }
            for (a_tile, rows) in a_tiles.chunks_exact(ROWS * inner).zip(c.chunks_mut(ROWS * columns)) {
                let sums = tile(a_tile, &b_tile);
                for (row, sums) in rows.chunks_exact_mut(columns).zip(sums) {
                    row.iter_mut().skip(first).zip(sums.iter().take(width)).for_each(|(to, sum)| *to = *sum);
                }
            }
        }
    }
}

/// The product of `[inner][ROWS]`, turned, and `[inner][COLUMNS]`.
fn tile(a: &[f32], b: &[f32]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0_f32; COLUMNS]; ROWS];
    for (a, b) in a.chunks_exact(ROWS).zip(b.chunks_exact(COLUMNS)) {
        for (sums, a) in sums.iter_mut().zip(a) {
            sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
        }
    }
    sums
}
