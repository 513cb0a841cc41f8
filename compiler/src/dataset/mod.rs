//! Accuracy datasets of a supernet: subnets drawn by chance, evaluated in floats or as integers, one JSON line each.
//!
//! `apq_search::space::record` has the lines' form and which design a point has. [`DatasetFile`] grows and is resumed, [`sample`](fn@sample) fills it,
//! [`merge`](fn@merge) joins parts. [`Subject`] is one architecture, quantized at many policies' widths as quickly as possible.

mod error;
mod file;
mod graph;
mod merge;
mod sample;
mod subject;

pub use error::DatasetError;
pub use file::{Contents, DatasetFile, read};
pub use graph::subnet_graph;
pub use merge::{Merged, merge, ranges};
pub use sample::{Bench, Measure, SampleError, Tuner, sample};
pub use subject::{Quantization, Subject, accuracy};
