//! `pairs`: two output channels in one word, for 16-bit multiply-accumulate pairs.
//!
//! Output channels of a group go in twos; an odd group has a channel of zeros at its end. The weights of a row, padded with zeros to a
//! multiple of [`quantum`], go in fours: *pair* `2q` has places `4q` and `4q + 2`, pair `2q + 1` has `4q + 1` and `4q + 3`. That is the
//! order in which bytes of activations are widened. What the two channels have at one place is a *field*: the first channel's code,
//! offset by `2^(b-1)`, in the low b bits, the second one's in the next b, offset too at 2 and 6 bits, two's complement at 4 and 8. A word
//! holds the fields of a pair's two places in its two halves; see [`Place`] for which pairs share a word.
//!
//! A word, masked in place, multiplies both channels at once: with the field f = u + 2^b v the sums of f * a and of u * a give that of
//! v * a, exactly. So a product of two 16-bit halves costs a load and a mask for two channels. The offset is taken back by the sum of the
//! activations, which all channels share.

use super::WeightShape;
use crate::WeightBits;

/// Rows are padded to a multiple of so many weights.
pub(crate) const fn quantum(bits: WeightBits) -> usize {
    match bits.known() {
        WeightBits::W4 | WeightBits::W8 => 4,
        WeightBits::W2 | WeightBits::W6 => 8,
    }
}

/// Weights of a padded row.
pub(crate) const fn padded(bits: WeightBits, row_len: usize) -> usize {
    row_len.next_multiple_of(quantum(bits))
}

/// Bytes of two channels' rows.
pub(crate) const fn row_bytes(bits: WeightBits, row_len: usize) -> usize {
    padded(bits, row_len) / 4 * bits.bits() as usize
}

/// Rows of two channels in a group.
pub(crate) const fn group_pairs(shape: &WeightShape) -> usize {
    match shape.rows.checked_div(shape.groups) {
        Some(rows) => rows.div_ceil(2),
        None => 0,
    }
}

pub(super) fn bytes(bits: WeightBits, shape: &WeightShape) -> Option<usize> {
    // The margin of `Arrangement::bytes` is for a channel more, not for one in each group.
    shape.groups.checked_mul(group_pairs(shape))?.checked_mul(row_bytes(bits, shape.row_len))
}

/// Whether the second channel's codes are two's complement.
const fn second_is_signed(bits: WeightBits) -> bool {
    matches!(bits, WeightBits::W4 | WeightBits::W8)
}

/// The codes of two channels as a field.
const fn field(bits: WeightBits, codes: [i32; 2]) -> u32 {
    let (width, offset) = (bits.bits(), -bits.lo());
    let second = if second_is_signed(bits) { codes[1] } else { codes[1] + offset };
    let mask = (1 << width) - 1;
    (codes[0] + offset) as u32 & mask | (second as u32 & mask) << width
}

/// The codes of two channels: the inverse of [`field`].
#[inline]
const fn codes(bits: WeightBits, field: u32) -> [i32; 2] {
    let (width, offset) = (bits.bits(), -bits.lo());
    let mask = (1 << width) - 1;
    let second = (field >> width & mask) as i32;
    let second = if second_is_signed(bits) { (second ^ offset) - offset } else { second - offset };
    [(field & mask) as i32 - offset, second]
}

/// Where a field lies: pieces of it in the halves of words.
#[derive(Clone, Copy)]
struct Place {
    /// First byte of the half of the first word.
    byte: usize,
    /// First bit in the half.
    shift: u32,
    /// Bits in one half.
    width: u32,
    /// Halves, of one word after the other.
    pieces: u32,
}

impl Place {
    /// Of the weights at place `index` of a row.
    #[inline]
    const fn new(bits: WeightBits, index: usize) -> Self {
        let (pair, half) = (index / 4 * 2 + index % 2, index / 2 % 2);
        let (word, shift, width, pieces) = match bits.known() {
            WeightBits::W8 => (pair, 0, 16, 1),
            WeightBits::W4 => (pair / 2, pair % 2 * 8, 8, 1),
            WeightBits::W2 => (pair / 4, pair % 4 * 4, 4, 1),
            // Of four pairs, three have 12 bits of a half each, and the fourth the 4 bits that each of these leaves.
            WeightBits::W6 if pair % 4 < 3 => (pair / 4 * 3 + pair % 4, 0, 12, 1),
            WeightBits::W6 => (pair / 4 * 3, 12, 4, 3),
        };
        Self { byte: 4 * word + 2 * half, shift: shift as u32, width, pieces }
    }

    #[inline]
    fn get(self, row: &[u8]) -> u32 {
        (0..self.pieces).fold(0, |field, piece| {
            let half =
                row.get(self.byte + 4 * piece as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |half| u16::from_le_bytes(*half));
            field | (u32::from(half) >> self.shift & ((1 << self.width) - 1)) << (self.width * piece)
        })
    }

    /// Into halves that hold zeros.
    fn add(self, row: &mut [u8], field: u32) {
        for piece in 0..self.pieces {
            if let Some(half) = row.get_mut(self.byte + 4 * piece as usize..).and_then(|rest| rest.first_chunk_mut()) {
                let bits = (field >> (self.width * piece) & ((1 << self.width) - 1)) << self.shift;
                *half = (u16::from_le_bytes(*half) | bits as u16).to_le_bytes();
            }
        }
    }
}

/// The codes of two channels at place `index` of their rows.
#[inline]
pub(crate) fn two(bits: WeightBits, row: &[u8], index: usize) -> [i32; 2] {
    codes(bits, Place::new(bits, index).get(row))
}

#[inline]
pub(super) fn weight(bits: WeightBits, shape: &WeightShape, weights: &[u8], row: usize, index: usize) -> i32 {
    let group_rows = shape.rows.checked_div(shape.groups).unwrap_or(1).max(1);
    let (group, row) = (row / group_rows, row % group_rows);
    let begin = (group * group_pairs(shape) + row / 2) * row_bytes(bits, shape.row_len);
    let [first, second] = two(bits, weights.get(begin..).unwrap_or_default(), index);
    if row.is_multiple_of(2) { first } else { second }
}

pub(super) fn arrange(bits: WeightBits, shape: &WeightShape, codes: &[i8], weights: &mut [u8]) {
    weights.fill(0);
    let group_rows = shape.rows.checked_div(shape.groups).unwrap_or(1).max(1);
    let mut rows = weights.chunks_exact_mut(row_bytes(bits, shape.row_len).max(1));
    for group in codes.chunks_exact((group_rows * shape.row_len).max(1)) {
        for (two, row) in group.chunks(2 * shape.row_len.max(1)).zip(&mut rows) {
            for index in 0..padded(bits, shape.row_len) {
                let code = |channel: usize| match two.get(channel * shape.row_len + index) {
                    Some(&code) if index < shape.row_len => i32::from(code),
                    _ => 0,
                };
                Place::new(bits, index).add(row, field(bits, [code(0), code(1)]));
            }
        }
    }
}
