//! `duals`: at 2 bits, two output channels in one half of a word. At other widths the order is that of [`pairs`].
//!
//! A group's output channels go in fours, the last ones padded with channels of zeros, and the weights of a row as in `pairs`, padded to
//! a multiple of 4. An *operand* is a word that multiplies a pair of places of two channels: in each half the first channel's code, offset
//! by 2, at bit 0, and the second one's, two's complement, at bit 14, so that one multiplication of two 16-bit halves is four products.
//! The sum has the first channel's part in its low 14 bits as long as that fits. A word holds four operands, rotated left by 0, 4, 8 and
//! 12 bits: channels 0 and 1 and channels 2 and 3 of one pair, then the same of the next.

use super::{WeightShape, pairs};
use crate::WeightBits;

/// Bit of the second channel's code.
pub(crate) const SECOND: u32 = 14;

/// Weights of a padded row.
pub(crate) const fn padded(row_len: usize) -> usize {
    row_len.next_multiple_of(4)
}

/// Bytes of four channels' rows.
pub(crate) const fn row_bytes(row_len: usize) -> usize {
    padded(row_len)
}

/// Rows of four channels in a group.
pub(crate) const fn group_fours(shape: &WeightShape) -> usize {
    match shape.rows.checked_div(shape.groups) {
        Some(rows) => rows.div_ceil(4),
        None => 0,
    }
}

pub(super) fn bytes(bits: WeightBits, shape: &WeightShape) -> Option<usize> {
    match bits {
        WeightBits::W2 => shape.groups.checked_mul(group_fours(shape))?.checked_mul(row_bytes(shape.row_len)),
        _ => pairs::bytes(bits, shape),
    }
}

/// Byte and bit of a channel's weight in four channels' rows.
#[inline]
const fn place(channel: usize, index: usize) -> (usize, usize) {
    let rotated = index % 2 * 8 + channel / 2 * 4;
    let bit = (channel % 2 * SECOND as usize + index / 2 % 2 * 16 + rotated) % 32;
    (index / 4 * 4 + bit / 8, bit % 8)
}

/// The codes of channels `2 * two` and `2 * two + 1` of four at place `index` of their rows.
#[inline]
pub(crate) fn two(row: &[u8], two: usize, index: usize) -> [i32; 2] {
    let code = |channel| {
        let (byte, bit) = place(channel, index);
        i32::from(row.get(byte).copied().unwrap_or(0) >> bit & 3)
    };
    [code(2 * two) - 2, (code(2 * two + 1) ^ 2) - 2]
}

#[inline]
pub(super) fn weight(bits: WeightBits, shape: &WeightShape, weights: &[u8], row: usize, index: usize) -> i32 {
    if bits != WeightBits::W2 {
        return pairs::weight(bits, shape, weights, row, index);
    }
    let group_rows = shape.rows.checked_div(shape.groups).unwrap_or(1).max(1);
    let (group, row) = (row / group_rows, row % group_rows);
    let begin = (group * group_fours(shape) + row / 4) * row_bytes(shape.row_len);
    let [first, second] = two(weights.get(begin..).unwrap_or_default(), row % 4 / 2, index);
    if row.is_multiple_of(2) { first } else { second }
}

pub(super) fn arrange(bits: WeightBits, shape: &WeightShape, codes: &[i8], weights: &mut [u8]) {
    if bits != WeightBits::W2 {
        return pairs::arrange(bits, shape, codes, weights);
    }
    weights.fill(0);
    let group_rows = shape.rows.checked_div(shape.groups).unwrap_or(1).max(1);
    let mut rows = weights.chunks_exact_mut(row_bytes(shape.row_len).max(1));
    for group in codes.chunks_exact((group_rows * shape.row_len).max(1)) {
        for (four, row) in group.chunks(4 * shape.row_len.max(1)).zip(&mut rows) {
            for (channel, index) in (0..4).flat_map(|channel| (0..padded(shape.row_len)).map(move |index| (channel, index))) {
                let code = match four.get(channel * shape.row_len + index) {
                    Some(&code) if index < shape.row_len => code,
                    _ => 0,
                };
                let stored = if channel % 2 == 0 { code + 2 } else { code & 3 };
                let (byte, bit) = place(channel, index);
                if let Some(byte) = row.get_mut(byte) {
                    *byte |= (stored as u8) << bit;
                }
            }
        }
    }
}
