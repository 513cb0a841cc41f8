//! The inner blocks, and what they are in plain Rust.

use crate::arrange::lanes::{BLOCK, PASS};
use crate::arrange::vectors::{self, LANES};
use crate::{OutputCodes, WeightBits, requant};

/// Columns that are multiplied together.
pub(crate) const COLUMNS: usize = 3;

/// Output channels whose sums are kept.
pub(crate) const CHUNK: usize = 64;

/// Sums of some output channels at some pixels.
pub(crate) type Sums = [[i32; CHUNK]; COLUMNS];

/// Rows of weights of [`Arrangement::Vectors`](crate::Arrangement::Vectors).
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// `count` times `row_bytes`.
    pub(crate) bytes: &'a [u8],
    pub(crate) bits: WeightBits,
    /// Vectors of a row.
    pub(crate) vectors: usize,
    pub(crate) row_bytes: usize,
    /// At most [`CHUNK`].
    pub(crate) count: usize,
}

/// Output stage of some channels, whose shifts are [`requant::HIGH_SHIFT_MIN`] or more. The lists are of one length, at most [`CHUNK`].
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) bias: &'a [i32],
    pub(crate) multiplier: &'a [i32],
    pub(crate) shift: &'a [u8],
    pub(crate) codes: OutputCodes,
}

/// Rows of bytes, some way apart in one buffer, and some other way in another.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rect {
    rows: usize,
    len: usize,
    from_stride: usize,
    to_stride: usize,
    from_bytes: usize,
    to_bytes: usize,
}

impl Rect {
    /// `None` where the sizes overflow.
    pub(crate) fn new(rows: usize, len: usize, from_stride: usize, to_stride: usize) -> Option<Self> {
        let last = rows.saturating_sub(1);
        let from_bytes = last.checked_mul(from_stride)?.checked_add(len)?;
        let to_bytes = last.checked_mul(to_stride)?.checked_add(len)?;
        Some(Self { rows, len, from_stride, to_stride, from_bytes, to_bytes })
    }

    /// Bytes that it takes from its source and those that it takes up where it goes.
    pub(crate) const fn bytes(&self) -> (usize, usize) {
        (self.from_bytes, self.to_bytes)
    }

    /// Rows, and bytes of a row.
    pub(crate) const fn size(&self) -> (usize, usize) {
        (self.rows, self.len)
    }

    /// From one row to the next, in the source and where it goes.
    pub(crate) const fn strides(&self) -> (usize, usize) {
        (self.from_stride, self.to_stride)
    }
}

/// The inner blocks of the kernels for vectors. `wide`: codes of 16 bits, little-endian, and not of 8.
pub(crate) trait Blocks {
    /// Products of all rows and each of `N` columns (1 or [`COLUMNS`]) with the stored, offset codes. A column has `rows.vectors`
    /// vectors of codes.
    fn multiply<const N: usize>(rows: &Rows<'_>, columns: [&[u8]; N], wide: bool, sums: &mut Sums);

    /// Codes of each sum and its pixel's correction, a byte each. Each of `pixels` is as long as the lists of the stage.
    fn finish<const N: usize>(stage: &Stage<'_>, corrections: [i32; N], sums: &Sums, pixels: [&mut [u8]; N]);

    /// Copies a rectangle, and adds up its codes.
    fn gather(rect: &Rect, from: &[u8], to: &mut [u8], wide: bool) -> i32;

    /// Sets every byte.
    fn fill(codes: &mut [u8], value: u8);

    /// Sum of codes.
    fn total(codes: &[u8], wide: bool) -> i32;

    /// Products of the taps of a pass and the pass's weights from some block of channels on, for `channels` channels (at most
    /// [`CHUNK`]), from channel `first` of each tap's pixel on. `add`: they are added to `sums`.
    fn depthwise(taps: &[&[u8]; PASS], first: usize, channels: usize, weights: &[u8], wide: bool, add: bool, sums: &mut [i32; CHUNK]);
}

/// Code `index` of packed codes of 8 or 16 bits.
#[inline(always)]
fn code(codes: &[u8], wide: bool, index: usize) -> i32 {
    if wide {
        let pair = codes.get(2 * index..).and_then(|rest| rest.first_chunk());
        pair.map_or(0, |&pair| i32::from(i16::from_le_bytes(pair)))
    } else {
        codes.get(index).map_or(0, |&code| i32::from(code))
    }
}

/// The blocks of every machine.
pub(crate) struct PlainRust;

impl Blocks for PlainRust {
    fn multiply<const N: usize>(rows: &Rows<'_>, columns: [&[u8]; N], wide: bool, sums: &mut Sums) {
        let vector_bytes = if wide { 2 * LANES } else { LANES };
        for (channel, row) in rows.bytes.chunks_exact(rows.row_bytes.max(1)).enumerate() {
            let mut acc = [0i32; N];
            for index in 0..rows.vectors {
                let weights = vectors::vector(rows.bits, row, rows.vectors, index);
                for (acc, column) in acc.iter_mut().zip(columns) {
                    let codes = column.get(index * vector_bytes..).unwrap_or_default();
                    for (lane, weight) in weights.into_iter().enumerate() {
                        *acc = acc.wrapping_add(i32::from(weight).wrapping_mul(code(codes, wide, lane)));
                    }
                }
            }
            for (sums, acc) in sums.iter_mut().zip(acc) {
                if let Some(sum) = sums.get_mut(channel) {
                    *sum = acc;
                }
            }
        }
    }

    fn finish<const N: usize>(stage: &Stage<'_>, corrections: [i32; N], sums: &Sums, pixels: [&mut [u8]; N]) {
        let codes = stage.codes;
        for ((pixel, sums), correction) in pixels.into_iter().zip(sums).zip(corrections) {
            let stages = stage.bias.iter().zip(stage.multiplier).zip(stage.shift);
            for ((to, &sum), ((&bias, &multiplier), &shift)) in pixel.iter_mut().zip(sums).zip(stages) {
                let acc = sum.wrapping_add(correction).wrapping_add(bias);
                let code = requant::requantize_high(acc, multiplier, shift).wrapping_add(codes.zero_point);
                *to = code.max(codes.lo).min(codes.hi) as u8;
            }
        }
    }

    fn gather(rect: &Rect, from: &[u8], to: &mut [u8], wide: bool) -> i32 {
        let mut total = 0i32;
        for row in 0..rect.rows {
            let from = from.get(row.wrapping_mul(rect.from_stride)..).and_then(|rest| rest.get(..rect.len));
            let to = to.get_mut(row.wrapping_mul(rect.to_stride)..).and_then(|rest| rest.get_mut(..rect.len));
            if let Some((from, to)) = from.zip(to) {
                to.copy_from_slice(from);
                total = total.wrapping_add(Self::total(to, wide));
            }
        }
        total
    }

    fn fill(codes: &mut [u8], value: u8) {
        codes.fill(value);
    }

    fn total(codes: &[u8], wide: bool) -> i32 {
        if wide {
            codes.as_chunks().0.iter().fold(0, |total, &pair| total.wrapping_add(i32::from(i16::from_le_bytes(pair))))
        } else {
            codes.iter().fold(0, |total, &code| total.wrapping_add(i32::from(code)))
        }
    }

    fn depthwise(taps: &[&[u8]; PASS], first: usize, channels: usize, weights: &[u8], wide: bool, add: bool, sums: &mut [i32; CHUNK]) {
        let blocks = weights.as_chunks::<BLOCK>().0.as_chunks::<PASS>().0;
        for (channel, sum) in sums.iter_mut().take(channels).enumerate() {
            let mut acc = if add { *sum } else { 0 };
            let rows = blocks.get(channel / BLOCK).into_iter().flatten();
            for (tap, row) in taps.iter().zip(rows) {
                let weight = row.get(channel % BLOCK).map_or(0, |&weight| i32::from(weight as i8));
                acc = acc.wrapping_add(weight.wrapping_mul(code(tap, wide, first + channel)));
            }
            *sum = acc;
        }
    }
}
