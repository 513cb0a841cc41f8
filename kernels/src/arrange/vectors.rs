//! `vectors`: rows for multipliers of 16 bytes at a time.
//!
//! An output channel after the other. Codes are offset: a weight w is stored as w + 2^(bits - 1), unsigned, so that it may be multiplied
//! with unsigned activations; [`offset`] times the sum of the activations is then too much. A row is padded with weights 0 to *vectors*
//! of 16 codes, and each byte of 16 holds the same place of one vector or more, from the low bits:
//!
//! - 8 bits: one vector in 16 bytes; 4 bits: two; 2 bits: four;
//! - 6 bits: four in 48 bytes, the first three each in the low bits of 16 bytes, the fourth in their high bits, highest first.
//!
//! At the end of a row 16 bytes hold the vectors that are left; at 6 bits 16 bytes each.

use super::WeightShape;
use crate::WeightBits;

/// Codes of a vector.
pub(crate) const LANES: usize = 16;

/// Vectors that are packed together.
pub(crate) const fn together(bits: WeightBits) -> usize {
    match bits {
        WeightBits::W8 => 1,
        WeightBits::W4 => 2,
        WeightBits::W2 | WeightBits::W6 => 4,
    }
}

/// Bytes of vectors that are packed together.
pub(crate) const fn together_bytes(bits: WeightBits) -> usize {
    match bits {
        WeightBits::W6 => 3 * LANES,
        _ => LANES,
    }
}

/// What a stored code is above its weight.
pub(crate) const fn offset(bits: WeightBits) -> i32 {
    -bits.lo()
}

/// Bytes of a row of `len` weights.
pub(crate) const fn row_bytes(bits: WeightBits, len: usize) -> usize {
    let vectors = len.div_ceil(LANES);
    let (whole, left) = (vectors / together(bits), vectors % together(bits));
    let last = match bits {
        WeightBits::W6 => left * LANES,
        _ => left.div_ceil(4) * LANES,
    };
    whole * together_bytes(bits) + last
}

/// Stored codes of vector `index` of a row of `vectors`. Zeros where the row has no such vector.
#[inline]
pub(crate) fn vector(bits: WeightBits, row: &[u8], vectors: usize, index: usize) -> [u8; LANES] {
    let (group, place) = (index / together(bits), index % together(bits));
    let bytes = |at: usize| row.get(group * together_bytes(bits) + at * LANES..).and_then(|rest| rest.first_chunk()).copied();
    let mut codes: [u8; LANES] = bytes(if bits == WeightBits::W6 { place.min(2) } else { 0 }).unwrap_or_default();
    match bits {
        WeightBits::W8 => {}
        WeightBits::W4 => codes = codes.map(|byte| byte >> (4 * place) & 15),
        WeightBits::W2 => codes = codes.map(|byte| byte >> (2 * place) & 3),
        WeightBits::W6 if place < 3 => codes = codes.map(|byte| byte & 63),
        WeightBits::W6 => {
            let (first, second): ([u8; LANES], [u8; LANES]) = (bytes(0).unwrap_or_default(), bytes(1).unwrap_or_default());
            for ((code, first), second) in codes.iter_mut().zip(first).zip(second) {
                *code = (first >> 6) << 4 | (second >> 6) << 2 | *code >> 6;
            }
        }
    }
    if index < vectors { codes } else { [0; LANES] }
}

pub(super) fn bytes(bits: WeightBits, shape: &WeightShape) -> Option<usize> {
    shape.rows.checked_mul(row_bytes(bits, shape.row_len))
}

pub(super) fn padding_is_clear(bits: WeightBits, shape: &WeightShape, weights: &[u8]) -> bool {
    let padding = shape.row_len..shape.row_len.next_multiple_of(LANES);
    let vectors = shape.row_len.div_ceil(LANES);
    let (whole, left) = (vectors / together(bits) * together_bytes(bits), vectors % together(bits));
    // Bits of the last bytes of a row that no vector has.
    let unused: u8 = match bits {
        WeightBits::W2 if left > 0 => 0xff << (2 * left),
        WeightBits::W4 if left > 0 => 0xf0,
        WeightBits::W6 => 0xc0,
        _ => 0,
    };
    let rows = weights.chunks_exact(row_bytes(bits, shape.row_len).max(1));
    let clear = |row: &[u8]| row.get(whole..).unwrap_or_default().iter().all(|byte| byte & unused == 0);
    rows.clone().all(clear) && (0..shape.rows).all(|row| padding.clone().all(|index| weight(bits, shape, weights, row, index) == 0))
}

#[inline]
pub(super) fn weight(bits: WeightBits, shape: &WeightShape, weights: &[u8], row: usize, index: usize) -> i32 {
    let bytes = row_bytes(bits, shape.row_len);
    let Some(row) = weights.get(row.wrapping_mul(bytes)..).and_then(|rest| rest.get(..bytes)) else {
        return 0;
    };
    let code = vector(bits, row, shape.row_len.div_ceil(LANES), index / LANES);
    code.get(index % LANES).map_or(0, |&code| i32::from(code) - offset(bits))
}

pub(super) fn arrange(bits: WeightBits, shape: &WeightShape, codes: &[i8], weights: &mut [u8]) {
    let rows = weights.chunks_exact_mut(row_bytes(bits, shape.row_len).max(1));
    for (row, codes) in rows.zip(codes.chunks_exact(shape.row_len.max(1))) {
        row.fill(0);
        for (group, codes) in codes.chunks(LANES * together(bits)).enumerate() {
            let Some(bytes) = row.get_mut(group * together_bytes(bits)..) else {
                return;
            };
            for place in 0..codes.len().div_ceil(LANES) {
                for lane in 0..LANES {
                    let code = codes.get(place * LANES + lane).copied().unwrap_or(0);
                    put(bits, bytes, place, lane, (i32::from(code) + offset(bits)) as u8);
                }
            }
        }
    }
}

/// Stores a code of vector `place` of those packed together.
fn put(bits: WeightBits, bytes: &mut [u8], place: usize, lane: usize, code: u8) {
    let mut set = |at: usize, value: u8| {
        if let Some(byte) = bytes.get_mut(at * LANES + lane) {
            *byte |= value;
        }
    };
    match bits {
        WeightBits::W8 => set(0, code),
        WeightBits::W4 => set(0, code << (4 * place)),
        WeightBits::W2 => set(0, code << (2 * place)),
        WeightBits::W6 if place < 3 => set(place, code),
        WeightBits::W6 => {
            for (at, low) in [(0, 4), (1, 2), (2, 0)] {
                set(at, (code >> low & 3) << 6);
            }
        }
    }
}
