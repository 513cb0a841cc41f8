//! Training of once-for-all networks and of accuracy predictors with libtorch.

pub mod checkpoint;
pub mod data;
pub mod depthwise;
pub mod files;
pub mod finetune;
pub mod network;
pub mod optimizer;
pub mod predictor;
pub mod recipe;
pub mod shrinking;
