//! Post-training quantization: ranges, groups, the sensitivity list, and the network with its bit widths chosen.

pub mod bank;
pub mod bias;
pub mod calibration;
pub mod correction;
pub mod groups;
pub mod ranges;
pub mod rounding;
pub mod sensitivity;

use std::sync::Arc;

use apq_lut::Candidate;
use apq_targets::Target;

use crate::float::{Layer, Simulation};
use crate::graph::{Graph, NodeId, TensorId};
use bank::{Bank, RoundedLayer};
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
    /// Whether the file ends with the softmax that [`Graph::output`] goes without.
    pub keep_softmax: bool,
    /// The target whose kernels say how weights are arranged in the file; row by row where there is none.
    pub layout: Option<&'a Target>,
    /// Whether codes of fewer than 8 bits lie in bytes: a file with the same results, which is larger, and faster on a computer. Only for networks whose
    /// narrow tensors come from convolutions, fully connected layers and sums.
    pub in_bytes: bool,
    /// For each node, its weights and bias at its width; `None` where it has none.
    layers: Vec<Option<Arc<RoundedLayer>>>,
}

impl<'a> QuantizedNetwork<'a> {
    /// Every group at the given width, layers as in the bank.
    pub fn new(graph: &'a Graph, grouping: &'a Grouping, bank: &'a Bank, assignment: Vec<Candidate>, output_bits: u8) -> Self {
        let layer = |(node, group): (usize, &Option<usize>)| bank.layers[node].get(&assignment[(*group)?].weight_bits).cloned();
        let layers = grouping.of_node.iter().enumerate().map(layer).collect();
        QuantizedNetwork { graph, grouping, bank, assignment, output_bits, keep_softmax: false, layout: None, in_bytes: false, layers }
    }

    /// Width of a tensor.
    pub fn bits(&self, tensor: TensorId) -> u8 {
        self.grouping.of_tensor[tensor.0]
            .map_or(self.grouping.output_bits(tensor, self.output_bits), |group| self.assignment[group].activation_bits)
    }

    /// Width in which codes of that many bits are stored.
    pub fn stored_bits(&self, bits: u8) -> u8 {
        if self.in_bytes { bits.max(8) } else { bits }
    }

    /// Quantizer of a tensor.
    pub fn quantizer(&self, tensor: TensorId) -> Option<ActivationQuantizer> {
        self.bank.activations[tensor.0].get(&self.bits(tensor)).copied()
    }

    /// Width of a node's weights and of its inputs.
    pub fn candidate(&self, node: NodeId) -> Option<Candidate> {
        self.grouping.of_node[node.0].map(|group| self.assignment[group])
    }

    /// Rounded weights and bias of a node.
    pub fn layer(&self, node: NodeId) -> Option<&Arc<RoundedLayer>> {
        self.layers[node.0].as_ref()
    }

    /// Replaces the rounded weights and bias of a node.
    pub fn set_layer(&mut self, node: NodeId, layer: Arc<RoundedLayer>) {
        self.layers[node.0] = Some(layer);
    }

    /// The same network in floats, its quantizers simulated.
    pub fn simulation(&self) -> Simulation {
        let layers = (0..self.graph.nodes.len()).map(|node| self.simulated_layer(NodeId(node))).collect();
        let quantizer = |tensor: usize| (self.grouping.quantizer[tensor].0 == tensor).then(|| self.quantizer(TensorId(tensor))).flatten();
        Simulation { layers, quantizers: (0..self.graph.tensors.len()).map(quantizer).collect() }
    }

    /// The layer of a node, ready to run. Biases are the multiples of s_in * s_w that integers hold: at some tenths of an output code between those, the
    /// float bias would flip roundings that later layers amplify.
    pub fn simulated_layer(&self, node: NodeId) -> Option<Arc<Layer>> {
        let RoundedLayer { weights, bias } = self.layer(node)?.as_ref();
        let input = self.quantizer(self.graph.nodes[node.0].inputs[0])?;
        let row_len = weights.codes.len() / weights.scales.len().max(1);
        let rounded = |(channel, bias): (usize, &f32)| {
            let grid = f64::from(input.scale) * f64::from(weights.scales[channel]);
            // Lowering gives a row of zeros a finer grid of its own.
            let empty = weights.codes[channel * row_len..][..row_len].iter().all(|code| *code == 0);
            if empty { *bias } else { ((f64::from(*bias) / grid).round() * grid) as f32 }
        };
        let bias: Vec<f32> = bias.iter().enumerate().map(rounded).collect();
        Some(Arc::new(Layer::new(&self.graph.nodes[node.0], &weights.values(), &bias)))
    }

    /// Takes over the biases of a corrected simulation.
    pub fn set_biases(&mut self, corrected: &Simulation) {
        for (layer, corrected) in self.layers.iter_mut().zip(&corrected.layers) {
            if let (Some(layer), Some(corrected)) = (layer, corrected) {
                *layer = Arc::new(RoundedLayer { weights: layer.weights.clone(), bias: corrected.bias().to_vec() });
            }
        }
    }
}
