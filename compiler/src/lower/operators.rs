//! Integer parameters of the operators without weights that have more than a factor: resize, rectifier with slopes, slice.

use apq_kernels::Resize;
use apq_runtime::build::{OperatorSpec, Rescale, Slice};

use super::requant::{resize_mantissa, signed_mantissa};
use super::{LowerError, rescale};
use crate::graph::Node;
use crate::quant::ranges::ActivationQuantizer;

/// A step of a coordinate in the file (`apq_kernels::Resize`).
pub const COORDINATE_STEP: f64 = 1.0 / Resize::ONE as f64;

/// Coordinates in steps of 2^-11.
pub fn on_grid(coordinates: &[f32]) -> Vec<u32> {
    coordinates.iter().map(|at| (f64::from(*at) * f64::from(Resize::ONE)).round() as u32).collect()
}

pub(super) fn resize(
    rows: &[f32],
    columns: &[f32],
    interpolate: bool,
    input: &ActivationQuantizer,
    output: &ActivationQuantizer,
) -> Result<OperatorSpec, LowerError> {
    let factor = f64::from(input.scale) / f64::from(output.scale);
    let mantissa = if interpolate { Some(resize_mantissa(factor, input.bits).ok_or(LowerError::Factor(factor))?) } else { None };
    let rescale = mantissa.map(|(multiplier, shift)| Rescale { multiplier, shift });
    Ok(OperatorSpec::Resize { rows: on_grid(rows), columns: on_grid(columns), rescale })
}

pub(super) fn prelu(slopes: &[f32], input: &ActivationQuantizer, output: &ActivationQuantizer) -> Result<OperatorSpec, LowerError> {
    let factor = f64::from(input.scale) / f64::from(output.scale);
    let (mut slope_multiplier, mut slope_shift) = (Vec::new(), Vec::new());
    for slope in slopes {
        let factor = factor * f64::from(*slope);
        let (multiplier, shift) = signed_mantissa(factor).ok_or(LowerError::Factor(factor))?;
        slope_multiplier.push(multiplier);
        slope_shift.push(shift);
    }
    Ok(OperatorSpec::Prelu { rescale: rescale(input, output)?, slope_multiplier, slope_shift })
}

/// The last three axes; those in front have one element.
pub(super) fn slice(node: &Node, begin: &[usize], step: &[usize]) -> Result<OperatorSpec, LowerError> {
    let last_axes = |values: &[usize], missing: u32| -> Result<[u32; 3], LowerError> {
        let mut axes = [missing; 3];
        for (to, value) in axes.iter_mut().rev().zip(values.iter().rev()) {
            *to = u32::try_from(*value).map_err(|_| LowerError::TooLarge(node.name.clone(), "a position".into()))?;
        }
        Ok(axes)
    };
    Ok(OperatorSpec::Slice(Slice { begin: last_axes(begin, 0)?, step: last_axes(step, 1)? }))
}
