//! Which channels can only go together.
//!
//! Every tensor has a class for each position of its innermost axis; positions of one class, in whatever tensors, stay or go at once. A convolution or a
//! fully connected layer begins new classes; sums and products tie those of their operands; operators on each channel alone hand them on; slices,
//! concatenations, padding and reshapes rearrange them. What an operator does with channels that is not understood keeps them all.

use std::collections::BTreeMap;
use std::fmt;

use crate::graph::{Graph, Node, Op, TensorId};

/// Why channels must stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// They are the network's input.
    Input,
    /// They reach the network's output.
    Output,
    /// An operator mixes channels in a way that does not survive the loss of some.
    Operator {
        /// Its node.
        node: String,
        /// What it does.
        does: &'static str,
    },
    /// There are too few of them.
    Narrow,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Input => f.write_str("the network's input"),
            Kept::Output => f.write_str("reaches the network's output"),
            Kept::Operator { node, does } => write!(f, "node \"{node}\" {does}"),
            Kept::Narrow => write!(f, "narrower than {} channels", super::sets::WIDTH_MIN),
        }
    }
}

/// Classes of the channels of all tensors.
#[derive(Debug, Clone)]
pub struct Classes {
    /// For each tensor, the class of each position of its innermost axis. Classes are below [`Classes::count`].
    pub of_tensor: Vec<Vec<usize>>,
    /// Why a class must stay, for those that must.
    pub kept: BTreeMap<usize, Kept>,
    /// Number of classes, numbers that are not in use included.
    pub count: usize,
}

/// Finds the classes of a graph.
pub fn classes(graph: &Graph) -> Classes {
    let mut builder = Builder { parents: Vec::new(), kept: Vec::new(), of_tensor: vec![Vec::new(); graph.tensors.len()] };
    for (index, tensor) in graph.tensors.iter().enumerate() {
        if index == graph.input.0 {
            builder.of_tensor[index] = builder.kept_classes(tensor.channels(), &Kept::Input);
        } else if tensor.constant.is_some() {
            builder.of_tensor[index] = builder.fresh(tensor.channels());
        }
    }
    for node in &graph.nodes {
        builder.of_tensor[node.output.0] = builder.after(graph, node);
    }
    for class in builder.of_tensor[graph.output.0].clone() {
        builder.keep(class, &Kept::Output);
    }
    builder.finish()
}

/// Disjoint sets whose roots are their smallest members.
struct Builder {
    parents: Vec<usize>,
    kept: Vec<Option<Kept>>,
    of_tensor: Vec<Vec<usize>>,
}

impl Builder {
    fn fresh(&mut self, count: usize) -> Vec<usize> {
        let first = self.parents.len();
        self.parents.extend(first..first + count);
        self.kept.resize(first + count, None);
        (first..first + count).collect()
    }

    fn kept_classes(&mut self, count: usize, why: &Kept) -> Vec<usize> {
        let fresh = self.fresh(count);
        fresh.iter().for_each(|class| self.keep(*class, why));
        fresh
    }

    fn find(&mut self, mut class: usize) -> usize {
        while self.parents[class] != class {
            self.parents[class] = self.parents[self.parents[class]];
            class = self.parents[class];
        }
        class
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        let (root, other) = (a.min(b), a.max(b));
        if root != other {
            self.parents[other] = root;
            let why = self.kept[other].take();
            if self.kept[root].is_none() {
                self.kept[root] = why;
            }
        }
    }

    fn keep(&mut self, class: usize, why: &Kept) {
        let root = self.find(class);
        self.kept[root].get_or_insert_with(|| why.clone());
    }

    fn input(&self, node: &Node, place: usize) -> Vec<usize> {
        node.inputs.get(place).map(|id| self.of_tensor[id.0].clone()).unwrap_or_default()
    }

    /// Keeps all inputs of a node, and what it makes.
    fn opaque(&mut self, graph: &Graph, node: &Node, does: &'static str) -> Vec<usize> {
        let why = Kept::Operator { node: node.name.clone(), does };
        let inputs: Vec<usize> = node.inputs.iter().flat_map(|id| self.of_tensor[id.0].clone()).collect();
        inputs.into_iter().for_each(|class| self.keep(class, &why));
        self.kept_classes(graph.tensor(node.output).channels(), &why)
    }

    /// The classes of what a node makes.
    fn after(&mut self, graph: &Graph, node: &Node) -> Vec<usize> {
        let first = self.input(node, 0);
        match &node.op {
            Op::Conv { weights, groups: 1, .. } | Op::FullyConnected { weights } => self.fresh(weights.outputs()),
            Op::Conv { weights, groups, .. } if *groups == first.len() => {
                let multiplier = weights.outputs() / groups;
                first.iter().flat_map(|class| std::iter::repeat_n(*class, multiplier)).collect()
            }
            Op::Conv { .. } => self.opaque(graph, node, "is a convolution in groups of several channels"),
            Op::Add | Op::Sub | Op::Mul => {
                let second = self.input(node, 1);
                first.iter().zip(&second).for_each(|(a, b)| self.join(*a, *b));
                first
            }
            Op::Table { .. }
            | Op::ChannelAffine { .. }
            | Op::MaxPool { .. }
            | Op::AveragePool { .. }
            | Op::Resize { .. }
            | Op::Prelu { .. }
            | Op::Clamp => first,
            Op::Pad { pads, .. } => {
                let (before, after) = pads.last().copied().unwrap_or_default();
                [self.fresh(before), first, self.fresh(after)].concat()
            }
            Op::Slice { begin, step } => {
                let (begin, step) = (begin.last().copied().unwrap_or(0), step.last().copied().unwrap_or(1));
                if step > 1 {
                    let why = Kept::Operator { node: node.name.clone(), does: "takes every other channel" };
                    first.iter().for_each(|class| self.keep(*class, &why));
                }
                first.into_iter().skip(begin).step_by(step.max(1)).take(graph.tensor(node.output).channels()).collect()
            }
            Op::Concat { axis } => self.concatenated(graph, node, *axis),
            Op::Transpose { perm } if perm.last().is_some_and(|last| last + 1 == perm.len()) => first,
            Op::Transpose { .. } => self.opaque(graph, node, "moves channels to another axis"),
            Op::Reshape => self.reshaped(graph, node, first),
            Op::Softmax => self.opaque(graph, node, "is a softmax over the channels"),
            Op::MatMul { .. } => self.opaque(graph, node, "multiplies two activations"),
            Op::LayerNorm { .. } => self.opaque(graph, node, "normalises over the channels"),
        }
    }

    fn concatenated(&mut self, graph: &Graph, node: &Node, axis: usize) -> Vec<usize> {
        let inputs: Vec<Vec<usize>> = (0..node.inputs.len()).map(|place| self.input(node, place)).collect();
        if axis + 1 == graph.tensor(node.output).shape.len() {
            return inputs.concat();
        }
        let first = inputs.first().cloned().unwrap_or_default();
        for other in inputs.iter().skip(1) {
            first.iter().zip(other).for_each(|(a, b)| self.join(*a, *b));
        }
        first
    }

    /// Channels stay channels where one innermost axis is a whole number of the other: position `p` of the longer axis is channel `p mod` the shorter one.
    fn reshaped(&mut self, graph: &Graph, node: &Node, first: Vec<usize>) -> Vec<usize> {
        let (before, after) = (first.len(), graph.tensor(node.output).channels());
        if before == 0 || after == 0 || !after.is_multiple_of(before) && !before.is_multiple_of(after) {
            return self.opaque(graph, node, "regroups the channels");
        }
        for (place, class) in first.iter().enumerate().skip(after) {
            self.join(first[place % after], *class);
        }
        (0..after).map(|place| first[place % before]).collect()
    }

    fn finish(mut self) -> Classes {
        let count = self.parents.len();
        let of_tensor = std::mem::take(&mut self.of_tensor);
        let of_tensor = of_tensor.into_iter().map(|classes| classes.into_iter().map(|class| self.find(class)).collect()).collect();
        let kept = self.kept.iter().enumerate().filter_map(|(class, why)| Some((class, why.clone()?))).collect();
        Classes { of_tensor, kept, count }
    }
}

impl Classes {
    /// Positions of a tensor's innermost axis that are left where `gone` says which classes are gone.
    pub fn left(&self, tensor: TensorId, gone: &[bool]) -> Vec<usize> {
        let is_left = |(_, class): &(usize, &usize)| !gone.get(**class).copied().unwrap_or(false);
        self.of_tensor[tensor.0].iter().enumerate().filter(is_left).map(|(place, _)| place).collect()
    }
}
