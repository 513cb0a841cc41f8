//! Pairwise accuracy: the share of pairs of designs whose order a predictor gets right.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Draws `count` pairs of points whose accuracies differ. Fewer only where hardly any differ.
#[must_use]
pub fn pairs(accuracies: &[f32], count: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let points = u32::try_from(accuracies.len()).unwrap_or(u32::MAX);
    let mut pairs = Vec::with_capacity(count);
    if points < 2 {
        return pairs;
    }
    // Points that are all alike have no order: the tries are bounded.
    for _ in 0..count.saturating_mul(20) {
        if pairs.len() == count {
            break;
        }
        let (a, b) = (rng.random_range(0..points) as usize, rng.random_range(0..points) as usize);
        if accuracies[a] != accuracies[b] {
            pairs.push((a, b));
        }
    }
    pairs
}

/// The share of `pairs` in which the greater prediction belongs to the greater accuracy; equal predictions count half. `None` without pairs.
#[must_use]
pub fn pairwise_accuracy(predictions: &[f32], accuracies: &[f32], pairs: &[(usize, usize)]) -> Option<f64> {
    let score = |&(a, b): &(usize, usize)| {
        let (predicted, is) = (predictions[a] - predictions[b], accuracies[a] - accuracies[b]);
        if predicted == 0.0 { 0.5 } else { f64::from(u8::from((predicted > 0.0) == (is > 0.0))) }
    };
    (!pairs.is_empty()).then(|| pairs.iter().map(score).sum::<f64>() / pairs.len() as f64)
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn pairs_differ_and_count() {
        let accuracies = [0.5, 0.5, 0.7, 0.9];
        let drawn = pairs(&accuracies, 100, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(drawn.len(), 100);
        assert!(drawn.iter().all(|&(a, b)| accuracies[a] != accuracies[b]));
        assert!(pairs(&[0.5; 9], 10, &mut ChaCha8Rng::seed_from_u64(1)).is_empty());
        assert!(pairs(&[0.5], 10, &mut ChaCha8Rng::seed_from_u64(1)).is_empty());
    }

    #[test]
    fn order_alone_counts() {
        let accuracies = [0.1, 0.2, 0.3];
        let all = [(0, 1), (1, 2), (0, 2), (2, 0)];
        assert_eq!(pairwise_accuracy(&[-5.0, 0.0, 9.0], &accuracies, &all), Some(1.0));
        assert_eq!(pairwise_accuracy(&[3.0, 2.0, 1.0], &accuracies, &all), Some(0.0));
        assert_eq!(pairwise_accuracy(&[1.0; 3], &accuracies, &all), Some(0.5));
        assert_eq!(pairwise_accuracy(&[1.0], &[1.0], &[]), None);
    }
}
