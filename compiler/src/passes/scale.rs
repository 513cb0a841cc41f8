//! A factor beside a matrix product (the root of the keys' length in attention) is a factor of the product.

use super::{bypass, sole_producer};
use crate::graph::{Graph, NodeId, Op, TensorId};

/// Takes factors behind a product, or behind nothing but reshapes and transposes before it, into the product.
pub(super) fn fold(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        match uniform(graph, index).and_then(|factor| Some((factor, beside(graph, index)?))) {
            Some((factor, product)) => {
                if let Op::MatMul { scale, .. } = &mut graph.nodes[product].op {
                    *scale *= factor;
                }
                let name = graph.tensor(graph.nodes[index].output).name.clone();
                let input = graph.nodes[index].inputs[0];
                if graph.nodes[product].output == input {
                    graph.tensors[input.0].name = name;
                }
                bypass(graph, index);
                applied += 1;
            }
            None => index += 1,
        }
    }
    applied
}

/// The factor of a node that multiplies every channel by one positive number.
fn uniform(graph: &Graph, index: usize) -> Option<f32> {
    let node = &graph.nodes[index];
    let Op::ChannelAffine { scale, offset } = &node.op else { return None };
    let factor = *scale.first()?;
    let same = scale.iter().all(|s| *s == factor) && offset.iter().all(|o| *o == 0.0);
    (same && factor > 0.0 && node.clamp.is_none()).then_some(factor)
}

/// The product that can take a node's factor.
fn beside(graph: &Graph, index: usize) -> Option<usize> {
    let node = &graph.nodes[index];
    let before = sole_producer(graph, node.inputs[0]);
    if let Some(NodeId(before)) = before
        && matches!(graph.nodes[before].op, Op::MatMul { .. })
        && graph.nodes[before].clamp.is_none()
    {
        return Some(before);
    }
    let mut tensor = node.output;
    loop {
        // The codes that the model gives it are of the value with the factor.
        if graph.tensor(tensor).quantizer.is_some() {
            return None;
        }
        let reader = sole_reader(graph, tensor)?;
        match graph.nodes[reader].op {
            Op::MatMul { .. } => return Some(reader),
            Op::Reshape | Op::Transpose { .. } => tensor = graph.nodes[reader].output,
            _ => return None,
        }
    }
}

/// The node that reads a tensor, where it alone does, once.
fn sole_reader(graph: &Graph, tensor: TensorId) -> Option<usize> {
    let mut readers = graph.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&tensor));
    let (reader, node) = readers.next()?;
    let once = node.inputs.iter().filter(|input| **input == tensor).count() == 1;
    (once && readers.next().is_none() && tensor != graph.output).then_some(reader)
}
