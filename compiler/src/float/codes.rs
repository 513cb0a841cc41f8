//! The whole quantized network simulated in floats, on codes.
//!
//! [`Simulation`](super::Simulation) rounds real values, which is what phase 1 needs, since there most of the network is float. Once every tensor has
//! a quantizer, its sums of real products are off by some millionths, a few of several million roundings fall to the other side, and a deep network
//! amplifies them. Here tensors hold codes less their zero point: whole numbers, whose products and sums floats hold exactly (up to 2^24), and scales
//! meet them in f64. What is left to differ from the integer runtime is what a simulation should tell: packing, padding, clamps, accumulators.

use std::sync::Arc;

use apq_kernels::{ActivationBits, Activations, LayerNorm, OutputCodes, Softmax, pack, reference};
use apq_runtime::build::{OperatorSpec, Rescale};

use super::layer::Layer;
use super::{attention, operators};
use crate::graph::{Graph, Node, NodeId, Op, TensorId};
use crate::lower::requant::{mantissa, resize_mantissa, shared_mantissas, signed_mantissa};
use crate::lower::{COORDINATE_STEP, clamp_codes, exponents, look_up, norm, on_grid, table_entries};
use crate::quant::QuantizedNetwork;
use crate::quant::ranges::ActivationQuantizer;

/// A quantized network, ready to run on codes in floats.
pub struct CodeSimulation {
    graph: Graph,
    layers: Vec<Option<CodeLayer>>,
    quantizers: Vec<ActivationQuantizer>,
}

/// A layer on codes.
struct CodeLayer {
    /// Weight codes; no bias.
    layer: Arc<Layer>,
    /// For each output channel, what a sum of products is worth in output codes.
    factors: Vec<f64>,
    /// Bias in output codes, a multiple of the factor.
    offsets: Vec<f64>,
}

impl CodeSimulation {
    /// Prepares a network; `None` where a tensor or a layer has no quantizer.
    pub fn new(network: &QuantizedNetwork<'_>) -> Option<CodeSimulation> {
        let graph = network.graph;
        let quantizers = (0..graph.tensors.len()).map(|tensor| network.quantizer(TensorId(tensor))).collect::<Option<Vec<_>>>()?;
        let mut layers = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            layers.push(match node.op.weights() {
                Some(_) => Some(code_layer(network, NodeId(index), &quantizers)?),
                None => None,
            });
        }
        Some(CodeSimulation { graph: graph.clone(), layers, quantizers })
    }

    /// The real values of the output for the real values of an input.
    pub fn run(&self, input: &[f32]) -> Vec<f32> {
        let mut codes: Vec<Vec<f32>> = vec![Vec::new(); self.graph.tensors.len()];
        let mut last_reader = vec![0; self.graph.tensors.len()];
        for (index, node) in self.graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| last_reader[input.0] = index);
        }
        last_reader[self.graph.output.0] = usize::MAX;
        codes[self.graph.input.0] = self.quantizers[self.graph.input.0].centred_codes(input);
        for (index, tensor) in self.graph.tensors.iter().enumerate() {
            if let Some(constant) = &tensor.constant {
                codes[index] = self.quantizers[index].centred_codes(constant);
            }
        }
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let inputs: Vec<&[f32]> = node.inputs.iter().map(|input| codes[input.0].as_slice()).collect();
            let output = self.evaluate(index, node, &inputs);
            codes[node.output.0] = output;
            for input in node.inputs.iter().filter(|input| last_reader[input.0] == index) {
                codes[input.0] = Vec::new();
            }
        }
        let scale = self.quantizers[self.graph.output.0].scale;
        codes[self.graph.output.0].iter().map(|code| code * scale).collect()
    }

    fn evaluate(&self, index: usize, node: &Node, inputs: &[&[f32]]) -> Vec<f32> {
        let quantizer = |tensor: TensorId| &self.quantizers[tensor.0];
        let (input, output) = (quantizer(node.inputs[0]), quantizer(node.output));
        let to_output = |from: &ActivationQuantizer| f64::from(from.scale) / f64::from(output.scale);
        let bounds = bounds(node, output);
        let plain = |node: &Node, inputs: &[&[f32]]| operators::evaluate(&self.graph, node, None, inputs);
        match (&node.op, &self.layers[index]) {
            (_, Some(CodeLayer { layer, factors, offsets })) => {
                let mut sums = operators::evaluate(&self.graph, node, Some(layer.as_ref()), inputs);
                for pixel in sums.chunks_exact_mut(factors.len()) {
                    let channels = factors.iter().zip(offsets);
                    pixel.iter_mut().zip(channels).for_each(|(v, (factor, offset))| *v = code(f64::from(*v) * factor + offset, bounds));
                }
                sums
            }
            (Op::Add | Op::Sub, _) => {
                let second = quantizer(node.inputs[1]);
                let bits = if input.bits <= 8 && second.bits <= 8 { 21 } else { 31 };
                // The one place where a constant of the device is coarser than a float.
                let ratios = [to_output(input), to_output(second)];
                let [a, b] = shared_mantissas(ratios[0], ratios[1], bits)
                    .map_or(ratios, |(m, shift)| m.map(|m| f64::from(m) * 2f64.powi(-i32::from(shift))));
                let b = if node.op == Op::Sub { -b } else { b };
                pairs(inputs, |x, y| code(f64::from(x) * a + f64::from(y) * b, bounds))
            }
            (Op::Mul, _) => {
                let factor = to_output(input) * f64::from(quantizer(node.inputs[1]).scale);
                let factor = mantissa(factor, 31).map_or(factor, |(m, shift)| f64::from(m) * 2f64.powi(-i32::from(shift)));
                pairs(inputs, |x, y| code(f64::from(x) * f64::from(y) * factor, bounds))
            }
            (Op::Table { function }, _) => {
                let entries = table_entries(function, node.clamp, input, output);
                let centred = |v: &f32| (look_up(&entries, input, *v as i32 + input.zero_point) - output.zero_point) as f32;
                inputs[0].iter().map(centred).collect()
            }
            (Op::Prelu { slopes }, _) => {
                let ratio = to_output(input);
                let factor = |factor: f64| signed_mantissa(factor).map_or(factor, |(m, shift)| f64::from(m) * 2f64.powi(-i32::from(shift)));
                let (positive, negative): (f64, Vec<f64>) =
                    (factor(ratio), slopes.iter().map(|slope| factor(ratio * f64::from(*slope))).collect());
                let value = |(x, slope): (&f32, &f64)| code(f64::from(*x) * if *x < 0.0 { *slope } else { positive }, bounds);
                inputs[0].iter().zip(negative.iter().cycle()).map(value).collect()
            }
            (Op::Resize { rows, columns, interpolate: true }, _) => {
                let [_, height, width, channels] = self.graph.tensor(node.inputs[0]).shape[..] else { return Vec::new() };
                // Whole numbers of 2^-22 of a code, which f64 holds.
                let [rows, columns] =
                    [rows, columns].map(|at| on_grid(at).into_iter().map(|at| f64::from(at) * COORDINATE_STEP).collect::<Vec<f64>>());
                let ratio = to_output(input);
                let factor = resize_mantissa(ratio, input.bits).map_or(ratio, |(m, shift)| f64::from(m) * 2f64.powi(22 - i32::from(shift)));
                operators::bilinear([height, width, channels], &rows, &columns, inputs[0])
                    .into_iter()
                    .map(|v| code(v * factor, bounds))
                    .collect()
            }
            (Op::AveragePool { .. } | Op::Clamp, _) => {
                let ratio = to_output(input);
                plain(node, inputs).into_iter().map(|v| code(f64::from(v) * ratio, bounds)).collect()
            }
            (Op::Concat { .. }, _) => {
                let rescaled: Vec<Vec<f32>> = node
                    .inputs
                    .iter()
                    .zip(inputs)
                    .map(|(id, values)| values.iter().map(|v| code(f64::from(*v) * to_output(quantizer(*id)), bounds)).collect())
                    .collect();
                plain(node, &rescaled.iter().map(Vec::as_slice).collect::<Vec<_>>())
            }
            (Op::MatMul { transposed, scale }, _) => {
                // Products of 16-bit codes are beyond what an f32 holds.
                let [a, b] = [inputs[0], inputs[1]].map(|codes| codes.iter().map(|code| f64::from(*code)).collect::<Vec<f64>>());
                let shape = |tensor: TensorId| &self.graph.tensor(tensor).shape;
                let factor = to_output(input) * f64::from(quantizer(node.inputs[1]).scale) * f64::from(*scale);
                let sums = attention::product(shape(node.inputs[0]), shape(node.output), *transposed, &a, &b);
                sums.into_iter().map(|sum| code(sum * factor, bounds)).collect()
            }
            (Op::LayerNorm { gamma, beta, epsilon }, _) => layer_norm_codes(inputs[0], (gamma, beta, *epsilon), input, output, bounds),
            (Op::Softmax, _) => softmax_codes(inputs[0], self.graph.tensor(node.inputs[0]).channels(), input, output),
            (Op::Pad { pads, value }, _) => {
                let value = output.centred_codes(&[*value])[0];
                plain(&Node { op: Op::Pad { pads: pads.clone(), value }, ..node.clone() }, inputs)
            }
            _ => plain(node, inputs),
        }
    }
}

/// Each code with its partner; a shorter second list is one row for every row of the first.
fn pairs(inputs: &[&[f32]], merge: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let (a, b) = (inputs[0], inputs[1]);
    a.chunks_exact(b.len().max(1)).flat_map(|row| row.iter().zip(b).map(|(a, b)| merge(*a, *b))).collect()
}

fn code_layer(network: &QuantizedNetwork<'_>, id: NodeId, quantizers: &[ActivationQuantizer]) -> Option<CodeLayer> {
    let node = &network.graph.nodes[id.0];
    let rounded = network.layer(id)?;
    let quantized = &rounded.weights;
    let (input, output) = (quantizers[node.inputs[0].0], quantizers[node.output.0]);
    let codes: Vec<f32> = quantized.codes.iter().map(|code| f32::from(*code)).collect();
    let layer = Arc::new(Layer::new(node, &codes, &vec![0.0; quantized.scales.len()]));
    let row_len = (quantized.codes.len() / quantized.scales.len().max(1)).max(1);
    let (mut factors, mut offsets) = (Vec::new(), Vec::new());
    for ((scale, row), bias) in quantized.scales.iter().zip(quantized.codes.chunks_exact(row_len)).zip(&rounded.bias) {
        let step = f64::from(input.scale) * f64::from(*scale);
        let factor = step / f64::from(output.scale);
        factors.push(factor);
        // Lowering gives a row of zeros a finer grid of its own.
        let empty = row.iter().all(|code| *code == 0);
        offsets.push(if empty { f64::from(*bias) / f64::from(output.scale) } else { (f64::from(*bias) / step).round() * factor });
    }
    Some(CodeLayer { layer, factors, offsets })
}

/// Softmax of centred codes by the integer algorithm itself, whose documented error would flip a code in some hundred.
fn softmax_codes(input: &[f32], channels: usize, from: &ActivationQuantizer, to: &ActivationQuantizer) -> Vec<f32> {
    let Ok(Rescale { multiplier, shift }) = exponents(from) else { return vec![0.0; input.len()] };
    let one = (1.0 / to.scale).round() as u32;
    let params = Softmax { rows: 1, channels, multiplier, shift, bits: bits(to), one };
    by_rows(input, channels, from, to, |codes, out| reference::softmax(&params, codes, out))
}

/// Layer normalisation of centred codes, by the integer algorithm for the same reason: its constants are rounded.
fn layer_norm_codes(
    input: &[f32],
    (gamma, beta, epsilon): (&[f32], &[f32], f32),
    from: &ActivationQuantizer,
    to: &ActivationQuantizer,
    (lo, hi): (f64, f64),
) -> Vec<f32> {
    let Ok(OperatorSpec::LayerNorm { epsilon, gamma, beta, shift }) = norm::lower(gamma, beta, epsilon, from, to) else {
        return vec![0.0; input.len()];
    };
    let (lo, hi) = (lo as i32 + to.zero_point, hi as i32 + to.zero_point);
    let codes = OutputCodes { zero_point: to.zero_point, lo, hi, bits: bits(to) };
    let params = LayerNorm { rows: 1, channels: gamma.len(), epsilon, gamma: &gamma, beta: &beta, shift, codes };
    by_rows(input, gamma.len(), from, to, |codes, out| reference::layer_norm(&params, codes, out))
}

fn bits(quantizer: &ActivationQuantizer) -> ActivationBits {
    ActivationBits::try_from(quantizer.bits).unwrap_or(ActivationBits::A16)
}

/// A kernel on packed rows of centred codes.
fn by_rows(
    input: &[f32],
    channels: usize,
    from: &ActivationQuantizer,
    to: &ActivationQuantizer,
    kernel: impl Fn(Activations<'_>, &mut [u8]),
) -> Vec<f32> {
    let (from_bits, to_bits) = (bits(from), bits(to));
    let (mut packed, mut written) = (vec![0; pack::row_bytes(from_bits, channels)], vec![0; pack::row_bytes(to_bits, channels)]);
    let mut output = Vec::with_capacity(input.len());
    for row in input.chunks_exact(channels.max(1)) {
        let codes: Vec<i16> = row.iter().map(|code| (*code as i32 + from.zero_point) as i16).collect();
        pack::pack_row(from_bits, &codes, &mut packed);
        kernel(Activations { codes: &packed, bits: from_bits, zero_point: from.zero_point }, &mut written);
        output.extend((0..channels).map(|channel| (pack::code(&written, to_bits, channel) - to.zero_point) as f32));
    }
    output
}

/// Smallest and largest centred code that a node writes.
fn bounds(node: &Node, output: &ActivationQuantizer) -> (f64, f64) {
    let (lo, hi) = output.code_range();
    let [lo, hi] = clamp_codes(node.clamp, output).unwrap_or([lo, hi]);
    (f64::from(lo - output.zero_point), f64::from(hi - output.zero_point))
}

/// Rounds as the device does, half towards +infinity, and clamps.
fn code(value: f64, (lo, hi): (f64, f64)) -> f32 {
    (value + 0.5).floor().clamp(lo, hi) as f32
}
