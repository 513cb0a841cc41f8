//! Gradients by reverse-mode differentiation of our graph in floats: for metrics that need them, not for training.

use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice, linalg::general_mat_mul};

use super::layer::{Layer, is_depthwise};
use super::operators::{Conv, sides, strides};
use super::{Executor, Values};
use crate::graph::{Graph, Node, Op, Window};

/// Gradients of a loss for one sample.
pub struct Gradients {
    /// For each tensor, in its layout; `None` where the output does not depend on it.
    pub tensors: Vec<Option<Vec<f32>>>,
    /// For each node with weights, in the graph's order `[O][K]`.
    pub weights: Vec<Option<Vec<f32>>>,
}

/// True for operators that [`backward`] differentiates.
pub fn has_gradient(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv { .. }
            | Op::FullyConnected { .. }
            | Op::Add
            | Op::ChannelAffine { .. }
            | Op::Concat { .. }
            | Op::MaxPool { .. }
            | Op::AveragePool { .. }
            | Op::Pad { .. }
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Softmax
            | Op::Clamp
    )
}

/// Gradients of a loss, given every tensor of the float run and the loss's gradient at the network's output. `None` where an operator on the way has no
/// gradient ([`has_gradient`]). A value that a clamp holds at its bound passes nothing on.
pub fn backward(executor: &Executor<'_>, values: &Values, output_gradient: Vec<f32>) -> Option<Gradients> {
    let graph = executor.graph;
    let mut tensors: Vec<Option<Vec<f32>>> = vec![None; graph.tensors.len()];
    let mut weights = vec![None; graph.nodes.len()];
    tensors[graph.output.0] = Some(output_gradient);
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        let Some(mut gradient) = tensors[node.output.0].clone() else { continue };
        if !has_gradient(&node.op) {
            return None;
        }
        let value = |id: crate::graph::TensorId| values[id.0].as_deref().unwrap_or_default();
        if !node.clamp.is_none() {
            let held = |v: f32| v <= node.clamp.lo || v >= node.clamp.hi;
            gradient.iter_mut().zip(value(node.output)).filter(|(_, v)| held(**v)).for_each(|(g, _)| *g = 0.0);
        }
        let layer = executor.layers[index].as_deref();
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|id| value(*id)).collect();
        let (of_inputs, of_weights) = node_gradients(graph, node, layer, &inputs, value(node.output), gradient);
        weights[index] = of_weights;
        for (id, gradient) in node.inputs.iter().zip(of_inputs) {
            match &mut tensors[id.0] {
                Some(sum) => sum.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g),
                none => *none = Some(gradient),
            }
        }
    }
    Some(Gradients { tensors, weights })
}

/// Gradients of each input and of the weights.
fn node_gradients(
    graph: &Graph,
    node: &Node,
    layer: Option<&Layer>,
    inputs: &[&[f32]],
    output: &[f32],
    gradient: Vec<f32>,
) -> (Vec<Vec<f32>>, Option<Vec<f32>>) {
    let input_shape = &graph.tensor(node.inputs[0]).shape;
    let output_shape = &graph.tensor(node.output).shape;
    let of_window = |window| Conv { window, input: sides(input_shape), output: sides(output_shape) };
    let only = |gradient: Vec<f32>| (vec![gradient], None);
    match (&node.op, layer) {
        (Op::Conv { window, .. }, Some(layer)) if is_depthwise(node) => {
            let (input, weights) = depthwise(&of_window(window), layer, inputs[0], &gradient);
            (vec![input], Some(weights))
        }
        (Op::Conv { window, groups, .. }, Some(layer)) => {
            let (input, weights) = grouped(&of_window(window), *groups, layer, inputs[0], &gradient);
            (vec![input], Some(weights))
        }
        (Op::FullyConnected { .. }, Some(layer)) => {
            let (mut input, mut weights) = (vec![0.0; inputs[0].len()], vec![0.0; layer.weights.len()]);
            let columns = input_shape.last().copied().unwrap_or(1);
            products(&gradient, layer.bias.len(), 0, inputs[0], columns, &layer.weights, &mut input, &mut weights);
            (vec![input], Some(weights))
        }
        (Op::Add, _) => {
            // A row that is added to every row collects from all of them.
            let mut row = vec![0.0; inputs[1].len()];
            for part in gradient.chunks_exact(row.len().max(1)) {
                row.iter_mut().zip(part).for_each(|(sum, g)| *sum += g);
            }
            (vec![gradient, row], None)
        }
        (Op::ChannelAffine { scale, .. }, _) => {
            let scaled = |pixel: &[f32]| pixel.iter().zip(scale.iter()).map(|(g, s)| g * s).collect::<Vec<f32>>();
            only(gradient.chunks_exact(scale.len()).flat_map(scaled).collect())
        }
        (Op::Concat { axis }, _) => (split(graph, node, *axis, &gradient), None),
        (Op::MaxPool { window }, _) => only(max_pool(&of_window(window), inputs[0], output, &gradient)),
        (Op::AveragePool { window, count_include_pad }, _) => only(average_pool(&of_window(window), *count_include_pad, &gradient)),
        (Op::Pad { pads, .. }, _) => only(unpad(input_shape, output_shape, pads, &gradient)),
        (Op::Transpose { perm }, _) => only(transpose_back(input_shape, perm, &gradient)),
        (Op::Softmax, _) => only(softmax(input_shape.last().copied().unwrap_or(1), output, &gradient)),
        // A clamp alone and a reshape.
        _ => only(gradient),
    }
}

/// `columns_gradient = gradient * weights'` and `weights_gradient = gradient' * columns` for the output channels from `first` on; `gradient` has rows of `width`.
#[allow(clippy::too_many_arguments)]
fn products(
    gradient: &[f32],
    width: usize,
    first: usize,
    columns: &[f32],
    row_len: usize,
    weights: &[f32],
    columns_gradient: &mut [f32],
    weights_gradient: &mut [f32],
) {
    let (rows, outputs) = (gradient.len() / width.max(1), weights.len() / row_len.max(1));
    let views = (
        ArrayView2::from_shape((rows, width), gradient),
        ArrayView2::from_shape((rows, row_len), columns),
        ArrayView2::from_shape((row_len, outputs), weights),
        ArrayViewMut2::from_shape((rows, row_len), columns_gradient),
        ArrayViewMut2::from_shape((outputs, row_len), weights_gradient),
    );
    if let (Ok(gradient), Ok(columns), Ok(weights), Ok(mut columns_gradient), Ok(mut weights_gradient)) = views {
        let gradient = gradient.slice_axis(Axis(1), Slice::from(first..first + outputs));
        general_mat_mul(1.0, &gradient, &weights.t(), 0.0, &mut columns_gradient);
        general_mat_mul(1.0, &gradient.t(), &columns, 0.0, &mut weights_gradient);
    }
}

fn grouped(conv: &Conv<'_>, groups: usize, layer: &Layer, input: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let [height, width, outputs] = conv.output;
    let channels = conv.input[2];
    let (inputs, group_outputs) = (channels / groups, outputs / groups);
    let row_len = conv.window.kernel[0] * conv.window.kernel[1] * inputs;
    let mut input_gradient = vec![0.0; input.len()];
    let mut weights_gradient = vec![0.0; layer.weights.len()];
    let mut columns = vec![0.0; height * width * row_len];
    let mut columns_gradient = columns.clone();
    for group in 0..groups {
        for (pixel, row) in columns.chunks_exact_mut(row_len).enumerate() {
            for (tap, source) in conv.taps(pixel / width, pixel % width) {
                let to = &mut row[tap * inputs..(tap + 1) * inputs];
                match source {
                    Some(source) => to.copy_from_slice(&input[source * channels + group * inputs..][..inputs]),
                    None => to.fill(0.0),
                }
            }
        }
        let part = group * group_outputs * row_len..(group + 1) * group_outputs * row_len;
        let weights = &layer.weights[part.clone()];
        let first = group * group_outputs;
        products(gradient, outputs, first, &columns, row_len, weights, &mut columns_gradient, &mut weights_gradient[part]);
        for (pixel, row) in columns_gradient.chunks_exact(row_len).enumerate() {
            for (tap, source) in conv.taps(pixel / width, pixel % width) {
                if let Some(source) = source {
                    let to = &mut input_gradient[source * channels + group * inputs..][..inputs];
                    to.iter_mut().zip(&row[tap * inputs..]).for_each(|(to, g)| *to += g);
                }
            }
        }
    }
    (input_gradient, weights_gradient)
}

fn depthwise(conv: &Conv<'_>, layer: &Layer, input: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let [_, width, channels] = conv.output;
    let mut input_gradient = vec![0.0; input.len()];
    let mut weights_gradient = vec![0.0; layer.weights.len()];
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
        for (tap, source) in conv.taps(pixel / width, pixel % width) {
            if let Some(source) = source {
                let (at, tap) = (source * channels, tap * channels);
                let to = input_gradient[at..][..channels].iter_mut().zip(&layer.weights[tap..]);
                to.zip(gradient).for_each(|((to, w), g)| *to += w * g);
                let to = weights_gradient[tap..][..channels].iter_mut().zip(&input[at..]);
                to.zip(gradient).for_each(|((to, x), g)| *to += x * g);
            }
        }
    }
    let by_channel = (0..channels * taps).map(|place| weights_gradient[place % taps * channels + place / taps]).collect();
    (input_gradient, by_channel)
}

/// The first of several largest elements gets the gradient.
fn max_pool(conv: &Conv<'_>, input: &[f32], output: &[f32], gradient: &[f32]) -> Vec<f32> {
    let [_, width, channels] = conv.output;
    let mut input_gradient = vec![0.0; input.len()];
    for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
        for (channel, g) in gradient.iter().enumerate() {
            let largest = output[pixel * channels + channel];
            let sources = conv.taps(pixel / width, pixel % width).filter_map(|(_, source)| source);
            let places: Vec<usize> = sources.map(|source| source * channels + channel).collect();
            if let Some(place) = places.iter().find(|place| input[**place] >= largest).or(places.first()) {
                input_gradient[*place] += g;
            }
        }
    }
    input_gradient
}

fn average_pool(conv: &Conv<'_>, include_padding: bool, gradient: &[f32]) -> Vec<f32> {
    let [_, width, channels] = conv.output;
    let Window { kernel, .. } = *conv.window;
    let mut input_gradient = vec![0.0; conv.input.iter().product()];
    for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
        let sources: Vec<usize> = conv.taps(pixel / width, pixel % width).filter_map(|(_, source)| source).collect();
        let counted = if include_padding { kernel[0] * kernel[1] } else { sources.len() } as f32;
        for source in sources {
            input_gradient[source * channels..].iter_mut().zip(gradient).for_each(|(to, g)| *to += g / counted);
        }
    }
    input_gradient
}

fn split(graph: &Graph, node: &Node, axis: usize, gradient: &[f32]) -> Vec<Vec<f32>> {
    let blocks: Vec<usize> = node.inputs.iter().map(|id| graph.tensor(*id).shape[axis..].iter().product()).collect();
    let mut parts: Vec<Vec<f32>> = blocks.iter().map(|_| Vec::new()).collect();
    for row in gradient.chunks_exact(blocks.iter().sum::<usize>().max(1)) {
        let mut rest = row;
        for (part, block) in parts.iter_mut().zip(&blocks) {
            let (own, others) = rest.split_at(*block);
            part.extend_from_slice(own);
            rest = others;
        }
    }
    parts
}

fn unpad(from: &[usize], to: &[usize], pads: &[(usize, usize)], gradient: &[f32]) -> Vec<f32> {
    let (from_strides, to_strides) = (strides(from), strides(to));
    let place = |index: usize| -> usize {
        (0..from.len()).map(|axis| (index / from_strides[axis] % from[axis] + pads[axis].0) * to_strides[axis]).sum()
    };
    (0..from.iter().product()).map(|index| gradient[place(index)]).collect()
}

fn transpose_back(shape: &[usize], perm: &[usize], gradient: &[f32]) -> Vec<f32> {
    let from = strides(shape);
    let mut order = vec![0];
    for axis in perm {
        order = order.iter().flat_map(|base| (0..shape[*axis]).map(|i| base + i * from[*axis]).collect::<Vec<_>>()).collect();
    }
    let mut input_gradient = vec![0.0; gradient.len()];
    order.into_iter().zip(gradient).for_each(|(element, g)| input_gradient[element] = *g);
    input_gradient
}

fn softmax(classes: usize, output: &[f32], gradient: &[f32]) -> Vec<f32> {
    let rows = output.chunks_exact(classes).zip(gradient.chunks_exact(classes));
    rows.flat_map(|(output, gradient)| {
        let mean: f32 = output.iter().zip(gradient).map(|(p, g)| p * g).sum();
        output.iter().zip(gradient).map(move |(p, g)| p * (g - mean))
    })
    .collect()
}
