//! Softmax over the last axis, in integers.

use crate::requant::requantize;
use crate::{Activations, Softmax, pack};

/// `2^(-i/32)` in units of 2^-30.
#[rustfmt::skip]
const POWERS: [u32; 32] = [
    1073741824, 1050733751, 1028218693, 1006186087, 984625594, 963527098, 942880699, 922676710,
    902905651, 883558244, 864625413, 846098274, 827968132, 810226483, 792865000, 775875538,
    759250125, 742980960, 727060411, 711481005, 696235434, 681316545, 666717336, 652430958,
    638450708, 624770026, 611382493, 598281827, 585461881, 572916640, 560640218, 548626854,
];

/// ln 2 in units of 2^-16.
const LN_2: u64 = 45426;

/// Softmax; see [`Softmax`].
///
/// With d = max - code of the row, the exponent of a code is `t = requant(d, m, r)` in units of 2^-16, and
/// `e = 2^(-t / 2^16)` in units of 2^-30: the whole part of the exponent is a shift, its next five bits choose one of
/// 32 powers, and its last eleven bits, x, are a quadratic, `1 - u + u^2 / 2` with `u = x ln 2`. The output is
/// `min(round(e * one / sum e), hi)`, half away from zero, with `one` = 255 or 32767 where probabilities up to 1 are wanted.
///
/// The quadratic's error is at most `(ln 2 / 32)^3 / 6` = 1.7e-6 of e and the exponent's rounding 5.3e-6; the largest
/// distance to the exact softmax of the same codes that the tests find is 0.501 at 8 bits and 0.54 at 16 bits, in
/// codes, of which 0.5 is the output's own rounding.
pub fn softmax(softmax: &Softmax, input: Activations<'_>, output: &mut [u8]) {
    let input_bytes = pack::row_bytes(input.bits, softmax.channels);
    let output_bytes = pack::row_bytes(softmax.bits, softmax.channels);
    let (one, largest_code) = (u64::from(softmax.one), softmax.bits.hi() as u64);
    for index in 0..softmax.rows {
        let row = pack::row(input.codes, input_bytes, index);
        let out = pack::row_mut(output, output_bytes, index);
        let codes = || (0..softmax.channels).map(|channel| pack::code(row, input.bits, channel));
        let largest = codes().max().unwrap_or(0);
        let power = |code| power(requantize(i64::from(largest - code), softmax.multiplier, softmax.shift));
        let sum: u64 = codes().map(power).sum();
        for (channel, code) in codes().enumerate() {
            // The largest code's power is 2^30, so the sum is never 0.
            let share = (2 * one * power(code) + sum) / (2 * sum).max(1);
            pack::set_code(out, softmax.bits, channel, share.min(largest_code) as i32);
        }
    }
}

/// `2^(-exponent / 2^16)` in units of 2^-30, for an exponent that is not negative.
fn power(exponent: i64) -> u64 {
    let whole = exponent >> 16;
    if whole > 31 {
        return 0;
    }
    let coarse = (exponent >> 11 & 31) as usize;
    // u in units of 2^-32, u^2 / 2 in units of 2^-32.
    let u = (exponent as u64 & 0x7ff) * LN_2;
    let fine = (1 << 32) - u + ((u * u) >> 33);
    // Rounded once, after both factors: 2^-62 down to 2^-30, and by the whole part.
    let shift = 32 + whole;
    let scaled = u64::from(POWERS[coarse & 31]) * (fine >> 1);
    (scaled + (1 << (shift - 2))) >> (shift - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActivationBits;
    use crate::testing::{Random, Tensor};
    use std::vec;

    /// Multiplier and shift of an input scale.
    fn rescale(scale: f64) -> (i32, u8) {
        let factor = scale * std::f64::consts::LOG2_E * 65536.0;
        let shift = (31 - factor.log2().floor() as i32 - 1).clamp(1, 62);
        ((factor * f64::from(shift).exp2()).round() as i32, shift as u8)
    }

    /// Largest distance, in codes, between the kernel's output and the exact softmax of the input's codes.
    fn error(input: &Tensor, rows: usize, channels: usize, scale: f64, bits: ActivationBits) -> f64 {
        let (multiplier, shift) = rescale(scale);
        let one = if bits == ActivationBits::A16 { 32767 } else { 255 };
        let params = Softmax { rows, channels, multiplier, shift, bits, one };
        let (in_bytes, out_bytes) = (pack::row_bytes(input.bits, channels), pack::row_bytes(bits, channels));
        let mut output = vec![0; rows * out_bytes];
        params.check(input.view().operand(), output.len()).unwrap();
        softmax(&params, input.view(), &mut output);
        let one = f64::from(one);
        let mut worst: f64 = 0.0;
        for row in 0..rows {
            let codes = pack::row(&input.codes, in_bytes, row);
            let codes: vec::Vec<i32> = (0..channels).map(|channel| pack::code(codes, input.bits, channel)).collect();
            let largest = codes.iter().copied().max().unwrap_or(0);
            let powers: vec::Vec<f64> = codes.iter().map(|&code| (f64::from(code - largest) * scale).exp()).collect();
            let sum: f64 = powers.iter().sum();
            for (channel, power) in powers.iter().enumerate() {
                let code = pack::code(pack::row(&output, out_bytes, row), bits, channel);
                worst = worst.max((f64::from(code) - power / sum * one).abs());
            }
        }
        worst
    }

    #[test]
    fn every_pair_of_8_bit_codes() {
        let pairs: vec::Vec<u8> = (0..=255).flat_map(|a| (0..=255).flat_map(move |b| [a, b])).collect();
        let input = Tensor { codes: pairs, bits: ActivationBits::A8, zero_point: 0 };
        for scale in [0.5, 0.1, 0.047, 0.01, 0.001] {
            let (narrow, wide) = (error(&input, 65536, 2, scale, ActivationBits::A8), error(&input, 65536, 2, scale, ActivationBits::A16));
            assert!(narrow < 0.501 && wide < 0.55, "{scale} {narrow} {wide}");
        }
    }

    #[test]
    fn random_rows_at_every_width() {
        let mut random = Random::new(30);
        let mut worst = [0.0f64; 2];
        for bits in ActivationBits::ALL {
            for channels in [1, 2, 3, 10, 100, 1000] {
                for scale in [8.0, 1.0, 0.1, 0.01, 0.0005] {
                    let rows = 12;
                    let input = random.tensor(rows, channels, bits);
                    for (worst, output) in worst.iter_mut().zip([ActivationBits::A8, ActivationBits::A16]) {
                        *worst = worst.max(error(&input, rows, channels, scale, output));
                    }
                }
            }
        }
        std::println!("largest error in codes: {worst:?}");
        assert!(worst[0] < 0.501 && worst[1] < 0.55, "{worst:?}");
    }

    #[test]
    fn a_finer_scale_is_clamped() {
        let params = Softmax { rows: 2, channels: 4, multiplier: 1 << 30, shift: 20, bits: ActivationBits::A8, one: 800 };
        let input = Tensor { codes: vec![7, 7, 7, 7, 90, 0, 0, 0], bits: ActivationBits::A8, zero_point: 0 };
        let mut output = [0; 8];
        params.check(input.view().operand(), output.len()).unwrap();
        softmax(&params, input.view(), &mut output);
        // 90 codes are 1.406 powers of two: 800 * 0.4691 is clamped, 800 * 0.1770 is not.
        assert_eq!(output, [200, 200, 200, 200, 255, 142, 142, 142]);
    }

    #[test]
    fn powers_are_close_and_never_rise() {
        let mut last = u64::MAX;
        for exponent in 0..40 << 16 {
            let power = power(exponent);
            assert!(power <= last, "{exponent}");
            let exact = (30.0 - exponent as f64 / 65536.0).exp2();
            assert!((power as f64 - exact).abs() <= 0.5 + exact * 3e-6, "{exponent} {power} {exact}");
            last = power;
        }
        assert_eq!(super::power(0), 1 << 30);
        assert_eq!(super::power(i64::MAX), 0);
    }
}
