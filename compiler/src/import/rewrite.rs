//! The few forms that tract does not know, or computes otherwise, written as operators that it has: for shape inference and for the float reference.
//! The importer itself reads the model as it is, and the tests compare both with onnxruntime.
//!
//! - Upsample, and Resize before opset 11: a Gather for each axis that takes the nearest element, a constant matrix for each axis that interpolates.
//! - ConvTranspose with `output_shape`: the pads that follow from it.

use std::borrow::Cow;
use std::path::Path;

use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

use super::error::ImportError;
use super::facts::Facts;
use super::node::OnnxNode;
use super::operators::{resize, transposed};

/// The model as tract shall read it, and what tract finds in it.
pub(super) fn infer<'p>(
    proto: &'p pb::ModelProto,
    folder: Option<&Path>,
    input_shape: &[usize],
    opset: i64,
) -> Result<(Cow<'p, pb::ModelProto>, Facts), ImportError> {
    let mut proto = Cow::Borrowed(proto);
    loop {
        let facts = Facts::infer(&proto, folder, input_shape)?;
        // Each round reaches the nodes whose inputs the round before made known.
        let nodes = proto.graph.iter().flat_map(|graph| graph.node.iter().enumerate());
        let rewritten: Vec<(usize, Replacement)> =
            nodes.filter_map(|(index, node)| Some((index, replacement(OnnxNode { proto: node, facts: &facts, opset })?))).collect();
        if rewritten.is_empty() {
            return Ok((proto, facts));
        }
        if let Some(graph) = &mut proto.to_mut().graph {
            for (index, Replacement { nodes, constants }) in rewritten.into_iter().rev() {
                graph.node.splice(index..=index, nodes);
                graph.initializer.extend(constants);
            }
        }
    }
}

/// What stands in place of a node.
struct Replacement {
    nodes: Vec<pb::NodeProto>,
    constants: Vec<pb::TensorProto>,
}

/// `None` where the node may stay, or where its input is not known yet.
fn replacement(node: OnnxNode<'_>) -> Option<Replacement> {
    if !node.proto.domain.is_empty() && node.proto.domain != "ai.onnx" {
        return None;
    }
    let shape = || node.facts.shape(node.input(0)?);
    match node.proto.op_type.as_str() {
        "Upsample" => resized(node, &shape()?),
        "Resize" if node.opset < 11 => resized(node, &shape()?),
        "ConvTranspose" if node.ints("output_shape").is_some() => padded(node, &shape()?),
        _ => None,
    }
}

/// A form that the importer does not support stays what it is: the importer says so.
fn resized(node: OnnxNode<'_>, shape: &[usize]) -> Option<Replacement> {
    let resize::Sampling { interpolate, positions } = resize::sampling(node, shape).ok()?;
    let (mut nodes, mut constants) = (Vec::new(), Vec::new());
    let mut value = node.input(0)?.to_owned();
    let output = node.proto.output.first()?;
    for (axis, positions) in positions.iter().enumerate().skip(2) {
        let name = |what: &str| format!("{output}.{what}{axis}");
        let (constant, made) = (name("places"), name("axis"));
        let (size, count) = (shape[axis], positions.len());
        let last = axis + 1 == shape.len();
        if interpolate {
            // Rows before columns: a matrix from the left for the last axis but one, from the right for the last.
            let weight = |place: usize, at: usize| (1.0 - (positions[place] - at as f32).abs()).max(0.0);
            let (dims, values): (_, Vec<f32>) = if last {
                ([size, count], (0..size).flat_map(|at| (0..count).map(move |place| weight(place, at))).collect())
            } else {
                ([count, size], (0..count).flat_map(|place| (0..size).map(move |at| weight(place, at))).collect())
            };
            constants.push(tensor(&constant, DataType::Float, &dims, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
            let inputs = if last { [&value, &constant] } else { [&constant, &value] };
            nodes.push(new_node("MatMul", &inputs, &made));
        } else {
            let places = positions.iter().flat_map(|place| (*place as i64).to_le_bytes()).collect();
            constants.push(tensor(&constant, DataType::Int64, &[count], places));
            let mut gather = new_node("Gather", &[&value, &constant], &made);
            gather.attribute.push(ints("axis", AttributeType::Int, &[axis as i64]));
            nodes.push(gather);
        }
        value = made;
    }
    nodes.last_mut()?.output = vec![output.clone()];
    Some(Replacement { nodes, constants })
}

fn padded(node: OnnxNode<'_>, shape: &[usize]) -> Option<Replacement> {
    let [begin, end] = transposed::pads(node, shape).ok()?;
    let mut replaced = node.proto.clone();
    replaced.attribute.retain(|attribute| !matches!(attribute.name.as_str(), "output_shape" | "pads" | "auto_pad"));
    let pads: Vec<i64> = begin.into_iter().chain(end).map(|pad| pad as i64).collect();
    replaced.attribute.push(ints("pads", AttributeType::Ints, &pads));
    Some(Replacement { nodes: vec![replaced], constants: Vec::new() })
}

fn new_node(op: &str, inputs: &[&String], output: &str) -> pb::NodeProto {
    pb::NodeProto {
        op_type: op.into(),
        name: output.into(),
        input: inputs.iter().map(|input| (*input).clone()).collect(),
        output: vec![output.into()],
        ..Default::default()
    }
}

fn ints(name: &str, kind: AttributeType, values: &[i64]) -> pb::AttributeProto {
    let mut attribute = pb::AttributeProto { name: name.into(), r#type: kind as i32, ..Default::default() };
    match (kind, values) {
        (AttributeType::Int, [value]) => attribute.i = *value,
        _ => attribute.ints = values.to_vec(),
    }
    attribute
}

fn tensor(name: &str, kind: DataType, dims: &[usize], bytes: Vec<u8>) -> pb::TensorProto {
    pb::TensorProto {
        name: name.into(),
        data_type: kind as i32,
        dims: dims.iter().map(|size| *size as i64).collect(),
        raw_data: bytes,
        ..Default::default()
    }
}
