//! An output channel as a program: steps of two pairs of taps each, then what becomes of the sums.
//!
//! Words: the bias; for each step its kind, the bytes that the pointer into the plane moves before it, and two pairs of taps; the end's kind,
//! the multiplier, the rounding, the shift, and the bytes from the last step to the same place one output row below.

use super::blocks::Blocks;
use super::layout::{Layout, Order};
use super::stage::Stage;
use super::widen::pair;
use crate::{Conv, WeightBits, pack};

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

/// Words of the program of a kernel of three rows of three taps.
pub(super) const THREE_WORDS: usize = 18;

/// An output channel, ready to run.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    words: &'a [u32],
    /// Words that an output reads, from its first to the end of the row that has the last.
    reach: usize,
    row_words: usize,
    pub(crate) end: End,
    pub(crate) compact: bool,
    pub(crate) order: Order,
}

impl<'a> Program<'a> {
    /// Writes the program of one output channel, as `blocks` wants it.
    pub(crate) fn new<B: Blocks>(blocks: &B, conv: &Conv<'_>, layout: &Layout, channel: Channel<'_>, words: &'a mut [u32]) -> Option<Self> {
        let words = if layout.compact && conv.window.kernel == [3, 3] {
            let words = words.first_chunk_mut::<THREE_WORDS>()?;
            three(blocks, conv, layout, &channel, words)?;
            &*words
        } else {
            any(blocks, conv, layout, &channel, words)?
        };
        let reach = (conv.window.kernel[0] - 1) * layout.tap_words + layout.pitch - layout.offset(layout.extent);
        Some(Self { words, reach, row_words: layout.row_words, end: channel.stage.end, compact: layout.compact, order: layout.order })
    }

    pub(crate) fn words(&self) -> &[u32] {
        self.words
    }

    /// Words that a column of blocks of that many rows and outputs reads, from its first on, at most.
    pub(crate) fn reach(&self, rows: usize, size: usize) -> usize {
        let block = if self.order == Order::Dense { size / 2 } else { size };
        rows.saturating_sub(1).saturating_mul(self.row_words).saturating_add(self.reach + block)
    }
}

/// What a program is made from.
pub(crate) struct Channel<'a> {
    /// The packed taps.
    pub(crate) row: &'a [u8],
    pub(crate) bias: i32,
    pub(crate) multiplier: i32,
    pub(crate) stage: Stage,
}

/// A kernel of three rows of three taps.
fn three<B: Blocks>(blocks: &B, conv: &Conv<'_>, layout: &Layout, channel: &Channel<'_>, to: &mut [u32; THREE_WORDS]) -> Option<()> {
    let scale = channel.stage.scale;
    let taps = three_taps(conv.weight_bits, channel.row)?.map(|tap| i32::from(tap) << scale);
    let way = (layout.tap_words * size_of::<u32>()) as u32;
    let two = |[w0, w1, w2]: [i32; 3]| match layout.order {
        Order::Dense => [pair(w0, w1), pair(w1, w2)],
        _ => [pair(w0, w1), pair(w2, 0)],
    };
    let (kind, moved) = match layout.order {
        Order::Dense => (blocks.step(Step::Both), 0),
        _ => (blocks.step(Step::Two), Step::TWO_BYTES as u32),
    };
    let [w0, w1, w2, w3, w4, w5, w6, w7, w8] = taps;
    let ([a0, b0], [a1, b1], [a2, b2]) = (two([w0, w1, w2]), two([w3, w4, w5]), two([w6, w7, w8]));
    let next = way.wrapping_sub(moved);
    let back = ((layout.row_words * size_of::<u32>()) as u32).wrapping_sub(2 * way).wrapping_sub(moved);
    let stage = &channel.stage;
    *to = [
        (channel.bias << scale) as u32,
        kind,
        0,
        a0,
        b0,
        kind,
        next,
        a1,
        b1,
        kind,
        next,
        a2,
        b2,
        blocks.end(stage.end),
        channel.multiplier as u32,
        stage.rounding as u32,
        u32::from(stage.shift),
        back,
    ];
    Some(())
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

/// Any kernel. The words that are the program.
#[inline(never)]
fn any<'a, B: Blocks>(blocks: &B, conv: &Conv<'_>, layout: &Layout, channel: &Channel<'_>, words: &'a mut [u32]) -> Option<&'a [u32]> {
    let stage = &channel.stage;
    let [taps_y, taps_x] = conv.window.kernel;
    let tap = |y: usize, x: usize| {
        let weight = if x < taps_x { pack::weight(channel.row, conv.weight_bits, y * taps_x + x) } else { 0 };
        weight << stage.scale
    };
    let mut to = words.iter_mut();
    let mut put = |words: &[u32]| {
        for (&word, to) in words.iter().zip(to.by_ref()) {
            *to = word;
        }
    };
    put(&[(channel.bias << stage.scale) as u32]);
    let mut pointer = 0;
    for y in 0..taps_y {
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
    let back = (layout.row_words * size_of::<u32>()).wrapping_sub(pointer) as u32;
    put(&[blocks.end(stage.end), channel.multiplier as u32, stage.rounding as u32, u32::from(stage.shift), back]);
    let left = to.len();
    words.get(..words.len() - left)
}
