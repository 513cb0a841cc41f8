//! The steps of a layer that are no matrix product. Each sums in an order of its own that depends on the sizes alone.

use alloc::vec;
use alloc::vec::Vec;

use super::Dense;

/// Columns that are summed in registers while the rows pass.
const COLUMNS: usize = 32;

/// Sums of a dot product that run side by side.
const LANES: usize = 16;

/// Values of one row of weights in a panel, on lines of the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
struct Line([f32; COLUMNS]);

/// The first layer. Its weights lie in panels of [`COLUMNS`] columns, each of which stays in the cache while a batch passes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gather {
    dimensions: usize,
    /// `[panels][dimensions]`, zero beyond the last column.
    weight: Vec<Line>,
    bias: Vec<f32>,
}

impl Gather {
    /// From weights `[dimensions, outputs]`; both are at least 1.
    pub(super) fn new(dimensions: usize, Dense { weight, bias }: Dense) -> Self {
        let mut lines = vec![Line([0.0; COLUMNS]); bias.len().div_ceil(COLUMNS) * dimensions];
        for (panel, lines) in lines.chunks_exact_mut(dimensions).enumerate() {
            for (line, row) in lines.iter_mut().zip(weight.chunks_exact(bias.len())) {
                line.0.iter_mut().zip(row.iter().skip(panel * COLUMNS)).for_each(|(to, value)| *to = *value);
            }
        }
        Self { dimensions, weight: lines, bias }
    }

    /// Inputs.
    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Outputs.
    pub(super) fn width(&self) -> usize {
        self.bias.len()
    }

    /// `rows[candidate] = max(bias + sum of weight rows, 0)` over the rows that the candidate names, in their order. An index that does not exist
    /// counts for nothing; rows beyond the last candidate are left as they are.
    pub(super) fn run(&self, candidates: &[Vec<u32>], rows: &mut [f32]) {
        let width = self.width();
        for (panel, weight) in self.weight.chunks_exact(self.dimensions).enumerate() {
            let first = panel * COLUMNS;
            let mut start = [0.0; COLUMNS];
            start.iter_mut().zip(self.bias.iter().skip(first)).for_each(|(to, value)| *to = *value);
            for (ones, row) in candidates.iter().zip(rows.chunks_exact_mut(width)) {
                let mut sums = start;
                for line in ones.iter().filter_map(|&one| weight.get(one as usize)) {
                    sums.iter_mut().zip(&line.0).for_each(|(sum, addend)| *sum += addend);
                }
                let sums = sums.map(relu);
                match row.get_mut(first..first + COLUMNS) {
                    Some(part) => part.copy_from_slice(&sums),
                    None => row.iter_mut().skip(first).zip(sums).for_each(|(to, value)| *to = value),
                }
            }
        }
    }
}

/// Adds `bias` to every row and cuts below zero.
pub(super) fn bias_relu(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value = relu(*value + bias));
    }
}

/// Sum of products, in [`LANES`] sums that are added up in order.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

/// No number stays none, so that it is not taken for an accuracy.
fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}
