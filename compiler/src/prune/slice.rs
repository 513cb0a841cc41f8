//! The graph without some of its channels.

use std::sync::Arc;

use super::classes::Classes;
use crate::graph::{Graph, GraphError, Node, Op, Tensor, TensorId, Weights, verify};

/// A graph without some channels. Its tensors and nodes have the numbers that they had.
pub struct Sliced {
    /// The graph.
    pub graph: Graph,
    /// For each tensor, the positions of its innermost axis that are left.
    pub left: Vec<Vec<usize>>,
}

/// Takes the channels of the classes in `gone` out of a graph.
///
/// # Errors
/// The result breaks an invariant of graphs: a bug of ours.
pub fn sliced(graph: &Graph, classes: &Classes, gone: &[bool]) -> Result<Sliced, GraphError> {
    let left: Vec<Vec<usize>> = (0..graph.tensors.len()).map(|tensor| classes.left(TensorId(tensor), gone)).collect();
    let tensors = graph.tensors.iter().zip(&left).map(|(tensor, left)| sliced_tensor(tensor, left)).collect();
    let nodes = graph.nodes.iter().map(|node| sliced_node(node, |id| &left[id.0])).collect();
    let graph = Graph { tensors, nodes, ..graph.clone() };
    verify(&graph)?;
    Ok(Sliced { graph, left })
}

/// A tensor with some positions of its innermost axis.
pub(super) fn sliced_tensor(tensor: &Tensor, left: &[usize]) -> Tensor {
    let mut shape = tensor.shape.clone();
    if let Some(last) = shape.last_mut() {
        *last = left.len();
    }
    let constant = tensor.constant.as_ref().map(|values| columns(values, tensor.channels(), left));
    Tensor { shape, constant, ..tensor.clone() }
}

/// A node with some positions of its inputs and of its output.
pub(super) fn sliced_node<'a>(node: &Node, left: impl Fn(TensorId) -> &'a Vec<usize>) -> Node {
    let inputs = node.inputs.first().map(|id| left(*id).as_slice()).unwrap_or_default();
    let outputs = left(node.output).as_slice();
    let before = |end: usize| inputs.iter().filter(|place| **place < end).count();
    let op = match &node.op {
        Op::Conv { weights, window, groups: 1 } => Op::Conv {
            weights: sliced_weights(weights, outputs, Some((window.kernel[0] * window.kernel[1], inputs))),
            window: *window,
            groups: 1,
        },
        // Depthwise: each channel has its own taps. Other groups are never pruned.
        Op::Conv { weights, window, groups } => {
            let depthwise = weights.row_len() == window.kernel[0] * window.kernel[1];
            let groups = if depthwise { inputs.len() } else { *groups };
            Op::Conv { weights: sliced_weights(weights, outputs, None), window: *window, groups }
        }
        Op::FullyConnected { weights } => Op::FullyConnected { weights: sliced_weights(weights, outputs, Some((1, inputs))) },
        Op::ChannelAffine { scale, offset } => {
            Op::ChannelAffine { scale: columns(scale, scale.len(), inputs), offset: columns(offset, offset.len(), inputs) }
        }
        Op::Prelu { slopes } => Op::Prelu { slopes: columns(slopes, slopes.len(), inputs) },
        Op::Pad { pads, value } => {
            let mut pads = pads.clone();
            if let Some((first, last)) = pads.last_mut() {
                let in_front = outputs.iter().filter(|place| **place < *first).count();
                *last = outputs.len() - inputs.len() - in_front;
                *first = in_front;
            }
            Op::Pad { pads, value: *value }
        }
        Op::Slice { begin, step } => {
            let mut begin = begin.clone();
            // Where channels are skipped they all stay.
            if let (Some(begin), Some(1)) = (begin.last_mut(), step.last()) {
                *begin = before(*begin);
            }
            Op::Slice { begin, step: step.clone() }
        }
        other => other.clone(),
    };
    Node { op, ..node.clone() }
}

/// Some rows of weights; of each row some channels of each tap, where `inputs` has taps and channels.
fn sliced_weights(weights: &Weights, outputs: &[usize], inputs: Option<(usize, &[usize])>) -> Weights {
    let row_len = weights.row_len();
    let mut values = Vec::new();
    for row in outputs.iter().filter_map(|output| weights.values.get(output * row_len..(output + 1) * row_len)) {
        match inputs {
            Some((taps, inputs)) => values.extend_from_slice(&columns(row, row_len / taps.max(1), inputs)),
            None => values.extend_from_slice(row),
        }
    }
    Weights { values: values.into(), bias: columns(&weights.bias, weights.bias.len(), outputs) }
}

/// Some columns of a matrix with rows of `width` elements.
fn columns(values: &[f32], width: usize, left: &[usize]) -> Arc<[f32]> {
    if left.len() == width {
        return values.into();
    }
    values.chunks_exact(width.max(1)).flat_map(|row| left.iter().filter_map(|place| row.get(*place).copied())).collect()
}
