//! Quantizers in floats, and their ranges.

use tch::{Kind, Tensor};

/// Shares of the largest range that are tried.
const THRESHOLDS: usize = 24;
/// Smallest of them.
const THRESHOLD_MIN: f64 = 0.25;
/// Smallest scale; smaller ones leave the range of f32 products.
const SCALE_MIN: f64 = 1e-12;

fn thresholds() -> impl Iterator<Item = f64> {
    (0..THRESHOLDS).map(|step| 1.0 - (1.0 - THRESHOLD_MIN) * step as f64 / (THRESHOLDS - 1) as f64)
}

/// A quantizer of activations: codes 0 to 2^bits - 1, one scale for the tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantizer {
    scale: f64,
    zero_point: i64,
    code_max: i64,
}

impl Quantizer {
    /// A quantizer whose codes reach from `low` to `high`, with zero among its values.
    #[must_use]
    pub fn of_range(low: f64, high: f64, bits: u8) -> Self {
        let code_max = (1i64 << bits) - 1;
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = ((high - low) / code_max as f64).max(SCALE_MIN);
        Self { scale, zero_point: ((-low / scale).round() as i64).clamp(0, code_max), code_max }
    }

    /// The quantizer that changes the values of `x` least, by squared error.
    #[must_use]
    pub fn fitted(x: &Tensor, bits: u8) -> Self {
        let (low, high) = (x.min().double_value(&[]), x.max().double_value(&[]));
        let candidates = thresholds().map(|share| Self::of_range(low * share, high * share, bits));
        let errors = candidates.map(|candidate| ((candidate.apply(x) - x).square().mean(Kind::Double).double_value(&[]), candidate));
        let best = errors.min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(Self::of_range(low, high, bits), |(_, candidate)| candidate)
    }

    /// Rounded and clipped values of the same shape.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        x.fake_quantize_per_tensor_affine(self.scale, self.zero_point, 0, self.code_max)
    }
}

/// Clipping thresholds of each output channel of `weight` `[O, ...]`, as shares of its largest magnitude, by least squared error: `[O]`.
pub(super) fn fitted_shares(weight: &Tensor, bits: u8) -> Tensor {
    let flat = weight.detach().flatten(1, -1);
    let mut best: Option<(Tensor, Tensor)> = None;
    for share in thresholds() {
        let shares = Tensor::full([flat.size()[0]], share, (Kind::Float, flat.device()));
        let error = (quantized_weight(&flat, &shares, bits) - &flat).square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        best = Some(match best {
            None => (error, shares),
            Some((least, chosen)) => (error.minimum(&least), shares.where_self(&error.lt_tensor(&least), &chosen)),
        });
    }
    best.map_or_else(|| flat.new_ones([flat.size()[0]], (Kind::Float, flat.device())), |(_, shares)| shares)
}

/// Weights `[O, ...]` as signed codes of `bits` times a scale for each output channel, which clips at `shares` of the channel's largest magnitude. The lowest
/// code is not used: so the largest code has the largest magnitude, and who sees the result alone finds the scale again.
pub(super) fn quantized_weight(weight: &Tensor, shares: &Tensor, bits: u8) -> Tensor {
    let code_max = (1i64 << (bits - 1)) - 1;
    let largest = weight.detach().flatten(1, -1).abs().amax([1i64].as_slice(), false);
    let scale = (largest * shares / code_max as f64).clamp_min(SCALE_MIN);
    let zero = Tensor::zeros(scale.size(), (Kind::Int, weight.device()));
    weight.fake_quantize_per_channel_affine(&scale, &zero, 0, -code_max, code_max)
}
