//! `apqc` compiles neural networks for small hardware at the fewest bits that keep them accurate.
//!
//! [`network`] reads a model, [`compile`] takes it through calibration, sensitivity, assignment and lowering, [`evaluate`] runs the result. The
//! binary adds files, progress bars and exit codes.

pub mod assign;
pub mod assignment;
pub mod compare;
pub mod compile;
pub mod cost;
pub mod data;
pub mod dataset;
pub mod evaluate;
pub mod export;
pub mod float;
pub mod graph;
pub mod hash;
pub mod import;
pub mod lower;
pub mod network;
pub mod pareto;
pub mod passes;
pub mod plan;
pub mod prepare;
pub mod prune;
pub mod quant;
pub mod supernet;
pub mod task;
