//! What no memory plan of a network can do without, computed from its description alone: for every node the bytes that must exist while it runs,
//! whatever the order of the nodes. Shares no code with the planner.

use std::collections::BTreeSet;

use apq_runtime::build::{ModelSpec, scratch_bytes, scratch_bytes_min};

/// Bytes of a tensor, 16 to 6 bits a code whole bytes, below that each pixel from a byte on.
pub fn tensor_bytes(spec: &ModelSpec, tensor: usize) -> usize {
    let tensor = &spec.tensors[tensor];
    let channels = tensor.shape.last().copied().unwrap_or(1);
    let pixels: usize = tensor.shape.iter().rev().skip(1).product();
    let pixel = match tensor.bits.bits() {
        bits @ (2 | 4) => (channels * bits as usize).div_ceil(8),
        16 => 2 * channels,
        _ => channels,
    };
    pixels * pixel
}

/// Working memory that the compiler counts on: what is fast for a depthwise layer, the least for others.
pub fn scratch(spec: &ModelSpec, node: usize) -> usize {
    let operator = &spec.nodes[node].operator;
    let channels = spec.nodes[node].inputs.first().and_then(|input| spec.tensors[*input].shape.last());
    match operator {
        apq_runtime::build::OperatorSpec::Conv { groups, .. } if *groups > 1 && Some(groups) == channels => scratch_bytes(spec, node),
        _ => scratch_bytes_min(spec, node),
    }
}

/// The largest sum of live bytes over the nodes, working memory included, where tensors lie apart from each other: of each node what it reads and
/// writes, and every tensor that is made from what it, or nodes before it, made, and read by nodes that depend on it. All of that is alive in any order of
/// the nodes.
pub fn apart(spec: &ModelSpec) -> usize {
    (0..spec.nodes.len())
        .map(|node| live(spec, node).iter().map(|tensor| tensor_bytes(spec, *tensor)).sum::<usize>() + scratch(spec, node))
        .max()
        .unwrap_or(0)
}

/// Tensors that are alive while a node runs.
pub fn live(spec: &ModelSpec, node: usize) -> BTreeSet<usize> {
    let root = |tensor: usize| spec.tensors[tensor].alias.unwrap_or(tensor);
    let reads = |node: usize| spec.nodes[node].inputs.iter().map(move |input| root(*input));
    let writes = |node: usize| root(spec.nodes[node].output);
    let nodes = 0..spec.nodes.len();
    // Nodes that must have run before, and nodes that can only run after.
    let mut before: BTreeSet<usize> = BTreeSet::new();
    for earlier in (0..node).rev() {
        let needed = |later: usize| reads(later).any(|tensor| tensor == writes(earlier));
        if needed(node) || before.iter().any(|later| needed(*later)) {
            before.insert(earlier);
        }
    }
    let mut after: BTreeSet<usize> = BTreeSet::new();
    for later in node + 1..spec.nodes.len() {
        if reads(later).any(|tensor| tensor == writes(node) || after.iter().any(|earlier| writes(*earlier) == tensor)) {
            after.insert(later);
        }
    }
    let made = |tensor: &usize| *tensor == root(spec.input.tensor) || before.iter().any(|node| writes(*node) == *tensor);
    let wanted = |tensor: &usize| *tensor == root(spec.output.tensor) || after.iter().any(|node| reads(*node).any(|read| read == *tensor));
    let mut live: BTreeSet<usize> = nodes.flat_map(reads).filter(|tensor| made(tensor) && wanted(tensor)).collect();
    live.extend(reads(node));
    live.insert(writes(node));
    live
}
