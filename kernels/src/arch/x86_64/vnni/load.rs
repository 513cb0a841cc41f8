//! Codes and weights of every width as bytes in a vector.

use core::arch::x86_64::*;

use crate::portable::bytes_from;
use crate::{ActivationBits, WeightBits, pack};

/// The low `count` of 64 lanes.
#[inline]
pub(super) fn mask64(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// The first 64 bytes of a slice; zeros past its end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn bytes(slice: &[u8]) -> __m512i {
    // SAFETY: the masked lanes, which are not read, are those past the end of the slice.
    unsafe { _mm512_maskz_loadu_epi8(mask64(slice.len()), slice.as_ptr().cast()) }
}

/// Writes the first bytes of a vector, as many as `slice` has, 64 at most.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn store(slice: &mut [u8], vector: __m512i) {
    // SAFETY: the masked lanes, which are not written, are those past the end of the slice.
    unsafe { _mm512_mask_storeu_epi8(slice.as_mut_ptr().cast(), mask64(slice.len()), vector) }
}

/// `count` weights of a packed row, 64 at most, from weight `first` on, a multiple of 64; zeros after them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn weights(bits: WeightBits, row: &[u8], first: usize, count: usize) -> __m512i {
    let count = count.min(64);
    let rest = row.get(pack::weight_row_bytes(bits, first)..).unwrap_or_default();
    let packed = bytes(rest.get(..pack::weight_row_bytes(bits, count)).unwrap_or_default());
    let fields = match bits {
        WeightBits::W8 => packed,
        WeightBits::W6 => sixes(packed),
        WeightBits::W4 => fours(packed),
        WeightBits::W2 => twos(packed),
    };
    // Fields are unsigned; with its sign bit turned over, a number is that much too large.
    let sign = _mm512_set1_epi8(match bits {
        WeightBits::W8 => 0,
        _ => 1 << (bits.bits() - 1),
    });
    let signed = _mm512_sub_epi8(_mm512_xor_si512(fields, sign), sign);
    _mm512_maskz_mov_epi8(mask64(count), signed)
}

/// Unpacks `codes.len()` codes of a packed row, from code `first` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn codes(bits: ActivationBits, row: &[u8], first: usize, codes: &mut [u8]) {
    // The common case, without a loop.
    if matches!(bits, ActivationBits::A6 | ActivationBits::A8) && codes.len() <= 64 {
        store(codes, bytes(row.get(first..first + codes.len()).unwrap_or_default()));
        return;
    }
    let Some(mut rest) = bytes_from(bits, row, first) else {
        for (index, code) in codes.iter_mut().enumerate() {
            *code = pack::code(row, bits, first + index) as u8;
        }
        return;
    };
    for codes in codes.chunks_mut(64) {
        let (here, after) = rest.split_at_checked(pack::row_bytes(bits, codes.len())).unwrap_or_default();
        rest = after;
        store(codes, unpack(bits, here));
    }
}

/// The codes of a part of a row, 64 at most.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn unpack(bits: ActivationBits, packed: &[u8]) -> __m512i {
    let packed = bytes(packed);
    match bits {
        ActivationBits::A2 => twos(packed),
        ActivationBits::A4 => fours(packed),
        _ => packed,
    }
}

/// 64 fields of 2 bits, each in a byte.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn twos(packed: __m512i) -> __m512i {
    // Field i of a byte lies at bit 2i and shall lie at bit 8i.
    let byte = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(packed));
    let even = _mm512_or_si512(byte, _mm512_slli_epi32::<6>(byte));
    let all = _mm512_or_si512(even, _mm512_slli_epi32::<12>(even));
    _mm512_and_si512(all, _mm512_set1_epi8(3))
}

/// 64 fields of 4 bits, each in a byte.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn fours(packed: __m512i) -> __m512i {
    let byte = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(packed));
    _mm512_and_si512(_mm512_or_si512(byte, _mm512_slli_epi16::<4>(byte)), _mm512_set1_epi8(15))
}

/// 64 fields of 6 bits, each in a byte.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn sixes(packed: __m512i) -> __m512i {
    // Twelve bytes to a lane of 16, then three bytes to a word of four.
    let lanes = _mm512_setr_epi32(0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0);
    let words = _mm512_set4_epi32(0x800b_0a09_u32 as i32, 0x8008_0706_u32 as i32, 0x8005_0403_u32 as i32, 0x8002_0100_u32 as i32);
    let word = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(lanes, packed), words);
    // Field i lies at bit 6i and shall lie at bit 8i.
    let zero = _mm512_and_si512(word, _mm512_set1_epi32(0x3f));
    let one = _mm512_and_si512(_mm512_slli_epi32::<2>(word), _mm512_set1_epi32(0x3f00));
    let two = _mm512_and_si512(_mm512_slli_epi32::<4>(word), _mm512_set1_epi32(0x003f_0000));
    let three = _mm512_and_si512(_mm512_slli_epi32::<6>(word), _mm512_set1_epi32(0x3f00_0000));
    _mm512_or_si512(_mm512_or_si512(zero, one), _mm512_or_si512(two, three))
}
