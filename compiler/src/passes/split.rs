//! A tensor that both a sum and a layer read would have to have one width for both: an operation ties all its inputs. In a transformer whose
//! normalisation comes last, every sum between blocks would then cost the bit operations of the layers beside it. A requantisation before the layers
//! gives them a width of their own. Where both choose the same width it is nothing: lowering makes it a view.
//!
//! Only before fully connected layers and matrix products: in convolutional networks the copy of a feature map costs more than it gains.

use crate::graph::{Clamp, Graph, Node, Op, TensorId};

/// Puts a requantisation between each such tensor and the layers that read it.
pub(super) fn split(graph: &mut Graph) -> usize {
    let mut applied = 0;
    for tensor in (0..graph.tensors.len()).map(TensorId) {
        let reads = |node: &Node| node.inputs.contains(&tensor);
        let layer = |node: &Node| reads(node) && matches!(node.op, Op::FullyConnected { .. } | Op::MatMul { .. });
        let summed = graph.nodes.iter().any(|node| reads(node) && matches!(node.op, Op::Add | Op::Sub | Op::Mul | Op::Concat { .. }));
        if graph.tensor(tensor).quantizer.is_some() {
            continue;
        }
        let Some(first) = graph.nodes.iter().position(layer).filter(|_| summed) else { continue };
        let (name, shape) = (graph.tensor(tensor).name.clone(), graph.tensor(tensor).shape.clone());
        let own = graph.add_tensor(format!("{name}.own"), shape);
        let to_own = |node: &mut Node| node.inputs.iter_mut().filter(|input| **input == tensor).for_each(|input| *input = own);
        graph.nodes.iter_mut().filter(|node| layer(node)).for_each(to_own);
        let requantize = Node { name: format!("{name}.own"), op: Op::Clamp, inputs: vec![tensor], output: own, clamp: Clamp::NONE };
        graph.nodes.insert(first, requantize);
        applied += 1;
    }
    applied
}
