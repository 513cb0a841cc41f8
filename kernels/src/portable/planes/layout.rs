//! Where things are in the planes.

use super::TOGETHER;
use super::span::BLOCK_MAX;
use crate::{Accumulator, ActivationBits, Arrangement, Conv};

/// Most words of four planes; a strip that has to be larger is left to other kernels.
const WORDS_MAX: usize = 4096;

/// Words of four blocks.
const KEPT_MIN: usize = 4 * BLOCK_MAX;

/// Fewest words of four planes that are worth having.
const WORDS_MIN: usize = 256;

/// Which input columns a word holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Every column once; outputs `2 i` and `2 i + 1` begin at word `i`.
    Dense,
    /// Every column once; output `i` begins at word `i`.
    Halved,
    /// Taps `2 j` and `2 j + 1` of output `i` at word `j * outputs + i`.
    Gathered,
}

impl Order {
    /// Word of a row at which output `start` begins.
    pub(crate) fn offset(self, start: usize) -> usize {
        if self == Self::Dense { start / 2 } else { start }
    }
}

/// Sizes of what lies in the scratch memory: four programs, the words of a few blocks, four planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) order: Order,
    /// Three rows of at most three taps, which have blocks of their own.
    pub(crate) compact: bool,
    /// Pairs of taps in a row of the kernel.
    pub(crate) pairs: usize,
    /// Words of a row of a plane.
    pub(crate) pitch: usize,
    /// Words from a kernel row to the next.
    pub(crate) tap_words: usize,
    /// Words from an output row to the next.
    pub(crate) row_words: usize,
    /// Output rows of a strip.
    pub(crate) rows: usize,
    pub(crate) plane_words: usize,
    /// Words for a few blocks, or for a row of four codes each, where the output's codes are not bytes.
    pub(crate) kept_words: usize,
    /// Of one program.
    pub(crate) program_words: usize,
    /// Outputs of a row with those that blocks compute beyond it.
    pub(crate) extent: usize,
}

impl Layout {
    /// The layout for that much scratch memory, if it is enough.
    pub(crate) fn new(conv: &Conv<'_>, words: usize) -> Option<Self> {
        let rows = conv.output.height;
        let strip = |rows| Self::of_rows(conv, rows).filter(|layout| layout.words() <= words);
        let mut best = strip(1)?;
        let each = conv.window.stride[0].saturating_mul(best.row_words).saturating_mul(TOGETHER);
        let more = rows.min(1 + (words - best.words()) / each.max(1));
        // Strips of the same height, as far as that goes.
        let strips = rows.div_ceil(more.max(1));
        if let Some(layout) = strip(rows.div_ceil(strips.max(1))) {
            best = layout;
        }
        Some(best)
    }

    /// The layout that is worth its memory: strips high enough that the rows which two of them read are few, in a small part of what the
    /// tensors take.
    pub(crate) fn best(conv: &Conv<'_>, input: ActivationBits) -> Option<Self> {
        const SHARE: usize = 8;
        let least = Self::least(conv)?;
        let tensors = conv.input.bytes(input).saturating_add(conv.output.bytes(conv.stage.bits));
        let words = (tensors / SHARE / size_of::<u32>()).clamp(WORDS_MIN, WORDS_MAX);
        Self::new(conv, words.max(least.words()))
    }

    /// The smallest layout.
    pub(crate) fn least(conv: &Conv<'_>) -> Option<Self> {
        Self::of_rows(conv, 1)
    }

    fn of_rows(conv: &Conv<'_>, rows: usize) -> Option<Self> {
        let [taps_y, taps_x] = conv.window.kernel;
        let [stride_y, stride_x] = conv.window.stride;
        // Of one tap the dilation says nothing.
        let dilation = |axis: usize, taps: usize| if taps == 1 { 1 } else { conv.window.dilation[axis] };
        let depthwise = conv.groups == conv.input.channels && conv.arrangement == Arrangement::RowMajor;
        if !depthwise || conv.accumulator != Accumulator::I32 || taps_y == 0 || taps_x == 0 {
            return None;
        }
        let (order, pairs) = match (stride_x, dilation(1, taps_x)) {
            (1, 1) => (Order::Dense, (taps_x / 2).max(1)),
            (2, 1) => (Order::Halved, taps_x.div_ceil(2)),
            _ => (Order::Gathered, taps_x.div_ceil(2)),
        };
        let compact = taps_y == 3 && ((order == Order::Dense && pairs == 1) || (order == Order::Halved && pairs == 2));
        let width = conv.output.width;
        let extent = width.checked_next_multiple_of(2)?.max(BLOCK_MAX);
        let pitch = match order {
            Order::Dense => (extent / 2).checked_add(pairs)?,
            Order::Halved => extent.checked_add(pairs)?,
            Order::Gathered => extent.checked_mul(pairs)?,
        };
        let tap_words = dilation(0, taps_y).checked_mul(pitch)?;
        let row_words = if rows == 1 { pitch } else { stride_y.checked_mul(pitch)? };
        let plane_words = (rows - 1).checked_mul(row_words)?.checked_add((taps_y - 1).checked_mul(tap_words)?)?.checked_add(pitch)?;
        if plane_words > WORDS_MAX {
            return None;
        }
        let steps = if order == Order::Halved { pairs.div_ceil(2) } else { pairs };
        // The bias, four words for each step, five for the end.
        let program_words = steps.checked_mul(taps_y)?.checked_mul(4)?.checked_add(6)?;
        let kept_words = extent.max(KEPT_MIN);
        (program_words <= WORDS_MAX).then_some(())?;
        Some(Self { order, compact, pairs, pitch, tap_words, row_words, rows, plane_words, kept_words, program_words, extent })
    }

    /// Words of it all.
    pub(crate) fn words(&self) -> usize {
        self.kept_words + TOGETHER * (self.program_words + self.plane_words)
    }

    /// Input rows of a strip of that many output rows.
    pub(crate) fn input_rows(&self, rows: usize, taps_y: usize) -> usize {
        let words = (rows.saturating_sub(1)) * self.row_words + taps_y.saturating_sub(1) * self.tap_words;
        words / self.pitch.max(1) + 1
    }

    /// Word of a row at which output `start` begins.
    pub(crate) fn offset(&self, start: usize) -> usize {
        self.order.offset(start)
    }
}
