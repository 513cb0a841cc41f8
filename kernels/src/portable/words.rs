//! Operators on codes of a byte each, four in a word: for processors whose registers have 32 bits and no vectors.
//!
//! Each function stands in for the kernel of its name where it returns true, and leaves the output alone where it returns false.

mod elementwise;
mod pool;

pub(crate) use elementwise::{Sum, add, mul, requantize, table};
pub(crate) use pool::{average_pool, max_pool};

use crate::ActivationBits;

/// Whether codes of that width have a byte each.
fn is_byte(bits: ActivationBits) -> bool {
    matches!(bits, ActivationBits::A6 | ActivationBits::A8)
}

/// Aligned words, and the bytes after them; all bytes where the first is not aligned.
fn words(bytes: &[u8]) -> (&[u32], &[u8]) {
    match bytemuck::pod_align_to::<u8, u32>(bytes) {
        ([], words, rest) => (words, rest),
        _ => (&[], bytes),
    }
}

/// As [`words`], to be written.
fn words_mut(bytes: &mut [u8]) -> (&mut [u32], &mut [u8]) {
    if bytemuck::pod_align_to::<u8, u32>(bytes).0.is_empty() {
        let (_, words, rest) = bytemuck::pod_align_to_mut::<u8, u32>(bytes);
        (words, rest)
    } else {
        (&mut [], bytes)
    }
}

/// The four bytes of a word, as they lie in memory.
#[inline(always)]
fn split(word: u32) -> [u32; 4] {
    let word = u32::from_le(word);
    [word & 255, word >> 8 & 255, word >> 16 & 255, word >> 24]
}

/// The inverse of [`split`].
#[inline(always)]
fn join([a, b, c, d]: [u32; 4]) -> u32 {
    (a | b << 8 | c << 16 | d << 24).to_le()
}

/// `function` of every byte, which gives a byte.
#[inline(always)]
fn map(input: &[u8], output: &mut [u8], function: impl Fn(u32) -> u32) {
    let ((from, from_rest), (to, to_rest)) = (words(input), words_mut(output));
    if from.len() == to.len() {
        for (to, &from) in to.iter_mut().zip(from) {
            let [a, b, c, d] = split(from);
            *to = join([function(a), function(b), function(c), function(d)]);
        }
        for (to, &from) in to_rest.iter_mut().zip(from_rest) {
            *to = function(u32::from(from)) as u8;
        }
    } else {
        for (to, &from) in output.iter_mut().zip(input) {
            *to = function(u32::from(from)) as u8;
        }
    }
}

/// `function` of every pair of bytes, which gives a byte.
#[inline(always)]
fn zip(a: &[u8], b: &[u8], output: &mut [u8], function: impl Fn(u32, u32) -> u32) {
    let ((a_words, a_rest), (b_words, b_rest), (to, to_rest)) = (words(a), words(b), words_mut(output));
    if a_words.len() == to.len() && b_words.len() == to.len() {
        for ((to, &a), &b) in to.iter_mut().zip(a_words).zip(b_words) {
            let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (split(a), split(b));
            *to = join([function(a0, b0), function(a1, b1), function(a2, b2), function(a3, b3)]);
        }
        for ((to, &a), &b) in to_rest.iter_mut().zip(a_rest).zip(b_rest) {
            *to = function(u32::from(a), u32::from(b)) as u8;
        }
    } else {
        for ((to, &a), &b) in output.iter_mut().zip(a).zip(b) {
            *to = function(u32::from(a), u32::from(b)) as u8;
        }
    }
}

/// The larger of each pair of bytes.
pub(crate) fn larger(a: u32, b: u32) -> u32 {
    const HIGH: u32 = 0x8080_8080;
    // The high bit of each byte of `low` says whether the other bits of `a` are not below those of `b`.
    let low = (a | HIGH).wrapping_sub(b & !HIGH);
    let not_below = ((a & !b) | (!(a ^ b) & low)) & HIGH;
    let mask = (not_below >> 7).wrapping_mul(255);
    a & mask | b & !mask
}

/// The smaller of each pair of bytes.
pub(crate) fn smaller(a: u32, b: u32) -> u32 {
    !larger(!a, !b)
}

/// Clamps bytes.
pub(crate) fn clamp(codes: &mut [u8], lo: u8, hi: u8) {
    clamp_with(codes, lo, hi, larger, smaller);
}

/// As [`clamp`], with those functions of four bytes.
#[inline(always)]
pub(crate) fn clamp_with(codes: &mut [u8], lo: u8, hi: u8, larger: impl Fn(u32, u32) -> u32, smaller: impl Fn(u32, u32) -> u32) {
    let (lo_words, hi_words) = (u32::from(lo) * 0x0101_0101, u32::from(hi) * 0x0101_0101);
    let (words, rest) = words_mut(codes);
    for word in words {
        *word = smaller(larger(*word, lo_words), hi_words);
    }
    for code in rest {
        *code = (*code).max(lo).min(hi);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{elementwise, spatial};
    use crate::{portable, reference};

    #[test]
    fn four_bytes_are_compared_one_by_one() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let (left, right) = (u32::from_le_bytes([a, b, a ^ 0x80, 255]), u32::from_le_bytes([b, a, b, 0]));
                assert_eq!(super::larger(left, right).to_le_bytes(), [a.max(b), a.max(b), (a ^ 0x80).max(b), 255]);
                assert_eq!(super::smaller(left, right).to_le_bytes(), [a.min(b), a.min(b), (a ^ 0x80).min(b), 0]);
            }
        }
    }

    #[test]
    fn equals_the_reference() {
        elementwise::check_add(|params, a, b, output| {
            if !super::add(params, a, b, output, super::Sum::run, super::clamp) {
                reference::add(params, a, b, output);
            }
        });
        elementwise::check_mul(|params, a, b, output| {
            if !super::mul(params, a, b, output, super::clamp) {
                reference::mul(params, a, b, output);
            }
        });
        elementwise::check_requantize(|params, input, output| {
            if !super::requantize(params, input, output) {
                reference::requantize(params, input, output);
            }
        });
        elementwise::check_table(|params, input, output| {
            if !super::table(params, input, output) {
                reference::table(params, input, output);
            }
        });
        spatial::check_average_pool(|params, input, output| {
            if !super::average_pool(params, input, output) {
                portable::average_pool(params, input, output);
            }
        });
        spatial::check_max_pool(|params, input, output| {
            if !super::max_pool(params, input, output, super::larger) {
                portable::max_pool(params, input, output);
            }
        });
    }
}
