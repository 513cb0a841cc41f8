//! Functions of each value alone: the activations that are no clamp, and a few more that cost the same.

use std::sync::Arc;

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use super::arithmetic::innermost;
use crate::graph::{Clamp, Function, Op, Unary};

/// The table of a function applied to input 0.
fn table(importer: &mut Importer, node: OnnxNode<'_>, unary: Unary) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    Ok(apply(importer, node, &view, Function::unary(unary)))
}

/// The value under a function.
pub(super) fn apply(importer: &mut Importer, node: OnnxNode<'_>, view: &View, function: Function) -> View {
    let shape = importer.builder.graph.tensor(view.tensor).shape.clone();
    let op = Op::Table { function: Arc::new(function) };
    let tensor = importer.builder.push(node.name(), op, vec![view.tensor], shape, Clamp::NONE);
    View { tensor, axes: view.axes.clone() }
}

/// A finite attribute.
fn parameter(node: OnnxNode<'_>, name: &str, default: f32) -> Result<f32, ImportError> {
    let value = node.float(name).unwrap_or(default);
    if value.is_finite() { Ok(value) } else { Err(node.invalid(format!("{name} is {value}"))) }
}

macro_rules! plain {
    ($($name:ident => $unary:expr;)*) => {
        $(pub(super) fn $name(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
            table(importer, node, $unary)
        })*
    };
}

plain! {
    abs => Unary::Abs;
    erf => Unary::Erf;
    exp => Unary::Exp;
    hard_swish => Unary::HardSwish;
    log => Unary::Log;
    mish => Unary::Mish;
    reciprocal => Unary::Reciprocal;
    sigmoid => Unary::Sigmoid;
    softplus => Unary::Softplus;
    softsign => Unary::Softsign;
    sqrt => Unary::Sqrt;
    tanh => Unary::Tanh;
}

pub(super) fn elu(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let alpha = parameter(node, "alpha", 1.0)?;
    table(importer, node, Unary::Elu(alpha))
}

pub(super) fn gelu(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let approximation = node.text("approximate").unwrap_or_default();
    match approximation.as_str() {
        "" | "none" => table(importer, node, Unary::Gelu),
        "tanh" => table(importer, node, Unary::GeluTanh),
        other => Err(node.unsupported("approximate", other, "none or tanh")),
    }
}

pub(super) fn hard_sigmoid(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let (alpha, beta) = (parameter(node, "alpha", 0.2)?, parameter(node, "beta", 0.5)?);
    table(importer, node, Unary::HardSigmoid { alpha, beta })
}

pub(super) fn leaky_relu(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let alpha = parameter(node, "alpha", 0.01)?;
    table(importer, node, Unary::LeakyRelu(alpha))
}

pub(super) fn neg(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    Ok(apply(importer, node, &view, Function::affine(-1.0, 0.0)))
}

/// A value to a constant power, or a positive constant to the power of a value.
pub(super) fn pow(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let unsupported =
        |what: &str| Err(node.unsupported("", what, "one value and one number: a number as exponent, or a positive one as base"));
    let exponential = match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, true) => return unsupported("base and exponent depend on the network's input"),
        (first, _) => !first,
    };
    let constant = node.weights(usize::from(!exponential), "a constant")?;
    let [number] = constant.values[..] else {
        return unsupported(&format!("a constant of shape {:?}", constant.shape));
    };
    let view = importer.value(&node, usize::from(exponential))?;
    if constant.shape.len() > view.axes.len() {
        return unsupported(&format!("a constant of shape {:?}", constant.shape));
    }
    let function = if !exponential {
        Function::unary(Unary::Power(number))
    } else if number > 0.0 {
        Function::affine(number.ln(), 0.0).then(&Function::unary(Unary::Exp)).unwrap_or_default()
    } else {
        return unsupported("a base that is not positive");
    };
    Ok(apply(importer, node, &view, function))
}

pub(super) fn selu(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let (alpha, gamma) = (parameter(node, "alpha", 1.673_263_2)?, parameter(node, "gamma", 1.050_701)?);
    table(importer, node, Unary::Selu { alpha, gamma })
}

/// Slopes are one for all channels, or one for each.
pub(super) fn prelu(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let slopes = node.weights(1, "constant slopes")?;
    if let [slope] = slopes.values[..] {
        return Ok(apply(importer, node, &view, Function::unary(Unary::LeakyRelu(slope))));
    }
    let shape = importer.builder.shape(&view);
    let lead = shape.len().saturating_sub(slopes.shape.len());
    let long: Vec<usize> = (0..slopes.shape.len()).filter(|axis| slopes.shape[*axis] != 1).collect();
    let axis = match long[..] {
        [axis] if slopes.shape.len() <= shape.len() && slopes.shape[axis] == shape[lead + axis] => lead + axis,
        _ => {
            let shapes = format!("slopes of shape {:?} for {shape:?}", slopes.shape);
            return Err(node.unsupported("slope", shapes, "one slope, or one for each channel"));
        }
    };
    let axes = innermost(&view.axes, axis);
    let builder = &mut importer.builder;
    let tensor = builder.arranged(node.name(), &view, &axes);
    let stored = builder.graph.tensor(tensor).shape.clone();
    let tensor = builder.push(node.name(), Op::Prelu { slopes: slopes.values.into() }, vec![tensor], stored, Clamp::NONE);
    Ok(View { tensor, axes })
}
