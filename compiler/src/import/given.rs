//! Quantizers that a quantized model brings with it, on the tensors and weights of the graph.

use super::error::ImportError;
use super::node::OnnxNode;
use super::operators::Importer;
use super::view::View;
use crate::graph::{Clamp, GivenWeights, Op};

/// Gives the value `name` the quantizer that the model says it has.
pub(super) fn activation(importer: &mut Importer, name: &str) {
    let Some(quantizer) = importer.given.activations.get(name).copied() else { return };
    let Some(view) = importer.values.get(name).cloned() else { return };
    let graph = &mut importer.builder.graph;
    match graph.tensors[view.tensor.0].quantizer {
        None => graph.tensors[view.tensor.0].quantizer = Some(quantizer),
        Some(other) if other == quantizer => {}
        // The same tensor under two names, with two quantizers.
        Some(_) => {
            let shape = graph.tensor(view.tensor).shape.clone();
            let tensor = importer.builder.push(&format!("{name}.requantize"), Op::Clamp, vec![view.tensor], shape, Clamp::NONE);
            importer.builder.graph.tensors[tensor.0].quantizer = Some(quantizer);
            importer.values.insert(name.into(), View { tensor, axes: view.axes });
        }
    }
}

/// Gives a layer's weights the scales that the model says they have.
pub(super) fn weights(importer: &mut Importer, node: &OnnxNode<'_>) -> Result<(), ImportError> {
    let index = match node.proto.op_type.as_str() {
        "Conv" | "Gemm" => 1,
        "MatMul" => usize::from(importer.is_value(node, 0)),
        _ => return Ok(()),
    };
    let Some(scales) = node.input(index).and_then(|name| importer.given.weights.get(name)) else { return Ok(()) };
    let Some(constant) = node.constant(index)? else { return Ok(()) };
    let rank = constant.shape.len();
    let outputs_axis = match node.proto.op_type.as_str() {
        "Conv" => 0,
        // A factor makes other weights of them.
        "Gemm" if node.float("alpha").unwrap_or(1.0) != 1.0 => return Ok(()),
        "Gemm" if node.int("transB").unwrap_or(0) != 0 => 0,
        "MatMul" if index == 0 => rank.saturating_sub(2),
        _ => rank.saturating_sub(1),
    };
    let outputs = constant.shape.get(outputs_axis).copied().unwrap_or(0);
    let per_channel = match scales.axis {
        None => vec![scales.scales[0]; outputs],
        Some(axis) if axis == outputs_axis => scales.scales.clone(),
        Some(axis) => {
            return Err(node.unsupported(
                "",
                format!("weights with a scale for each position of axis {axis}"),
                "one for each output channel",
            ));
        }
    };
    let given = GivenWeights { bits: scales.bits, scales: per_channel };
    importer.builder.graph.given_weights.insert(node.name().into(), given);
    Ok(())
}
