//! Training of once-for-all networks with libtorch.

pub mod checkpoint;
pub mod data;
pub mod network;
pub mod optimizer;
pub mod shrinking;
