//! What rounding needs to know of a layer's inputs: their second moments, and how they pull the weights towards the float outputs.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

/// Rows of the inputs of one group of output channels, `[rows][K]`, with the float outputs that they should give, `[rows][O]`.
pub(super) struct Rows {
    /// `[rows][K]`.
    pub(super) inputs: Array2<f32>,
    /// `[rows][O]`, without the clamp.
    pub(super) targets: Array2<f32>,
}

/// Moments of inputs and targets about their means.
pub(super) struct Moments {
    /// Mean input, `[K]`.
    pub(super) mean_input: Array1<f64>,
    /// Mean target, `[O]`.
    pub(super) mean_target: Array1<f64>,
    /// `X'X / n`, `[K][K]`.
    pub(super) inputs: Array2<f64>,
    /// `T'X / n`, `[O][K]`.
    pub(super) cross: Array2<f64>,
}

/// Rows whose products are summed in f32 before they are added in f64.
const ROWS_PER_SUM: usize = 256;

/// Columns that one thread works on.
const COLUMNS_PER_TASK: usize = 64;

impl Moments {
    /// Centres the rows, which is what the bias makes up for, and sums their products.
    pub(super) fn new(mut rows: Rows) -> Moments {
        let mean_input = centre(&mut rows.inputs);
        let mean_target = centre(&mut rows.targets);
        let mut inputs = products(&rows.inputs, &rows.inputs, true);
        let cross = products(&rows.targets, &rows.inputs, false);
        for i in 0..inputs.nrows() {
            for j in 0..i {
                inputs[[i, j]] = inputs[[j, i]];
            }
        }
        Moments { mean_input, mean_target, inputs, cross }
    }

    /// Mean of the diagonal: what ridges are measured in.
    pub(super) fn mean_square(&self) -> f64 {
        self.inputs.diag().mean().unwrap_or(0.0)
    }

    /// The bias with which weights `[O][K]` give the mean of the targets.
    pub(super) fn bias(&self, weights: &ArrayView2<'_, f64>) -> Vec<f32> {
        (&self.mean_target - &weights.dot(&self.mean_input)).iter().map(|bias| *bias as f32).collect()
    }
}

fn centre(rows: &mut Array2<f32>) -> Array1<f64> {
    let mut means = Array1::<f64>::zeros(rows.ncols());
    for row in rows.rows() {
        means.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x));
    }
    means /= rows.nrows().max(1) as f64;
    for mut row in rows.rows_mut() {
        row.iter_mut().zip(&means).for_each(|(x, mean)| *x = (f64::from(*x) - mean) as f32);
    }
    means
}

/// `a' b / n`; only the upper triangle where `symmetric`. Each column is summed in one order, whatever the number of threads.
fn products(a: &Array2<f32>, b: &Array2<f32>, symmetric: bool) -> Array2<f64> {
    let scale = 1.0 / a.nrows().max(1) as f64;
    let firsts: Vec<usize> = (0..b.ncols()).step_by(COLUMNS_PER_TASK).collect();
    let block = |of: &Array2<f32>, rows: (usize, usize), columns: (usize, usize)| -> Array2<f32> {
        of.slice_axis(Axis(0), Slice::from(rows.0..rows.1)).slice_axis(Axis(1), Slice::from(columns.0..columns.1)).to_owned()
    };
    let panels: Vec<Array2<f64>> = firsts
        .par_iter()
        .map(|&first| {
            let end = (first + COLUMNS_PER_TASK).min(b.ncols());
            let height = if symmetric { end } else { a.ncols() };
            let mut panel = Array2::<f64>::zeros((a.ncols(), end - first));
            let mut sum = Array2::<f32>::zeros((height, end - first));
            for start in (0..a.nrows()).step_by(ROWS_PER_SUM) {
                let rows = (start, (start + ROWS_PER_SUM).min(a.nrows()));
                general_mat_mul(1.0, &block(a, rows, (0, height)).t(), &block(b, rows, (first, end)), 0.0, &mut sum);
                panel.slice_axis_mut(Axis(0), Slice::from(..height)).zip_mut_with(&sum, |total, part| *total += f64::from(*part) * scale);
            }
            panel
        })
        .collect();
    let views: Vec<_> = panels.iter().map(|panel| panel.view()).collect();
    ndarray::concatenate(Axis(1), &views).unwrap_or_default()
}
