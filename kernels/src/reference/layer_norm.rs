//! Layer normalisation over the last axis, in integers.

use crate::{Activations, LayerNorm, pack};

/// Layer normalisation; see [`LayerNorm`].
///
/// The reciprocal root is off by at most 2^-30 of itself and the normalised value by 2^-24 more; mantissas of gamma have
/// up to 31 bits. The largest distance to the exact value of the same codes, in output codes, that the tests find is 0.501 at 8
/// bits and 0.511 at 16 bits, of which 0.5 is the output's own rounding.
pub fn layer_norm(norm: &LayerNorm<'_>, input: Activations<'_>, output: &mut [u8]) {
    let input_bytes = pack::row_bytes(input.bits, norm.channels);
    let output_bytes = pack::row_bytes(norm.codes.bits, norm.channels);
    for index in 0..norm.rows {
        let row = pack::row(input.codes, input_bytes, index);
        let out = pack::row_mut(output, output_bytes, index);
        let codes = || (0..norm.channels).map(|channel| i64::from(pack::code(row, input.bits, channel)));
        let (count, sum) = (norm.channels as i64, codes().sum::<i64>());
        let squares: i64 = codes().map(|code| code * code).sum();
        let variance = count.wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum));
        let root = Reciprocal::of(((variance as u64) << LayerNorm::EPSILON_BITS).wrapping_add(norm.epsilon));
        for (channel, code) in codes().enumerate() {
            let normal = root.times(count.wrapping_mul(code).wrapping_sub(sum));
            let (gamma, beta) = norm.gamma.get(channel).zip(norm.beta.get(channel)).unwrap_or((&0, &0));
            let scaled = scale(normal, *gamma, *beta, norm.shift);
            pack::set_code(out, norm.codes.bits, channel, norm.codes.code(scaled));
        }
        pack::clear_unused(out, norm.codes.bits, norm.channels);
    }
}

/// `n g` and beta under one shift, rounded once.
fn scale(normal: i64, gamma: i32, beta: i32, shift: u8) -> i64 {
    let beta = i64::from(beta).wrapping_shl(u32::from(shift).wrapping_sub(LayerNorm::BETA_BITS));
    let half = 1i64.wrapping_shl(u32::from(shift).wrapping_sub(1));
    normal.wrapping_mul(i64::from(gamma)).wrapping_add(beta).wrapping_add(half).wrapping_shr(u32::from(shift))
}

/// 1 / sqrt(R) as `v 2^(k - 62)`.
struct Reciprocal {
    /// v, at most 2^31; 0 for R = 0.
    mantissa: i64,
    /// 36 - k.
    shift: u32,
}

impl Reciprocal {
    fn of(r: u64) -> Self {
        // k: R 4^k has its highest bit at place 62 or 63.
        let doublings = r.leading_zeros() / 2;
        let root = r.wrapping_shl(2 * doublings).isqrt();
        let mantissa = (1u64 << 62).checked_div(root).unwrap_or(0) as i64;
        Self { mantissa, shift: 36 - doublings.min(31) }
    }

    /// D / sqrt(N + E / 64) in units of 2^-23.
    fn times(&self, difference: i64) -> i64 {
        (difference.wrapping_mul(self.mantissa) + (1 << (self.shift - 1))) >> self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, Tensor};
    use crate::{ActivationBits, OutputCodes};
    use std::vec;
    use std::vec::Vec;

    /// Real parameters of a layer, and what a file holds for them.
    struct Real {
        gamma: Vec<f64>,
        beta: Vec<f64>,
        epsilon: f64,
        input_scale: f64,
        output_scale: f64,
    }

    impl Real {
        /// Largest distance, in codes, between the kernel's output and the exact value, where that is a code.
        fn error(&self, input: &Tensor, rows: usize, codes: OutputCodes) -> f64 {
            let channels = self.gamma.len();
            let largest = self.gamma.iter().fold(0f64, |largest, gamma| largest.max(gamma.abs())) / self.output_scale;
            let shift = (31 + 23 - largest.log2().floor() as i32 - 2).clamp(15, 42) as u8;
            let mantissa = |gamma: &f64| (gamma / self.output_scale * f64::from(i32::from(shift) - 23).exp2()).round() as i32;
            let gamma: Vec<i32> = self.gamma.iter().map(mantissa).collect();
            let beta: Vec<i32> = self.beta.iter().map(|beta| (beta / self.output_scale * 16384.0).round() as i32).collect();
            let epsilon = (64.0 * (channels as f64).powi(2) * self.epsilon / self.input_scale.powi(2)).round() as u64;
            let norm = LayerNorm { rows, channels, epsilon, gamma: &gamma, beta: &beta, shift, codes };
            let (in_bytes, out_bytes) = (pack::row_bytes(input.bits, channels), pack::row_bytes(codes.bits, channels));
            let mut output = vec![0; rows * out_bytes];
            norm.check(input.view().operand(), output.len()).unwrap();
            layer_norm(&norm, input.view(), &mut output);
            let mut worst: f64 = 0.0;
            for row in 0..rows {
                let packed = pack::row(&input.codes, in_bytes, row);
                let real = |channel| f64::from(pack::code(packed, input.bits, channel) - input.zero_point) * self.input_scale;
                let values: Vec<f64> = (0..channels).map(real).collect();
                let mean = values.iter().sum::<f64>() / channels as f64;
                let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / channels as f64;
                // As the kernel holds it: what its rounding costs is a question of the constant, not of the arithmetic.
                let epsilon = epsilon as f64 / 64.0 / (channels as f64).powi(2) * self.input_scale.powi(2);
                for (channel, value) in values.iter().enumerate() {
                    let deviation = (variance + epsilon).sqrt();
                    let normal = if deviation == 0.0 { 0.0 } else { (value - mean) / deviation };
                    let exact = (normal * self.gamma[channel] + self.beta[channel]) / self.output_scale + f64::from(codes.zero_point);
                    let code = pack::code(pack::row(&output, out_bytes, row), codes.bits, channel);
                    worst = worst.max((f64::from(code) - exact.clamp(f64::from(codes.lo), f64::from(codes.hi))).abs());
                }
            }
            worst
        }
    }

    #[test]
    fn close_to_the_exact_value_at_every_width() {
        let mut random = Random::new(31);
        let mut worst = [0.0f64; 2];
        let uniform = |random: &mut Random| f64::from(random.between(-1000, 1000)) / 1000.0;
        for bits in ActivationBits::ALL {
            for channels in [1, 2, 3, 7, 64, 100, 768, 8192] {
                for (input_scale, output_scale) in [(0.05, 1.0), (1.0, 0.02), (1e-4, 0.3)] {
                    for (worst, to) in worst.iter_mut().zip([ActivationBits::A8, ActivationBits::A16]) {
                        let rows = 4;
                        let input = random.tensor(rows, channels, bits);
                        // The range that the output's codes cover: some standard deviations.
                        let output_scale = if to.signed() { output_scale / 2000.0 } else { output_scale / 10.0 };
                        let real = Real {
                            gamma: (0..channels).map(|_| 2.0 * uniform(&mut random)).collect(),
                            beta: (0..channels).map(|_| uniform(&mut random)).collect(),
                            epsilon: 1e-5,
                            input_scale,
                            output_scale,
                        };
                        let zero_point = if to.signed() { 0 } else { 120 };
                        *worst = worst.max(real.error(&input, rows, OutputCodes::full(to, zero_point)));
                    }
                }
            }
        }
        std::println!("largest error in codes: {worst:?}");
        assert!(worst[0] < 0.501 && worst[1] < 0.515, "{worst:?}");
    }

    #[test]
    fn every_row_of_two_8_bit_codes() {
        let pairs: Vec<u8> = (0..=255).flat_map(|a| (0..=255).flat_map(move |b| [a, b])).collect();
        let input = Tensor { codes: pairs, bits: ActivationBits::A8, zero_point: 9 };
        for epsilon in [0.0, 1e-5, 1.0] {
            let real = Real { gamma: vec![1.5, -0.7], beta: vec![0.1, -0.2], epsilon, input_scale: 0.05, output_scale: 0.001 };
            let worst = real.error(&input, 65536, OutputCodes::full(ActivationBits::A16, 0));
            assert!(worst < 0.515, "{epsilon} {worst}");
        }
    }

    #[test]
    fn the_reciprocal_root_is_close() {
        let mut random = Random::new(32);
        let edges = (0..64).flat_map(|bit| [1u64 << bit, (1u64 << bit) - 1, (1u64 << bit) + 1]);
        for r in edges.chain((0..20_000).map(|_| random.next() >> random.between(1, 63))).filter(|r| (1..1 << 63).contains(r)) {
            let root = Reciprocal::of(r);
            assert!((5..=36).contains(&root.shift) && root.mantissa <= 1 << 31);
            let value = root.mantissa as f64 * (f64::from(36 - root.shift) - 62.0).exp2();
            assert!((value * (r as f64).sqrt() - 1.0).abs() < 2f64.powi(-30) * 1.001, "{r}");
        }
        assert_eq!(Reciprocal::of(0).times(0), 0);
    }
}
