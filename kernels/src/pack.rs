//! How codes lie in bytes.
//!
//! - Weights: two's complement in rows (one output channel each) that start at a byte. Values fill the bytes from the
//!   low bits: four 2-bit ones to a byte, two 4-bit ones to a byte, four 6-bit ones in three bytes, one 8-bit one.
//! - Activations: rows (one pixel's channels, or one vector) that start at a byte. 2 and 4 bits are packed from the low
//!   bits, 6 and 8 bits take a byte each, 16 bits two bytes, little-endian.
//!
//! Bits that a row does not use are 0. Nothing here panics: what lies outside a slice reads as 0 and is not written,
//! which only a caller that broke its promise can see (and a debug build stops).

use num_traits::AsPrimitive;

use crate::{ActivationBits, WeightBits};

/// Bytes of a row of `len` activation codes. Does not overflow for `len` up to `usize::MAX / 2`.
pub const fn row_bytes(bits: ActivationBits, len: usize) -> usize {
    match bits.known() {
        ActivationBits::A2 => len.div_ceil(4),
        ActivationBits::A4 => len.div_ceil(2),
        ActivationBits::A6 | ActivationBits::A8 => len,
        ActivationBits::A16 => 2 * len,
    }
}

/// Bytes of a row of `len` weights. Does not overflow for `len` up to `usize::MAX / 8`.
pub const fn weight_row_bytes(bits: WeightBits, len: usize) -> usize {
    (len * bits.bits() as usize).div_ceil(8)
}

/// Copies as many codes as both have: unlike `copy_from_slice`, this cannot panic.
#[inline]
pub fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// As [`copy`], of bytes, 16 at a time.
#[inline(never)]
pub fn copy_bytes(to: &mut [u8], from: &[u8]) {
    let length = to.len().min(from.len());
    let (to, from) = (to.get_mut(..length).unwrap_or_default(), from.get(..length).unwrap_or_default());
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks_mut::<16>(), from.as_chunks::<16>());
    copy(to, from);
    copy(to_rest, from_rest);
}

/// Row `index` of a buffer whose rows have `bytes` bytes.
#[inline]
pub fn row(buffer: &[u8], bytes: usize, index: usize) -> &[u8] {
    let found = buffer.get(index * bytes..).and_then(|rest| rest.get(..bytes));
    debug_assert!(found.is_some(), "row {index} of {bytes} bytes in a buffer of {}", buffer.len());
    found.unwrap_or_default()
}

/// As [`row`], to be written.
#[inline]
pub fn row_mut(buffer: &mut [u8], bytes: usize, index: usize) -> &mut [u8] {
    let found = buffer.get_mut(index * bytes..).and_then(|rest| rest.get_mut(..bytes));
    debug_assert!(found.is_some(), "row {index} of {bytes} bytes");
    found.unwrap_or_default()
}

/// Activation code `index` of a row.
#[inline]
pub fn code(row: &[u8], bits: ActivationBits, index: usize) -> i32 {
    debug_assert!(index < usize::MAX / 2 && row_bytes(bits, index + 1) <= row.len());
    let byte = |at: usize| row.get(at).copied().unwrap_or(0);
    match bits.known() {
        ActivationBits::A2 => i32::from(byte(index / 4) >> (index % 4 * 2) & 3),
        ActivationBits::A4 => i32::from(byte(index / 2) >> (index % 2 * 4) & 15),
        ActivationBits::A6 | ActivationBits::A8 => i32::from(byte(index)),
        ActivationBits::A16 => i32::from(i16::from_le_bytes([byte(2 * index), byte(2 * index + 1)])),
    }
}

/// Writes activation code `index` of a row; the other codes keep their value.
#[inline]
pub fn set_code(row: &mut [u8], bits: ActivationBits, index: usize, code: i32) {
    debug_assert!(bits.contains(code), "{code} is not a code of {bits:?}");
    debug_assert!(index < usize::MAX / 2 && row_bytes(bits, index + 1) <= row.len());
    match bits.known() {
        ActivationBits::A2 => set_field(row, index / 4, index % 4 * 2, 3, code),
        ActivationBits::A4 => set_field(row, index / 2, index % 2 * 4, 15, code),
        ActivationBits::A6 | ActivationBits::A8 => set_field(row, index, 0, 255, code),
        ActivationBits::A16 => {
            if let Some(pair) = row.get_mut(2 * index..).and_then(|rest| rest.first_chunk_mut()) {
                *pair = (code as i16).to_le_bytes();
            }
        }
    }
}

#[inline]
fn set_field(row: &mut [u8], byte: usize, shift: usize, mask: u8, code: i32) {
    if let Some(byte) = row.get_mut(byte) {
        *byte = *byte & !(mask << shift) | (code as u8 & mask) << shift;
    }
}

/// Clears the bits of a row of `len` codes that no code uses.
#[inline]
pub fn clear_unused(row: &mut [u8], bits: ActivationBits, len: usize) {
    let used = match bits.known() {
        ActivationBits::A2 => len % 4 * 2,
        ActivationBits::A4 => len % 2 * 4,
        _ => 0,
    };
    if used != 0
        && let Some(last) = row.last_mut()
    {
        *last &= (1 << used) - 1;
    }
}

/// Weight `index` of a row.
#[inline]
pub fn weight(row: &[u8], bits: WeightBits, index: usize) -> i32 {
    debug_assert!(index < usize::MAX / 8 && weight_row_bytes(bits, index + 1) <= row.len());
    let width = bits.bits();
    let bit = index * width as usize;
    let byte = |at: usize| row.get(at).copied().unwrap_or(0);
    // A 6-bit weight may straddle two bytes; for the other widths the second byte is shifted out.
    let pair = u16::from_le_bytes([byte(bit / 8), byte(bit / 8 + 1)]);
    let code = i32::from(pair >> (bit % 8));
    let unused = 32 - width;
    code << unused >> unused
}

/// Packs a row of activation codes; unused bits become 0. `row` has [`row_bytes`] bytes.
pub fn pack_row(bits: ActivationBits, codes: &[i16], row: &mut [u8]) {
    debug_assert_eq!(row.len(), row_bytes(bits, codes.len()));
    match bits.known() {
        ActivationBits::A2 => pack_fields::<2, 4>(codes, row),
        ActivationBits::A4 => pack_fields::<4, 2>(codes, row),
        ActivationBits::A6 | ActivationBits::A8 => {
            for (byte, &code) in row.iter_mut().zip(codes) {
                *byte = code as u8;
            }
        }
        ActivationBits::A16 => {
            for (pair, &code) in row.as_chunks_mut().0.iter_mut().zip(codes) {
                *pair = code.to_le_bytes();
            }
        }
    }
}

fn pack_fields<const WIDTH: u32, const EACH: usize>(codes: &[i16], row: &mut [u8]) {
    for (byte, codes) in row.iter_mut().zip(codes.chunks(EACH)) {
        let fields = codes.iter().zip((0..8).step_by(WIDTH as usize));
        *byte = fields.fold(0, |byte, (&code, shift)| byte | (code as u8 & ((1 << WIDTH) - 1)) << shift);
    }
}

/// Unpacks a row of activation codes: the inverse of [`pack_row`].
#[inline]
pub fn unpack_row(bits: ActivationBits, row: &[u8], codes: &mut [i16]) {
    debug_assert_eq!(row.len(), row_bytes(bits, codes.len()));
    match bits.known() {
        ActivationBits::A2 => {
            let (whole, tail) = codes.as_chunks_mut::<4>();
            for (four, &byte) in whole.iter_mut().zip(row) {
                *four = [byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6].map(i16::from);
            }
            unpack_last::<2>(row, tail);
        }
        ActivationBits::A4 => {
            let (whole, tail) = codes.as_chunks_mut::<2>();
            for (two, &byte) in whole.iter_mut().zip(row) {
                *two = [byte & 15, byte >> 4].map(i16::from);
            }
            unpack_last::<4>(row, tail);
        }
        ActivationBits::A6 | ActivationBits::A8 => {
            for (code, &byte) in codes.iter_mut().zip(row) {
                *code = i16::from(byte);
            }
        }
        ActivationBits::A16 => {
            for (code, &pair) in codes.iter_mut().zip(row.as_chunks().0) {
                *code = i16::from_le_bytes(pair);
            }
        }
    }
}

/// The codes of a last byte that is not full.
fn unpack_last<const WIDTH: u32>(row: &[u8], tail: &mut [i16]) {
    let byte = row.last().copied().unwrap_or(0);
    for (code, shift) in tail.iter_mut().zip((0..8).step_by(WIDTH as usize)) {
        *code = i16::from(byte >> shift & ((1 << WIDTH) - 1));
    }
}

/// Packs a row of weights; unused bits become 0. `row` has [`weight_row_bytes`] bytes.
pub fn pack_weights(bits: WeightBits, weights: &[i8], row: &mut [u8]) {
    debug_assert_eq!(row.len(), weight_row_bytes(bits, weights.len()));
    let width = bits.bits();
    // Four weights of any width fill whole bytes.
    for (bytes, four) in row.chunks_mut((width as usize / 2).max(1)).zip(weights.chunks(4)) {
        let fields = four.iter().zip((0..32).step_by(width as usize));
        let word = fields.fold(0u32, |word, (&weight, shift)| word | (i32::from(weight) as u32 & ((1 << width) - 1)) << shift);
        for (to, from) in bytes.iter_mut().zip(word.to_le_bytes()) {
            *to = from;
        }
    }
}

/// Unpacks a row of weights: the inverse of [`pack_weights`].
#[inline]
pub fn unpack_weights<L: Copy + 'static>(bits: WeightBits, row: &[u8], weights: &mut [L])
where
    i8: AsPrimitive<L>,
{
    debug_assert_eq!(row.len(), weight_row_bytes(bits, weights.len()));
    let (whole, tail) = weights.as_chunks_mut::<4>();
    match bits.known() {
        WeightBits::W2 => {
            for (four, &byte) in whole.iter_mut().zip(row) {
                *four = [byte << 6, byte << 4, byte << 2, byte].map(|byte| (byte as i8 >> 6).as_());
            }
        }
        WeightBits::W4 => {
            for (four, &[a, b]) in whole.iter_mut().zip(row.as_chunks().0) {
                *four = [a << 4, a, b << 4, b].map(|byte| (byte as i8 >> 4).as_());
            }
        }
        WeightBits::W6 => {
            for (four, &[a, b, c]) in whole.iter_mut().zip(row.as_chunks().0) {
                let fields = [a << 2, a >> 4 & 0x0c | b << 4, b >> 2 & 0x3c | c << 6, c];
                *four = fields.map(|byte| (byte as i8 >> 2).as_());
            }
        }
        WeightBits::W8 => {
            for (four, four_bytes) in whole.iter_mut().zip(row.as_chunks::<4>().0) {
                *four = four_bytes.map(|byte| (byte as i8).as_());
            }
        }
    }
    let done = whole.len() * 4;
    for (index, to) in tail.iter_mut().enumerate() {
        *to = (weight(row, bits, done + index) as i8).as_();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use std::vec;
    use std::vec::Vec;

    /// The definition: value `i` of width `b` is bits `i*b ..` of the row read as one little-endian number.
    fn bits_of(row: &[u8], width: u32, index: usize) -> u32 {
        (0..width).fold(0, |word, bit| {
            let at = index * width as usize + bit as usize;
            word | u32::from(row[at / 8] >> (at % 8) & 1) << bit
        })
    }

    #[test]
    fn activations_round_trip_at_every_length() {
        let mut random = Random::new(1);
        for bits in ActivationBits::ALL {
            for len in 0..40 {
                let codes: Vec<i16> = (0..len).map(|_| random.between(bits.lo(), bits.hi()) as i16).collect();
                let mut row = vec![0xff; row_bytes(bits, len)];
                pack_row(bits, &codes, &mut row);
                let mut back = vec![-1; len];
                unpack_row(bits, &row, &mut back);
                assert_eq!(codes, back, "{bits:?} {len}");
                let stored = if bits == ActivationBits::A6 { 8 } else { bits.bits() };
                for (index, &value) in codes.iter().enumerate() {
                    assert_eq!(code(&row, bits, index), i32::from(value));
                    assert_eq!(bits_of(&row, stored, index), value as u32 & ((1 << stored) - 1));
                }
                let mut set = vec![0; row.len()];
                for (index, &value) in codes.iter().enumerate().rev() {
                    set_code(&mut set, bits, index, 1);
                    set_code(&mut set, bits, index, i32::from(value));
                }
                assert_eq!(set, row, "unused bits are 0 and neighbours stay");
                let mut dirty = row.clone();
                for spare in len * stored as usize..row.len() * 8 {
                    dirty[spare / 8] |= 1 << (spare % 8);
                }
                clear_unused(&mut dirty, bits, len);
                assert_eq!(dirty, row);
            }
        }
    }

    #[test]
    fn weights_round_trip_at_every_length() {
        let mut random = Random::new(2);
        for bits in WeightBits::ALL {
            for len in 0..40 {
                let weights: Vec<i8> = (0..len).map(|_| random.between(bits.lo(), bits.hi()) as i8).collect();
                let mut row = vec![0xff; weight_row_bytes(bits, len)];
                pack_weights(bits, &weights, &mut row);
                let (mut narrow, mut wide) = (vec![1i8; len], vec![1i16; len]);
                unpack_weights(bits, &row, &mut narrow);
                unpack_weights(bits, &row, &mut wide);
                assert_eq!(weights, narrow, "{bits:?} {len}");
                assert!(wide.iter().zip(&weights).all(|(&wide, &weight)| wide == i16::from(weight)));
                for (index, &value) in weights.iter().enumerate() {
                    assert_eq!(weight(&row, bits, index), i32::from(value));
                    let mask = (1 << bits.bits()) - 1;
                    assert_eq!(bits_of(&row, bits.bits(), index), i32::from(value) as u32 & mask);
                }
                let used = len * bits.bits() as usize;
                assert!((used..row.len() * 8).all(|bit| row[bit / 8] >> (bit % 8) & 1 == 0), "unused bits are 0");
            }
        }
    }
}
