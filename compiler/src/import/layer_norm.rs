//! Layer normalisation written out: `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon)`, as exporters before opset 17 write it.
//!
//! What multiplies and adds behind it is a scale and an offset for each channel, which a pass takes up.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb;

use super::facts::Facts;

/// A normalisation that ends in a `Div`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WrittenOut {
    /// ONNX name of x.
    pub(super) input: String,
    pub(super) epsilon: f32,
}

/// Normalisations by the position of their last node, and the positions of the nodes that they take the place of.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ends: HashMap<usize, WrittenOut>,
    pub(super) inside: HashSet<usize>,
}

/// Looks for every normalisation whose inner values nothing else reads.
pub(super) fn find(onnx: &pb::GraphProto, facts: &Facts) -> Found {
    let search = Search { onnx, facts, makers: makers(onnx) };
    let mut found = Found::default();
    for (index, node) in onnx.node.iter().enumerate().filter(|(_, node)| node.op_type == "Div") {
        let mut inside = Vec::new();
        if let Some(norm) = search.ending_at(node, &mut inside)
            && search.closed(index, &inside)
        {
            found.ends.insert(index, norm);
            found.inside.extend(inside);
        }
    }
    found
}

fn makers(onnx: &pb::GraphProto) -> HashMap<&str, usize> {
    let nodes = onnx.node.iter().enumerate();
    nodes.flat_map(|(index, node)| node.output.iter().map(move |output| (output.as_str(), index))).collect()
}

struct Search<'a> {
    onnx: &'a pb::GraphProto,
    facts: &'a Facts,
    makers: HashMap<&'a str, usize>,
}

impl<'a> Search<'a> {
    fn ending_at(&self, div: &'a pb::NodeProto, inside: &mut Vec<usize>) -> Option<WrittenOut> {
        let [distance, deviation] = &div.input[..] else { return None };
        let input = self.distance(distance, inside)?;
        let root = self.made_by(deviation, "Sqrt", inside)?;
        let sum = self.made_by(root.input.first()?, "Add", inside)?;
        let (variance, epsilon) = match (self.number(sum.input.get(1)?), self.number(sum.input.first()?)) {
            (Some(epsilon), _) => (sum.input.first()?, epsilon),
            (None, Some(epsilon)) => (sum.input.get(1)?, epsilon),
            (None, None) => return None,
        };
        let squares = self.mean(variance, inside)?;
        let squared = match self.maker(squares)?.op_type.as_str() {
            "Pow" => {
                let pow = self.made_by(squares, "Pow", inside)?;
                (self.number(pow.input.get(1)?) == Some(2.0)).then_some(())?;
                pow.input.first()?
            }
            _ => {
                let product = self.made_by(squares, "Mul", inside)?;
                (product.input.first() == product.input.get(1)).then_some(())?;
                product.input.first()?
            }
        };
        // Some exporters subtract the mean twice.
        let same = squared == distance || self.distance(squared, inside)? == input;
        (same && epsilon >= 0.0).then(|| WrittenOut { input: input.clone(), epsilon })
    }

    /// x of `x - mean(x)`.
    fn distance(&self, name: &str, inside: &mut Vec<usize>) -> Option<&'a String> {
        let sub = self.made_by(name, "Sub", inside)?;
        let [x, mean] = &sub.input[..] else { return None };
        (self.mean(mean, inside)? == x).then_some(x)
    }

    /// The input of a mean over the last axis that keeps it.
    fn mean(&self, name: &str, inside: &mut Vec<usize>) -> Option<&'a String> {
        let mean = self.made_by(name, "ReduceMean", inside)?;
        let attribute = |name: &str| mean.attribute.iter().find(|a| a.name == name);
        let input = mean.input.first()?;
        let rank = self.facts.shape(input)?.len() as i64;
        let axes = match (attribute("axes"), mean.input.get(1)) {
            (Some(axes), _) => axes.ints.clone(),
            (None, Some(axes)) => self.facts.constant(axes).ok()??.values.iter().map(|axis| *axis as i64).collect(),
            (None, None) => return None,
        };
        let last = matches!(axes[..], [axis] if axis == -1 || axis == rank - 1);
        (last && attribute("keepdims").is_none_or(|keep| keep.i != 0)).then_some(input)
    }

    fn maker(&self, name: &str) -> Option<&'a pb::NodeProto> {
        self.onnx.node.get(*self.makers.get(name)?)
    }

    fn made_by(&self, name: &str, operator: &str, inside: &mut Vec<usize>) -> Option<&'a pb::NodeProto> {
        let index = *self.makers.get(name)?;
        let node = self.onnx.node.get(index).filter(|node| node.op_type == operator)?;
        inside.push(index);
        Some(node)
    }

    fn number(&self, name: &str) -> Option<f32> {
        match self.facts.constant(name).ok()??.values[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Nothing outside reads what the nodes inside make.
    fn closed(&self, end: usize, inside: &[usize]) -> bool {
        let outputs: HashSet<&str> =
            inside.iter().filter_map(|index| self.onnx.node.get(*index)).flat_map(|node| &node.output).map(String::as_str).collect();
        let outside = |index: usize| index != end && !inside.contains(&index);
        let read = |node: &pb::NodeProto| node.input.iter().any(|input| outputs.contains(input.as_str()));
        !self.onnx.node.iter().enumerate().any(|(index, node)| outside(index) && read(node))
            && !self.onnx.output.iter().any(|output| outputs.contains(output.name.as_str()))
    }
}
