//! The operators in floats, on channel-last data.

use super::attention;
use super::layer::{Layer, is_depthwise};
use super::product::Product;
use crate::graph::{Clamp, Graph, Node, Op, Window};

/// The result of a node with its clamp.
pub(super) fn evaluate_clamped(graph: &Graph, node: &Node, layer: Option<&Layer>, inputs: &[&[f32]]) -> Vec<f32> {
    if let Some(layer) = layer {
        return weighted(graph, node, layer, inputs[0], node.clamp);
    }
    let mut output = evaluate(graph, node, layer, inputs);
    let Clamp { lo, hi } = node.clamp;
    if !node.clamp.is_none() {
        output.iter_mut().for_each(|v| *v = v.max(lo).min(hi));
    }
    output
}

/// A convolution or a fully connected layer.
fn weighted(graph: &Graph, node: &Node, layer: &Layer, input: &[f32], clamp: Clamp) -> Vec<f32> {
    let (input_shape, output_shape) = (&graph.tensor(node.inputs[0]).shape, &graph.tensor(node.output).shape);
    match &node.op {
        Op::Conv { window, groups, .. } => {
            let conv = Conv { window, input: sides(input_shape), output: sides(output_shape) };
            if is_depthwise(node) { depthwise(&conv, layer, input, clamp) } else { grouped(&conv, *groups, layer, input, clamp) }
        }
        _ => {
            let (inputs, outputs) = (input_shape.last().copied().unwrap_or(1), layer.bias.len());
            let row = |row: usize, _: usize| Some(&input[row * inputs..][..inputs]);
            let product = Product { segments: 1, segment: inputs, weights: &layer.weights, row, clamp };
            product.on_bias(output_shape.iter().product::<usize>() / outputs.max(1), &layer.bias)
        }
    }
}

/// The result of a node, without its clamp. Shapes have been verified.
pub(super) fn evaluate(graph: &Graph, node: &Node, layer: Option<&Layer>, inputs: &[&[f32]]) -> Vec<f32> {
    let input_shape = &graph.tensor(node.inputs[0]).shape;
    let output_shape = &graph.tensor(node.output).shape;
    let first = inputs[0];
    match (&node.op, layer) {
        (_, Some(layer)) => weighted(graph, node, layer, first, Clamp::NONE),
        (Op::Add, _) => pairs(first, inputs[1], |a, b| a + b),
        (Op::Sub, _) => pairs(first, inputs[1], |a, b| a - b),
        (Op::Mul, _) => pairs(first, inputs[1], |a, b| a * b),
        (Op::Table { function }, _) => function.map(first),
        (Op::Prelu { slopes }, _) => {
            let pixel = |pixel: &[f32]| pixel.iter().zip(slopes.iter()).map(|(x, slope)| if *x < 0.0 { x * slope } else { *x }).collect();
            first.chunks_exact(slopes.len()).flat_map::<Vec<f32>, _>(pixel).collect()
        }
        (Op::Resize { rows, columns, .. }, _) => {
            let exact = |at: &f32| f64::from(*at);
            let (rows, columns): (Vec<f64>, Vec<f64>) = (rows.iter().map(exact).collect(), columns.iter().map(exact).collect());
            bilinear(sides(input_shape), &rows, &columns, first).into_iter().map(|v| v as f32).collect()
        }
        (Op::Slice { begin, step }, _) => slice(input_shape, output_shape, begin, step, first),
        (Op::ChannelAffine { scale, offset }, _) => first
            .chunks_exact(scale.len())
            .flat_map(|pixel| pixel.iter().zip(scale.iter().zip(offset.iter())).map(|(x, (s, o))| x * s + o))
            .collect(),
        (Op::Concat { axis }, _) => concat(graph, node, *axis, inputs),
        (Op::MaxPool { window }, _) => {
            pool(window, sides(input_shape), sides(output_shape), first, f32::NEG_INFINITY, f32::max, |sum, _| sum)
        }
        (Op::AveragePool { window, count_include_pad }, _) => {
            let all = (window.kernel[0] * window.kernel[1]) as f32;
            let include = *count_include_pad;
            pool(
                window,
                sides(input_shape),
                sides(output_shape),
                first,
                0.0,
                |a, b| a + b,
                |sum, counted| sum / if include { all } else { counted as f32 },
            )
        }
        (Op::Pad { pads, value }, _) => pad(input_shape, output_shape, pads, *value, first),
        (Op::Transpose { perm }, _) => transpose(input_shape, perm, first),
        (Op::MatMul { transposed, scale }, _) => {
            let mut output = attention::product(input_shape, output_shape, *transposed, first, inputs[1]);
            output.iter_mut().for_each(|v| *v *= scale);
            output
        }
        (Op::LayerNorm { gamma, beta, epsilon }, _) => attention::layer_norm(first, gamma, beta, f64::from(*epsilon)),
        (Op::Softmax, _) => softmax(input_shape.last().copied().unwrap_or(1), first),
        _ => first.to_vec(),
    }
}

/// Each value with its partner; a shorter second list is one row for every row of the first.
fn pairs(a: &[f32], b: &[f32], merge: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    a.chunks_exact(b.len().max(1)).flat_map(|row| row.iter().zip(b).map(|(a, b)| merge(*a, *b))).collect()
}

/// Every pixel of the output between those around its coordinates.
pub(super) fn bilinear([height, width, channels]: [usize; 3], rows: &[f64], columns: &[f64], input: &[f32]) -> Vec<f64> {
    let around = |at: f64, size: usize| (at as usize, (at as usize + 1).min(size - 1), at.fract());
    let mut output = Vec::with_capacity(rows.len() * columns.len() * channels);
    for y in rows {
        let (top, bottom, down) = around(*y, height);
        for x in columns {
            let (left, right, across) = around(*x, width);
            let value = |y: usize, x: usize, channel: usize| f64::from(input[(y * width + x) * channels + channel]);
            output.extend((0..channels).map(|channel| {
                let above = (1.0 - across) * value(top, left, channel) + across * value(top, right, channel);
                let below = (1.0 - across) * value(bottom, left, channel) + across * value(bottom, right, channel);
                (1.0 - down) * above + down * below
            }));
        }
    }
    output
}

fn slice(from: &[usize], to: &[usize], begin: &[usize], step: &[usize], input: &[f32]) -> Vec<f32> {
    let strides = strides(from);
    let mut places = vec![0];
    for axis in 0..from.len() {
        let (first, distance) = (begin[axis] * strides[axis], step[axis] * strides[axis]);
        places = places.iter().flat_map(|base| (0..to[axis]).map(move |place| base + first + place * distance)).collect();
    }
    places.into_iter().map(|place| input[place]).collect()
}

pub(super) fn sides(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [_, height, width, channels] => [height, width, channels],
        _ => [1, 1, shape.iter().product()],
    }
}

fn broadcast_bias(bias: &[f32], len: usize) -> Vec<f32> {
    let mut output = Vec::with_capacity(len);
    (0..len / bias.len().max(1)).for_each(|_| output.extend_from_slice(bias));
    output
}

pub(super) struct Conv<'a> {
    pub(super) window: &'a Window,
    pub(super) input: [usize; 3],
    pub(super) output: [usize; 3],
}

impl Conv<'_> {
    /// For each tap of output pixel `(y, x)`: its number and the input pixel under it, where there is one.
    pub(super) fn taps(&self, y: usize, x: usize) -> impl Iterator<Item = (usize, Option<usize>)> + '_ {
        (0..self.window.kernel[0] * self.window.kernel[1]).map(move |tap| (tap, self.source(y, x, tap)))
    }

    /// The input pixel under a tap of output pixel `(y, x)`, where there is one.
    pub(super) fn source(&self, y: usize, x: usize, tap: usize) -> Option<usize> {
        let Window { kernel, stride, dilation, pad_begin, .. } = *self.window;
        let [height, width, _] = self.input;
        let row = (y * stride[0] + tap / kernel[1] * dilation[0]).checked_sub(pad_begin[0]).filter(|row| *row < height)?;
        let column = (x * stride[1] + tap % kernel[1] * dilation[1]).checked_sub(pad_begin[1]).filter(|column| *column < width)?;
        Some(row * width + column)
    }
}

fn grouped(conv: &Conv<'_>, groups: usize, layer: &Layer, input: &[f32], clamp: Clamp) -> Vec<f32> {
    let [height, width, outputs] = conv.output;
    let channels = conv.input[2];
    let Window { kernel, stride, pad_begin, pad_end, .. } = *conv.window;
    if groups == 1 && kernel == [1, 1] && stride == [1, 1] && pad_begin == [0, 0] && pad_end == [0, 0] {
        let row = |row: usize, _: usize| Some(&input[row * channels..][..channels]);
        return Product { segments: 1, segment: channels, weights: &layer.weights, row, clamp }.on_bias(height * width, &layer.bias);
    }
    let mut output = broadcast_bias(&layer.bias, height * width * outputs);
    let (inputs, group_outputs) = (channels / groups, outputs / groups);
    let taps = kernel[0] * kernel[1];
    for group in 0..groups {
        let row = |pixel: usize, tap: usize| {
            conv.source(pixel / width, pixel % width, tap).map(|source| &input[source * channels + group * inputs..][..inputs])
        };
        let weights = &layer.weights[group * group_outputs * taps * inputs..][..group_outputs * taps * inputs];
        let columns = group * group_outputs..(group + 1) * group_outputs;
        Product { segments: taps, segment: inputs, weights, row, clamp }.add_to(&mut output, outputs, columns);
    }
    output
}

fn depthwise(conv: &Conv<'_>, layer: &Layer, input: &[f32], clamp: Clamp) -> Vec<f32> {
    let [height, width, channels] = conv.output;
    let mut output = broadcast_bias(&layer.bias, height * width * channels);
    for (pixel, to) in output.chunks_exact_mut(channels).enumerate() {
        for (tap, source) in conv.taps(pixel / width, pixel % width) {
            if let Some(source) = source {
                let from = &input[source * channels..][..channels];
                let weights = &layer.weights[tap * channels..][..channels];
                to.iter_mut().zip(from.iter().zip(weights)).for_each(|(to, (x, w))| *to += x * w);
            }
        }
        if !clamp.is_none() {
            to.iter_mut().for_each(|v| *v = v.max(clamp.lo).min(clamp.hi));
        }
    }
    output
}

fn pool(
    window: &Window,
    input: [usize; 3],
    output: [usize; 3],
    values: &[f32],
    start: f32,
    merge: impl Fn(f32, f32) -> f32,
    finish: impl Fn(f32, usize) -> f32,
) -> Vec<f32> {
    let [height, width, channels] = output;
    let conv = Conv { window, input, output };
    let mut result = vec![start; height * width * channels];
    for (pixel, to) in result.chunks_exact_mut(channels).enumerate() {
        let mut counted = 0;
        for (_, source) in conv.taps(pixel / width, pixel % width) {
            if let Some(source) = source {
                counted += 1;
                to.iter_mut().zip(&values[source * channels..]).for_each(|(to, x)| *to = merge(*to, *x));
            }
        }
        to.iter_mut().for_each(|v| *v = finish(*v, counted));
    }
    result
}

fn concat(graph: &Graph, node: &Node, axis: usize, inputs: &[&[f32]]) -> Vec<f32> {
    let blocks: Vec<usize> = node.inputs.iter().map(|id| graph.tensor(*id).shape[axis..].iter().product()).collect();
    let outer: usize = graph.tensor(node.output).shape[..axis].iter().product();
    let mut output = Vec::with_capacity(graph.tensor(node.output).len());
    for position in 0..outer {
        inputs.iter().zip(&blocks).for_each(|(input, block)| output.extend_from_slice(&input[position * block..][..*block]));
    }
    output
}

pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

fn pad(from: &[usize], to: &[usize], pads: &[(usize, usize)], value: f32, input: &[f32]) -> Vec<f32> {
    let (from_strides, to_strides) = (strides(from), strides(to));
    let mut output = vec![value; to.iter().product()];
    for (index, x) in input.iter().enumerate() {
        let place: usize = (0..from.len()).map(|axis| (index / from_strides[axis] % from[axis] + pads[axis].0) * to_strides[axis]).sum();
        output[place] = *x;
    }
    output
}

fn transpose(shape: &[usize], perm: &[usize], input: &[f32]) -> Vec<f32> {
    let from = strides(shape);
    let mut order = vec![0];
    for axis in perm {
        order = order.iter().flat_map(|base| (0..shape[*axis]).map(|i| base + i * from[*axis]).collect::<Vec<_>>()).collect();
    }
    order.into_iter().map(|element| input[element]).collect()
}

fn softmax(classes: usize, input: &[f32]) -> Vec<f32> {
    let mut output = input.to_vec();
    for row in output.chunks_exact_mut(classes) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|v| *v = (*v - max).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
    }
    output
}
