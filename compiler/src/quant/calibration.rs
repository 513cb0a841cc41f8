//! Distributions of all tensors over the calibration samples, from which activation ranges are chosen.

use rayon::prelude::*;

use super::ranges::{ActivationQuantizer, Histogram, MinMax, RangeRule, activation_quantizer};
use crate::float::{Executor, Simulation};

/// One histogram for each tensor.
pub struct Calibration {
    histograms: Vec<Histogram>,
}

/// Samples that one thread counts into one set of histograms: fixed, so that results do not depend on the number of threads.
const SAMPLES_PER_CHUNK: usize = 8;

impl Calibration {
    /// Two passes over the samples: bounds, then counts. `progress` is called after each sample of each pass.
    pub fn new(executor: &Executor<'_>, samples: &[Vec<f32>], progress: impl Fn() + Sync) -> Calibration {
        let float = Simulation::float(executor.graph());
        let tensors = executor.graph().tensors.len();
        let bounds = samples
            .par_iter()
            .map(|sample| {
                let values = executor.run_all(&float, sample);
                progress();
                values.iter().map(|v| MinMax::of(v.as_deref().unwrap_or_default())).collect::<Vec<_>>()
            })
            .reduce(|| vec![MinMax::default(); tensors], |a, b| a.iter().zip(&b).map(|(a, b)| a.merge(b)).collect());
        let empty = || bounds.iter().map(Histogram::new).collect::<Vec<_>>();
        let histograms = samples
            .par_chunks(SAMPLES_PER_CHUNK)
            .map(|chunk| {
                let mut histograms = empty();
                for sample in chunk {
                    let values = executor.run_all(&float, sample);
                    histograms.iter_mut().zip(&values).for_each(|(h, v)| h.add(v.as_deref().unwrap_or_default()));
                    progress();
                }
                histograms
            })
            .reduce(empty, |mut a, b| {
                a.iter_mut().zip(&b).for_each(|(a, b)| a.merge(b));
                a
            });
        Calibration { histograms }
    }

    /// The range of a tensor at a width.
    pub fn quantizer(&self, tensor: usize, bits: u8, rule: RangeRule) -> ActivationQuantizer {
        activation_quantizer(&self.histograms[tensor], bits, rule)
    }
}
