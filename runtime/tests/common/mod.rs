//! Models for tests: random constants, a plan that never reuses memory, every operator.
#![allow(dead_code)]

pub(crate) mod oracle;

use apq_kernels::pack;
use apq_runtime::ALIGNMENT;
use apq_runtime::build::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const WEIGHTS: [WeightBits; 4] = [WeightBits::W2, WeightBits::W4, WeightBits::W6, WeightBits::W8];
pub(crate) const ACTIVATIONS: [ActivationBits; 5] =
    [ActivationBits::A2, ActivationBits::A4, ActivationBits::A6, ActivationBits::A8, ActivationBits::A16];

/// A model that grows node by node.
pub(crate) struct Net {
    pub(crate) spec: ModelSpec,
    pub(crate) rng: ChaCha8Rng,
}

/// The window of a pointwise operator.
pub(crate) const POINT: Window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };

/// A 3 x 3 window with padding 1.
pub(crate) const THREE: Window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad: [1, 1] };

/// A requantisation by a factor of nearly 1.
pub(crate) const UNIT: Rescale = Rescale { multiplier: i32::MAX, shift: 31 };

impl Net {
    /// A model whose input has this shape and width; the input is tensor 0.
    pub(crate) fn new(seed: u64, shape: &[usize], bits: ActivationBits) -> Self {
        let spec = ModelSpec {
            name: "net".into(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            groups: vec!["all".into()],
            input: InputSpec { tensor: 0, raw: RawType::U8, mean: vec![128.0], std: vec![64.0] },
            output: OutputSpec { tensor: 0, classes: 0, softmax_removed: false },
            arena_bytes: 0,
        };
        let mut net = Self { spec, rng: ChaCha8Rng::seed_from_u64(seed) };
        net.tensor(shape, bits);
        net
    }

    /// A new tensor at the end of the arena.
    pub(crate) fn tensor(&mut self, shape: &[usize], bits: ActivationBits) -> usize {
        let zero_point = if bits.signed() { 0 } else { self.rng.random_range(bits.lo()..=bits.hi()) };
        let offset = self.spec.arena_bytes.next_multiple_of(ALIGNMENT);
        let index = self.spec.tensors.len();
        self.spec.tensors.push(TensorSpec {
            name: format!("t{index}"),
            shape: shape.to_vec(),
            bits,
            scale: self.rng.random_range(0.01..0.1),
            zero_point,
            offset,
            alias: None,
        });
        self.spec.arena_bytes = offset + bytes(shape, bits);
        index
    }

    /// A new tensor with the quantizer of another one.
    pub(crate) fn tensor_like(&mut self, shape: &[usize], other: usize) -> usize {
        let bits = self.spec.tensors[other].bits;
        let index = self.tensor(shape, bits);
        self.spec.tensors[index].scale = self.spec.tensors[other].scale;
        self.spec.tensors[index].zero_point = self.spec.tensors[other].zero_point;
        index
    }

    /// The bytes of `other` under another shape.
    pub(crate) fn view(&mut self, shape: &[usize], other: usize) -> usize {
        let mut view = self.spec.tensors[other].clone();
        view.shape = shape.to_vec();
        view.alias = Some(view.alias.unwrap_or(other));
        self.spec.tensors.push(view);
        self.spec.tensors.len() - 1
    }

    /// A node that writes `output`, which becomes the model's output. Scratch memory comes at the end of the arena.
    pub(crate) fn node(&mut self, operator: OperatorSpec, inputs: &[usize], output: usize) -> usize {
        let index = self.spec.nodes.len();
        self.spec.nodes.push(NodeSpec {
            name: format!("n{index}"),
            operator,
            inputs: inputs.to_vec(),
            output,
            group: Some(0),
            clamp: None,
            scratch: Region::default(),
        });
        let length = scratch_bytes(&self.spec, index);
        if length > 0 {
            let offset = self.spec.arena_bytes.next_multiple_of(ALIGNMENT);
            self.spec.nodes[index].scratch = Region { offset: offset as u32, length: length as u32 };
            self.spec.arena_bytes = offset + length;
        }
        self.spec.output.tensor = output;
        index
    }

    /// Random weights for `outputs` channels of `row_len` weights, with a requantisation that spreads the sums over the
    /// codes of the output.
    pub(crate) fn weighted(
        &mut self,
        outputs: usize,
        row_len: usize,
        bits: WeightBits,
        input: ActivationBits,
        output: ActivationBits,
    ) -> WeightedSpec {
        let code_max = u64::from(input.lo().unsigned_abs().max(input.hi().unsigned_abs()));
        let row_bytes = pack::weight_row_bytes(bits, row_len);
        let mut spec = WeightedSpec {
            bits,
            accumulator: Accumulator::I32,
            arrangement: Arrangement::RowMajor,
            weights: vec![0; outputs * row_bytes],
            bias: Vec::new(),
            multiplier: Vec::new(),
            shift: Vec::new(),
        };
        let mut bound_max = 0;
        for row in spec.weights.chunks_exact_mut(row_bytes) {
            let weights: Vec<i8> = (0..row_len).map(|_| self.rng.random_range(bits.lo()..=bits.hi()) as i8).collect();
            pack::pack_weights(bits, &weights, row);
            let sum: u64 = weights.iter().map(|weight| u64::from(weight.unsigned_abs())).sum();
            let bound = (sum * code_max).max(1);
            bound_max = bound_max.max(bound);
            let bias = self.rng.random_range(-(bound as i64) / 4..=bound as i64 / 4);
            spec.bias.push(bias.clamp(i64::from(i32::MIN / 2), i64::from(i32::MAX / 2)) as i32);
            // bound * m / 2^r is about four times the codes of the output, m having 31 bits.
            let shift = (30 + bound.ilog2()).saturating_sub(output.bits() + 2).clamp(1, 62);
            spec.shift.push(shift as u8);
        }
        if bound_max >= 1 << 30 {
            spec.accumulator = Accumulator::I64;
        }
        for shift in &mut spec.shift {
            let multiplier = match spec.accumulator {
                Accumulator::I32 => self.rng.random_range(1 << 30..=i32::MAX),
                Accumulator::I64 => {
                    *shift = shift.saturating_sub(8).max(1);
                    self.rng.random_range(1 << 22..1 << 23)
                }
            };
            spec.multiplier.push(multiplier);
        }
        spec
    }

    /// A convolution from `input` to a new tensor.
    pub(crate) fn conv(
        &mut self,
        input: usize,
        window: Window,
        groups: usize,
        outputs: usize,
        weight_bits: WeightBits,
        bits: ActivationBits,
    ) -> usize {
        let shape = self.spec.tensors[input].shape.clone();
        let input_bits = self.spec.tensors[input].bits;
        let row_len = usize::from(window.kernel[0] * window.kernel[1]) * shape[3] / groups;
        let weighted = self.weighted(outputs, row_len, weight_bits, input_bits, bits);
        let [height, width] = output_size(window, shape[1], shape[2]);
        let output = self.tensor(&[1, height, width, outputs], bits);
        self.node(OperatorSpec::Conv { window, groups, weighted }, &[input], output);
        output
    }

    /// A fully connected layer from `input` to a new tensor.
    pub(crate) fn fully_connected(&mut self, input: usize, outputs: usize, weight_bits: WeightBits, bits: ActivationBits) -> usize {
        let mut shape = self.spec.tensors[input].shape.clone();
        let input_bits = self.spec.tensors[input].bits;
        let inputs = *shape.last().unwrap();
        let weighted = self.weighted(outputs, inputs, weight_bits, input_bits, bits);
        *shape.last_mut().unwrap() = outputs;
        let output = self.tensor(&shape, bits);
        self.node(OperatorSpec::FullyConnected { weighted }, &[input], output);
        output
    }

    /// A sum of two tensors in a new tensor.
    pub(crate) fn add(&mut self, a: usize, b: usize, bits: ActivationBits) -> usize {
        let shape = self.spec.tensors[a].shape.clone();
        let output = self.tensor(&shape, bits);
        let multipliers = [self.rng.random_range(1 << 18..1 << 20), self.rng.random_range(1 << 18..1 << 20)];
        let add = Add { multipliers, shift: 20, subtract: self.rng.random() };
        self.node(OperatorSpec::Add(add), &[a, b], output);
        output
    }

    /// An average pool that counts only elements of the input, into a new tensor.
    pub(crate) fn average_pool(&mut self, input: usize, window: Window, bits: ActivationBits) -> usize {
        let shape = self.spec.tensors[input].shape.clone();
        let [height, width] = output_size(window, shape[1], shape[2]);
        let output = self.tensor(&[1, height, width, shape[3]], bits);
        let taps = u32::from(window.kernel[0] * window.kernel[1]);
        let divisors = (1..=taps).map(|count| DivisorSpec { count, multiplier: ((1u64 << 31) / u64::from(count) - 1) as i32, shift: 31 });
        let operator = OperatorSpec::AveragePool { window, counted_end: None, divisors: divisors.collect() };
        self.node(operator, &[input], output);
        output
    }

    /// Writes the file.
    pub(crate) fn file(&self) -> AlignedBytes {
        write(&self.spec).unwrap()
    }

    /// Random codes for the model's input, packed.
    pub(crate) fn input_bytes(&mut self) -> Vec<u8> {
        let tensor = &self.spec.tensors[self.spec.input.tensor];
        let (channels, bits) = (*tensor.shape.last().unwrap(), tensor.bits);
        let row_bytes = pack::row_bytes(bits, channels);
        let mut bytes = vec![0; bytes(&tensor.shape, bits)];
        for row in bytes.chunks_exact_mut(row_bytes) {
            for channel in 0..channels {
                pack::set_code(row, bits, channel, self.rng.random_range(bits.lo()..=bits.hi()));
            }
        }
        bytes
    }
}

/// Bytes of a tensor.
pub(crate) fn bytes(shape: &[usize], bits: ActivationBits) -> usize {
    let (channels, pixels) = shape.split_last().unwrap();
    pixels.iter().product::<usize>() * pack::row_bytes(bits, *channels)
}

/// Size of what a window with the same padding at both ends makes of an image.
pub(crate) fn output_size(window: Window, height: usize, width: usize) -> [usize; 2] {
    let size = |axis: usize, extent: usize| {
        let reach = usize::from(window.kernel[axis] - 1) * usize::from(window.dilation[axis]) + 1;
        (extent + 2 * usize::from(window.pad[axis]) - reach) / usize::from(window.stride[axis]) + 1
    };
    [size(0, height), size(1, width)]
}

/// A small residual network with every kind of memory relation: views, a tensor with two readers, scratch.
pub(crate) fn residual_net(seed: u64, weight_bits: WeightBits, bits: ActivationBits) -> Net {
    let mut net = Net::new(seed, &[1, 6, 6, 3], ActivationBits::A8);
    net.spec.input.mean = vec![100.0, 110.0, 120.0];
    net.spec.input.std = vec![50.0, 60.0, 70.0];
    let stem = net.conv(0, THREE, 1, 8, weight_bits, bits);
    let depthwise = net.conv(stem, THREE, 8, 8, weight_bits, bits);
    let pointwise = net.conv(depthwise, POINT, 1, 8, weight_bits, bits);
    let sum = net.add(stem, pointwise, bits);
    let pooled = net.average_pool(sum, Window { kernel: [6, 6], pad: [0, 0], ..THREE }, bits);
    let flat = net.view(&[1, 8], pooled);
    let logits = net.fully_connected(flat, 5, weight_bits, ActivationBits::A8);
    net.spec.output = OutputSpec { tensor: logits, classes: 5, softmax_removed: true };
    net
}

/// A chain through every operator. All tensors but a few have `bits`.
pub(crate) fn every_operator_net(seed: u64, bits: ActivationBits) -> Net {
    let mut net = Net::new(seed, &[1, 6, 5, 6], bits);
    net.spec.input.raw = RawType::I8;
    let conv = net.conv(0, Window { kernel: [3, 2], stride: [2, 1], ..THREE }, 2, 6, WeightBits::W6, bits);
    let shape = net.spec.tensors[conv].shape.clone();
    let [_, height, width, channels] = shape[..] else { panic!("rank 4") };

    let scaled = net.tensor(&shape, bits);
    net.node(OperatorSpec::Requantize(UNIT), &[conv], scaled);
    let sum = net.add(conv, scaled, bits);
    let row = net.average_pool(sum, Window { kernel: [height as u16, width as u16], pad: [0, 0], ..THREE }, bits);
    let gate = net.tensor(&[1, 1, 1, channels], bits);
    let entries = table_entries(&mut net, bits, bits);
    net.node(OperatorSpec::Table { entries }, &[row], gate);
    let gated = net.tensor(&shape, bits);
    net.node(OperatorSpec::Mul(Rescale { multiplier: 1 << 30, shift: 34 }), &[sum, gate], gated);

    // Attention of the pixels to each other, with a position added.
    let pixels = height * width;
    let tokens = net.view(&[1, pixels, channels], gated);
    let scores = net.tensor(&[1, pixels, pixels], bits);
    let rescale = Rescale { multiplier: 1 << 30, shift: 36 };
    net.node(OperatorSpec::MatMul(MatMul { transposed: true, rescale }), &[tokens, tokens], scores);
    let mixed = net.tensor(&[1, pixels, channels], bits);
    net.node(OperatorSpec::MatMul(MatMul { transposed: false, rescale }), &[scores, tokens], mixed);
    let normal = net.tensor(&[1, pixels, channels], bits);
    let norm = layer_norm(&mut net, channels, bits);
    net.node(norm, &[mixed], normal);
    let position = net.tensor(&[1, pixels, channels], bits);
    let codes = (0..pixels * channels).map(|_| net.rng.random_range(bits.lo()..=bits.hi()) as i16).collect();
    net.node(OperatorSpec::Constant { codes }, &[], position);
    let moved = net.add(normal, position, bits);
    let gated = net.tensor_like(&shape, moved);
    net.node(OperatorSpec::Reshape, &[moved], gated);

    let pooled = net.tensor_like(&[1, height - 1, width - 1, channels], gated);
    net.node(OperatorSpec::MaxPool(Window { kernel: [2, 2], pad: [0, 0], ..THREE }), &[gated], pooled);
    let padded = net.tensor_like(&[1, height + 1, width, channels + 1], pooled);
    let code = net.spec.tensors[pooled].zero_point;
    net.node(OperatorSpec::Pad(Pad { before: [1, 0, 1], code }), &[pooled], padded);
    let sliced = net.tensor_like(&[1, height, width, channels], padded);
    net.node(OperatorSpec::Slice(Slice { begin: [1, 0, 0], step: [1, 1, 1] }), &[padded], sliced);

    let joined = net.tensor_like(&[1, height, width, 2 * channels], sliced);
    let operator = OperatorSpec::Concat { axis: 3, rescales: vec![None, Some(UNIT)] };
    let rectified = net.tensor(&shape, bits);
    let slope_multiplier = (0..channels as i32).map(|channel| (channel - 3) << 27).collect();
    net.node(OperatorSpec::Prelu { rescale: UNIT, slope_multiplier, slope_shift: vec![31; channels] }, &[gated], rectified);
    net.node(operator, &[sliced, rectified], joined);
    let copied = net.tensor_like(&[1, height, width, 2 * channels], joined);
    let backwards = |size: usize| (0..size as u32).rev().map(|place| place << 11).collect();
    net.node(OperatorSpec::Resize { rows: backwards(height), columns: backwards(width), rescale: None }, &[joined], copied);
    let blended = net.tensor(&[1, height, width, 2 * channels], bits);
    let between = |size: usize| (0..size as u32).map(|place| place * 2000).collect();
    let (multiplier, shift) = if bits.signed() { (1 << 22, 44) } else { (1 << 30, 52) };
    let rescale = Some(Rescale { multiplier, shift });
    net.node(OperatorSpec::Resize { rows: between(height), columns: between(width), rescale }, &[copied], blended);
    let stacked = net.tensor_like(&[1, 2 * height, width, 2 * channels], blended);
    net.node(OperatorSpec::Concat { axis: 1, rescales: vec![None, None] }, &[blended, blended], stacked);
    let turned = net.tensor_like(&[1, 2 * channels, width, 2 * height], stacked);
    net.node(OperatorSpec::Transpose { axes: vec![0, 3, 2, 1] }, &[stacked], turned);
    let codes = 4 * channels * width * height;
    let flat = net.tensor_like(&[1, codes], turned);
    net.node(OperatorSpec::Reshape, &[turned], flat);

    let logits = net.fully_connected(flat, 7, WeightBits::W2, bits);
    let output = net.tensor(&[1, 7], ActivationBits::A8);
    (net.spec.tensors[output].scale, net.spec.tensors[output].zero_point) = (1.0 / 255.0, 0);
    net.node(OperatorSpec::Softmax(Rescale { multiplier: 1 << 30, shift: 20 }), &[logits], output);
    net.spec.output.classes = 7;
    net
}

/// Weights and output stage of a convolution or fully connected layer.
pub(crate) fn weighted(spec: &mut ModelSpec, node: usize) -> &mut WeightedSpec {
    match &mut spec.nodes[node].operator {
        OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted } => weighted,
        _ => panic!("no weights"),
    }
}

/// Layer normalisation with random gamma and beta, spread over the output's codes.
pub(crate) fn layer_norm(net: &mut Net, channels: usize, output: ActivationBits) -> OperatorSpec {
    let spread: i32 = 1 << output.bits().saturating_sub(3).max(1);
    OperatorSpec::LayerNorm {
        epsilon: net.rng.random_range(0..1000),
        gamma: (0..channels).map(|_| net.rng.random_range(-(spread << 8)..spread << 8)).collect(),
        beta: (0..channels).map(|_| net.rng.random_range(-(spread << 14)..spread << 14)).collect(),
        shift: 31,
    }
}

/// A random table from `input` to `output` codes.
pub(crate) fn table_entries(net: &mut Net, input: ActivationBits, output: ActivationBits) -> Vec<i16> {
    let entries = if input == ActivationBits::A16 { 513 } else { 1 << input.bits() };
    (0..entries).map(|_| net.rng.random_range(output.lo()..=output.hi()) as i16).collect()
}
