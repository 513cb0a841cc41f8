//! The plan, checked by playing it: every byte of the arena is stamped by whoever writes it, and every read must find its own stamps. Nodes whose
//! output lies over what they read are played row by row or pixel by pixel. Shares no code with the planner.

use std::ops::Range;

use apq_runtime::build::{ModelSpec, NodeSpec, OperatorSpec, Window};
use thiserror::Error;

use super::arena::{packed_bytes, tensor_bytes};

/// A read that finds another tensor's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("node \"{node}\" reads byte {byte} of tensor {tensor}, which somebody else has overwritten")]
pub(super) struct Overwritten {
    node: String,
    tensor: usize,
    byte: usize,
}

/// One piece of a node: what it reads and what it writes.
struct Piece {
    reads: Vec<(usize, Range<usize>)>,
    writes: Range<usize>,
    /// Whether all is read before anything is written.
    buffered: bool,
}

/// Plays a model.
pub(super) fn replay(spec: &ModelSpec) -> Result<(), Overwritten> {
    let root = |tensor: usize| spec.tensors[tensor].alias.unwrap_or(tensor);
    let place = |tensor: usize| spec.tensors[tensor].offset..spec.tensors[tensor].offset + tensor_bytes(spec, tensor);
    let mut arena: Vec<Option<usize>> = vec![None; spec.arena_bytes];
    arena[place(spec.input.tensor)].fill(Some(root(spec.input.tensor)));
    for node in &spec.nodes {
        let output = place(node.output);
        let scratch = node.scratch.offset as usize..(node.scratch.offset + node.scratch.length) as usize;
        arena[scratch].fill(None);
        let before = arena[output.clone()].to_vec();
        let overlapping = node.inputs.iter().any(|input| place(*input).start.max(output.start) < place(*input).end.min(output.end));
        let mut pieces = if overlapping { pieces(spec, node) } else { vec![whole(spec, node)] };
        if play(spec, node, &pieces, &mut arena).is_err() {
            pieces.reverse();
            arena[output].copy_from_slice(&before);
            play(spec, node, &pieces, &mut arena)?;
        }
    }
    let output = spec.output.tensor;
    let foreign = place(output).find(|byte| arena[*byte] != Some(root(output)));
    foreign.map_or(Ok(()), |byte| Err(Overwritten { node: "output".into(), tensor: output, byte }))
}

/// Plays the pieces of a node in that order.
fn play(spec: &ModelSpec, node: &NodeSpec, pieces: &[Piece], arena: &mut [Option<usize>]) -> Result<(), Overwritten> {
    let root = |tensor: usize| spec.tensors[tensor].alias.unwrap_or(tensor);
    for piece in pieces {
        let read = |arena: &[Option<usize>]| {
            let foreign = |(tensor, range): &(usize, Range<usize>)| {
                let byte = range.clone().find(|byte| arena[*byte] != Some(root(*tensor)))?;
                Some(Overwritten { node: node.name.clone(), tensor: *tensor, byte })
            };
            piece.reads.iter().find_map(foreign).map_or(Ok(()), Err)
        };
        if piece.buffered {
            read(arena)?;
        }
        arena[piece.writes.clone()].fill(Some(root(node.output)));
        if !piece.buffered {
            read(arena)?;
        }
    }
    Ok(())
}

fn whole(spec: &ModelSpec, node: &NodeSpec) -> Piece {
    let place = |tensor: usize| spec.tensors[tensor].offset..spec.tensors[tensor].offset + tensor_bytes(spec, tensor);
    Piece { reads: node.inputs.iter().map(|input| (*input, place(*input))).collect(), writes: place(node.output), buffered: false }
}

/// The smallest pieces that run one after the other, upwards.
fn pieces(spec: &ModelSpec, node: &NodeSpec) -> Vec<Piece> {
    let output = &spec.tensors[node.output];
    // Shapes as [rows, columns, channels].
    let image = |tensor: usize| {
        let shape = &spec.tensors[tensor].shape;
        let side = |back: usize| shape.len().checked_sub(back).map_or(1, |axis| shape[axis]);
        [side(3), side(2), side(1)]
    };
    let row_bytes = |tensor: usize, columns: usize| packed_bytes(&[columns, image(tensor)[2]], spec.tensors[tensor].bits.bits() as usize);
    let window = match &node.operator {
        OperatorSpec::Conv { window, .. } | OperatorSpec::AveragePool { window, .. } | OperatorSpec::MaxPool(window) => *window,
        OperatorSpec::FullyConnected { .. } => return by_pixels(spec, node, false),
        OperatorSpec::Add(_)
        | OperatorSpec::Mul(_)
        | OperatorSpec::Requantize(_)
        | OperatorSpec::Table { .. }
        | OperatorSpec::Prelu { .. }
            if node.inputs.iter().all(|input| spec.tensors[*input].shape == output.shape) =>
        {
            return by_pixels(spec, node, true);
        }
        OperatorSpec::Reshape if spec.tensors[node.inputs[0]].shape.last() == output.shape.last() => {
            return vec![Piece { buffered: true, ..whole(spec, node) }];
        }
        _ => return vec![whole(spec, node)],
    };
    let input = node.inputs[0];
    let ([inputs, columns, _], [outputs, width, _]) = (image(input), image(node.output));
    let (from, to) = (row_bytes(input, columns), row_bytes(node.output, width));
    let piece = |row: usize| {
        let rows = taps(&window, row, inputs);
        let begin = spec.tensors[input].offset;
        let reads = rows.map(|(first, last)| (input, begin + first * from..begin + (last + 1) * from)).into_iter().collect();
        Piece { reads, writes: output.offset + row * to..output.offset + (row + 1) * to, buffered: false }
    };
    (0..outputs).map(piece).collect()
}

/// First and last row of the input under a row of windows.
fn taps(window: &Window, row: usize, inputs: usize) -> Option<(usize, usize)> {
    let at = |tap: u16| row * usize::from(window.stride[0]) + usize::from(tap) * usize::from(window.dilation[0]);
    let rows = || (0..window.kernel[0]).filter_map(|tap| at(tap).checked_sub(usize::from(window.pad[0]))).filter(|row| *row < inputs);
    Some((rows().min()?, rows().max()?))
}

fn by_pixels(spec: &ModelSpec, node: &NodeSpec, buffered: bool) -> Vec<Piece> {
    let pixel = |tensor: usize, index: usize| {
        let record = &spec.tensors[tensor];
        let bytes = packed_bytes(&record.shape[record.shape.len() - 1..], record.bits.bits() as usize);
        record.offset + index * bytes..record.offset + (index + 1) * bytes
    };
    let pixels: usize = spec.tensors[node.output].shape.iter().rev().skip(1).product();
    let piece = |index: usize| Piece {
        reads: node.inputs.iter().map(|input| (*input, pixel(*input, index))).collect(),
        writes: pixel(node.output, index),
        buffered,
    };
    (0..pixels).map(piece).collect()
}
