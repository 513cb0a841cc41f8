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
            let dot =
                |values: &mut dyn Iterator<Item = f32>| values.zip(codes.iter()).map(|(v, q)| f64::from(v) * f64::from(*q)).sum::<f64>();
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

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::moments::Rows;
    use super::*;
    use crate::quant::ranges::quantize_row;

    /// A layer with correlated inputs, and rows that it is fitted to.
    fn layer(random: &mut ChaCha8Rng, rows: usize, inputs: usize, outputs: usize) -> (Array2<f32>, Moments) {
        let common: Vec<f32> = (0..rows).map(|_| random.random::<f32>()).collect();
        let x = Array2::from_shape_fn((rows, inputs), |(row, _)| common[row] + 0.5 * random.random::<f32>());
        let weights = Array2::from_shape_fn((outputs, inputs), |_| random.random::<f32>() - 0.5);
        let targets = x.dot(&weights.t());
        (weights, Moments::new(Rows { inputs: x, targets }))
    }

    #[test]
    fn loses_less_than_rounding_to_nearest() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        for (inputs, outputs, bits) in [(9, 6, 8), (9, 6, 2), (40, 10, 4), (130, 7, 3), (16, 3, 6)] {
            let (weights, moments) = layer(&mut random, 400, inputs, outputs);
            let fit = Fit::new(weights.view(), &moments, 0.01).expect("inputs are not zero");
            let rounded = fit.round(bits, RangeRule::Mse);
            let (scales, codes): (Vec<f32>, Vec<Vec<i8>>) = weights
                .rows()
                .into_iter()
                .map(|row| {
                    let scale = weight_scale(&row.to_vec(), bits, RangeRule::Mse);
                    (scale, quantize_row(&row.to_vec(), scale, bits))
                })
                .unzip();
            let nearest: f64 = fit.losses(&Rounded { scales, codes: codes.concat() }).iter().sum();
            let ours: f64 = fit.losses(&rounded).iter().sum();
            assert!(ours < 0.7 * nearest, "{inputs} x {outputs} at {bits} bits: {ours} against {nearest}");
        }
    }

    /// Rows of five 2-bit codes: every row of codes is tried, with the best scale for each.
    #[test]
    fn small_rows_come_close_to_the_best_of_all() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let (inputs, outputs) = (5, 60);
        let (weights, moments) = layer(&mut random, 200, inputs, outputs);
        let fit = Fit::new(weights.view(), &moments, 0.01).expect("inputs are not zero");
        let ours = fit.losses(&fit.round(2, RangeRule::Mse));
        let form = fit.form.mapv(f64::from);
        let mut ratio = 0.0;
        for (row, ours) in ours.iter().enumerate() {
            let w = fit.weights.row(row);
            let target = form.dot(&w);
            let best = (0..4usize.pow(inputs as u32))
                .map(|number| {
                    let codes = ndarray::Array1::from_shape_fn(inputs, |k| (number / 4usize.pow(k as u32) % 4) as f64 - 2.0);
                    let square = codes.dot(&form.dot(&codes));
                    let along = codes.dot(&target);
                    w.dot(&target) - if along > 0.0 { along * along / square } else { 0.0 }
                })
                .fold(f64::INFINITY, f64::min);
            assert!(*ours >= best * (1.0 - 1e-3) - 1e-9, "row {row}: {ours} below the minimum {best}");
            ratio += ours / best / outputs as f64;
        }
        assert!(ratio < 1.5, "{ratio} times the least loss in the mean");
    }

    #[test]
    fn the_fit_follows_the_targets() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let x = Array2::from_shape_fn((500, 8), |_| random.random::<f32>());
        let wanted = Array2::from_shape_fn((3, 8), |_| random.random::<f32>() - 0.5);
        let start = wanted.mapv(|w| w + 0.1);
        let moments = Moments::new(Rows { targets: x.dot(&wanted.t()) + 2.0, inputs: x });
        let free = Fit::new(start.view(), &moments, 0.0).expect("inputs are not zero");
        let held = Fit::new(start.view(), &moments, 1e6).expect("inputs are not zero");
        let apart =
            |fit: &Fit, from: &Array2<f32>| fit.weights.iter().zip(from).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
        assert!(apart(&free, &wanted) < 0.01 && apart(&held, &start) < 1e-4);
        let bias = moments.bias(&free.weights.view());
        assert!(bias.iter().all(|b| (b - 2.0).abs() < 0.05), "{bias:?}");
    }

    #[test]
    fn zero_inputs_have_no_fit() {
        let moments = Moments::new(Rows { inputs: Array2::zeros((50, 4)), targets: Array2::zeros((50, 2)) });
        assert!(Fit::new(Array2::ones((2, 4)).view(), &moments, 0.1).is_none());
    }
}
