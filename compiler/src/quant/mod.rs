//! Post-training quantization: ranges, groups, the sensitivity list, and the network with its bit widths chosen.

pub mod bank;
pub mod bias;
pub mod calibration;
pub mod correction;
pub mod groups;
pub mod ranges;
pub mod sensitivity;

use std::sync::Arc;

use apq_lut::Candidate;

use crate::float::Simulation;
use crate::graph::{Graph, NodeId, TensorId};
use bank::{Bank, QuantizedWeights};
use groups::Grouping;
use ranges::ActivationQuantizer;

/// A network whose groups have their bit widths.
pub struct QuantizedNetwork<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// Its groups.
    pub grouping: &'a Grouping,
    /// The quantizers to choose from.
    pub bank: &'a Bank,
    /// The width of each group.
    pub assignment: Vec<Candidate>,
    /// Width of the network's output.
    pub output_bits: u8,
    /// For each node, the bias that correction found; `None` keeps the model's.
    pub biases: Vec<Option<Vec<f32>>>,
    /// Whether the file ends with the softmax that [`Graph::output`] goes without.
    pub keep_softmax: bool,
}

impl<'a> QuantizedNetwork<'a> {
    /// Every group at the given width, biases as in the model.
    pub fn new(graph: &'a Graph, grouping: &'a Grouping, bank: &'a Bank, assignment: Vec<Candidate>, output_bits: u8) -> Self {
        QuantizedNetwork { graph, grouping, bank, assignment, output_bits, biases: vec![None; graph.nodes.len()], keep_softmax: false }
    }

    /// Width of a tensor.
    pub fn bits(&self, tensor: TensorId) -> u8 {
        self.grouping.of_tensor[tensor.0]
            .map_or(self.grouping.output_bits(tensor, self.output_bits), |group| self.assignment[group].activation_bits)
    }

    /// Quantizer of a tensor.
    pub fn quantizer(&self, tensor: TensorId) -> Option<ActivationQuantizer> {
        self.bank.activations[tensor.0].get(&self.bits(tensor)).copied()
    }

    /// Width of a node's weights and of its inputs.
    pub fn candidate(&self, node: NodeId) -> Option<Candidate> {
        self.grouping.of_node[node.0].map(|group| self.assignment[group])
    }

    /// Rounded weights of a node.
    pub fn weights(&self, node: NodeId) -> Option<Arc<QuantizedWeights>> {
        self.bank.node_weights(node, self.candidate(node)?.weight_bits).cloned()
    }

    /// Bias of a node; empty where it has none.
    pub fn bias(&self, node: NodeId) -> &[f32] {
        match (&self.biases[node.0], self.graph.nodes[node.0].op.weights()) {
            (Some(bias), _) => bias,
            (None, Some(weights)) => &weights.bias,
            (None, None) => &[],
        }
    }

    /// The same network in floats, its quantizers simulated. Biases are the multiples of s_in * s_w that integers hold: at some tenths of an output
    /// code between those, the float bias would flip roundings that later layers amplify.
    pub fn simulation(&self) -> Simulation {
        let mut simulation = self.bank.assigned(self.graph, self.grouping, &self.assignment, self.output_bits);
        for (index, layer) in simulation.layers.iter_mut().enumerate() {
            if let (Some(layer), Some(bias)) = (layer, self.bias_on_grid(NodeId(index))) {
                *layer = Arc::new(layer.with_bias(bias));
            }
        }
        simulation
    }

    fn bias_on_grid(&self, node: NodeId) -> Option<Vec<f32>> {
        let (weights, input) = (self.weights(node)?, self.quantizer(self.graph.nodes[node.0].inputs[0])?);
        let row_len = weights.codes.len() / weights.scales.len().max(1);
        let rounded = |(channel, bias): (usize, &f32)| {
            let grid = f64::from(input.scale) * f64::from(weights.scales[channel]);
            // Lowering gives a row of zeros a finer grid of its own.
            let empty = weights.codes[channel * row_len..][..row_len].iter().all(|code| *code == 0);
            if empty { *bias } else { ((f64::from(*bias) / grid).round() * grid) as f32 }
        };
        Some(self.bias(node).iter().enumerate().map(rounded).collect())
    }

    /// Takes over the biases of a corrected simulation.
    pub fn set_biases(&mut self, corrected: &Simulation) {
        self.biases = corrected.layers.iter().map(|layer| layer.as_ref().map(|layer| layer.bias().to_vec())).collect();
    }
}
