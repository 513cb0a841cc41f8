//! One layer of each operator, from its key.

use apq_kernels::{Accumulator, ActivationBits, Table, WeightBits, WeightShape};
use apq_lut::{Candidate, LayerKey, Operator};
use apq_runtime::build::{Add, DivisorSpec, MatMul, OperatorSpec, Pad, Rescale, Slice, WeightedSpec, Window};
use rand::Rng;

use super::{Maker, Skipped, UNIT, tensor_spec};

/// A layer before it has its place in a model.
pub(super) struct Layer {
    pub(super) operator: OperatorSpec,
    /// Shapes of the operands.
    pub(super) operands: Vec<Vec<usize>>,
    /// Number of inputs of the node; with one operand for two inputs it is read twice.
    pub(super) reads: usize,
    pub(super) output: Vec<usize>,
    pub(super) output_bits: ActivationBits,
    pub(super) output_scale: f32,
    pub(super) output_zero_point: i32,
    /// Weights, tables and lists.
    pub(super) raw_bytes: usize,
}

pub(super) fn layer(maker: &mut Maker<'_>, key: &LayerKey, bits: ActivationBits) -> Result<Layer, Skipped> {
    let wide = |value: u32| value as usize;
    let (inputs, outputs) = (wide(key.input_channels), wide(key.output_channels));
    let [input, output] =
        [(key.input, inputs), (key.output, outputs)].map(|(side, channels)| vec![1, wide(side[0]), wide(side[1]), channels]);
    let mut layer = Layer {
        operator: OperatorSpec::Reshape,
        operands: vec![input.clone()],
        reads: 1,
        output: output.clone(),
        output_bits: bits,
        output_scale: tensor_spec(&output, bits).scale,
        output_zero_point: tensor_spec(&output, bits).zero_point,
        raw_bytes: 0,
    };
    layer.operator = match &key.operator {
        Operator::Conv | Operator::Depthwise => {
            let row_len = wide(key.kernel[0]) * wide(key.kernel[1]) * (inputs / wide(key.groups));
            let shape = WeightShape { groups: wide(key.groups), rows: outputs, row_len };
            let weighted = weighted(maker, key, &shape, bits)?;
            OperatorSpec::Conv { window: window(key)?, groups: wide(key.groups), weighted }
        }
        Operator::FullyConnected => {
            layer.operands = vec![vec![1, wide(key.rows), inputs]];
            layer.output = vec![1, wide(key.rows), outputs];
            let weighted = weighted(maker, key, &WeightShape { groups: 1, rows: outputs, row_len: inputs }, bits)?;
            OperatorSpec::FullyConnected { weighted }
        }
        Operator::MatMul => {
            let (batches, rows) = (wide(key.groups), wide(key.rows));
            let (inner, columns) = (inputs / batches, outputs / batches);
            layer.operands = vec![vec![batches, rows, inner], vec![batches, inner, columns]];
            layer.output = vec![batches, rows, columns];
            layer.reads = 2;
            OperatorSpec::MatMul(MatMul { transposed: false, rescale: Rescale { multiplier: 1 << 30, shift: 36 } })
        }
        Operator::Add | Operator::Sub | Operator::Mul => {
            layer.reads = 2;
            if input != output {
                return Err(Skipped::NoLayer);
            }
            let multipliers = [1_100_000, 1_900_000];
            match key.operator {
                Operator::Mul => OperatorSpec::Mul(Rescale { multiplier: 1 << 30, shift: 34 }),
                _ => OperatorSpec::Add(Add { multipliers, shift: 21, subtract: key.operator == Operator::Sub }),
            }
        }
        Operator::AveragePool => {
            let divisor = |count: u32| DivisorSpec { count, multiplier: ((1_u64 << 31) / u64::from(count) - 1) as i32, shift: 31 };
            // Every number of elements that a window may meet.
            let taps = key.kernel[0].saturating_mul(key.kernel[1]).min(u32::from(u16::MAX));
            let first = if key.padding == [0; 4] { taps } else { 1 };
            let divisors: Vec<DivisorSpec> = (first..=taps).map(divisor).collect();
            layer.raw_bytes = 9 * divisors.len();
            OperatorSpec::AveragePool { window: window(key)?, counted_end: None, divisors }
        }
        Operator::MaxPool => OperatorSpec::MaxPool(window(key)?),
        Operator::Requantize => OperatorSpec::Requantize(Rescale { multiplier: 1_500_000_000, shift: 31 }),
        Operator::Pad => OperatorSpec::Pad(Pad { before: before(&input, &output)?, code: layer.output_zero_point }),
        Operator::Slice => OperatorSpec::Slice(Slice { begin: [0; 3], step: steps(&input, &output)? }),
        Operator::Concat => {
            let second = concat_rest(&input, &output).ok_or(Skipped::NoLayer)?;
            let axis = (1..4).find(|&axis| input[axis] != output[axis]).ok_or(Skipped::NoLayer)?;
            layer.operands.push(second);
            layer.reads = 2;
            OperatorSpec::Concat { axis, rescales: vec![None, Some(UNIT)] }
        }
        Operator::Transpose => {
            let orders = [[0, 3, 1, 2], [0, 2, 3, 1], [0, 1, 3, 2], [0, 2, 1, 3], [0, 3, 2, 1]];
            let turned = |axes: &[usize; 4]| axes.map(|axis| input[axis]).as_slice() == output.as_slice();
            OperatorSpec::Transpose { axes: orders.into_iter().find(turned).ok_or(Skipped::NoLayer)?.to_vec() }
        }
        Operator::Resize => {
            let along = |axis: usize| {
                (0..output[axis] as u64).map(|place| (place * ((input[axis] as u64) << 11) / output[axis] as u64) as u32).collect()
            };
            let (rows, columns): (Vec<u32>, Vec<u32>) = (along(1), along(2));
            let (multiplier, shift) = if bits.signed() { (1 << 22, 44) } else { (1 << 30, 52) };
            layer.raw_bytes = 4 * (rows.len() + columns.len());
            OperatorSpec::Resize { rows, columns, rescale: Some(Rescale { multiplier, shift }) }
        }
        Operator::Prelu => {
            layer.raw_bytes = 5 * outputs;
            OperatorSpec::Prelu { rescale: UNIT, slope_multiplier: vec![1 << 28; outputs], slope_shift: vec![31; outputs] }
        }
        Operator::Softmax => {
            layer.output_bits = if bits == ActivationBits::A16 { bits } else { ActivationBits::A8 };
            (layer.output_scale, layer.output_zero_point) = (1.0 / layer.output_bits.hi() as f32, 0);
            OperatorSpec::Softmax(Rescale { multiplier: 1 << 30, shift: 18 })
        }
        Operator::Table => {
            let points = if bits == ActivationBits::A16 { Table::POINTS } else { 1 << bits.bits() };
            let entries: Vec<i16> = (0..points).map(|_| maker.random.random_range(bits.lo()..=bits.hi()) as i16).collect();
            layer.raw_bytes = 2 * entries.len();
            OperatorSpec::Table { entries }
        }
        Operator::LayerNorm => {
            layer.raw_bytes = 8 * outputs;
            let gamma = 1 << bits.bits().saturating_sub(3).max(1);
            OperatorSpec::LayerNorm { epsilon: 10, gamma: vec![gamma << 8; outputs], beta: vec![1 << 10; outputs], shift: 31 }
        }
        _ => return Err(Skipped::NoLayer),
    };
    if let OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted } = &layer.operator {
        layer.raw_bytes = weighted.weights.len() + 9 * outputs;
    }
    Ok(layer)
}

fn window(key: &LayerKey) -> Result<Window, Skipped> {
    let pair = |pair: [u32; 2]| -> Result<[u16; 2], Skipped> {
        let small = |value: u32| u16::try_from(value).map_err(|_| Skipped::NoLayer);
        Ok([small(pair[0])?, small(pair[1])?])
    };
    Ok(Window {
        kernel: pair(key.kernel)?,
        stride: pair(key.stride)?,
        dilation: pair(key.dilation)?,
        pad: pair([key.padding[0], key.padding[1]])?,
    })
}

/// Codes before the input along height, width and channels: half of what is added.
fn before(input: &[usize], output: &[usize]) -> Result<[u32; 3], Skipped> {
    let mut before = [0; 3];
    for (axis, place) in before.iter_mut().enumerate() {
        let added = output[axis + 1].checked_sub(input[axis + 1]).ok_or(Skipped::NoLayer)?;
        *place = u32::try_from(added / 2).map_err(|_| Skipped::NoLayer)?;
    }
    Ok(before)
}

/// The steps of a slice with that output, from the front on.
fn steps(input: &[usize], output: &[usize]) -> Result<[u32; 3], Skipped> {
    let mut steps = [1; 3];
    for (axis, step) in steps.iter_mut().enumerate() {
        let [from, to] = [input[axis + 1], output[axis + 1]];
        if to > from {
            return Err(Skipped::NoLayer);
        }
        // Half of the positions or fewer are every so many; more are a stretch.
        *step = u32::try_from(from / to).map_err(|_| Skipped::NoLayer)?;
    }
    Ok(steps)
}

/// What the first input leaves for a second one; `None` where they differ along no axis or several.
fn concat_rest(input: &[usize], output: &[usize]) -> Option<Vec<usize>> {
    let mut rest = input.to_vec();
    let mut axes = 0;
    for axis in 1..4 {
        if input[axis] != output[axis] {
            rest[axis] = output[axis].checked_sub(input[axis])?;
            axes += 1;
        }
    }
    (axes == 1).then_some(rest)
}

/// Random weights, many of them small as in networks, and the requantisation that spreads their sums over the output's codes.
fn weighted(maker: &mut Maker<'_>, key: &LayerKey, shape: &WeightShape, input: ActivationBits) -> Result<WeightedSpec, Skipped> {
    const WEIGHTS_MAX: usize = 1 << 24;
    let bits = WeightBits::try_from(key.weight_bits).map_err(|_| Skipped::NoLayer)?;
    let candidate = Candidate::new(key.weight_bits, key.activation_bits).ok_or(Skipped::NoLayer)?;
    let arrangement = maker.arrangement(&key.operator, candidate);
    let count = shape.rows.checked_mul(shape.row_len).filter(|count| *count <= WEIGHTS_MAX).ok_or(Skipped::NoLayer)?;
    let random = &mut maker.random;
    let mut draw = || {
        let pair = [0; 2].map(|_| random.random_range(bits.lo()..=bits.hi()));
        (if pair[0].abs() < pair[1].abs() { pair[0] } else { pair[1] }) as i8
    };
    let codes: Vec<i8> = (0..count).map(|_| draw()).collect();
    let code_max = u64::from(input.lo().unsigned_abs().max(input.hi().unsigned_abs()));
    let sums = codes.chunks_exact(shape.row_len.max(1)).map(|row| row.iter().map(|code| u64::from(code.unsigned_abs())).sum::<u64>());
    let bounds: Vec<u64> = sums.map(|sum| (sum * code_max).max(1)).collect();
    let wide = bounds.iter().any(|bound| bound + bound / 8 + 1 >= 1 << 31);
    let accumulator = if wide { Accumulator::I64 } else { Accumulator::I32 };
    let mut spec = WeightedSpec {
        bits,
        accumulator,
        arrangement,
        weights: vec![0; arrangement.bytes(bits, shape).ok_or(Skipped::NoLayer)?],
        bias: Vec::new(),
        multiplier: Vec::new(),
        shift: Vec::new(),
    };
    arrangement.arrange(bits, shape, &codes, &mut spec.weights);
    for bound in bounds {
        let eighth = i32::try_from(bound / 8).unwrap_or(i32::MAX / 2);
        spec.bias.push(random.random_range(-eighth..=eighth));
        // bound * m / 2^r is a few times the codes of the output. Networks' factors are below a half: r is 33 or more.
        let shift = (30 + bound.ilog2()).saturating_sub(input.bits() + 2).clamp(33, 60);
        let (low, high, shift) = if wide { (1 << 22, (1 << 23) - 1, shift - 8) } else { (1 << 30, i32::MAX, shift) };
        spec.multiplier.push(random.random_range(low..=high));
        spec.shift.push(shift as u8);
    }
    Ok(spec)
}
