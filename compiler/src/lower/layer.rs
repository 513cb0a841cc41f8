//! Integer parameters of a convolution or fully connected layer, with its accumulator width proved from the real weights.

use apq_kernels::{Accumulator, Arrangement, WeightBits, WeightShape};
use apq_runtime::build::WeightedSpec;

use super::LowerError;
use super::requant::layer_mantissa;
use crate::graph::Weights;
use crate::quant::bank::RoundedLayer;
use crate::quant::ranges::{ActivationQuantizer, quantize_row};

/// A lowered layer, and the output channels whose weight scale had to be raised.
pub(super) struct LoweredLayer {
    pub(super) spec: WeightedSpec,
    pub(super) raised: Vec<usize>,
}

/// One output channel.
struct Channel {
    codes: Vec<i8>,
    scale: f64,
    bias: i64,
    /// |bias'| + sum|w| * max|a|
    bound: u128,
}

/// A channel without weights passes its bias only; this many fraction bits keep it exact.
const BIAS_FRACTION_BITS: i32 = 14;

pub(super) fn lower_layer(
    float: &Weights,
    (shape, stored_bits, arrangement): (&WeightShape, u8, Arrangement),
    rounded: &RoundedLayer,
    input: &ActivationQuantizer,
    output: &ActivationQuantizer,
) -> Result<LoweredLayer, LowerError> {
    let RoundedLayer { weights: quantized, bias } = rounded;
    let row_len = float.row_len();
    let bits = WeightBits::try_from(stored_bits).map_err(|_| LowerError::Bits(stored_bits))?;
    let mut raised = Vec::new();
    let mut channels = Vec::with_capacity(float.outputs());
    for (channel, codes) in quantized.codes.chunks_exact(row_len.max(1)).enumerate() {
        let mut scale = f64::from(quantized.scales[channel]);
        if codes.iter().all(|code| *code == 0) {
            scale = f64::from(output.scale) / f64::from(input.scale) * 2f64.powi(-BIAS_FRACTION_BITS);
        }
        let mut current = channel_at(codes.to_vec(), scale, bias[channel], input);
        // A scale so small that the bias does not fit is raised until it does.
        let mut doublings = 0;
        while (i32::try_from(current.bias).is_err() || current.bound >= 1 << 39) && doublings < 64 {
            scale *= 2.0;
            doublings += 1;
            let row = &float.values[channel * row_len..(channel + 1) * row_len];
            current = channel_at(quantize_row(row, scale as f32, quantized.bits), scale, bias[channel], input);
        }
        if doublings > 0 {
            raised.push(channel);
        }
        channels.push(current);
    }
    let accumulator = if channels.iter().all(|channel| channel.bound < 1 << 31) { Accumulator::I32 } else { Accumulator::I64 };
    let mut spec = WeightedSpec {
        bits,
        accumulator,
        arrangement,
        weights: Vec::new(),
        bias: Vec::with_capacity(channels.len()),
        multiplier: Vec::with_capacity(channels.len()),
        shift: Vec::with_capacity(channels.len()),
    };
    let mut codes = Vec::with_capacity(quantized.codes.len());
    for channel in &channels {
        let factor = f64::from(input.scale) * channel.scale / f64::from(output.scale);
        let (m, r) = layer_mantissa(factor, accumulator).ok_or(LowerError::Factor(factor))?;
        spec.bias.push(i32::try_from(channel.bias).map_err(|_| LowerError::Bias(channel.bias))?);
        spec.multiplier.push(m);
        spec.shift.push(r);
        codes.extend_from_slice(&channel.codes);
    }
    spec.weights = vec![0; arrangement.bytes(bits, shape).ok_or(LowerError::Weights)?];
    arrangement.arrange(bits, shape, &codes, &mut spec.weights);
    Ok(LoweredLayer { spec, raised })
}

/// A layer of the right size without its data, for planning memory.
pub(super) fn outline(bits: u8, arrangement: Arrangement) -> Result<WeightedSpec, LowerError> {
    Ok(WeightedSpec {
        bits: WeightBits::try_from(bits).map_err(|_| LowerError::Bits(bits))?,
        accumulator: Accumulator::I32,
        arrangement,
        weights: Vec::new(),
        bias: Vec::new(),
        multiplier: Vec::new(),
        shift: Vec::new(),
    })
}

fn channel_at(codes: Vec<i8>, scale: f64, bias: f32, input: &ActivationQuantizer) -> Channel {
    let sum: i64 = codes.iter().map(|code| i64::from(*code)).sum();
    let magnitude: u128 = codes.iter().map(|code| u128::from(code.unsigned_abs())).sum();
    let rounded = (f64::from(bias) / (f64::from(input.scale) * scale)).round();
    // A float beyond i64 saturates, and then does not fit either.
    let bias = (rounded as i64).saturating_sub(i64::from(input.zero_point) * sum);
    let code_max: u128 = if input.bits == 16 { 32768 } else { (1 << input.bits) - 1 };
    let bound = u128::from(bias.unsigned_abs()) + magnitude * code_max;
    Channel { codes, scale, bias, bound }
}
