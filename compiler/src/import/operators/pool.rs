//! MaxPool, AveragePool, the global pools and ReduceMean over height and width.

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::{IMAGE_AXES, View};
use super::Importer;
use super::linear::{check_window, window};
use crate::graph::{Clamp, Op, TensorId, Window};

pub(super) fn max_pool(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    pool(importer, node, |window, _| Ok(Op::MaxPool { window }))
}

pub(super) fn average_pool(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let count_include_pad = node.int("count_include_pad").unwrap_or(0) != 0;
    pool(importer, node, |window, grown| {
        if count_include_pad && grown {
            return Err(node.unsupported(
                "ceil_mode",
                "1 together with count_include_pad = 1, and a window that leaves the padded input",
                "one of the two",
            ));
        }
        Ok(Op::AveragePool { window, count_include_pad })
    })
}

fn pool(importer: &mut Importer, node: OnnxNode<'_>, op: impl Fn(Window, bool) -> Result<Op, ImportError>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let rank = shape.len();
    if !(3..=4).contains(&rank) {
        return Err(node.unsupported("", format!("pooling of {shape:?}"), "one or two spatial axes"));
    }
    if node.ints("kernel_shape").is_none() {
        return Err(node.invalid("kernel_shape is missing"));
    }
    let spatial = rank - 2;
    let kernel = node.pair("kernel_shape", 1, spatial)?;
    let input = importer.builder.image(node.name(), &view);
    let image = importer.builder.graph.tensor(input).shape.clone();
    let mut window = window(node, kernel, spatial, [image[1], image[2]])?;
    if (0..2).any(|axis| window.pad_begin[axis] >= window.extent(axis) || window.pad_end[axis] >= window.extent(axis)) {
        return Err(node.invalid(format!("padding of the window {window} is as large as its kernel")));
    }
    let mut grown = false;
    if node.int("ceil_mode").unwrap_or(0) != 0 {
        for axis in 0..2 {
            grown |= grow_to_ceil(&mut window, axis, image[axis + 1]);
        }
    }
    if (0..2).any(|axis| reads_only_padding(&window, axis, image[axis + 1])) {
        return Err(node.unsupported(
            "pads",
            format!("the window {window} over {shape:?}, of which a position reads nothing but padding"),
            "padding smaller than the kernel, dilation 1",
        ));
    }
    let side = |axis: usize| {
        window.output(axis, image[axis + 1]).ok_or_else(|| node.invalid(format!("the window {window} is larger than its input {shape:?}")))
    };
    let output = vec![1, side(0)?, side(1)?, image[3]];
    let tensor = importer.builder.push(node.name(), op(window, grown)?, vec![input], output, Clamp::NONE);
    Ok(importer.builder.after_image(node.name(), tensor, rank))
}

/// ceil_mode: one more window where the last step leaves a rest, unless it would start in the padding. True where the window leaves the padded input.
fn grow_to_ceil(window: &mut Window, axis: usize, input: usize) -> bool {
    let padded = input + window.pad_begin[axis] + window.pad_end[axis];
    let Some(room) = padded.checked_sub(window.extent(axis)) else { return false };
    let rest = room % window.stride[axis];
    let next_start = room - rest + window.stride[axis];
    if rest == 0 || next_start >= input + window.pad_begin[axis] {
        return false;
    }
    window.pad_end[axis] += window.stride[axis] - rest;
    true
}

/// True where some position of the window has no tap inside the input.
fn reads_only_padding(window: &Window, axis: usize, input: usize) -> bool {
    let inside = |at: usize| (window.pad_begin[axis]..window.pad_begin[axis] + input).contains(&at);
    let reads = |place: usize| (0..window.kernel[axis]).any(|tap| inside(place * window.stride[axis] + tap * window.dilation[axis]));
    window.output(axis, input).is_some_and(|places| !(0..places).all(reads))
}

pub(super) fn global_average_pool(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    global(importer, node, |window| Op::AveragePool { window, count_include_pad: false })
}

pub(super) fn global_max_pool(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    global(importer, node, |window| Op::MaxPool { window })
}

fn global(importer: &mut Importer, node: OnnxNode<'_>, op: impl Fn(Window) -> Op) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let rank = view.axes.len();
    if !(3..=4).contains(&rank) {
        return Err(node.unsupported("", format!("pooling of {:?}", importer.builder.shape(&view)), "one or two spatial axes"));
    }
    let input = importer.builder.image(node.name(), &view);
    let tensor = whole_image(importer, node, input, op)?;
    Ok(importer.builder.after_image(node.name(), tensor, rank))
}

fn whole_image(importer: &mut Importer, node: OnnxNode<'_>, input: TensorId, op: impl Fn(Window) -> Op) -> Result<TensorId, ImportError> {
    let image = importer.builder.graph.tensor(input).shape.clone();
    let window = Window { kernel: [image[1], image[2]], stride: [1; 2], dilation: [1; 2], pad_begin: [0; 2], pad_end: [0; 2] };
    check_window(node, &window, [image[1], image[2]])?;
    Ok(importer.builder.push(node.name(), op(window), vec![input], vec![1, 1, 1, image[3]], Clamp::NONE))
}

/// The mean over the spatial axes, or over any others, with or without keeping them.
pub(super) fn reduce_mean(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let rank = shape.len();
    let nearest = "the mean over some axes, such as height and width";
    let axes = node
        .ints_or_input("axes", 1)?
        .filter(|axes| !axes.is_empty())
        .ok_or_else(|| node.unsupported("axes", "the mean over all axes", nearest))?;
    let mut reduced = axes.iter().map(|axis| node.axis(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
    reduced.sort_unstable();
    if reduced.contains(&0) {
        return Err(node.unsupported("axes", format!("{axes:?} of {shape:?}, the batch among them"), nearest));
    }
    let mut stored: Vec<usize> = reduced.iter().map(|axis| view.axes[*axis]).collect();
    stored.sort_unstable();
    let mean = if rank == 4 && (reduced == [2, 3] || stored == [1, 2]) {
        // Either the axes lie where height and width are stored, or [N, C, H, W] is first stored as an image.
        let image_axes = if stored == [1, 2] { view.axes.clone() } else { IMAGE_AXES.to_vec() };
        let input = importer.builder.arranged(node.name(), &view, &image_axes);
        let tensor = whole_image(importer, node, input, |window| Op::AveragePool { window, count_include_pad: false })?;
        View { tensor, axes: image_axes }
    } else {
        mean_of_rows(importer, node, &view, &reduced)?
    };
    if node.int("keepdims").unwrap_or(1) != 0 {
        return Ok(mean);
    }
    let kept: Vec<usize> = (0..rank).filter(|axis| !reduced.contains(axis)).map(|axis| shape[axis]).collect();
    Ok(importer.builder.reshaped(&format!("{}.squeeze", node.name()), &mean, &kept))
}

/// The mean over any axes: of the pixels of `[1, 1, reduced, kept]`.
fn mean_of_rows(importer: &mut Importer, node: OnnxNode<'_>, view: &View, reduced: &[usize]) -> Result<View, ImportError> {
    let shape = importer.builder.shape(view);
    // The axes that stay keep their stored order, behind those that go.
    let mut order: Vec<usize> = (0..shape.len()).collect();
    order.sort_by_key(|axis| (*axis != 0, !reduced.contains(axis), view.axes[*axis]));
    let mut axes = vec![0; shape.len()];
    order.iter().enumerate().for_each(|(stored, axis)| axes[*axis] = stored);
    let input = importer.builder.arranged(node.name(), view, &axes);
    let count: usize = reduced.iter().map(|axis| shape[*axis]).product();
    let kept: usize = shape.iter().product::<usize>() / count;
    let image = importer.builder.push(&format!("{}.rows", node.name()), Op::Reshape, vec![input], vec![1, 1, count, kept], Clamp::NONE);
    let tensor = whole_image(importer, node, image, |window| Op::AveragePool { window, count_include_pad: false })?;
    let stored = order.iter().map(|axis| if reduced.contains(axis) { 1 } else { shape[*axis] }).collect();
    let tensor = importer.builder.push(&format!("{}.shape", node.name()), Op::Reshape, vec![tensor], stored, Clamp::NONE);
    Ok(View { tensor, axes })
}
