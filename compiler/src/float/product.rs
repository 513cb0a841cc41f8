//! Matrix products of channel-last activations with weights.
//!
//! Rows are taken a tile at a time and turned into `[K][rows]`, which is what the product packs fastest: packing rows as they lie took longer than
//! multiplying them. A tile of outputs stays in the cache from its bias to its last sum.

use std::cell::RefCell;

use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice, linalg::general_mat_mul};

use crate::graph::Clamp;

/// Rows of a tile.
const TILE: usize = 256;

/// Rows that are turned at once.
const LANES: usize = 8;

/// With fewer rows than this the product would pack weights for longer than it uses them.
const ROWS_MIN: usize = 4;

thread_local! {
    /// A tile of inputs, kept from one product to the next.
    static TURNED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// One product: `output[rows][outputs] = bias + input[rows][inputs] * weights[inputs][outputs]`, with `row` telling where the `inputs` of a row lie,
/// in segments of `segment` values; `None` is a segment of zeros.
pub(super) struct Product<'a, R> {
    /// Segments of a row.
    pub(super) segments: usize,
    /// Values of a segment.
    pub(super) segment: usize,
    /// `[segments * segment][outputs]`.
    pub(super) weights: &'a [f32],
    /// The values of a segment of a row.
    pub(super) row: R,
    /// Bounds of the sums.
    pub(super) clamp: Clamp,
}

impl<'v, R: Fn(usize, usize) -> Option<&'v [f32]>> Product<'_, R> {
    /// `[rows][outputs]`, each row the bias and its sums.
    pub(super) fn on_bias(&self, rows: usize, bias: &[f32]) -> Vec<f32> {
        let mut output = Vec::with_capacity(rows * bias.len());
        for first in (0..rows).step_by(TILE) {
            let start = output.len();
            (first..rows.min(first + TILE)).for_each(|_| output.extend_from_slice(bias));
            self.add_part(first, &mut output[start..], bias.len(), 0..bias.len());
        }
        output
    }

    /// Adds to the columns `columns` of `output`, whose rows have `width` values.
    pub(super) fn add_to(&self, output: &mut [f32], width: usize, columns: std::ops::Range<usize>) {
        for (tile, output) in output.chunks_mut((TILE * width).max(1)).enumerate() {
            self.add_part(tile * TILE, output, width, columns.clone());
        }
    }

    fn add_part(&self, first: usize, output: &mut [f32], width: usize, columns: std::ops::Range<usize>) {
        if output.len() / width.max(1) < ROWS_MIN {
            self.add_rows(first, output, width, columns.clone());
        } else {
            TURNED.with_borrow_mut(|turned| self.add_tile(first, turned, output, width, columns.clone()));
        }
        if self.clamp.is_none() {
            return;
        }
        let Clamp { lo, hi } = self.clamp;
        if columns.len() == width {
            output.iter_mut().for_each(|v| *v = v.max(lo).min(hi));
        } else {
            output.chunks_exact_mut(width).for_each(|row| row[columns.clone()].iter_mut().for_each(|v| *v = v.max(lo).min(hi)));
        }
    }

    fn add_tile(&self, first: usize, turned: &mut Vec<f32>, output: &mut [f32], width: usize, columns: std::ops::Range<usize>) {
        let (rows, inputs, outputs) = (output.len() / width, self.segments * self.segment, columns.len());
        turned.resize(inputs * rows, 0.0);
        for (segment, turned) in turned.chunks_exact_mut((self.segment * rows).max(1)).enumerate() {
            turn(rows, self.segment, turned, |row| (self.row)(first + row, segment));
        }
        let views = (
            ArrayView2::from_shape((inputs, rows), turned.as_slice()),
            ArrayView2::from_shape((inputs, outputs), self.weights),
            ArrayViewMut2::from_shape((rows, width), output),
        );
        if let (Ok(turned), Ok(weights), Ok(mut output)) = views {
            let mut output = output.slice_axis_mut(Axis(1), Slice::from(columns));
            general_mat_mul(1.0, &turned.t(), &weights, 1.0, &mut output);
        }
    }

    fn add_rows(&self, first: usize, output: &mut [f32], width: usize, columns: std::ops::Range<usize>) {
        for (row, output) in (first..).zip(output.chunks_exact_mut(width)) {
            let output = &mut output[columns.clone()];
            for segment in 0..self.segments {
                let Some(values) = (self.row)(row, segment) else { continue };
                let weights = self.weights[segment * self.segment * output.len()..].chunks_exact(output.len());
                for (x, weights) in values.iter().zip(weights) {
                    output.iter_mut().zip(weights).for_each(|(sum, w)| *sum += x * w);
                }
            }
        }
    }
}

/// Writes `turned[value][row]` from the rows' values.
fn turn<'v>(rows: usize, values: usize, turned: &mut [f32], row: impl Fn(usize) -> Option<&'v [f32]>) {
    let mut first = 0;
    while first + LANES <= rows {
        let lanes: [Option<&[f32]>; LANES] = std::array::from_fn(|lane| row(first + lane));
        let full = if lanes.iter().all(Option::is_some) { values / 4 * 4 } else { 0 };
        for value in (0..full).step_by(4) {
            let block: [[f32; 4]; LANES] =
                std::array::from_fn(|lane| lanes[lane].and_then(|lane| lane[value..].first_chunk().copied()).unwrap_or_default());
            for column in 0..4 {
                if let Some(to) = turned[(value + column) * rows + first..].first_chunk_mut::<LANES>() {
                    (0..LANES).for_each(|lane| to[lane] = block[lane][column]);
                }
            }
        }
        for value in full..values {
            let to = turned[value * rows + first..].iter_mut().zip(&lanes);
            to.for_each(|(to, lane)| *to = lane.map_or(0.0, |lane| lane[value]));
        }
        first += LANES;
    }
    for row_index in first..rows {
        let values_of_row = row(row_index);
        (0..values).for_each(|value| turned[value * rows + row_index] = values_of_row.map_or(0.0, |row| row[value]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers: their sums are exact in any order.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 7919 + seed * 31) % 17) as f32 - 8.0).collect()
    }

    #[test]
    fn tiles_tails_and_missing_segments_give_the_plain_sum() {
        for rows in [1, 3, 4, 7, 8, 9, 255, 256, 257, 520] {
            for (segments, segment) in [(1, 1), (1, 5), (3, 4), (9, 3), (2, 8)] {
                let (outputs, width) = (5, 11);
                let inputs = segments * segment;
                let (input, weights) = (numbers(rows * inputs, 1), numbers(inputs * outputs, 2));
                let missing = |row: usize, part: usize| (row + part) % 4 == 1;
                let product = Product {
                    segments,
                    segment,
                    weights: &weights,
                    clamp: Clamp { lo: -200.0, hi: 100.0 },
                    row: |row, part| (!missing(row, part)).then(|| &input[row * inputs + part * segment..][..segment]),
                };
                let start = numbers(rows * width, 3);
                let mut output = start.clone();
                product.add_to(&mut output, width, 4..9);
                for (place, (before, after)) in start.iter().zip(&output).enumerate() {
                    let (row, column) = (place / width, place % width);
                    let term = |k: usize| {
                        if missing(row, k / segment) { 0.0 } else { input[row * inputs + k] * weights[k * outputs + column - 4] }
                    };
                    let sum: f32 = if (4..9).contains(&column) { (0..inputs).map(term).sum() } else { 0.0 };
                    let expected = (before + sum).clamp(-200.0, 100.0);
                    assert_eq!(expected, *after, "{rows} rows, {segments} x {segment}, row {row}, column {column}");
                }
                let bias = &start[..outputs];
                let mut output: Vec<f32> = (0..rows).flat_map(|_| bias.to_vec()).collect();
                product.add_to(&mut output, outputs, 0..outputs);
                assert_eq!(product.on_bias(rows, bias), output);
            }
        }
    }
}
