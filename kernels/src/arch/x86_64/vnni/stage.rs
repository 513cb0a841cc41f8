//! The output stage of 16 sums at a time.

use core::arch::x86_64::*;
use core::array;

use super::load::store;
use crate::arch::x86_64::{PANEL, write_narrow};
use crate::{ActivationBits, OutputCodes, OutputStage, requant};

/// Bias, multiplier and shift of 16 channels.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    /// Where sums start.
    pub(super) bias: __m512i,
    multiplier: __m512i,
    /// Multipliers of the odd channels, in the even lanes.
    multiplier_odd: __m512i,
    /// `High`: `2^(r-1)` of the even and of the odd channels.
    half: [__m512i; 2],
    /// Shift, 32 less if `High`.
    shift: __m512i,
    high: bool,
}

impl Stage {
    /// The stage of channel `channel(lane)` in each lane; of none past `left` lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn new(stage: &OutputStage<'_>, left: usize, channel: impl Fn(usize) -> usize) -> Self {
        let (mut bias, mut multiplier, mut shift) = ([0; 16], [0; 16], [37; 16]);
        for lane in (0..16).filter(|&lane| channel(lane) < left) {
            (bias[lane], multiplier[lane]) = match stage.channel(channel(lane)) {
                Some((bias, multiplier, r)) => {
                    shift[lane] = i32::from(r);
                    (bias, multiplier)
                }
                None => (0, 0),
            };
        }
        // `x >> r` is `(x >> 32) >> (r - 32)`.
        let high = shift.iter().all(|&r| r >= i32::from(requant::HIGH_SHIFT_MIN));
        let mut half = [_mm512_setzero_si512(); 2];
        if high {
            let r = vector(&shift);
            half = [halves(_mm512_and_si512(r, _mm512_set1_epi64(0xffff_ffff))), halves(_mm512_srli_epi64::<32>(r))];
            shift.iter_mut().for_each(|r| *r -= 32);
        }
        let multiplier = vector(&multiplier);
        Self { bias: vector(&bias), multiplier, multiplier_odd: _mm512_srli_epi64::<32>(multiplier), half, shift: vector(&shift), high }
    }

    /// Whether [`Stage::high_codes`] holds.
    pub(super) fn is_high(&self) -> bool {
        self.high
    }

    /// As [`Stage::codes`] of a stage for which [`Stage::is_high`], without zero point and clamp.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn high_codes(&self, sums: __m512i) -> __m512i {
        let even = _mm512_add_epi64(_mm512_mul_epi32(sums, self.multiplier), self.half[0]);
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(sums), self.multiplier_odd);
        let odd = _mm512_add_epi64(odd, self.half[1]);
        _mm512_srav_epi32(_mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even), self.shift)
    }

    /// The codes of 16 sums, not yet clamped.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn codes(&self, sums: __m512i, codes: &Codes) -> __m512i {
        if self.high {
            // Below 1.5 * 2^30 + 2^16.
            return _mm512_add_epi32(self.high_codes(sums), _mm512_set1_epi32(codes.codes.zero_point));
        }
        let even = _mm512_mul_epi32(sums, self.multiplier);
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(sums), self.multiplier_odd);
        let even_shift = _mm512_and_si512(self.shift, _mm512_set1_epi64(0xffff_ffff));
        let even = codes.finish(even, even_shift);
        let odd = codes.finish(odd, _mm512_srli_epi64::<32>(self.shift));
        _mm512_mask_shuffle_epi32::<0b10_10_00_00>(even, 0xaaaa, odd)
    }
}

/// `2^(r-1)` for shifts in 64 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn halves(shift: __m512i) -> __m512i {
    let one = _mm512_set1_epi64(1);
    _mm512_sllv_epi64(one, _mm512_sub_epi64(shift, one))
}

/// What a stage needs of the codes it writes.
#[derive(Clone, Copy)]
pub(super) struct Codes {
    codes: OutputCodes,
}

impl Codes {
    pub(super) fn new(codes: OutputCodes) -> Self {
        Self { codes }
    }

    /// Rounding, shift, zero point and clamp of products in 64 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn finish(&self, product: __m512i, shift: __m512i) -> __m512i {
        let scaled = _mm512_srav_epi64(_mm512_add_epi64(product, halves(shift)), shift);
        let code = _mm512_add_epi64(scaled, _mm512_set1_epi64(i64::from(self.codes.zero_point)));
        let above = _mm512_max_epi64(code, _mm512_set1_epi64(i64::from(self.codes.lo)));
        _mm512_min_epi64(above, _mm512_set1_epi64(i64::from(self.codes.hi)))
    }

    /// Whether codes take a byte each, so that [`Codes::pack_bytes`] holds.
    pub(super) fn are_bytes(&self) -> bool {
        matches!(self.codes.bits, ActivationBits::A6 | ActivationBits::A8)
    }

    /// Adds the zero point to 64 codes of [`Stage::high_codes`] and clamps them: lane `l` of 128 bits gets lane `l` of each vector in turn.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn pack_bytes(&self, codes: [__m512i; 4]) -> __m512i {
        // Each step saturates and keeps the order of numbers, so that the clamp may come last.
        let zero_point = _mm512_set1_epi16(self.codes.zero_point as i16);
        let low = _mm512_adds_epi16(_mm512_packs_epi32(codes[0], codes[1]), zero_point);
        let high = _mm512_adds_epi16(_mm512_packs_epi32(codes[2], codes[3]), zero_point);
        let bytes = _mm512_packus_epi16(low, high);
        let above = _mm512_max_epu8(bytes, _mm512_set1_epi8(self.codes.lo as i8));
        _mm512_min_epu8(above, _mm512_set1_epi8(self.codes.hi as i8))
    }

    /// Writes the channels `first .. first + count` of `N` pixels, `count` at most 16, where [`Stage::is_high`] and
    /// [`Codes::are_bytes`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn write_tile<const N: usize>(
        &self,
        stage: &Stage,
        sums: [__m512i; N],
        pixels: &mut [u8],
        pixel_bytes: usize,
        (first, count): (usize, usize),
    ) {
        // One check for all pixels.
        let Some(pixels) = pixels.get_mut(..N * pixel_bytes).filter(|_| first + count <= pixel_bytes) else {
            return;
        };
        let by_pixel = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        for four in (0..N).step_by(4) {
            let codes = array::from_fn(|index| match sums.get(four + index) {
                Some(&sums) => stage.high_codes(sums),
                None => _mm512_setzero_si512(),
            });
            let bytes = _mm512_permutexvar_epi32(by_pixel, self.pack_bytes(codes));
            let quarters = [
                _mm512_castsi512_si128(bytes),
                _mm512_extracti32x4_epi32::<1>(bytes),
                _mm512_extracti32x4_epi32::<2>(bytes),
                _mm512_extracti32x4_epi32::<3>(bytes),
            ];
            for (index, quarter) in quarters.into_iter().enumerate().take(N - four) {
                debug_assert!((four + index) * pixel_bytes + first + count <= pixels.len());
                // SAFETY: `pixels` has `N` pixels, each of which has those channels.
                unsafe {
                    let out = pixels.as_mut_ptr().add((four + index) * pixel_bytes + first);
                    if count >= PANEL {
                        _mm_storeu_si128(out.cast(), quarter);
                    } else {
                        _mm_mask_storeu_epi8(out.cast(), (1 << count) - 1, quarter);
                    }
                }
            }
        }
    }

    /// Clamps 16 codes and writes the first `left` of them to channels `first ..` of a pixel.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn write16(&self, codes: __m512i, pixel: &mut [u8], first: usize, left: usize) {
        let above = _mm512_max_epi32(codes, _mm512_set1_epi32(self.codes.lo));
        let codes = _mm512_min_epi32(above, _mm512_set1_epi32(self.codes.hi));
        let left = left.min(16);
        match self.codes.bits {
            ActivationBits::A6 | ActivationBits::A8 => {
                let bytes = _mm512_cvtepi32_epi8(codes);
                match pixel.get_mut(first..first + left) {
                    Some(out) if left == 16 => {
                        // SAFETY: `out` has 16 bytes.
                        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), bytes) };
                    }
                    Some(out) => store(out, _mm512_castsi128_si512(bytes)),
                    None => {}
                }
            }
            ActivationBits::A16 => {
                if let Some(out) = pixel.get_mut(2 * first..2 * (first + left)) {
                    store(out, _mm512_castsi256_si512(_mm512_cvtepi32_epi16(codes)));
                }
            }
            bits => write_narrow(bits, &lanes(codes).map(|code| code as i16), pixel, first, left),
        }
    }

    /// As [`Codes::write16`], of 64 channels in the order in which unpacking interleaved them; see `depthwise`. For
    /// codes of any width, slowly.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn write64(&self, codes: [__m512i; 4], pixel: &mut [u8], first: usize, left: usize) {
        let left = left.min(64);
        let words = [_mm512_packs_epi32(codes[0], codes[1]), _mm512_packs_epi32(codes[2], codes[3])];
        let (lo, hi) = (_mm512_set1_epi16(self.codes.lo as i16), _mm512_set1_epi16(self.codes.hi as i16));
        let mut natural = [0i16; 64];
        for (half, words) in words.into_iter().enumerate() {
            let words = _mm512_min_epi16(_mm512_max_epi16(words, lo), hi);
            let mut buffer = [0u8; 64];
            store(&mut buffer, words);
            // Each eighth of the words is half a lane of 16 channels.
            for (lane, eight) in buffer.as_chunks::<16>().0.iter().enumerate() {
                for (index, &word) in eight.as_chunks().0.iter().enumerate() {
                    natural[16 * lane + 8 * half + index] = i16::from_le_bytes(word);
                }
            }
        }
        write_narrow(self.codes.bits, &natural, pixel, first, left);
    }
}

/// The lanes of a vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn lanes(vector: __m512i) -> [i32; 16] {
    let mut lanes = [0; 16];
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), vector) };
    lanes
}

/// A vector of those lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn vector(lanes: &[i32; 16]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}
