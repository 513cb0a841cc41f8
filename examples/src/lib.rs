//! Models and data that this repository makes itself, so that a fresh clone needs nothing else.
//!
//! [`onnx`] writes ONNX files without a protobuf compiler; [`textures`] is a small image task with a convolutional network whose weights are
//! computed in closed form, not trained. The program `make-textures` writes both to `examples/textures/`.

pub mod onnx;
pub mod textures;
