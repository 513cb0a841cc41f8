//! Direct rounding: the layer-wise objective is quadratic, so that its minimum over real weights is solved for, and its minimum over codes is searched
//! by coordinate descent from a good start.
//!
//! Sources: least squares over quantized inputs as in "Up or Down? Adaptive Rounding for Post-Training Quantization" (asymmetric reconstruction),
//! the column order and error feedback of GPTQ ("Accurate Post-Training Quantization for Generative Pre-trained Transformers").

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::factor::inverse_factor;
use super::moments::Moments;
use crate::quant::ranges::{RangeRule, weight_scale};

/// Scales tried around the one with the least squared error of the weights, as parts of it.
const SCALES: [f32; 8] = [0.7, 0.76, 0.82, 0.88, 0.94, 1.0, 1.06, 1.12];

/// Rounds of coordinate descent over all codes of a row, at most; it ends when a round changes nothing.
const ROUNDS_MAX: usize = 8;

/// Part of the mean diagonal that keeps the factorisation apart from noise.
const DAMPING: f64 = 0.01;

/// Weights that fit the inputs, `[O][K]`, and the quadratic form that says what departing from them costs.
pub(super) struct Fit {
    /// What the codes should come near to.
    pub(super) weights: Array2<f64>,
    /// `[K][K]`, ridge included.
    form: Array2<f32>,
    /// Columns by descending diagonal.
    order: Vec<usize>,
    /// Upper factor of the inverse in that order.
    feedback: Array2<f32>,
}

/// Codes and scales of a group's output channels.
pub(super) struct Rounded {
    /// `[O]`.
    pub(super) scales: Vec<f32>,
    /// `[O][K]`.
    pub(super) codes: Vec<i8>,
}

impl Fit {
    /// The least-squares fit of `weights` `[O][K]` to the moments; `ridge`, in units of the mean diagonal, holds it to `weights`. `None` where the inputs
    /// are all zero.
    pub(super) fn new(weights: ArrayView2<'_, f32>, moments: &Moments, ridge: f64) -> Option<Fit> {
        let mean_square = moments.mean_square();
        if mean_square.is_nan() || mean_square <= f64::MIN_POSITIVE {
            return None;
        }
        let mut form = moments.inputs.clone();
        form.diag_mut().iter_mut().for_each(|d| *d += mean_square * (DAMPING + ridge));
        let mut order: Vec<usize> = (0..form.nrows()).collect();
        order.sort_by(|a, b| form[[*b, *b]].total_cmp(&form[[*a, *a]]).then(a.cmp(b)));
        let permuted = form.select(Axis(0), &order).select(Axis(1), &order);
        let feedback = inverse_factor(&permuted)?;
        // (T - X W')' X / n, in the same order of columns.
        let float = weights.mapv(f64::from);
        let pull = (&moments.cross - &float.dot(&moments.inputs)).select(Axis(1), &order);
        let step = pull.dot(&feedback.t()).dot(&feedback);
        let mut fitted = float;
        for (place, column) in order.iter().enumerate() {
            fitted.column_mut(*column).zip_mut_with(&step.column(place), |w, d| *w += d);
        }
        Some(Fit { weights: fitted, form: row_major(&form), order, feedback: row_major(&feedback) })
    }

    /// Rounds to `bits`.
    pub(super) fn round(&self, bits: u8, rule: RangeRule) -> Rounded {
        let outputs = self.weights.nrows();
        let weights = self.weights.mapv(|w| w as f32);
        let inputs = self.form.nrows().max(1);
        let flat: Vec<f32> = weights.iter().copied().collect();
        let starts: Vec<(f32, Vec<i8>)> = flat.par_chunks(inputs).map(|row| self.start(row, bits, rule)).collect();
        let (mut scales, codes): (Vec<f32>, Vec<Vec<i8>>) = starts.into_iter().unzip();
        // H w* and H q of all rows at once.
        let mut target = Array2::<f32>::zeros((outputs, inputs));
        general_mat_mul(1.0, &weights, &self.form, 0.0, &mut target);
        let mut codes = codes.concat();
        let reached = Array2::from_shape_fn((outputs, inputs), |(row, column)| f32::from(codes[row * inputs + column]));
        let mut product = Array2::<f32>::zeros((outputs, inputs));
        general_mat_mul(1.0, &reached, &self.form, 0.0, &mut product);
        let (target, mut product) = (target.into_raw_vec_and_offset().0, product.into_raw_vec_and_offset().0);
        (codes.par_chunks_mut(inputs), &mut scales, product.par_chunks_mut(inputs), target.par_chunks(inputs))
            .into_par_iter()
            .for_each(|(codes, scale, product, target)| self.descend(codes, scale, product, target, bits));
        Rounded { scales, codes }
    }

    /// Rounds column by column, each error spread over the columns still to come, at every scale side by side; the best scale with its codes.
    fn start(&self, row: &[f32], bits: u8, rule: RangeRule) -> (f32, Vec<i8>) {
        const LANES: usize = SCALES.len();
        let (lo, hi) = code_range(bits);
        let base = weight_scale(row, bits, rule);
        let scales: [f32; LANES] = SCALES.map(|part| part * base);
        let mut left: Vec<[f32; LANES]> = self.order.iter().map(|column| [row[*column]; LANES]).collect();
        let mut codes = vec![[0i8; LANES]; left.len()];
        let mut losses = [0f32; LANES];
        for place in 0..left.len() {
            let feedback = self.feedback.row(place);
            let feedback = feedback.as_slice().unwrap_or_default();
            let diagonal = feedback[place];
            let mut errors = [0f32; LANES];
            for lane in 0..LANES {
                let w = left[place][lane];
                let code = (w / scales[lane]).max(lo).min(hi).round();
                codes[place][lane] = code as i8;
                errors[lane] = (w - code * scales[lane]) / diagonal;
                losses[lane] += errors[lane] * errors[lane];
            }
            for (left, factor) in left[place + 1..].iter_mut().zip(&feedback[place + 1..]) {
                left.iter_mut().zip(&errors).for_each(|(w, error)| *w -= error * factor);
            }
        }
        let best = (0..LANES).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap_or(0);
        let mut in_order = vec![0; codes.len()];
        self.order.iter().zip(&codes).for_each(|(column, codes)| in_order[*column] = codes[best]);
        (scales[best], in_order)
    }

    /// Coordinate descent: each step is the exact minimum over one code, each round begins with the exact minimum over the scale. `product` is `H q`.
    fn descend(&self, codes: &mut [i8], scale: &mut f32, product: &mut [f32], target: &[f32], bits: u8) {
        let (lo, hi) = code_range(bits);
        for _ in 0..ROUNDS_MAX {
            let dot = |values: &mut dyn Iterator<Item = f32>| values.zip(codes.iter()).map(|(v, q)| f64::from(v) * f64::from(*q)).sum::<f64>();
            let (along, square) = (dot(&mut target.iter().copied()), dot(&mut product.iter().copied()));
            if along > 0.0 && square > 0.0 {
                *scale = (along / square) as f32;
            }
            let mut changed = false;
            for &column in &self.order {
                let form = self.form.row(column);
                let form = form.as_slice().unwrap_or_default();
                let code = f32::from(codes[column]);
                let best = (code + (target[column] / *scale - product[column]) / form[column]).max(lo).min(hi).round();
                if best != code {
                    changed = true;
                    codes[column] = best as i8;
                    let step = best - code;
                    product.iter_mut().zip(form).for_each(|(p, h)| *p += step * h);
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// What codes cost: `(w* - s q) H (w* - s q)'` of each output channel.
    #[cfg(test)]
    fn losses(&self, rounded: &Rounded) -> Vec<f64> {
        use ndarray::Array1;
        let inputs = self.form.nrows();
        let form = self.form.mapv(f64::from);
        (0..self.weights.nrows())
            .map(|row| {
                let codes = &rounded.codes[row * inputs..][..inputs];
                let off = Array1::from_shape_fn(inputs, |k| self.weights[[row, k]] - f64::from(codes[k]) * f64::from(rounded.scales[row]));
                off.dot(&form).dot(&off)
            })
            .collect()
    }
}

/// Rows must be slices, whatever order the matrix was made in.
fn row_major(matrix: &Array2<f64>) -> Array2<f32> {
    matrix.mapv(|v| v as f32).as_standard_layout().into_owned()
}

fn code_range(bits: u8) -> (f32, f32) {
    (-((1i32 << (bits - 1)) as f32), ((1i32 << (bits - 1)) - 1) as f32)
}
