//! Operators on codes of a byte each, four in a word: for processors whose registers have 32 bits and no vectors.
//!
//! Each function stands in for the kernel of its name where it returns true, and leaves the output alone where it returns false.

mod elementwise;
mod pool;

pub(crate) use elementwise::{add, mul, requantize, table};
pub(crate) use pool::{average_pool, larger, max_pool};

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
            *to = join(split(from).map(&function));
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

#[cfg(test)]
mod tests {
    use crate::testing::{elementwise, spatial};
    use crate::{portable, reference};

    #[test]
    fn equals_the_reference() {
        elementwise::check_add(|params, a, b, output| {
            if !super::add(params, a, b, output) {
                reference::add(params, a, b, output);
            }
        });
        elementwise::check_mul(|params, a, b, output| {
            if !super::mul(params, a, b, output) {
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
