//! Reshapes, transposes and paddings that another operator can take over.

use super::{bypass, sole_producer};
use crate::graph::{Graph, Op, Weights, Window};

/// A reshape of a reshape is one reshape; a reshape to the same shape, a transpose that moves nothing and a pad of nothing are none.
pub(super) fn merge_reshapes(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = &graph.nodes[index];
        let (input, output) = (graph.tensor(node.inputs[0]), graph.tensor(node.output));
        let idle = match &node.op {
            Op::Reshape => input.shape == output.shape,
            Op::Transpose { perm } => perm.iter().copied().eq(0..perm.len()),
            Op::Pad { pads, .. } => pads.iter().all(|pad| *pad == (0, 0)),
            Op::Concat { .. } => node.inputs.len() == 1,
            _ => false,
        };
        let requantizes = input.quantizer.is_some() && output.quantizer.is_some() && input.quantizer != output.quantizer;
        if idle && node.clamp.is_none() && !requantizes {
            bypass(graph, index);
            applied += 1;
            continue;
        }
        if matches!(node.op, Op::Reshape)
            && input.quantizer.is_none()
            && let Some(before) = graph.nodes.iter().position(|n| n.output == node.inputs[0] && matches!(n.op, Op::Reshape))
        {
            graph.nodes[index].inputs[0] = graph.nodes[before].inputs[0];
            applied += 1;
            continue;
        }
        index += 1;
    }
    applied
}

/// Padding of height and width before a convolution (with zeros) or a max pool (with what never wins) is padding of that operator.
pub(super) fn fold_padding(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        match padded_window(graph, index) {
            Some((before, padded)) => {
                if let Op::Conv { window, .. } | Op::MaxPool { window } = &mut graph.nodes[index].op {
                    *window = padded;
                }
                bypass(graph, before);
                applied += 1;
            }
            None => index += 1,
        }
    }
    applied
}

/// The padding node before node `index`, and the window that does without it.
fn padded_window(graph: &Graph, index: usize) -> Option<(usize, Window)> {
    let node = &graph.nodes[index];
    let (Op::Conv { window, .. } | Op::MaxPool { window }) = &node.op else { return None };
    let before = sole_producer(graph, node.inputs[0])?;
    let Op::Pad { pads, value } = &graph.nodes[before.0].op else { return None };
    let pool = matches!(node.op, Op::MaxPool { .. });
    let neutral = if pool { *value <= f32::MIN } else { *value == 0.0 };
    let [(0, 0), vertical, horizontal, (0, 0)] = pads[..] else { return None };
    let mut window = *window;
    window.pad_begin = [window.pad_begin[0] + vertical.0, window.pad_begin[1] + horizontal.0];
    window.pad_end = [window.pad_end[0] + vertical.1, window.pad_end[1] + horizontal.1];
    // A pool must not have a window of nothing but padding.
    let inside = |axis: usize| window.pad_begin[axis] < window.extent(axis) && window.pad_end[axis] < window.extent(axis);
    (neutral && (!pool || (window.dilation == [1, 1] && inside(0) && inside(1)))).then_some((before.0, window))
}

/// `Transpose -> Reshape to [1, F] -> FullyConnected` is the same layer with its weights in another order.
pub(super) fn fold_transposes(graph: &mut Graph) -> usize {
    let mut applied = 0;
    for index in 0..graph.nodes.len() {
        if fold_transpose(graph, index).is_some() {
            applied += 1;
        }
    }
    applied
}

fn fold_transpose(graph: &mut Graph, index: usize) -> Option<()> {
    let Op::FullyConnected { weights } = &graph.nodes[index].op else { return None };
    let reshape = sole_producer(graph, graph.nodes[index].inputs[0])?;
    let flat = graph.tensor(graph.nodes[index].inputs[0]);
    if !matches!(graph.nodes[reshape.0].op, Op::Reshape) || flat.len() != flat.channels() {
        return None;
    }
    let transpose = sole_producer(graph, graph.nodes[reshape.0].inputs[0])?;
    let Op::Transpose { perm } = &graph.nodes[transpose.0].op else { return None };
    let source = graph.nodes[transpose.0].inputs[0];
    let order = transposed_order(&graph.tensor(source).shape, perm);
    // Flat input k of the layer is element order[k] of the tensor before the transpose.
    let mut values = vec![0.0; weights.values.len()];
    for (to, from) in values.chunks_exact_mut(order.len()).zip(weights.values.chunks_exact(order.len())) {
        order.iter().zip(from).for_each(|(element, weight)| to[*element] = *weight);
    }
    let weights = Weights { values: values.into(), bias: weights.bias.clone() };
    graph.nodes[reshape.0].inputs[0] = source;
    graph.nodes[index].op = Op::FullyConnected { weights };
    Some(())
}

/// For each element of the transposed tensor, in order, its index in the tensor of `shape`.
fn transposed_order(shape: &[usize], perm: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut order = vec![0];
    for axis in perm {
        let step = strides[*axis];
        order = order.iter().flat_map(|base| (0..shape[*axis]).map(move |i| base + i * step)).collect();
    }
    order
}
