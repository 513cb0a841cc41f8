//! Subnets of a once-for-all network: measured anew, run in floats, searched, checked as integers.
//!
//! `docs/supernet.md` is the file's format, `apq_onnx::supernet` reads and cuts it.

mod convolution;
mod forward;
mod planes;

pub use forward::{FloatSubnet, calibrate};
pub use planes::Images;
