//! Add, Sub, Mul and Div: of two values, or of a value and a constant for each channel.

use super::super::error::ImportError;
use super::super::facts::Constant;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use super::activation::apply;
use crate::graph::{Clamp, Function, Op, Pair, Unary};
use crate::passes::common_source;
use std::sync::Arc;

pub(super) fn add(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => of_values(importer, node, Op::Add),
        (true, false) => with_constant(importer, node, 0, |c| (1.0, c)),
        _ => with_constant(importer, node, 1, |c| (1.0, c)),
    }
}

pub(super) fn sub(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => of_values(importer, node, Op::Sub),
        (true, false) => with_constant(importer, node, 0, |c| (1.0, -c)),
        _ => with_constant(importer, node, 1, |c| (-1.0, c)),
    }
}

pub(super) fn mul(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => of_values(importer, node, Op::Mul),
        (true, false) => with_constant(importer, node, 0, |c| (c, 0.0)),
        _ => with_constant(importer, node, 1, |c| (c, 0.0)),
    }
}

pub(super) fn div(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => of_functions(importer, node),
        (true, false) => with_constant(importer, node, 0, |c| ((1.0 / f64::from(c)) as f32, 0.0)),
        _ => {
            let dividend = node.weights(0, "a constant")?;
            let [dividend] = dividend.values[..] else {
                return Err(node.unsupported("", format!("a dividend of shape {:?}", dividend.shape), "one constant as dividend"));
            };
            let view = importer.value(&node, 1)?;
            let function = Function::unary(Unary::Reciprocal).then(&Function::affine(dividend, 0.0));
            Ok(apply(importer, node, &view, function.unwrap_or_default()))
        }
    }
}

/// The quotient of two functions of one tensor is a function of that tensor.
fn of_functions(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let (a, b) = (importer.value(&node, 0)?, importer.value(&node, 1)?);
    let graph = &importer.builder.graph;
    let quotient = || {
        let (source, dividend, divisor) = common_source(graph, a.tensor, b.tensor).filter(|_| a.axes == b.axes)?;
        let inverse = divisor.then(&Function::unary(Unary::Reciprocal))?;
        Some((source, Function::joined(Pair::Product, &dividend, &inverse)?))
    };
    let Some((source, function)) = quotient() else {
        return Err(node.unsupported("", "both sides depend on the network's input", "a constant divisor, or Mul"));
    };
    let shape = graph.tensor(source).shape.clone();
    let tensor = importer.builder.push(node.name(), Op::Table { function: Arc::new(function) }, vec![source], shape, Clamp::NONE);
    Ok(View { tensor, axes: a.axes })
}

/// Two values of one shape, or one of them a row of channels for the other.
fn of_values(importer: &mut Importer, node: OnnxNode<'_>, op: Op) -> Result<View, ImportError> {
    let (mut a, mut b) = (importer.value(&node, 0)?, importer.value(&node, 1)?);
    let builder = &mut importer.builder;
    let rank = a.axes.len().max(b.axes.len());
    // Missing axes stand in front, where the batch is.
    for (view, which) in [(&mut a, "a"), (&mut b, "b")] {
        let shape = builder.shape(view);
        if shape.len() < rank {
            let mut longer = vec![1; rank - shape.len()];
            longer.extend(shape);
            *view = builder.reshaped(&format!("{}.{which}", node.name()), view, &longer);
        }
    }
    let (shape_a, shape_b) = (builder.shape(&a), builder.shape(&b));
    if shape_a == shape_b {
        let right = builder.arranged(node.name(), &b, &a.axes);
        let stored = builder.graph.tensor(a.tensor).shape.clone();
        let tensor = builder.push(node.name(), op, vec![a.tensor, right], stored, Clamp::NONE);
        return Ok(View { tensor, axes: a.axes });
    }
    let unsupported = |nearest: &str| {
        let shapes = format!("{} of {shape_a:?} and {shape_b:?}", node.proto.op_type);
        Err(node.unsupported("", shapes, nearest))
    };
    let (shape, row, a_is_full) = match () {
        () if row_axis(&shape_b, &shape_a).is_some() => (shape_a.clone(), shape_b.clone(), true),
        () if row_axis(&shape_a, &shape_b).is_some() => (shape_b.clone(), shape_a.clone(), false),
        () => return unsupported("two inputs of one shape, or one of them [1, C, 1, 1]"),
    };
    if !a_is_full && op == Op::Sub {
        return unsupported("the larger input first");
    }
    let Some(axis) = row_axis(&row, &shape) else { return unsupported("two inputs of one shape") };
    let (full, row) = if a_is_full { (a, b) } else { (b, a) };
    let axes = innermost(&full.axes, axis);
    let left = builder.arranged(&format!("{}.full", node.name()), &full, &axes);
    let right = builder.arranged(&format!("{}.row", node.name()), &row, &axes);
    let stored = builder.graph.tensor(left).shape.clone();
    let tensor = builder.push(node.name(), op, vec![left, right], stored, Clamp::NONE);
    Ok(View { tensor, axes })
}

/// The one axis along which `row` has the size of `shape`, where it has size 1 along all others.
fn row_axis(row: &[usize], shape: &[usize]) -> Option<usize> {
    let long: Vec<usize> = (0..shape.len()).filter(|axis| row[*axis] != 1).collect();
    match long[..] {
        [axis] => (row[axis] == shape[axis]).then_some(axis),
        // A row of one value needs a tensor with an axis of one value.
        [] => (0..shape.len()).rev().find(|axis| shape[*axis] == 1 && *axis > 0),
        _ => None,
    }
}

/// The stored order in which ONNX axis `axis` comes last.
pub(super) fn innermost(axes: &[usize], axis: usize) -> Vec<usize> {
    let mut axes = axes.to_vec();
    let (moved, last) = (axes[axis], axes.len() - 1);
    if moved != last {
        axes.iter_mut().filter(|stored| **stored > moved).for_each(|stored| *stored -= 1);
        axes[axis] = last;
    }
    axes
}

/// A constant that differs only along one axis is a scale and an offset for each channel of that axis.
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
    let unsupported = || {
        let shapes = format!("a constant of shape {:?} with {shape:?}", constant.shape);
        node.unsupported("", shapes, "a constant with one value, or with one value for each channel")
    };
    if constant.shape.len() > rank {
        return Err(unsupported());
    }
    let mut constant_shape = vec![1; rank - constant.shape.len()];
    constant_shape.extend(&constant.shape);
    let long: Vec<usize> = (0..rank).filter(|axis| constant_shape[*axis] != 1).collect();
    let axis = match long[..] {
        [] => view.axes.iter().position(|stored| *stored == rank - 1).unwrap_or(rank - 1),
        [axis] if constant_shape[axis] == shape[axis] => axis,
        _ if long.len() > 1 && long.iter().all(|axis| constant_shape[*axis] == shape[*axis]) => {
            return by_element(importer, node, &view, &shape, Constant { shape: constant_shape, ..constant }, affine);
        }
        _ => return Err(unsupported()),
    };
    let builder = &mut importer.builder;
    let axes = innermost(&view.axes, axis);
    let tensor = builder.arranged(node.name(), &view, &axes);
    let channels = shape[axis];
    let constants = if constant.values.len() == 1 { vec![constant.values[0]; channels] } else { constant.values };
    let (scale, offset): (Vec<f32>, Vec<f32>) = constants.into_iter().map(affine).unzip();
    if !scale.iter().chain(&offset).all(|v| v.is_finite()) {
        return Err(node.invalid("the constant holds 0, or a number whose reciprocal is too large"));
    }
    let stored = builder.graph.tensor(tensor).shape.clone();
    let op = Op::ChannelAffine { scale: scale.into(), offset: offset.into() };
    let tensor = builder.push(node.name(), op, vec![tensor], stored, Clamp::NONE);
    Ok(View { tensor, axes })
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
        return Err(node.invalid("the constant holds 0, or a number whose reciprocal is too large"));
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
fn broadcast(constant: &Constant, shape: &[usize]) -> Vec<f32> {
    let mut order = vec![0];
    let mut stride: usize = constant.shape.iter().product();
    for (size, repeated) in constant.shape.iter().zip(shape) {
        stride /= size;
        let step = if *size == 1 { 0 } else { stride };
        order = order.iter().flat_map(|base| (0..*repeated).map(move |i| base + i * step)).collect();
    }
    order.into_iter().map(|element: usize| constant.values[element]).collect()
}
