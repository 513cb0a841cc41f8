//! Working memory that nodes need, before a plan exists.

use apq_kernels::{self as kernels, ActivationBits, OutputStage, portable};

use super::{ModelSpec, NodeSpec, OperatorSpec, TensorSpec, WeightedSpec};
use crate::kernel::image;
use crate::tensor::Shape;

/// Bytes of scratch memory with which the fast kernels run node `node` best; 0 for a node that does not exist or whose
/// shapes do not suit it (loading the file will say so).
pub fn scratch_bytes(spec: &ModelSpec, node: usize) -> usize {
    if let Some(product) = matmul(spec, node) {
        return portable::matmul_scratch_bytes(&product);
    }
    let best = portable::conv_scratch_bytes;
    with_conv(spec, node, best).unwrap_or(0)
}

/// The least that [`scratch_bytes`] may be cut down to where the arena must be small; loading refuses less.
pub fn scratch_bytes_min(spec: &ModelSpec, node: usize) -> usize {
    if let Some(product) = matmul(spec, node) {
        return portable::matmul_scratch_bytes_min(&product);
    }
    let least = portable::conv_scratch_bytes_min;
    with_conv(spec, node, least).unwrap_or(0)
}

/// The product of two activations that a node is, with the sizes that its working memory depends on.
fn matmul(spec: &ModelSpec, node: usize) -> Option<kernels::MatMul> {
    let node = spec.nodes.get(node)?;
    let OperatorSpec::MatMul(record) = &node.operator else { return None };
    let (first, output) = (spec.tensors.get(*node.inputs.first()?)?, spec.tensors.get(node.output)?);
    Some(kernels::MatMul {
        batches: 1,
        rows: 1,
        inner: first.shape.last().copied()?,
        columns: output.shape.last().copied()?,
        transposed: record.transposed,
        multiplier: record.rescale.multiplier,
        shift: record.rescale.shift,
        codes: kernels::OutputCodes::full(output.bits, output.zero_point),
    })
}

/// Asks about the convolution that a node is; a fully connected layer is one too.
fn with_conv(spec: &ModelSpec, node: usize, ask: impl Fn(&kernels::Conv<'_>, ActivationBits) -> usize) -> Option<usize> {
    let node = spec.nodes.get(node)?;
    let first = spec.tensors.get(*node.inputs.first()?)?;
    let output = spec.tensors.get(node.output)?;
    let (first_shape, output_shape) = (Shape::new(&first.shape)?, Shape::new(&output.shape)?);
    match &node.operator {
        OperatorSpec::Conv { window, groups, weighted } => {
            let input = image(&first_shape).ok()?;
            // Group sizes are quotients.
            input.channels.checked_div(*groups)?;
            let conv = kernels::Conv {
                input,
                output: image(&output_shape).ok()?,
                window: (*window).into(),
                groups: *groups,
                weight_bits: weighted.bits,
                arrangement: weighted.arrangement,
                weights: &weighted.weights,
                accumulator: weighted.accumulator,
                stage: stage(weighted, node, output),
            };
            Some(ask(&conv, first.bits))
        }
        OperatorSpec::FullyConnected { weighted } => {
            let layer = kernels::FullyConnected {
                rows: output_shape.pixels(),
                inputs: first_shape.channels(),
                outputs: output_shape.channels(),
                weight_bits: weighted.bits,
                arrangement: weighted.arrangement,
                weights: &weighted.weights,
                accumulator: weighted.accumulator,
                stage: stage(weighted, node, output),
            };
            Some(ask(&layer.as_conv(), first.bits))
        }
        _ => None,
    }
}

fn stage<'s>(weighted: &'s WeightedSpec, node: &NodeSpec, output: &TensorSpec) -> OutputStage<'s> {
    let [lo, hi] = node.clamp.unwrap_or([output.bits.lo(), output.bits.hi()]);
    OutputStage {
        bias: &weighted.bias,
        multiplier: &weighted.multiplier,
        shift: &weighted.shift,
        zero_point: output.zero_point,
        lo,
        hi,
        bits: output.bits,
    }
}
