//! Whether bias correction helps is decided on calibration samples that the correction has not seen.

use rayon::prelude::*;

use super::QuantizedNetwork;
use super::bias::{corrected, float_means};
use crate::evaluate::sqnr_db;
use crate::float::{Executor, Simulation};

/// Fewer samples than this are not split.
const SAMPLES_MIN: usize = 8;

/// More samples than this do not change the means, but the live tensors of all of them are held at once.
const SAMPLES_MAX: usize = 128;

/// What held-out samples say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Whether the corrected biases were kept.
    pub kept: bool,
    /// SQNR at the output on held-out samples without correction, in dB.
    pub sqnr_db_before: f64,
    /// The same with correction.
    pub sqnr_db_after: f64,
    /// Held-out samples.
    pub held_out: usize,
}

/// Corrects the biases of `network` on the even samples and keeps them where the odd ones say so. `None` where there are too few samples.
pub fn correct(executor: &Executor<'_>, network: &mut QuantizedNetwork<'_>, samples: &[Vec<f32>]) -> Option<Verdict> {
    if samples.len() < SAMPLES_MIN {
        return None;
    }
    let every_other = |first: usize| -> Vec<Vec<f32>> { samples.iter().skip(first).step_by(2).take(SAMPLES_MAX).cloned().collect() };
    let (seen, held_out) = (every_other(0), every_other(1));
    let before = network.simulation();
    let after = corrected(executor, &before, &seen, &float_means(executor, &seen));
    let float = Simulation::float(executor.graph());
    let outputs =
        |simulation: &Simulation| -> Vec<Vec<f32>> { held_out.par_iter().map(|sample| executor.run(simulation, sample)).collect() };
    let reference = outputs(&float);
    let judge = |simulation: &Simulation| sqnr_db(&reference, &outputs(simulation)).unwrap_or(f64::NEG_INFINITY);
    let (sqnr_db_before, sqnr_db_after) = (judge(&before), judge(&after));
    let kept = sqnr_db_after > sqnr_db_before;
    if kept {
        network.set_biases(&after);
    }
    Some(Verdict { kept, sqnr_db_before, sqnr_db_after, held_out: held_out.len() })
}
