//! What an assignment costs: bit operations, latency and energy from the target's cost model, flash and RAM from the lowered sizes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use apq_kernels::WeightBits;
use apq_lut::{Candidate, CostError, CostModel, LayerKey, Operator};
use apq_search::{NetworkCost, Totals};
use apq_targets::Target;

use crate::graph::{Graph, Node, NodeId, Op};
use crate::lower::{arena_bytes, arrangement};
use crate::quant::QuantizedNetwork;
use crate::quant::bank::Bank;
use crate::quant::groups::Grouping;

/// BOPs of a network at 8-bit weights and 16-bit activations, to which `bops_relative` refers.
pub const REFERENCE_BITS: u64 = 128;

/// The lookup-table key of a node at given widths. Reshapes cost nothing and have none.
pub fn layer_key(graph: &Graph, node: &Node, candidate: Candidate) -> Option<LayerKey> {
    let (input, output) = (graph.tensor(node.inputs[0]), graph.tensor(node.output));
    let small = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
    let sides = |shape: &[usize]| match *shape {
        [_, height, width, _] => [small(height), small(width)],
        _ => [small(shape.iter().rev().skip(1).product()), 1],
    };
    let operator: Operator = match &node.op {
        Op::Reshape => return None,
        op => op.name().parse().ok()?,
    };
    if let Op::MatMul { .. } = &node.op {
        let rank = input.shape.len();
        let batches = small(input.shape[..rank - 2].iter().product());
        let both = Candidate { weight_bits: candidate.activation_bits, ..candidate };
        let mut key = LayerKey::fully_connected(small(input.shape[rank - 2]), small(input.channels()), small(output.channels()), both);
        key.operator = Operator::MatMul;
        key.groups = batches;
        key.input_channels = key.input_channels.saturating_mul(batches);
        key.output_channels = key.output_channels.saturating_mul(batches);
        return Some(key);
    }
    if let Op::FullyConnected { weights } = &node.op {
        let rows = small(input.len() / input.channels());
        return Some(LayerKey::fully_connected(rows, small(input.channels()), small(weights.outputs()), candidate));
    }
    let mut key = LayerKey::plain(operator, sides(&input.shape), small(input.channels()), candidate);
    key.output = sides(&output.shape);
    key.output_channels = small(output.channels());
    if let Op::Conv { window, .. } | Op::MaxPool { window } | Op::AveragePool { window, .. } = &node.op {
        key.kernel = window.kernel.map(small);
        key.stride = window.stride.map(small);
        key.dilation = window.dilation.map(small);
        key.padding = [window.pad_begin[0], window.pad_begin[1], window.pad_end[0], window.pad_end[1]].map(small);
    }
    if let Op::Conv { groups, .. } = &node.op {
        key.groups = small(*groups);
    }
    key.reads_network_input = node.inputs.contains(&graph.input);
    Some(key)
}

/// Cost of one node, in whole units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCost {
    /// w * a * MAC.
    pub bops: u64,
    /// Cycles, where modelled.
    pub cycles: Option<u64>,
    /// Nanoseconds, rounded up, where modelled.
    pub latency_ns: Option<u64>,
    /// Picojoules, rounded up, where modelled.
    pub energy_pj: Option<u64>,
    /// Packed weights.
    pub weights_bytes: u64,
    /// Whether the cost model covers the operator.
    pub modelled: bool,
    /// Whether the costs are inferred from those of other layers.
    pub estimated: bool,
}

/// The cost of one node at given widths.
pub fn node_cost(
    graph: &Graph,
    node: &Node,
    candidate: Candidate,
    target: &Target,
    model: Option<&dyn CostModel>,
) -> Result<NodeCost, CostError> {
    let mut cost = NodeCost { modelled: true, ..NodeCost::default() };
    let other_bits = if let Op::MatMul { .. } = node.op { candidate.activation_bits } else { candidate.weight_bits };
    cost.bops = graph.macs(node) * u64::from(other_bits) * u64::from(candidate.activation_bits);
    if let (Some(shape), Ok(bits)) = (node.op.weight_shape(), WeightBits::try_from(candidate.weight_bits)) {
        let arrangement = arrangement(target, node, candidate.weight_bits, candidate.activation_bits);
        cost.weights_bytes = arrangement.bytes(bits, &shape).unwrap_or(usize::MAX) as u64;
    }
    let (Some(model), Some(key)) = (model, layer_key(graph, node, candidate)) else { return Ok(cost) };
    match model.cost(&key) {
        Ok(modelled) => {
            cost.cycles = modelled.cycles;
            cost.latency_ns = modelled.latency_ns.map(|ns| ns.ceil() as u64);
            cost.energy_pj = modelled.energy_nj.map(|nj| (nj * 1e3).ceil() as u64);
            cost.estimated = model.estimates(&key);
        }
        Err(CostError::NotModelled { .. }) => cost.modelled = false,
        Err(error) => return Err(error),
    }
    Ok(cost)
}

/// Costs of every node at every candidate of its group, and what turns them into totals.
pub struct NetworkCosts<'a> {
    graph: &'a Graph,
    grouping: &'a Grouping,
    bank: &'a Bank,
    target: &'a Target,
    output_bits: u8,
    /// For each node with a group, the costs at the group's candidates.
    nodes: Vec<Vec<(Candidate, NodeCost)>>,
    has_model: bool,
    /// Bytes of the file that are not packed weights, at most.
    overhead_bytes: u64,
    /// RAM is planned for each assignment only where a budget asks for it.
    plan_ram: bool,
    arena_bytes_max: Option<usize>,
    /// Arenas that have been planned.
    arenas: Mutex<BTreeMap<Vec<Candidate>, u64>>,
}

impl<'a> NetworkCosts<'a> {
    /// Asks the cost model for every node at every candidate.
    pub fn new(
        graph: &'a Graph,
        grouping: &'a Grouping,
        bank: &'a Bank,
        output_bits: u8,
        (target, model): (&'a Target, Option<&dyn CostModel>),
        overhead_bytes: u64,
        plan_ram: bool,
    ) -> Result<Self, CostError> {
        let mut nodes = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let mut costs = Vec::new();
            if let Some(group) = grouping.of_node[index] {
                for candidate in &grouping.groups[group].candidates {
                    costs.push((*candidate, node_cost(graph, node, *candidate, target, model)?));
                }
            }
            nodes.push(costs);
        }
        Ok(NetworkCosts {
            graph,
            grouping,
            bank,
            target,
            output_bits,
            nodes,
            has_model: model.is_some(),
            overhead_bytes,
            plan_ram,
            arena_bytes_max: None,
            arenas: Mutex::default(),
        })
    }

    /// The same costs, where networks are streamed by rows if their arena would pass this limit otherwise. It computes nothing twice, so that no
    /// other cost changes.
    pub fn streaming_below(self, arena_bytes_max: Option<usize>) -> Self {
        NetworkCosts { arena_bytes_max, ..self }
    }

    /// The arena of an assignment, planned once.
    fn ram_bytes(&self, assignment: &[Candidate]) -> u64 {
        // A poisoned lock still holds right entries.
        let arenas = || self.arenas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = arenas().get(assignment) {
            return *known;
        }
        let mut network = QuantizedNetwork::new(self.graph, self.grouping, self.bank, assignment.to_vec(), self.output_bits);
        network.layout = Some(self.target);
        let bytes = arena_bytes(&network, self.arena_bytes_max).map_or(u64::MAX, |bytes| bytes as u64);
        arenas().insert(assignment.to_vec(), bytes);
        bytes
    }

    /// Cost of a node at its assigned width; `None` for a node behind the network's last computation.
    pub fn node(&self, node: NodeId, assignment: &[Candidate]) -> Option<NodeCost> {
        let candidate = assignment[self.grouping.of_node[node.0]?];
        self.nodes[node.0].iter().find(|(c, _)| *c == candidate).map(|(_, cost)| *cost)
    }

    /// Names of the nodes that the cost model does not cover, and that therefore count as 0.
    pub fn not_modelled(&self) -> Vec<&'a str> {
        let uncovered = |costs: &[(Candidate, NodeCost)]| costs.iter().any(|(_, cost)| !cost.modelled);
        self.graph.nodes.iter().zip(&self.nodes).filter(|(_, costs)| uncovered(costs)).map(|(node, _)| node.name.as_str()).collect()
    }
}

impl NetworkCost for NetworkCosts<'_> {
    fn totals(&self, assignment: &[Candidate]) -> Totals {
        let mut sum = NodeCost { cycles: Some(0), latency_ns: Some(0), energy_pj: Some(0), ..NodeCost::default() };
        for node in (0..self.nodes.len()).map(NodeId) {
            let Some(cost) = self.node(node, assignment) else { continue };
            sum.bops += cost.bops;
            sum.weights_bytes += cost.weights_bytes;
            if cost.modelled && layer_key(self.graph, &self.graph.nodes[node.0], assignment[0]).is_some() {
                let plus = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
                sum.cycles = plus(sum.cycles, cost.cycles);
                sum.latency_ns = plus(sum.latency_ns, cost.latency_ns);
                sum.energy_pj = plus(sum.energy_pj, cost.energy_pj);
            }
        }
        let ram_bytes = if self.plan_ram { self.ram_bytes(assignment) } else { 0 };
        let modelled = |value: Option<u64>| value.filter(|_| self.has_model);
        Totals {
            bops: sum.bops,
            latency_ns: modelled(sum.latency_ns),
            energy_pj: modelled(sum.energy_pj),
            cycles: modelled(sum.cycles),
            flash_bytes: sum.weights_bytes + self.overhead_bytes,
            ram_bytes,
        }
    }
}
