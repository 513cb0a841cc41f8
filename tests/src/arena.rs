//! The memory plan, re-checked from the `.apq` file alone: every byte of the arena is stamped by whoever writes it, and every read must find its
//! own stamps. A node whose output lies over what it reads is played line by line, upwards and, where that fails, downwards. Shares no code with the
//! planner, its checker, or the runtime's own check.

use std::ops::Range;

use apq_runtime::{ALIGNMENT, Model, Node, Operator, Tensor};

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
    lines: Lines,
}

/// How a node may be divided.
enum Lines {
    /// Not at all.
    None,
    /// Line k of the output is made from line k of each input, which are read first; all have so many lines.
    Equal(usize),
    /// Line k of `to` is made from those lines of `from` that it names, while they are being read.
    Windows { from: usize, to: Vec<Range<usize>> },
    /// All is read before anything is written.
    Copy,
}

fn lines(model: &Model<'_>, node: &Node<'_>) -> Lines {
    let shape = |tensor: u16| -> Vec<usize> { model.tensor(tensor).map_or_else(Vec::new, |tensor| tensor.shape.sizes().collect()) };
    let (Some(&first), output) = (node.inputs.first(), shape(node.output)) else { return Lines::None };
    let input = shape(first);
    let pixels = |shape: &[usize]| shape.iter().rev().skip(1).product::<usize>();
    let height = |shape: &[usize]| if shape.len() >= 3 { shape[shape.len() - 3] } else { 1 };
    let window = match &node.operator {
        Operator::Conv(conv) => conv.window,
        Operator::AveragePool(pool) => pool.window,
        Operator::MaxPool(window) => *window,
        Operator::FullyConnected(_) => {
            return Lines::Windows { from: pixels(&input), to: (0..pixels(&output)).map(|row| row..row + 1).collect() };
        }
        Operator::Add(_) | Operator::Mul(_) | Operator::Requantize(_) | Operator::Table { .. } | Operator::Prelu(_) => {
            let alike = node.inputs.iter().all(|tensor| shape(*tensor) == output);
            return if alike { Lines::Equal(pixels(&output)) } else { Lines::None };
        }
        Operator::Reshape if input.last() == output.last() => return Lines::Copy,
        _ => return Lines::None,
    };
    let [kernel, stride, dilation, pad] = [window.kernel, window.stride, window.dilation, window.pad].map(|pair| usize::from(pair[0]));
    let reads = |row: usize| {
        let taps: Vec<usize> = (0..kernel).filter_map(|tap| (row * stride + tap * dilation).checked_sub(pad)).collect();
        let inside: Vec<usize> = taps.into_iter().filter(|row| *row < height(&input)).collect();
        inside.first().map_or(0..0, |first| *first..inside[inside.len() - 1] + 1)
    };
    Lines::Windows { from: height(&input), to: (0..height(&output)).map(reads).collect() }
}

/// Replays the model's writes and reads; the error says who read what somebody else had overwritten.
pub fn check(model: &Model<'_>) -> Result<(), String> {
    let (Some(input), Some(output)) = (model.input(), model.output()) else { return Err("no input or output".into()) };
    let place = |(index, tensor): (usize, Tensor<'_>)| {
        let channels = tensor.shape.channels();
        let pixel = match tensor.bits.bits() {
            bits @ (2 | 4) => (channels * bits as usize).div_ceil(8),
            16 => 2 * channels,
            _ => channels,
        };
        let begin = tensor.offset as usize;
        (begin..begin + tensor.shape.pixels() * pixel, tensor.alias.map_or(index, usize::from))
    };
    let step = |node: Node<'_>| Step {
        name: node.name.into(),
        reads: node.inputs.iter().map(|input| usize::from(*input)).collect(),
        writes: usize::from(node.output),
        scratch: node.scratch.offset as usize..(node.scratch.offset + node.scratch.length) as usize,
        lines: lines(model, &node),
    };
    replay(&Layout {
        arena_bytes: model.arena_bytes(),
        tensors: model.tensors().enumerate().map(place).collect(),
        steps: model.nodes().map(step).collect(),
        input: usize::from(input.index),
        output: usize::from(output.index),
    })
}

type Arena = Vec<Option<usize>>;

fn holds(layout: &Layout, arena: &Arena, tensor: usize, range: Range<usize>) -> Result<(), String> {
    let owner = layout.tensors[tensor].1;
    let foreign = range.clone().find(|byte| arena[*byte] != Some(owner));
    foreign.map_or(Ok(()), |byte| Err(format!("byte {byte} of tensor {tensor} belongs to {:?}", arena[byte])))
}

fn replay(layout: &Layout) -> Result<(), String> {
    let mut arena: Arena = vec![None; layout.arena_bytes];
    let inside = |range: &Range<usize>| range.is_empty() || range.end <= layout.arena_bytes;
    let aligned = |(index, (range, owner)): (usize, &(Range<usize>, usize))| *owner != index || range.start.is_multiple_of(ALIGNMENT);
    if let Some((range, _)) = layout.tensors.iter().find(|(range, _)| !inside(range)) {
        return Err(format!("a tensor lies at {range:?} of {} bytes", layout.arena_bytes));
    }
    if !layout.tensors.iter().enumerate().all(aligned) {
        return Err("a tensor is not aligned".into());
    }
    arena[layout.tensors[layout.input].0.clone()].fill(Some(layout.input));
    for step in &layout.steps {
        let fail = |problem: String| Err(format!("node \"{}\": {problem}", step.name));
        if !inside(&step.scratch) || (!step.scratch.is_empty() && !step.scratch.start.is_multiple_of(ALIGNMENT)) {
            return fail(format!("working memory at {:?}", step.scratch));
        }
        let written = &layout.tensors[step.writes].0;
        if step.scratch.clone().any(|byte| written.contains(&byte)) {
            return fail(format!("its working memory {:?} and output {written:?} overlap", step.scratch));
        }
        arena[step.scratch.clone()].fill(None);
        let mut downwards = arena.clone();
        if let Err(problem) = play(layout, step, &mut arena, false) {
            play(layout, step, &mut downwards, true).or_else(|_| fail(problem))?;
            arena = downwards;
        }
    }
    holds(layout, &arena, layout.output, layout.tensors[layout.output].0.clone())
        .map_err(|problem| format!("the output at the end: {problem}"))
}

/// Line `line` of `lines` of a range.
fn part(range: &Range<usize>, line: Range<usize>, lines: usize) -> Range<usize> {
    let bytes = range.len() / lines;
    range.start + line.start * bytes..range.start + line.end * bytes
}

fn play(layout: &Layout, step: &Step, arena: &mut Arena, downwards: bool) -> Result<(), String> {
    let (output, owner) = &layout.tensors[step.writes];
    let order = |count: usize| (0..count).map(move |index| if downwards { count - 1 - index } else { index });
    match &step.lines {
        Lines::Equal(count) => {
            for line in order(*count) {
                for tensor in &step.reads {
                    holds(layout, arena, *tensor, part(&layout.tensors[*tensor].0, line..line + 1, *count))?;
                }
                arena[part(output, line..line + 1, *count)].fill(Some(*owner));
            }
        }
        Lines::Windows { from, to } => {
            // Output and working memory are written while the inputs are still being read.
            for line in order(to.len()) {
                arena[part(output, line..line + 1, to.len())].fill(Some(*owner));
                for tensor in &step.reads {
                    holds(layout, arena, *tensor, part(&layout.tensors[*tensor].0, to[line].clone(), *from))?;
                }
            }
        }
        Lines::Copy | Lines::None => {
            let read =
                |arena: &Arena| step.reads.iter().try_for_each(|tensor| holds(layout, arena, *tensor, layout.tensors[*tensor].0.clone()));
            if let Lines::Copy = step.lines {
                read(arena)?;
            }
            arena[output.clone()].fill(Some(*owner));
            if let Lines::None = step.lines {
                read(arena)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 -> 1 -> 2, then 0 + 2 -> 3, 16 bytes each, at the given offsets.
    fn chain(offsets: [usize; 4], scratch: usize) -> Layout {
        let step = |name: &str, reads: &[usize], writes: usize| Step {
            name: name.into(),
            reads: reads.into(),
            writes,
            scratch: 0..0,
            lines: Lines::None,
        };
        let mut steps = vec![step("a", &[0], 1), step("b", &[1], 2), step("sum", &[0, 2], 3)];
        steps[1].scratch = scratch..scratch + 16;
        let tensors = offsets.into_iter().enumerate().map(|(index, offset)| (offset..offset + 16, index)).collect();
        Layout { arena_bytes: 64, tensors, steps, input: 0, output: 3 }
    }

    #[test]
    fn a_good_plan_holds() {
        assert_eq!(replay(&chain([0, 16, 32, 16], 48)), Ok(()));
    }

    /// One node of four lines over its own input, at that distance.
    fn over(at: usize, lines: Lines) -> Layout {
        let step = Step { name: "a".into(), reads: vec![0], writes: 1, scratch: 0..0, lines };
        Layout { arena_bytes: 256, tensors: vec![(64..128, 0), (at..at + 64, 1)], steps: vec![step], input: 0, output: 1 }
    }

    #[test]
    fn lines_run_in_either_order() {
        let windows = |at: usize| replay(&over(at, Lines::Windows { from: 4, to: vec![0..2, 0..3, 1..4, 2..4] })).is_ok();
        // Two lines of 16 bytes are kept.
        assert_eq!([16, 32, 48, 64, 80, 96, 112].map(windows), [true, true, false, false, false, true, true]);
        assert!([16, 48, 64, 80].into_iter().all(|at| replay(&over(at, Lines::Equal(4))).is_ok()));
        assert!([16, 48, 64, 80].into_iter().all(|at| replay(&over(at, Lines::Copy)).is_ok()));
        assert_eq!([16, 48, 64, 80].map(|at| replay(&over(at, Lines::None)).is_ok()), [false; 4]);
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
