//! Columns as the products want them: groups of four codes as two words, `a0 | a2 << 16` and `a1 | a3 << 16`, or one word of four bytes.

use super::{Blocks, Product};
use crate::portable::columns::{Columns, rows_join, unpack_from};
use crate::{ActivationBits, Activations, Conv, pack};

/// Codes of 16 bits that are gathered before they are arranged.
const GATHERED: usize = 32;

/// The columns of one group of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    columns: Columns<'a>,
    first_channel: usize,
    /// A word has four codes.
    bytes: bool,
    /// Neighbouring taps are neighbours in memory.
    join: bool,
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
            join: conv.groups == 1 && conv.window.dilation[1] == 1 && rows_join(input.bits, conv.input.channels),
            whole: conv.group_inputs().is_multiple_of(4),
        }
    }

    /// Fills the columns of `N` output pixels from row `y` and column `x` on, those past the last one with what there was, and returns the
    /// sums of their codes.
    pub(super) fn fill<B: Blocks, const N: usize>(&self, [mut y, mut x]: [usize; 2], columns: &mut [[u32; N]]) -> [u32; N] {
        let mut sums = [0; N];
        let output = self.conv.output;
        for (index, sum) in sums.iter_mut().enumerate() {
            if y >= output.height {
                break;
            }
            *sum = match self.input.bits {
                _ if self.whole => self.whole_groups::<B, N>((y, x), index, columns),
                ActivationBits::A16 => self.wide((y, x), index, columns),
                _ => self.broken_groups((y, x), index, columns),
            };
            [y, x] = super::after([y, x], 1, output.width);
        }
        sums
    }

    /// Calls `visit` for the column's runs of taps: the input from the first pixel's first byte on, or `None` in the padding, and the number
    /// of taps.
    #[inline(always)]
    fn each_run(&self, (y, x): (usize, usize), mut visit: impl FnMut(Option<&'a [u8]>, usize)) {
        let (window, image) = (self.conv.window, self.conv.input);
        let (pixel_bytes, taps_x) = (image.pixel_bytes(self.input.bits), window.kernel[1]);
        let inside = window.taps_inside(1, x, image.width);
        for ky in 0..window.kernel[0] {
            let row = window.position(0, y, ky, image.height).map(|y| y * image.width);
            let mut kx = 0;
            while kx < taps_x {
                let (from, taps) = match row {
                    Some(row) if inside.contains(&kx) => {
                        let pixel = row + x * window.stride[1] + kx * window.dilation[1] - window.pad[1];
                        (Some(pixel), if self.join { inside.end - kx } else { 1 })
                    }
                    Some(_) if kx < inside.start => (None, inside.start - kx),
                    _ => (None, taps_x - kx),
                };
                visit(from.map(|pixel| self.input.codes.get(pixel * pixel_bytes..).unwrap_or_default()), taps);
                kx += taps;
            }
        }
    }

    /// A column of whole groups.
    fn whole_groups<B: Blocks, const N: usize>(&self, at: (usize, usize), index: usize, columns: &mut [[u32; N]]) -> u32 {
        let (bits, channels) = (self.input.bits, self.conv.group_inputs());
        let (begin, tap_bytes) = (pack::row_bytes(bits, self.first_channel), pack::row_bytes(bits, channels));
        let tap_words = channels / if self.bytes { 4 } else { 2 };
        let (mut sum, mut rest) = (0u32, columns);
        self.each_run(at, |codes, taps| {
            let (words, others) = core::mem::take(&mut rest).split_at_mut_checked(taps * tap_words).unwrap_or_default();
            rest = others;
            sum = sum.wrapping_add(match codes {
                Some(codes) => {
                    let codes = codes.get(begin..).and_then(|codes| codes.get(..taps * tap_bytes)).unwrap_or_default();
                    self.groups::<B, N>(codes, index, words)
                }
                None => self.padding(index, words),
            });
        });
        for word in rest {
            set(word, index, 0);
        }
        sum
    }

    /// A column code by code, for channels that do not come in fours.
    fn broken_groups<const N: usize>(&self, at: (usize, usize), index: usize, columns: &mut [[u32; N]]) -> u32 {
        let (bits, channels) = (self.input.bits, self.conv.group_inputs());
        let mut groups = Groups { rest: columns, index, bytes: self.bytes, word: 0, filled: 0, sum: 0 };
        self.each_run(at, |codes, taps| match (codes, bits) {
            (Some(codes), ActivationBits::A6 | ActivationBits::A8) => {
                let codes = codes.get(self.first_channel..).and_then(|codes| codes.get(..taps * channels)).unwrap_or_default();
                codes.iter().for_each(|&code| groups.push(u32::from(code)));
            }
            (Some(codes), _) => {
                (0..taps * channels).for_each(|place| groups.push(pack::code(codes, bits, self.first_channel + place) as u32));
            }
            (None, _) => (0..taps * channels).for_each(|_| groups.push(self.input.zero_point as u32)),
        });
        groups.finish()
    }

    /// As [`Self::broken_groups`], of 16 bits.
    #[inline(never)]
    fn wide<const N: usize>(&self, at: (usize, usize), index: usize, columns: &mut [[u32; N]]) -> u32 {
        let (mut sum, zero) = (0u32, self.input.zero_point as i16);
        for (chunk, words) in columns.chunks_mut(GATHERED / 2).enumerate() {
            let mut codes = [0i16; GATHERED];
            self.columns.fill(at, chunk * GATHERED, &mut codes, zero, |row, first, codes| {
                unpack_from(ActivationBits::A16, row, first, codes);
            });
            for (&[a, b, c, d], pair) in codes.as_chunks().0.iter().zip(words.as_chunks_mut::<2>().0) {
                let halves = |low: i16, high: i16| u32::from(low as u16) | u32::from(high as u16) << 16;
                sum = sum.wrapping_add(put(pair, index, [halves(a, c), halves(b, d)], sum_of_signed));
            }
        }
        sum
    }

    /// Groups from packed codes.
    #[inline(always)]
    fn groups<B: Blocks, const N: usize>(&self, codes: &[u8], index: usize, words: &mut [[u32; N]]) -> u32 {
        match self.input.bits {
            ActivationBits::A6 | ActivationBits::A8 => self.of_bytes::<B, N>(codes, index, words),
            ActivationBits::A4 => each(codes, index, words, |&bytes| of_nibbles(u16::from_le_bytes(bytes)), sum_of_two),
            ActivationBits::A2 if self.bytes => each_four(codes, index, words, |&[byte]| spread(byte)),
            ActivationBits::A2 => each(codes, index, words, |&[byte]| of_bytes(spread(byte)), sum_of_two),
            ActivationBits::A16 => each(codes, index, words, |bytes| halves(*bytes), sum_of_signed),
        }
    }

    /// Groups from codes in bytes.
    #[inline(always)]
    fn of_bytes<B: Blocks, const N: usize>(&self, codes: &[u8], index: usize, words: &mut [[u32; N]]) -> u32 {
        if self.bytes {
            return each_four(codes, index, words, |&bytes| u32::from_le_bytes(bytes));
        }
        // One load where the words are aligned; some processors have no other.
        match bytemuck::try_cast_slice::<u8, u32>(codes) {
            Ok(codes) => B::bytes(codes, index, words),
            Err(_) => each(codes, index, words, |&bytes| of_bytes(u32::from_le_bytes(bytes)), sum_of_two),
        }
    }

    #[inline(never)]
    fn padding<const N: usize>(&self, index: usize, words: &mut [[u32; N]]) -> u32 {
        let code = self.input.zero_point as u32;
        let (word, each) = if self.bytes { (code.wrapping_mul(0x0101_0101), 4) } else { ((code & 0xffff).wrapping_mul(0x0001_0001), 2) };
        let count = words.len() as u32;
        for words in words {
            set(words, index, word);
        }
        count.wrapping_mul(each).wrapping_mul(code)
    }
}

/// A column that is filled code by code.
struct Groups<'w, const N: usize> {
    rest: &'w mut [[u32; N]],
    index: usize,
    bytes: bool,
    /// The last codes, the last one in the highest byte.
    word: u32,
    filled: u32,
    sum: u32,
}

impl<const N: usize> Groups<'_, N> {
    #[inline(always)]
    fn push(&mut self, code: u32) {
        self.word = self.word >> 8 | code << 24;
        self.filled += 1;
        if self.filled == 4 {
            self.write();
        }
    }

    #[inline(always)]
    fn write(&mut self) {
        let (word, rest) = (self.word, core::mem::take(&mut self.rest));
        self.filled = 0;
        if self.bytes {
            if let Some((to, rest)) = rest.split_first_mut() {
                set(to, self.index, word);
                self.rest = rest;
            }
            self.sum = self.sum.wrapping_add(sum_of_four(word));
        } else if let Some((to, rest)) = rest.split_first_chunk_mut() {
            self.sum = self.sum.wrapping_add(put(to, self.index, of_bytes(word), sum_of_two));
            self.rest = rest;
        }
    }

    /// Fills the rest with zeros; the sum of all codes.
    fn finish(mut self) -> u32 {
        if self.filled > 0 {
            self.word >>= 8 * (4 - self.filled);
            self.write();
        }
        for word in self.rest {
            set(word, self.index, 0);
        }
        self.sum
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
        sum = sum.wrapping_add(sum_of_four(word));
    }
    sum
}

/// See [`Blocks::bytes`].
pub(super) fn apart<const N: usize>(codes: &[u32], index: usize, columns: &mut [[u32; N]]) -> u32 {
    let mut sum = 0u32;
    for (&code, pair) in codes.iter().zip(columns.as_chunks_mut::<2>().0) {
        sum = sum.wrapping_add(put(pair, index, of_bytes(u32::from_le(code)), sum_of_two));
    }
    sum
}

/// `a0 | a2 << 16` and `a1 | a3 << 16` of the bytes `a0` to `a3`.
#[inline(always)]
fn of_bytes(bytes: u32) -> [u32; 2] {
    [bytes & 0x00ff_00ff, bytes >> 8 & 0x00ff_00ff]
}

/// As [`of_bytes`], of four bits each.
#[inline(always)]
fn of_nibbles(nibbles: u16) -> [u32; 2] {
    let nibbles = u32::from(nibbles);
    let bytes = nibbles | nibbles << 8;
    [bytes & 0x000f_000f, bytes >> 4 & 0x000f_000f]
}

/// As [`of_bytes`], of sixteen bits each.
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

/// The sum of four codes of two bits.
#[inline(always)]
fn sum_of_four(word: u32) -> u32 {
    word.wrapping_mul(0x0101_0101) >> 24
}

/// The sum of four codes of sixteen bits, signed.
#[inline(always)]
fn sum_of_signed(pair: [u32; 2]) -> u32 {
    pair.into_iter().fold(0, |sum, word| sum.wrapping_add(word as i16 as u32).wrapping_add((word as i32 >> 16) as u32))
}
