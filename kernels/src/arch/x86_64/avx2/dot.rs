//! Dot products of rows of weights and columns, both in 16 bits.

use core::arch::x86_64::*;

use super::load::{to_lanes, words};
use crate::portable::Lanes;

/// Chunks whose sums fit the lanes: each adds four products of at most 2^7 * 2^15 to a lane.
const CHUNKS: usize = 64;

/// Dot product that wraps in 32 bits.
#[target_feature(enable = "avx2")]
pub(super) fn dot(weights: &[Lanes], codes: &[Lanes]) -> i32 {
    to_lanes(sums(weights, codes)).into_iter().fold(0, i32::wrapping_add)
}

/// Dot product in 64 bits.
#[target_feature(enable = "avx2")]
pub(super) fn dot_wide(weights: &[Lanes], codes: &[Lanes]) -> i64 {
    let parts = weights.chunks(CHUNKS).zip(codes.chunks(CHUNKS));
    parts.map(|(weights, codes)| to_lanes(sums(weights, codes)).map(i64::from).iter().sum::<i64>()).fold(0, i64::wrapping_add)
}

/// Eight parts of a dot product, each in 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn sums(weights: &[Lanes], codes: &[Lanes]) -> __m256i {
    let mut sums = [_mm256_setzero_si256(); 2];
    for (weights, codes) in weights.iter().zip(codes) {
        let (weights, _) = weights.as_chunks();
        let (codes, _) = codes.as_chunks();
        for ((sum, weights), codes) in sums.iter_mut().zip(weights).zip(codes) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(words(weights), words(codes)));
        }
    }
    _mm256_add_epi32(sums[0], sums[1])
}
