//! Predictors of accuracy: from the one-hot encoding of a design to the accuracy that it will have.
//!
//! Source: APQ, section 3.2. A predictor of float accuracy is trained first, on points that cost one evaluation each; its weights are where the
//! predictor of quantized accuracy starts, whose input has the bit widths as well.

pub mod curve;
pub mod dataset;
mod file;
mod network;
mod plan;
mod ranking;
#[cfg(test)]
mod tests;
mod training;

pub use file::{FileError, METADATA_KEY, Provenance, VERSION, write};
pub use network::{Network, WIDTH};
pub use plan::Plan;
pub use ranking::{hold_out, pairs, pairwise_accuracy};
pub use training::{Samples, Schedule, fit};
