//! ConvTranspose, as an ordinary convolution that makes all `stride * stride` output pixels of an input pixel as channels, and their rearrangement.
//!
//! Output position `Y = stride * i + dilation * k - pad` gets input `i` times tap `k`. With `Y + pad = stride * q + p`, phase `p` sees the taps whose
//! `dilation * k = p + stride * j`, at inputs `q - j`. One convolution over all `j` has an output channel for each phase and channel, zeros where a
//! phase has no tap; its rows `q` are unfolded to `stride` rows each, and what is too much at the edges is cut off.

use super::super::error::ImportError;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use super::linear::{Filter, bias, check_window, filter};
use crate::graph::{Clamp, Op, Weights, Window};

/// One spatial axis.
#[derive(Debug, Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    /// Output before pads.
    whole: usize,
    /// Taps of the convolution.
    taps: usize,
    /// First row `q` that is computed, and how many.
    first: usize,
    rows: usize,
}

impl Axis {
    /// The tap of the original kernel that tap `tap` of the convolution is for `phase`.
    fn original(&self, phase: usize, tap: usize) -> Option<usize> {
        let at = phase + self.stride * (self.taps - 1 - tap);
        (at.is_multiple_of(self.dilation) && at / self.dilation < self.kernel).then(|| at / self.dilation)
    }

    /// Zeros before the input.
    fn pad_begin(&self) -> usize {
        self.taps - 1 - self.first
    }

    /// Zeros behind the input, at least as many as the last row reads.
    fn pad_end(&self) -> usize {
        (self.rows + self.taps - 1).saturating_sub(self.pad_begin() + self.input)
    }
}

pub(super) fn conv_transpose(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let Filter { view, shape, spatial, weight, groups, kernel } = filter(importer, node, "transposed convolution")?;
    let rank = shape.len();
    let (inputs, group_outputs) = (weight.shape[0], weight.shape[1]);
    if shape[1] != inputs || !inputs.is_multiple_of(groups) || group_outputs == 0 || kernel.contains(&0) {
        return Err(node.invalid(format!("weights of shape {:?} with group {groups} for an input of shape {shape:?}", weight.shape)));
    }
    let outputs = groups * group_outputs;
    let bias = bias(node, outputs)?;
    let input = importer.builder.image(node.name(), &view);
    let image = importer.builder.graph.tensor(input).shape.clone();
    let axes = axes(node, kernel, spatial, [image[1], image[2]])?;
    let [vertical, horizontal] = axes;
    let phases = vertical.stride * horizontal.stride;
    let taps = vertical.taps * horizontal.taps;
    let count = [phases, outputs, taps, inputs / groups].iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    if count.is_none_or(|count| count > WEIGHTS_MAX) || too_long(&axes) {
        return Err(node.unsupported("strides", format!("{} x {phases} phases of {taps} taps", outputs), "smaller strides or kernels"));
    }
    // [group][phase][output][tap][input]; ONNX has [input][output][tap].
    let group_inputs = inputs / groups;
    let mut values = Vec::with_capacity(phases * outputs * taps * group_inputs);
    let mut biases = Vec::with_capacity(phases * outputs);
    for group in 0..groups {
        for phase in 0..phases {
            for output in 0..group_outputs {
                biases.push(bias[group * group_outputs + output]);
                for tap in 0..taps {
                    let row = vertical.original(phase / horizontal.stride, tap / horizontal.taps);
                    let column = horizontal.original(phase % horizontal.stride, tap % horizontal.taps);
                    values.extend((0..group_inputs).map(|channel| match row.zip(column) {
                        Some((row, column)) => {
                            let place = ((group * group_inputs + channel) * group_outputs + output) * kernel[0] + row;
                            weight.values[place * kernel[1] + column]
                        }
                        None => 0.0,
                    }));
                }
            }
        }
    }
    let window = Window {
        kernel: [vertical.taps, horizontal.taps],
        stride: [1; 2],
        dilation: [1; 2],
        pad_begin: [vertical.pad_begin(), horizontal.pad_begin()],
        pad_end: [vertical.pad_end(), horizontal.pad_end()],
    };
    check_window(node, &window, [image[1], image[2]])?;
    let side = |axis: usize| {
        window.output(axis, image[axis + 1]).ok_or_else(|| node.invalid(format!("the window {window} is larger than its input {shape:?}")))
    };
    let (height, width) = (side(0)?, side(1)?);
    let weights = Weights { values: values.into(), bias: biases.into() };
    let op = Op::Conv { weights, window, groups };
    let builder = &mut importer.builder;
    let name = node.name();
    let part = |suffix: &str| format!("{name}.{suffix}");
    let mut tensor = builder.push(name, op, vec![input], vec![1, height, width, phases * outputs], Clamp::NONE);
    if groups > 1 && phases > 1 {
        let pixels = height * width;
        tensor = builder.push(&part("groups"), Op::Reshape, vec![tensor], vec![1, pixels, groups, phases, group_outputs], Clamp::NONE);
        let perm = vec![0, 1, 3, 2, 4];
        tensor = builder.push(
            &part("phases"),
            Op::Transpose { perm },
            vec![tensor],
            vec![1, pixels, phases, groups, group_outputs],
            Clamp::NONE,
        );
    }
    let (rows, columns) = (height * vertical.stride, width * horizontal.stride);
    if phases > 1 {
        // A pixel's phases are [row][column][channel]: rows move out, columns lie where they belong.
        let pieces = horizontal.stride * outputs;
        tensor = builder.push(&part("unfold"), Op::Reshape, vec![tensor], vec![1, height, width, vertical.stride, pieces], Clamp::NONE);
        if vertical.stride > 1 {
            let perm = vec![0, 1, 3, 2, 4];
            tensor = builder.push(
                &part("rows"),
                Op::Transpose { perm },
                vec![tensor],
                vec![1, height, vertical.stride, width, pieces],
                Clamp::NONE,
            );
        }
        tensor = builder.push(&part("image"), Op::Reshape, vec![tensor], vec![1, rows, columns, outputs], Clamp::NONE);
    }
    let begin = axes.map(|axis| axis.pad - axis.first * axis.stride);
    let kept = axes.map(|axis| axis.output);
    if kept != [rows, columns] {
        let op = Op::Slice { begin: vec![0, begin[0], begin[1], 0], step: vec![1; 4] };
        tensor = builder.push(&part("cut"), op, vec![tensor], vec![1, kept[0], kept[1], outputs], Clamp::NONE);
    }
    Ok(builder.after_image(name, tensor, rank))
}

/// Most weights, the zeros of phases included.
const WEIGHTS_MAX: usize = 1 << 28;

/// True where an axis grows beyond what any tensor may have.
fn too_long(axes: &[Axis; 2]) -> bool {
    axes.iter().any(|axis| axis.rows.saturating_mul(axis.stride) > 1 << 24)
}

/// Pads at the beginning and at the end of each spatial axis, where `output_shape` or `auto_pad` give them.
pub(in crate::import) fn pads(node: OnnxNode<'_>, shape: &[usize]) -> Result<[Vec<usize>; 2], ImportError> {
    let weight = node.weights(1, "constant weights")?;
    let (kernel, image) = match (&weight.shape[..], shape) {
        ([_, _, height, width], [_, _, rows, columns]) => ([*height, *width], [*rows, *columns]),
        ([_, _, width], [_, _, columns]) => ([1, *width], [1, *columns]),
        _ => return Err(node.invalid(format!("weights of shape {:?} for an input of shape {shape:?}", weight.shape))),
    };
    if kernel.contains(&0) {
        return Err(node.invalid("an empty kernel"));
    }
    let axes = axes(node, kernel, shape.len() - 2, image)?;
    let spatial = &axes[4 - shape.len()..];
    let end =
        |axis: &Axis| axis.whole.checked_sub(axis.pad + axis.output).ok_or_else(|| node.invalid("output_shape is larger than the output"));
    Ok([spatial.iter().map(|axis| axis.pad).collect(), spatial.iter().map(end).collect::<Result<_, _>>()?])
}

fn axes(node: OnnxNode<'_>, kernel: [usize; 2], spatial: usize, image: [usize; 2]) -> Result<[Axis; 2], ImportError> {
    let declared = node.pair("kernel_shape", 1, spatial)?;
    if node.ints("kernel_shape").is_some() && declared != kernel {
        return Err(node.invalid(format!("kernel_shape {declared:?} with weights of kernel {kernel:?}")));
    }
    let (stride, dilation) = (node.pair("strides", 1, spatial)?, node.pair("dilations", 1, spatial)?);
    let numbers = |name: &str, count: usize| -> Result<Option<Vec<usize>>, ImportError> {
        let Some(values) = node.ints(name) else { return Ok(None) };
        let values: Option<Vec<usize>> = values.iter().map(|v| usize::try_from(*v).ok().filter(|v| *v < 1 << 20)).collect();
        let values = values.ok_or_else(|| node.unsupported(name, format!("{:?}", node.ints(name)), "numbers of at least 0"))?;
        if values.len() == count { Ok(Some(values)) } else { Err(node.invalid(format!("{name} {values:?} for {spatial} spatial axes"))) }
    };
    // A network with one spatial axis is an image of one row.
    let widen = |values: Vec<usize>, default: usize| if spatial == 1 { vec![default, values[0]] } else { values };
    let extra = widen(numbers("output_padding", spatial)?.unwrap_or(vec![0; spatial]), 0);
    let explicit = numbers("output_shape", spatial)?.map(|sizes| widen(sizes, 1));
    let pads = numbers("pads", 2 * spatial)?.unwrap_or(vec![0; 2 * spatial]);
    let pads = if spatial == 1 { vec![0, pads[0], 0, pads[1]] } else { pads };
    let automatic = node.text("auto_pad").unwrap_or_default();
    let mut axes = Vec::new();
    for axis in 0..2 {
        let (kernel, stride, dilation, input) = (kernel[axis], stride[axis], dilation[axis], image[axis]);
        let extent = (kernel - 1).checked_mul(dilation).and_then(|reach| reach.checked_add(1)).filter(|extent| *extent < 1 << 20);
        let extent = extent.ok_or_else(|| node.invalid("the dilated kernel is too large"))?;
        let whole = stride * (input - 1) + extent + extra[axis];
        let (pad, output) = match (automatic.as_str(), &explicit) {
            ("" | "NOTSET" | "VALID", None) => {
                let (begin, end) = if automatic == "VALID" { (0, 0) } else { (pads[axis], pads[axis + 2]) };
                (begin, whole.checked_sub(begin + end).filter(|output| *output > 0))
            }
            ("" | "NOTSET" | "SAME_UPPER" | "SAME_LOWER", _) => {
                let output = explicit.as_ref().map_or(input * stride, |sizes| sizes[axis]);
                let total = whole.saturating_sub(output);
                let begin = if automatic == "SAME_UPPER" { total / 2 } else { total - total / 2 };
                (begin, (output > 0).then_some(output))
            }
            _ => return Err(node.unsupported("auto_pad", automatic.clone(), "NOTSET with pads")),
        };
        let output = output.ok_or_else(|| node.invalid("nothing is left between the pads"))?;
        let taps = extent.div_ceil(stride);
        let first = pad / stride;
        if first > taps - 1 {
            return Err(node.unsupported("pads", format!("{pads:?} with a kernel that covers {extent}"), "pads smaller than the kernel"));
        }
        let rows = (pad + output).div_ceil(stride) - first;
        axes.push(Axis { input, output, kernel, stride, dilation, pad, whole, taps, first, rows });
    }
    match axes[..] {
        [vertical, horizontal] => Ok([vertical, horizontal]),
        _ => Err(node.invalid("no spatial axis")),
    }
}
