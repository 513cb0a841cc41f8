//! The learning curve: pairwise accuracy by the number of quantized points, with and without transfer.
//!
//! Source: APQ, figure 7.

use serde::Serialize;
use tch::TchError;

use super::{Network, Plan, Samples, pairwise_accuracy};

/// One number of points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Quantized points that were trained on.
    pub points: usize,
    /// Pairwise accuracy of the predictor that started from that of float accuracy.
    pub transfer: f64,
    /// Of the one that started from nothing.
    pub scratch: f64,
}

/// Trains on the first `sizes` of `training`, each time with and without transfer, and evaluates on `held`. `tick` is called after each step.
///
/// # Errors
/// libtorch.
pub fn curve(
    plan: &Plan,
    float: &Network,
    training: &Samples,
    sizes: &[usize],
    held: &Samples,
    pairs: &[(usize, usize)],
    tick: &mut dyn FnMut(),
) -> Result<Vec<CurvePoint>, TchError> {
    let mut points = Vec::new();
    for &size in sizes {
        let part = training.select(&(0..size.min(training.len())).collect::<Vec<_>>());
        let mut evaluate = |from: Option<&Network>| -> Result<f64, TchError> {
            let network = plan.quantized(from, &part, tick)?;
            Ok(pairwise_accuracy(&network.predict(&held.inputs), &held.accuracies, pairs).unwrap_or(f64::NAN))
        };
        points.push(CurvePoint { points: part.len(), transfer: evaluate(Some(float))?, scratch: evaluate(None)? });
    }
    Ok(points)
}
