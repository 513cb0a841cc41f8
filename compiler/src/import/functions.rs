//! Chains of elementwise operators on one value, recognised as one function of it.
//!
//! Exporters write GELU, SiLU and their like as several operators: `0.5 x (1 + erf(x / sqrt 2))`. Whatever the spelling, such a chain is a function of a
//! single value, and one table. Nodes of a chain make no node of the graph until something else reads them: then the whole chain up to there does,
//! as a table, or as a scale and an offset where it is no more than that.

use super::error::ImportError;
use super::node::OnnxNode;
use super::operators::Importer;
use super::view::View;
use crate::graph::{Activation, Binary, Clamp, Expression, Op, Unary};

/// A value that is a function of another one.
#[derive(Debug, Clone)]
pub(super) struct Function {
    /// ONNX name of the value it is a function of.
    root: String,
    expression: Expression,
    /// The node that makes it.
    node: String,
}

/// Takes a node up into a chain; false where it is no elementwise operator on one value and numbers.
pub(super) fn extend(importer: &mut Importer, node: &OnnxNode<'_>) -> Result<bool, ImportError> {
    let Some((root, expression)) = chained(importer, node)? else { return Ok(false) };
    let Some(output) = node.proto.output.first() else { return Ok(false) };
    // Numbers of higher rank than the value would add axes.
    if node.facts.shape(output) != node.facts.shape(&root) {
        return Ok(false);
    }
    importer.functions.insert(output.clone(), Function { root, expression, node: node.name().into() });
    Ok(true)
}

fn chained(importer: &Importer, node: &OnnxNode<'_>) -> Result<Option<(String, Expression)>, ImportError> {
    let unary = |operation: Unary| -> Result<Option<(String, Expression)>, ImportError> {
        let Some((root, expression)) = operand(importer, node, 0)? else { return Ok(None) };
        Ok(expression.unary(operation).map(|expression| (root, expression)))
    };
    match node.proto.op_type.as_str() {
        "Neg" => unary(Unary::Neg),
        "Exp" => unary(Unary::Exp),
        "Sqrt" => unary(Unary::Sqrt),
        "Tanh" => unary(Unary::Tanh),
        "Sigmoid" => unary(Unary::Sigmoid),
        "Erf" => unary(Unary::Erf),
        "Add" => binary(importer, node, Binary::Add),
        "Sub" => binary(importer, node, Binary::Sub),
        "Mul" => binary(importer, node, Binary::Mul),
        "Div" => binary(importer, node, Binary::Div),
        "Pow" => binary(importer, node, Binary::Pow),
        "Gelu" => {
            let Some((root, x)) = operand(importer, node, 0)? else { return Ok(None) };
            let approximate = node.text("approximate").unwrap_or_default();
            let gelu = match approximate.as_str() {
                "" | "none" => gelu_erf(&x),
                "tanh" => gelu_tanh(&x),
                other => return Err(node.invalid(format!("approximate {other}"))),
            };
            Ok(gelu.map(|gelu| (root, gelu)))
        }
        _ => Ok(None),
    }
}

/// `0.5 x (1 + erf(x / sqrt 2))`
fn gelu_erf(x: &Expression) -> Option<Expression> {
    let erf = x.binary(Binary::Mul, &Expression::constant(std::f64::consts::FRAC_1_SQRT_2))?.unary(Unary::Erf)?;
    half_and_one_more(x, &erf)
}

/// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`
fn gelu_tanh(x: &Expression) -> Option<Expression> {
    let cube = x.binary(Binary::Mul, x)?.binary(Binary::Mul, x)?.binary(Binary::Mul, &Expression::constant(0.044715))?;
    let inner = x.binary(Binary::Add, &cube)?.binary(Binary::Mul, &Expression::constant((2.0 / std::f64::consts::PI).sqrt()))?;
    half_and_one_more(x, &inner.unary(Unary::Tanh)?)
}

/// `0.5 x (1 + y)`
fn half_and_one_more(x: &Expression, y: &Expression) -> Option<Expression> {
    let half = x.binary(Binary::Mul, &Expression::constant(0.5))?;
    half.binary(Binary::Mul, &y.binary(Binary::Add, &Expression::constant(1.0))?)
}

/// An operator on two values of one chain, or on a value and a number.
fn binary(importer: &Importer, node: &OnnxNode<'_>, operation: Binary) -> Result<Option<(String, Expression)>, ImportError> {
    let mut operands = Vec::new();
    for index in 0..2 {
        operands.push(match number(importer, node, index)? {
            Some(number) => (None, Expression::constant(number)),
            None => match operand(importer, node, index)? {
                Some((root, expression)) => (Some(root), expression),
                None => return Ok(None),
            },
        });
    }
    let root = match (&operands[0].0, &operands[1].0) {
        (Some(a), Some(b)) if a != b => return Ok(None),
        (Some(root), _) | (None, Some(root)) => root.clone(),
        (None, None) => return Ok(None),
    };
    Ok(operands[0].1.binary(operation, &operands[1].1).map(|expression| (root, expression)))
}

/// Input `index` where it is one number.
fn number(importer: &Importer, node: &OnnxNode<'_>, index: usize) -> Result<Option<f64>, ImportError> {
    if importer.is_value(node, index) {
        return Ok(None);
    }
    let constant = node.constant(index)?;
    Ok(constant.and_then(|constant| match constant.values[..] {
        [value] if value.is_finite() => Some(f64::from(value)),
        _ => None,
    }))
}

/// Input `index` as a function of some value: of itself where no chain makes it.
fn operand(importer: &Importer, node: &OnnxNode<'_>, index: usize) -> Result<Option<(String, Expression)>, ImportError> {
    let name = node.required_input(index)?;
    Ok(match importer.functions.get(name) {
        Some(function) => Some((function.root.clone(), function.expression.clone())),
        None if importer.values.contains_key(name) => Some((name.into(), Expression::identity())),
        None => None,
    })
}

/// The value `name`, with the node that makes it where it is the end of a chain; `None` where there is no such value.
pub(super) fn resolve(importer: &mut Importer, name: &str) -> Option<View> {
    if let Some(view) = importer.values.get(name) {
        return Some(view.clone());
    }
    let function = importer.functions.get(name)?.clone();
    let root = importer.values.get(&function.root)?.clone();
    let stored = importer.builder.graph.tensor(root.tensor).shape.clone();
    let channels = stored.last().copied().unwrap_or(1);
    let op = match function.expression.affine() {
        Some((scale, offset)) => {
            Op::ChannelAffine { scale: vec![scale as f32; channels].into(), offset: vec![offset as f32; channels].into() }
        }
        None => Op::Activation(Activation::Composed(function.expression.into())),
    };
    let tensor = importer.builder.push(&function.node, op, vec![root.tensor], stored, Clamp::NONE);
    let view = View { tensor, axes: root.axes };
    importer.values.insert(name.into(), view.clone());
    Some(view)
}
