//! Quantizers that a quantized model brings with it, on the tensors and weights of the graph.

use super::error::ImportError;
use super::node::OnnxNode;
use super::operators::Importer;
use super::view::View;
use crate::graph::{Clamp, GivenWeights, Op, Weights};

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

const NEAREST: &str = "weights of u8, i8, u4 or i4 codes, symmetric, with one scale or one for each output channel, that nothing but a Transpose stands behind";

/// Gives a layer's weights the scales that the model says they have. Weights that came out of codes which the layer cannot have are refused.
pub(super) fn weights(importer: &mut Importer, node: &OnnxNode<'_>) -> Result<(), ImportError> {
    let operator = node.proto.op_type.as_str();
    let index = match operator {
        "Conv" | "ConvTranspose" | "Gemm" => 1,
        "MatMul" => usize::from(importer.is_value(node, 0)),
        _ => return Ok(()),
    };
    let Some((name, scales)) = node.input(index).and_then(|name| Some((name, importer.given.weights.get(name)?))) else { return Ok(()) };
    let scales = scales.as_ref().map_err(|why| node.unsupported(name, why.clone(), NEAREST))?;
    let alpha = node.float("alpha").unwrap_or(1.0);
    if operator == "Gemm" && alpha != 1.0 {
        return Err(node.unsupported("alpha", format!("the factor {alpha} of quantized weights"), "alpha = 1"));
    }
    let Some(constant) = node.constant(index)? else { return Ok(()) };
    let rank = constant.shape.len();
    let outputs_axis = match operator {
        "Conv" => 0,
        "ConvTranspose" => 1,
        "Gemm" if node.int("transB").unwrap_or(0) != 0 => 0,
        "MatMul" if index == 0 => rank.saturating_sub(2),
        _ => rank.saturating_sub(1),
    };
    if let Some(axis) = scales.axis.filter(|axis| *axis != outputs_axis) {
        return Err(node.unsupported(
            name,
            format!("weights with a scale for each position of axis {axis}"),
            "one for each output channel",
        ));
    }
    // A transposed convolution has every channel once for each phase and group; of any other layer this is each scale once, or one for all.
    let layer = importer.builder.graph.nodes.iter().rev().find(|layer| layer.name == node.name());
    let outputs = layer.and_then(|layer| layer.op.weights()).map_or(0, Weights::outputs);
    let per_channel = scales.scales.iter().copied().cycle().take(outputs).collect();
    let given = GivenWeights { bits: scales.bits, scales: per_channel };
    importer.builder.graph.given_weights.insert(node.name().into(), given);
    Ok(())
}
