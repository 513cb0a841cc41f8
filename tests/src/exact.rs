//! What every lowered node must compute, in f64, from the specification of the arithmetic: real values of the input codes, weights and biases on
//! their grids, one rounding to the output's grid. Shares no code with the compiler's float executor, its lowering, or the kernels.

use apqc::graph::{Clamp, NodeId, Op, TensorId, Window};
use apqc::quant::QuantizedNetwork;

/// A code that a node should have written, before it is rounded.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Real value over the output's scale, plus its zero point, clamped to the codes that may be written.
    pub code: f64,
    /// How far mantissas of finite length may move it.
    pub slack: f64,
}

impl Expected {
    /// Whether an integer is this code rounded, ties either way.
    pub fn admits(&self, code: i32) -> bool {
        (f64::from(code) - self.code).abs() <= 0.5 + self.slack
    }
}

/// A value of a node before its clamp: in units of the output's scale, and the size of what was added up.
struct Value {
    units: f64,
    magnitude: f64,
}

/// The codes of the node's output, in stored order, for the codes of its inputs. `None` for a channel that the caller names in `skip`, whose weight
/// scale was raised.
pub fn evaluate(network: &QuantizedNetwork<'_>, id: NodeId, inputs: &[Vec<i32>], skip: &[usize]) -> Vec<Option<Expected>> {
    let graph = network.graph;
    let node = &graph.nodes[id.0];
    let quantizer = |tensor: TensorId| network.quantizer(tensor).expect("every tensor has a quantizer");
    let output = quantizer(node.output);
    let unit = f64::from(output.scale);
    let real: Vec<Vec<f64>> = node
        .inputs
        .iter()
        .zip(inputs)
        .map(|(tensor, codes)| {
            let quantizer = quantizer(*tensor);
            codes.iter().map(|code| f64::from(code - quantizer.zero_point) * f64::from(quantizer.scale)).collect()
        })
        .collect();
    let shape = |tensor: TensorId| graph.tensor(tensor).shape.clone();
    let (from, to) = (shape(node.inputs[0]), shape(node.output));
    let plain = |values: Vec<f64>| -> Vec<Value> { values.into_iter().map(|v| Value { units: v / unit, magnitude: 0.0 }).collect() };
    // Relative error of a mantissa of that many bits.
    let mut relative = 2f64.powi(-30);
    let mut absolute = 0.0;
    let values: Vec<Value> = match &node.op {
        Op::Conv { .. } | Op::FullyConnected { .. } => {
            relative = 2f64.powi(-22);
            weighted(network, id, &real[0], unit)
        }
        Op::Add => {
            relative = 2f64.powi(-20);
            real[0]
                .iter()
                .zip(real[1].iter().cycle())
                .map(|(a, b)| Value { units: (a + b) / unit, magnitude: (a.abs() + b.abs()) / unit })
                .collect()
        }
        Op::Sub | Op::Mul => {
            let product = node.op == Op::Mul;
            relative = if product { relative } else { 2f64.powi(-20) };
            let merge = |a: f64, b: f64| if product { a * b } else { a - b };
            let magnitude = |a: f64, b: f64| if product { (a * b).abs() } else { a.abs() + b.abs() };
            let pairs = real[0].iter().zip(real[1].iter().cycle());
            pairs.map(|(a, b)| Value { units: merge(*a, *b) / unit, magnitude: magnitude(*a, *b) / unit }).collect()
        }
        Op::Table { function } => {
            let input = quantizer(node.inputs[0]);
            let (lo, hi) = bounds(node.clamp, output.zero_point, unit, output.code_range());
            let entry = |code: i32| {
                let y = function.at(f64::from(code - input.zero_point) * f64::from(input.scale)) / unit;
                let y = if y.is_nan() { 0.0 } else { y };
                (y.round() + f64::from(output.zero_point)).clamp(f64::from(lo), f64::from(hi)) - f64::from(output.zero_point)
            };
            // At 16 bits the codes between two points, 128 apart, lie on the line through them, rounded half up.
            let between = |code: i32| {
                let first = code.div_euclid(128) * 128;
                let part = f64::from(code - first) / 128.0;
                ((1.0 - part) * entry(first) + part * entry(first + 128) + 0.5).floor()
            };
            let at = |code: &i32| if input.bits == 16 { between(*code) } else { entry(*code) };
            // Entries are whole codes: nothing is left to round.
            absolute = -0.49;
            plain(inputs[0].iter().map(|code| at(code) * unit).collect())
        }
        Op::Prelu { slopes } => {
            let slopes = slopes.iter().cycle();
            plain(real[0].iter().zip(slopes).map(|(x, slope)| if *x < 0.0 { x * f64::from(*slope) } else { *x }).collect())
        }
        Op::Resize { rows, columns, interpolate } => {
            relative = 2f64.powi(-22);
            // Weights are multiples of 2^-11.
            let grid = |at: &f32| if *interpolate { (f64::from(*at) * 2048.0).round() / 2048.0 } else { f64::from(*at) };
            let mut values = Vec::new();
            for y in rows.iter().map(grid) {
                for x in columns.iter().map(grid) {
                    for channel in 0..from[3] {
                        let corner = |down: f64, right: f64| {
                            let (row, column) = ((y.floor() + down) as usize, (x.floor() + right) as usize);
                            let weight = (1.0 - (y - row as f64).abs()) * (1.0 - (x - column as f64).abs());
                            let at = [0, row.min(from[1] - 1), column.min(from[2] - 1), channel];
                            if weight == 0.0 { 0.0 } else { weight * real[0][index(&from, &at)] }
                        };
                        values.push(corner(0.0, 0.0) + corner(0.0, 1.0) + corner(1.0, 0.0) + corner(1.0, 1.0));
                    }
                }
            }
            plain(values)
        }
        Op::Slice { begin, step } => plain(
            (0..to.iter().product())
                .map(|element| {
                    let at: Vec<usize> =
                        position(&to, element).iter().enumerate().map(|(axis, place)| begin[axis] + place * step[axis]).collect();
                    real[0][index(&from, &at)]
                })
                .collect(),
        ),
        Op::Concat { axis } => plain(concat(&node.inputs.iter().map(|id| shape(*id)).collect::<Vec<_>>(), *axis, &real)),
        Op::MaxPool { window } => {
            plain(pool(&from, &to, window, &real[0], |values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max)))
        }
        Op::AveragePool { window, count_include_pad } => {
            let all = (window.kernel[0] * window.kernel[1]) as f64;
            let mean = |values: &[f64]| values.iter().sum::<f64>() / if *count_include_pad { all } else { values.len() as f64 };
            plain(pool(&from, &to, window, &real[0], mean))
        }
        Op::Pad { pads, value } => plain(pad(&from, &to, pads, f64::from(*value), &real[0])),
        Op::Transpose { perm } => plain(transpose(&from, perm, &real[0])),
        Op::Softmax => {
            // Documented in `apq_kernels::reference::softmax`: at most 0.54 of a code from the exact value, its own rounding included.
            absolute = 0.05;
            plain(softmax(from[from.len() - 1], &real[0]))
        }
        Op::MatMul { transposed, scale } => product(&from, &to, *transposed, &real, f64::from(*scale) / unit),
        Op::LayerNorm { gamma, beta, epsilon } => {
            // Documented in `apq_kernels::reference::layer_norm`, beside the rounding of its constants.
            absolute = 0.012;
            let scale = f64::from(quantizer(node.inputs[0]).scale);
            layer_norm(&real[0], gamma, beta, f64::from(*epsilon), scale, unit)
        }
        Op::Reshape | Op::Clamp => plain(real[0].clone()),
        Op::ChannelAffine { .. } => panic!("{}: a channel affine was lowered", node.name),
    };
    let (lo, hi) = match node.op {
        // Moves codes, and the code of its constant: that must exist.
        Op::Pad { .. } => (i32::MIN, i32::MAX),
        _ => bounds(node.clamp, output.zero_point, unit, output.code_range()),
    };
    let channels = to[to.len() - 1];
    let finish = |(index, value): (usize, Value)| {
        let code = (value.units + f64::from(output.zero_point)).clamp(f64::from(lo), f64::from(hi));
        // A factor is a quotient of two f32 scales, which f64 holds to 2^-52.
        let slack = absolute + relative * (value.magnitude + value.units.abs()) + 1e-9;
        (!skip.contains(&(index % channels))).then_some(Expected { code, slack })
    };
    assert_eq!(values.len(), to.iter().product::<usize>(), "{}", node.name);
    values.into_iter().enumerate().map(finish).collect()
}

/// A fused ReLU is lo = max(lo, z), a fused ReLU6 also hi = min(hi, z + round(6 / s)).
fn bounds(clamp: Clamp, zero_point: i32, unit: f64, (lo, hi): (i32, i32)) -> (i32, i32) {
    let code = |bound: f32| -> f64 {
        let steps = f64::from(bound) / unit;
        if steps.is_finite() { steps.round() + f64::from(zero_point) } else { steps }
    };
    let inside = |code: f64| code.clamp(f64::from(lo), f64::from(hi)) as i32;
    (inside(code(clamp.lo)), inside(code(clamp.hi)))
}

fn weighted(network: &QuantizedNetwork<'_>, id: NodeId, input: &[f64], unit: f64) -> Vec<Value> {
    let graph = network.graph;
    let node = &graph.nodes[id.0];
    let rounded = network.layer(id).expect("a weighted node has weights");
    let quantized = &rounded.weights;
    let scale_in = f64::from(network.quantizer(node.inputs[0]).expect("every tensor has a quantizer").scale);
    let outputs = quantized.scales.len();
    let row_len = quantized.codes.len() / outputs;
    let rows: Vec<&[i8]> = quantized.codes.chunks_exact(row_len).collect();
    let scales: Vec<f64> = quantized.scales.iter().map(|scale| f64::from(*scale)).collect();
    // The bias lies on the grid s_in * s_w; a row of zeros has no grid of its own.
    let bias: Vec<f64> = (0..outputs)
        .map(|o| {
            let (bias, grid) = (f64::from(rounded.bias[o]), scale_in * scales[o]);
            if rows[o].iter().all(|code| *code == 0) { bias } else { (bias / grid).round() * grid }
        })
        .collect();
    let value = |o: usize, taps: &mut dyn Iterator<Item = (usize, f64)>| {
        let (mut sum, mut size) = (0.0, 0.0);
        for (k, x) in taps {
            let term = f64::from(rows[o][k]) * scales[o] * x;
            sum += term;
            size += term.abs();
        }
        // A bias without weights keeps 14 bits behind the point.
        let own = if rows[o].iter().all(|code| *code == 0) { unit * 2f64.powi(-15) / 2f64.powi(-22) } else { 0.0 };
        Value { units: (sum + bias[o]) / unit, magnitude: (size + own) / unit }
    };
    match &node.op {
        Op::Conv { window, groups, .. } => {
            let (from, to) = (&graph.tensor(node.inputs[0]).shape, &graph.tensor(node.output).shape);
            let (inputs, group_outputs) = (from[3] / groups, outputs / groups);
            let mut values = Vec::new();
            for (y, x) in places(to) {
                for o in 0..outputs {
                    let first = o / group_outputs * inputs;
                    let mut taps = under(window, from, y, x)
                        .flat_map(|(tap, pixel)| (0..inputs).map(move |i| (tap * inputs + i, pixel * from[3] + first + i)));
                    values.push(value(o, &mut taps.by_ref().map(|(k, at)| (k, input[at]))));
                }
            }
            values
        }
        _ => input
            .chunks_exact(row_len)
            .flat_map(|row| (0..outputs).map(|o| value(o, &mut row.iter().copied().enumerate())).collect::<Vec<_>>())
            .collect(),
    }
}

/// Output pixels, row by row.
fn places(shape: &[usize]) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (height, width) = (shape[1], shape[2]);
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

/// Taps of an output pixel that lie inside the input: number of the tap and of the input pixel.
fn under<'a>(window: &'a Window, shape: &'a [usize], y: usize, x: usize) -> impl Iterator<Item = (usize, usize)> + 'a {
    let (height, width) = (shape[1] as isize, shape[2] as isize);
    (0..window.kernel[0]).flat_map(move |ky| (0..window.kernel[1]).map(move |kx| (ky, kx))).filter_map(move |(ky, kx)| {
        let row = (y * window.stride[0] + ky * window.dilation[0]) as isize - window.pad_begin[0] as isize;
        let column = (x * window.stride[1] + kx * window.dilation[1]) as isize - window.pad_begin[1] as isize;
        let inside = (0..height).contains(&row) && (0..width).contains(&column);
        inside.then(|| (ky * window.kernel[1] + kx, (row * width + column) as usize))
    })
}

fn pool(from: &[usize], to: &[usize], window: &Window, input: &[f64], merge: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let channels = from[3];
    let mut values = Vec::new();
    for (y, x) in places(to) {
        for channel in 0..channels {
            let inside: Vec<f64> = under(window, from, y, x).map(|(_, pixel)| input[pixel * channels + channel]).collect();
            values.push(merge(&inside));
        }
    }
    values
}

/// Position of an element on every axis.
fn position(shape: &[usize], mut index: usize) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        position[axis] = index % shape[axis];
        index /= shape[axis];
    }
    position
}

fn index(shape: &[usize], position: &[usize]) -> usize {
    shape.iter().zip(position).fold(0, |index, (size, place)| index * size + place)
}

fn concat(shapes: &[Vec<usize>], axis: usize, inputs: &[Vec<f64>]) -> Vec<f64> {
    let mut shape = shapes[0].clone();
    shape[axis] = shapes.iter().map(|shape| shape[axis]).sum();
    (0..shape.iter().product())
        .map(|element| {
            let mut at = position(&shape, element);
            let mut which = 0;
            while at[axis] >= shapes[which][axis] {
                at[axis] -= shapes[which][axis];
                which += 1;
            }
            inputs[which][index(&shapes[which], &at)]
        })
        .collect()
}

fn pad(from: &[usize], to: &[usize], pads: &[(usize, usize)], value: f64, input: &[f64]) -> Vec<f64> {
    (0..to.iter().product())
        .map(|element| {
            let at: Option<Vec<usize>> = position(to, element)
                .iter()
                .zip(pads)
                .zip(from)
                .map(|((place, pad), size)| place.checked_sub(pad.0).filter(|place| place < size))
                .collect();
            at.map_or(value, |at| input[index(from, &at)])
        })
        .collect()
}

fn transpose(from: &[usize], perm: &[usize], input: &[f64]) -> Vec<f64> {
    let to: Vec<usize> = perm.iter().map(|axis| from[*axis]).collect();
    (0..input.len())
        .map(|element| {
            let at = position(&to, element);
            let mut source = vec![0; from.len()];
            perm.iter().zip(&at).for_each(|(axis, place)| source[*axis] = *place);
            input[index(from, &source)]
        })
        .collect()
}

/// The last two axes multiplied, in units of the output.
fn product(from: &[usize], to: &[usize], transposed: bool, real: &[Vec<f64>], factor: f64) -> Vec<Value> {
    let rank = to.len();
    let (rows, inner, columns) = (from[rank - 2], from[rank - 1], to[rank - 1]);
    let value = |element: usize| {
        let (batch, row, column) = (element / (rows * columns), element / columns % rows, element % columns);
        let (mut units, mut magnitude) = (0.0, 0.0);
        for k in 0..inner {
            let b = if transposed { (batch * columns + column) * inner + k } else { (batch * inner + k) * columns + column };
            let term = real[0][(batch * rows + row) * inner + k] * real[1][b] * factor;
            units += term;
            magnitude += term.abs();
        }
        Value { units, magnitude }
    };
    (0..to.iter().product()).map(value).collect()
}

/// Layer normalisation in units of the output. The magnitude says what the rounding of epsilon to 1/64 of a squared code may move.
fn layer_norm(input: &[f64], gamma: &[f32], beta: &[f32], epsilon: f64, scale: f64, unit: f64) -> Vec<Value> {
    let count = gamma.len() as f64;
    let mut values = Vec::new();
    for row in input.chunks_exact(gamma.len()) {
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let root = 64.0 * (count / scale).powi(2) * (variance + epsilon);
        let moved = (0.25 / root.max(0.25)) * 2f64.powi(30);
        for (x, (gamma, beta)) in row.iter().zip(gamma.iter().zip(beta)) {
            let normal = if variance == 0.0 { 0.0 } else { (x - mean) / (variance + epsilon).sqrt() };
            let scaled = normal * f64::from(*gamma) / unit;
            values.push(Value { units: scaled + f64::from(*beta) / unit, magnitude: scaled.abs() * (1.0 + moved) });
        }
    }
    values
}

/// Softmax over rows of that many values.
pub fn softmax(channels: usize, input: &[f64]) -> Vec<f64> {
    input
        .chunks_exact(channels)
        .flat_map(|row| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = row.iter().map(|v| (v - largest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(move |power| power / sum)
        })
        .collect()
}
