//! The arithmetic of a quantized network, bit for bit.
//!
//! Everything here is `no_std`, allocates nothing and holds no state: the caller hands in codes, weights, an output
//! buffer and, where a kernel wants one, a scratch buffer. Four implementations give the same bits:
//!
//! - [`mod@reference`]: the obvious loops, generic over the multiplication ([`Product`](reference::Product));
//! - [`bitfused`]: the same loops on BitFusion's 2-bit BitBricks;
//! - [`portable`]: fast code in plain Rust;
//! - [`native`]: what is fastest on the processor that runs it, from `arch` where that has a kernel, else `portable`.
//!
//! The kernels trust their parameters. Each parameter structure has a `check` method; after it has returned `Ok` for
//! the lengths that the kernel is then called with, the kernel neither panics nor overflows nor leaves a buffer.
//! What `check` cannot see is the accumulator bound, which follows from the weights: where it does not hold, the
//! accumulator wraps and every implementation wraps alike.
//!
//! # Layout
//! Tensors are channel last. Activation codes are unsigned at 2, 4, 6 and 8 bits and signed at 16; see [`pack`] for
//! how they and the weights are stored.
#![no_std]

#[cfg(any(test, feature = "testing"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[allow(unsafe_code)]
mod arch;

mod arrange;
pub mod bitfused;
pub mod native;
pub mod pack;
pub mod portable;
pub mod reference;
pub mod requant;
pub mod types;

pub use arrange::{Arrangement, WeightShape};
pub use types::*;
