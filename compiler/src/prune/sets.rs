//! Sets of channels that are pruned like one layer: classes that occur in the same tensors. Their importance, and the widths that a set may have.

use std::collections::BTreeMap;

use super::classes::{Classes, Kept, classes};
use crate::graph::{Graph, Node, NodeId, Op};

/// Widths change in steps of this many channels.
pub const STEP: usize = 8;

/// Sets with fewer channels stay as they are.
pub const WIDTH_MIN: usize = 16;

/// Channels that occur in the same tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSet {
    /// Name of the first layer that makes them.
    pub name: String,
    /// Layers that make them, in graph order.
    pub makers: Vec<NodeId>,
    /// Layers that read them and begin new channels, in graph order.
    pub readers: Vec<NodeId>,
    /// Their classes, the least important one first.
    pub classes: Vec<usize>,
    /// Why all of them stay; `None` where some may go.
    pub kept: Option<Kept>,
}

impl ChannelSet {
    /// Number of channels.
    pub fn width(&self) -> usize {
        self.classes.len()
    }

    /// Widths that the set may have, widest first, its own included.
    pub fn widths(&self) -> Vec<usize> {
        let width = self.width();
        if self.kept.is_some() {
            return vec![width];
        }
        std::iter::once(width).chain((1..width.div_ceil(STEP)).rev().map(|steps| steps * STEP)).collect()
    }
}

/// What can be pruned of a graph.
#[derive(Debug, Clone)]
pub struct Prunable {
    /// Classes of channels.
    pub classes: Classes,
    /// Sets that layers make, in graph order.
    pub sets: Vec<ChannelSet>,
}

impl Prunable {
    /// Finds the sets of a graph and ranks their channels.
    pub fn new(graph: &Graph) -> Prunable {
        let classes = classes(graph);
        let importance = importance(graph, &classes);
        let mut tensors_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (tensor, of_tensor) in classes.of_tensor.iter().enumerate() {
            of_tensor.iter().for_each(|class| tensors_of.entry(*class).or_default().push(tensor));
        }
        let mut members: BTreeMap<&[usize], Vec<usize>> = BTreeMap::new();
        tensors_of.iter().for_each(|(class, tensors)| members.entry(tensors).or_default().push(*class));
        let mut sets: Vec<ChannelSet> =
            members.into_iter().filter_map(|(tensors, members)| set(graph, &classes, tensors, members, &importance)).collect();
        sets.sort_by_key(|set| (set.makers.first().copied(), set.classes.iter().min().copied()));
        Prunable { classes, sets }
    }

    /// The classes that are gone where each set has the given width: the least important ones.
    pub fn gone(&self, widths: &[usize]) -> Vec<bool> {
        let mut gone = vec![false; self.classes.count];
        for (set, width) in self.sets.iter().zip(widths) {
            set.classes.iter().take(set.width().saturating_sub(*width)).for_each(|class| gone[*class] = true);
        }
        gone
    }

    /// The width of each set as it is.
    pub fn widths(&self) -> Vec<usize> {
        self.sets.iter().map(ChannelSet::width).collect()
    }
}

/// Whether a node makes channels that it does not read.
pub(super) fn begins_channels(node: &Node, inputs: usize) -> bool {
    match &node.op {
        Op::FullyConnected { .. } => true,
        Op::Conv { groups, .. } => *groups == 1 || *groups != inputs,
        _ => false,
    }
}

fn set(graph: &Graph, classes: &Classes, tensors: &[usize], mut members: Vec<usize>, importance: &[f64]) -> Option<ChannelSet> {
    let (mut makers, mut readers) = (Vec::new(), Vec::new());
    for (index, node) in graph.nodes.iter().enumerate() {
        let Some(input) = node.inputs.first().filter(|input| begins_channels(node, classes.of_tensor[input.0].len())) else { continue };
        if tensors.contains(&node.output.0) {
            makers.push(NodeId(index));
        }
        if tensors.contains(&input.0) {
            readers.push(NodeId(index));
        }
    }
    let name = graph.nodes.get(makers.first()?.0)?.name.clone();
    let kept = members.iter().find_map(|class| classes.kept.get(class).cloned());
    let kept = kept.or_else(|| (members.len() < WIDTH_MIN).then_some(Kept::Narrow));
    members.sort_by(|a, b| importance[*a].total_cmp(&importance[*b]).then(a.cmp(b)));
    Some(ChannelSet { name, makers, readers, classes: members, kept })
}

/// Sum over all layers of the L1 norm of the weights that would go with a class, in units of the layer's mean over its channels.
fn importance(graph: &Graph, classes: &Classes) -> Vec<f64> {
    let mut importance = vec![0.0; classes.count];
    let mut add = |classes: &[usize], norms: &[f64]| {
        let mean = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
        if mean > 0.0 {
            classes.iter().zip(norms).for_each(|(class, norm)| importance[*class] += norm / mean);
        }
    };
    for node in &graph.nodes {
        let (Some(weights), Some(input)) = (node.op.weights(), node.inputs.first()) else { continue };
        let (row_len, inputs) = (weights.row_len().max(1), &classes.of_tensor[input.0]);
        let rows: Vec<f64> = weights.values.chunks_exact(row_len).map(l1).collect();
        add(&classes.of_tensor[node.output.0], &rows);
        let dense = matches!(node.op, Op::FullyConnected { .. } | Op::Conv { groups: 1, .. });
        if dense && !inputs.is_empty() {
            let mut columns = vec![0.0; inputs.len()];
            for pixel in weights.values.chunks_exact(inputs.len()) {
                columns.iter_mut().zip(pixel).for_each(|(sum, w)| *sum += f64::from(w.abs()));
            }
            add(inputs, &columns);
        }
    }
    importance
}

fn l1(values: &[f32]) -> f64 {
    values.iter().map(|w| f64::from(w.abs())).sum()
}
