//! The output stage of eight sums at a time.

use core::arch::x86_64::*;

use super::load::{lanes, store_words, to_lanes};
use crate::arch::x86_64::write_narrow;
use crate::{ActivationBits, OutputCodes, OutputStage, requant};

/// Bias, multiplier and shift of eight channels.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    /// Where sums start.
    pub(super) bias: __m256i,
    multiplier: __m256i,
    /// `2^(r-1)` of the even and of the odd channels.
    half: [__m256i; 2],
    /// Shifts, 32 less.
    shift: __m256i,
    /// Whether every shift is at least 32, which the vectors above want.
    high: bool,
    each: [(i32, i32, u8); 8],
}

impl Stage {
    /// The stage of channel `channel(lane)` in each lane; of none from channel `end` on.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new(stage: &OutputStage<'_>, end: usize, channel: impl Fn(usize) -> usize) -> Self {
        let mut each = [(0, 0, requant::HIGH_SHIFT_MIN); 8];
        for (lane, each) in each.iter_mut().enumerate() {
            let channel = channel(lane);
            if let Some(stage) = stage.channel(channel).filter(|_| channel < end) {
                *each = stage;
            }
        }
        let high = each.iter().all(|each| each.2 >= requant::HIGH_SHIFT_MIN);
        let shift = lanes(&each.map(|each| i32::from(each.2)));
        let half = |shift: __m256i| {
            let one = _mm256_set1_epi64x(1);
            _mm256_sllv_epi64(one, _mm256_sub_epi64(shift, one))
        };
        let even = _mm256_and_si256(shift, _mm256_set1_epi64x(0xffff_ffff));
        Self {
            bias: lanes(&each.map(|each| each.0)),
            multiplier: lanes(&each.map(|each| each.1)),
            half: [half(even), half(_mm256_srli_epi64::<32>(shift))],
            shift: _mm256_sub_epi32(shift, _mm256_set1_epi32(32)),
            high,
            each,
        }
    }

    /// The codes of eight sums.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn codes(&self, sums: __m256i, codes: OutputCodes) -> __m256i {
        if !self.high {
            return self.codes_each(to_lanes(sums).map(i64::from), codes);
        }
        let even = _mm256_add_epi64(_mm256_mul_epi32(sums, self.multiplier), self.half[0]);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(sums), _mm256_srli_epi64::<32>(self.multiplier));
        let odd = _mm256_add_epi64(odd, self.half[1]);
        let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
        // Below 1.5 * 2^30 + 2^16.
        let code = _mm256_add_epi32(_mm256_srav_epi32(high, self.shift), _mm256_set1_epi32(codes.zero_point));
        _mm256_min_epi32(_mm256_max_epi32(code, _mm256_set1_epi32(codes.lo)), _mm256_set1_epi32(codes.hi))
    }

    /// The codes of eight sums, one after the other.
    #[inline(never)]
    #[target_feature(enable = "avx2")]
    pub(super) fn codes_each(&self, sums: [i64; 8], codes: OutputCodes) -> __m256i {
        let mut done = [0; 8];
        for ((done, sum), &(_, multiplier, shift)) in done.iter_mut().zip(sums).zip(&self.each) {
            *done = codes.code(requant::requantize(sum, multiplier, shift));
        }
        lanes(&done)
    }
}

/// Writes the first `count` of 16 codes to channels `first ..` of a pixel.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn write(codes: __m256i, bits: ActivationBits, pixel: &mut [u8], first: usize, count: usize) {
    let count = count.min(16);
    match bits {
        ActivationBits::A6 | ActivationBits::A8 => {
            let bytes = _mm256_permute4x64_epi64::<0b10_00>(_mm256_packus_epi16(codes, codes));
            let bytes = _mm256_castsi256_si128(bytes);
            let Some(out) = pixel.get_mut(first..first + count) else {
                return;
            };
            let mut buffer = [0; 16];
            let whole = out.first_chunk_mut::<16>();
            let partial = whole.is_none();
            let to = whole.unwrap_or(&mut buffer);
            // SAFETY: the array has 16 bytes.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), bytes) };
            if partial {
                out.copy_from_slice(buffer.get(..count).unwrap_or_default());
            }
        }
        bits => {
            let mut words = [0; 16];
            store_words(&mut words, codes);
            if bits == ActivationBits::A16 {
                let out = pixel.get_mut(2 * first..2 * (first + count)).unwrap_or_default();
                crate::pack::pack_row(bits, words.get(..count).unwrap_or_default(), out);
            } else {
                write_narrow(bits, &words, pixel, first, count);
            }
        }
    }
}
