//! Subnets of a once-for-all network: measured anew, run in floats, searched, checked as integers.
//!
//! `docs/supernet.md` is the file's format, `apq_onnx::supernet` reads and cuts it.

mod arena;
mod convolution;
mod forward;
mod planes;
mod predictor;
mod product;
mod search;
mod trial;

pub use forward::{FloatSubnet, calibrate};
pub use planes::Images;
pub use predictor::{PredictorFacts, PredictorFileError, read_predictor};
pub use product::Parallel;
pub use search::{Judges, Origin, Proposal, Proposals, ProposeError};
pub use trial::{Bench, Checked, Extracted, Trial, TrialError, assignment, best, check_nodes};
