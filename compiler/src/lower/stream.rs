//! Streaming by rows: a stretch of the network runs strip after strip, so that the tensors inside it never exist whole.
//!
//! Each strip makes some rows of the stretch's output, and of every tensor inside it the rows that this takes. Rows that the next strip needs again are
//! kept and moved, not computed again: a tensor inside the stretch becomes one small tensor for each strip, whose first rows are copied from the
//! one before. The strips of a layer are nodes of their own that share the layer's weights; they read and write rows of whole tensors as views. Nothing of this
//! changes a result.

use std::collections::BTreeSet;
use std::ops::Range;

use apq_runtime::build::{ModelSpec, NodeSpec, OperatorSpec, Region, TensorSpec};

use super::arena::packed_bytes;
use super::overlap::Rows;

/// Most strips of one stretch. It keeps the file small, and the reading of shared weights below the limit of FORMAT.md.
pub(super) const STRIPS_MAX: usize = 48;

/// Most nodes of one stretch.
pub(super) const NODES_MAX: usize = 12;

/// A stretch of nodes and the rows of its output that each strip makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Nodes of the network without strips.
    pub(super) nodes: Range<usize>,
    /// Rows of the last node's output in one strip.
    pub(super) rows: usize,
}

/// A network with stretches in strips.
pub(super) struct Streamed {
    pub(super) spec: ModelSpec,
    /// For each node of the new network, the node of the old one that it is a part of; `None` for one that moves rows.
    pub(super) origin: Vec<Option<usize>>,
    /// Bytes that are moved, for each stretch.
    pub(super) moved_bytes: Vec<usize>,
}

/// Whether nodes can run in strips: image operators one behind the other whose tensors nothing outside sees but the last one's output.
pub(super) fn streams(spec: &ModelSpec, nodes: &Range<usize>) -> bool {
    if nodes.len() < 2 || nodes.len() > NODES_MAX || nodes.end > spec.nodes.len() {
        return false;
    }
    let shown: BTreeSet<usize> = spec.tensors.iter().filter_map(|tensor| tensor.alias).collect();
    let inside: BTreeSet<usize> = spec.nodes[nodes.start..nodes.end - 1].iter().map(|node| node.output).collect();
    let is_image = |tensor: usize| spec.tensors[tensor].shape.len() == 4;
    let whole = |node: usize| {
        let record = &spec.nodes[node];
        is_image(record.output) && is_image(record.inputs[0]) && rows(spec, node).is_some()
    };
    let sees = |node: &NodeSpec| node.inputs.iter().any(|input| inside.contains(input));
    let outside = spec.nodes.iter().enumerate().filter(|(index, _)| !nodes.contains(index));
    let used = |tensor: usize| spec.nodes[nodes.clone()].iter().any(|node| node.inputs.contains(&tensor));
    nodes.clone().all(|node| !spec.nodes[node].inputs.is_empty() && whole(node))
        && !inside.iter().any(|tensor| shown.contains(tensor) || *tensor == spec.output.tensor || !used(*tensor))
        && !outside.into_iter().any(|(_, node)| sees(node))
        // A row that is broadcast is read whole.
        && nodes.clone().all(|node| spec.nodes[node].inputs.iter().skip(1).all(|input| !inside.contains(input) || same_rows(spec, node, *input)))
}

fn same_rows(spec: &ModelSpec, node: usize, input: usize) -> bool {
    spec.tensors[input].shape == spec.tensors[spec.nodes[node].output].shape
}

/// Which rows a node reads for its own; an elementwise one reads the same.
fn rows(spec: &ModelSpec, node: usize) -> Option<Reads> {
    match &spec.nodes[node].operator {
        OperatorSpec::Add(_)
        | OperatorSpec::Mul(_)
        | OperatorSpec::Requantize(_)
        | OperatorSpec::Table { .. }
        | OperatorSpec::Prelu { .. } => same_rows(spec, node, spec.nodes[node].inputs[0]).then_some(Reads::Same),
        OperatorSpec::Conv { .. } | OperatorSpec::MaxPool(_) | OperatorSpec::AveragePool { .. } => Rows::of(spec, node).map(Reads::Window),
        _ => None,
    }
}

enum Reads {
    Same,
    Window(Rows),
}

impl Reads {
    fn of(&self, rows: &Range<usize>) -> Range<usize> {
        match self {
            Reads::Same => rows.clone(),
            Reads::Window(window) => window.read(rows),
        }
    }
}

/// The network with these stretches, which do not overlap, in strips. Tensors lie at 0 and views at their distance from that, as before the memory plan.
pub(super) fn stream(spec: &ModelSpec, stretches: &[Stretch]) -> Option<Streamed> {
    let mut result = Streamed { spec: ModelSpec { nodes: Vec::new(), ..spec.clone() }, origin: Vec::new(), moved_bytes: Vec::new() };
    let mut node = 0;
    while node < spec.nodes.len() {
        match stretches.iter().find(|stretch| stretch.nodes.start == node) {
            Some(stretch) => {
                let moved = Strips::new(spec, stretch)?.run(&mut result);
                result.moved_bytes.push(moved);
                node = stretch.nodes.end;
            }
            None => {
                result.spec.nodes.push(spec.nodes[node].clone());
                result.origin.push(Some(node));
                node += 1;
            }
        }
    }
    without_unused(&mut result.spec);
    Some(result)
}

/// Takes out the tensors that nothing reads or writes: they would need a place.
fn without_unused(spec: &mut ModelSpec) {
    let mut used: BTreeSet<usize> = spec.nodes.iter().flat_map(|node| node.inputs.iter().copied().chain([node.output])).collect();
    used.extend([spec.input.tensor, spec.output.tensor]);
    let shown: Vec<usize> = used.iter().filter_map(|tensor| spec.tensors[*tensor].alias).collect();
    used.extend(shown);
    let mut place = 0;
    let places: Vec<usize> = (0..spec.tensors.len())
        .map(|tensor| {
            let here = place;
            place += usize::from(used.contains(&tensor));
            here
        })
        .collect();
    let mut index = 0;
    spec.tensors.retain(|_| {
        index += 1;
        used.contains(&(index - 1))
    });
    spec.tensors.iter_mut().filter_map(|tensor| tensor.alias.as_mut()).for_each(|alias| *alias = places[*alias]);
    for node in &mut spec.nodes {
        node.output = places[node.output];
        node.inputs.iter_mut().for_each(|input| *input = places[*input]);
    }
    spec.input.tensor = places[spec.input.tensor];
    spec.output.tensor = places[spec.output.tensor];
}

/// What a strip has of a tensor inside the stretch.
#[derive(Clone)]
struct Part {
    tensor: usize,
    rows: Range<usize>,
}

struct Strips<'a> {
    spec: &'a ModelSpec,
    nodes: Range<usize>,
    rows: usize,
    reads: Vec<Reads>,
    /// Rows of each node's output that are made.
    made: Vec<usize>,
    parts: Vec<Option<Part>>,
}

impl<'a> Strips<'a> {
    fn new(spec: &'a ModelSpec, stretch: &Stretch) -> Option<Self> {
        let nodes = stretch.nodes.clone();
        let reads: Vec<Reads> = nodes.clone().map(|node| rows(spec, node)).collect::<Option<_>>()?;
        let made = vec![0; reads.len()];
        let parts = vec![None; reads.len()];
        Some(Strips { spec, nodes, rows: stretch.rows.max(1), reads, made, parts })
    }

    fn node(&self, index: usize) -> &'a NodeSpec {
        &self.spec.nodes[self.nodes.start + index]
    }

    fn height(&self, index: usize) -> usize {
        self.spec.tensors[self.node(index).output].shape[1]
    }

    /// The nodes of the stretch that read what node `index` writes.
    fn readers(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let output = self.node(index).output;
        (index + 1..self.reads.len()).filter(move |reader| self.node(*reader).inputs.contains(&output))
    }

    /// Appends all strips; returns the bytes that are moved.
    fn run(&mut self, to: &mut Streamed) -> usize {
        let last = self.reads.len() - 1;
        let mut moved = 0;
        while self.made[last] < self.height(last) {
            // From the last node backwards: how far each has to come in this strip, and the first row of its output that is still needed.
            let mut ends = self.made.clone();
            ends[last] = (self.made[last] + self.rows).min(self.height(last));
            let mut firsts = vec![0; ends.len()];
            for index in (0..last).rev() {
                let making = self.readers(index).filter(|reader| ends[*reader] > self.made[*reader]);
                let end = making.map(|reader| self.reads[reader].of(&(self.made[reader]..ends[reader])).end).max();
                ends[index] = end.unwrap_or(0).max(self.made[index]);
                let unfinished = self.readers(index).filter(|reader| self.made[*reader] < self.height(*reader));
                let first = unfinished.map(|reader| self.reads[reader].of(&(self.made[reader]..self.made[reader] + 1)).start).min();
                firsts[index] = first.unwrap_or(self.made[index]);
            }
            for index in 0..=last {
                if ends[index] > self.made[index] {
                    moved += self.strip(to, index, firsts[index], ends[index]);
                }
            }
        }
        moved
    }

    /// Makes rows of one node's output, up to `end`; those from `first` on that are there already are kept.
    fn strip(&mut self, to: &mut Streamed, index: usize, first: usize, end: usize) -> usize {
        let (node, last) = (self.node(index), self.reads.len() - 1);
        let rows = self.made[index].max(first.min(end))..end;
        let mut moved = 0;
        let output = if index == last {
            view(&mut to.spec, node.output, self.made[index]..end)
        } else {
            let kept = first.min(self.made[index])..self.made[index];
            let all = if kept.is_empty() { rows.clone() } else { kept.start..end };
            let tensor = part(&mut to.spec, &self.spec.tensors[node.output], all.len());
            if let (Some(before), false) = (&self.parts[index], kept.is_empty()) {
                let from = view(&mut to.spec, before.tensor, kept.start - before.rows.start..kept.end - before.rows.start);
                let head = view(&mut to.spec, tensor, 0..kept.len());
                moved = row_bytes(&to.spec, tensor) * kept.len();
                to.spec.nodes.push(NodeSpec {
                    name: node.name.clone(),
                    operator: OperatorSpec::Reshape,
                    inputs: vec![from],
                    output: head,
                    group: node.group,
                    clamp: None,
                    scratch: Region::default(),
                });
                to.origin.push(None);
            }
            self.parts[index] = Some(Part { tensor, rows: all.clone() });
            view(&mut to.spec, tensor, rows.start - all.start..end - all.start)
        };
        let rows = if index == last { self.made[index]..end } else { rows };
        let read = self.reads[index].of(&rows);
        let inputs = node.inputs.iter().enumerate().map(|(place, input)| {
            let producer = (0..index).find(|producer| self.node(*producer).output == *input);
            match producer.and_then(|producer| self.parts[producer].as_ref()) {
                Some(part) => view(&mut to.spec, part.tensor, read.start - part.rows.start..read.end - part.rows.start),
                None if place > 0 && !same_rows(self.spec, self.nodes.start + index, *input) => *input,
                None => view(&mut to.spec, *input, read.clone()),
            }
        });
        let inputs = inputs.collect();
        let operator = of_rows(&node.operator, &self.reads[index], &rows, &read);
        to.spec.nodes.push(NodeSpec { operator, inputs, output, ..node.clone() });
        to.origin.push(Some(self.nodes.start + index));
        self.made[index] = end;
        moved
    }
}

fn row_bytes(spec: &ModelSpec, tensor: usize) -> usize {
    let tensor = &spec.tensors[tensor];
    packed_bytes(&tensor.shape[2..], tensor.bits.bits() as usize)
}

/// A tensor like another one with fewer rows.
fn part(spec: &mut ModelSpec, like: &TensorSpec, rows: usize) -> usize {
    let mut shape = like.shape.clone();
    shape[1] = rows;
    spec.tensors.push(TensorSpec { name: String::new(), shape, offset: 0, alias: None, ..like.clone() });
    spec.tensors.len() - 1
}

/// Rows of a tensor; the tensor itself where those are all.
fn view(spec: &mut ModelSpec, of: usize, rows: Range<usize>) -> usize {
    let shown = spec.tensors[of].clone();
    if rows.len() == shown.shape[1] {
        return of;
    }
    let offset = shown.offset + rows.start * row_bytes(spec, of);
    let mut shape = shown.shape.clone();
    shape[1] = rows.len();
    let same = |tensor: &TensorSpec| tensor.alias == Some(shown.alias.unwrap_or(of)) && tensor.offset == offset && tensor.shape == shape;
    if let Some(there) = spec.tensors.iter().position(same) {
        return there;
    }
    spec.tensors.push(TensorSpec { name: String::new(), shape, offset, alias: Some(shown.alias.unwrap_or(of)), ..shown });
    spec.tensors.len() - 1
}

/// The operator for some rows of its output.
fn of_rows(operator: &OperatorSpec, reads: &Reads, rows: &Range<usize>, read: &Range<usize>) -> OperatorSpec {
    let Reads::Window(all) = reads else { return operator.clone() };
    let pad = u16::try_from(all.pad.saturating_sub(rows.start * all.stride)).unwrap_or(u16::MAX);
    let mut operator = operator.clone();
    match &mut operator {
        OperatorSpec::Conv { window, .. } | OperatorSpec::MaxPool(window) => window.pad[0] = pad,
        OperatorSpec::AveragePool { window, counted_end, .. } => {
            window.pad[0] = pad;
            // Counted positions end where they did.
            if let Some([bottom, _]) = counted_end {
                *bottom = u16::try_from(usize::from(*bottom) + all.inputs - read.end).unwrap_or(u16::MAX);
            }
        }
        _ => {}
    }
    operator
}
