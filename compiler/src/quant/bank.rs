//! Every quantizer that an assignment may choose: found once for each tensor, each layer and each bit width.

use std::collections::BTreeMap;
use std::sync::Arc;

use apq_lut::Candidate;
use rayon::prelude::*;

use super::groups::Grouping;
use super::ranges::{ActivationQuantizer, RangeRule, quantize_row, weight_scale};
use crate::float::{Layer, Simulation};
use crate::graph::{Graph, Node, Op, Weights};

/// Weights of one layer at one width.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedWeights {
    /// Width of a code.
    pub bits: u8,
    /// Step of each output channel.
    pub scales: Vec<f32>,
    /// `[O][K]`, in the graph's order.
    pub codes: Vec<i8>,
}

impl QuantizedWeights {
    /// Rounds weights `[O][K]` with one scale for each output channel.
    pub fn new(values: &[f32], row_len: usize, bits: u8, rule: RangeRule) -> QuantizedWeights {
        let rows: Vec<(f32, Vec<i8>)> = values
            .par_chunks(row_len.max(1))
            .map(|row| {
                let scale = weight_scale(row, bits, rule);
                (scale, quantize_row(row, scale, bits))
            })
            .collect();
        let scales = rows.iter().map(|(scale, _)| *scale).collect();
        QuantizedWeights { bits, scales, codes: rows.into_iter().flat_map(|(_, codes)| codes).collect() }
    }

    /// Rounds weights `[O][K]` at scales that are given, one for each output channel.
    pub fn at(values: &[f32], row_len: usize, bits: u8, scales: &[f32]) -> QuantizedWeights {
        let rows = values.chunks(row_len.max(1)).zip(scales);
        QuantizedWeights { bits, scales: scales.to_vec(), codes: rows.flat_map(|(row, scale)| quantize_row(row, *scale, bits)).collect() }
    }

    /// The real values that the codes stand for.
    pub fn values(&self) -> Vec<f32> {
        let row_len = self.codes.len() / self.scales.len().max(1);
        self.codes
            .chunks_exact(row_len.max(1))
            .zip(&self.scales)
            .flat_map(|(row, scale)| row.iter().map(move |code| f32::from(*code) * scale))
            .collect()
    }
}

/// A layer with its weights rounded, and the bias that goes with them.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundedLayer {
    /// Codes and scales.
    pub weights: QuantizedWeights,
    /// `[O]`.
    pub bias: Vec<f32>,
}

impl RoundedLayer {
    /// A layer whose codes the model brings at that width.
    pub fn given(graph: &Graph, node: &Node, bits: u8) -> Option<RoundedLayer> {
        let (float, given) = (node.op.weights()?, graph.given_weights.get(&node.name).filter(|given| given.bits == bits)?);
        let weights = QuantizedWeights::at(&float.values, float.row_len(), bits, &given.scales);
        Some(RoundedLayer { weights, bias: float.bias.to_vec() })
    }

    /// Each weight rounded to the nearest code, the bias as it is.
    pub fn nearest(float: &Weights, bits: u8, rule: RangeRule) -> RoundedLayer {
        RoundedLayer { weights: QuantizedWeights::new(&float.values, float.row_len(), bits, rule), bias: float.bias.to_vec() }
    }
}

/// Rounded weights of each node at each width of its group.
pub type RoundedLayers = Vec<BTreeMap<u8, Arc<RoundedLayer>>>;

/// Every layer rounded to nearest at every width of its group, or as the model gives it.
pub fn nearest(graph: &Graph, grouping: &Grouping, rule: RangeRule) -> RoundedLayers {
    (0..graph.nodes.len()).map(|node| nearest_node(graph, grouping, node, rule)).collect()
}

/// One node of [`nearest`].
pub(super) fn nearest_node(graph: &Graph, grouping: &Grouping, node: usize, rule: RangeRule) -> BTreeMap<u8, Arc<RoundedLayer>> {
    let Some(float) = graph.nodes[node].op.weights() else { return BTreeMap::new() };
    let at = |bits| RoundedLayer::given(graph, &graph.nodes[node], bits).unwrap_or_else(|| RoundedLayer::nearest(float, bits, rule));
    grouping.weight_bits(node).into_iter().map(|bits| (bits, Arc::new(at(bits)))).collect()
}

/// All quantizers that the groups' candidates ask for.
pub struct Bank {
    /// For each tensor and width.
    pub activations: Vec<BTreeMap<u8, ActivationQuantizer>>,
    /// For each node and width.
    pub layers: RoundedLayers,
    /// The same layers, ready to run.
    ready: Vec<BTreeMap<u8, Arc<Layer>>>,
}

impl Bank {
    /// Takes rounded layers, and chooses the range of every tensor at every width by `activation`.
    pub fn new(
        graph: &Graph,
        grouping: &Grouping,
        output_bits: u8,
        layers: RoundedLayers,
        activation: impl Fn(usize, u8) -> ActivationQuantizer + Sync,
    ) -> Bank {
        let softmax: Vec<bool> =
            (0..graph.tensors.len()).map(|t| graph.nodes.iter().any(|n| n.output.0 == t && matches!(n.op, Op::Softmax))).collect();
        let constants: Vec<(usize, f32)> =
            graph.nodes.iter().filter_map(|node| pad_constant(node).map(|value| (grouping.quantizer[node.output.0].0, value))).collect();
        let activations: Vec<BTreeMap<u8, ActivationQuantizer>> = (0..graph.tensors.len())
            .into_par_iter()
            .map(|tensor| {
                let source = grouping.quantizer[tensor].0;
                let given = grouping.given[tensor];
                let choose = |bits| {
                    if let Some(given) = given.filter(|given| given.bits == bits) {
                        return given;
                    }
                    let chosen = if softmax[source] { softmax_quantizer(activation(source, bits)) } else { activation(source, bits) };
                    constants.iter().filter(|(tensor, _)| *tensor == source).fold(chosen, |chosen, (_, value)| covering(chosen, *value))
                };
                grouping.activation_bits(tensor, output_bits).into_iter().map(|bits| (bits, choose(bits))).collect()
            })
            .collect();
        let prepare = |(node, widths): (&Node, &BTreeMap<u8, Arc<RoundedLayer>>)| {
            let layer = |layer: &RoundedLayer| Arc::new(Layer::new(node, &layer.weights.values(), &layer.bias));
            widths.iter().map(|(bits, rounded)| (*bits, layer(rounded))).collect()
        };
        let ready = graph.nodes.iter().zip(&layers).map(prepare).collect();
        Bank { activations, layers, ready }
    }

    /// The network with one group at `candidate` and everything else in floats.
    pub fn one_group(&self, graph: &Graph, grouping: &Grouping, group: usize, candidate: Candidate) -> Simulation {
        let mut simulation = Simulation::float(graph);
        for node in &grouping.groups[group].nodes {
            simulation.layers[node.0] = self.ready[node.0].get(&candidate.weight_bits).cloned();
        }
        for tensor in &grouping.groups[group].tensors {
            // A tensor that keeps another's codes is quantized already.
            if grouping.quantizer[tensor.0] == *tensor {
                simulation.quantizers[tensor.0] = self.activations[tensor.0].get(&candidate.activation_bits).copied();
            }
        }
        simulation
    }
}

/// The value that a pad writes.
fn pad_constant(node: &Node) -> Option<f32> {
    match &node.op {
        Op::Pad { value, .. } => Some(*value),
        _ => None,
    }
}

/// The quantizer with its range stretched until it holds `value`, which a pad writes among the codes of its input.
fn covering(quantizer: ActivationQuantizer, value: f32) -> ActivationQuantizer {
    let (lo, hi) = quantizer.code_range();
    let bound = |code: i32| (f64::from(code) - f64::from(quantizer.zero_point)) * f64::from(quantizer.scale);
    let (least, most, value) = (bound(lo), bound(hi), f64::from(value));
    if (least..=most).contains(&value) {
        return quantizer;
    }
    if quantizer.bits == 16 {
        return ActivationQuantizer { scale: (value.abs() / f64::from(hi)) as f32, ..quantizer };
    }
    let (least, most) = (least.min(value), most.max(value));
    let scale = ((most - least) / f64::from(hi - lo)) as f32;
    ActivationQuantizer { scale, zero_point: (-least / f64::from(scale)).round() as i32, ..quantizer }
}

/// The codes that a softmax writes: a whole number of steps to 1, zero at 0. The range is the calibrated one, since an attention that spreads over
/// many tokens never comes near 1.
fn softmax_quantizer(chosen: ActivationQuantizer) -> ActivationQuantizer {
    let (_, hi) = chosen.code_range();
    let steps = (1.0 / f64::from(chosen.scale)).round().clamp(f64::from(hi), f64::from(apq_kernels::Softmax::ONE_MAX));
    ActivationQuantizer { scale: (1.0 / steps) as f32, zero_point: 0, bits: chosen.bits }
}
