//! `unsigned`: an output channel after the other, each from a word on, weights as unsigned numbers that a mask takes out of a word in
//! twos, for processors without products of halves.
//!
//! A weight is stored as `w + 2^(b-1)`. A row is little-endian 32-bit words in units:
//!
//! | bits | weights of a unit | words |
//! |---|---|---|
//! | 8 | 4 | 1 |
//! | 6 | 16 | 3 |
//! | 4 | 8 | 1 |
//! | 2 | 16 | 1 |
//!
//! What a row lacks of its last unit is 0. Step `s` of a unit multiplies two weights: `4 (s / 2) + s % 2` in the upper half of a word by
//! the activation in the lower half of another, and the weight two places on the other way round, so that the upper half of the product is
//! the sum of both ([`step`]). At 2 bits, four weights of a word's bytes are `4 s` to `4 s + 3`, the first in the highest byte.

use super::WeightShape;
use crate::WeightBits;

/// Weights and words of a unit.
pub(crate) const fn unit(bits: WeightBits) -> (usize, usize) {
    match bits {
        WeightBits::W2 => (16, 1),
        WeightBits::W4 => (8, 1),
        WeightBits::W6 => (16, 3),
        WeightBits::W8 => (4, 1),
    }
}

/// What is added to a weight.
pub(crate) const fn offset(bits: WeightBits) -> i32 {
    -bits.lo()
}

/// Words of a row.
pub(crate) const fn row_words(bits: WeightBits, row_len: usize) -> usize {
    let (weights, words) = unit(bits);
    row_len.div_ceil(weights) * words
}

pub(super) fn bytes(bits: WeightBits, shape: &WeightShape) -> Option<usize> {
    row_words(bits, shape.row_len).checked_mul(4)?.checked_mul(shape.rows)
}

/// Where weight `index` of a unit has its bits: up to two fields of a word, the lower bits first, as word, first bit and width.
fn fields(bits: WeightBits, index: usize) -> [(usize, usize, usize); 2] {
    let (group, upper, odd) = (index / 4, index % 4 < 2, index % 2);
    let half = if upper { 16 } else { 0 };
    match bits {
        WeightBits::W8 => [(0, half + 8 * odd, 8), (0, 0, 0)],
        WeightBits::W4 => [(0, half + 8 * group + 4 * odd, 4), (0, 0, 0)],
        // The even ones lie eight bits above the odd ones: both `& 0x00030003` and `& 0x03030303` give the weights of one step.
        WeightBits::W2 => [(0, half + 2 * group + 8 * (1 - odd), 2), (0, 0, 0)],
        // The last four weights are in what the others leave of three words.
        WeightBits::W6 if group < 3 => [(group, half + 6 * odd, 6), (0, 0, 0)],
        WeightBits::W6 => [(odd, half + 12, 4), (2, half + 12 + 2 * odd, 2)],
    }
}

#[inline]
pub(super) fn weight(bits: WeightBits, shape: &WeightShape, weights: &[u8], row: usize, index: usize) -> i32 {
    // Units are constants: some processors cannot divide.
    match bits {
        WeightBits::W2 => weight_of_unit::<2, 16, 1>(bits, shape, weights, row, index),
        WeightBits::W4 => weight_of_unit::<4, 8, 1>(bits, shape, weights, row, index),
        WeightBits::W6 => weight_of_unit::<6, 16, 3>(bits, shape, weights, row, index),
        WeightBits::W8 => weight_of_unit::<8, 4, 1>(bits, shape, weights, row, index),
    }
}

#[inline(always)]
fn weight_of_unit<const BITS: u32, const WEIGHTS: usize, const WORDS: usize>(
    bits: WeightBits,
    shape: &WeightShape,
    weights: &[u8],
    row: usize,
    index: usize,
) -> i32 {
    let first = (row * shape.row_len.div_ceil(WEIGHTS) + index / WEIGHTS) * WORDS;
    let (mut code, mut width) = (0, 0);
    for (word, bit, bits) in fields(bits, index % WEIGHTS) {
        let bytes = weights.get(4 * (first + word)..).and_then(|rest| rest.first_chunk());
        let field = bytes.map_or(0, |&bytes| u32::from_le_bytes(bytes)) >> bit & ((1 << bits) - 1);
        code |= field << width;
        width += bits;
    }
    code as i32 - (1 << (BITS - 1))
}

pub(super) fn arrange(bits: WeightBits, shape: &WeightShape, codes: &[i8], weights: &mut [u8]) {
    let (in_unit, words) = unit(bits);
    let rows = weights.chunks_exact_mut((row_words(bits, shape.row_len) * 4).max(1));
    for (row, codes) in rows.zip(codes.chunks_exact(shape.row_len.max(1))) {
        for (unit, codes) in row.chunks_exact_mut(words * 4).zip(codes.chunks(in_unit)) {
            let mut values = [0u32; 3];
            for (index, &code) in codes.iter().enumerate() {
                let mut code = (i32::from(code) + offset(bits)) as u32;
                for (word, bit, bits) in fields(bits, index) {
                    if let Some(value) = values.get_mut(word) {
                        *value |= (code & ((1 << bits) - 1)) << bit;
                    }
                    code >>= bits;
                }
            }
            for (bytes, value) in unit.as_chunks_mut().0.iter_mut().zip(values) {
                *bytes = value.to_le_bytes();
            }
        }
    }
}

/// The weights of one step of a unit, one in each half.
#[inline(always)]
pub(crate) fn step<const BITS: u32>(unit: &[u32], step: usize) -> u32 {
    let word = |index: usize| unit.get(index).copied().unwrap_or(0);
    let odd = step % 2;
    match BITS {
        8 => word(0) >> (8 * odd) & 0x00ff_00ff,
        4 => word(0) >> (4 * step) & 0x000f_000f,
        2 => word(0) >> (2 * (step / 2) + 8 * (1 - odd)) & 0x0003_0003,
        _ if step < 6 => word(step / 2) >> (6 * odd) & 0x003f_003f,
        _ => word(odd) >> 12 & 0x000f_000f | word(2) >> (8 + 2 * odd) & 0x0030_0030,
    }
}

/// The 2-bit weights of four neighbours, one in each byte, the first in the highest.
#[inline(always)]
pub(crate) fn step_of_four(unit: &[u32], step: usize) -> u32 {
    unit.first().copied().unwrap_or(0) >> (2 * step) & 0x0303_0303
}

/// Calls `visit` with the signed weights of a row in fours, and with what the row is padded with.
#[inline(always)]
pub(crate) fn each_group(bits: WeightBits, row: &[u32], visit: impl FnMut([u32; 4])) {
    match bits {
        WeightBits::W2 => each_of_units::<2, 1, 4>(row, visit),
        WeightBits::W4 => each_of_units::<4, 1, 2>(row, visit),
        WeightBits::W6 => each_of_units::<6, 3, 4>(row, visit),
        WeightBits::W8 => each_of_units::<8, 1, 1>(row, visit),
    }
}

#[inline(always)]
fn each_of_units<const BITS: u32, const WORDS: usize, const GROUPS: usize>(row: &[u32], mut visit: impl FnMut([u32; 4])) {
    let offset = 1 << (BITS - 1);
    for unit in row.as_chunks::<WORDS>().0 {
        for group in 0..GROUPS {
            let (even, odd) = (step::<BITS>(unit, 2 * group), step::<BITS>(unit, 2 * group + 1));
            visit([even >> 16, odd >> 16, even & 0xffff, odd & 0xffff].map(|weight| weight.wrapping_sub(offset)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn check<const BITS: u32>(bits: WeightBits) {
        let (len, words) = unit(bits);
        let shape = WeightShape { groups: 1, rows: 1, row_len: len };
        for place in 0..len {
            let mut codes = vec![bits.lo() as i8; len];
            codes[place] = bits.hi() as i8;
            let mut bytes = vec![0; 4 * words];
            arrange(bits, &shape, &codes, &mut bytes);
            let unit: vec::Vec<u32> = bytes.as_chunks().0.iter().map(|&word| u32::from_ne_bytes(word)).collect();
            let largest = (1 << BITS) - 1;
            for index in 0..len / 2 {
                let first = index / 2 * 4 + index % 2;
                let expected = if place == first { largest << 16 } else { 0 } | if place == first + 2 { largest } else { 0 };
                assert_eq!(step::<BITS>(&unit, index), expected, "{bits:?} {place} {index}");
            }
            let mut unpacked = vec::Vec::new();
            each_group(bits, &unit, |group| unpacked.extend(group));
            assert!(
                unpacked.len() == len && unpacked.iter().zip(&codes).all(|(&weight, &code)| weight as i32 == i32::from(code)),
                "{bits:?} {place}"
            );
            if BITS == 2 {
                for index in 0..4 {
                    let expected = if place / 4 == index { 3 << (24 - 8 * (place % 4)) } else { 0 };
                    assert_eq!(step_of_four(&unit, index), expected, "{place} {index}");
                }
            }
        }
    }

    #[test]
    fn a_step_has_two_or_four_weights() {
        check::<2>(WeightBits::W2);
        check::<4>(WeightBits::W4);
        check::<6>(WeightBits::W6);
        check::<8>(WeightBits::W8);
    }
}
