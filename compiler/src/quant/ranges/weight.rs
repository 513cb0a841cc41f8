//! Scales of weights: symmetric, one for each output channel.

use super::{RangeRule, round};

/// Steps of the coarse search. The error of a short row has many narrow minima, and looking at each costs little.
fn coarse_steps(row_len: usize) -> usize {
    const WEIGHTS_VISITED: usize = 4000;
    (WEIGHTS_VISITED / row_len.max(1)).clamp(40, 400)
}

/// Smallest and largest part: below 8 bits the best scale clips much; a scale beyond 1 lets the code -2^(b-1) carry the largest weight.
const PARTS: (f32, f32) = (0.25, 1.1);

/// Rounds of refinement; each halves the step around the best part.
const REFINEMENTS: u32 = 5;

/// Share of the weights that [`RangeRule::Percentile`] clips.
const PERCENTILE_OUTSIDE: f64 = 1e-3;

/// The step for a row of weights on the grid -2^(b-1) ..= 2^(b-1) - 1; 1 for a row of zeros.
///
/// A row has too few weights for a histogram, so that KL stands for MSE here.
pub fn weight_scale(row: &[f32], bits: u8, rule: RangeRule) -> f32 {
    let largest = row.iter().fold(0f32, |largest, w| largest.max(w.abs()));
    let top = ((1i32 << (bits - 1)) - 1) as f32;
    let covering = largest / top;
    if covering < f32::MIN_POSITIVE * 65536.0 {
        return 1.0;
    }
    match rule {
        RangeRule::MinMax => covering,
        RangeRule::Percentile => {
            let mut magnitudes: Vec<f32> = row.iter().map(|w| w.abs()).collect();
            magnitudes.sort_by(f32::total_cmp);
            let place = ((magnitudes.len() as f64 * (1.0 - PERCENTILE_OUTSIDE)).ceil() as usize).clamp(1, magnitudes.len());
            let threshold = magnitudes[place - 1] / top;
            if threshold > 0.0 { threshold } else { covering }
        }
        RangeRule::Mse | RangeRule::Kl => smallest_error(row, bits, covering),
    }
}

fn smallest_error(row: &[f32], bits: u8, covering: f32) -> f32 {
    let mut best = (squared_error(row, covering, bits), covering);
    let consider = |best: &mut (f32, f32), scale: f32| {
        let error = squared_error(row, scale, bits);
        if error < best.0 {
            *best = (error, scale);
        }
    };
    let steps = coarse_steps(row.len());
    let mut step = covering * (PARTS.1 - PARTS.0) / steps as f32;
    for index in 0..=steps {
        consider(&mut best, covering * PARTS.0 + step * index as f32);
    }
    for _ in 0..REFINEMENTS {
        step /= 2.0;
        let (_, centre) = best;
        consider(&mut best, centre - step);
        consider(&mut best, centre + step);
    }
    best.1
}

/// Sum of squared rounding and clipping errors, in eight interleaved sums so that it vectorises.
fn squared_error(row: &[f32], scale: f32, bits: u8) -> f32 {
    let (lo, hi) = (-((1i32 << (bits - 1)) as f32), ((1i32 << (bits - 1)) - 1) as f32);
    let inverse = 1.0 / scale;
    let error = |w: f32| {
        let code = round((w * inverse).max(lo).min(hi));
        let error = w - code * scale;
        error * error
    };
    let mut sums = [0f32; 8];
    let chunks = row.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().map(|w| error(*w)).sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, w)| *sum += error(*w));
    }
    sums.iter().sum::<f32>() + rest
}

/// Codes of a row of weights at a step.
pub fn quantize_row(row: &[f32], scale: f32, bits: u8) -> Vec<i8> {
    let (lo, hi) = (-((1i32 << (bits - 1)) as f32), ((1i32 << (bits - 1)) - 1) as f32);
    row.iter().map(|w| round((w / scale).max(lo).min(hi)) as i8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn exact_error(row: &[f32], scale: f32, bits: u8) -> f64 {
        quantize_row(row, scale, bits).iter().zip(row).map(|(code, w)| (f64::from(*w) - f64::from(*code) * f64::from(scale)).powi(2)).sum()
    }

    #[test]
    fn mse_is_close_to_a_fine_grid() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for length in [9, 27, 144, 1000] {
            let row: Vec<f32> = (0..length).map(|_| (random.random::<f32>() - 0.5) * random.random::<f32>() * 3.0).collect();
            let largest = row.iter().fold(0f32, |a, b| a.max(b.abs()));
            for bits in [2, 4, 6, 8] {
                let top = ((1 << (bits - 1)) - 1) as f32;
                let chosen = exact_error(&row, weight_scale(&row, bits, RangeRule::Mse), bits);
                let best = (1..2000).map(|i| exact_error(&row, largest / top * i as f32 / 1500.0, bits)).fold(f64::INFINITY, f64::min);
                let rounding = f64::from(largest / top).powi(2) / 12.0 * f64::from(length);
                assert!(chosen <= best * 1.05 + 0.1 * rounding, "length {length} bits {bits}: {chosen} against {best}");
                assert!(chosen <= exact_error(&row, largest / top, bits) * 1.0001 + 1e-9);
            }
        }
    }

    #[test]
    fn zeros_and_signs() {
        assert_eq!(weight_scale(&[0.0, -0.0], 4, RangeRule::Mse), 1.0);
        assert_eq!(weight_scale(&[1e-44], 4, RangeRule::Mse), 1.0);
        assert_eq!(quantize_row(&[0.5, -0.5, 1.49, -9.0, 9.0], 1.0, 4), [1, -1, 1, -8, 7]);
        assert_eq!(weight_scale(&[-7.0, 3.0], 4, RangeRule::MinMax), 1.0);
    }
}
