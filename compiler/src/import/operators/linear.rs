//! Conv, Gemm and MatMul with constant weights.

use super::super::error::ImportError;
use super::super::facts::Constant;
use super::super::node::OnnxNode;
use super::super::view::View;
use super::Importer;
use crate::graph::{Clamp, Op, Weights, Window};

const CONSTANT_WEIGHTS: &str = "constant weights";

/// What a convolution and a transposed one have in common.
pub(super) struct Filter {
    /// The value that is filtered, and its shape in ONNX order.
    pub(super) view: View,
    pub(super) shape: Vec<usize>,
    /// Spatial axes, 1 or 2.
    pub(super) spatial: usize,
    /// The weights as ONNX has them.
    pub(super) weight: Constant,
    pub(super) groups: usize,
    /// Of height 1 where there is one spatial axis.
    pub(super) kernel: [usize; 2],
}

/// Reads the first two inputs of a convolution; `what` names it in errors.
pub(super) fn filter(importer: &mut Importer, node: OnnxNode<'_>, what: &str) -> Result<Filter, ImportError> {
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    if !(3..=4).contains(&shape.len()) {
        return Err(node.unsupported("", format!("{what} of {shape:?}"), "one or two spatial axes"));
    }
    let spatial = shape.len() - 2;
    let weight = node.weights(1, CONSTANT_WEIGHTS)?;
    let groups =
        usize::try_from(node.int("group").unwrap_or(1)).ok().filter(|g| *g > 0).ok_or_else(|| node.invalid("group is not positive"))?;
    let kernel = match weight.shape[..] {
        [_, _, height, width] if spatial == 2 => [height, width],
        [_, _, width] if spatial == 1 => [1, width],
        _ => return Err(node.invalid(format!("weights of shape {:?} for an input of shape {shape:?}", weight.shape))),
    };
    Ok(Filter { view, shape, spatial, weight, groups, kernel })
}

/// The bias of a convolution; zeros where it has none.
pub(super) fn bias(node: OnnxNode<'_>, outputs: usize) -> Result<Vec<f32>, ImportError> {
    let bias = match node.input(2) {
        Some(_) => node.weights(2, CONSTANT_WEIGHTS)?.values,
        None => vec![0.0; outputs],
    };
    if bias.len() != outputs {
        return Err(node.invalid(format!("{} biases for {outputs} output channels", bias.len())));
    }
    Ok(bias)
}

pub(super) fn conv(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let Filter { view, shape, spatial, weight, groups, kernel } = filter(importer, node, "convolution")?;
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    if shape[1] != inputs * groups || outputs == 0 || outputs % groups != 0 || kernel.contains(&0) {
        return Err(node.invalid(format!("weights of shape {:?} with group {groups} for an input of shape {shape:?}", weight.shape)));
    }
    let declared = node.pair("kernel_shape", 1, spatial)?;
    if node.ints("kernel_shape").is_some() && declared != kernel {
        return Err(node.invalid(format!("kernel_shape {declared:?} with weights of shape {:?}", weight.shape)));
    }
    let input = importer.builder.image(node.name(), &view);
    let image = importer.builder.graph.tensor(input).shape.clone();
    let window = window(node, kernel, spatial, [image[1], image[2]])?;
    let bias = bias(node, outputs)?;
    // [O][I][H][W] to [O][H][W][I].
    let taps = kernel[0] * kernel[1];
    let mut values = Vec::with_capacity(weight.values.len());
    for row in weight.values.chunks_exact(inputs * taps) {
        for tap in 0..taps {
            values.extend((0..inputs).map(|channel| row[channel * taps + tap]));
        }
    }
    let side = |axis: usize| {
        window.output(axis, image[axis + 1]).ok_or_else(|| node.invalid(format!("the window {window} is larger than its input {shape:?}")))
    };
    let output_shape = vec![1, side(0)?, side(1)?, outputs];
    let weights = Weights { values: values.into(), bias: bias.into() };
    let tensor = importer.builder.push(node.name(), Op::Conv { weights, window, groups }, vec![input], output_shape, Clamp::NONE);
    Ok(importer.builder.after_image(node.name(), tensor, spatial + 2))
}

/// Strides, dilations and padding of a convolution or a pooling, `auto_pad` resolved.
pub(super) fn window(node: OnnxNode<'_>, kernel: [usize; 2], spatial: usize, image: [usize; 2]) -> Result<Window, ImportError> {
    let stride = node.pair("strides", 1, spatial)?;
    let dilation = node.pair("dilations", 1, spatial)?;
    let mut window = Window { kernel, stride, dilation, pad_begin: [0; 2], pad_end: [0; 2] };
    let automatic = node.text("auto_pad").unwrap_or_default();
    match automatic.as_str() {
        "" | "NOTSET" => {
            let pads: Vec<usize> = match node.ints("pads") {
                None => Vec::new(),
                Some(pads) => pads
                    .iter()
                    .map(|p| usize::try_from(*p).ok().filter(|p| *p < 1 << 20))
                    .collect::<Option<_>>()
                    .ok_or_else(|| node.unsupported("pads", format!("{pads:?}"), "padding of at least 0"))?,
            };
            match (spatial, &pads[..]) {
                (_, []) => {}
                (2, [top, left, bottom, right]) => (window.pad_begin, window.pad_end) = ([*top, *left], [*bottom, *right]),
                (1, [left, right]) => (window.pad_begin, window.pad_end) = ([0, *left], [0, *right]),
                _ => return Err(node.invalid(format!("pads {pads:?} for {spatial} spatial axes"))),
            }
        }
        "VALID" => {}
        "SAME_UPPER" | "SAME_LOWER" => {
            for axis in 0..2 {
                let output = image[axis].div_ceil(stride[axis]);
                let total = ((output - 1) * stride[axis] + window.extent(axis)).saturating_sub(image[axis]);
                let (small, large) = (total / 2, total - total / 2);
                let upper = automatic == "SAME_UPPER";
                window.pad_begin[axis] = if upper { small } else { large };
                window.pad_end[axis] = if upper { large } else { small };
            }
        }
        other => return Err(node.invalid(format!("auto_pad {other}"))),
    }
    check_window(node, &window, image)?;
    Ok(window)
}

/// The file format holds 16-bit window sizes, and kernels much larger than their input would only read padding.
pub(super) fn check_window(node: OnnxNode<'_>, window: &Window, image: [usize; 2]) -> Result<(), ImportError> {
    const TAPS_FEW: usize = 16;
    let sizes = [window.kernel, window.stride, window.dilation, window.pad_begin, window.pad_end];
    if sizes.iter().flatten().any(|size| *size > usize::from(u16::MAX)) {
        return Err(node.unsupported("", format!("the window {window}"), "sizes of at most 65535"));
    }
    if (0..2).any(|axis| window.kernel[axis] > TAPS_FEW.max(2 * image[axis])) {
        return Err(node.unsupported(
            "kernel_shape",
            format!("the window {window} over {image:?}"),
            "kernels of at most twice the input's size",
        ));
    }
    Ok(())
}

pub(super) fn gemm(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    if node.int("transA").unwrap_or(0) != 0 {
        return Err(node.unsupported("transA", "1", "transA = 0"));
    }
    let view = importer.value(&node, 0)?;
    let shape = importer.builder.shape(&view);
    let weight = node.weights(1, CONSTANT_WEIGHTS)?;
    let (&[rows, inputs], &[k, n]) = (&shape[..], &weight.shape[..]) else {
        return Err(node.invalid(format!("product of {shape:?} and {:?}", weight.shape)));
    };
    let transposed = node.int("transB").unwrap_or(0) != 0;
    let (k, outputs) = if transposed { (n, k) } else { (k, n) };
    if k != inputs || outputs == 0 {
        return Err(node.invalid(format!("product of {shape:?} and {:?}", weight.shape)));
    }
    let (alpha, beta) = (node.float("alpha").unwrap_or(1.0), node.float("beta").unwrap_or(1.0));
    let at = |o: usize, i: usize| if transposed { weight.values[o * inputs + i] } else { weight.values[i * outputs + o] };
    let values: Vec<f32> = (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).map(|(o, i)| alpha * at(o, i)).collect();
    let bias = match node.input(2) {
        None => vec![0.0; outputs],
        Some(name) => {
            let c = node.weights(2, CONSTANT_WEIGHTS)?;
            match c.values.len() {
                1 => vec![beta * c.values[0]; outputs],
                len if len == outputs && c.shape.last() == Some(&outputs) => c.values.iter().map(|v| beta * v).collect(),
                _ => {
                    return Err(node.unsupported(
                        name,
                        format!("C of shape {:?} for {rows} x {outputs}", c.shape),
                        "one value for each output",
                    ));
                }
            }
        }
    };
    if !values.iter().chain(&bias).all(|v| v.is_finite()) {
        return Err(node.invalid(format!("alpha {alpha} or beta {beta} makes weights or biases that are not finite")));
    }
    let input = importer.builder.plain(node.name(), &view);
    let op = Op::FullyConnected { weights: Weights { values: values.into(), bias: bias.into() } };
    let tensor = importer.builder.push(node.name(), op, vec![input], vec![rows, outputs], Clamp::NONE);
    Ok(View { tensor, axes: vec![0, 1] })
}

/// `X W` is a fully connected layer over the last axis; `W X` is one over the last but one, so the value is viewed transposed.
pub(super) fn matmul(importer: &mut Importer, node: OnnxNode<'_>) -> Result<View, ImportError> {
    let right = match (importer.is_value(&node, 0), importer.is_value(&node, 1)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => return super::attention::product(importer, node),
        (false, false) => return Err(node.invalid("neither side depends on the network's input")),
    };
    let mut view = importer.value(&node, usize::from(!right))?;
    let weight = node.weights(usize::from(right), CONSTANT_WEIGHTS)?;
    let shape = importer.builder.shape(&view);
    let rank = shape.len();
    let [batch @ .., m, n] = &weight.shape[..] else {
        return Err(node.unsupported("", format!("constant of shape {:?}", weight.shape), "a constant matrix"));
    };
    if batch.iter().any(|size| *size != 1) || rank < 2 + usize::from(!right) || weight.shape.len() > rank {
        return Err(node.unsupported(
            "",
            format!("constant of shape {:?} with a value of shape {shape:?}", weight.shape),
            "one constant matrix",
        ));
    }
    let (inputs, outputs) = if right { (*m, *n) } else { (*n, *m) };
    let contracted = if right { rank - 1 } else { rank - 2 };
    if shape[contracted] != inputs || outputs == 0 {
        return Err(node.invalid(format!("product of shapes {shape:?} and {:?}", weight.shape)));
    }
    if !right {
        view.axes.swap(rank - 1, rank - 2);
    }
    let at = |o: usize, i: usize| if right { weight.values[i * outputs + o] } else { weight.values[o * inputs + i] };
    let values: Vec<f32> = (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).map(|(o, i)| at(o, i)).collect();
    let input = importer.builder.plain(node.name(), &view);
    let mut output_shape = importer.builder.graph.tensor(input).shape.clone();
    output_shape[rank - 1] = outputs;
    let op = Op::FullyConnected { weights: Weights { values: values.into(), bias: vec![0.0; outputs].into() } };
    let tensor = importer.builder.push(node.name(), op, vec![input], output_shape, Clamp::NONE);
    let mut axes: Vec<usize> = (0..rank).collect();
    if !right {
        axes.swap(rank - 1, rank - 2);
    }
    Ok(View { tensor, axes })
}
