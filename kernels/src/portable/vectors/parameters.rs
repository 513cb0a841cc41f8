//! What the inner blocks are told, checked once for a layer: their promises are what the assembly in `arch` relies on.

use crate::arrange::lanes::{BLOCK, PASS};
use crate::arrange::vectors;
use crate::{ActivationBits, Conv, OutputCodes, OutputStage, WeightBits, requant};

use super::COLUMNS;
use core::num::NonZeroUsize;

/// Rows of weights of [`Arrangement::Vectors`](crate::Arrangement::Vectors), of all output channels.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// `count` times `row_bytes`.
    weights: &'a [u8],
    bits: WeightBits,
    wide: bool,
    vectors: usize,
    row_bytes: usize,
    column_bytes: usize,
    count: usize,
}

/// `N` columns (1 or [`COLUMNS`]) of as many bytes as a row has codes, or twice as many.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a, const N: usize> {
    pub(crate) codes: &'a [u8],
    /// Where each begins.
    pub(crate) at: [usize; N],
}

/// `N` neighbouring pixels, and the byte in each from which on codes are written.
pub(crate) struct Pixels<'a, const N: usize> {
    pub(crate) bytes: &'a mut [u8],
    /// From one to the next.
    pub(crate) step: usize,
    pub(crate) at: usize,
}

impl<const N: usize> Pixels<'_, N> {
    /// Each pixel, whole.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_mut(self.step.max(1)).take(N)
    }
}

impl<'a> Rows<'a> {
    /// `None` where the weights are not as many as they should be, or rows are empty.
    pub(super) fn new(conv: &Conv<'a>, input: ActivationBits) -> Option<Self> {
        let (bits, count) = (conv.weight_bits, conv.output.channels);
        let (vectors, row_bytes) = (conv.row_len().div_ceil(vectors::LANES), vectors::row_bytes(bits, conv.row_len()));
        let wide = input == ActivationBits::A16;
        let column_bytes = vectors.checked_mul(if wide { 2 * vectors::LANES } else { vectors::LANES })?;
        let whole = vectors != 0 && count.checked_mul(row_bytes) == Some(conv.weights.len());
        whole.then_some(Self { weights: conv.weights, bits, wide, vectors, row_bytes, column_bytes, count })
    }

    pub(crate) const fn bits(&self) -> WeightBits {
        self.bits
    }

    /// Whether columns have 16 bits.
    pub(crate) const fn wide(&self) -> bool {
        self.wide
    }

    /// Vectors of a row, at least 1.
    pub(crate) const fn vectors(&self) -> usize {
        self.vectors
    }

    #[cfg_attr(not(core_feature = "mve"), expect(dead_code, reason = "what assembly relies on"))]
    pub(crate) const fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Bytes of a column.
    #[cfg_attr(not(core_feature = "mve"), expect(dead_code, reason = "what assembly relies on"))]
    pub(crate) const fn column_bytes(&self) -> usize {
        self.column_bytes
    }

    /// Weights from a row on.
    #[inline(always)]
    pub(crate) fn row(&self, index: usize) -> &'a [u8] {
        self.weights.get(index * self.row_bytes..).unwrap_or_default()
    }

    /// Output channels.
    #[cfg_attr(not(core_feature = "mve"), expect(dead_code, reason = "what assembly relies on"))]
    pub(crate) const fn count(&self) -> usize {
        self.count
    }
}

/// Output stage of a layer: its lists have one length, the number of channels.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    bias: &'a [i32],
    multiplier: &'a [i32],
    shift: &'a [u8],
    codes: OutputCodes,
    high: bool,
}

impl<'a> Stage<'a> {
    /// `None` where the lists differ in length.
    pub(super) fn new(stage: &OutputStage<'a>) -> Option<Self> {
        let (bias, multiplier, shift) = (stage.bias, stage.multiplier, stage.shift);
        let high = shift.iter().all(|&shift| shift >= requant::HIGH_SHIFT_MIN);
        let same = bias.len() == multiplier.len() && bias.len() == shift.len();
        same.then_some(Self { bias, multiplier, shift, codes: stage.codes(), high })
    }

    /// Whether every shift is [`requant::HIGH_SHIFT_MIN`] or more.
    pub(crate) const fn is_high(&self) -> bool {
        self.high
    }

    pub(crate) const fn codes(&self) -> OutputCodes {
        self.codes
    }

    /// The lists, as long as each other.
    pub(crate) const fn lists(&self) -> (&'a [i32], &'a [i32], &'a [u8]) {
        (self.bias, self.multiplier, self.shift)
    }

    /// Bias, multiplier and shift of some channels.
    pub(crate) fn channels(&self, first: usize, count: usize) -> impl Iterator<Item = (i32, i32, u8)> + 'a {
        let lists = self.bias.iter().zip(self.multiplier).zip(self.shift);
        lists.skip(first).take(count).map(|((&bias, &multiplier), &shift)| (bias, multiplier, shift))
    }
}

/// Weights of [`Arrangement::Lanes`](crate::Arrangement::Lanes).
#[derive(Clone, Copy)]
pub(crate) struct Lanes<'a> {
    weights: &'a [u8],
    wide: bool,
    /// Bytes of a pass.
    pass_bytes: usize,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(conv: &Conv<'a>, input: ActivationBits) -> Self {
        let pass_bytes = conv.groups.div_ceil(BLOCK) * BLOCK * PASS;
        Self { weights: conv.weights, wide: input == ActivationBits::A16, pass_bytes }
    }

    /// Whether codes have 16 bits.
    pub(crate) const fn wide(&self) -> bool {
        self.wide
    }

    /// Weights of a pass from channel `first`, a multiple of [`BLOCK`], on: blocks of channels.
    #[inline(always)]
    pub(crate) fn blocks(&self, pass: usize, first: usize) -> &'a [u8] {
        self.weights.get(pass * self.pass_bytes + first * PASS..).unwrap_or_default()
    }
}

/// Rows of bytes, some way apart where they come from and some other way where they go, for each of some columns.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rect {
    rows: usize,
    len: usize,
    strides: (usize, usize),
    steps: (usize, usize),
    /// What one column takes, in either place.
    bytes: (usize, usize),
    /// Vectors of three in a row, where there are no others.
    threes: Option<NonZeroUsize>,
}

impl Rect {
    /// `strides` and `steps` are from row to row and from column to column, each where bytes come from and where they go. `None` where
    /// sizes overflow.
    pub(super) fn new(rows: usize, len: usize, strides: (usize, usize), steps: (usize, usize)) -> Option<Self> {
        let bytes = |stride: usize| rows.saturating_sub(1).checked_mul(stride)?.checked_add(len);
        let bytes = (bytes(strides.0)?, bytes(strides.1)?);
        let all = |bytes: usize, step: usize| step.checked_mul(COLUMNS)?.checked_add(bytes);
        all(bytes.0, steps.0)?;
        all(bytes.1, steps.1)?;
        let threes = len.is_multiple_of(3 * vectors::LANES).then_some(len / (3 * vectors::LANES));
        Some(Self { rows, len, strides, steps, bytes, threes: threes.and_then(NonZeroUsize::new) })
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of a row.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Three vectors of bytes at a time are this many times a row, where they are.
    #[cfg_attr(not(core_feature = "mve"), expect(dead_code, reason = "what assembly relies on"))]
    pub(crate) const fn threes(&self) -> Option<NonZeroUsize> {
        self.threes
    }

    /// From row to row, from and to.
    pub(crate) const fn strides(&self) -> (usize, usize) {
        self.strides
    }

    /// From column to column, from and to.
    pub(crate) const fn steps(&self) -> (usize, usize) {
        self.steps
    }

    /// Bytes in which `columns`, 1 to [`COLUMNS`], lie, from and to.
    #[cfg_attr(not(core_feature = "mve"), expect(dead_code, reason = "what assembly relies on"))]
    pub(crate) const fn bytes(&self, columns: usize) -> (usize, usize) {
        let last = columns.saturating_sub(1);
        (last * self.steps.0 + self.bytes.0, last * self.steps.1 + self.bytes.1)
    }
}
