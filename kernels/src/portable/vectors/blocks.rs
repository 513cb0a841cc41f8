//! The inner blocks of the kernels for vectors, and what they are in plain Rust.

use super::parameters::{Columns, Lanes, Pixels, Rect, Rows, Stage};
use crate::arrange::lanes::{BLOCK, PASS};
use crate::arrange::vectors::{self, LANES};
use crate::{ActivationBits, requant};

/// Columns that are multiplied together.
pub(crate) const COLUMNS: usize = 3;

/// Output channels whose sums are kept.
pub(crate) const CHUNK: usize = 64;

/// Sums of a chunk of output channels at a pixel.
pub(crate) type Sums = [i32; CHUNK];

/// Some channels: at most [`CHUNK`].
#[derive(Clone, Copy)]
pub(crate) struct Channels {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

/// The inner blocks. `N` is 1 or [`COLUMNS`].
pub(crate) trait Blocks {
    /// What is prepared for the products of some channels.
    type Products<'a>: Copy;
    /// What is prepared for the codes of some channels.
    type Codes<'a>: Copy;
    /// What is prepared for a pass of a depthwise convolution over some channels.
    type Pass<'a>: Copy;

    fn products<'a>(rows: &Rows<'a>, channels: Channels) -> Self::Products<'a>;

    fn codes<'a>(stage: &Stage<'a>, channels: Channels) -> Self::Codes<'a>;

    /// Products of the stored, offset codes of channels and each column, which has whole vectors of codes.
    fn multiply<const N: usize>(products: &Self::Products<'_>, columns: Columns<'_, N>, sums: &mut [Sums; N]);

    /// A byte for each sum and its pixel's correction, or at 16 bits two. For [`Stage::is_high`].
    fn finish<const N: usize>(codes: &Self::Codes<'_>, corrections: &[i32; N], sums: &[Sums; N], pixels: &mut Pixels<'_, N>);

    /// Copies a rectangle for each of `totals`, and adds up its codes. `wide`: codes of 16 bits, little-endian, and not of 8.
    fn gather(rect: &Rect, from: &[u8], to: &mut [u8], wide: bool, totals: &mut [i32]);

    /// Sets all bytes, first and second in turns.
    fn fill(codes: &mut [u8], pair: [u8; 2]);

    /// Sum of codes.
    fn total(codes: &[u8], wide: bool) -> i32;

    /// Unpacks codes of 2 or 4 bits, which fill the last bytes, to a byte each in their order, and adds them up.
    fn unpack(bits: ActivationBits, codes: &mut [u8]) -> i32;

    /// Packs codes of 2 or 4 bits, a byte each, into as many bytes as there are.
    fn pack(bits: ActivationBits, codes: &[u8; CHUNK], to: &mut [u8]);

    /// `places` are those of the pass's taps in a window, and `channels` begin at a multiple of [`BLOCK`].
    fn pass<'a>(lanes: &Lanes<'a>, pass: usize, channels: Channels, places: Places) -> Self::Pass<'a>;

    /// Depthwise products of a pass, added to what the passes before left, of windows that lie within the input: one for each of `sums`,
    /// the first from byte `begin` of `codes` on.
    fn depthwise(pass: &Self::Pass<'_>, codes: &[u8], begin: usize, sums: &mut [Sums]);

    /// Likewise of one pixel whose taps read from bytes `at` of `codes` on, or at [`ZERO`] `zeros`, a pixel of zero points.
    fn depthwise_at(pass: &Self::Pass<'_>, codes: &[u8], zeros: &[u8], at: &[usize; PASS], sums: &mut Sums);
}

/// What the taps of a pass read in a window within the input: how far from the window's first byte.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) taps: [usize; PASS],
    /// How many taps the pass has; the weights of those that fill it up are 0, unless the file was made by others.
    pub(crate) count: usize,
    /// Bytes from a window to the next one.
    pub(crate) step: usize,
}

/// Where a tap begins that reads padding.
pub(crate) const ZERO: usize = usize::MAX;

/// Code `index` of codes of 8 or 16 bits.
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
    type Products<'a> = (Rows<'a>, Channels);
    type Codes<'a> = (Stage<'a>, Channels);
    type Pass<'a> = PlainPass<'a>;

    fn products<'a>(rows: &Rows<'a>, channels: Channels) -> Self::Products<'a> {
        (*rows, channels)
    }

    fn codes<'a>(stage: &Stage<'a>, channels: Channels) -> Self::Codes<'a> {
        (*stage, channels)
    }

    fn multiply<const N: usize>(&(rows, Channels { first, count }): &Self::Products<'_>, columns: Columns<'_, N>, sums: &mut [Sums; N]) {
        let vector_bytes = if rows.wide() { 2 * LANES } else { LANES };
        for channel in 0..count.min(CHUNK) {
            let mut acc = [0i32; N];
            for index in 0..rows.vectors() {
                let weights = vectors::vector(rows.bits(), rows.row(first + channel), rows.vectors(), index);
                for (acc, begin) in acc.iter_mut().zip(columns.at) {
                    let codes = columns.codes.get(begin + index * vector_bytes..).unwrap_or_default();
                    for (lane, weight) in weights.into_iter().enumerate() {
                        *acc = acc.wrapping_add(i32::from(weight).wrapping_mul(code(codes, rows.wide(), lane)));
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

    fn finish<const N: usize>(
        &(stage, Channels { first, count }): &Self::Codes<'_>,
        corrections: &[i32; N],
        sums: &[Sums; N],
        pixels: &mut Pixels<'_, N>,
    ) {
        let (codes, at) = (stage.codes(), pixels.at);
        let code_bytes = if codes.bits == ActivationBits::A16 { 2 } else { 1 };
        for ((pixel, sums), correction) in pixels.each().zip(sums).zip(corrections) {
            let bytes = pixel.get_mut(at..).unwrap_or_default().chunks_exact_mut(code_bytes);
            for ((to, &sum), (bias, multiplier, shift)) in bytes.zip(sums).zip(stage.channels(first, count)) {
                let acc = sum.wrapping_add(*correction).wrapping_add(bias);
                let code = requant::requantize_high(acc, multiplier, shift).wrapping_add(codes.zero_point);
                let code = code.max(codes.lo).min(codes.hi) as u16;
                for (to, from) in to.iter_mut().zip(code.to_le_bytes()) {
                    *to = from;
                }
            }
        }
    }

    fn gather(rect: &Rect, from: &[u8], to: &mut [u8], wide: bool, totals: &mut [i32]) {
        let (from_stride, to_stride) = rect.strides();
        let (from_step, to_step) = rect.steps();
        for (column, total) in totals.iter_mut().enumerate() {
            *total = 0;
            for row in 0..rect.rows() {
                let (begin, end) = (column * from_step + row * from_stride, column * to_step + row * to_stride);
                let from = from.get(begin..).and_then(|rest| rest.get(..rect.len()));
                let to = to.get_mut(end..).and_then(|rest| rest.get_mut(..rect.len()));
                if let Some((from, to)) = from.zip(to) {
                    crate::pack::copy(to, from);
                    *total = total.wrapping_add(Self::total(to, wide));
                }
            }
        }
    }

    fn fill(codes: &mut [u8], pair: [u8; 2]) {
        for (code, value) in codes.iter_mut().zip(pair.into_iter().cycle()) {
            *code = value;
        }
    }

    fn total(codes: &[u8], wide: bool) -> i32 {
        if wide {
            codes.as_chunks().0.iter().fold(0, |total, &pair| total.wrapping_add(i32::from(i16::from_le_bytes(pair))))
        } else {
            codes.iter().fold(0, |total, &code| total.wrapping_add(i32::from(code)))
        }
    }

    fn unpack(bits: ActivationBits, codes: &mut [u8]) -> i32 {
        let (width, each) = match bits {
            ActivationBits::A2 => (2, 4),
            ActivationBits::A4 => (4, 2),
            _ => (8, 1),
        };
        let packed = codes.len() - codes.len() / each;
        for index in 0..codes.len() {
            let byte = codes.get(packed + index / each).copied().unwrap_or(0);
            if let Some(code) = codes.get_mut(index) {
                *code = byte >> (index % each * width) & (u8::MAX >> (8 - width));
            }
        }
        Self::total(codes, false)
    }

    fn pack(bits: ActivationBits, codes: &[u8; CHUNK], to: &mut [u8]) {
        if bits == ActivationBits::A2 {
            for (to, &[a, b, c, d]) in to.iter_mut().zip(codes.as_chunks().0) {
                *to = a | b << 2 | c << 4 | d << 6;
            }
        } else {
            for (to, &[a, b]) in to.iter_mut().zip(codes.as_chunks().0) {
                *to = a | b << 4;
            }
        }
    }

    fn pass<'a>(lanes: &Lanes<'a>, pass: usize, channels: Channels, places: Places) -> Self::Pass<'a> {
        PlainPass { lanes: *lanes, pass, channels, places }
    }

    fn depthwise(pass: &Self::Pass<'_>, codes: &[u8], begin: usize, sums: &mut [Sums]) {
        for (pixel, sums) in sums.iter_mut().enumerate() {
            let at = pass.places.taps.map(|place| begin.wrapping_add(place).wrapping_add(pixel * pass.places.step));
            Self::depthwise_at(pass, codes, &[], &at, sums);
        }
    }

    fn depthwise_at(pass: &Self::Pass<'_>, codes: &[u8], zeros: &[u8], at: &[usize; PASS], sums: &mut Sums) {
        let PlainPass { lanes, channels: Channels { first, count }, .. } = pass;
        let blocks = lanes.blocks(pass.pass, *first).as_chunks::<BLOCK>().0.as_chunks::<PASS>().0;
        for (channel, sum) in sums.iter_mut().take(*count).enumerate() {
            let mut acc = if pass.pass > 0 { *sum } else { 0 };
            let rows = blocks.get(channel / BLOCK).into_iter().flatten();
            for (&at, row) in at.iter().zip(rows).take(pass.places.count) {
                let (codes, at) = if at == ZERO { (zeros, 0) } else { (codes, at) };
                let weight = row.get(channel % BLOCK).map_or(0, |&weight| i32::from(weight as i8));
                let value = code(codes.get(at..).unwrap_or_default(), lanes.wide(), first + channel);
                acc = acc.wrapping_add(weight.wrapping_mul(value));
            }
            *sum = acc;
        }
    }
}

/// What [`PlainRust`] prepares for a pass: nothing.
#[derive(Clone, Copy)]
pub(crate) struct PlainPass<'a> {
    pub(crate) lanes: Lanes<'a>,
    pub(crate) pass: usize,
    pub(crate) channels: Channels,
    pub(crate) places: Places,
}
