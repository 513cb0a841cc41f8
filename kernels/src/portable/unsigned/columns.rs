//! Columns as the products want them: groups of four codes as two words, `a0 | a2 << 16` and `a1 | a3 << 16`, or one word of four bytes.

use super::Product;
use crate::portable::columns::Columns;
use crate::{ActivationBits, Activations, Conv, pack};

/// Codes that are gathered before they are arranged: a multiple of every unit of weights, and most first layers' columns.
const GATHERED: usize = 64;

/// The columns of one group of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    columns: Columns<'a>,
    first_channel: usize,
    bytes: bool,
    /// Groups of four codes are whole bytes of one pixel.
    whole: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(conv: &'a Conv<'a>, input: Activations<'a>, group: usize, product: Product) -> Self {
        Self {
            conv,
            input,
            columns: Columns::new(conv, input, group),
            first_channel: group * conv.group_inputs(),
            bytes: product == Product::Four,
            whole: conv.group_inputs().is_multiple_of(4),
        }
    }

    /// Fills the columns of `N` output pixels from `pixel` on, those past the last one with what there was, and returns the sums of their
    /// codes.
    pub(super) fn fill<const N: usize>(&self, pixel: usize, columns: &mut [[u32; N]]) -> [u32; N] {
        let mut sums = [0; N];
        let width = self.conv.output.width.max(1);
        let (mut y, mut x) = if N == 1 { (0, 0) } else { (pixel / width, pixel % width) };
        let left = self.conv.output.pixels().saturating_sub(pixel);
        for (index, sum) in sums.iter_mut().enumerate().take(left) {
            *sum = if self.whole { self.by_taps((y, x), index, columns) } else { self.gathered((y, x), index, columns) };
            x += 1;
            if x == width {
                (y, x) = (y + 1, 0);
            }
        }
        sums
    }

    /// A column of whole groups, tap by tap.
    fn by_taps<const N: usize>(&self, (y, x): (usize, usize), index: usize, columns: &mut [[u32; N]]) -> u32 {
        let (conv, bits) = (self.conv, self.input.bits);
        let (window, image) = (conv.window, conv.input);
        let pixel_bytes = image.pixel_bytes(bits);
        let tap_bytes = pack::row_bytes(bits, conv.group_inputs());
        let tap_words = conv.group_inputs() / if self.bytes { 4 } else { 2 };
        // Neighbouring taps are neighbours in memory.
        let join = conv.groups == 1 && window.dilation[1] == 1;
        let inside = window.taps_inside(1, x, image.width);
        let mut sum = 0u32;
        let mut rest = columns;
        for ky in 0..window.kernel[0] {
            let row = window.position(0, y, ky, image.height).map(|y| y * image.width);
            let mut kx = 0;
            while kx < window.kernel[1] {
                let from = row.filter(|_| inside.contains(&kx)).zip(window.position(1, x, kx, image.width));
                let taps = match from {
                    Some(_) if join => inside.end - kx,
                    _ => 1,
                };
                let Some((words, others)) = core::mem::take(&mut rest).split_at_mut_checked(taps * tap_words) else {
                    return sum;
                };
                rest = others;
                sum = sum.wrapping_add(match from {
                    Some((row, x)) => {
                        let first = (row + x) * pixel_bytes + pack::row_bytes(bits, self.first_channel);
                        let codes = self.input.codes.get(first..).and_then(|codes| codes.get(..taps * tap_bytes)).unwrap_or_default();
                        self.groups(codes, index, words)
                    }
                    None => self.padding(index, words),
                });
                kx += taps;
            }
        }
        for word in rest {
            set(word, index, 0);
        }
        sum
    }

    /// A column code by code, for channels that do not come in fours.
    #[inline(never)]
    fn gathered<const N: usize>(&self, at: (usize, usize), index: usize, columns: &mut [[u32; N]]) -> u32 {
        let mut sum = 0u32;
        let (bits, zero) = (self.input.bits, self.input.zero_point);
        for (chunk, words) in columns.chunks_mut(GATHERED / if self.bytes { 4 } else { 2 }).enumerate() {
            let start = chunk * GATHERED;
            sum = sum.wrapping_add(if bits == ActivationBits::A16 {
                let mut codes = [0i16; GATHERED];
                self.columns.fill(at, start, &mut codes, zero as i16, |row, first, codes| {
                    crate::portable::columns::unpack_from(bits, row, first, codes);
                });
                let mut bytes = [0u8; 2 * GATHERED];
                for (bytes, code) in bytes.as_chunks_mut().0.iter_mut().zip(codes) {
                    *bytes = code.to_le_bytes();
                }
                each(&bytes, index, words, |bytes| halves(*bytes), sum_of_signed)
            } else {
                let mut codes = [0u8; GATHERED];
                self.columns.fill(at, start, &mut codes, zero as u8, |row, first, codes| match bits {
                    ActivationBits::A6 | ActivationBits::A8 => {
                        for (code, &byte) in codes.iter_mut().zip(row.get(first..).unwrap_or_default()) {
                            *code = byte;
                        }
                    }
                    _ => {
                        for (index, code) in codes.iter_mut().enumerate() {
                            *code = pack::code(row, bits, first + index) as u8;
                        }
                    }
                });
                self.of_bytes(&codes, index, words)
            });
        }
        sum
    }

    /// Groups from packed codes.
    #[inline(always)]
    fn groups<const N: usize>(&self, codes: &[u8], index: usize, words: &mut [[u32; N]]) -> u32 {
        match self.input.bits {
            ActivationBits::A6 | ActivationBits::A8 => self.of_bytes(codes, index, words),
            ActivationBits::A4 => each(codes, index, words, |&bytes| of_nibbles(u16::from_le_bytes(bytes)), sum_of_two),
            ActivationBits::A2 if self.bytes => each_four(codes, index, words, |&[byte]| spread(byte)),
            ActivationBits::A2 => each(codes, index, words, |&[byte]| apart(spread(byte)), sum_of_two),
            ActivationBits::A16 => each(codes, index, words, |bytes| halves(*bytes), sum_of_signed),
        }
    }

    /// Groups from codes in bytes.
    #[inline(always)]
    fn of_bytes<const N: usize>(&self, codes: &[u8], index: usize, words: &mut [[u32; N]]) -> u32 {
        if self.bytes {
            return each_four(codes, index, words, |&bytes| u32::from_le_bytes(bytes));
        }
        // One load where the words are aligned; some processors have no other.
        match bytemuck::try_cast_slice::<u8, u32>(codes) {
            Ok(codes) => {
                let mut sum = 0u32;
                for (&code, pair) in codes.iter().zip(words.as_chunks_mut::<2>().0) {
                    sum = sum.wrapping_add(put(pair, index, apart(u32::from_le(code)), sum_of_two));
                }
                sum
            }
            Err(_) => each(codes, index, words, |&bytes| apart(u32::from_le_bytes(bytes)), sum_of_two),
        }
    }

    #[inline(never)]
    fn padding<const N: usize>(&self, index: usize, words: &mut [[u32; N]]) -> u32 {
        let code = self.input.zero_point as u32;
        let (word, each) = if self.bytes { (code.wrapping_mul(0x0101_0101), 4) } else { (code.wrapping_mul(0x0001_0001), 2) };
        let count = words.len() as u32;
        for words in words {
            set(words, index, word);
        }
        count.wrapping_mul(each).wrapping_mul(code)
    }
}

#[inline(always)]
fn set<const N: usize>(words: &mut [u32; N], index: usize, word: u32) {
    if let Some(to) = words.get_mut(index) {
        *to = word;
    }
}

#[inline(always)]
fn put<const N: usize>(to: &mut [[u32; N]; 2], index: usize, [even, odd]: [u32; 2], sum: impl Fn([u32; 2]) -> u32) -> u32 {
    let [first, second] = to;
    set(first, index, even);
    set(second, index, odd);
    sum([even, odd])
}

/// Two words for each `SIZE` bytes.
#[inline(always)]
fn each<const SIZE: usize, const N: usize>(
    codes: &[u8],
    index: usize,
    words: &mut [[u32; N]],
    pair: impl Fn(&[u8; SIZE]) -> [u32; 2],
    sum_of: impl Fn([u32; 2]) -> u32 + Copy,
) -> u32 {
    let mut sum = 0u32;
    for (codes, to) in codes.as_chunks::<SIZE>().0.iter().zip(words.as_chunks_mut::<2>().0) {
        sum = sum.wrapping_add(put(to, index, pair(codes), sum_of));
    }
    sum
}

/// One word of four codes for each `SIZE` bytes.
#[inline(always)]
fn each_four<const SIZE: usize, const N: usize>(
    codes: &[u8],
    index: usize,
    words: &mut [[u32; N]],
    four: impl Fn(&[u8; SIZE]) -> u32,
) -> u32 {
    let mut sum = 0u32;
    for (codes, to) in codes.as_chunks::<SIZE>().0.iter().zip(words) {
        let word = four(codes);
        set(to, index, word);
        // Four codes of two bits.
        sum = sum.wrapping_add(word.wrapping_mul(0x0101_0101) >> 24);
    }
    sum
}

/// `a0 | a2 << 16` and `a1 | a3 << 16` of the bytes `a0` to `a3`.
#[inline(always)]
fn apart(bytes: u32) -> [u32; 2] {
    [bytes & 0x00ff_00ff, bytes >> 8 & 0x00ff_00ff]
}

/// As [`apart`], of four bits each.
#[inline(always)]
fn of_nibbles(nibbles: u16) -> [u32; 2] {
    let nibbles = u32::from(nibbles);
    let bytes = nibbles | nibbles << 8;
    [bytes & 0x000f_000f, bytes >> 4 & 0x000f_000f]
}

/// As [`apart`], of sixteen bits each.
#[inline(always)]
fn halves([a, b, c, d, e, f, g, h]: [u8; 8]) -> [u32; 2] {
    [u32::from_le_bytes([a, b, e, f]), u32::from_le_bytes([c, d, g, h])]
}

/// Four codes of two bits, each in a byte.
#[inline(always)]
fn spread(byte: u8) -> u32 {
    let byte = u32::from(byte);
    let nibbles = (byte | byte << 12) & 0x000f_000f;
    (nibbles | nibbles << 6) & 0x0303_0303
}

/// The sum of four codes of at most eight bits.
#[inline(always)]
fn sum_of_two([even, odd]: [u32; 2]) -> u32 {
    even.wrapping_add(odd).wrapping_mul(0x0001_0001) >> 16
}

/// The sum of four codes of sixteen bits, signed.
#[inline(always)]
fn sum_of_signed(pair: [u32; 2]) -> u32 {
    pair.into_iter().fold(0, |sum, word| sum.wrapping_add(word as i16 as u32).wrapping_add((word as i32 >> 16) as u32))
}
