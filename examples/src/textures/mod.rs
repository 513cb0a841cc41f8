//! The example task: name the texture in a small, noisy colour image.
//!
//! Ten classes ([`CLASSES`]), images `[16, 16, 3]` u8. The network is an ordinary small convolutional classifier, but nothing in it was
//! trained by gradient descent: the first layers are oriented derivative filters, the later ones are whitened k-means centroids of patches
//! (Coates, Ng, Lee: An Analysis of Single-Layer Networks in Unsupervised Feature Learning, 2011), batch normalization holds measured
//! statistics, and the classifier is a ridge regression. So the whole model is a few seconds of deterministic arithmetic: one thread,
//! f64, transcendental functions from `libm`, randomness from seeded ChaCha8.

mod cluster;
mod draw;
mod files;
mod filters;
mod layers;
mod linalg;
mod network;

pub use draw::{CLASSES, SIZE};
pub use files::{Files, generate};
