//! Models and data that this repository makes itself, so that a fresh clone needs nothing else.
//!
//! [`onnx`] writes ONNX files without a protobuf compiler; [`mobilenet`] is a network of a well-known shape with random weights; [`textures`] is a
//! small image task with a convolutional network whose weights are computed in closed form, not trained. The program `make-textures` writes the
//! task and its network to `examples/textures/`.

pub mod mobilenet;
pub mod onnx;
mod random;
pub mod textures;
