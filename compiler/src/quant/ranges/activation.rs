//! Quantizers of activations: unsigned and asymmetric up to 8 bits, signed and symmetric at 16, real zero always exact.

use super::histogram::Histogram;
use super::{PERCENTILE_OUTSIDE, RangeRule, kl, round, round_code};

/// The quantizer of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivationQuantizer {
    /// Step; finite and positive.
    pub scale: f32,
    /// Code of real zero.
    pub zero_point: i32,
    /// Width of a code: 2, 4, 6, 8 (unsigned) or 16 (signed).
    pub bits: u8,
}

impl ActivationQuantizer {
    /// The quantizer that covers `lo ..= hi` (lo <= 0 <= hi) as well as an exact zero allows.
    fn covering(lo: f64, hi: f64, bits: u8) -> ActivationQuantizer {
        if bits == 16 {
            return ActivationQuantizer { scale: usable_scale(hi.max(-lo) / 32767.0), zero_point: 0, bits };
        }
        let levels = f64::from((1u32 << bits) - 1);
        let scale = usable_scale((hi - lo) / levels);
        let zero_point = (-lo / f64::from(scale)).round().clamp(0.0, levels) as i32;
        ActivationQuantizer { scale, zero_point, bits }
    }

    /// Smallest and largest code.
    pub fn code_range(&self) -> (i32, i32) {
        if self.bits == 16 { (-32768, 32767) } else { (0, (1 << self.bits) - 1) }
    }

    /// Smallest and largest real value.
    fn real_range(&self) -> (f64, f64) {
        let (lo, hi) = self.code_range();
        let real = |code: i32| f64::from(code - self.zero_point) * f64::from(self.scale);
        (real(lo), real(hi))
    }

    /// The codes of values, less the zero point.
    pub fn centred_codes(&self, values: &[f32]) -> Vec<f32> {
        let (lo, hi) = self.code_range();
        let (lo, hi) = ((lo - self.zero_point) as f32, (hi - self.zero_point) as f32);
        values.iter().map(|v| round((v / self.scale).max(lo).min(hi))).collect()
    }

    /// Rounds values to those that codes stand for.
    pub fn fake_quantize(&self, values: &mut [f32]) {
        let (lo, hi) = self.code_range();
        let (lo, hi) = ((lo - self.zero_point) as f32, (hi - self.zero_point) as f32);
        for v in values {
            *v = round_code((*v / self.scale).max(lo).min(hi)) * self.scale;
        }
    }
}

/// A scale that division and multiplication survive; a tensor that is always zero gets 1.
fn usable_scale(scale: f64) -> f32 {
    let scale = scale as f32;
    if scale >= f32::MIN_POSITIVE * 65536.0 && scale.is_finite() { scale } else { 1.0 }
}

/// Chooses a quantizer for a distribution.
///
/// At 16 bits the step is far below what clipping could win, so that MSE and KL cover all values.
pub fn activation_quantizer(histogram: &Histogram, bits: u8, rule: RangeRule) -> ActivationQuantizer {
    let bounds = histogram.bounds();
    let (lo, hi) = (f64::from(bounds.lo), f64::from(bounds.hi));
    let (lo, hi) = match rule {
        RangeRule::Mse if bits < 16 => smallest_error(histogram, bits),
        RangeRule::Kl if bits < 16 => kl::thresholds(histogram, bits),
        RangeRule::Percentile => percentile(histogram),
        _ => (lo, hi),
    };
    ActivationQuantizer::covering(lo, hi, bits)
}

/// Thresholds beyond which [`PERCENTILE_OUTSIDE`] of the values lie on each side.
fn percentile(histogram: &Histogram) -> (f64, f64) {
    let (bounds, half) = (histogram.bounds(), histogram.bin_width() / 2.0);
    let allowed = (histogram.total() as f64 * PERCENTILE_OUTSIDE) as u64;
    let mut outside = 0;
    let mut inside = |count: u64| {
        outside += count;
        outside > allowed
    };
    let lo = histogram.bins().find(|(_, count)| inside(*count)).map_or(0.0, |(centre, _)| centre - half);
    outside = 0;
    let bins: Vec<(f64, u64)> = histogram.bins().collect();
    let mut inside = |count: u64| {
        outside += count;
        outside > allowed
    };
    let hi = bins.iter().rev().find(|(_, count)| inside(*count)).map_or(0.0, |(centre, _)| centre + half);
    (lo.clamp(f64::from(bounds.lo), 0.0), hi.clamp(0.0, f64::from(bounds.hi)))
}

/// Steps of the coarse search over each threshold, as parts of the bound.
const COARSE_STEPS: u32 = 24;

/// Rounds of refinement; each halves the step around the best pair.
const REFINEMENTS: u32 = 5;

/// The thresholds with the smallest expected squared error, searched coarse to fine on both sides.
fn smallest_error(histogram: &Histogram, bits: u8) -> (f64, f64) {
    let bounds = histogram.bounds();
    let (lo, hi) = (f64::from(bounds.lo), f64::from(bounds.hi));
    let bins: Vec<(f64, u64)> = histogram.bins().collect();
    let width = histogram.bin_width();
    let error = |part_lo: f64, part_hi: f64| squared_error(&bins, width, &ActivationQuantizer::covering(lo * part_lo, hi * part_hi, bits));
    let parts = |bound: f64| -> Vec<f64> {
        if bound == 0.0 { vec![1.0] } else { (1..=COARSE_STEPS).map(|step| f64::from(step) / f64::from(COARSE_STEPS)).collect() }
    };
    // All values first, so that clipping must win to be chosen.
    let mut best = (error(1.0, 1.0), 1.0, 1.0);
    let consider = |best: &mut (f64, f64, f64), part_lo: f64, part_hi: f64| {
        let candidate = error(part_lo, part_hi);
        if candidate < best.0 {
            *best = (candidate, part_lo, part_hi);
        }
    };
    for part_lo in parts(lo) {
        for part_hi in parts(hi) {
            consider(&mut best, part_lo, part_hi);
        }
    }
    let mut step = 1.0 / f64::from(COARSE_STEPS);
    for _ in 0..REFINEMENTS {
        step /= 2.0;
        let (_, part_lo, part_hi) = best;
        for (down, right) in [(-1.0, -1.0), (-1.0, 0.0), (-1.0, 1.0), (0.0, -1.0), (0.0, 1.0), (1.0, -1.0), (1.0, 0.0), (1.0, 1.0)] {
            let inside = |part: f64, by: f64, bound: f64| if bound == 0.0 { 1.0 } else { (part + by * step).clamp(step, 1.0) };
            consider(&mut best, inside(part_lo, down, lo), inside(part_hi, right, hi));
        }
    }
    (lo * best.1, hi * best.2)
}

/// Sum over all values of the squared rounding and clipping error.
fn squared_error(bins: &[(f64, u64)], width: f64, quantizer: &ActivationQuantizer) -> f64 {
    let scale = f64::from(quantizer.scale);
    let (lo, hi) = quantizer.real_range();
    let within_bin = width * width / 12.0;
    // Where a bin covers several steps its centre says nothing of the rounding.
    let fine = scale < 2.0 * width;
    bins.iter()
        .map(|(x, count)| {
            let clipped = x.clamp(lo, hi);
            let beyond = x - clipped;
            let error = if beyond != 0.0 {
                beyond * beyond + within_bin
            } else if fine {
                scale * scale / 12.0
            } else {
                let rounded = ((x / scale).round() * scale).clamp(lo, hi);
                (x - rounded).powi(2) + within_bin
            };
            error * *count as f64
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::MinMax;
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn histogram(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::new(&MinMax::of(values));
        histogram.add(values);
        histogram
    }

    fn samples(heavy: bool, relu: bool) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        (0..40_000)
            .map(|_| {
                let normal: f32 = (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0;
                let tail = if heavy && random.random::<f32>() < 0.001 { 12.0 } else { 1.0 };
                let x = normal * tail;
                if relu { x.max(0.0) } else { x }
            })
            .collect()
    }

    fn measured(values: &[f32], quantizer: &ActivationQuantizer) -> f64 {
        let mut rounded = values.to_vec();
        quantizer.fake_quantize(&mut rounded);
        values.iter().zip(&rounded).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    #[test]
    fn zero_is_exact_and_codes_are_legal() {
        for (heavy, relu) in [(false, false), (true, false), (false, true), (true, true)] {
            let values = samples(heavy, relu);
            let histogram = histogram(&values);
            for rule in RangeRule::ALL {
                for bits in [2, 4, 6, 8, 16] {
                    let quantizer = activation_quantizer(&histogram, bits, rule);
                    let mut zero = [0.0];
                    quantizer.fake_quantize(&mut zero);
                    assert_eq!(zero, [0.0]);
                    let (lo, hi) = quantizer.code_range();
                    assert!((lo..=hi).contains(&quantizer.zero_point));
                    assert!(quantizer.scale > 0.0 && (bits < 16 || quantizer.zero_point == 0));
                }
            }
        }
    }

    #[test]
    fn mse_is_close_to_the_best_of_a_fine_grid() {
        for (heavy, relu) in [(false, false), (true, false), (false, true), (true, true)] {
            let values = samples(heavy, relu)[..10_000].to_vec();
            let histogram = histogram(&values);
            let bounds = histogram.bounds();
            for bits in [2, 4, 8] {
                let chosen = measured(&values, &activation_quantizer(&histogram, bits, RangeRule::Mse));
                let parts = (1..=60).map(|part| f64::from(part) / 60.0);
                let lows: Vec<f64> = if bounds.lo == 0.0 { vec![1.0] } else { parts.clone().step_by(3).collect() };
                let mut best = f64::INFINITY;
                for low in lows {
                    for high in parts.clone() {
                        let quantizer = ActivationQuantizer::covering(f64::from(bounds.lo) * low, f64::from(bounds.hi) * high, bits);
                        best = best.min(measured(&values, &quantizer));
                    }
                }
                let minmax = measured(&values, &activation_quantizer(&histogram, bits, RangeRule::MinMax));
                assert!(chosen <= minmax * 1.001, "heavy {heavy} relu {relu} bits {bits}");
                assert!(chosen <= best * 1.05, "heavy {heavy} relu {relu} bits {bits}: {chosen} against {best}");
            }
        }
    }

    #[test]
    fn sixteen_bits_cover_everything() {
        let values = samples(true, false);
        let bounds = MinMax::of(&values);
        let quantizer = activation_quantizer(&histogram(&values), 16, RangeRule::Mse);
        assert!(f64::from(quantizer.scale) * 32767.0 >= f64::from(bounds.hi.max(-bounds.lo)) * 0.999999);
    }

    #[test]
    fn percentile_clips_outliers_only() {
        let mut values = samples(false, false);
        values.push(1000.0);
        let quantizer = activation_quantizer(&histogram(&values), 8, RangeRule::Percentile);
        assert!(quantizer.real_range().1 < 20.0);
        assert!(activation_quantizer(&histogram(&values), 8, RangeRule::MinMax).real_range().1 > 990.0);
    }

    #[test]
    fn degenerate_ranges_are_usable() {
        for values in [vec![0.0; 9], vec![3.0; 9], vec![-3.0; 9], vec![1e-38; 9]] {
            for rule in RangeRule::ALL {
                for bits in [2, 4, 6, 8, 16] {
                    let quantizer = activation_quantizer(&histogram(&values), bits, rule);
                    assert!(quantizer.scale.is_finite() && quantizer.scale > 0.0);
                }
            }
        }
    }
}
