//! Models and data that this repository makes itself, so that a fresh clone needs nothing else.
//!
//! [`onnx`] is the writer that the models here are made with; [`mobilenet`] is a network of a well-known shape with random weights; [`textures`] is a
//! small image task with a convolutional network whose weights are computed in closed form, not trained. The program `make-textures` writes the
//! task and its network to `examples/textures/`. [`supernet`] is a once-for-all network with random weights.

pub mod mobilenet;
mod random;
pub mod supernet;
pub mod textures;

pub use apq_onnx as onnx;
