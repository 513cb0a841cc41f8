//! Filters learned from patches: whitening and spherical k-means.

use super::layers::{Conv, Maps};
use super::linalg::{covariance, dot, eigen};
use crate::random::Random;

/// Patches that the filters of one layer are learned from.
const PATCHES: usize = 12_000;
const ITERATIONS: usize = 10;

/// `PATCHES` patches of `kernel` x `kernel` pixels at random places, `[PATCHES, kernel * kernel * channels]`.
fn patches(input: &Maps, kernel: usize, rng: &mut Random) -> Vec<f64> {
    let size = kernel * kernel * input.channels;
    let mut out = vec![0.0; PATCHES * size];
    for patch in out.chunks_exact_mut(size) {
        let (image, y, x) = (rng.index(input.images), rng.index(input.height), rng.index(input.width));
        input.patch(image, y, x, kernel, patch);
    }
    out
}

/// A convolution whose filters are k-means centroids of whitened patches of `input`, whitening included in the weights. The mean is not
/// subtracted: the batch normalization that follows does it.
pub(super) fn centroids(input: &Maps, kernel: usize, outputs: usize, rng: &mut Random) -> Conv {
    let n = kernel * kernel * input.channels;
    let samples = patches(input, kernel, rng);
    let (mean, covariance) = covariance(&samples, n);
    let (values, vectors) = eigen(&covariance, n);
    // Directions that hardly vary are noise: the floor keeps whitening from blowing them up.
    let floor = 0.01 * values[0];
    let whitening: Vec<f64> = vectors
        .chunks_exact(n)
        .zip(&values)
        .flat_map(|(vector, value)| vector.iter().map(move |x| x / libm::sqrt(value.max(0.0) + floor)))
        .collect();
    let mut white = vec![0.0; samples.len()];
    let mut centred = vec![0.0; n];
    for (out, sample) in white.chunks_exact_mut(n).zip(samples.chunks_exact(n)) {
        centred.iter_mut().zip(sample.iter().zip(&mean)).for_each(|(c, (v, m))| *c = v - m);
        for (value, row) in out.iter_mut().zip(whitening.chunks_exact(n)) {
            *value = dot(row, &centred);
        }
        normalise(out);
    }
    let centres = spherical_k_means(&white, n, outputs, rng);
    let mut weights = vec![0.0; outputs * n];
    for (filter, centre) in weights.chunks_exact_mut(n).zip(centres.chunks_exact(n)) {
        for (c, row) in centre.iter().zip(whitening.chunks_exact(n)) {
            filter.iter_mut().zip(row).for_each(|(w, r)| *w += c * r);
        }
    }
    Conv { outputs, kernel, depthwise: false, weights }
}

/// Scales to length 1; zero stays zero.
fn normalise(vector: &mut [f64]) {
    let length = libm::sqrt(dot(vector, vector));
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}

/// `count` unit vectors `[count, n]` around which the unit vectors `samples` gather.
fn spherical_k_means(samples: &[f64], n: usize, count: usize, rng: &mut Random) -> Vec<f64> {
    let total = samples.len() / n;
    let pick = |rng: &mut Random| {
        let index = rng.index(total);
        samples[index * n..(index + 1) * n].to_vec()
    };
    let mut centres: Vec<f64> = (0..count).flat_map(|_| pick(rng)).collect();
    for _ in 0..ITERATIONS {
        let mut sums = vec![0.0; count * n];
        for sample in samples.chunks_exact(n) {
            let mut best = (0, f64::NEG_INFINITY);
            for (index, centre) in centres.chunks_exact(n).enumerate() {
                let similarity = dot(centre, sample);
                if similarity > best.1 {
                    best = (index, similarity);
                }
            }
            let sum = &mut sums[best.0 * n..(best.0 + 1) * n];
            sum.iter_mut().zip(sample).for_each(|(s, v)| *s += v);
        }
        for centre in sums.chunks_exact_mut(n) {
            // A centre that no sample chose starts again somewhere else.
            if dot(centre, centre) == 0.0 {
                centre.copy_from_slice(&pick(rng));
            }
            normalise(centre);
        }
        centres = sums;
    }
    centres
}

/// A pointwise convolution onto the principal components of `input`, scaled by `gain`.
pub(super) fn principal_components(input: &Maps, gain: f64) -> Conv {
    let n = input.channels;
    let (_, covariance) = covariance(&input.values, n);
    let (_, vectors) = eigen(&covariance, n);
    let weights = vectors.iter().map(|x| gain * x).collect();
    Conv { outputs: n, kernel: 1, depthwise: false, weights }
}
