//! Costs of layers by running them: what `apqc profile` and `apqc lut check` do.
//!
//! - [`keys`]: the layers of a compiled model, and the built-in list of layers that stands for all others ([`design`]);
//! - [`synthetic`]: `.apq` files that hold given layers and nothing else;
//! - [`measure`]: runs such files on a [`Machine`] and collects a lookup table, batch after batch;
//! - [`fit`]: from the counts of many layers to the costs of any layer;
//! - [`check`]: what a table predicts for a whole model beside what the model took.
//!
//! A machine is a board or an emulator ([`Device`]), or in tests a formula. Nothing is printed.

pub mod check;
pub mod design;
pub mod fit;
pub mod keys;
pub mod measure;
pub mod synthetic;

mod device;
mod solve;

pub use device::Device;
pub use measure::{LayerCount, Machine, MachineError, Run};
