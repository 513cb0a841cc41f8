//! Which tensors may lie over each other: the output of a node over what the node reads, where it can run piece by piece (FORMAT.md, "Outputs over
//! inputs"), and tensors that are written in parts over those that are read in parts.

use apq_runtime::build::{ModelSpec, OperatorSpec};

use super::arena::{is_depthwise, packed_bytes, tensor_bytes};
use crate::plan::{Buffer, Relation};

/// How many rows run together at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pieces {
    /// So many that calls of kernels cost next to nothing: [`PIXELS_MIN`] pixels, and rows enough that few of the input are read by two pieces.
    Coarse,
    /// One.
    Single,
}

/// Output pixels of a coarse piece.
const PIXELS_MIN: usize = 64;

/// A part of a tensor that one node reads or writes.
#[derive(Clone, Copy)]
struct Access {
    /// When: nodes run at 1 and so on, the input is written at 0, the output is read at the end.
    step: usize,
    /// Place among the node's inputs.
    place: usize,
    begin: i64,
    end: i64,
}

/// What nodes do with one tensor and its views.
#[derive(Default)]
struct Accesses {
    reads: Vec<Access>,
    writes: Vec<Access>,
}

/// Relations between the tensors `roots`, which are the first buffers, in this order.
pub(super) fn relations(spec: &ModelSpec, roots: &[usize], buffers: &[Buffer], pieces: Pieces) -> Vec<Relation> {
    let accesses = accesses(spec);
    let mut relations = Vec::new();
    for over in 0..roots.len() {
        for under in 0..over {
            let [a, b] = [buffers[over], buffers[under]];
            if a.first > b.last || b.first > a.last {
                continue;
            }
            let [one, other] = [&accesses[roots[over]], &accesses[roots[under]]];
            let mut intervals = destroyed(spec, one, other, pieces);
            intervals.extend(destroyed(spec, other, one, pieces).into_iter().map(|(from, to)| (-to, -from)));
            let forbidden = merged(intervals);
            if forbidden != [(-(a.bytes as i64), b.bytes as i64)] {
                relations.push(Relation { over, under, forbidden });
            }
        }
    }
    relations
}

fn accesses(spec: &ModelSpec) -> Vec<Accesses> {
    let mut all: Vec<Accesses> = spec.tensors.iter().map(|_| Accesses::default()).collect();
    let access = |tensor: usize, step: usize, place: usize| {
        let root = spec.tensors[tensor].alias.unwrap_or(tensor);
        let begin = (spec.tensors[tensor].offset - spec.tensors[root].offset) as i64;
        (root, Access { step, place, begin, end: begin + tensor_bytes(spec, tensor) as i64 })
    };
    let (root, write) = access(spec.input.tensor, 0, 0);
    all[root].writes.push(write);
    for (index, node) in spec.nodes.iter().enumerate() {
        for (place, input) in node.inputs.iter().enumerate() {
            let (root, read) = access(*input, index + 1, place);
            all[root].reads.push(read);
        }
        let (root, write) = access(node.output, index + 1, 0);
        all[root].writes.push(write);
    }
    let (root, read) = access(spec.output.tensor, spec.nodes.len() + 1, 0);
    all[root].reads.push(read);
    all
}

/// Differences between the first bytes of two tensors at which a write to the one would destroy what is in the other and still to be read.
fn destroyed(spec: &ModelSpec, written: &Accesses, read: &Accesses, pieces: Pieces) -> Vec<(i64, i64)> {
    let mut intervals = Vec::new();
    for write in &written.writes {
        for read_again in read.reads.iter().filter(|read| read.step == write.step) {
            let apart = (write.begin - write.end, read_again.end - read_again.begin);
            let own = within(spec, write.step - 1, read_again.place, pieces);
            let shift = read_again.begin - write.begin;
            intervals.extend(own.as_deref().unwrap_or(&[apart]).iter().map(|&(from, to)| (from + shift, to + shift)));
        }
        // The runtime's proof counts everything from the first to the last byte that is needed later.
        let there = read.writes.iter().filter(|there| there.step < write.step).map(|there| there.end).max();
        let later = || read.reads.iter().filter(|read| read.step > write.step);
        let (begin, end) = (later().map(|read| read.begin).min(), later().map(|read| read.end).max());
        if let (Some(there), Some(begin), Some(end)) = (there, begin, end) {
            let end = end.min(there);
            if begin < end {
                intervals.push((begin - write.end, end - write.begin));
            }
        }
    }
    intervals
}

/// The union of open intervals.
fn merged(mut intervals: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    intervals.retain(|(from, to)| from < to);
    intervals.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (from, to) in intervals {
        match merged.last_mut() {
            // Open intervals that only touch leave the point between them.
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// The same for one node and one of its inputs; `None` where they must lie apart.
fn within(spec: &ModelSpec, node: usize, place: usize, pieces: Pieces) -> Option<Vec<(i64, i64)>> {
    let record = &spec.nodes[node];
    let (input, output) = (record.inputs[place], record.output);
    let (from, to) = (tensor_bytes(spec, input) as i64, tensor_bytes(spec, output) as i64);
    let same_shape = record.inputs.iter().all(|input| spec.tensors[*input].shape == spec.tensors[output].shape);
    match &record.operator {
        OperatorSpec::Requantize(_) | OperatorSpec::Table { .. } | OperatorSpec::Prelu { .. } => {
            // Upwards: begins and ends no later. Downwards: no earlier.
            Some(vec![((from - to).min(0), (from - to).max(0))])
        }
        OperatorSpec::Add(_) | OperatorSpec::Mul(_) if same_shape && from == to => {
            // Whatever order the other input needs, on the very same bytes either is right.
            Some(vec![(-to, 0), (0, from)])
        }
        OperatorSpec::Reshape if spec.tensors[input].shape.last() == spec.tensors[output].shape.last() => Some(Vec::new()),
        OperatorSpec::Conv { .. } | OperatorSpec::FullyConnected { .. } | OperatorSpec::AveragePool { .. } | OperatorSpec::MaxPool(_) => {
            let rows = Rows::of(spec, node)?;
            let together = match pieces {
                Pieces::Single => 1,
                // A depthwise layer prepares each channel anew for every piece.
                Pieces::Coarse if is_depthwise(spec, node) => PIXELS_MIN.div_ceil(rows.width).max(rows.outputs.div_ceil(2)),
                Pieces::Coarse => PIXELS_MIN.div_ceil(rows.width).max(2 * rows.span.saturating_sub(rows.stride)),
            };
            rows.apart(together)
        }
        _ => None,
    }
}

/// The rows of a node that runs by rows.
pub(super) struct Rows {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Rows from the first tap to the last, both counted.
    pub(super) span: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
    width: usize,
    input_bytes: usize,
    output_bytes: usize,
}

impl Rows {
    /// `None` for other nodes.
    pub(super) fn of(spec: &ModelSpec, node: usize) -> Option<Rows> {
        let record = &spec.nodes[node];
        let (input, output) = (&spec.tensors[*record.inputs.first()?], &spec.tensors[record.output]);
        // Rows and columns; missing axes in front are 1.
        let sides = |shape: &[usize]| -> (usize, usize) {
            let side = |back: usize| shape.len().checked_sub(back).map_or(1, |axis| shape[axis]);
            (side(3), side(2))
        };
        let ((inputs, input_width), (outputs, width)) = (sides(&input.shape), sides(&output.shape));
        let row = |tensor: &apq_runtime::build::TensorSpec, width: usize| {
            packed_bytes(&[width, tensor.shape.last().copied().unwrap_or(1)], tensor.bits.bits() as usize)
        };
        let window = match &record.operator {
            OperatorSpec::Conv { window, .. } | OperatorSpec::AveragePool { window, .. } | OperatorSpec::MaxPool(window) => window,
            OperatorSpec::FullyConnected { .. } => {
                let vectors = output.shape.iter().rev().skip(1).product();
                let (input_bytes, output_bytes) = (row(input, 1), row(output, 1));
                return Some(Rows { inputs: vectors, outputs: vectors, span: 1, stride: 1, pad: 0, width: 1, input_bytes, output_bytes });
            }
            _ => return None,
        };
        let [kernel, stride, dilation, pad] = [window.kernel, window.stride, window.dilation, window.pad].map(|pair| usize::from(pair[0]));
        let span = kernel.checked_sub(1)? * dilation + 1;
        let (input_bytes, output_bytes) = (row(input, input_width), row(output, width));
        let reads_input = pad < span && outputs.checked_sub(1)? * stride < inputs + pad;
        reads_input.then_some(Rows { inputs, outputs, span, stride, pad, width, input_bytes, output_bytes })
    }

    /// Rows of the input that these rows of the output read.
    pub(super) fn read(&self, rows: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let first = (rows.start * self.stride).saturating_sub(self.pad);
        first..((rows.end - 1) * self.stride + self.span - self.pad).min(self.inputs)
    }

    /// Differences of offsets at which pieces of that many rows cannot run one after the other.
    fn apart(&self, together: usize) -> Option<Vec<(i64, i64)>> {
        let bytes = |rows: usize, bytes: usize| (rows * bytes) as i64;
        let upwards = |row: usize| {
            let piece = row..(row + together).min(self.outputs);
            bytes(self.read(&piece).start, self.input_bytes) - bytes(piece.end, self.output_bytes)
        };
        let downwards = |end: usize| {
            let piece = end.saturating_sub(together)..end;
            bytes(self.read(&piece).end, self.input_bytes) - bytes(piece.start, self.output_bytes)
        };
        let below = (0..self.outputs).map(upwards).min()?;
        let above = (1..=self.outputs).map(downwards).max()?;
        Some(vec![(below, above)])
    }
}
