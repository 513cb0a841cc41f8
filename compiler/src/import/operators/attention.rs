//! Products of two values and layer normalisation.

use apq_kernels::LayerNorm;

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use crate::graph::{Clamp, Op};

/// `[.., M, K]` times `[.., K, N]`, both of which depend on the network's input.
pub(super) fn product(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let (a, b) = (importer.value(&node, 0)?, importer.value(&node, 1)?);
    let (left, right) = (importer.builder.shape(&a), importer.builder.shape(&b));
    let rank = left.len();
    if rank < 3 || right.len() != rank || left[..rank - 2] != right[..rank - 2] {
        return Err(node.unsupported(
            "",
            format!("product of {left:?} and {right:?}"),
            "two values of one rank of at least 3, equal but for the last two axes",
        ));
    }
    if left[rank - 1] != right[rank - 2] {
        return Err(node.invalid(format!("product of {left:?} and {right:?}")));
    }
    let first = importer.builder.plain(node.name(), &a);
    let plain: Vec<usize> = (0..rank).collect();
    let mut swapped = plain.clone();
    swapped.swap(rank - 1, rank - 2);
    // The kernel reads either order; where neither is there, the axis that is summed over is better innermost if it is now.
    let transposed = b.axes == swapped || (b.axes != plain && b.axes[rank - 2] == rank - 1);
    let second = importer.builder.arranged(&format!("{}.right", node.name()), &b, if transposed { &swapped } else { &plain });
    let mut shape = left;
    shape[rank - 1] = right[rank - 1];
    let op = Op::MatMul { transposed, scale: 1.0 };
    let tensor = importer.builder.push(node.name(), op, vec![first, second], shape, Clamp::NONE);
    Ok(View { tensor, axes: plain })
}

pub(super) fn layer_normalization(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let rank = shape.len();
    let axis = node.axis(node.int("axis").unwrap_or(-1), rank)?;
    if axis != rank - 1 {
        return Err(node.unsupported("axis", format!("axis {axis} of {shape:?}"), "the last axis"));
    }
    let channels = shape[axis];
    let mut vectors = [vec![1.0; channels], vec![0.0; channels]];
    for (index, vector) in vectors.iter_mut().enumerate() {
        if node.input(index + 1).is_some() {
            let constant = node.weights(index + 1, "a constant vector")?;
            match constant.values.len() {
                len if len == channels => *vector = constant.values,
                1 => *vector = vec![constant.values[0]; channels],
                len => return Err(node.invalid(format!("input {} has {len} values for {channels} channels", index + 1))),
            }
        }
    }
    let [gamma, beta] = vectors;
    normalised(importer, node, &view, node.float("epsilon").unwrap_or(1e-5), gamma, beta)
}

/// The value normalised over its last ONNX axis.
pub(in super::super) fn normalised(
    importer: &mut Importer,
    node: OnnxNode<'_>,
    view: &View,
    epsilon: f32,
    gamma: Vec<f32>,
    beta: Vec<f32>,
) -> Result<View, ImportError> {
    if gamma.len() > LayerNorm::CHANNELS_MAX {
        return Err(node.unsupported("", format!("normalisation of {} channels", gamma.len()), "at most 8192 channels"));
    }
    if !epsilon.is_finite() || epsilon < 0.0 {
        return Err(node.invalid(format!("epsilon {epsilon}")));
    }
    let view = importer.builder.innermost(node.name(), view, view.axes.len() - 1);
    let stored = importer.builder.graph.tensor(view.tensor).shape.clone();
    let op = Op::LayerNorm { gamma: gamma.into(), beta: beta.into(), epsilon };
    let tensor = importer.builder.push(node.name(), op, vec![view.tensor], stored, Clamp::NONE);
    Ok(View { tensor, axes: view.axes })
}
