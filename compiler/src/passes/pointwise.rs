//! Operations that together are one function of one tensor become one table: `x * sigmoid(x)`, `x * clip(x + 3, 0, 6) / 6`, a scale before a tanh.
//! One table is one rounding instead of several, and cheaper than a product of two tensors.

use std::sync::Arc;

use super::{bypass, sole_producer};
use crate::graph::{Clamp, Function, Graph, Node, Op, Pair, TensorId};

/// A sum, difference or product of two functions of one tensor is a function of that tensor.
pub(super) fn join(graph: &mut Graph) -> usize {
    let mut applied = 0;
    for index in 0..graph.nodes.len() {
        let pair = match graph.nodes[index].op {
            Op::Add => Pair::Sum,
            Op::Sub => Pair::Difference,
            Op::Mul => Pair::Product,
            _ => continue,
        };
        let [a, b] = graph.nodes[index].inputs[..] else { continue };
        if graph.tensor(a).shape != graph.tensor(b).shape {
            continue;
        }
        // The sum of a tensor and itself is as good a sum as any.
        let Some((source, f, g)) = common_source(graph, a, b).filter(|(_, f, g)| !f.is_empty() || !g.is_empty()) else { continue };
        if let Some(function) = Function::joined(pair, &f, &g) {
            graph.nodes[index].op = Op::Table { function: Arc::new(function) };
            graph.nodes[index].inputs = vec![source];
            applied += 1;
        }
    }
    applied
}

/// The nearest tensor that two tensors are functions of, and these functions.
pub(crate) fn common_source(graph: &Graph, a: TensorId, b: TensorId) -> Option<(TensorId, Function, Function)> {
    let (left, right) = (chain(graph, a), chain(graph, b));
    left.into_iter().find_map(|(tensor, f)| Some((tensor, f, right.iter().find(|(other, _)| *other == tensor)?.1.clone())))
}

/// A tensor as a function of itself, and of each tensor that it is a function of.
fn chain(graph: &Graph, tensor: TensorId) -> Vec<(TensorId, Function)> {
    let mut chain = vec![(tensor, Function::identity())];
    let mut tensor = tensor;
    let mut function = Function::identity();
    // A quantizer that the model brings rounds between the functions.
    while graph.tensor(tensor).quantizer.is_none()
        && let Some(node) = graph.nodes.iter().find(|node| node.output == tensor)
        && let Some(longer) = function_of(node).and_then(|before| before.then(&function))
    {
        function = longer;
        tensor = node.inputs[0];
        chain.push((tensor, function.clone()));
    }
    chain
}

/// What a node computes, where that is a function of each value alone.
fn function_of(node: &Node) -> Option<Function> {
    let function = match &node.op {
        Op::Table { function } => function.as_ref().clone(),
        Op::Clamp => Function::identity(),
        Op::ChannelAffine { scale, offset } => {
            let uniform = |values: &[f32]| values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
            if !uniform(scale) || !uniform(offset) {
                return None;
            }
            Function::affine(*scale.first()?, *offset.first()?)
        }
        _ => return None,
    };
    function.then(&Function::clamp(node.clamp))
}

/// A table takes over the scale or table before it and the scale behind it, where nothing else reads what lies between.
pub(super) fn compose(graph: &mut Graph) -> usize {
    compose_where(graph, |before| !matches!(before, Op::Clamp))
}

/// A table takes over the clamp before it that no layer took.
pub(super) fn compose_clamps(graph: &mut Graph) -> usize {
    compose_where(graph, |_| true)
}

fn compose_where(graph: &mut Graph, takes: impl Fn(&Op) -> bool) -> usize {
    let mut applied = 0;
    let mut index = 0;
    while index < graph.nodes.len() {
        match composed(graph, index, &takes) {
            Some((before, function)) => {
                graph.nodes[index].op = Op::Table { function: Arc::new(function) };
                graph.nodes[index].clamp = Clamp::NONE;
                bypass(graph, before);
                applied += 1;
            }
            None => index += 1,
        }
    }
    applied
}

/// The node before node `index` and the function of both, where one of them is a table.
fn composed(graph: &Graph, index: usize, takes: impl Fn(&Op) -> bool) -> Option<(usize, Function)> {
    let node = &graph.nodes[index];
    let function = function_of(node)?;
    let before = sole_producer(graph, node.inputs[0])?;
    let producer = &graph.nodes[before.0];
    let table = |node: &Node| matches!(node.op, Op::Table { .. });
    // A clamp alone becomes a bound of the table before it.
    if !takes(&producer.op) || !(table(node) || (table(producer) && !matches!(node.op, Op::Clamp))) {
        return None;
    }
    Some((before.0, function_of(producer)?.then(&function)?))
}
