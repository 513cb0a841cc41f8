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
    /// Steps of each training.
    pub steps: usize,
    /// Of weights and order.
    pub seed: u64,
}

/// Ones of a block in an input: kernel and width; and with four bit widths.
const ONES_FLOAT: usize = 2;
const ONES_QUANTIZED: usize = 6;

impl Plan {
    fn schedule(&self, rate: f64) -> Schedule {
        Schedule { steps: self.steps, batch: 64, rate, weight_decay: 0.01, ranking: 0.5 }
    }

    /// The predictor of float accuracy. The rows of inputs that no sample has, those of the bit widths, are zero. `tick` is called after each step.
    ///
    /// # Errors
    /// libtorch.
    pub fn float(&self, samples: &Samples, tick: &mut dyn FnMut()) -> Result<Network, TchError> {
        let mut network = Network::new(self.dimensions, ONES_FLOAT * self.blocks, self.seed);
        fit(&mut network, samples, &self.schedule(1e-3), self.seed, tick)?;
        let uses = super::network::values(&samples.inputs.sum_dim_intlist([0i64].as_slice(), false, Kind::Float));
        let unused: Vec<usize> = uses.iter().enumerate().filter(|(_, uses)| **uses == 0.0).map(|(input, _)| input).collect();
        network.clear_inputs(&unused);
        Ok(network)
    }

    /// The predictor of quantized accuracy, from the float one where there is one. `tick` is called after each step.
    ///
    /// # Errors
    /// libtorch.
    pub fn quantized(&self, float: Option<&Network>, samples: &Samples, tick: &mut dyn FnMut()) -> Result<Network, TchError> {
        let mut network = Network::new(self.dimensions, ONES_QUANTIZED * self.blocks, self.seed);
        if let Some(float) = float {
            network.restore(&float.snapshot());
        }
        fit(&mut network, samples, &self.schedule(1e-3), self.seed, tick)?;
        Ok(network)
    }
}
