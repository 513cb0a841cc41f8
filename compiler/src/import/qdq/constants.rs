//! Quantized constants: `QuantizeLinear` and `DequantizeLinear` of what lies in the file are computed here, and where the scales are those of
//! weights, they are kept.

use std::collections::HashSet;

use tract_onnx::pb;

use super::{Given, Quantization, Scales, TYPES, activation, code_type, unsupported};
use crate::import::error::ImportError;
use crate::import::node::node_name;

/// Codes of an initializer.
pub(super) struct Codes {
    pub(super) values: Vec<i64>,
    shape: Vec<usize>,
    pub(super) bits: u8,
    pub(super) signed: bool,
}

/// `QuantizeLinear` and `DequantizeLinear` of an initializer are initializers.
pub(super) fn fold(graph: &mut pb::GraphProto, given: &mut Given) -> Result<(), ImportError> {
    let mut kept = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        // Exporters write scales, zero points and weights as either.
        let value = node.attribute.iter_mut().find(|a| node.op_type == "Constant" && a.name == "value").and_then(|a| a.t.take());
        let source = node.input.first().and_then(|name| initializer(graph, name));
        let output = node.output.first().cloned().unwrap_or_default();
        let made = match (node.op_type.as_str(), source, value) {
            (_, _, Some(value)) => value,
            ("QuantizeLinear", Some(source), _) => quantized(graph, &node, source)?,
            ("DequantizeLinear", Some(source), _) => dequantized(graph, &node, source, &output, given)?,
            _ => {
                kept.push(node);
                continue;
            }
        };
        graph.initializer.push(pb::TensorProto { name: output, ..made });
    }
    graph.node = kept;
    Ok(())
}

/// The codes of an initializer: the nearest, ties to even, saturated.
fn quantized(graph: &pb::GraphProto, node: &pb::NodeProto, source: &pb::TensorProto) -> Result<pb::TensorProto, ImportError> {
    let shape = shape_of(source).map(|(shape, _)| shape).unwrap_or_default();
    let values = floats_of(source).ok_or_else(|| unsupported(node, "a constant that is no float tensor in the file itself".into()))?;
    if !values.iter().all(|value| value.is_finite()) {
        let detail = format!("\"{}\" holds values that are not finite", source.name);
        return Err(ImportError::Invalid { node: node_name(node).into(), operator: node.op_type.clone(), detail });
    }
    let data_type = code_type(graph, node);
    let (bits, signed) = width(data_type).ok_or_else(|| unsupported(node, format!("element type {data_type}")))?;
    let quantization = Quantization::of(graph, node, &shape, Some((bits, signed)))?;
    let (lowest, highest) = if signed { (-1i64 << (bits - 1), (1i64 << (bits - 1)) - 1) } else { (0, (1i64 << bits) - 1) };
    let code = |(index, value): (usize, &f32)| {
        let channel = quantization.channel(index, &shape);
        // The conversion saturates: what overflows is far beyond every code.
        let rounded = (value / quantization.scales[channel]).round_ties_even() as i64;
        rounded.saturating_add(quantization.zero_points[channel]).clamp(lowest, highest)
    };
    let codes: Vec<i64> = values.iter().enumerate().map(code).collect();
    let raw_data = if bits == 4 {
        codes.chunks(2).map(|pair| (pair[0] & 15) as u8 | pair.get(1).map_or(0, |code| (code & 15) as u8) << 4).collect()
    } else {
        codes.iter().flat_map(|code| code.to_le_bytes().into_iter().take(usize::from(bits) / 8)).collect()
    };
    Ok(pb::TensorProto { dims: source.dims.clone(), data_type, raw_data, ..pb::TensorProto::default() })
}

/// The real values of an initializer's codes; keeps their scales.
fn dequantized(
    graph: &pb::GraphProto,
    node: &pb::NodeProto,
    source: &pb::TensorProto,
    output: &str,
    given: &mut Given,
) -> Result<pb::TensorProto, ImportError> {
    let codes = codes_of(source).ok_or_else(|| unsupported(node, format!("codes of element type {}", source.data_type)))?;
    let quantization = Quantization::of(graph, node, &codes.shape, Some((codes.bits, codes.signed)))?;
    let value = |(index, code): (usize, &i64)| {
        let channel = quantization.channel(index, &codes.shape);
        (code - quantization.zero_points[channel]) as f32 * quantization.scales[channel]
    };
    let values: Vec<f32> = codes.values.iter().enumerate().map(value).collect();
    // Our weights are symmetric: an unsigned code less half its range is a signed one.
    let middle = if codes.signed { 0 } else { 1 << (codes.bits - 1) };
    let other = quantization.zero_points.iter().find(|zero_point| **zero_point != middle);
    let scales = match other {
        _ if codes.bits > 8 => Err(format!("weights of {} bits", codes.bits)),
        Some(other) => Err(format!("weights with the zero point {other}")),
        None => Ok(Scales { bits: codes.bits, axis: quantization.axis, scales: quantization.scales }),
    };
    given.weights.insert(output.into(), scales);
    if let Ok(quantizer) = activation(graph, node, source.data_type) {
        given.activations.insert(output.into(), quantizer);
    }
    Ok(pb::TensorProto {
        dims: source.dims.clone(),
        data_type: pb::tensor_proto::DataType::Float as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..pb::TensorProto::default()
    })
}

/// Constants that nodes make of others.
pub(super) fn computed(graph: &pb::GraphProto) -> HashSet<String> {
    let mut constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut computed = HashSet::new();
    for node in &graph.node {
        if node.input.iter().all(|name| name.is_empty() || constants.contains(name.as_str())) {
            constants.extend(node.output.iter().map(String::as_str));
            computed.extend(node.output.iter().cloned());
        }
    }
    computed
}

/// What is computed of constants that came out of codes: a transpose moves their scales, nothing is known of the rest.
pub(super) fn follow(graph: &pb::GraphProto, given: &mut Given) {
    let computed = computed(graph);
    for node in graph.node.iter().filter(|node| node.output.iter().any(|name| computed.contains(name))) {
        let Some((source, scales)) = node.input.iter().find_map(|name| Some((name, given.weights.get(name)?))) else { continue };
        let unknown = || format!("weights that a {} makes of the quantized \"{source}\"", node.op_type);
        let scales = match (node.op_type.as_str(), scales) {
            ("Identity", scales) => scales.clone(),
            ("Transpose", Ok(scales)) => match scales.axis {
                None => Ok(scales.clone()),
                Some(axis) => {
                    let perm = node.attribute.iter().find(|a| a.name == "perm").map(|a| a.ints.clone());
                    let reversed = || initializer(graph, source).map(|tensor| (0..tensor.dims.len() as i64).rev().collect());
                    let moved = perm.or_else(reversed).and_then(|perm: Vec<i64>| perm.iter().position(|from| *from == axis as i64));
                    moved.map(|axis| Scales { axis: Some(axis), ..scales.clone() }).ok_or_else(unknown)
                }
            },
            (_, Ok(_)) => Err(unknown()),
            (_, Err(why)) => Err(why.clone()),
        };
        for output in &node.output {
            given.weights.insert(output.clone(), scales.clone());
        }
    }
}

/// Bits and signedness of the codes of an element type.
fn width(data_type: i32) -> Option<(u8, bool)> {
    TYPES.iter().find(|(number, ..)| *number == data_type).map(|(_, bits, signed)| (*bits, *signed))
}

pub(super) fn initializer<'a>(graph: &'a pb::GraphProto, name: &str) -> Option<&'a pb::TensorProto> {
    graph.initializer.iter().find(|tensor| tensor.name == name)
}

fn shape_of(tensor: &pb::TensorProto) -> Option<(Vec<usize>, usize)> {
    let shape: Vec<usize> = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect::<Option<_>>()?;
    let len = shape.iter().try_fold(1usize, |len, size| len.checked_mul(*size))?;
    Some((shape, len))
}

/// The values of a float tensor that lie in the file.
pub(super) fn floats_of(tensor: &pb::TensorProto) -> Option<Vec<f32>> {
    let (_, len) = shape_of(tensor)?;
    let values = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        let (words, _) = tensor.raw_data.as_chunks::<4>();
        words.iter().map(|word| f32::from_le_bytes(*word)).collect()
    };
    (tensor.data_type == pb::tensor_proto::DataType::Float as i32 && values.len() == len).then_some(values)
}

/// The codes of a tensor that lie in the file.
pub(super) fn codes_of(tensor: &pb::TensorProto) -> Option<Codes> {
    let (bits, signed) = width(tensor.data_type)?;
    let (shape, len) = shape_of(tensor)?;
    // In `int32_data` too, two 4-bit codes share an element.
    let bytes: Vec<u8> = if tensor.raw_data.is_empty() {
        let bytes = if bits == 4 { 1 } else { usize::from(bits) / 8 };
        tensor.int32_data.iter().flat_map(|word| word.to_le_bytes().into_iter().take(bytes)).collect()
    } else {
        tensor.raw_data.clone()
    };
    let extended = |value: u32| -> i64 {
        let unused = 32 - u32::from(bits);
        if signed { i64::from((value << unused) as i32 >> unused) } else { i64::from(value) }
    };
    let values: Vec<i64> = if bits == 4 {
        bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]).map(|nibble| extended(u32::from(nibble))).take(len).collect()
    } else {
        let words = bytes.chunks_exact(usize::from(bits) / 8);
        words.map(|word| extended(word.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))).collect()
    };
    (values.len() == len).then_some(Codes { values, shape, bits, signed })
}
