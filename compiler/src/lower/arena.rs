//! Places in the arena: lifetimes from the execution order, offsets from the planner, both checked independently.

use apq_runtime::ALIGNMENT;
use apq_runtime::build::{ModelSpec, Region, scratch_bytes};

use super::LowerError;
use crate::plan::{Buffer, Effort, checker, plan};

/// Sets every tensor's and every scratch area's offset, and the size of the arena.
pub(super) fn place(spec: &mut ModelSpec, effort: Effort) -> Result<(), LowerError> {
    let end = spec.nodes.len() + 1;
    let root = |tensor: usize| spec.tensors[tensor].alias.unwrap_or(tensor);
    // Step 0 writes the input, node k runs at step k + 1, the last step reads the output.
    let mut first = vec![None; spec.tensors.len()];
    let mut last = vec![0; spec.tensors.len()];
    first[root(spec.input.tensor)] = Some(0);
    for (index, node) in spec.nodes.iter().enumerate() {
        first[root(node.output)].get_or_insert(index + 1);
        last[root(node.output)] = last[root(node.output)].max(index + 1);
        node.inputs.iter().for_each(|input| last[root(*input)] = last[root(*input)].max(index + 1));
    }
    last[root(spec.output.tensor)] = end;
    let scratch: Vec<usize> = (0..spec.nodes.len()).map(|node| scratch_bytes(spec, node)).collect();
    let mut buffers = Vec::new();
    let mut tensors = Vec::new();
    for (tensor, first) in first.iter().enumerate() {
        if let Some(first) = *first {
            tensors.push(tensor);
            buffers.push(Buffer { bytes: tensor_bytes(spec, tensor), align: ALIGNMENT, first, last: last[tensor] });
        }
    }
    let mut scratches = Vec::new();
    for (node, bytes) in scratch.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
        scratches.push(node);
        buffers.push(Buffer { bytes: *bytes, align: ALIGNMENT, first: node + 1, last: node + 1 });
    }
    let planned = plan(&buffers, effort).map_err(|error| LowerError::Plan(error.to_string()))?;
    checker::check(&buffers, &planned.offsets, planned.arena_bytes).map_err(|fault| LowerError::Plan(fault.to_string()))?;
    for (tensor, offset) in tensors.iter().zip(&planned.offsets) {
        spec.tensors[*tensor].offset = *offset;
    }
    for (node, offset) in scratches.iter().zip(&planned.offsets[tensors.len()..]) {
        let small = |v: usize| u32::try_from(v).map_err(|_| LowerError::TooLarge(spec.nodes[*node].name.clone(), "working memory".into()));
        spec.nodes[*node].scratch = Region { offset: small(*offset)?, length: small(scratch[*node])? };
    }
    for tensor in 0..spec.tensors.len() {
        if let Some(root) = spec.tensors[tensor].alias {
            spec.tensors[tensor].offset = spec.tensors[root].offset;
        }
    }
    spec.arena_bytes = planned.arena_bytes;
    Ok(())
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
