//! Thresholds by Kullback-Leibler divergence between the float and the quantized histogram.
//!
//! APQ's rule in spirit; its printed equation is for another grid. Both sides are clipped at the same part of their bound.

use super::histogram::{BINS, Histogram};

/// Candidate thresholds.
const CANDIDATES: usize = 128;

pub(super) fn thresholds(histogram: &Histogram, bits: u8) -> (f64, f64) {
    let bounds = histogram.bounds();
    let (lo, hi) = (f64::from(bounds.lo), f64::from(bounds.hi));
    let zero = if hi > lo { ((-lo / (hi - lo)) * BINS as f64) as usize } else { 0 };
    let levels = (1usize << bits) - 1;
    let mut best = (f64::INFINITY, 1.0);
    // The whole range first: narrower ones must win.
    for candidate in (1..=CANDIDATES).rev() {
        let part = candidate as f64 / CANDIDATES as f64;
        let first = zero - (zero as f64 * part) as usize;
        let last = (zero + ((BINS - zero) as f64 * part).ceil() as usize).min(BINS);
        // Fewer bins than levels have no rounding that could be seen.
        if last - first < levels.min(BINS / 4) {
            continue;
        }
        let divergence = divergence(histogram.counts(), first, last, levels);
        if divergence < best.0 {
            best = (divergence, part);
        }
    }
    (lo * best.1, hi * best.1)
}

/// KL(P || Q): P is the histogram with what is clipped piled onto its ends, Q spreads the mass of each level evenly over the level's bins that are not
/// empty, without what was clipped.
fn divergence(counts: &[u64], first: usize, last: usize, levels: usize) -> f64 {
    let inside = &counts[first..last];
    let below: u64 = counts[..first].iter().sum();
    let above: u64 = counts[last..].iter().sum();
    let total = counts.iter().sum::<u64>() as f64;
    let kept = inside.iter().sum::<u64>() as f64;
    if kept == 0.0 {
        return f64::INFINITY;
    }
    let bins_per_level = inside.len() as f64 / levels as f64;
    let mut divergence = 0.0;
    for level in 0..levels {
        let from = (level as f64 * bins_per_level) as usize;
        let to = (((level + 1) as f64 * bins_per_level) as usize).clamp(from, inside.len());
        let bins = &inside[from..to];
        let mass: u64 = bins.iter().sum();
        let occupied = bins.iter().filter(|count| **count > 0).count();
        for (offset, count) in bins.iter().enumerate() {
            let bin = from + offset;
            let piled = if bin == 0 { below } else { 0 } + if bin + 1 == inside.len() { above } else { 0 };
            let p = (*count + piled) as f64 / total;
            if p == 0.0 {
                continue;
            }
            let q = if *count > 0 { mass as f64 / occupied as f64 / kept } else { f64::MIN_POSITIVE.sqrt() };
            divergence += p * (p / q).ln();
        }
    }
    divergence
}

#[cfg(test)]
mod tests {
    use super::super::MinMax;
    use super::*;

    #[test]
    fn a_lone_outlier_is_clipped_and_a_uniform_range_is_not() {
        let uniform: Vec<f32> = (0..20_000).map(|i| (i as f32 + 0.5) / 20_000.0 * 8.0 - 4.0).collect();
        let mut histogram = Histogram::new(&MinMax::of(&uniform));
        histogram.add(&uniform);
        let (lo, hi) = thresholds(&histogram, 8);
        assert!(lo < -3.9 && hi > 3.9, "{lo} {hi}");
        // A bell with one far value.
        let mut bell: Vec<f32> =
            (0..200_000u64).map(|i| (0..6).map(|k| ((i * (2 * k + 3) * 7919) % 1009) as f32 / 1009.0).sum::<f32>() - 3.0).collect();
        bell.push(40.0);
        let mut histogram = Histogram::new(&MinMax::of(&bell));
        histogram.add(&bell);
        let (_, hi) = thresholds(&histogram, 4);
        assert!(hi < 30.0, "{hi}");
    }
}
