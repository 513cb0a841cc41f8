//! ReLU, ReLU6 and Clip become bounds of the node before them.

use super::{bypass, sole_producer};
use crate::graph::{Clamp, Graph, Op};

/// Folds each clamp node into the node that alone feeds it, where that node requantises anyway.
pub(super) fn fuse(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = &graph.nodes[index];
        let target = match node.op {
            Op::Clamp => sole_producer(graph, node.inputs[0]),
            _ => None,
        };
        let fuses = |op: &Op| {
            matches!(
                op,
                Op::Conv { .. }
                    | Op::FullyConnected { .. }
                    | Op::Add
                    | Op::Sub
                    | Op::Mul
                    | Op::Table { .. }
                    | Op::Prelu { .. }
                    | Op::Resize { interpolate: true, .. }
                    | Op::MatMul { .. }
                    | Op::LayerNorm { .. }
                    | Op::AveragePool { .. }
                    | Op::Concat { .. }
                    | Op::Clamp
            )
        };
        match target {
            Some(before) if fuses(&graph.nodes[before.0].op) => {
                let (clamp, name) = (node.clamp, graph.tensor(node.output).name.clone());
                let producer = &mut graph.nodes[before.0];
                producer.clamp = producer.clamp.then(clamp);
                graph.tensors[producer.output.0].name = name;
                bypass(graph, index);
                applied += 1;
            }
            _ => index += 1,
        }
    }
    applied
}

/// A clamp behind a max pool (or behind a change of shape) may as well stand before it, where it can be fused: both keep the order of values.
pub(super) fn hoist_over_max_pool(graph: &mut Graph) -> usize {
    let mut applied = 0;
    for index in 0..graph.nodes.len() {
        if !matches!(graph.nodes[index].op, Op::Clamp) {
            continue;
        }
        let mut at = index;
        while let Some(before) = sole_producer(graph, graph.nodes[at].inputs[0]) {
            if !matches!(graph.nodes[before.0].op, Op::MaxPool { .. } | Op::Reshape | Op::Transpose { .. }) {
                break;
            }
            swap_with_producer(graph, at, before.0);
            at = before.0;
            applied += 1;
        }
    }
    applied
}

/// `x -> a -> y -> clamp -> z` becomes `x -> clamp -> y' -> a -> z`.
fn swap_with_producer(graph: &mut Graph, clamp: usize, producer: usize) {
    let input = graph.nodes[producer].inputs[0];
    let middle = graph.nodes[clamp].inputs[0];
    let output = graph.nodes[clamp].output;
    graph.tensors[middle.0].shape = graph.tensor(input).shape.clone();
    let (name, bounds) = (graph.nodes[clamp].name.clone(), graph.nodes[clamp].clamp);
    let moved = graph.nodes[producer].clone();
    let hoisted = crate::graph::Node { name, op: Op::Clamp, inputs: vec![input], output: middle, clamp: bounds };
    graph.nodes[producer] = hoisted;
    graph.nodes[clamp] = crate::graph::Node { inputs: vec![middle], output, clamp: Clamp::NONE, ..moved };
    // Whatever stood between the two does not depend on either, so the order still holds.
}
