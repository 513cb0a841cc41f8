//! Parameters of the operators: bit widths, geometry, output stages, and what each of them promises.

mod bits;
mod elementwise;
mod geometry;
mod invalid;
mod layer_norm;
mod matmul;
mod movement;
mod multiply;
mod pool;
mod prelu;
mod resize;
mod stage;

pub use bits::{Accumulator, ActivationBits, UnknownBits, WeightBits};
pub use elementwise::{Add, Mul, Requantize, Softmax, Table};
pub use geometry::{Activations, Image, Operand, Window};
pub use invalid::Invalid;
pub use layer_norm::LayerNorm;
pub use matmul::MatMul;
pub use movement::{ConcatPart, Pad, RANK_MAX, Rescale, Slice, Transpose};
pub use multiply::{Conv, FullyConnected};
pub use pool::{AveragePool, CountPadding, MaxPool};
pub use prelu::Prelu;
pub use resize::{Between, Resize};
pub use stage::{OutputCodes, OutputStage};
