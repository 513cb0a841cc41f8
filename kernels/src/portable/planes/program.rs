//! An output channel as a program: steps of two pairs of taps each, then what becomes of the sums.
//!
//! Words: the bias; for each step its kind, the bytes that the pointer into the plane moves before it, and two pairs of taps; the end's kind,
//! the multiplier, the rounding, the shift, and the bytes from the last step to the same place one output row below.

use super::TOGETHER;
use super::blocks::Blocks;
use super::layout::{Layout, Order};
use super::stage::Stage;
use super::widen::pair;
use crate::{ActivationBits, Conv, WeightBits, pack};
use core::ops::Range;

/// What a step adds to the sums of a block. `x[i]` is word `i` from the pointer on, a product of words the sum of the products of their
/// halves; in a dense plane output `2 i` is `even[i]` and output `2 i + 1` is `odd[i]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Step {
    /// `even[i] += a x[i]`, `odd[i] += b x[i+1]`
    Middle,
    /// As `Middle`, and `odd[i] += low(a) high(x[i])`: the first taps of a row.
    First,
    /// As `Middle`, and `even[i] += high(b) low(x[i+1])`: the last taps of a row.
    Last,
    /// As `First` and `Last`: a row of three taps.
    Both,
    /// `output[i] += a x[i]`
    Pair,
    /// `output[i] += a x[i] + b x[i+1]`; the pointer moves on by [`Step::TWO_BYTES`].
    Two,
}

impl Step {
    pub(crate) const TWO_BYTES: usize = 16;
}

/// What becomes of the sums of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum End {
    /// Saturated to 8 bits.
    Codes,
    /// Requantized, zero point added; for codes of 16 bits.
    Words,
    /// As they are.
    Sums,
}

/// Programs of output channels that are neighbours.
#[derive(Debug)]
pub(crate) struct Programs<'a> {
    words: &'a mut [u32],
    ends: [End; TOGETHER],
    layout: &'a Layout,
}

/// Programs that run together: of the same end, one for each plane from the first on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    words: &'a [u32],
    pub(crate) end: End,
    /// Planes, programs and output channels.
    pub(crate) channels: usize,
    layout: &'a Layout,
}

impl<'a> Programs<'a> {
    /// Programs for the output channels of that convolution, which [`Programs::set`] gives their taps. `words` are those of the layout.
    pub(crate) fn new<B: Blocks>(blocks: &B, conv: &Conv<'_>, layout: &'a Layout, words: &'a mut [u32]) -> Self {
        for words in words.chunks_exact_mut(layout.program_words.max(1)) {
            write(blocks, conv, layout, words, &[], 0);
        }
        Self { words, ends: [End::Sums; TOGETHER], layout }
    }

    /// Makes the first programs those of neighbouring output channels.
    pub(crate) fn set_all<B: Blocks>(&mut self, blocks: &B, conv: &Conv<'_>, input: ActivationBits, channels: Range<usize>) {
        if !(self.layout.compact && conv.window.kernel == [3, 3] && self.set_straight(conv, channels.clone())) {
            for (place, index) in channels.enumerate() {
                self.set(blocks, conv, input, place, index);
            }
        }
    }

    /// Three rows of three taps and the common output stage; `false` where a channel's is another.
    fn set_straight(&mut self, conv: &Conv<'_>, channels: Range<usize>) -> bool {
        let (codes, order, row_bytes) = (conv.stage.codes(), self.layout.order, pack::weight_row_bytes(conv.weight_bits, 9));
        let once = 2 * codes.zero_point + 1;
        let shift_max = Stage::shift_max(&codes);
        let (Some(bias), Some(multiplier), Some(shift), Some(rows)) = (
            conv.stage.bias.get(channels.clone()),
            conv.stage.multiplier.get(channels.clone()),
            conv.stage.shift.get(channels.clone()),
            conv.weights.get(channels.start * row_bytes..),
        ) else {
            return false;
        };
        if !Stage::straight(&codes) {
            return false;
        }
        let programs = self.words.as_chunks_mut::<18>().0.iter_mut().zip(&mut self.ends).zip(rows.chunks_exact(row_bytes));
        for (((words, end), row), ((&bias, &multiplier), &shift)) in programs.zip(bias.iter().zip(multiplier).zip(shift)) {
            if !(Stage::SHIFT_MIN..=shift_max).contains(&shift) || !set_three(words, conv.weight_bits, row, 0, order) {
                return false;
            }
            *end = End::Codes;
            let [to_bias, .., _kind, to_multiplier, rounding, to_shift, _back] = words;
            *to_bias = bias as u32;
            *to_multiplier = multiplier as u32;
            *rounding = (once << (shift - Stage::SHIFT_MIN)) as u32;
            *to_shift = u32::from(shift) - 32;
        }
        true
    }

    /// Makes program `place` that of output channel `index`; `false` where there is no such channel.
    #[inline(never)]
    pub(crate) fn set<B: Blocks>(&mut self, blocks: &B, conv: &Conv<'_>, input: ActivationBits, place: usize, index: usize) -> bool {
        let len = self.layout.program_words;
        let words = self.words.get_mut(place * len..).and_then(|words| words.get_mut(..len));
        let row = pack::row(conv.weights, pack::weight_row_bytes(conv.weight_bits, conv.window.taps()), index);
        let ((Some(words), Some(end)), Some((bias, multiplier, shift))) = ((words, self.ends.get_mut(place)), conv.stage.channel(index))
        else {
            return false;
        };
        let stage = Stage::new(&conv.stage.codes(), shift, || magnitude(conv, input, row, bias));
        *end = stage.end;
        let three = self.layout.compact && conv.window.kernel == [3, 3];
        if !(three && set_three(words, conv.weight_bits, row, stage.scale, self.layout.order)) {
            write(blocks, conv, self.layout, words, row, stage.scale);
        }
        if let Some(first) = words.first_mut() {
            *first = (bias << stage.scale) as u32;
        }
        if let Some([kind, to_multiplier, rounding, to_shift, _]) = words.last_chunk_mut() {
            *kind = blocks.end(stage.end);
            *to_multiplier = multiplier as u32;
            *rounding = stage.rounding as u32;
            *to_shift = u32::from(stage.shift);
        }
        true
    }

    /// The first programs together, if all of them make codes.
    pub(crate) fn codes(&self, channels: usize) -> Option<Run<'_>> {
        let straight = self.ends.iter().take(channels).all(|&end| end == End::Codes);
        straight.then_some(Run { words: self.words, end: End::Codes, channels, layout: self.layout })
    }

    /// One program.
    pub(crate) fn one(&self, place: usize) -> Option<Run<'_>> {
        let words = self.words.get(place * self.layout.program_words..)?;
        Some(Run { words, end: *self.ends.get(place)?, channels: 1, layout: self.layout })
    }
}

impl Run<'_> {
    /// One program after the other.
    pub(crate) fn words(&self) -> &[u32] {
        self.words
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.layout
    }
}

/// Writes every word of a program but those of the output stage. Without a row of weights the taps are 0.
#[inline(never)]
fn write<B: Blocks>(blocks: &B, conv: &Conv<'_>, layout: &Layout, words: &mut [u32], row: &[u8], scale: u32) {
    let taps_x = conv.window.kernel[1];
    let tap =
        |y: usize, x: usize| if x < taps_x && !row.is_empty() { pack::weight(row, conv.weight_bits, y * taps_x + x) << scale } else { 0 };
    let mut to = words.iter_mut();
    let mut put = |words: &[u32]| {
        for (&word, to) in words.iter().zip(to.by_ref()) {
            *to = word;
        }
    };
    put(&[0]);
    let mut pointer = 0;
    for y in 0..conv.window.kernel[0] {
        let below = y * layout.tap_words * size_of::<u32>();
        let mut step = |kind: Step, word: usize, a: u32, b: u32| {
            let to = below + word * size_of::<u32>();
            put(&[blocks.step(kind), to.wrapping_sub(pointer) as u32, a, b]);
            pointer = if kind == Step::Two { to + Step::TWO_BYTES } else { to };
        };
        let two = |x: usize| pair(tap(y, x), tap(y, x + 1));
        for index in 0..layout.pairs {
            let (x, is_first, is_last) = (2 * index, index == 0, index + 1 == layout.pairs);
            let (kind, word, second) = match layout.order {
                Order::Dense if is_first && is_last => (Step::Both, index, Some(x + 1)),
                Order::Dense if is_first => (Step::First, index, Some(x + 1)),
                Order::Dense if is_last => (Step::Last, index, Some(x + 1)),
                Order::Dense => (Step::Middle, index, Some(x + 1)),
                Order::Halved if index % 2 == 1 => continue,
                Order::Halved if is_last => (Step::Pair, index, None),
                Order::Halved => (Step::Two, index, Some(x + 2)),
                Order::Gathered => (Step::Pair, index * layout.extent, None),
            };
            step(kind, word, two(x), second.map_or(0, two));
        }
    }
    put(&[blocks.end(End::Sums), 0, 0, 0, (layout.row_words * size_of::<u32>()).wrapping_sub(pointer) as u32]);
}

/// Largest absolute value that the accumulator of an output channel can have.
#[inline(never)]
fn magnitude(conv: &Conv<'_>, input: ActivationBits, row: &[u8], bias: i32) -> u64 {
    let taps = (0..conv.window.taps()).map(|tap| u64::from(pack::weight(row, conv.weight_bits, tap).unsigned_abs()));
    let code = input.hi().unsigned_abs().max(input.lo().unsigned_abs());
    taps.sum::<u64>() * u64::from(code) + u64::from(bias.unsigned_abs())
}

/// Sets the taps of a kernel of three rows of three, or returns false.
#[inline]
fn set_three(words: &mut [u32], bits: WeightBits, row: &[u8], scale: u32, order: Order) -> bool {
    let (Some(words), Some(taps)) = (words.first_chunk_mut::<13>(), three_taps(bits, row)) else {
        return false;
    };
    let mut taps = taps.map(i32::from);
    if scale > 0 {
        taps = taps.map(|tap| tap << scale);
    }
    let [w0, w1, w2, w3, w4, w5, w6, w7, w8] = taps;
    let [_, _, _, a0, b0, _, _, a1, b1, _, _, a2, b2] = words;
    (*a0, *a1, *a2) = (pair(w0, w1), pair(w3, w4), pair(w6, w7));
    (*b0, *b1, *b2) = match order {
        Order::Dense => (pair(w1, w2), pair(w4, w5), pair(w7, w8)),
        _ => (pair(w2, 0), pair(w5, 0), pair(w8, 0)),
    };
    true
}

/// Nine packed weights.
#[inline]
fn three_taps(bits: WeightBits, row: &[u8]) -> Option<[i8; 9]> {
    if bits == WeightBits::W8 {
        return row.first_chunk::<9>().map(|taps| taps.map(|tap| tap as i8));
    }
    let mut bytes = [0; 8];
    crate::pack::copy(bytes.get_mut(..row.len())?, row);
    let (mut packed, width) = (u64::from_le_bytes(bytes), bits.bits());
    Some([(); 9].map(|()| {
        let tap = (packed as u8) << (8 - width);
        packed >>= width;
        tap as i8 >> (8 - width)
    }))
}
