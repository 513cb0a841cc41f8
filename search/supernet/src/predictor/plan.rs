//! The two trainings of a predictor: on float points, and on quantized ones with or without what was learned from the first.

use tch::{Kind, TchError};

use super::{Network, Samples, Schedule, fit};

/// How a predictor is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Length of the inputs.
    pub dimensions: usize,
    /// Blocks of the space.
    pub blocks: usize,
    /// Steps of each training, where somebody has said so.
    pub steps: Option<usize>,
    /// Of weights and order.
    pub seed: u64,
}

/// Ones of a block in an input: kernel and width; and with four bit widths.
const ONES_FLOAT: usize = 2;
const ONES_QUANTIZED: usize = 6;

/// Points of a step.
const BATCH: usize = 64;
/// Fewest steps of a training, and fewest passes over the points.
const STEPS_MIN: usize = 1200;
const PASSES_MIN: usize = 20;

impl Plan {
    /// Steps of a training on so many points.
    #[must_use]
    pub fn steps(&self, points: usize) -> usize {
        self.steps.unwrap_or((points * PASSES_MIN / BATCH).max(STEPS_MIN))
    }

    fn schedule(&self, points: usize) -> Schedule {
        Schedule { steps: self.steps(points), batch: BATCH, rate: 1e-3, weight_decay: 0.1, ranking: 0.5 }
    }

    /// The predictor of float accuracy. The rows of inputs that no sample has, those of the bit widths, are zero. `tick` is called after each step.
    ///
    /// # Errors
    /// libtorch.
    pub fn float(&self, samples: &Samples, tick: &mut dyn FnMut()) -> Result<Network, TchError> {
        let mut network = Network::new(self.dimensions, ONES_FLOAT * self.blocks, self.seed);
        fit(&mut network, samples, &self.schedule(samples.len()), self.seed, tick)?;
        let uses = crate::files::values(&samples.inputs.sum_dim_intlist([0i64].as_slice(), false, Kind::Float));
        let unused: Vec<usize> = uses.iter().enumerate().filter(|(_, uses)| **uses == 0.0).map(|(input, _)| input).collect();
        network.clear_inputs(&unused);
        Ok(network)
    }

    /// The predictor of quantized accuracy, from the float one where there is one. Bit widths may spread accuracies much more than architectures do, so
    /// the float predictor's output is first scaled to how much of the quantized accuracy it explains. `tick` is called after each step.
    ///
    /// # Errors
    /// libtorch.
    pub fn quantized(&self, float: Option<&Network>, samples: &Samples, tick: &mut dyn FnMut()) -> Result<Network, TchError> {
        let mut network = Network::new(self.dimensions, ONES_QUANTIZED * self.blocks, self.seed);
        if let Some(float) = float {
            network.restore(&float.snapshot());
            network.scale_output(slope(&network.predict(&samples.inputs), samples).max(0.0));
        }
        fit(&mut network, samples, &self.schedule(samples.len()), self.seed, tick)?;
        Ok(network)
    }
}

/// Slope of the standardised accuracies over the predictions, by least squares.
fn slope(predictions: &[f32], samples: &Samples) -> f64 {
    let (mean, std) = samples.moments();
    let centre = predictions.iter().map(|&p| f64::from(p)).sum::<f64>() / predictions.len().max(1) as f64;
    let (mut product, mut square) = (0.0, 0.0);
    for (&prediction, &accuracy) in predictions.iter().zip(&samples.accuracies) {
        let from_centre = f64::from(prediction) - centre;
        product += from_centre * f64::from((accuracy - mean) / std);
        square += from_centre * from_centre;
    }
    if square > 0.0 { product / square } else { 0.0 }
}
