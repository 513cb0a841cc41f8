//! Quantization-aware fine-tuning of a subnet: training that sees the rounding of weights and activations, so that the weights learn to live with it.
//!
//! The forward pass has the quantizers of `docs/` in floats: weights signed and symmetric for each output channel after the batch norm has been folded into
//! them, activations unsigned with a zero point for each tensor, ranges by least squared error. Rounding passes gradients as if it were not there (the
//! straight-through estimator) and clipping stops them. The norms' statistics are those of the subnet and stay.

mod network;
mod quantizer;
#[cfg(test)]
mod tests;
mod training;

pub use network::{Bits, BitsError, Quantized};
pub use quantizer::Quantizer;
pub use training::{Course, Record, accuracy, train};
