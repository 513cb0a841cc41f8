//! A softmax at the end changes neither the order of the classes nor what is measured, so it is left out.

use super::bypass;
use crate::graph::{Graph, Op};

/// Leaves out the softmax that makes the network's output, also where only reshapes follow it.
pub(super) fn drop_last(graph: &mut Graph) -> usize {
    let mut tensor = graph.output;
    let last = loop {
        let Some(index) = graph.nodes.iter().position(|node| node.output == tensor) else { return 0 };
        let node = &graph.nodes[index];
        let readers = graph.nodes.iter().flat_map(|node| &node.inputs).filter(|input| **input == tensor).count();
        if !node.clamp.is_none() || readers > usize::from(tensor != graph.output) {
            return 0;
        }
        match node.op {
            Op::Softmax => break index,
            Op::Reshape => tensor = node.inputs[0],
            _ => return 0,
        }
    };
    if graph.nodes.len() == 1 {
        return 0;
    }
    let classes = graph.tensor(graph.nodes[last].output).channels();
    bypass(graph, last);
    graph.softmax_dropped = true;
    graph.softmax_classes = (graph.tensor(graph.output).channels() == classes).then_some(classes);
    1
}
