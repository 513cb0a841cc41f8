//! The obvious kernels: what every number means, with nothing done for speed. Every other kernel is tested against
//! these.

mod elementwise;
mod layer_norm;
mod matmul;
mod movement;
mod multiply;
mod pool;
mod resize;
mod softmax;

pub use elementwise::{add, mul, prelu, requantize, table};
pub use layer_norm::layer_norm;
pub use matmul::matmul;
pub use movement::{concat_part, pad, slice, transpose};
pub use multiply::{conv, fully_connected};
pub use pool::{average_pool, max_pool};
pub use resize::resize;
pub use softmax::softmax;

use crate::{ActivationBits, WeightBits};

/// The multiplication of a multiply-accumulate operator.
pub trait Product {
    /// `w * a`: a weight of `w_bits` (signed) times an activation of `a_bits`, signed where `a_signed` says so.
    fn product(w: i32, w_bits: WeightBits, a: i32, a_bits: ActivationBits, a_signed: bool) -> i64;

    /// `a * b` for two activation codes, signed at 16 bits.
    fn codes(a: i32, a_bits: ActivationBits, b: i32, b_bits: ActivationBits) -> i64;
}

/// The processor's own multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Product for Native {
    #[inline]
    fn product(w: i32, _: WeightBits, a: i32, _: ActivationBits, _: bool) -> i64 {
        i64::from(w * a)
    }

    #[inline]
    fn codes(a: i32, _: ActivationBits, b: i32, _: ActivationBits) -> i64 {
        i64::from(a) * i64::from(b)
    }
}
