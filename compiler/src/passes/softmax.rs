//! A softmax at the end changes neither the order of the classes nor what is measured, so it is left out.

use super::bypass;
use crate::graph::{Graph, Op};

/// Leaves out the softmax that makes the network's output.
pub(super) fn drop_last(graph: &mut Graph) -> usize {
    let last = graph.nodes.iter().position(|node| node.output == graph.output && matches!(node.op, Op::Softmax));
    match last {
        Some(index) if graph.nodes.len() > 1 && graph.nodes[index].clamp.is_none() => {
            bypass(graph, index);
            graph.softmax_dropped = true;
            1
        }
        _ => 0,
    }
}
