//! The memory plan, re-checked from the `.apq` file alone: every byte of the arena is stamped by whoever writes it, and every read must find its
//! own stamps. Shares no code with the planner, its checker, or the runtime's own check.

use std::ops::Range;

use apq_runtime::{ALIGNMENT, Model};

/// Writes a whole range for somebody.
fn stamp(arena: &mut [Option<u16>], range: Range<usize>, by: Option<u16>) {
    arena[range].fill(by);
}

/// Replays the model's writes and reads over an arena of owners; the error says who read what somebody else had overwritten.
pub fn check(model: &Model<'_>) -> Result<(), String> {
    let tensors: Vec<_> = model.tensors().collect();
    let range = |index: u16| -> Result<Range<usize>, String> {
        let tensor = &tensors[usize::from(index)];
        let channels = tensor.shape.channels();
        let pixel = match tensor.bits.bits() {
            bits @ (2 | 4) => (channels * bits as usize).div_ceil(8),
            16 => 2 * channels,
            _ => channels,
        };
        let begin = tensor.offset as usize;
        let range = begin..begin + tensor.shape.pixels() * pixel;
        if begin % ALIGNMENT != 0 || range.end > model.arena_bytes() {
            return Err(format!("tensor {index} \"{}\" lies at {range:?} of {} bytes", tensor.name, model.arena_bytes()));
        }
        Ok(range)
    };
    let root = |index: u16| tensors[usize::from(index)].alias.unwrap_or(index);
    let mut arena: Vec<Option<u16>> = vec![None; model.arena_bytes()];
    let (Some(input), Some(output)) = (model.input(), model.output()) else { return Err("no input or output".into()) };
    let holds = |arena: &[Option<u16>], index: u16| -> Result<(), String> {
        let range = range(index)?;
        match arena[range.clone()].iter().position(|owner| *owner != Some(root(index))) {
            None => Ok(()),
            Some(byte) => Err(format!("byte {} of tensor {index} belongs to {:?}", range.start + byte, arena[range.start + byte])),
        }
    };
    stamp(&mut arena, range(input.index)?, Some(input.index));
    for (index, node) in model.nodes().enumerate() {
        let fail = |problem: String| format!("node {index} \"{}\": {problem}", node.name);
        let written = range(node.output).map_err(fail)?;
        let scratch = node.scratch.offset as usize..(node.scratch.offset + node.scratch.length) as usize;
        if node.scratch.length > 0 {
            if scratch.start % ALIGNMENT != 0 || scratch.end > model.arena_bytes() {
                return Err(fail(format!("working memory at {scratch:?}")));
            }
            stamp(&mut arena, scratch.clone(), None);
        }
        // Output and working memory are written while the inputs are still being read.
        stamp(&mut arena, written.clone(), Some(node.output));
        if node.scratch.length > 0 && scratch.start < written.end && written.start < scratch.end {
            return Err(fail(format!("working memory {scratch:?} and output {written:?} overlap")));
        }
        for input in &node.inputs {
            holds(&arena, *input).map_err(|problem| fail(format!("reads an input that is not whole: {problem}")))?;
        }
    }
    holds(&arena, output.index).map_err(|problem| format!("the output is not whole at the end: {problem}"))
}
