//! Convolutions over a batch of images, fast enough to evaluate thousands of subnets.

use apq_onnx::supernet::Convolution;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::planes::{LANES, Lane, Planes};

/// What follows a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish<'a> {
    /// Added to each output channel.
    pub(super) offset: &'a [f32],
    /// Whether ReLU6 follows.
    pub(super) clamp: bool,
}

/// Room that convolutions work in, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    columns: Vec<Lane>,
    padded: Vec<Lane>,
}

/// `weights` are those of the convolution, `[O, I, k, k]`.
pub(super) fn convolve(
    convolution: &Convolution,
    weights: &[f32],
    finish: Finish<'_>,
    input: &Planes,
    scratch: &mut Scratch,
    output: &mut Planes,
) {
    let Convolution { kernel, stride, outputs, .. } = *convolution;
    let [_, height, width] = input.shape;
    output.shape = [outputs, height.div_ceil(stride), width.div_ceil(stride)];
    output.values.resize(outputs * output.area(), [0.0; LANES]);
    if convolution.is_depthwise() {
        return depthwise(convolution, weights, finish, input, &mut scratch.padded, output);
    }
    if kernel == 1 && stride == 1 {
        product(weights, &input.values, output);
    } else {
        columns(convolution, input, &mut scratch.columns, output.shape);
        product(weights, &scratch.columns, output);
    }
    for (channel, offset) in output.channels_mut().zip(finish.offset) {
        let values = channel.as_flattened_mut();
        if finish.clamp {
            values.iter_mut().for_each(|v| *v = (*v + offset).clamp(0.0, 6.0));
        } else {
            values.iter_mut().for_each(|v| *v += offset);
        }
    }
}

/// `output[O][pixels] = weights[O][rows] * columns[rows][pixels]`.
fn product(weights: &[f32], columns: &[Lane], output: &mut Planes) {
    let (outputs, pixels) = (output.shape[0], output.area() * LANES);
    let rows = weights.len() / outputs.max(1);
    let views = (
        ArrayView2::from_shape((outputs, rows), weights),
        ArrayView2::from_shape((rows, pixels), columns.as_flattened()),
        ArrayViewMut2::from_shape((outputs, pixels), output.values.as_flattened_mut()),
    );
    if let (Ok(weights), Ok(columns), Ok(mut output)) = views {
        general_mat_mul(1.0, &weights, &columns, 0.0, &mut output);
    }
}

/// For every channel and tap the pixels that it meets, zeros outside: `[channels * kernel * kernel][output pixels]`.
fn columns(convolution: &Convolution, input: &Planes, columns: &mut Vec<Lane>, [_, rows, width]: [usize; 3]) {
    let (kernel, stride) = (convolution.kernel, convolution.stride);
    let [channels, input_height, input_width] = input.shape;
    columns.clear();
    columns.reserve(channels * kernel * kernel * rows * width);
    let source = |at: usize, tap: usize, side: usize| (at * stride + tap).checked_sub(kernel / 2).filter(|place| *place < side);
    for channel in input.channels() {
        for tap in 0..kernel * kernel {
            for y in 0..rows {
                let row = source(y, tap / kernel, input_height).map(|y| &channel[y * input_width..][..input_width]);
                let pixel = |x: usize| Some(row?[source(x, tap % kernel, input_width)?]);
                columns.extend((0..width).map(|x| pixel(x).unwrap_or([0.0; LANES])));
            }
        }
    }
}

fn depthwise(convolution: &Convolution, weights: &[f32], finish: Finish<'_>, input: &Planes, padded: &mut Vec<Lane>, output: &mut Planes) {
    let (kernel, stride) = (convolution.kernel, convolution.stride);
    let [_, height, width] = input.shape;
    let (margin, row_len) = (kernel / 2, width + kernel - 1);
    padded.clear();
    padded.resize((height + kernel - 1) * row_len, [0.0; LANES]);
    let out_width = output.shape[2];
    let parts = weights.chunks_exact(kernel * kernel).zip(finish.offset).zip(input.channels().zip(output.channels_mut()));
    for ((weights, offset), (from, to)) in parts {
        // The margins stay zero from channel to channel.
        for (row, from) in padded.chunks_exact_mut(row_len).skip(margin).zip(from.chunks_exact(width)) {
            row[margin..][..width].copy_from_slice(from);
        }
        for (y, row) in to.chunks_exact_mut(out_width).enumerate() {
            let rows = &padded[y * stride * row_len..][..kernel * row_len];
            taps(rows, kernel, weights, *offset, stride, row);
        }
        if finish.clamp {
            to.as_flattened_mut().iter_mut().for_each(|v| *v = v.clamp(0.0, 6.0));
        }
    }
}

/// Outputs that are summed at once.
const PIXELS: usize = 2;

/// One row of outputs: `rows` are the `kernel` padded rows that it meets.
fn taps(rows: &[Lane], kernel: usize, weights: &[f32], offset: f32, stride: usize, output: &mut [Lane]) {
    let row_len = rows.len() / kernel;
    let parts = || rows.chunks_exact(row_len).zip(weights.chunks_exact(kernel));
    let (pairs, last) = output.as_chunks_mut::<PIXELS>();
    for (index, to) in pairs.iter_mut().enumerate() {
        let mut sums = [[offset; LANES]; PIXELS];
        for (row, weights) in parts() {
            let at = |pixel: usize| &row[(index * PIXELS + pixel) * stride..][..kernel];
            for ((first, second), weight) in at(0).iter().zip(at(1)).zip(weights) {
                for lane in 0..LANES {
                    sums[0][lane] += first[lane] * weight;
                    sums[1][lane] += second[lane] * weight;
                }
            }
        }
        *to = sums;
    }
    for (index, to) in last.iter_mut().enumerate() {
        let mut sum = [offset; LANES];
        for (row, weights) in parts() {
            for (pixel, weight) in row[(pairs.len() * PIXELS + index) * stride..].iter().zip(weights) {
                sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value * weight);
            }
        }
        *to = sum;
    }
}
