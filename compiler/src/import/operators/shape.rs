//! Operators that move values without computing: Concat, Flatten, Identity, Pad, Reshape, Squeeze, Transpose, Unsqueeze.

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use crate::graph::{Clamp, Op, TensorId};

pub(super) fn identity(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    if let Some(name) = node.input(2)
        && node.proto.op_type == "Dropout"
        && node.constant(2)?.is_none_or(|training| training.values.iter().any(|v| *v != 0.0))
    {
        return Err(node.unsupported(name, "training", "training_mode = false"));
    }
    importer.value(&node, 0)
}

pub(super) fn concat(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let values = (0..node.proto.input.len()).find(|index| importer.is_value(&node, *index));
    let first = importer.value(&node, values.unwrap_or(0))?;
    let rank = first.axes.len();
    let axis = node.axis(node.int("axis").ok_or_else(|| node.invalid("axis is missing"))?, rank)?;
    let (mut inputs, mut size) = (Vec::new(), 0);
    let mut expected = importer.builder.shape(&first);
    for index in 0..node.proto.input.len() {
        let view = importer.value_or_constant(&node, index)?;
        let shape = importer.builder.shape(&view);
        expected[axis] = shape.get(axis).copied().unwrap_or(0);
        if shape != expected {
            return Err(node.invalid(format!("input {index} has shape {shape:?}, expected {expected:?}")));
        }
        size += shape[axis];
        inputs.push(importer.builder.arranged(node.name(), &view, &first.axes));
    }
    let tensor = join_all(importer, node.name(), first.axes[axis], inputs);
    debug_assert_eq!(importer.builder.graph.tensor(tensor).shape[first.axes[axis]], size);
    Ok(View { tensor, axes: first.axes })
}

/// Joins any number of stored tensors along a stored axis. The file format limits the inputs of a node: longer lists are joined in parts.
pub(super) fn join_all(importer: &mut Importer, name: &str, axis: usize, mut inputs: Vec<TensorId>) -> TensorId {
    let mut part = 0;
    while inputs.len() > CONCAT_INPUTS_MAX {
        let chunks: Vec<Vec<TensorId>> = inputs.chunks(CONCAT_INPUTS_MAX).map(<[TensorId]>::to_vec).collect();
        inputs.clear();
        for chunk in chunks {
            part += 1;
            inputs.push(match chunk[..] {
                [single] => single,
                _ => join(importer, &format!("{name}.part{part}"), axis, chunk),
            });
        }
    }
    join(importer, name, axis, inputs)
}

/// Most inputs of one concatenation.
const CONCAT_INPUTS_MAX: usize = apq_runtime::INPUTS_MAX;

/// Joins stored tensors along a stored axis.
fn join(importer: &mut Importer, name: &str, axis: usize, inputs: Vec<TensorId>) -> TensorId {
    let graph = &importer.builder.graph;
    let mut shape = graph.tensor(inputs[0]).shape.clone();
    shape[axis] = inputs.iter().map(|input| graph.tensor(*input).shape[axis]).sum();
    importer.builder.push(name, Op::Concat { axis }, inputs, shape, Clamp::NONE)
}

pub(super) fn transpose(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let rank = view.axes.len();
    let perm: Vec<usize> = match node.ints("perm") {
        None => (0..rank).rev().collect(),
        Some(perm) => perm.iter().map(|axis| node.axis(*axis, rank)).collect::<Result<_, _>>()?,
    };
    let mut seen = perm.clone();
    seen.sort_unstable();
    if !seen.into_iter().eq(0..rank) {
        return Err(node.invalid(format!("perm {perm:?} for {rank} axes")));
    }
    let axes = perm.iter().map(|axis| view.axes[*axis]).collect();
    Ok(View { tensor: view.tensor, axes })
}

pub(super) fn reshape(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    to_output_shape(importer, node)
}

pub(super) fn flatten(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    to_output_shape(importer, node)
}

pub(super) fn squeeze(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    to_output_shape(importer, node)
}

pub(super) fn unsqueeze(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    to_output_shape(importer, node)
}

/// Any operator that only renames axes: tract has resolved its sizes.
fn to_output_shape(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = node.output_shape()?;
    let from = importer.builder.shape(&view);
    if from.iter().product::<usize>() != shape.iter().product::<usize>() {
        return Err(node.invalid(format!("{from:?} cannot become {shape:?}")));
    }
    if shape.first() != Some(&1) || shape.len() > 5 {
        return Err(node.unsupported("", format!("{from:?} becomes {shape:?}"), "at most 5 axes, the first of them the batch"));
    }
    Ok(importer.builder.reshaped(node.name(), &view, &shape))
}

pub(super) fn pad(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let mode = node.text("mode").unwrap_or_default();
    if !matches!(mode.as_str(), "" | "constant") {
        return Err(node.unsupported("mode", mode, "constant"));
    }
    if let Some(name) = node.input(3) {
        return Err(node.unsupported(name, "padding of chosen axes", "pads for every axis"));
    }
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let rank = shape.len();
    let pads = node.ints_or_input("pads", 1)?.ok_or_else(|| node.invalid("pads is missing"))?;
    let pads: Vec<usize> = pads
        .iter()
        .map(|p| usize::try_from(*p).ok().filter(|p| *p < 1 << 20))
        .collect::<Option<_>>()
        .ok_or_else(|| node.unsupported("pads", format!("{pads:?}"), "padding of at least 0"))?;
    if rank > 4 {
        return Err(node.unsupported("", format!("padding of {shape:?}"), "at most 4 axes"));
    }
    if pads.len() != 2 * rank {
        return Err(node.invalid(format!("{} pads for {rank} axes", pads.len())));
    }
    let value = match (node.float("value"), node.input(2)) {
        (Some(value), _) => value,
        (None, Some(_)) => node
            .constant(2)?
            .ok_or_else(|| node.invalid("the value depends on the network's input"))?
            .values
            .first()
            .copied()
            .unwrap_or(0.0),
        (None, None) => 0.0,
    };
    // Minus infinity is what a max pool behind it ignores.
    if !value.is_finite() && value != f32::NEG_INFINITY {
        return Err(node.unsupported("value", value.to_string(), "a finite value"));
    }
    if pads[0] != 0 || pads[rank] != 0 {
        return Err(node.unsupported("pads", "padding of the batch", "padding of the other axes"));
    }
    let mut stored_pads = vec![(0, 0); rank];
    let mut stored = importer.builder.graph.tensor(view.tensor).shape.clone();
    for axis in 0..rank {
        let to = view.axes[axis];
        stored_pads[to] = (pads[axis], pads[axis + rank]);
        stored[to] += pads[axis] + pads[axis + rank];
    }
    let tensor = importer.builder.push(node.name(), Op::Pad { pads: stored_pads, value }, vec![view.tensor], stored, Clamp::NONE);
    Ok(View { tensor, axes: view.axes })
}
