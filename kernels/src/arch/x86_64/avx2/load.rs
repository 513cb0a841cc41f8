//! Loads and stores of whole arrays, and codes of every width in 16 bits.

use core::arch::x86_64::*;

use crate::portable::bytes_from;
use crate::portable::unpack_from;
use crate::{ActivationBits, pack};

/// The words of an array.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn words(words: &[i16; 16]) -> __m256i {
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

/// A vector's words.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store_words(words: &mut [i16; 16], vector: __m256i) {
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}

/// The double words of an array.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn lanes(lanes: &[i32; 8]) -> __m256i {
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

/// A vector's double words.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn to_lanes(vector: __m256i) -> [i32; 8] {
    let mut lanes = [0; 8];
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), vector) };
    lanes
}

/// A vector's bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn to_bytes(vector: __m256i) -> [u8; 32] {
    let mut bytes = [0; 32];
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

/// 16 signed bytes as words.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn signed(bytes: &[u8; 16]) -> __m256i {
    // SAFETY: the array has 16 bytes.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// 16 unsigned bytes as words.
#[inline]
#[target_feature(enable = "avx2")]
fn unsigned(bytes: &[u8; 16]) -> __m256i {
    // SAFETY: the array has 16 bytes.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Widens `codes.len()` codes of a packed row, from code `first` on.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn codes(bits: ActivationBits, row: &[u8], first: usize, codes: &mut [i16]) {
    match bits {
        ActivationBits::A6 | ActivationBits::A8 => {
            let rest = bytes_from(bits, row, first).unwrap_or_default();
            let (whole, tail) = codes.as_chunks_mut::<16>();
            let (bytes, _) = rest.as_chunks::<16>();
            for (words, bytes) in whole.iter_mut().zip(bytes) {
                store_words(words, unsigned(bytes));
            }
            for (code, &byte) in tail.iter_mut().zip(rest.get(16 * whole.len()..).unwrap_or_default()) {
                *code = i16::from(byte);
            }
        }
        _ => unpack_from(bits, row, first, codes),
    }
}

/// 16 codes of a packed row from code `first` on, a multiple of 16, of which the row has `count`; zeros for the others.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn codes16(bits: ActivationBits, row: &[u8], first: usize, count: usize) -> __m256i {
    let rest = row.get(pack::row_bytes(bits, first)..).unwrap_or_default();
    if count >= 16 {
        match (bits, rest.first_chunk(), rest.first_chunk::<32>()) {
            (ActivationBits::A6 | ActivationBits::A8, Some(bytes), _) => return unsigned(bytes),
            (ActivationBits::A16, _, Some(bytes)) => {
                // SAFETY: the array has 32 bytes.
                return unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
            }
            _ => {}
        }
    }
    let mut codes = [0; 16];
    unpack_from(bits, rest, 0, codes.get_mut(..count.min(16)).unwrap_or_default());
    words(&codes)
}
