//! Quantizer groups: what must change its bit width together.
//!
//! An operation ties its weights and all its input tensors; an operation that keeps the codes (max pool, reshape, transpose, pad, slice, nearest-neighbour resize) ties its output to
//! its input and shares its quantizer. The candidates of a group are what the target has kernels for in all of its operations.

use apq_lut::Candidate;

use super::ranges::ActivationQuantizer;
use crate::graph::{Graph, Node, NodeId, Op, TensorId};
use crate::import::ImportError;
use crate::network::NetworkError;

/// One quantizer group.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizerGroup {
    /// Name of its first operation in graph order.
    pub name: String,
    /// Operations whose inputs (and weights) it quantizes, in graph order; operations that keep codes are among them.
    pub nodes: Vec<NodeId>,
    /// Tensors it quantizes.
    pub tensors: Vec<TensorId>,
    /// Bit widths it can have.
    pub candidates: Vec<Candidate>,
    /// True where one of its operations has weights.
    pub weighted: bool,
}

/// The groups of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// Groups in graph order.
    pub groups: Vec<QuantizerGroup>,
    /// Group of each tensor; `None` for the network's output, whose width is not part of the assignment.
    pub of_tensor: Vec<Option<usize>>,
    /// Group of each node; `None` for operations that keep codes behind the network's last computation.
    pub of_node: Vec<Option<usize>>,
    /// The tensor whose quantizer each tensor uses: itself, or the input of the operation that keeps its codes.
    pub quantizer: Vec<TensorId>,
    /// The quantizer of each tensor that a quantized model brings.
    pub given: Vec<Option<ActivationQuantizer>>,
}

impl Grouping {
    /// Width of a tensor without a group: as the model gives it, or that of the network's output.
    pub fn output_bits(&self, tensor: TensorId, output_bits: u8) -> u8 {
        self.given[tensor.0].map_or(output_bits, |given| given.bits)
    }

    /// The widths that a node's weights may take, ascending; none where no group holds the node.
    pub fn weight_bits(&self, node: usize) -> Vec<u8> {
        self.of_node[node].map_or_else(Vec::new, |group| ascending(self.groups[group].candidates.iter().map(|c| c.weight_bits)))
    }

    /// The widths that a tensor may take, ascending: those of the network's output where no group holds it.
    pub fn activation_bits(&self, tensor: usize, output_bits: u8) -> Vec<u8> {
        let of_group = |group: usize| ascending(self.groups[group].candidates.iter().map(|c| c.activation_bits));
        self.of_tensor[tensor].map_or_else(|| vec![self.output_bits(TensorId(tensor), output_bits)], of_group)
    }
}

fn ascending(widths: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut widths: Vec<u8> = widths.collect();
    widths.sort_unstable();
    widths.dedup();
    widths
}

/// A group for which the target has no kernels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "node \"{node}\": the target has no {operator} kernel for {wanted}; its group \"{group}\" needs one of these widths in all of {members}"
)]
pub struct NoKernel {
    /// The group.
    pub group: String,
    /// The first node that none of the candidates fits.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// The candidates.
    pub wanted: String,
    /// Every operation of the group.
    pub members: String,
}

/// Finds the groups of `graph`. `supports` says whether the target has a kernel for an operator at a candidate's widths.
///
/// # Errors
/// [`NoKernel`] for a group, or a quantized model that gives one group several widths.
pub fn group(graph: &Graph, candidates: &[Candidate], supports: impl Fn(&Op, Candidate) -> bool) -> Result<Grouping, NetworkError> {
    let mut sets = DisjointSets::new(graph.tensors.len());
    let mut quantizer: Vec<TensorId> = (0..graph.tensors.len()).map(TensorId).collect();
    for node in &graph.nodes {
        for pair in node.inputs.windows(2) {
            sets.join(pair[0].0, pair[1].0);
        }
        if node.op.keeps_codes() {
            sets.join(node.inputs[0].0, node.output.0);
            quantizer[node.output.0] = quantizer[node.inputs[0].0];
        }
    }
    let mut computes = vec![false; graph.tensors.len()];
    for node in graph.nodes.iter().filter(|node| !node.op.keeps_codes()) {
        computes[sets.find(node.inputs[0].0)] = true;
    }
    let mut groups: Vec<QuantizerGroup> = Vec::new();
    let mut group_of_root = vec![None; graph.tensors.len()];
    for node in &graph.nodes {
        let root = sets.find(node.inputs[0].0);
        if computes[root] && group_of_root[root].is_none() {
            group_of_root[root] = Some(groups.len());
            let (nodes, tensors, candidates) = (Vec::new(), Vec::new(), Vec::new());
            groups.push(QuantizerGroup { name: node.name.clone(), nodes, tensors, candidates, weighted: false });
        }
    }
    let of_tensor: Vec<Option<usize>> = (0..graph.tensors.len()).map(|tensor| group_of_root[sets.find(tensor)]).collect();
    let of_node: Vec<Option<usize>> = graph.nodes.iter().map(|node| of_tensor[node.inputs[0].0]).collect();
    for (tensor, group) in of_tensor.iter().enumerate() {
        if let Some(group) = group {
            groups[*group].tensors.push(TensorId(tensor));
        }
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Some(group) = of_node[index] {
            groups[group].nodes.push(NodeId(index));
            groups[group].weighted |= node.op.weights().is_some();
        }
    }
    for group in &mut groups {
        let given = given_candidates(graph, group, candidates)?;
        let narrowed = group_candidates(graph, group, given.as_deref().unwrap_or(candidates), &supports)?;
        // A model that brings its quantizers leaves nothing to choose.
        let widest = narrowed.iter().copied().max_by_key(|candidate| candidate.product());
        group.candidates = if given.is_some() { widest.into_iter().collect() } else { narrowed };
    }
    let given = quantizer
        .iter()
        .map(|source| {
            (0..graph.tensors.len()).filter(|other| quantizer[*other] == *source).find_map(|other| graph.tensors[other].quantizer)
        })
        .collect();
    Ok(Grouping { groups, of_tensor, of_node, quantizer, given })
}

/// The candidates that a quantized model leaves to a group; `None` where it says nothing about it.
fn given_candidates(graph: &Graph, group: &QuantizerGroup, candidates: &[Candidate]) -> Result<Option<Vec<Candidate>>, NetworkError> {
    let tensors = group.tensors.iter().map(|tensor| graph.tensor(*tensor));
    let activations = tensors.filter_map(|tensor| Some((tensor.name.as_str(), tensor.quantizer?.bits)));
    let activation_bits = one_width(group, "values", activations)?;
    let nodes = group.nodes.iter().map(|node| &graph.nodes[node.0]);
    let weights = nodes.filter_map(|node| Some((node.name.as_str(), graph.given_weights.get(&node.name)?.bits)));
    let weight_bits = one_width(group, "weights of nodes", weights)?;
    if activation_bits.is_none() && weight_bits.is_none() {
        return Ok(None);
    }
    let fits = |candidate: &&Candidate| {
        activation_bits.is_none_or(|bits| bits == candidate.activation_bits) && weight_bits.is_none_or(|bits| bits == candidate.weight_bits)
    };
    let left: Vec<Candidate> = candidates.iter().filter(fits).copied().collect();
    if !left.is_empty() {
        return Ok(Some(left));
    }
    Ok(Some(vec![Candidate { weight_bits: weight_bits.unwrap_or(8), activation_bits: activation_bits.unwrap_or(8) }]))
}

/// The width that a quantized model gives to all of a group's tensors, or to all of its weights.
fn one_width<'a>(group: &QuantizerGroup, what: &str, mut widths: impl Iterator<Item = (&'a str, u8)>) -> Result<Option<u8>, NetworkError> {
    let Some((first, bits)) = widths.next() else { return Ok(None) };
    let Some((other, others)) = widths.find(|(_, others)| *others != bits) else { return Ok(Some(bits)) };
    Err(NetworkError::Import(ImportError::UnsupportedModel(format!(
        "group \"{}\": the model quantizes the {what} \"{first}\" to {bits} bits and \"{other}\" to {others}; nearest supported form: \
         one width for all values, and one for all weights, of a group",
        group.name
    ))))
}

fn group_candidates(
    graph: &Graph,
    group: &QuantizerGroup,
    candidates: &[Candidate],
    supports: &impl Fn(&Op, Candidate) -> bool,
) -> Result<Vec<Candidate>, Box<NoKernel>> {
    let fits =
        |node: &NodeId, candidate: Candidate| supports(&graph.nodes[node.0].op, candidate) && sum_fits(&graph.nodes[node.0].op, candidate);
    // A softmax writes 8 or 16 bits.
    let writes_softmax = |node: &Node| matches!(node.op, Op::Softmax) && group.tensors.contains(&node.output);
    let softmax = graph.nodes.iter().any(writes_softmax);
    let usable: Vec<Candidate> = candidates
        .iter()
        .copied()
        .filter(|candidate| {
            (!softmax || matches!(candidate.activation_bits, 8 | 16)) && group.nodes.iter().all(|node| fits(node, *candidate))
        })
        .collect();
    if !usable.is_empty() {
        return Ok(usable);
    }
    // Name the node that rules out what the nodes before it left.
    let mut left: Vec<Candidate> = candidates.to_vec();
    let mut guilty = None;
    for node in &group.nodes {
        left.retain(|candidate| fits(node, *candidate));
        if left.is_empty() {
            guilty = Some(*node);
            break;
        }
    }
    // Where all of them would do, the softmax that writes the group's tensor does not.
    let guilty = guilty.or_else(|| graph.nodes.iter().position(writes_softmax).map(NodeId)).unwrap_or(group.nodes[0]);
    let node = &graph.nodes[guilty.0];
    let list = |names: Vec<String>| names.join(", ");
    Err(Box::new(NoKernel {
        group: group.name.clone(),
        node: node.name.clone(),
        operator: node.op.name().into(),
        wanted: list(candidates.iter().map(Candidate::to_string).collect()),
        members: list(group.nodes.iter().map(|node| format!("\"{}\"", graph.nodes[node.0].name)).collect()),
    }))
}

/// The average pool kernels sum in 32 bits: very large windows have no room for wide codes.
fn sum_fits(op: &Op, candidate: Candidate) -> bool {
    let Op::AveragePool { window, .. } = op else { return true };
    let largest: u64 = if candidate.activation_bits == 16 { 1 << 15 } else { (1 << candidate.activation_bits) - 1 };
    (window.kernel[0] * window.kernel[1]) as u64 * largest < 1 << 31
}

/// Union-find with path halving; the root of a set is its smallest member.
struct DisjointSets(Vec<usize>);

impl DisjointSets {
    fn new(len: usize) -> Self {
        DisjointSets((0..len).collect())
    }

    fn find(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}
