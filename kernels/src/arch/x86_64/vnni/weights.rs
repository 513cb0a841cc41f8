//! Panels: the weights of 16 output channels, four of each channel to a vector.

use core::arch::x86_64::*;

use super::load;
use crate::arch::x86_64::PANEL;
use crate::{Conv, pack};

/// Four successive weights of each of 16 channels.
pub(super) type Quads = [u8; 64];

/// Packs the weights of `count` channels from channel `first` on, 16 at most; zeros in place of the others and after
/// the ends of the rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn pack_panel(conv: &Conv<'_>, first: usize, count: usize, panel: &mut [Quads]) {
    let (bits, row_len) = (conv.weight_bits, conv.row_len());
    let row_bytes = pack::weight_row_bytes(bits, row_len);
    let zero = _mm512_setzero_si512();
    for (block, quads) in panel.chunks_mut(16).enumerate() {
        let done = 64 * block;
        let mut rows = [zero; PANEL];
        for (index, row) in rows.iter_mut().enumerate().take(count) {
            let packed = pack::row(conv.weights, row_bytes, first + index);
            *row = load::weights(bits, packed, done, row_len - done.min(row_len));
        }
        for (quad, vector) in quads.iter_mut().zip(transpose(rows)) {
            load::store(quad, vector);
        }
    }
}

/// Transposes 16 x 16 words of 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    let zero = _mm512_setzero_si512();
    // `fours[j][i]`, lane L: word 4L + j of rows 4i .. 4i + 4.
    let mut fours = [[zero; 4]; 4];
    for (i, [a, b, c, d]) in rows.as_chunks::<4>().0.iter().copied().enumerate() {
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        (fours[0][i], fours[1][i]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        (fours[2][i], fours[3][i]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    let mut columns = [zero; 16];
    for (j, [a, b, c, d]) in fours.into_iter().enumerate() {
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0x44>(c, d));
        columns[j] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        columns[4 + j] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        let (ab, cd) = (_mm512_shuffle_i32x4::<0xee>(a, b), _mm512_shuffle_i32x4::<0xee>(c, d));
        columns[8 + j] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
    }
    columns
}
