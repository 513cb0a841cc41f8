//! The `.apq` file format and the executor of integer networks.
//!
//! What this crate does *not* do: it allocates nothing, prints nothing, reads no clock and no file, and holds no
//! `unsafe` code. The caller hands in the file and the arena; everything is read where it lies.
//!
//! ```
//! use apq_runtime::{Model, Session};
//! # fn main() {}
//! fn classify(file: &[u8], arena: &mut [u8], image: &[u8]) -> Option<usize> {
//!     let model = Model::new_checked(file).ok()?;
//!     let mut session = Session::new(&model, arena).ok()?;
//!     session.write_input_u8(image).ok()?;
//!     session.run(&mut ());
//!     Some(session.argmax())
//! }
//! ```
//!
//! [`Model::new_checked`] proves a file right; after it nothing can fail, panic or read out of bounds. Two levels see
//! the same bytes: [`Tensor`] and [`Node`] hold what a record says, [`Kernel`] only what a kernel can run.
//!
//! Each operator is a feature, all on by default: firmware for one model names those that it needs, and no others are linked.
//! The two slow executors over the reference kernels and BitFusion's arithmetic are behind the feature `oracle`, which is on by
//! default; the writer ([`build`]) is behind `build`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "build")]
extern crate alloc;

#[cfg(feature = "build")]
mod aligned;
#[cfg(feature = "build")]
pub mod build;
mod built;
mod check;
mod codec;
mod decode;
mod error;
mod execute;
mod header;
mod input;
mod kernel;
mod model;
mod node;
mod overlap;
mod raw;
mod session;
mod tensor;
mod view;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

pub use error::{ArenaError, ErrorClass, LengthError, LoadError, Name, NodeProblem, PortProblem, TensorProblem};
pub use execute::Arithmetic;
pub use header::{ALIGNMENT, FORMAT_VERSION, HEADER_BYTES, MAGIC};
pub use input::{Input, Output, RawType, quantize_input};
pub use kernel::Kernel;
pub use model::Model;
pub use node::{
    Add, AveragePool, Concat, Conv, INPUTS_MAX, LayerNorm, MatMul, Node, Operator, Pad, Region, Rescale, Slice, Weighted, Window,
};
pub use session::{Observer, Session};
pub use tensor::{ELEMENTS_MAX, RANK_MAX, Shape, Tensor};
pub use view::{Codes, TensorView};
