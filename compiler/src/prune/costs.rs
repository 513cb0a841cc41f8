//! What a design costs: widths of the channel sets and bits of the quantizer groups together, layer by layer, each distinct layer asked for once.

use std::collections::BTreeMap;

use apq_lut::{Candidate, CostError, CostModel};
use apq_search::{Quantity, Totals};
use apq_targets::Target;

use super::Unpruned;
use super::sets::Prunable;
use super::slice::{sliced_node, sliced_tensor};
use crate::cost::{NodeCost, layer_key, node_cost};
use crate::graph::{Graph, Node, TensorId};
use crate::quant::groups::Grouping;

/// Widths and bits of a whole network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrunedDesign {
    /// Channels of each set.
    pub widths: Vec<usize>,
    /// Bit widths of each group.
    pub bits: Vec<Candidate>,
}

/// Costs of designs of one network.
pub struct PruningCosts<'a> {
    graph: &'a Graph,
    prunable: &'a Prunable,
    grouping: &'a Grouping,
    target: &'a Target,
    model: Option<&'a dyn CostModel>,
    /// For each node, the sets that its shape depends on.
    sets_of: Vec<Vec<usize>>,
    /// Cost of a node at the widths of its sets and its bits; whether latency and energy count.
    known: BTreeMap<(usize, Vec<usize>, Candidate), (NodeCost, bool)>,
    overhead_bytes: u64,
    /// Arena of the compiled network over the bytes that are alive in it; 0 where RAM does not matter.
    arena_over_live: f64,
}

impl<'a> PruningCosts<'a> {
    /// Costs relative to those of `graph` as it was unpruned. RAM is estimated, from the bytes that are alive at once, only where
    /// `with_ram` says so.
    pub fn new(
        (graph, prunable): (&'a Graph, &'a Prunable),
        unpruned: &'a Unpruned,
        (target, model): (&'a Target, Option<&'a dyn CostModel>),
        with_ram: bool,
    ) -> PruningCosts<'a> {
        let sets_of = graph.nodes.iter().map(|node| sets_of(prunable, node)).collect();
        let mut costs = PruningCosts {
            graph,
            prunable,
            grouping: &unpruned.grouping,
            target,
            model,
            sets_of,
            known: BTreeMap::new(),
            overhead_bytes: unpruned.totals.flash_bytes.saturating_sub(unpruned.weights_bytes),
            arena_over_live: 0.0,
        };
        if with_ram {
            let design = PrunedDesign { widths: prunable.widths(), bits: unpruned.assignment.clone() };
            costs.arena_over_live = unpruned.totals.ram_bytes as f64 / costs.live_bytes(&design).max(1) as f64;
        }
        costs
    }

    /// What a design costs: sums over its layers as the cost model has them. Flash is an upper bound, RAM an estimate.
    ///
    /// # Errors
    /// The cost model lacks an entry.
    pub fn totals(&mut self, design: &PrunedDesign) -> Result<Totals, CostError> {
        let mut sum =
            Totals { latency_ns: Some(0), energy_pj: Some(0), cycles: Some(0), flash_bytes: self.overhead_bytes, ..Totals::default() };
        let plus = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        for node in 0..self.graph.nodes.len() {
            let Some(group) = self.grouping.of_node[node] else { continue };
            let (cost, timed) = self.node(node, &design.widths, design.bits[group])?;
            sum.bops += cost.bops;
            sum.flash_bytes += cost.weights_bytes;
            if timed {
                sum.latency_ns = plus(sum.latency_ns, cost.latency_ns);
                sum.energy_pj = plus(sum.energy_pj, cost.energy_pj);
                sum.cycles = plus(sum.cycles, cost.cycles);
            }
        }
        if self.model.is_none() {
            (sum.latency_ns, sum.energy_pj, sum.cycles) = (None, None, None);
        }
        if self.arena_over_live > 0.0 {
            sum.ram_bytes = (self.live_bytes(design) as f64 * self.arena_over_live) as u64;
        }
        Ok(sum)
    }

    fn node(&mut self, node: usize, widths: &[usize], candidate: Candidate) -> Result<(NodeCost, bool), CostError> {
        let key = (node, self.sets_of[node].iter().map(|set| widths[*set]).collect(), candidate);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let (graph, node) = self.alone(node, widths);
        let cost = node_cost(&graph, &node, candidate, self.target, self.model)?;
        let timed = cost.modelled && layer_key(&graph, &node, candidate).is_some();
        self.known.insert(key, (cost, timed));
        Ok((cost, timed))
    }

    /// A node with its tensors, sliced, as a graph of its own without nodes.
    fn alone(&self, node: usize, widths: &[usize]) -> (Graph, Node) {
        let gone = self.prunable.gone(widths);
        let node = &self.graph.nodes[node];
        let ids: Vec<TensorId> = node.inputs.iter().copied().chain([node.output]).collect();
        let left: Vec<Vec<usize>> = ids.iter().map(|id| self.prunable.classes.left(*id, &gone)).collect();
        let nothing = Vec::new();
        let place = |id: TensorId| ids.iter().position(|other| *other == id);
        let mut sliced = sliced_node(node, |id| place(id).map_or(&nothing, |place| &left[place]));
        sliced.inputs = (0..node.inputs.len()).map(TensorId).collect();
        sliced.output = TensorId(node.inputs.len());
        let graph = Graph {
            tensors: ids.iter().zip(&left).map(|(id, left)| sliced_tensor(self.graph.tensor(*id), left)).collect(),
            nodes: Vec::new(),
            // A number that no tensor has, where the node does not read the network's input.
            input: TensorId(place(self.graph.input).unwrap_or(ids.len())),
            output: sliced.output,
            name: String::new(),
            output_axes: Vec::new(),
            input_axes: Vec::new(),
            softmax_dropped: false,
            softmax_classes: None,
            given_weights: BTreeMap::new(),
        };
        (graph, sliced)
    }

    /// Most bytes of activations that are alive at the same time, each until its last reader has run.
    fn live_bytes(&self, design: &PrunedDesign) -> u64 {
        let gone = self.prunable.gone(&design.widths);
        let bytes = |id: TensorId| {
            let tensor = self.graph.tensor(id);
            let left = tensor.len() / tensor.channels().max(1) * self.prunable.classes.left(id, &gone).len();
            let bits = self.grouping.of_tensor[id.0].map_or(8, |group| design.bits[group].activation_bits);
            (left as u64 * u64::from(bits)).div_ceil(8)
        };
        let mut last = vec![0; self.graph.tensors.len()];
        for (index, node) in self.graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| last[input.0] = index);
        }
        last[self.graph.output.0] = usize::MAX;
        let mut live = bytes(self.graph.input);
        let mut most = live;
        for (index, node) in self.graph.nodes.iter().enumerate() {
            live += bytes(node.output);
            most = most.max(live);
            let mut dead: Vec<TensorId> = node.inputs.iter().copied().filter(|input| last[input.0] == index).collect();
            dead.sort_unstable();
            dead.dedup();
            let of_constant = |id: &TensorId| self.graph.tensor(*id).constant.is_some();
            live -= dead.into_iter().filter(|id| !of_constant(id)).map(bytes).sum::<u64>();
        }
        most
    }
}

fn sets_of(prunable: &Prunable, node: &Node) -> Vec<usize> {
    let touches = |id: &TensorId, class: &usize| prunable.classes.of_tensor[id.0].contains(class);
    let tensors: Vec<TensorId> = node.inputs.iter().copied().chain([node.output]).collect();
    let of_node = |set: &usize| prunable.sets[*set].classes.first().is_some_and(|class| tensors.iter().any(|id| touches(id, class)));
    (0..prunable.sets.len()).filter(of_node).collect()
}

/// A cost relative to its limit; infinite where it is not modelled.
pub(super) fn relative(quantity: Quantity, limit: u64, totals: &Totals) -> f64 {
    totals.get(quantity).map_or(f64::INFINITY, |value| value as f64 / limit.max(1) as f64)
}
