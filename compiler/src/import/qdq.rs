//! Quantized ONNX: `QuantizeLinear` and `DequantizeLinear` around weights and activations.
//!
//! The pairs compute nothing; they say which scale, zero point and width a value has. Before anything else reads the model they are taken out and what
//! they say is kept: constants become the real values of their codes, and each pair around an activation a quantizer of that activation. What is
//! left is an ordinary float model, for tract as well.

mod constants;

use std::collections::{HashMap, HashSet};

use tract_onnx::pb;

use constants::{codes_of, floats_of, initializer};

use super::error::{ImportError, Unsupported};
use super::node::node_name;
use crate::quant::ranges::ActivationQuantizer;

/// What a quantized model says of its values, by ONNX name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    pub(crate) activations: HashMap<String, ActivationQuantizer>,
    /// Constants that came out of codes; why not, where the codes are not such as weights can have.
    pub(crate) weights: HashMap<String, Result<Scales, String>>,
}

/// Symmetric codes of a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scales {
    pub(crate) bits: u8,
    /// Axis that the scales belong to; `None` for one scale.
    pub(crate) axis: Option<usize>,
    pub(crate) scales: Vec<f32>,
}

/// Element types of codes, with the bits and the signedness of each.
const TYPES: [(i32, u8, bool); 7] =
    [(2, 8, false), (3, 8, true), (4, 16, false), (5, 16, true), (6, 32, true), (21, 4, false), (22, 4, true)];

const NEAREST: &str = "constant scale and zero point, one of them or one for each channel; u8, i8, i16, u4 or i4 codes";

/// Takes all pairs out of a model.
pub(super) fn strip(proto: &mut pb::ModelProto) -> Result<Given, ImportError> {
    let mut given = Given::default();
    let Some(graph) = &mut proto.graph else { return Ok(given) };
    if !graph.node.iter().any(|node| matches!(node.op_type.as_str(), "QuantizeLinear" | "DequantizeLinear")) {
        return Ok(given);
    }
    constants::fold(graph, &mut given)?;
    take_pairs(graph, &mut given)?;
    constants::follow(graph, &mut given);
    drop_unread(graph);
    Ok(given)
}

/// A `QuantizeLinear` with the `DequantizeLinear` behind it is a quantizer of the value before it.
fn take_pairs(graph: &mut pb::GraphProto, given: &mut Given) -> Result<(), ImportError> {
    // Name of a quantized value: the value that it stands for.
    let mut quantized: HashMap<String, (String, i32)> = HashMap::new();
    let computed = constants::computed(graph);
    let mut renamed: HashMap<String, String> = HashMap::new();
    let outputs: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let mut kept = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        node.input.iter_mut().for_each(|input| {
            if let Some(name) = renamed.get(input) {
                input.clone_from(name);
            }
        });
        let (input, output) = (node.input.first().cloned().unwrap_or_default(), node.output.first().cloned().unwrap_or_default());
        match node.op_type.as_str() {
            "QuantizeLinear" => {
                if computed.contains(&input) {
                    return Err(unsupported(&node, format!("the constant \"{input}\" that other operators compute")));
                }
                let data_type = code_type(graph, &node);
                let quantizer = activation(graph, &node, data_type)?;
                match given.activations.get(&input) {
                    Some(other) if *other != quantizer => {
                        return Err(unsupported(&node, format!("a second quantizer of \"{input}\"")));
                    }
                    _ => given.activations.insert(input.clone(), quantizer),
                };
                quantized.insert(output, (input, data_type));
            }
            "DequantizeLinear" => {
                let (source, data_type) =
                    quantized.get(&input).ok_or_else(|| unsupported(&node, format!("codes \"{input}\" that no QuantizeLinear makes")))?;
                if given.activations.get(source) != Some(&activation(graph, &node, *data_type)?) {
                    return Err(unsupported(&node, "another scale or zero point than the codes were made with".into()));
                }
                if outputs.contains(&output) {
                    let (op_type, name) = ("Identity".into(), node.name.clone());
                    kept.push(pb::NodeProto {
                        op_type,
                        name,
                        input: vec![source.clone()],
                        output: vec![output],
                        ..pb::NodeProto::default()
                    });
                } else {
                    renamed.insert(output, source.clone());
                }
            }
            _ => kept.push(node),
        }
    }
    for node in &kept {
        if let Some(input) = node.input.iter().find(|input| quantized.contains_key(*input)) {
            let nearest = "QuantizeLinear and DequantizeLinear around operators on real values";
            return Err(ImportError::Unsupported(Box::new(Unsupported {
                node: node_name(node).into(),
                operator: node.op_type.clone(),
                attribute: Some(input.clone()),
                detail: "it computes on codes".into(),
                nearest: nearest.into(),
            })));
        }
    }
    graph.node = kept;
    Ok(())
}

/// Codes and zero points that nothing reads any more may be of types that nobody else understands.
fn drop_unread(graph: &mut pb::GraphProto) {
    let read: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let made = graph.output.iter().map(|output| &output.name);
    let needed: HashSet<String> = read.into_iter().chain(made).cloned().collect();
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
}

/// The element type of the codes that a `QuantizeLinear` makes.
fn code_type(graph: &pb::GraphProto, node: &pb::NodeProto) -> i32 {
    let declared = node.attribute.iter().find(|a| a.name == "output_dtype" && a.i != 0).map(|a| a.i as i32);
    let zero_point = node.input.get(2).filter(|name| !name.is_empty()).and_then(|name| initializer(graph, name));
    zero_point.map(|tensor| tensor.data_type).or(declared).unwrap_or(2)
}

/// The quantizer of an activation whose codes are of an element type; signed codes become unsigned ones.
fn activation(graph: &pb::GraphProto, node: &pb::NodeProto, data_type: i32) -> Result<ActivationQuantizer, ImportError> {
    let (_, bits, signed) =
        *TYPES.iter().find(|(number, ..)| *number == data_type).ok_or_else(|| unsupported(node, format!("element type {data_type}")))?;
    let quantization = Quantization::of(graph, node, &[], Some((bits, signed)))?;
    let ([scale], [zero_point]) = (&quantization.scales[..], &quantization.zero_points[..]) else {
        return Err(unsupported(node, "an activation with a scale for each channel".into()));
    };
    let shift = match (bits, signed) {
        (4 | 8, true) => 1 << (bits - 1),
        (16, false) => -32768,
        _ => 0,
    };
    let zero_point = (zero_point + shift) as i32;
    let legal = match bits {
        4 | 8 => (0..1 << bits).contains(&zero_point),
        16 => zero_point == 0,
        _ => false,
    };
    if !legal {
        return Err(unsupported(node, format!("{bits}-bit activations whose zero point is {zero_point}")));
    }
    Ok(ActivationQuantizer { scale: *scale, zero_point, bits })
}

/// Scale and zero point of one of the two operators.
struct Quantization {
    scales: Vec<f32>,
    zero_points: Vec<i64>,
    axis: Option<usize>,
}

impl Quantization {
    fn of(graph: &pb::GraphProto, node: &pb::NodeProto, shape: &[usize], codes: Option<(u8, bool)>) -> Result<Quantization, ImportError> {
        let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name).map(|a| a.i);
        if attribute("block_size").unwrap_or(0) != 0 {
            return Err(unsupported(node, "blocks with scales of their own".into()));
        }
        let constant = |index: usize| node.input.get(index).filter(|name| !name.is_empty()).map(|name| initializer(graph, name));
        let scales = match constant(1) {
            Some(Some(tensor)) => floats_of(tensor),
            _ => None,
        };
        let scales = scales.ok_or_else(|| unsupported(node, "a scale that is no float constant of the model".into()))?;
        let zero_points = match constant(2) {
            None => vec![0; scales.len()],
            Some(tensor) => {
                let zero_points = tensor.and_then(codes_of).filter(|zero_points| codes == Some((zero_points.bits, zero_points.signed)));
                zero_points.ok_or_else(|| unsupported(node, "a zero point that is no constant of the codes' type".into()))?.values
            }
        };
        if zero_points.len() != scales.len() || !scales.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
            return Err(unsupported(node, "scales that are not positive, or not as many as zero points".into()));
        }
        let axis = match scales.len() {
            1 => None,
            len => {
                let axis = attribute("axis").unwrap_or(1);
                let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
                let fits = usize::try_from(axis).ok().filter(|axis| shape.get(*axis) == Some(&len));
                Some(fits.ok_or_else(|| unsupported(node, format!("{len} scales along axis {axis} of {shape:?}")))?)
            }
        };
        Ok(Quantization { scales, zero_points, axis })
    }

    /// The scale that belongs to an element of a tensor of `shape`.
    fn channel(&self, index: usize, shape: &[usize]) -> usize {
        self.axis.map_or(0, |axis| index / shape[axis + 1..].iter().product::<usize>() % shape[axis])
    }
}

fn unsupported(node: &pb::NodeProto, detail: String) -> ImportError {
    ImportError::Unsupported(Box::new(Unsupported {
        node: node_name(node).into(),
        operator: node.op_type.clone(),
        attribute: None,
        detail,
        nearest: NEAREST.into(),
    }))
}
