//! Fitting a network to points.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::nn::{AdamW, OptimizerConfig};
use tch::{Kind, Reduction, TchError, Tensor};

use super::Network;

/// Encoded points.
#[derive(Debug)]
pub struct Samples {
    /// `[N, dimensions]`, u8: zero or one.
    pub inputs: Tensor,
    /// Accuracies.
    pub accuracies: Vec<f32>,
}

impl Samples {
    /// From the places of the ones.
    #[must_use]
    pub fn new(ones: &[Vec<u32>], accuracies: Vec<f32>, dimensions: usize) -> Self {
        let mut dense = vec![0u8; ones.len() * dimensions];
        for (row, places) in dense.chunks_exact_mut(dimensions).zip(ones) {
            for &place in places {
                row[place as usize] = 1;
            }
        }
        let inputs = Tensor::from_slice(&dense).reshape([ones.len() as i64, dimensions as i64]);
        Self { inputs, accuracies }
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accuracies.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accuracies.is_empty()
    }

    /// These points, in this order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let rows: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let inputs = self.inputs.index_select(0, &Tensor::from_slice(&rows));
        Self { inputs, accuracies: indices.iter().map(|&index| self.accuracies[index]).collect() }
    }

    /// Mean and standard deviation of the accuracies; the deviation is never zero.
    #[must_use]
    pub fn moments(&self) -> (f32, f32) {
        let count = self.len().max(1) as f64;
        let mean = self.accuracies.iter().map(|&a| f64::from(a)).sum::<f64>() / count;
        let variance = self.accuracies.iter().map(|&a| (f64::from(a) - mean).powi(2)).sum::<f64>() / count;
        (mean as f32, variance.sqrt().max(1e-4) as f32)
    }
}

/// How a network is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Steps, whatever the number of points.
    pub steps: usize,
    /// Points of a step.
    pub batch: usize,
    /// Highest learning rate; it rises over the first tenth of the steps and falls to zero along a cosine.
    pub rate: f64,
    /// Decoupled from the gradient.
    pub weight_decay: f64,
    /// Weight of the ranking loss beside the regression.
    pub ranking: f64,
}

/// Fits `network` to `samples`, whose accuracies are taken as `(accuracy - mean) / std`. `tick` is called after each step.
///
/// # Errors
/// libtorch.
pub fn fit(network: &mut Network, samples: &Samples, schedule: &Schedule, seed: u64, mut tick: impl FnMut()) -> Result<(), TchError> {
    let (mean, std) = samples.moments();
    let targets = Tensor::from_slice(&samples.accuracies.iter().map(|&a| (a - mean) / std).collect::<Vec<f32>>());
    let mut optimizer = AdamW { wd: schedule.weight_decay, ..AdamW::default() }.build(network.store(), schedule.rate)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<i64> = Vec::new();
    for step in 0..schedule.steps {
        optimizer.set_lr(schedule.rate_at(step));
        if order.len() < schedule.batch.min(samples.len()) {
            order = (0..samples.len() as i64).collect();
            order.shuffle(&mut rng);
        }
        let rows = Tensor::from_slice(&order.split_off(order.len() - schedule.batch.min(order.len())));
        let (inputs, targets) = (samples.inputs.index_select(0, &rows).to_kind(Kind::Float), targets.index_select(0, &rows));
        optimizer.backward_step(&loss(&network.forward(&inputs), &targets, schedule.ranking));
        tick();
    }
    Ok(())
}

/// Huber loss of the values, and the logistic loss of the order of every two of them.
fn loss(outputs: &Tensor, targets: &Tensor, ranking: f64) -> Tensor {
    let values = outputs.huber_loss(targets, Reduction::Mean, 1.0);
    let differences = |of: &Tensor| of.unsqueeze(1) - of.unsqueeze(0);
    let margins = differences(outputs) * differences(targets).sign();
    values + (margins * -4.0).softplus().mean(Kind::Float) * ranking
}

impl Schedule {
    fn rate_at(&self, step: usize) -> f64 {
        let (step, steps) = (step as f64, self.steps.max(1) as f64);
        let warm = (steps / 10.0).max(1.0);
        let falling = 0.5 * (1.0 + (std::f64::consts::PI * step / steps).cos());
        self.rate * falling * ((step + 1.0) / warm).min(1.0)
    }
}
