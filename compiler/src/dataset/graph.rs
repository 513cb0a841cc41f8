//! A subnet as our graph, its norms folded: what the importer and its passes make of the subnet's ONNX file, without the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use apq_onnx::supernet::{Convolution, EPSILON, Role, Subnet};

use crate::graph::{Clamp, Graph, GraphError, Node, Op, Tensor, TensorId, Weights, Window, verify};

/// The graph of a subnet.
///
/// # Errors
/// A bug: subnets are checked when they are made.
pub fn subnet_graph(subnet: &Subnet) -> Result<Graph, GraphError> {
    let space = subnet.space();
    let [height, width, channels] = space.input.map(|size| size as usize);
    let input = Tensor { name: "input".into(), shape: vec![1, height, width, channels], constant: None, quantizer: None };
    let mut graph = Graph {
        name: space.name.clone(),
        tensors: vec![input],
        nodes: Vec::new(),
        input: TensorId(0),
        output: TensorId(0),
        output_axes: vec![0, 1],
        input_axes: vec![0, 3, 1, 2],
        softmax_dropped: false,
        softmax_classes: None,
        given_weights: BTreeMap::new(),
    };
    let mut last = graph.input;
    let mut block_input = last;
    for convolution in subnet.convolutions() {
        if convolution.role == Role::Expand {
            block_input = last;
        }
        last = conv(&mut graph, subnet, convolution, last);
        if convolution.role == (Role::Project { residual: true }) {
            let shape = graph.tensor(last).shape.clone();
            last = push(&mut graph, &convolution.name.replace(".project", ".add"), Op::Add, vec![last, block_input], shape, Clamp::NONE);
        }
    }
    classifier(&mut graph, subnet, last);
    verify(&graph)?;
    Ok(graph)
}

fn push(graph: &mut Graph, name: &str, op: Op, inputs: Vec<TensorId>, shape: Vec<usize>, clamp: Clamp) -> TensorId {
    let output = graph.add_tensor(name, shape);
    graph.nodes.push(Node { name: name.into(), op, inputs, output, clamp });
    output
}

/// A convolution with its norm.
fn conv(graph: &mut Graph, subnet: &Subnet, of: &Convolution, input: TensorId) -> TensorId {
    let Convolution { name, inputs, outputs, kernel, stride, .. } = of;
    let [scale, bias, mean, variance] = subnet.norm(of);
    let taps = kernel * kernel;
    let (groups, depth) = if of.is_depthwise() { (*inputs, 1) } else { (1, *inputs) };
    let mut weights = Vec::with_capacity(outputs * depth * taps);
    let mut biases = Vec::with_capacity(*outputs);
    let rows = subnet.values(&of.weight()).chunks_exact((depth * taps).max(1));
    for (row, (((scale, bias), mean), variance)) in rows.zip(scale.iter().zip(bias).zip(mean).zip(variance)) {
        let factor = f64::from(*scale) / (f64::from(*variance) + f64::from(EPSILON)).sqrt();
        // [I][H][W] becomes [H][W][I].
        let places = (0..taps).flat_map(|tap| (0..depth).map(move |input| input * taps + tap));
        weights.extend(places.filter_map(|place| row.get(place)).map(|w| w * factor as f32));
        biases.push((f64::from(*bias) - f64::from(*mean) * factor) as f32);
    }
    let pad = [kernel / 2; 2];
    let window = Window { kernel: [*kernel; 2], stride: [*stride; 2], dilation: [1; 2], pad_begin: pad, pad_end: pad };
    let image = &graph.tensor(input).shape;
    let side = |axis: usize| window.output(axis, image[axis + 1]).unwrap_or(0);
    let shape = vec![1, side(0), side(1), *outputs];
    let clamp = if of.is_clamped() { Clamp { lo: 0.0, hi: 6.0 } } else { Clamp::NONE };
    let weights = Weights { values: weights.into(), bias: biases.into() };
    push(graph, name, Op::Conv { weights, window, groups }, vec![input], shape, clamp)
}

/// The mean over all positions, and the classifier.
fn classifier(graph: &mut Graph, subnet: &Subnet, features: TensorId) {
    let shape = graph.tensor(features).shape.clone();
    let channels = graph.tensor(features).channels();
    let window = Window { kernel: [shape[1], shape[2]], stride: [1; 2], dilation: [1; 2], pad_begin: [0; 2], pad_end: [0; 2] };
    let pool = Op::AveragePool { window, count_include_pad: false };
    let pooled = push(graph, "pool", pool, vec![features], vec![1, 1, 1, channels], Clamp::NONE);
    let flat = push(graph, "flatten", Op::Reshape, vec![pooled], vec![1, channels], Clamp::NONE);
    let values = |part: &str| Arc::from(subnet.values(&format!("classifier.{part}")));
    let weights = Weights { values: values("weight"), bias: values("bias") };
    let classes = weights.outputs();
    graph.output = push(graph, "classifier", Op::FullyConnected { weights }, vec![flat], vec![1, classes], Clamp::NONE);
}
