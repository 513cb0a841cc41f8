//! What does not depend on the network's input is computed here, once.

use crate::float::evaluate_node;
use crate::graph::{Graph, Op};

/// Nodes that read constants only, and scales by zero, become constants.
pub(super) fn fold(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = &graph.nodes[index];
        match value(graph, index) {
            Some(values) if node.output != graph.output => {
                let output = node.output;
                graph.tensors[output.0].constant = Some(values.into());
                graph.nodes.remove(index);
                applied += 1;
            }
            _ => index += 1,
        }
    }
    applied
}

/// What a node always makes, where its input does not matter.
fn value(graph: &Graph, index: usize) -> Option<Vec<f32>> {
    let node = &graph.nodes[index];
    if let Op::ChannelAffine { scale, offset } = &node.op
        && scale.iter().all(|s| *s == 0.0)
    {
        let mut values = offset.repeat(graph.tensor(node.output).len() / offset.len().max(1));
        values.iter_mut().for_each(|v| *v = v.max(node.clamp.lo).min(node.clamp.hi));
        return Some(values);
    }
    let inputs: Option<Vec<&[f32]>> = node.inputs.iter().map(|id| graph.tensor(*id).constant.as_deref()).collect();
    let values = evaluate_node(graph, node, &inputs?);
    values.iter().all(|v| v.is_finite()).then_some(values)
}
