//! The output stage of 16 sums at a time.

use core::arch::x86_64::*;

use super::load::store;
use crate::{ActivationBits, OutputCodes, OutputStage, pack};

/// Bias, multiplier and shift of 16 channels.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    /// Where sums start.
    pub(super) bias: __m512i,
    multiplier: __m512i,
    /// Multipliers of the odd channels, in the even lanes.
    multiplier_odd: __m512i,
    /// `High`: the rounding and the zero point, as they are before the shift.
    addend: __m512i,
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
        // `(P + 2^(r-1)) >> r` is `((P >> 32) + 2^(r-33)) >> (r-32)`, and a zero point before the shift is one behind it.
        // |P >> 32| <= 2^30, so that nothing passes 2^31.
        let high = shift.iter().all(|r| (33..=53).contains(r)) && (0..=255).contains(&stage.zero_point);
        let mut addend = [0; 16];
        if high {
            for (addend, r) in addend.iter_mut().zip(&mut shift) {
                *r -= 32;
                *addend = (1 << (*r - 1)) + (stage.zero_point << *r);
            }
        }
        let multiplier = vector(&multiplier);
        Self {
            bias: vector(&bias),
            multiplier,
            multiplier_odd: _mm512_srli_epi64::<32>(multiplier),
            addend: vector(&addend),
            shift: vector(&shift),
            high,
        }
    }

    /// The codes of 16 sums. They are clamped to 32 bits if `High`, which leaves the rest to the caller.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn codes(&self, sums: __m512i, codes: &Codes) -> __m512i {
        let even = _mm512_mul_epi32(sums, self.multiplier);
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(sums), self.multiplier_odd);
        if self.high {
            let high = high_halves(even, odd);
            return _mm512_srav_epi32(_mm512_add_epi32(high, self.addend), self.shift);
        }
        let even_shift = _mm512_and_si512(self.shift, _mm512_set1_epi64(0xffff_ffff));
        let even = codes.finish(even, even_shift);
        let odd = codes.finish(odd, _mm512_srli_epi64::<32>(self.shift));
        _mm512_mask_shuffle_epi32::<0b10_10_00_00>(even, 0xaaaa, odd)
    }
}

/// The high halves of the products of even and of odd lanes, in the order of the lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn high_halves(even: __m512i, odd: __m512i) -> __m512i {
    _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even)
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
        let one = _mm512_set1_epi64(1);
        let half = _mm512_sllv_epi64(one, _mm512_sub_epi64(shift, one));
        let scaled = _mm512_srav_epi64(_mm512_add_epi64(product, half), shift);
        let code = _mm512_add_epi64(scaled, _mm512_set1_epi64(i64::from(self.codes.zero_point)));
        let above = _mm512_max_epi64(code, _mm512_set1_epi64(i64::from(self.codes.lo)));
        _mm512_min_epi64(above, _mm512_set1_epi64(i64::from(self.codes.hi)))
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

    /// As [`Codes::write16`], of 64 channels in the order in which unpacking interleaved them; see `depthwise`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn write64(&self, codes: [__m512i; 4], pixel: &mut [u8], first: usize, left: usize) {
        let left = left.min(64);
        let words = [_mm512_packs_epi32(codes[0], codes[1]), _mm512_packs_epi32(codes[2], codes[3])];
        if matches!(self.codes.bits, ActivationBits::A6 | ActivationBits::A8) {
            // Both packs saturate, and in order; so the clamp may follow them.
            let bytes = _mm512_packus_epi16(words[0], words[1]);
            let above = _mm512_max_epu8(bytes, _mm512_set1_epi8(self.codes.lo as i8));
            let bytes = _mm512_min_epu8(above, _mm512_set1_epi8(self.codes.hi as i8));
            if let Some(out) = pixel.get_mut(first..first + left) {
                store(out, bytes);
            }
            return;
        }
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

/// Packs the first `left` codes into channels `first ..` of a pixel. Channels are written in ascending order, so that
/// the bits after the last one may be cleared.
fn write_narrow(bits: ActivationBits, codes: &[i16], pixel: &mut [u8], first: usize, left: usize) {
    let codes = codes.get(..left).unwrap_or_default();
    if first.is_multiple_of(4) {
        let begin = pack::row_bytes(bits, first);
        if let Some(out) = pixel.get_mut(begin..begin + pack::row_bytes(bits, left)) {
            pack::pack_row(bits, codes, out);
        }
    } else {
        for (index, &code) in codes.iter().enumerate() {
            pack::set_code(pixel, bits, first + index, i32::from(code));
        }
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
