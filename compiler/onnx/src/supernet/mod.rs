//! Once-for-all networks in one file: the largest network as plain ONNX, the transforms of its kernels, and the search space as metadata.
//!
//! `docs/supernet.md` is the format. [`write`](fn@write) makes a file, [`read`] checks one, [`Supernet::extract`] cuts a subnet, which is again plain ONNX.
//! Nothing here runs a network: the statistics of a subnet's batch norms are those of the largest network until somebody measures them anew.

mod error;
mod graph;
mod layers;
mod reader;
mod subnet;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use apq_search::space::Space;

pub use error::SupernetError;
pub use layers::{Convolution, Role, convolutions, tensor_shapes};
pub use reader::read;
pub use subnet::Subnet;

/// Key of the metadata that make a file a supernet.
pub const METADATA_KEY: &str = "apq.supernet";

/// Version of the metadata.
pub const VERSION: u64 = 1;

/// Epsilon of every batch norm.
pub const EPSILON: f32 = 1e-5;

/// A float32 tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many values as the shape has elements.
    pub values: Vec<f32>,
}

/// A supernet whose tensors have been checked against its space.
#[derive(Debug, Clone, PartialEq)]
pub struct Supernet {
    space: Space,
    tensors: BTreeMap<String, Tensor>,
}

impl Supernet {
    /// Checks the space, and that every tensor that [`tensor_shapes`] names is there, has its shape and is finite. Other tensors are left out.
    ///
    /// # Errors
    /// What is wrong, by the name of the tensor.
    pub fn new(space: Space, mut tensors: BTreeMap<String, Tensor>) -> Result<Supernet, SupernetError> {
        space.check()?;
        let mut kept = BTreeMap::new();
        for (name, shape) in tensor_shapes(&space) {
            let Some(tensor) = tensors.remove(&name) else { return Err(SupernetError::Missing { name, shape }) };
            check_tensor(&name, &shape, &tensor)?;
            kept.insert(name, tensor);
        }
        Ok(Supernet { space, tensors: kept })
    }

    /// What it contains.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Its tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The whole file: the largest network, the transforms and the metadata.
    pub fn to_onnx(&self) -> Vec<u8> {
        graph::supernet(self)
    }
}

/// The file of a supernet; see [`Supernet::new`] for what `tensors` has to hold.
///
/// # Errors
/// As [`Supernet::new`].
pub fn write(space: &Space, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>, SupernetError> {
    Ok(Supernet::new(space.clone(), tensors.clone())?.to_onnx())
}

fn check_tensor(name: &str, shape: &[usize], tensor: &Tensor) -> Result<(), SupernetError> {
    let name = || name.to_owned();
    if tensor.shape != shape {
        let found = tensor.shape.iter().map(|&size| size as i64).collect();
        return Err(SupernetError::Shape { name: name(), expected: shape.to_vec(), found });
    }
    let (expected, found) = (shape.iter().product(), tensor.values.len());
    if expected != found {
        return Err(SupernetError::Length { name: name(), shape: shape.to_vec(), expected, found });
    }
    let first = |wrong: fn(&f32) -> bool| tensor.values.iter().position(wrong).map(|index| (index, tensor.values[index]));
    if let Some((index, value)) = first(|value| !value.is_finite()) {
        return Err(SupernetError::NotFinite { name: name(), index, value });
    }
    let negative = if name().ends_with(".norm.variance") { first(|value| *value < 0.0) } else { None };
    match negative {
        Some((index, value)) => Err(SupernetError::NegativeVariance { name: name(), index, value }),
        None => Ok(()),
    }
}
