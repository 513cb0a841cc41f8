//! AdaRound: whether each weight is rounded up or down is learned by gradient descent on the layer's output.
//!
//! Source: "Up or Down? Adaptive Rounding for Post-Training Quantization", equations 21 to 25. The loss is taken after the layer's clamp, and the bias
//! follows the weights, so that the mean output is always right. What is rounded is the least-squares fit of the weights to the inputs that the layer
//! gets, as in [`descent`](super::descent): the float weights themselves where those inputs are the float ones.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::descent::Rounded;
use crate::graph::Clamp;
use crate::quant::ranges::{RangeRule, weight_scale};

/// Steps of the optimiser.
const STEPS: usize = 2000;

/// Rows of one step.
const BATCH: usize = 512;

/// Step size of Adam, and its two decays.
const RATE: f32 = 1e-2;
const DECAYS: [f32; 2] = [0.9, 0.999];

/// Weight of the regulariser that drives each rounding to one side.
const REGULARISER: f32 = 0.01;

/// Share of the steps without the regulariser, and its exponent from first to last step.
const WARM_UP: f32 = 0.2;
const EXPONENTS: [f32; 2] = [20.0, 2.0];

/// What the mean of `scale^2 E[x^2]` is brought to, so that one weight of the regulariser suits every layer.
const RECONSTRUCTION: f32 = 1e-3;

/// The sigmoid is stretched to this interval and clipped to 0 ..= 1.
const STRETCH: [f32; 2] = [-0.1, 1.1];

/// Output channels that one thread learns: they do not depend on each other.
const OUTPUTS_PER_TASK: usize = 64;

/// A layer, or one group of its output channels.
pub(super) struct Learner<'a> {
    /// `[rows][K]`.
    pub(super) inputs: &'a Array2<f32>,
    /// `[rows][O]`, without the clamp.
    pub(super) targets: &'a Array2<f32>,
    /// `[O][K]`: what is rounded.
    pub(super) weights: &'a Array2<f64>,
    /// The layer's clamp.
    pub(super) clamp: Clamp,
    /// Of the rows of each step.
    pub(super) seed: u64,
}

impl Learner<'_> {
    /// Learns the rounding to `bits`.
    pub(super) fn round(&self, bits: u8, rule: RangeRule) -> Rounded {
        let mean_input = self.inputs.mean_axis(Axis(0)).unwrap_or_default();
        let centred = self.inputs - &mean_input;
        let square = centred.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / centred.len().max(1) as f64;
        let outputs = self.weights.nrows();
        let firsts: Vec<usize> = (0..outputs).step_by(OUTPUTS_PER_TASK).collect();
        let parts: Vec<Rounded> = firsts
            .par_iter()
            .map(|&first| {
                let some: Vec<usize> = (first..(first + OUTPUTS_PER_TASK).min(outputs)).collect();
                let weights = self.weights.select(Axis(0), &some).mapv(|w| w as f32);
                let targets = self.targets.select(Axis(1), &some);
                self.learn(&centred, &targets, weights.view(), square as f32, bits, rule)
            })
            .collect();
        let scales = parts.iter().flat_map(|part| part.scales.iter().copied()).collect();
        Rounded { scales, codes: parts.into_iter().flat_map(|part| part.codes).collect() }
    }

    fn learn(
        &self,
        inputs: &Array2<f32>,
        targets: &Array2<f32>,
        weights: ArrayView2<'_, f32>,
        square: f32,
        bits: u8,
        rule: RangeRule,
    ) -> Rounded {
        let (lo, hi) = (-((1i32 << (bits - 1)) as f32), ((1i32 << (bits - 1)) - 1) as f32);
        let scales: Vec<f32> = weights.rows().into_iter().map(|row| weight_scale(&row.to_vec(), bits, rule)).collect();
        let scale = Array1::from_vec(scales.clone()).insert_axis(Axis(1));
        let steps = &weights / &scale;
        let floor = steps.mapv(f32::floor);
        let mut rounding = Roundings::new(&(&steps - &floor));
        let mean_target = targets.mean_axis(Axis(0)).unwrap_or_default();
        let wanted = targets.mapv(|t| t.max(self.clamp.lo).min(self.clamp.hi));
        let mean_scale = scales.iter().map(|s| s * s).sum::<f32>() / scales.len().max(1) as f32;
        let gain = RECONSTRUCTION / (mean_scale * square).max(f32::MIN_POSITIVE);
        let batch = BATCH.min(inputs.nrows());
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut output = Array2::<f32>::zeros((batch, weights.nrows()));
        let mut gradient = Array2::<f32>::zeros(weights.dim());
        for step in 0..STEPS {
            let rows: Vec<usize> = (0..batch).map(|_| random.random_range(0..inputs.nrows())).collect();
            let (x, t) = (inputs.select(Axis(0), &rows), wanted.select(Axis(0), &rows));
            let soft = (&floor + &rounding.soft()).mapv(|code| code.max(lo).min(hi)) * &scale;
            general_mat_mul(1.0, &x, &soft.t(), 0.0, &mut output);
            for (mut row, t) in output.rows_mut().into_iter().zip(t.rows()) {
                for ((y, t), mean) in row.iter_mut().zip(t).zip(&mean_target) {
                    let value = *y + mean;
                    let inside = value > self.clamp.lo && value < self.clamp.hi;
                    *y = if inside { 2.0 * gain * (value - t) / batch as f32 } else { 0.0 };
                }
            }
            general_mat_mul(1.0, &output.t(), &x, 0.0, &mut gradient);
            gradient *= &scale;
            let done = step as f32 / STEPS as f32;
            let exponent = (done >= WARM_UP).then(|| {
                let part = (done - WARM_UP) / (1.0 - WARM_UP);
                EXPONENTS[1] + (EXPONENTS[0] - EXPONENTS[1]) * (1.0 - part)
            });
            rounding.step(&gradient, step, exponent);
        }
        let codes = floor.iter().zip(rounding.soft().iter()).map(|(floor, up)| (floor + up.round()).max(lo).min(hi) as i8).collect();
        Rounded { scales, codes }
    }
}

/// How far each weight is rounded up, and the state of Adam.
struct Roundings {
    logits: Array2<f32>,
    first: Array2<f32>,
    second: Array2<f32>,
}

impl Roundings {
    /// Starts where the soft weights equal the real ones.
    fn new(fractions: &Array2<f32>) -> Roundings {
        let logit = |fraction: &f32| {
            let inside = (fraction - STRETCH[0]) / (STRETCH[1] - STRETCH[0]);
            (inside / (1.0 - inside)).ln()
        };
        let zeros = Array2::zeros(fractions.dim());
        Roundings { logits: fractions.map(logit), first: zeros.clone(), second: zeros }
    }

    /// 0 = down, 1 = up.
    fn soft(&self) -> Array2<f32> {
        self.logits.mapv(|v| stretched(sigmoid(v)).clamp(0.0, 1.0))
    }

    /// One step of Adam. `gradient` is that of the reconstruction by the soft rounding; without an exponent there is no regulariser.
    fn step(&mut self, gradient: &Array2<f32>, step: usize, exponent: Option<f32>) {
        let correction = DECAYS.map(|decay| 1.0 - decay.powi(step as i32 + 1));
        let state = self.logits.iter_mut().zip(&mut self.first).zip(&mut self.second);
        for (((logit, first), second), reconstruction) in state.zip(gradient) {
            let sigmoid = sigmoid(*logit);
            let soft = stretched(sigmoid);
            if soft <= 0.0 || soft >= 1.0 {
                // Clipped: nothing flows back, but the momentum still moves it.
                adam(logit, first, second, 0.0, correction);
                continue;
            }
            let mut by_soft = *reconstruction;
            if let Some(exponent) = exponent {
                let side = 2.0 * soft - 1.0;
                by_soft -= REGULARISER * exponent * side.abs().powf(exponent - 1.0) * side.signum() * 2.0;
            }
            adam(logit, first, second, by_soft * sigmoid * (1.0 - sigmoid) * (STRETCH[1] - STRETCH[0]), correction);
        }
    }
}

fn adam(value: &mut f32, first: &mut f32, second: &mut f32, gradient: f32, correction: [f32; 2]) {
    *first = DECAYS[0] * *first + (1.0 - DECAYS[0]) * gradient;
    *second = DECAYS[1] * *second + (1.0 - DECAYS[1]) * gradient * gradient;
    *value -= RATE * (*first / correction[0]) / ((*second / correction[1]).sqrt() + 1e-8);
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

fn stretched(sigmoid: f32) -> f32 {
    sigmoid * (STRETCH[1] - STRETCH[0]) + STRETCH[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds a small layer and compares the error at its output with that of rounding to nearest.
    #[test]
    fn learned_rounding_beats_the_nearest() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (rows, inputs, outputs) = (300, 12, 5);
        // Correlated inputs: with independent ones the nearest code is the best.
        let common: Vec<f32> = (0..rows).map(|_| random.random::<f32>()).collect();
        let x = Array2::from_shape_fn((rows, inputs), |(row, _)| common[row] + 0.3 * random.random::<f32>());
        let weights = Array2::from_shape_fn((outputs, inputs), |_| f64::from(random.random::<f32>() - 0.5));
        let targets = x.dot(&weights.mapv(|w| w as f32).t());
        let clamp = Clamp { lo: 0.0, hi: f32::INFINITY };
        let learner = Learner { inputs: &x, targets: &targets, weights: &weights, clamp, seed: 3 };
        let learned = learner.round(4, RangeRule::Mse);
        let error = |codes: &dyn Fn(usize, usize) -> f32| -> f64 {
            let values = Array2::from_shape_fn((outputs, inputs), |(o, k)| codes(o, k) * learned.scales[o]);
            let mut off = x.dot(&values.t()) - &targets;
            let mean = off.mean_axis(Axis(0)).unwrap_or_default();
            off -= &mean;
            let reached = (&off + &targets).mapv(|v| v.max(0.0)) - targets.mapv(|v| v.max(0.0));
            reached.iter().map(|v| f64::from(*v).powi(2)).sum()
        };
        let nearest = error(&|o, k| (weights[[o, k]] as f32 / learned.scales[o]).round().clamp(-8.0, 7.0));
        let ours = error(&|o, k| f32::from(learned.codes[o * inputs + k]));
        assert!(ours < 0.5 * nearest, "{ours} against {nearest}");
        let again = learner.round(4, RangeRule::Mse);
        assert_eq!(learned.codes, again.codes);
    }
}
