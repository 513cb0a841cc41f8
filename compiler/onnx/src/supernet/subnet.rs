//! Subnets: leading channels of expansions, kernels transformed and cropped, leading blocks of stages.

use std::collections::BTreeMap;

use apq_search::space::{Architecture, BlockShape, Space};

use super::layers::{NORM, network_shapes, transform_name, transforms};
use super::{Convolution, Supernet, SupernetError, Tensor, convolutions, graph};

/// A network of a supernet with tensors of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Subnet {
    space: Space,
    architecture: Architecture,
    convolutions: Vec<Convolution>,
    tensors: BTreeMap<String, Tensor>,
}

impl Subnet {
    /// The space that it comes from.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// What it is.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Its convolutions in the order in which they run; the mean over all positions and the classifier follow.
    pub fn convolutions(&self) -> &[Convolution] {
        &self.convolutions
    }

    /// Its tensors by the names that they have in the supernet: weights of the convolutions `[O, I, H, W]`, norms `[O]`,
    /// `classifier.weight` `[classes, head]` and `classifier.bias`.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The values of a tensor; empty where there is none of that name.
    pub fn values(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map_or(&[], |tensor| &tensor.values)
    }

    /// Puts other values, all finite, into a tensor, such as the mean of a norm.
    ///
    /// # Errors
    /// There is no such tensor, its length is another, or a value is not finite (or a variance negative).
    pub fn set(&mut self, name: &str, values: Vec<f32>) -> Result<(), SupernetError> {
        let Some(tensor) = self.tensors.get_mut(name) else {
            return Err(SupernetError::Missing { name: name.into(), shape: vec![values.len()] });
        };
        let changed = Tensor { shape: tensor.shape.clone(), values };
        super::check_tensor(name, &tensor.shape, &changed)?;
        *tensor = changed;
        Ok(())
    }

    /// The subnet as an ordinary network.
    pub fn to_onnx(&self) -> Vec<u8> {
        graph::subnet(self)
    }
}

impl Supernet {
    /// Cuts a subnet. Its norms have the statistics of the largest network.
    ///
    /// # Errors
    /// The architecture does not belong to the space.
    pub fn extract(&self, architecture: &Architecture) -> Result<Subnet, SupernetError> {
        let space = &self.space;
        space.check_architecture(architecture)?;
        let mut tensors = BTreeMap::new();
        for (name, shape) in network_shapes(space, architecture) {
            tensors.insert(name.clone(), self.leading(&name, shape)?);
        }
        // Kernels have been cropped like channels above; they take the whole way through the transforms here.
        for (block, shape) in space.blocks().iter().zip(&architecture.0) {
            let Some(BlockShape { kernel, channels }) = *shape else { continue };
            let block = block.name();
            let tensor = self.kernels(&block, kernel.into(), channels as usize)?;
            tensors.insert(format!("{block}.depthwise.weight"), tensor);
        }
        let convolutions = convolutions(space, architecture);
        Ok(Subnet { space: space.clone(), architecture: architecture.clone(), convolutions, tensors })
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, SupernetError> {
        self.tensors.get(name).ok_or_else(|| SupernetError::Missing { name: name.into(), shape: Vec::new() })
    }

    /// The first elements of a tensor along every axis.
    fn leading(&self, name: &str, shape: Vec<usize>) -> Result<Tensor, SupernetError> {
        let whole = self.tensor(name)?;
        Ok(Tensor { values: leading(&whole.values, &whole.shape, &shape), shape })
    }

    /// The first kernels of a block, `[channels, 1, side, side]`.
    fn kernels(&self, block: &str, side: usize, channels: usize) -> Result<Tensor, SupernetError> {
        let whole = self.tensor(&format!("{block}.depthwise.weight"))?;
        let largest = whole.shape.last().copied().unwrap_or(1);
        let mut values: Vec<f32> = whole.values.iter().take(channels * largest * largest).copied().collect();
        for pair in transforms(&self.space).take_while(|pair| pair.1 >= side) {
            let transform = self.tensor(&transform_name(block, pair))?;
            values = smaller(&values, pair, &transform.values);
        }
        Ok(Tensor { shape: vec![channels, 1, side, side], values })
    }
}

/// The centre of every kernel, `[from, from]` to `[to, to]`, times the transform `[to * to, to * to]`.
fn smaller(kernels: &[f32], (from, to): (usize, usize), transform: &[f32]) -> Vec<f32> {
    let margin = (from - to) / 2;
    let mut result = Vec::with_capacity(kernels.len() / (from * from) * to * to);
    for kernel in kernels.chunks_exact(from * from) {
        let rows = kernel.chunks_exact(from).skip(margin).take(to);
        let centre: Vec<f32> = rows.flat_map(|row| row.iter().skip(margin).take(to)).copied().collect();
        let product = |row: &[f32]| row.iter().zip(&centre).map(|(t, f)| f64::from(*t) * f64::from(*f)).sum::<f64>() as f32;
        result.extend(transform.chunks_exact(to * to).map(product));
    }
    result
}

/// The first elements along every axis.
fn leading(values: &[f32], from: &[usize], to: &[usize]) -> Vec<f32> {
    match (from, to) {
        ([from, from_rest @ ..], [to, to_rest @ ..]) => {
            let part = (values.len() / (*from).max(1)).max(1);
            values.chunks_exact(part).take(*to).flat_map(|part| leading(part, from_rest, to_rest)).collect()
        }
        _ => values.to_vec(),
    }
}

impl Subnet {
    /// The tensors of a convolution's norm, each `[outputs]`: scale, bias, mean, variance.
    pub fn norm(&self, convolution: &Convolution) -> [&[f32]; 4] {
        NORM.map(|part| self.values(&format!("{}.norm.{part}", convolution.name)))
    }
}
