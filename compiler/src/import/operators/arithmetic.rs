//! Add, Sub, Mul and Div of two values, or of a value and a constant.

use super::super::error::ImportError;
use super::super::facts::Constant;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use crate::graph::{Clamp, Op};

pub(super) fn add(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => pair(importer, node, Op::Add),
        (first, _) => with_constant(importer, node, usize::from(!first), |c| (1.0, c)),
    }
}

pub(super) fn sub(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => Err(node.unsupported("", "difference of two values", "Add")),
        (true, false) => with_constant(importer, node, 0, |c| (1.0, -c)),
        _ => with_constant(importer, node, 1, |c| (-1.0, c)),
    }
}

pub(super) fn mul(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => pair(importer, node, Op::Mul),
        (first, _) => with_constant(importer, node, usize::from(!first), |c| (c, 0.0)),
    }
}

pub(super) fn div(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    if !importer.is_value(&node, 0) || importer.is_value(&node, 1) {
        return Err(node.unsupported("", "division by a value", "division by a constant"));
    }
    with_constant(importer, node, 0, |c| (1.0 / c, 0.0))
}

fn pair(importer: &mut Importer, node: OnnxNode<'_>, op: Op) -> Result<View, ImportError> {
    let (a, b) = (importer.value(&node, 0)?, importer.value(&node, 1)?);
    let builder = &mut importer.builder;
    let (shape_a, shape_b) = (builder.shape(&a), builder.shape(&b));
    if shape_a != shape_b {
        let what = if op == Op::Add { "sum" } else { "product" };
        return Err(node.unsupported("", format!("{what} of {shape_a:?} and {shape_b:?}"), "two inputs of one shape"));
    }
    let right = builder.arranged(node.name(), &b, &a.axes);
    let stored = builder.graph.tensor(a.tensor).shape.clone();
    let tensor = builder.push(node.name(), op, vec![a.tensor, right], stored, Clamp::NONE);
    Ok(View { tensor, axes: a.axes })
}

/// A constant that differs only along one axis is a scale or an offset for each channel of that axis; `affine` says which.
fn with_constant(
    importer: &mut Importer,
    node: OnnxNode<'_>,
    value: usize,
    affine: impl Fn(f32) -> (f32, f32),
) -> Result<View, ImportError> {
    let view = importer.value(&node, value)?;
    let constant = node.weights(1 - value, "a constant")?;
    let shape = importer.builder.shape(&view);
    let rank = shape.len();
    let nearest = "a constant with one value for each channel";
    let what = || format!("a constant of shape {:?} with a value of shape {shape:?}", constant.shape);
    if constant.shape.len() > rank {
        return Err(node.unsupported("", what(), nearest));
    }
    let mut constant_shape = vec![1; rank - constant.shape.len()];
    constant_shape.extend(&constant.shape);
    if (0..rank).any(|axis| constant_shape[axis] != 1 && constant_shape[axis] != shape[axis]) {
        return Err(node.unsupported("", what(), nearest));
    }
    let long: Vec<usize> = (0..rank).filter(|axis| constant_shape[*axis] != 1).collect();
    let axis = match long[..] {
        [] => view.axes.iter().position(|stored| *stored == rank - 1).unwrap_or(rank - 1),
        [axis] => axis,
        _ => return by_element(importer, node, &view, &shape, Constant { shape: constant_shape, ..constant }, affine),
    };
    let view = importer.builder.innermost(node.name(), &view, axis);
    let channels = shape[axis];
    let values = if constant.values.len() == 1 { vec![constant.values[0]; channels] } else { constant.values };
    let (scale, offset): (Vec<f32>, Vec<f32>) = values.into_iter().map(affine).unzip();
    if !scale.iter().chain(&offset).all(|v| v.is_finite()) {
        return Err(node.invalid("division by zero"));
    }
    let stored = importer.builder.graph.tensor(view.tensor).shape.clone();
    let op = Op::ChannelAffine { scale: scale.into(), offset: offset.into() };
    let tensor = importer.builder.push(node.name(), op, vec![view.tensor], stored, Clamp::NONE);
    Ok(View { tensor, axes: view.axes })
}

/// A constant that differs along several axes, such as the embedding of positions, is a tensor of its own.
fn by_element(
    importer: &mut Importer,
    node: OnnxNode<'_>,
    view: &View,
    shape: &[usize],
    constant: Constant,
    affine: impl Fn(f32) -> (f32, f32),
) -> Result<View, ImportError> {
    let name = node.proto.input.iter().find(|name| !importer.values.contains_key(*name));
    let given = name.and_then(|name| importer.given.activations.get(name).copied());
    let elements = broadcast(&constant, shape);
    let values: Vec<(f32, f32)> = elements.iter().copied().map(affine).collect();
    if !values.iter().all(|(scale, offset)| scale.is_finite() && offset.is_finite()) {
        return Err(node.invalid("division by zero"));
    }
    let (op, values): (Op, Vec<f32>) = if values.iter().all(|(scale, _)| *scale == 1.0) {
        (Op::Add, values.into_iter().map(|(_, offset)| offset).collect())
    } else if values.iter().all(|(_, offset)| *offset == 0.0) {
        (Op::Mul, values.into_iter().map(|(scale, _)| scale).collect())
    } else {
        return Err(node.unsupported("", "a constant of several axes less a value", "the value less the constant"));
    };
    let unchanged = elements == values;
    let tensor = importer.builder.graph.add_constant(format!("{}.constant", node.name()), shape.to_vec(), values);
    importer.builder.graph.tensors[tensor.0].quantizer = given.filter(|_| unchanged);
    let right = View { tensor, axes: (0..shape.len()).collect() };
    let right = importer.builder.arranged(&format!("{}.constant", node.name()), &right, &view.axes);
    let stored = importer.builder.graph.tensor(view.tensor).shape.clone();
    let tensor = importer.builder.push(node.name(), op, vec![view.tensor, right], stored, Clamp::NONE);
    Ok(View { tensor, axes: view.axes.clone() })
}

/// The elements of a constant repeated along its axes of size 1 until it has `shape`.
pub(super) fn broadcast(constant: &Constant, shape: &[usize]) -> Vec<f32> {
    let mut order = vec![0];
    let mut stride: usize = constant.shape.iter().product();
    for (size, repeated) in constant.shape.iter().zip(shape) {
        stride /= size;
        let step = if *size == 1 { 0 } else { stride };
        order = order.iter().flat_map(|base| (0..*repeated).map(move |i| base + i * step)).collect();
    }
    order.into_iter().map(|element: usize| constant.values[element]).collect()
}
