//! Places in the arena: lifetimes from the execution order, offsets from the planner, both checked independently.

use apq_runtime::ALIGNMENT;
use apq_runtime::build::{ModelSpec, OperatorSpec, Region, scratch_bytes, scratch_bytes_min};

use super::LowerError;
use super::overlap::{Pieces, relations};
use crate::plan::{Buffer, Effort, Plan, checker, plan, step_needs};

/// Sets every tensor's and every scratch area's offset, and the size of the arena. A view's offset is taken relative to that of the tensor that it
/// shows, before and after.
///
/// `pieces`: how small the pieces are in which nodes may run to write over what they read; `None` where they may not.
pub(super) fn place(spec: &mut ModelSpec, effort: Effort, pieces: Option<Pieces>) -> Result<Plan, LowerError> {
    let (tensors, buffers, least) = buffers(spec, pieces.unwrap_or(Pieces::Coarse));
    let related = pieces.map_or_else(Vec::new, |pieces| relations(spec, &tensors, &buffers, pieces));
    let all: Vec<Buffer> = buffers.iter().copied().chain(scratch_buffers(&least)).collect();
    let mut buffers = buffers;
    let planned = plan(&all, &related, effort).map_err(|error| LowerError::Plan(error.to_string()))?;
    let mut offsets = planned.offsets[..tensors.len()].to_vec();
    for tensor in 0..spec.tensors.len() {
        if let Some(root) = spec.tensors[tensor].alias {
            spec.tensors[tensor].offset -= spec.tensors[root].offset;
        }
    }
    for (tensor, offset) in tensors.iter().zip(&offsets) {
        spec.tensors[*tensor].offset = *offset;
    }
    for tensor in 0..spec.tensors.len() {
        if let Some(root) = spec.tensors[tensor].alias {
            spec.tensors[tensor].offset += spec.tensors[root].offset;
        }
    }
    for node in (0..spec.nodes.len()).filter(|node| least[*node] > 0) {
        let (offset, free) = largest_gap(&buffers, &planned.offsets, node + 1, planned.arena_bytes);
        let bytes = scratch_bytes(spec, node).min(free).max(least[node]);
        let small = |v: usize| u32::try_from(v).map_err(|_| LowerError::TooLarge(spec.nodes[node].name.clone(), "working memory".into()));
        spec.nodes[node].scratch = Region { offset: small(offset)?, length: small(bytes)? };
        buffers.push(step_buffer(node, bytes));
        offsets.push(offset);
    }
    let related: Vec<(usize, usize)> = related.iter().map(|relation| (relation.over, relation.under)).collect();
    checker::check(&buffers, &related, &offsets, planned.arena_bytes).map_err(|fault| LowerError::Plan(fault.to_string()))?;
    spec.arena_bytes = planned.arena_bytes;
    Ok(planned)
}

/// The tensors that own memory, their buffers in the same order, and the least scratch memory of each node. Step 0 writes the input, node k runs at
/// step k + 1, the last step reads the output.
fn buffers(spec: &ModelSpec, pieces: Pieces) -> (Vec<usize>, Vec<Buffer>, Vec<usize>) {
    let end = spec.nodes.len() + 1;
    let root = |tensor: usize| spec.tensors[tensor].alias.unwrap_or(tensor);
    let mut first = vec![None; spec.tensors.len()];
    let mut last = vec![0; spec.tensors.len()];
    first[root(spec.input.tensor)] = Some(0);
    for (index, node) in spec.nodes.iter().enumerate() {
        first[root(node.output)].get_or_insert(index + 1);
        last[root(node.output)] = last[root(node.output)].max(index + 1);
        node.inputs.iter().for_each(|input| last[root(*input)] = last[root(*input)].max(index + 1));
    }
    last[root(spec.output.tensor)] = end;
    let mut buffers = Vec::new();
    let mut tensors = Vec::new();
    for (tensor, first) in first.iter().enumerate() {
        if let Some(first) = *first {
            tensors.push(tensor);
            buffers.push(Buffer { bytes: tensor_bytes(spec, tensor), align: ALIGNMENT, first, last: last[tensor] });
        }
    }
    let least = |node: usize| match pieces {
        // A depthwise layer is much faster in more, and takes little.
        Pieces::Coarse if is_depthwise(spec, node) => scratch_bytes(spec, node),
        _ => scratch_bytes_min(spec, node),
    };
    let least = (0..spec.nodes.len()).map(least).collect();
    (tensors, buffers, least)
}

/// Whether a node convolves each channel alone.
pub(super) fn is_depthwise(spec: &ModelSpec, node: usize) -> bool {
    let record = &spec.nodes[node];
    let channels = record.inputs.first().and_then(|input| spec.tensors[*input].shape.last().copied());
    matches!(&record.operator, OperatorSpec::Conv { groups, .. } if *groups > 1 && Some(*groups) == channels)
}

/// Kernels run in little working memory and faster in more: what they need decides the size of the arena, what is free besides they get.
fn scratch_buffers(least: &[usize]) -> impl Iterator<Item = Buffer> + '_ {
    least.iter().enumerate().filter(|(_, bytes)| **bytes > 0).map(|(node, bytes)| step_buffer(node, *bytes))
}

fn step_buffer(node: usize, bytes: usize) -> Buffer {
    Buffer { bytes, align: ALIGNMENT, first: node + 1, last: node + 1 }
}

/// Bytes that no plan can do without while a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) node: usize,
    pub(super) bytes: usize,
}

/// What nodes need, pieces being single rows; at least the node that needs most is among them.
pub(super) fn needs(spec: &ModelSpec) -> Vec<Need> {
    let (tensors, buffers, least) = buffers(spec, Pieces::Single);
    let related = relations(spec, &tensors, &buffers, Pieces::Single);
    let all: Vec<Buffer> = buffers.iter().copied().chain(scratch_buffers(&least)).collect();
    step_needs(&all, &related).into_iter().map(|(step, bytes)| Need { node: step.saturating_sub(1), bytes }).collect()
}

/// Start and length of the largest stretch of the arena that no tensor uses at `step`.
fn largest_gap(tensors: &[Buffer], offsets: &[usize], step: usize, arena_bytes: usize) -> (usize, usize) {
    let alive = |buffer: &Buffer| (buffer.first..=buffer.last).contains(&step);
    let mut used: Vec<(usize, usize)> =
        tensors.iter().zip(offsets).filter(|(b, _)| alive(b)).map(|(b, offset)| (*offset, offset + b.bytes)).collect();
    used.sort_unstable();
    used.push((arena_bytes, arena_bytes));
    let (mut best, mut end) = ((0, 0), 0);
    for (from, to) in used {
        let start = usize::next_multiple_of(end, ALIGNMENT);
        if from.saturating_sub(start) > best.1 {
            best = (start, from - start);
        }
        end = end.max(to);
    }
    best
}

/// Bytes of a tensor's packed codes.
pub(crate) fn tensor_bytes(spec: &ModelSpec, tensor: usize) -> usize {
    let tensor = &spec.tensors[tensor];
    packed_bytes(&tensor.shape, tensor.bits.bits() as usize)
}

/// Bytes of codes of that shape: each pixel's channels start at a byte, 6 bits take a byte.
pub(crate) fn packed_bytes(shape: &[usize], bits: usize) -> usize {
    let channels = shape.last().copied().unwrap_or(1);
    let pixels: usize = shape.iter().rev().skip(1).product();
    let pixel = match bits {
        2 | 4 => (channels * bits).div_ceil(8),
        16 => 2 * channels,
        _ => channels,
    };
    pixels * pixel
}
