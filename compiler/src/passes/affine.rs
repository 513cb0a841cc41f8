//! Batch normalisation and constant offsets, `x * scale[c] + offset[c]`, become part of the layer before them.

use std::sync::Arc;

use super::{bypass, sole_producer};
use crate::graph::{Graph, Op, Weights, Window};

/// Folds each affine node into the convolution, fully connected layer, layer normalisation or affine node that alone feeds it.
pub(super) fn fold(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if fold_one(graph, index) {
            applied += 1;
        } else {
            index += 1;
        }
    }
    applied
}

fn fold_one(graph: &mut Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    let Op::ChannelAffine { scale, offset } = &node.op else { return false };
    let (scale, offset) = (scale.clone(), offset.clone());
    let (clamp, output) = (node.clamp, node.output);
    let Some(producer) = sole_producer(graph, node.inputs[0]) else { return false };
    // Scaled weights would no longer be the codes that the model gives.
    if graph.given_weights.contains_key(&graph.nodes[producer.0].name) && scale.iter().any(|s| *s != 1.0) {
        return false;
    }
    let before = &mut graph.nodes[producer.0];
    if !before.clamp.is_none() {
        return false;
    }
    match &mut before.op {
        Op::ChannelAffine { scale: first, offset: first_offset } => {
            let both_offset: Vec<f32> = first_offset.iter().zip(scale.iter().zip(offset.iter())).map(|(b, (s, o))| b * s + o).collect();
            let both: Vec<f32> = first.iter().zip(scale.iter()).map(|(a, s)| a * s).collect();
            if !finite(&both) || !finite(&both_offset) {
                return false;
            }
            (*first, *first_offset) = (both.into(), both_offset.into());
        }
        Op::LayerNorm { gamma, beta, .. } => {
            let new_beta: Vec<f32> = beta.iter().zip(scale.iter().zip(offset.iter())).map(|(b, (s, o))| b * s + o).collect();
            let new_gamma: Vec<f32> = gamma.iter().zip(scale.iter()).map(|(g, s)| g * s).collect();
            if !finite(&new_gamma) || !finite(&new_beta) {
                return false;
            }
            (*gamma, *beta) = (new_gamma.into(), new_beta.into());
        }
        op => {
            let Some(weights) = op.weights_mut() else { return false };
            if weights.outputs() != scale.len() {
                return false;
            }
            let scaled = scaled(weights, &scale, &offset);
            if !finite(&scaled.values) || !finite(&scaled.bias) {
                return false;
            }
            *weights = scaled;
        }
    }
    before.clamp = clamp;
    // The layer takes over the name of the tensor it now makes.
    graph.tensors[before.output.0].name = graph.tensors[output.0].name.clone();
    bypass(graph, index);
    true
}

/// Products that overflow stay unfolded: the network's output tells whether they matter.
fn finite(values: &[f32]) -> bool {
    values.iter().all(|v| v.is_finite())
}

fn scaled(weights: &Weights, scale: &[f32], offset: &[f32]) -> Weights {
    let values: Vec<f32> =
        weights.values.chunks_exact(weights.row_len()).zip(scale).flat_map(|(row, s)| row.iter().map(move |w| w * s)).collect();
    let bias: Vec<f32> = weights
        .bias
        .iter()
        .zip(scale.iter().zip(offset))
        .map(|(b, (s, o))| (f64::from(*b) * f64::from(*s) + f64::from(*o)) as f32)
        .collect();
    Weights { values: values.into(), bias: bias.into() }
}

/// An affine node that no layer took up is a depthwise 1x1 convolution.
pub(super) fn to_depthwise(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Op::ChannelAffine { scale, offset } = &graph.nodes[index].op {
            let (scale, offset) = (scale.clone(), offset.clone());
            index = affine_to_depthwise(graph, index, scale, offset);
            applied += 1;
        }
        index += 1;
    }
    applied
}

fn affine_to_depthwise(graph: &mut Graph, index: usize, scale: Arc<[f32]>, offset: Arc<[f32]>) -> usize {
    let channels = scale.len();
    let window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad_begin: [0; 2], pad_end: [0; 2] };
    graph.nodes[index].op = Op::Conv { weights: Weights { values: scale, bias: offset }, window, groups: channels };
    let node = graph.nodes[index].clone();
    let shape = graph.tensor(node.output).shape.clone();
    if shape.len() == 4 {
        return index;
    }
    // A convolution wants [1, H, W, C].
    let image = vec![1, 1, shape.iter().product::<usize>() / channels, channels];
    let name = graph.tensor(node.output).name.clone();
    let into = graph.add_tensor(format!("{name}.image"), image.clone());
    let out = graph.add_tensor(format!("{name}.affine"), image);
    let reshape = |name: String, from, to| crate::graph::Node {
        name,
        op: Op::Reshape,
        inputs: vec![from],
        output: to,
        clamp: crate::graph::Clamp::NONE,
    };
    let before = reshape(format!("{}.image", node.name), node.inputs[0], into);
    let after = reshape(format!("{}.shape", node.name), out, node.output);
    graph.nodes[index].inputs = vec![into];
    graph.nodes[index].output = out;
    graph.nodes.insert(index, before);
    graph.nodes.insert(index + 2, after);
    index + 2
}
