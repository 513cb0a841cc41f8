//! From an ONNX file to our graph.
//!
//! tract parses the file, infers the shapes and folds what is constant; the operators are read from the ONNX nodes themselves, so that every one
//! stays what it was (a 1x1 convolution does not become an einsum) and keeps its name. The table of operators is `OPERATORS` in `operators/mod.rs`: the next
//! operator goes there.

mod error;
pub(crate) mod external;
pub(crate) mod facts;
mod given;
mod layer_norm;
mod node;
mod operators;
pub(crate) mod qdq;
mod rewrite;
mod view;

pub use error::{ImportError, Unsupported};

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb;
use tract_onnx::prelude::Framework;

use crate::graph::{Graph, TensorId, verify};
use node::{OnnxNode, node_name};
use operators::{Importer, find_operator};
use view::{Builder, IMAGE_AXES, View};

/// Most elements of one tensor.
const ELEMENTS_MAX: usize = 1 << 28;

/// An ONNX file parsed but not yet understood.
pub(crate) fn parse(bytes: &[u8]) -> Result<pb::ModelProto, ImportError> {
    let proto = facts::quietly(|| facts::reader().proto_model_for_read(&mut &*bytes))
        .map_err(ImportError::NotOnnx)?
        .map_err(|error| ImportError::NotOnnx(format!("{error:#}")))?;
    let mut proto = proto;
    match &mut proto.graph {
        Some(graph) if !graph.node.is_empty() => {
            name_nodes(graph)?;
            Ok(proto)
        }
        _ => Err(ImportError::NotOnnx("it holds no graph".into())),
    }
}

/// Gives every node a name of its own, since ONNX asks for none: that of its first output where it has none, with a number where it is taken. Refuses
/// a value that is made twice.
fn name_nodes(graph: &mut pb::GraphProto) -> Result<(), ImportError> {
    let mut makers: HashMap<String, String> = graph.input.iter().map(|input| (input.name.clone(), "the model's inputs".into())).collect();
    makers.extend(graph.initializer.iter().map(|tensor| (tensor.name.clone(), "the model's initializers".into())));
    let mut taken: HashSet<String> = HashSet::new();
    for node in &mut graph.node {
        let wanted = node_name(node).to_owned();
        let mut name = wanted.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}#{number}");
        }
        node.name = name;
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            if let Some(maker) = makers.insert(output.clone(), format!("node \"{}\"", node.name)) {
                return Err(ImportError::Model(format!("value \"{output}\" is made twice: by {maker} and by node \"{}\"", node.name)));
            }
        }
    }
    Ok(())
}

/// Reads an ONNX model. `folder` is where external weight files may lie.
pub fn import(bytes: &[u8], name: &str, folder: Option<&Path>) -> Result<Graph, ImportError> {
    let mut proto = parse(bytes)?;
    let given = strip(&mut proto)?;
    Ok(import_parsed(&proto, &given, name, folder)?.0)
}

/// Takes the quantizers that a quantized model brings out of it.
pub(crate) fn strip(proto: &mut pb::ModelProto) -> Result<qdq::Given, ImportError> {
    qdq::strip(proto)
}

/// Reads a parsed model; also gives it as the float reference shall read it.
pub(crate) fn import_parsed<'p>(
    proto: &'p pb::ModelProto,
    given: &qdq::Given,
    name: &str,
    folder: Option<&Path>,
) -> Result<(Graph, Cow<'p, pb::ModelProto>), ImportError> {
    let onnx = proto.graph.as_ref().ok_or_else(|| ImportError::NotOnnx("it holds no graph".into()))?;
    let opset = proto.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map_or(0, |o| o.version);
    if !(7..=21).contains(&opset) {
        return Err(ImportError::UnsupportedModel(format!("the model uses opset {opset}; opsets 7 to 21 are supported")));
    }
    external::check(proto, folder)?;
    let input = model_input(onnx)?;
    let depends = depends_on_input(onnx, &input.name);
    for proto in onnx.node.iter().filter(|node| node.output.iter().any(|name| depends.contains(name.as_str()))) {
        if find_operator(proto).is_none() {
            return Err(operators::unknown(proto));
        }
    }
    let (rewritten, facts) = rewrite::infer(proto, folder, &input.shape, opset)?;
    let (stored_shape, input_axes) = stored_input(onnx, &input);
    let graph = Graph {
        name: name.into(),
        tensors: Vec::new(),
        nodes: Vec::new(),
        input: TensorId(0),
        output: TensorId(0),
        output_axes: Vec::new(),
        input_axes: input_axes.clone(),
        softmax_dropped: false,
        softmax_classes: None,
        given_weights: std::collections::BTreeMap::new(),
    };
    let mut importer = Importer { builder: Builder { graph }, values: HashMap::new(), given: given.clone() };
    let norms = layer_norm::find(onnx, &facts);
    let tensor = importer.builder.graph.add_tensor(&*input.name, stored_shape);
    importer.values.insert(input.name.clone(), View { tensor, axes: input_axes });
    given::activation(&mut importer, &input.name);
    for (index, proto) in onnx.node.iter().enumerate() {
        if norms.inside.contains(&index) || !proto.output.iter().any(|name| depends.contains(name.as_str())) {
            continue;
        }
        let Some(operator) = find_operator(proto) else { return Err(operators::unknown(proto)) };
        let node = OnnxNode { proto, facts: &facts, opset };
        if proto.op_type != "Split" && proto.output.iter().skip(1).any(|name| is_read(onnx, name)) {
            return Err(node.unsupported("", "more than its first output is used", "one output"));
        }
        let written_out = norms.ends.get(&index);
        check_batch(&mut importer, &node)?;
        let before = importer.builder.graph.tensors.len();
        let view = match written_out {
            Some(norm) => import_norm(&mut importer, node, norm)?,
            None => (operator.import)(&mut importer, node)?,
        };
        if let Some(tensor) = importer.builder.graph.tensors[before..].iter().find(|tensor| tensor.len() > ELEMENTS_MAX) {
            return Err(node.unsupported("", format!("a tensor of shape {:?}", tensor.shape), "tensors of at most 2^28 elements"));
        }
        let output = proto.output.first().ok_or_else(|| node.invalid("the node has no output"))?;
        let shape = importer.builder.shape(&view);
        if facts.shape(output).is_some_and(|expected| expected != shape) {
            return Err(node.unsupported(
                "",
                format!("its output would have shape {shape:?}, ONNX says {:?}", facts.shape(output)),
                "the shapes of the ONNX specification",
            ));
        }
        check_order(onnx, &node, &shape)?;
        importer.values.insert(output.clone(), view);
        given::weights(&mut importer, &node)?;
        given::activation(&mut importer, output);
    }
    Ok((finish(importer, onnx)?, rewritten))
}

/// A normalisation that the model writes out in several nodes.
fn import_norm(importer: &mut Importer, node: OnnxNode<'_>, norm: &layer_norm::WrittenOut) -> Result<View, ImportError> {
    let view = importer.values.get(&norm.input).cloned().ok_or_else(|| node.invalid(format!("\"{}\" is a constant", norm.input)))?;
    let channels = importer.builder.shape(&view).last().copied().unwrap_or(1);
    operators::attention::normalised(importer, node, &view, norm.epsilon, vec![1.0; channels], vec![0.0; channels])
}

/// Operators that read a value whose first axis is not the batch.
const TAKES_ANY_ORDER: [&str; 4] = ["Gather", "Slice", "Squeeze", "Transpose"];

/// A transpose may bring another axis to the front (queries, keys and values in one tensor), if what reads it takes one position of that axis.
fn check_order(onnx: &pb::GraphProto, node: &OnnxNode<'_>, shape: &[usize]) -> Result<(), ImportError> {
    let made = |name: &String| node.proto.output.contains(name);
    let reads = |reader: &&pb::NodeProto| reader.input.iter().any(made);
    let taken = onnx.node.iter().filter(reads).all(|reader| TAKES_ANY_ORDER.contains(&reader.op_type.as_str()));
    if node.proto.op_type != "Transpose" || shape.first() == Some(&1) || (taken && !onnx.output.iter().any(|output| made(&output.name))) {
        return Ok(());
    }
    Err(node.unsupported("perm", format!("{:?}", node.ints("perm").unwrap_or_default()), "a permutation that leaves the batch first"))
}

/// See [`check_order`].
fn check_batch(importer: &mut Importer, node: &OnnxNode<'_>) -> Result<(), ImportError> {
    if TAKES_ANY_ORDER.contains(&node.proto.op_type.as_str()) {
        return Ok(());
    }
    for index in 0..node.proto.input.len() {
        if importer.is_value(node, index) {
            let view = importer.value(node, index)?;
            let shape = importer.builder.shape(&view);
            if shape.first() != Some(&1) {
                let detail = format!("a value of shape {shape:?}, whose first axis is not the batch");
                return Err(node.unsupported("", detail, "a permutation that leaves the batch first"));
            }
        }
    }
    Ok(())
}

fn finish(mut importer: Importer, onnx: &pb::GraphProto) -> Result<Graph, ImportError> {
    let [output] = &onnx.output[..] else {
        let names: Vec<&str> = onnx.output.iter().map(|o| o.name.as_str()).collect();
        return Err(ImportError::UnsupportedModel(format!(
            "the model has {} outputs ({}); one is supported",
            names.len(),
            names.join(", ")
        )));
    };
    let view = importer
        .values
        .get(&output.name)
        .cloned()
        .ok_or_else(|| ImportError::Model(format!("the output \"{}\" does not depend on the model's input", output.name)))?;
    let rank = view.axes.len();
    let plain: Vec<usize> = (0..rank).collect();
    // Images and sequences leave channel last, everything else in ONNX order.
    let axes = match rank {
        4 if view.axes != plain => IMAGE_AXES.to_vec(),
        3 if view.axes == view::SEQUENCE_AXES => view.axes.clone(),
        _ => plain,
    };
    let tensor = importer.builder.arranged(&output.name, &view, &axes);
    let mut graph = importer.builder.graph;
    graph.output = tensor;
    graph.output_axes = axes;
    graph.compact();
    verify(&graph)?;
    Ok(graph)
}

/// The one input that is not an initializer, with a batch of 1.
struct ModelInput {
    name: String,
    shape: Vec<usize>,
}

fn model_input(onnx: &pb::GraphProto) -> Result<ModelInput, ImportError> {
    let initializers: HashSet<&str> = onnx.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs: Vec<&pb::ValueInfoProto> = onnx.input.iter().filter(|i| !initializers.contains(i.name.as_str())).collect();
    let [input] = inputs[..] else {
        let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
        return Err(ImportError::UnsupportedModel(format!(
            "the model has {} inputs ({}); one is supported",
            names.len(),
            names.join(", ")
        )));
    };
    let Some(pb::type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(ImportError::UnsupportedModel(format!("input \"{}\" is not a tensor", input.name)));
    };
    if tensor.elem_type != pb::tensor_proto::DataType::Float as i32 {
        return Err(ImportError::UnsupportedModel(format!(
            "input \"{}\" has ONNX element type {}; float32 (1) is supported",
            input.name, tensor.elem_type
        )));
    }
    let dims = tensor.shape.as_ref().map(|s| s.dim.as_slice()).unwrap_or_default();
    let mut shape = Vec::new();
    for (axis, dim) in dims.iter().enumerate() {
        use pb::tensor_shape_proto::dimension::Value;
        match &dim.value {
            Some(Value::DimValue(size)) if axis == 0 && *size > 1 => {
                return Err(ImportError::UnsupportedModel(format!(
                    "axis 0 of input \"{}\", the batch, is fixed to {size}; export the model with a dynamic batch or a batch of 1",
                    input.name
                )));
            }
            _ if axis == 0 => shape.push(1),
            Some(Value::DimValue(size)) if (1..=1 << 24).contains(size) => shape.push(*size as usize),
            other => {
                let shown = match other {
                    Some(Value::DimParam(name)) => format!("\"{name}\""),
                    Some(Value::DimValue(size)) => size.to_string(),
                    None => "unknown".into(),
                };
                return Err(ImportError::UnsupportedModel(format!(
                    "axis {axis} of input \"{}\" is {shown}; only axis 0, the batch, may be dynamic",
                    input.name
                )));
            }
        }
    }
    if !(2..=5).contains(&shape.len()) {
        return Err(ImportError::UnsupportedModel(format!(
            "input \"{}\" has {} axes; 2 to 5 are supported, the first of them the batch",
            input.name,
            shape.len()
        )));
    }
    if shape.iter().fold(1, |len: usize, size| len.saturating_mul(*size)) > ELEMENTS_MAX {
        return Err(ImportError::UnsupportedModel(format!(
            "input \"{}\" of shape {shape:?} is too large; at most 2^28 elements are supported",
            input.name
        )));
    }
    Ok(ModelInput { name: input.name.clone(), shape })
}

/// How the input is stored: images channel last. An input that the model itself transposes from `[N, H, W, C]` is channel last already.
fn stored_input(onnx: &pb::GraphProto, input: &ModelInput) -> (Vec<usize>, Vec<usize>) {
    let consumers: Vec<&pb::NodeProto> = onnx.node.iter().filter(|n| n.input.contains(&input.name)).collect();
    let channel_first =
        |node: &&pb::NodeProto| node.op_type == "Transpose" && node.attribute.iter().any(|a| a.name == "perm" && a.ints == [0, 3, 1, 2]);
    let rank = input.shape.len();
    let convolved = |node: &&pb::NodeProto| matches!(node.op_type.as_str(), "Conv" | "MaxPool" | "AveragePool" | "BatchNormalization");
    let channel_last = !consumers.is_empty() && consumers.iter().all(channel_first);
    if rank == 4 && !channel_last {
        let axes = IMAGE_AXES.to_vec();
        return (vec![1, input.shape[2], input.shape[3], input.shape[1]], axes);
    }
    if rank == 3 && consumers.iter().any(convolved) {
        return (vec![1, input.shape[2], input.shape[1]], view::SEQUENCE_AXES.to_vec());
    }
    (input.shape.clone(), (0..rank).collect())
}

/// Names of the values that change with the network's input. A shape does not: batch and sizes are fixed.
fn depends_on_input<'a>(onnx: &'a pb::GraphProto, input: &'a str) -> HashSet<&'a str> {
    let mut depends = HashSet::from([input]);
    for node in &onnx.node {
        let data_dependent = !matches!(node.op_type.as_str(), "Shape" | "Size") && node.input.iter().any(|i| depends.contains(i.as_str()));
        if data_dependent {
            depends.extend(node.output.iter().map(String::as_str).filter(|name| !name.is_empty()));
        }
    }
    depends
}

fn is_read(onnx: &pb::GraphProto, name: &str) -> bool {
    !name.is_empty() && (onnx.node.iter().any(|n| n.input.iter().any(|i| i == name)) || onnx.output.iter().any(|o| o.name == name))
}

/// The shape in ONNX order and the name of the model's input, for the float reference.
pub(crate) fn input_of(proto: &pb::ModelProto) -> Result<(String, Vec<usize>), ImportError> {
    let onnx = proto.graph.as_ref().ok_or_else(|| ImportError::NotOnnx("it holds no graph".into()))?;
    let input = model_input(onnx)?;
    Ok((input.name, input.shape))
}

impl std::fmt::Debug for OnnxNode<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", node_name(self.proto))
    }
}
