//! An output channel as a program: steps of two pairs of taps each, then what becomes of the sums.
//!
//! Words: the bias; for each step its kind, the bytes that the pointer into the plane moves before it, and two pairs of taps; the end's kind,
//! the multiplier, the rounding, the shift, and the bytes from the last step to the same place one output row below.

use super::blocks::Blocks;
use super::layout::{Layout, Order};
use super::widen::pair;
use crate::{ActivationBits, Conv, pack};

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
    words: &'a [u32],
    /// Words that a block reads from its first on, at most.
    reach: usize,
    row_words: usize,
    pub(crate) end: End,
    pub(crate) compact: bool,
    pub(crate) order: Order,
}

/// Most taps that are unpacked at once.
const TAPS_MAX: usize = 64;

impl<'a> Program<'a> {
    /// Writes the program of one output channel, named as `blocks` wants it.
    pub(crate) fn new<B: Blocks>(
        blocks: &B,
        conv: &Conv<'_>,
        layout: &Layout,
        input: ActivationBits,
        channel: usize,
        words: &'a mut [u32],
    ) -> Option<Self> {
        let taps = conv.window.taps();
        let row = pack::row(conv.weights, pack::weight_row_bytes(conv.weight_bits, taps), channel);
        let mut unpacked = [0; TAPS_MAX];
        let all = unpacked.get_mut(..taps);
        let unpacked = match all {
            Some(all) => {
                pack::unpack_weights(conv.weight_bits, row, all);
                Some(&*all)
            }
            None => None,
        };
        let weight = |index: usize| match unpacked {
            Some(weights) => weights.get(index).copied().unwrap_or(0),
            None => pack::weight(row, conv.weight_bits, index) as i16,
        };
        let (bias, multiplier, shift) = conv.stage.channel(channel)?;
        let stage = Stage::new(conv, input, bias, multiplier, shift, || {
            (0..taps).map(|index| i64::from(weight(index)).abs()).sum()
        });
        let scale = stage.scale;
        let [taps_y, taps_x] = conv.window.kernel;
        let tap = |y: usize, x: usize| if x < taps_x { i32::from(weight(y * taps_x + x)) << scale } else { 0 };

        let mut to = words.iter_mut();
        let mut put = |word: u32| {
            if let Some(to) = to.next() {
                *to = word;
            }
        };
        put((bias << scale) as u32);
        let mut pointer = 0;
        for y in 0..taps_y {
            let row = y * layout.tap_words * size_of::<u32>();
            let mut step = |kind: Step, word: usize, a: u32, b: u32| {
                let to = row + word * size_of::<u32>();
                put(blocks.step(kind));
                put(to.wrapping_sub(pointer) as u32);
                put(a);
                put(b);
                pointer = if kind == Step::Two { to + Step::TWO_BYTES } else { to };
            };
            let two = |x: usize| pair(tap(y, x), tap(y, x + 1));
            for index in 0..layout.pairs {
                let x = 2 * index;
                match layout.order {
                    Order::Dense => {
                        let kind = match (index == 0, index + 1 == layout.pairs) {
                            (true, true) => Step::Both,
                            (true, false) => Step::First,
                            (false, true) => Step::Last,
                            (false, false) => Step::Middle,
                        };
                        step(kind, index, two(x), two(x + 1));
                    }
                    Order::Halved if index + 1 == layout.pairs && index % 2 == 0 => step(Step::Pair, index, two(x), 0),
                    Order::Halved if index % 2 == 0 => step(Step::Two, index, two(x), two(x + 2)),
                    Order::Halved => {}
                    Order::Gathered => step(Step::Pair, index * layout.extent, two(x), 0),
                }
            }
        }
        put(blocks.end(stage.end));
        put(multiplier as u32);
        put(stage.rounding as u32);
        put(u32::from(stage.shift));
        put((layout.row_words * size_of::<u32>()).wrapping_sub(pointer) as u32);
        let left = to.len();
        let words = words.get(..words.len() - left)?;
        let reach = (taps_y - 1) * layout.tap_words + layout.pitch - layout.offset(layout.extent) + layout.offset(super::layout::BLOCK_MAX);
        Some(Self { words, reach, row_words: layout.row_words, end: stage.end, compact: layout.compact, order: layout.order })
    }

    pub(crate) fn words(&self) -> &[u32] {
        self.words
    }

    /// Words that a column of that many blocks reads from its first on, at most.
    pub(crate) fn reach(&self, rows: usize) -> usize {
        rows.saturating_sub(1).saturating_mul(self.row_words).saturating_add(self.reach)
    }
}

/// An output stage of 32-bit arithmetic: `(high word of sum * multiplier) + rounding >> shift`.
struct Stage {
    end: End,
    /// Bits by which taps and bias are shifted to the left.
    scale: u32,
    rounding: i32,
    shift: u8,
}

impl Stage {
    /// `magnitude` gives the sum of the absolute values of the taps.
    fn new(conv: &Conv<'_>, input: ActivationBits, bias: i32, multiplier: i32, shift: u8, magnitude: impl FnOnce() -> i64) -> Self {
        // A shift of the whole by 33 and more leaves a rounding that is a multiple of 2^32. A smaller one becomes that where the sum has
        // bits to spare; taps have 8 of them.
        const SHIFT_MIN: u8 = 33;
        const SCALE_MAX: u8 = 8;
        let slow = Self { end: End::Sums, scale: 0, rounding: 0, shift: 0 };
        let scale = SHIFT_MIN.saturating_sub(shift);
        if scale > SCALE_MAX {
            return slow;
        }
        if scale > 0 {
            let largest = i64::from(input.hi()).max(-i64::from(input.lo()));
            let sum = magnitude().saturating_mul(largest).saturating_add(i64::from(bias).abs());
            if sum >= 1 << (31 - scale) {
                return slow;
            }
        }
        let _ = multiplier;
        let shift = shift.max(SHIFT_MIN);
        let codes = conv.stage.codes();
        // Half of one, and the zero point. The product's high word stays below 2^30.
        let rounding = (2 * i64::from(codes.zero_point) + 1).checked_shl(u32::from(shift - SHIFT_MIN)).unwrap_or(i64::MAX);
        let Some(rounding) = i32::try_from(rounding).ok().filter(|rounding| rounding.unsigned_abs() < 1 << 30 && shift < 64) else {
            return slow;
        };
        let straight = codes.bits == ActivationBits::A8 && codes.lo == codes.bits.lo() && codes.hi == codes.bits.hi();
        let end = if straight { End::Codes } else { End::Words };
        Self { end, scale: u32::from(scale), rounding, shift: shift - 32 }
    }
}
