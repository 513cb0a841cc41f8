//! Rewrites of the graph that do not change what it computes. Each is a plain function that says how often it applied; [`simplify`] calls them in
//! order and verifies the graph between them.

mod affine;
mod clamp;
mod constants;
mod given;
mod order;
mod pointwise;
mod scale;
mod softmax;
mod split;

pub(crate) use pointwise::common_source;

use crate::graph::{Graph, GraphError, NodeId, TensorId, verify};

/// A pass: rewrites the graph and returns how often it applied.
type Pass = fn(&mut Graph) -> usize;

const PASSES: &[(&str, Pass)] = &[
    ("compute what does not depend on the input", constants::fold),
    ("merge reshapes", order::merge_reshapes),
    ("fold padding into convolutions and max pools", order::fold_padding),
    ("fold transposes into fully connected layers", order::fold_transposes),
    ("functions of one tensor become tables", pointwise::join),
    ("hoist clamps over max pools", clamp::hoist_over_max_pool),
    ("fold channel scales and offsets", affine::fold),
    ("fold factors into matrix products", scale::fold),
    ("tables take over their neighbours", pointwise::compose),
    ("channel scales and offsets that are left become depthwise convolutions", affine::to_depthwise),
    ("fuse clamps", clamp::fuse),
    ("tables take over the clamps that are left", pointwise::compose_clamps),
    ("requantize what cannot be written as given", given::requantize),
    ("give layers inputs of their own beside sums", split::split),
    ("drop the softmax at the end", softmax::drop_last),
];

/// Runs every pass in order. `trace` gets the name of each pass, how often it applied, and the graph after it.
pub fn simplify(graph: &mut Graph, mut trace: impl FnMut(&str, usize, &Graph)) -> Result<(), GraphError> {
    for (name, pass) in PASSES {
        let applied = pass(graph);
        if applied > 0 {
            graph.compact();
        }
        verify(graph)?;
        trace(name, applied, graph);
    }
    Ok(())
}

/// The node that makes `tensor`, where nothing but one node reads it, it is not the network's output and no quantizer of the model's rounds it.
fn sole_producer(graph: &Graph, tensor: TensorId) -> Option<NodeId> {
    if tensor == graph.output || graph.tensor(tensor).quantizer.is_some() {
        return None;
    }
    let readers = graph.nodes.iter().flat_map(|node| &node.inputs).filter(|input| **input == tensor).count();
    let producer = graph.nodes.iter().position(|node| node.output == tensor)?;
    (readers == 1).then_some(NodeId(producer))
}

/// Removes node `index`; its output becomes another name for its first input.
fn bypass(graph: &mut Graph, index: usize) {
    let node = graph.nodes.remove(index);
    let (from, to) = (node.output, node.inputs[0]);
    if graph.tensor(to).quantizer.is_none() {
        graph.tensors[to.0].quantizer = graph.tensor(from).quantizer;
    }
    for reader in &mut graph.nodes {
        reader.inputs.iter_mut().filter(|input| **input == from).for_each(|input| *input = to);
    }
    if graph.output == from {
        graph.output = to;
    }
}
