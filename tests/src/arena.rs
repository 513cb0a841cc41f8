//! The memory plan, re-checked from the `.apq` file alone: every byte of the arena is stamped by whoever writes it, and every read must find its
//! own stamps. Shares no code with the planner, its checker, or the runtime's own check.

use std::ops::Range;

use apq_runtime::{ALIGNMENT, Model};

/// Who lies where, and who reads and writes whom.
struct Layout {
    arena_bytes: usize,
    /// Bytes of each tensor and the tensor that owns them.
    tensors: Vec<(Range<usize>, usize)>,
    steps: Vec<Step>,
    input: usize,
    output: usize,
}

/// One node.
struct Step {
    name: String,
    reads: Vec<usize>,
    writes: usize,
    scratch: Range<usize>,
}

/// Replays the model's writes and reads; the error says who read what somebody else had overwritten.
pub fn check(model: &Model<'_>) -> Result<(), String> {
    let (Some(input), Some(output)) = (model.input(), model.output()) else { return Err("no input or output".into()) };
    let place = |(index, tensor): (usize, apq_runtime::Tensor<'_>)| {
        let channels = tensor.shape.channels();
        let pixel = match tensor.bits.bits() {
            bits @ (2 | 4) => (channels * bits as usize).div_ceil(8),
            16 => 2 * channels,
            _ => channels,
        };
        let begin = tensor.offset as usize;
        (begin..begin + tensor.shape.pixels() * pixel, tensor.alias.map_or(index, usize::from))
    };
    let step = |node: apq_runtime::Node<'_>| Step {
        name: node.name.into(),
        reads: node.inputs.iter().map(|input| usize::from(*input)).collect(),
        writes: usize::from(node.output),
        scratch: node.scratch.offset as usize..(node.scratch.offset + node.scratch.length) as usize,
    };
    replay(&Layout {
        arena_bytes: model.arena_bytes(),
        tensors: model.tensors().enumerate().map(place).collect(),
        steps: model.nodes().map(step).collect(),
        input: usize::from(input.index),
        output: usize::from(output.index),
    })
}

fn replay(layout: &Layout) -> Result<(), String> {
    let mut arena: Vec<Option<usize>> = vec![None; layout.arena_bytes];
    let inside = |range: &Range<usize>| range.is_empty() || (range.start.is_multiple_of(ALIGNMENT) && range.end <= layout.arena_bytes);
    if let Some((range, _)) = layout.tensors.iter().find(|(range, _)| !inside(range)) {
        return Err(format!("a tensor lies at {range:?} of {} bytes", layout.arena_bytes));
    }
    let holds = |arena: &[Option<usize>], tensor: usize| -> Result<(), String> {
        let (range, owner) = &layout.tensors[tensor];
        let foreign = range.clone().find(|byte| arena[*byte] != Some(*owner));
        foreign.map_or(Ok(()), |byte| Err(format!("byte {byte} of tensor {tensor} belongs to {:?}", arena[byte])))
    };
    arena[layout.tensors[layout.input].0.clone()].fill(Some(layout.input));
    for step in &layout.steps {
        let fail = |problem: String| Err(format!("node \"{}\": {problem}", step.name));
        if !inside(&step.scratch) {
            return fail(format!("working memory at {:?}", step.scratch));
        }
        // Output and working memory are written while the inputs are still being read.
        let (written, owner) = &layout.tensors[step.writes];
        arena[step.scratch.clone()].fill(None);
        arena[written.clone()].fill(Some(step.writes));
        if *owner != step.writes || step.scratch.clone().any(|byte| written.contains(&byte)) {
            return fail(format!("writes a view, or its working memory {:?} and output {written:?} overlap", step.scratch));
        }
        for tensor in &step.reads {
            holds(&arena, *tensor).or_else(fail)?;
        }
    }
    holds(&arena, layout.output).map_err(|problem| format!("the output at the end: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 -> 1 -> 2, then 0 + 2 -> 3, 16 bytes each, at the given offsets.
    fn chain(offsets: [usize; 4], scratch: usize) -> Layout {
        let step = |name: &str, reads: &[usize], writes: usize| Step { name: name.into(), reads: reads.into(), writes, scratch: 0..0 };
        let mut steps = vec![step("a", &[0], 1), step("b", &[1], 2), step("sum", &[0, 2], 3)];
        steps[1].scratch = scratch..scratch + 16;
        let tensors = offsets.into_iter().enumerate().map(|(index, offset)| (offset..offset + 16, index)).collect();
        Layout { arena_bytes: 64, tensors, steps, input: 0, output: 3 }
    }

    #[test]
    fn a_good_plan_holds() {
        assert_eq!(replay(&chain([0, 16, 32, 16], 48)), Ok(()));
    }

    #[test]
    fn bad_plans_do_not() {
        let bad = [
            // A node overwrites its own input, or what a later node reads.
            chain([0, 0, 32, 16], 48),
            chain([0, 16, 0, 16], 48),
            // Working memory over an input, the output, or a tensor still needed.
            chain([0, 16, 32, 16], 16),
            chain([0, 16, 32, 16], 32),
            chain([0, 16, 32, 16], 0),
            // Misaligned, and outside.
            chain([0, 24, 40, 16], 48),
            chain([0, 16, 32, 64], 48),
        ];
        for (index, layout) in bad.iter().enumerate() {
            assert!(replay(layout).is_err(), "{index}");
        }
    }
}
