//! An output channel as a program: steps of two pairs of taps each, then what becomes of the sums.
//!
//! Words: the bias; for each step its kind, the bytes that the pointer into the plane moves before it, and two pairs of taps; the end's kind,
//! the multiplier, the rounding, the shift, and the bytes from the last step to the same place one output row below.

use super::blocks::Blocks;
use super::layout::{Layout, Order};
use super::stage::Stage;
use super::widen::pair;
use crate::{ActivationBits, Conv, WeightBits, pack};

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
    /// Codes of 8 bits.
    Codes,
    /// Requantized, zero point added.
    Words,
    /// As they are.
    Sums,
}

/// An output channel, ready to run.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    words: &'a mut [u32],
    end: End,
    compact: bool,
    order: Order,
}

/// The words of a kernel of three rows of three taps.
type Three = [u32; 18];

impl<'a> Program<'a> {
    /// A program for the output channels of that convolution, which [`Program::set`] makes that of one of them. `words` are those of the layout.
    pub(crate) fn new<B: Blocks>(blocks: &B, conv: &Conv<'_>, layout: &Layout, words: &'a mut [u32]) -> Self {
        let mut program = Self { words, end: End::Sums, compact: layout.compact, order: layout.order };
        program.any(blocks, conv, layout, |_, _| 0);
        program
    }

    /// Makes it the program of output channel `index`; `false` where there is no such channel.
    pub(crate) fn set<B: Blocks>(&mut self, blocks: &B, conv: &Conv<'_>, layout: &Layout, input: ActivationBits, index: usize) -> bool {
        let row = pack::row(conv.weights, pack::weight_row_bytes(conv.weight_bits, conv.window.taps()), index);
        let Some((bias, multiplier, shift)) = conv.stage.channel(index) else {
            return false;
        };
        let stage = Stage::new(&conv.stage.codes(), shift, || magnitude(conv, input, row, bias));
        self.end = stage.end;
        let three = self.compact && conv.window.kernel == [3, 3];
        match (self.words.first_chunk_mut::<18>(), three_taps(conv.weight_bits, row)) {
            (Some(words), Some(taps)) if three => set_three(words, taps, stage.scale, self.order),
            _ => self.any(blocks, conv, layout, |y, x| {
                let taps_x = conv.window.kernel[1];
                let tap = if x < taps_x { pack::weight(row, conv.weight_bits, y * taps_x + x) } else { 0 };
                tap << stage.scale
            }),
        }
        if let Some(first) = self.words.first_mut() {
            *first = (bias << stage.scale) as u32;
        }
        if let Some([kind, to_multiplier, rounding, to_shift, _]) = self.words.last_chunk_mut() {
            *kind = blocks.end(stage.end);
            *to_multiplier = multiplier as u32;
            *rounding = stage.rounding as u32;
            *to_shift = u32::from(stage.shift);
        }
        true
    }

    pub(crate) fn words(&self) -> &[u32] {
        self.words
    }

    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// As in [`Layout`].
    pub(crate) fn compact(&self) -> bool {
        self.compact
    }

    /// As in [`Layout`].
    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// As in [`Layout`].
    pub(crate) fn offset(&self, start: usize) -> usize {
        self.order.offset(start)
    }

    /// Writes every word but those of the output stage, with any taps.
    #[inline(never)]
    fn any<B: Blocks>(&mut self, blocks: &B, conv: &Conv<'_>, layout: &Layout, tap: impl Fn(usize, usize) -> i32) {
        let mut to = self.words.iter_mut();
        let mut put = |words: &[u32]| {
            for (&word, to) in words.iter().zip(to.by_ref()) {
                *to = word;
            }
        };
        put(&[0]);
        let mut pointer = 0;
        for y in 0..conv.window.kernel[0] {
            let row = y * layout.tap_words * size_of::<u32>();
            let mut step = |kind: Step, word: usize, a: u32, b: u32| {
                let to = row + word * size_of::<u32>();
                put(&[blocks.step(kind), to.wrapping_sub(pointer) as u32, a, b]);
                pointer = if kind == Step::Two { to + Step::TWO_BYTES } else { to };
            };
            let two = |x: usize| pair(tap(y, x), tap(y, x + 1));
            for index in 0..layout.pairs {
                let (x, is_last) = (2 * index, index + 1 == layout.pairs);
                match layout.order {
                    Order::Dense => {
                        let kind = match (index == 0, is_last) {
                            (true, true) => Step::Both,
                            (true, false) => Step::First,
                            (false, true) => Step::Last,
                            (false, false) => Step::Middle,
                        };
                        step(kind, index, two(x), two(x + 1));
                    }
                    Order::Halved if index % 2 == 1 => {}
                    Order::Halved if is_last => step(Step::Pair, index, two(x), 0),
                    Order::Halved => step(Step::Two, index, two(x), two(x + 2)),
                    Order::Gathered => step(Step::Pair, index * layout.extent, two(x), 0),
                }
            }
        }
        put(&[blocks.end(self.end), 0, 0, 0, (layout.row_words * size_of::<u32>()).wrapping_sub(pointer) as u32]);
    }
}

/// Largest absolute value that the accumulator of an output channel can have.
#[inline(never)]
fn magnitude(conv: &Conv<'_>, input: ActivationBits, row: &[u8], bias: i32) -> u64 {
    let taps = (0..conv.window.taps()).map(|tap| u64::from(pack::weight(row, conv.weight_bits, tap).unsigned_abs()));
    let code = input.hi().unsigned_abs().max(input.lo().unsigned_abs());
    taps.sum::<u64>() * u64::from(code) + u64::from(bias.unsigned_abs())
}

/// Sets the taps of a kernel of three rows of three.
#[inline]
fn set_three(words: &mut Three, taps: [i8; 9], scale: u32, order: Order) {
    let taps = taps.map(|tap| i32::from(tap) << scale);
    let (rows, _) = taps.as_chunks::<3>();
    let (_, steps) = words.split_at_mut(1);
    for (step, &[w0, w1, w2]) in steps.as_chunks_mut::<4>().0.iter_mut().zip(rows) {
        let [_, _, a, b] = step;
        *a = pair(w0, w1);
        *b = if order == Order::Dense { pair(w1, w2) } else { pair(w2, 0) };
    }
}

/// Nine packed weights.
#[inline]
fn three_taps(bits: WeightBits, row: &[u8]) -> Option<[i8; 9]> {
    if bits == WeightBits::W8 {
        return row.first_chunk::<9>().map(|taps| taps.map(|tap| tap as i8));
    }
    let mut bytes = [0; 8];
    bytes.get_mut(..row.len())?.copy_from_slice(row);
    let (mut packed, width) = (u64::from_le_bytes(bytes), bits.bits());
    Some([(); 9].map(|()| {
        let tap = (packed as u8) << (8 - width);
        packed >>= width;
        tap as i8 >> (8 - width)
    }))
}
