//! Coordinates of a resize as the runtime holds them (`apq_kernels::Resize`).

use apq_kernels::Resize;

/// A step of a coordinate in the file.
pub const COORDINATE_STEP: f64 = 1.0 / Resize::ONE as f64;

/// Coordinates in steps of 2^-11.
pub fn on_grid(coordinates: &[f32]) -> Vec<u32> {
    coordinates.iter().map(|at| (f64::from(*at) * f64::from(Resize::ONE)).round() as u32).collect()
}
