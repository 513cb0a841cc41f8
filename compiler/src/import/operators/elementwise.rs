//! BatchNormalization, Clip, Relu, Softmax.

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use crate::graph::{Clamp, Op};

pub(super) fn batch_normalization(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    if node.int("training_mode").unwrap_or(0) != 0 {
        return Err(node.unsupported("training_mode", "training", "training_mode = 0"));
    }
    let view = importer.value(&node, 0)?;
    let builder = &mut importer.builder;
    let view = builder.channel_last(node.name(), &view);
    let shape = builder.graph.tensor(view.tensor).shape.clone();
    let channels = shape.last().copied().unwrap_or(0);
    let mut vectors = Vec::new();
    for index in 1..=4 {
        let constant = node.weights(index, "constant statistics")?;
        if constant.values.len() != channels {
            return Err(node.invalid(format!("input {index} has {} values for {channels} channels", constant.values.len())));
        }
        vectors.push(constant.values);
    }
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    let scale: Vec<f64> = (0..channels).map(|c| f64::from(vectors[0][c]) / (f64::from(vectors[3][c]) + epsilon).sqrt()).collect();
    let offset: Vec<f32> = (0..channels).map(|c| (f64::from(vectors[1][c]) - f64::from(vectors[2][c]) * scale[c]) as f32).collect();
    let scale: Vec<f32> = scale.into_iter().map(|s| s as f32).collect();
    if !scale.iter().chain(&offset).all(|v| v.is_finite()) {
        return Err(node.invalid("a variance is negative, or a statistic is too large"));
    }
    let op = Op::ChannelAffine { scale: scale.into(), offset: offset.into() };
    let tensor = builder.push(node.name(), op, vec![view.tensor], shape, Clamp::NONE);
    Ok(View { tensor, axes: view.axes })
}

pub(super) fn relu(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    clamp(importer, node, Clamp { lo: 0.0, hi: f32::INFINITY })
}

/// Bounds are attributes before opset 11 and inputs since.
pub(super) fn clip(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let mut bounds = [Clamp::NONE.lo, Clamp::NONE.hi];
    for (index, name) in ["min", "max"].into_iter().enumerate() {
        if let Some(bound) = node.float(name) {
            bounds[index] = bound;
        } else if let Some(input) = node.input(index + 1) {
            let constant = node
                .constant(index + 1)?
                .ok_or_else(|| node.unsupported(input, "the bound depends on the network's input", "a constant bound"))?;
            bounds[index] = match constant.values[..] {
                [bound] => bound,
                _ => return Err(node.invalid(format!("{name} has {} values", constant.values.len()))),
            };
        }
    }
    let [lo, hi] = bounds;
    if lo.is_nan() || hi.is_nan() || lo > hi {
        return Err(node.invalid(format!("bounds {lo} and {hi}")));
    }
    clamp(importer, node, Clamp { lo, hi })
}

fn clamp(importer: &mut Importer, node: OnnxNode<'_>, clamp: Clamp) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.graph.tensor(view.tensor).shape.clone();
    let tensor = importer.builder.push(node.name(), Op::Clamp, vec![view.tensor], shape, clamp);
    Ok(View { tensor, axes: view.axes })
}

/// Before opset 13 all axes from `axis` on are normalised together, since then `axis` alone.
pub(super) fn softmax(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let rank = shape.len();
    let default = if node.opset < 13 { 1 } else { -1 };
    let axis = node.axis(node.int("axis").unwrap_or(default), rank)?;
    let rest: usize = shape[axis + 1..].iter().product();
    if node.opset < 13 && rest != 1 {
        return Err(node.unsupported("axis", format!("axis {axis} of {shape:?} in opset {}", node.opset), "the last axis"));
    }
    let View { tensor, axes } = importer.builder.innermost(node.name(), &view, axis);
    let stored = importer.builder.graph.tensor(tensor).shape.clone();
    let tensor = importer.builder.push(node.name(), Op::Softmax, vec![tensor], stored, Clamp::NONE);
    Ok(View { tensor, axes })
}
