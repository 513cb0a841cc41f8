//! Our graph in floats: the network itself, and the network with some of its quantizers simulated.
//!
//! tract runs the same ONNX file as an independent reference ([`mod@reference`]). This executor exists because sensitivity needs thousands of partial
//! runs with quantizers switched on one group at a time: it works on channel-last tensors as the integer runtime does, keeps whatever is asked for,
//! and runs again only what a change reaches.

mod attention;
mod backward;
mod codes;
mod layer;
mod operators;
mod product;
pub mod reference;

use std::sync::Arc;

pub use backward::{Gradients, backward, has_gradient};
pub use codes::CodeSimulation;
pub use layer::Layer;

use crate::graph::{Graph, NodeId, TensorId};
use crate::quant::ranges::ActivationQuantizer;

/// What is quantized in a run: layers with rounded weights in place of the float ones, and quantizers of tensors.
#[derive(Clone, Default)]
pub struct Simulation {
    /// For each node, the layer to use instead of the float one.
    pub layers: Vec<Option<Arc<Layer>>>,
    /// For each tensor, the quantizer that rounds it when it is made.
    pub quantizers: Vec<Option<ActivationQuantizer>>,
}

impl Simulation {
    /// Nothing is quantized.
    pub fn float(graph: &Graph) -> Simulation {
        Simulation { layers: vec![None; graph.nodes.len()], quantizers: vec![None; graph.tensors.len()] }
    }
}

/// Values of all tensors of one sample, in [`Graph::tensors`] order; `None` where a tensor was dropped after its last reader.
pub type Values = Vec<Option<Vec<f32>>>;

/// One node on constants, clamp included.
pub(crate) fn evaluate_node(graph: &Graph, node: &crate::graph::Node, inputs: &[&[f32]]) -> Vec<f32> {
    let layer = node.op.weights().map(|weights| Layer::new(node, &weights.values, &weights.bias));
    let mut output = operators::evaluate(graph, node, layer.as_ref(), inputs);
    output.iter_mut().for_each(|v| *v = v.max(node.clamp.lo).min(node.clamp.hi));
    output
}

/// A graph ready to run.
pub struct Executor<'a> {
    graph: &'a Graph,
    layers: Vec<Option<Arc<Layer>>>,
    last_reader: Vec<usize>,
}

impl<'a> Executor<'a> {
    /// Prepares the float weights of every layer.
    pub fn new(graph: &'a Graph) -> Executor<'a> {
        let layers = graph.nodes.iter().map(|node| node.op.weights().map(|w| Arc::new(Layer::new(node, &w.values, &w.bias)))).collect();
        let mut last_reader = vec![0; graph.tensors.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| last_reader[input.0] = index);
        }
        last_reader[graph.output.0] = usize::MAX;
        Executor { graph, layers, last_reader }
    }

    /// The graph that is run.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// The output for one input.
    pub fn run(&self, simulation: &Simulation, input: &[f32]) -> Vec<f32> {
        let mut values = self.start(simulation, input);
        for node in (0..self.graph.nodes.len()).map(NodeId) {
            let inputs: Vec<&[f32]> =
                self.graph.nodes[node.0].inputs.iter().map(|id| values[id.0].as_deref().unwrap_or_default()).collect();
            let output = self.evaluate(simulation, node.0, &inputs);
            self.keep(simulation, &mut values, node, output);
        }
        values[self.graph.output.0].take().unwrap_or_default()
    }

    /// Every tensor for one input.
    pub fn run_all(&self, simulation: &Simulation, input: &[f32]) -> Values {
        let mut values = self.start(simulation, input);
        (0..self.graph.nodes.len()).for_each(|index| self.step(simulation, &mut values, index));
        values
    }

    /// The output of a simulation, given every tensor of the float run: only what the simulation reaches is computed again.
    pub fn run_changed(&self, simulation: &Simulation, float: &Values) -> Vec<f32> {
        let mut changed: Values = vec![None; self.graph.tensors.len()];
        let given = |tensor: &usize| *tensor == self.graph.input.0 || self.graph.tensors[*tensor].constant.is_some();
        for tensor in (0..self.graph.tensors.len()).filter(given) {
            if let (Some(quantizer), Some(value)) = (&simulation.quantizers[tensor], &float[tensor]) {
                let mut value = value.clone();
                quantizer.fake_quantize(&mut value);
                changed[tensor] = Some(value);
            }
        }
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let reached = simulation.layers[index].is_some() || node.inputs.iter().any(|id| changed[id.0].is_some());
            let quantizer = &simulation.quantizers[node.output.0];
            if reached {
                let inputs: Vec<&[f32]> = node.inputs.iter().map(|id| read(&changed, float, *id)).collect();
                changed[node.output.0] = Some(self.evaluate(simulation, index, &inputs));
            } else if quantizer.is_some() {
                changed[node.output.0].clone_from(&float[node.output.0]);
            }
            if let (Some(quantizer), Some(value)) = (quantizer, &mut changed[node.output.0]) {
                quantizer.fake_quantize(value);
            }
            for id in &node.inputs {
                if self.last_reader[id.0] == index {
                    changed[id.0] = None;
                }
            }
        }
        let output = self.graph.output.0;
        changed[output].take().or_else(|| float[output].clone()).unwrap_or_default()
    }

    /// The output for one input; `visit` sees the result of each node before its clamp.
    pub fn run_visiting(&self, simulation: &Simulation, input: &[f32], mut visit: impl FnMut(NodeId, &[f32])) {
        let mut values = self.start(simulation, input);
        for index in 0..self.graph.nodes.len() {
            let output = self.unclamped(simulation, &values, NodeId(index));
            visit(NodeId(index), &output);
            self.finish(simulation, &mut values, NodeId(index), output);
        }
    }

    /// The result of a node before its clamp and its output's quantizer.
    pub(crate) fn unclamped(&self, simulation: &Simulation, values: &Values, node: NodeId) -> Vec<f32> {
        let inputs: Vec<&[f32]> = self.graph.nodes[node.0].inputs.iter().map(|id| values[id.0].as_deref().unwrap_or_default()).collect();
        self.evaluate_unclamped(simulation, node.0, &inputs)
    }

    /// Clamps and quantizes what [`Executor::unclamped`] gave, stores it, and drops what nothing will read again.
    pub(crate) fn finish(&self, simulation: &Simulation, values: &mut Values, node: NodeId, mut output: Vec<f32>) {
        self.clamp(node.0, &mut output);
        self.keep(simulation, values, node, output);
    }

    /// Quantizes and stores the result of a node, and drops what nothing will read again.
    fn keep(&self, simulation: &Simulation, values: &mut Values, node: NodeId, mut output: Vec<f32>) {
        let node_output = self.graph.nodes[node.0].output;
        if let Some(quantizer) = &simulation.quantizers[node_output.0] {
            quantizer.fake_quantize(&mut output);
        }
        values[node_output.0] = Some(output);
        for input in &self.graph.nodes[node.0].inputs {
            if self.last_reader[input.0] == node.0 {
                values[input.0] = None;
            }
        }
    }

    fn evaluate_unclamped(&self, simulation: &Simulation, node: usize, inputs: &[&[f32]]) -> Vec<f32> {
        let layer = simulation.layers[node].as_ref().or(self.layers[node].as_ref());
        operators::evaluate(self.graph, &self.graph.nodes[node], layer.map(Arc::as_ref), inputs)
    }

    fn clamp(&self, node: usize, output: &mut [f32]) {
        let clamp = self.graph.nodes[node].clamp;
        if !clamp.is_none() {
            output.iter_mut().for_each(|v| *v = v.max(clamp.lo).min(clamp.hi));
        }
    }

    fn evaluate(&self, simulation: &Simulation, index: usize, inputs: &[&[f32]]) -> Vec<f32> {
        let layer = simulation.layers[index].as_ref().or(self.layers[index].as_ref());
        operators::evaluate_clamped(self.graph, &self.graph.nodes[index], layer.map(Arc::as_ref), inputs)
    }

    /// The values before the first node: the input and the constants.
    pub(crate) fn start(&self, simulation: &Simulation, input: &[f32]) -> Values {
        let mut values: Values = vec![None; self.graph.tensors.len()];
        let mut value = input.to_vec();
        if let Some(quantizer) = &simulation.quantizers[self.graph.input.0] {
            quantizer.fake_quantize(&mut value);
        }
        values[self.graph.input.0] = Some(value);
        for (index, tensor) in self.graph.tensors.iter().enumerate() {
            if let Some(constant) = &tensor.constant {
                let mut constant = constant.to_vec();
                if let Some(quantizer) = &simulation.quantizers[index] {
                    quantizer.fake_quantize(&mut constant);
                }
                values[index] = Some(constant);
            }
        }
        values
    }

    fn step(&self, simulation: &Simulation, values: &mut Values, index: usize) {
        let node = &self.graph.nodes[index];
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|id| values[id.0].as_deref().unwrap_or_default()).collect();
        let mut output = self.evaluate(simulation, index, &inputs);
        if let Some(quantizer) = &simulation.quantizers[node.output.0] {
            quantizer.fake_quantize(&mut output);
        }
        values[node.output.0] = Some(output);
    }
}

fn read<'v>(changed: &'v Values, float: &'v Values, id: TensorId) -> &'v [f32] {
    changed[id.0].as_deref().or(float[id.0].as_deref()).unwrap_or_default()
}
