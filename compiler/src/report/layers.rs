//! One line for each operation of the network.

use apq_kernels::Accumulator;
use apq_runtime::build::OperatorSpec;
use apqc::compile::Compiled;
use apqc::graph::{Graph, NodeId};
use serde::Serialize;

use crate::units::{mj, ms};

/// One operation. Shapes are channel last with the batch of 1.
#[derive(Debug, Serialize)]
pub(crate) struct LayerReport {
    /// Name of the ONNX node.
    pub(crate) name: String,
    /// What it computes.
    pub(crate) op: &'static str,
    /// Its quantizer group; absent behind the network's last computation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// Of its first input.
    pub(crate) input_shape: Vec<usize>,
    /// Of its output.
    pub(crate) output_shape: Vec<usize>,
    /// Multiply-accumulates.
    pub(crate) macs: u64,
    /// 0 for an operation without weights.
    pub(crate) weight_bits: u8,
    /// Of its inputs.
    pub(crate) activation_bits: u8,
    /// Packed weights.
    pub(crate) weights_bytes: u64,
    /// Where the target has a model of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<f64>,
    /// Where the target has a model of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) energy_mj: Option<f64>,
    /// Where the target has a model of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cycles: Option<u64>,
    /// Whether latency, energy and cycles are inferred from those of other layers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cost_estimated: bool,
    /// 32 or 64; 0 for an operation that does not multiply by weights.
    pub(crate) accumulator_bits: u8,
}

/// All operations in graph order.
pub(crate) fn layers(graph: &Graph, compiled: &Compiled, output_bits: u8) -> Vec<LayerReport> {
    let line = |index: usize| {
        let node = &graph.nodes[index];
        let group = compiled.grouping.of_node[index];
        let assigned = group.map(|group| compiled.assignment[group]);
        let cost = compiled.node_costs[index].unwrap_or_default();
        let has_weights = node.op.weights().is_some();
        LayerReport {
            name: node.name.clone(),
            op: node.op.name(),
            group: group.map(|group| compiled.grouping.groups[group].name.clone()),
            input_shape: graph.tensor(node.inputs[0]).shape.clone(),
            output_shape: graph.tensor(node.output).shape.clone(),
            macs: graph.macs(node),
            weight_bits: assigned.filter(|_| has_weights).map_or(0, |candidate| candidate.weight_bits),
            activation_bits: assigned.map_or(output_bits, |candidate| candidate.activation_bits),
            weights_bytes: cost.weights_bytes,
            latency_ms: cost.latency_ns.map(ms),
            energy_mj: cost.energy_pj.map(mj),
            cycles: cost.cycles,
            cost_estimated: cost.estimated,
            accumulator_bits: accumulator_bits(compiled, NodeId(index)),
        }
    };
    (0..graph.nodes.len()).map(line).collect()
}

fn accumulator_bits(compiled: &Compiled, node: NodeId) -> u8 {
    let lowered = compiled.lowered.node_of[node.0].and_then(|place| compiled.lowered.spec.nodes.get(place));
    match lowered.map(|node| &node.operator) {
        Some(OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted }) => match weighted.accumulator {
            Accumulator::I32 => 32,
            Accumulator::I64 => 64,
        },
        _ => 0,
    }
}

/// A shape as `1x32x32x16`.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    sizes.join("x")
}
