//! Slice, and Gather of one constant index.

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use crate::graph::{Clamp, Op};

/// Starts, ends, axes and steps are attributes before opset 10 and inputs since.
pub(super) fn slice(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let mut view = importer.value(&node, 0)?;
    let rank = view.axes.len();
    let list = |name: &str, index: usize| node.ints_or_input(name, index);
    let starts = list("starts", 1)?.ok_or_else(|| node.invalid("starts is missing"))?;
    let ends = list("ends", 2)?.ok_or_else(|| node.invalid("ends is missing"))?;
    let axes = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(node.invalid("starts, ends, axes and steps are not equally many"));
    }
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = node.axis(*axis, rank)?;
        let size = importer.builder.shape(&view)[axis] as i64;
        if *step < 1 {
            return Err(node.unsupported("steps", step.to_string(), "steps of at least 1"));
        }
        let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
        let (begin, end) = (place(*start), place(*end));
        if end <= begin {
            return Err(node.invalid(format!("positions {begin} to {end} of axis {axis} are none")));
        }
        let count = (end - begin - 1) / step + 1;
        view = along(importer, node.name(), &view, axis, [begin as usize, count as usize, *step as usize]);
    }
    Ok(view)
}

/// One position of an axis; the axis goes where the index is a number and not a list.
pub(super) fn gather(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let axis = node.axis(node.int("axis").unwrap_or(0), shape.len())?;
    let nearest = "one constant index";
    let name = node.required_input(1)?;
    let index = node.constant(1)?.ok_or_else(|| node.unsupported(name, "indices that depend on the network's input", nearest))?;
    let [position] = index.values[..] else {
        return Err(node.unsupported(name, format!("{} indices", index.values.len()), nearest));
    };
    let position = node.axis(position as i64, shape[axis])?;
    let sliced = along(importer, node.name(), &view, axis, [position, 1, 1]);
    if !index.shape.is_empty() {
        return Ok(sliced);
    }
    let mut kept = shape;
    kept.remove(axis);
    Ok(importer.builder.reshaped(&format!("{}.squeeze", node.name()), &sliced, &kept))
}

/// `[begin, count, step]` of one axis. Seen as `[1, before, axis, after]`, any slice of one axis is one of an image.
pub(super) fn along(importer: &mut Importer, name: &str, view: &View, axis: usize, [begin, count, step]: [usize; 3]) -> View {
    let builder = &mut importer.builder;
    let stored = builder.graph.tensor(view.tensor).shape.clone();
    let axis = view.axes[axis];
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let (before, size, after) = (product(&stored[..axis]), stored[axis], product(&stored[axis + 1..]));
    if (begin, count, step) == (0, size, 1) {
        return view.clone();
    }
    let last = after == 1;
    let image = if last { [1, 1, before, size] } else { [1, before, size, after] };
    let place = if last { 3 } else { 2 };
    let from = builder.push(&format!("{name}.image"), Op::Reshape, vec![view.tensor], image.to_vec(), Clamp::NONE);
    let (mut begins, mut steps, mut to) = (vec![0; 4], vec![1; 4], image.to_vec());
    (begins[place], steps[place], to[place]) = (begin, step, count);
    let cut = builder.push(name, Op::Slice { begin: begins, step: steps }, vec![from], to, Clamp::NONE);
    let mut shape = stored;
    shape[axis] = count;
    let tensor = builder.push(&format!("{name}.shape"), Op::Reshape, vec![cut], shape, Clamp::NONE);
    View { tensor, axes: view.axes.clone() }
}
