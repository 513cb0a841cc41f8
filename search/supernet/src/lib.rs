//! Training of once-for-all networks and of accuracy predictors with libtorch.

pub mod predictor;
