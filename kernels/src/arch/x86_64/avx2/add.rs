//! Sum or difference of codes that are bytes.

use core::arch::x86_64::*;

use super::load::to_bytes;
use crate::{ActivationBits, Activations, Add, portable};

/// Codes of a step.
const STEP: usize = 32;

/// See [`native::add`](crate::native::add). For checked parameters.
#[target_feature(enable = "avx2")]
pub(in crate::arch::x86_64) fn add(add: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    let bytes = |bits| matches!(bits, ActivationBits::A6 | ActivationBits::A8);
    if ![a.bits, b.bits, add.codes.bits].into_iter().all(bytes) || !portable::fits_32_bits(add, a.bits, b.bits) {
        return false;
    }
    let sign = if add.subtract { -1 } else { 1 };
    let (m_a, m_b) = (add.multiplier_a, sign * add.multiplier_b);
    // `fits_32_bits`: the sum of all terms fits, and so their order does not matter.
    let half = 1i32 << (add.shift - 1);
    let constant = half.wrapping_sub(a.zero_point.wrapping_mul(m_a)).wrapping_sub(b.zero_point.wrapping_mul(m_b));
    let terms = Terms {
        multipliers: [_mm256_set1_epi32(m_a), _mm256_set1_epi32(m_b)],
        constant: _mm256_set1_epi32(constant),
        shift: _mm_cvtsi32_si128(i32::from(add.shift)),
        zero_point: _mm256_set1_epi32(add.codes.zero_point),
        lo: _mm256_set1_epi8(add.codes.lo as i8),
        hi: _mm256_set1_epi8(add.codes.hi as i8),
    };
    // Without a broadcast all rows are one.
    let row_len = if add.broadcast { add.channels } else { add.rows * add.channels };
    for (a, output) in a.codes.chunks_exact(row_len).zip(output.chunks_exact_mut(row_len)) {
        let (a_steps, a_last) = a.as_chunks::<STEP>();
        let (b_steps, b_last) = b.codes.as_chunks::<STEP>();
        let (steps, last) = output.as_chunks_mut::<STEP>();
        for ((a, b), to) in a_steps.iter().zip(b_steps).zip(steps) {
            *to = terms.step(a, b);
        }
        let (mut a, mut b) = ([0; STEP], [0; STEP]);
        for ((to, from), (other, second)) in a.iter_mut().zip(a_last).zip(b.iter_mut().zip(b_last)) {
            (*to, *other) = (*from, *second);
        }
        for (to, code) in last.iter_mut().zip(terms.step(&a, &b)) {
            *to = code;
        }
    }
    true
}

/// What is the same for every code.
struct Terms {
    multipliers: [__m256i; 2],
    constant: __m256i,
    shift: __m128i,
    zero_point: __m256i,
    lo: __m256i,
    hi: __m256i,
}

impl Terms {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn step(&self, a: &[u8; STEP], b: &[u8; STEP]) -> [u8; STEP] {
        let (a_eights, _) = a.as_chunks::<8>();
        let (b_eights, _) = b.as_chunks::<8>();
        let mut codes = [_mm256_setzero_si256(); 4];
        for ((codes, a), b) in codes.iter_mut().zip(a_eights).zip(b_eights) {
            let (a, b) = (i64::from_le_bytes(*a), i64::from_le_bytes(*b));
            let a = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(a)), self.multipliers[0]);
            let b = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(b)), self.multipliers[1]);
            let sum = _mm256_add_epi32(_mm256_add_epi32(a, b), self.constant);
            *codes = _mm256_add_epi32(_mm256_sra_epi32(sum, self.shift), self.zero_point);
        }
        // Both packs saturate and keep the order of numbers, so that the clamp may follow them. They mix the lanes.
        let (low, high) = (_mm256_packs_epi32(codes[0], codes[1]), _mm256_packs_epi32(codes[2], codes[3]));
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        let bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
        to_bytes(_mm256_min_epu8(_mm256_max_epu8(bytes, self.lo), self.hi))
    }
}
