//! Predictors of accuracy: from the one-hot encoding of a design to the accuracy that it will have.
//!
//! Source: APQ, section 3.2. A predictor of float accuracy is trained first, on points that cost one evaluation each; its weights are where the
//! predictor of quantized accuracy starts, whose input has the bit widths as well.

mod network;
mod ranking;
mod training;

pub use network::{Network, WIDTH};
pub use ranking::{pairs, pairwise_accuracy};
pub use training::{Samples, Schedule, fit};
