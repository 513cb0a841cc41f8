//! Integer parameters of layer normalisation.

use apq_kernels::LayerNorm;
use apq_runtime::build::OperatorSpec;

use super::LowerError;
use crate::quant::ranges::ActivationQuantizer;

/// E = 64 C^2 epsilon / s_in^2, rounded, as the kernel takes it. One that passes 2^62 outweighs every variance that codes can have.
fn epsilon_code(epsilon: f32, channels: usize, input: &ActivationQuantizer) -> u64 {
    let units = f64::from(1 << LayerNorm::EPSILON_BITS) * (channels as f64).powi(2);
    let rounded = (units * f64::from(epsilon) / f64::from(input.scale).powi(2)).round();
    (rounded as u64).min((1 << 62) - 1)
}

/// The operator with its constants as integers.
pub(crate) fn lower(
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
    input: &ActivationQuantizer,
    output: &ActivationQuantizer,
) -> Result<OperatorSpec, LowerError> {
    let units = |values: &[f32]| -> Vec<f64> { values.iter().map(|v| f64::from(*v) / f64::from(output.scale)).collect() };
    let (gamma, beta) = (units(gamma), units(beta));
    let largest = gamma.iter().fold(0f64, |largest, g| largest.max(g.abs()));
    // The largest shift at which every mantissa fits 32 bits with its sign.
    let fits = |shift: &u8| largest * 2f64.powi(i32::from(*shift) - LayerNorm::NORMAL_BITS as i32) < f64::from(i32::MAX);
    let shift = (LayerNorm::SHIFT_MIN..=LayerNorm::SHIFT_MAX).rev().find(fits).ok_or(LowerError::Factor(largest))?;
    let scaled = |values: &[f64], exponent: i32| values.iter().map(|v| (v * 2f64.powi(exponent)).round() as i32).collect();
    Ok(OperatorSpec::LayerNorm {
        epsilon: epsilon_code(epsilon, gamma.len(), input),
        gamma: scaled(&gamma, i32::from(shift) - LayerNorm::NORMAL_BITS as i32),
        // A beta beyond 2^17 codes saturates, as its outputs do.
        beta: scaled(&beta, LayerNorm::BETA_BITS as i32),
        shift,
    })
}
