//! Operators that take elements out of a value: Slice, Split, Gather.

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::{Builder, View};
use super::Importer;
use crate::graph::{Clamp, Op, TensorId};

/// Positions `begin, begin + step, ..` of one ONNX axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    axis: usize,
    begin: usize,
    step: usize,
    count: usize,
}

/// The value with those cuts, or the value itself where they leave everything.
fn cut(importer: &mut Importer, node: OnnxNode<'_>, name: &str, view: &View, cuts: &[Cut]) -> Result<View, ImportError> {
    let builder = &mut importer.builder;
    let input = builder.graph.tensor(view.tensor).shape.clone();
    let (mut begin, mut step, mut shape) = (vec![0; input.len()], vec![1; input.len()], input.clone());
    for cut in cuts {
        let stored = view.axes[cut.axis];
        if cut.axis == 0 && input[stored] == 1 && cut.count != 1 {
            return Err(node.unsupported("axes", "axis 0, the batch", "the other axes"));
        }
        if cut.count == 0 {
            return Err(node.unsupported("", format!("nothing is left of axis {}", cut.axis), "at least one element"));
        }
        (begin[stored], step[stored], shape[stored]) = (cut.begin, cut.step, cut.count);
    }
    if shape == input {
        return Ok(view.clone());
    }
    if input.len() > 4 || input[0] != 1 {
        let (mut tensor, mut stored) = (view.tensor, input);
        for (axis, count) in shape.into_iter().enumerate() {
            if count == stored[axis] {
                continue;
            }
            tensor = cut_as_image(builder, name, tensor, &stored, [axis, begin[axis], step[axis], count]);
            stored[axis] = count;
        }
        return Ok(View { tensor, axes: view.axes.clone() });
    }
    let tensor = builder.push(name, Op::Slice { begin, step }, vec![view.tensor], shape, Clamp::NONE);
    Ok(View { tensor, axes: view.axes.clone() })
}

/// Positions of one stored axis. Seen as `[1, before, axis, after]`, any cut of one axis is one of an image.
fn cut_as_image(builder: &mut Builder, name: &str, from: TensorId, stored: &[usize], [axis, begin, step, count]: [usize; 4]) -> TensorId {
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let (before, size, after) = (product(&stored[..axis]), stored[axis], product(&stored[axis + 1..]));
    let last = after == 1;
    let image = if last { [1, 1, before, size] } else { [1, before, size, after] };
    let place = if last { 3 } else { 2 };
    let from = builder.push(&format!("{name}.image"), Op::Reshape, vec![from], image.to_vec(), Clamp::NONE);
    let (mut begins, mut steps, mut to) = (vec![0; 4], vec![1; 4], image.to_vec());
    (begins[place], steps[place], to[place]) = (begin, step, count);
    let cut = builder.push(name, Op::Slice { begin: begins, step: steps }, vec![from], to, Clamp::NONE);
    let mut shape = stored.to_vec();
    shape[axis] = count;
    builder.push(&format!("{name}.shape"), Op::Reshape, vec![cut], shape, Clamp::NONE)
}

/// Starts, ends and axes are attributes before opset 10 and inputs since, then with steps.
pub(super) fn slice(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let missing = |name: &str| node.invalid(format!("{name} is missing"));
    let starts = node.ints_or_input("starts", 1)?.ok_or_else(|| missing("starts"))?;
    let ends = node.ints_or_input("ends", 2)?.ok_or_else(|| missing("ends"))?;
    let axes = node.ints_or_input("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = node.ints_or_input("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(node.invalid(format!("starts {starts:?}, ends {ends:?}, axes {axes:?}, steps {steps:?}")));
    }
    let mut cuts: Vec<Cut> = Vec::new();
    for index in 0..starts.len() {
        let axis = node.axis(axes[index], shape.len())?;
        let step = usize::try_from(steps[index])
            .ok()
            .filter(|step| *step > 0)
            .ok_or_else(|| node.unsupported("steps", format!("{steps:?}"), "positive steps"))?;
        let size = shape[axis] as i64;
        let place = |value: i64| (if value < 0 { value.saturating_add(size) } else { value }).clamp(0, size) as usize;
        let (begin, end) = (place(starts[index]), place(ends[index]));
        if cuts.iter().any(|cut| cut.axis == axis) {
            return Err(node.invalid(format!("axes {axes:?} name an axis twice")));
        }
        cuts.push(Cut { axis, begin, step, count: end.saturating_sub(begin).div_ceil(step) });
    }
    cut(importer, node, node.name(), &view, &cuts)
}

/// All outputs but the first are entered here. Sizes are an attribute before opset 13 and an input since; without them the parts are equal, or the
/// last one is smaller.
pub(super) fn split(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let axis = node.axis(node.int("axis").unwrap_or(0), shape.len())?;
    let parts = node.proto.output.len();
    let sizes: Vec<usize> = match node.ints_or_input("split", 1)? {
        Some(sizes) => sizes
            .iter()
            .map(|size| usize::try_from(*size).ok())
            .collect::<Option<_>>()
            .ok_or_else(|| node.invalid(format!("split {sizes:?}")))?,
        None => {
            let each = shape[axis].div_ceil(parts.max(1));
            (0..parts).map(|part| each.min(shape[axis].saturating_sub(part * each))).collect()
        }
    };
    if sizes.len() != parts || sizes.iter().try_fold(0, |sum: usize, size| sum.checked_add(*size)) != Some(shape[axis]) {
        return Err(node.invalid(format!("parts {sizes:?} for {parts} outputs of axis {axis} of {shape:?}")));
    }
    let mut first = None;
    let mut begin = 0;
    for (part, (output, count)) in node.proto.output.iter().zip(sizes).enumerate() {
        // Parts that nothing reads vanish later, but may be empty or nameless before.
        if !output.is_empty() {
            let name = if part == 0 { node.name().to_owned() } else { format!("{}.{part}", node.name()) };
            let value = cut(importer, node, &name, &view, &[Cut { axis, begin, step: 1, count }])?;
            if part == 0 {
                first = Some(value);
            } else {
                importer.values.insert(output.clone(), value);
            }
        }
        begin += count;
    }
    first.ok_or_else(|| node.invalid("its first output has no name"))
}

/// Most slices that a Gather becomes.
const RUNS_MAX: usize = 256;

/// Constant indices are cut into runs at equal distances; a single index takes its axis away.
pub(super) fn gather(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let axis = node.axis(node.int("axis").unwrap_or(0), shape.len())?;
    let indices = node.constant(1)?.ok_or_else(|| {
        let name = node.input(1).unwrap_or_default();
        node.unsupported(name, "the indices depend on the network's input", "constant indices")
    })?;
    if indices.shape.len() > 1 {
        return Err(node.unsupported("", format!("indices of shape {:?}", indices.shape), "a list of indices"));
    }
    let size = shape[axis] as i64;
    let places = indices
        .values
        .iter()
        .map(|index| {
            let index = *index as i64;
            usize::try_from(if index < 0 { index + size } else { index }).ok().filter(|index| *index < shape[axis])
        })
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| node.invalid(format!("indices outside axis {axis} of {shape:?}")))?;
    let runs = runs(axis, &places);
    if runs.is_empty() || runs.len() > RUNS_MAX {
        let nearest = format!("indices that are 1 to {RUNS_MAX} runs at equal distances");
        return Err(node.unsupported("", format!("indices that are {} runs at equal distances", runs.len()), &nearest));
    }
    if runs.len() > 1 && (shape.len() > 4 || shape[0] != 1) {
        return Err(node.unsupported(
            "",
            format!("several indices of {shape:?}"),
            "one index, or at most 4 axes of which the first is the batch",
        ));
    }
    let mut parts: Vec<TensorId> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let name = if runs.len() == 1 { node.name().to_owned() } else { format!("{}.run{number}", node.name()) };
        parts.push(cut(importer, node, &name, &view, &[*run])?.tensor);
    }
    let tensor = match parts[..] {
        [single] => single,
        _ => super::shape::join_all(importer, node.name(), view.axes[axis], parts),
    };
    let taken = View { tensor, axes: view.axes };
    if !indices.shape.is_empty() {
        return Ok(taken);
    }
    let rest: Vec<usize> = (0..shape.len()).filter(|other| *other != axis).map(|other| shape[other]).collect();
    if rest.is_empty() || rest[0] != 1 {
        return Err(node.unsupported("axis", "axis 0, the batch", "the other axes"));
    }
    Ok(importer.builder.reshaped(&format!("{}.squeeze", node.name()), &taken, &rest))
}

/// Indices as few runs at equal, positive distances, in order.
fn runs(axis: usize, places: &[usize]) -> Vec<Cut> {
    let mut runs: Vec<Cut> = Vec::new();
    for place in places {
        match runs.last_mut() {
            Some(run) if run.count == 1 && *place > run.begin => (run.step, run.count) = (place - run.begin, 2),
            Some(run) if run.count > 1 && *place == run.begin + run.count * run.step => run.count += 1,
            _ => runs.push(Cut { axis, begin: *place, step: 1, count: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_become_runs() {
        let list = |places: &[usize]| -> Vec<[usize; 3]> { runs(1, places).iter().map(|run| [run.begin, run.step, run.count]).collect() };
        assert_eq!(list(&[0, 1, 2, 3]), [[0, 1, 4]]);
        assert_eq!(list(&[1, 3, 5]), [[1, 2, 3]]);
        assert_eq!(list(&[2, 2]), [[2, 1, 1], [2, 1, 1]]);
        assert_eq!(list(&[5, 1, 2, 4]), [[5, 1, 1], [1, 1, 2], [4, 1, 1]]);
        assert!(list(&[]).is_empty());
    }
}
