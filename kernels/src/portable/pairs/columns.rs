//! Columns of three output pixels, widened to 16 bits and interleaved.

use super::blocks::{Blocks, Run};
use crate::arrange::pairs::padded;
use crate::portable::columns::{bytes_from, rows_join};
use crate::{ActivationBits, Activations, Conv, pack};
use core::ops::Range;

/// Columns of a block.
pub(crate) const COLUMNS: usize = 3;

/// Bytes of scratch behind the columns: one tap of padding.
pub(super) fn border_bytes(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    if by_words(conv, bits) && conv.window.kernel != [1, 1] { pack::row_bytes(bits, conv.group_inputs()) } else { 0 }
}

/// Whether every tap is whole groups of four codes that begin at a byte.
fn by_words(conv: &Conv<'_>, bits: ActivationBits) -> bool {
    let inputs = conv.group_inputs();
    inputs.is_multiple_of(4) && (conv.groups == 1 || rows_join(bits, inputs)) && conv.row_len() == padded(conv.weight_bits, conv.row_len())
}

/// Fills the columns of one block after the other.
pub(super) struct Packer<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    first_channel: usize,
    pixel_bytes: usize,
    by_words: bool,
    /// Groups of four codes of a tap.
    quads: usize,
    /// Taps that are neighbours in the row of the kernel are neighbours in memory.
    taps_join: bool,
    /// Padding of a tap.
    border: &'a [u8],
    /// Output rows and columns whose windows lie inside the image.
    inside: [Range<usize>; 2],
    /// The next output pixel.
    y: usize,
    x: usize,
}

impl<'a> Packer<'a> {
    pub(super) fn new(conv: &'a Conv<'a>, input: Activations<'a>, group: usize, border: &'a mut [u8]) -> Option<Self> {
        let inputs = conv.group_inputs();
        for index in 0..if border.is_empty() { 0 } else { inputs } {
            pack::set_code(border, input.bits, index, input.zero_point);
        }
        Some(Self {
            conv,
            input,
            first_channel: group.checked_mul(inputs)?,
            pixel_bytes: conv.input.pixel_bytes(input.bits),
            by_words: by_words(conv, input.bits),
            quads: inputs / 4,
            taps_join: conv.groups == 1 && conv.window.dilation[1] == 1 && rows_join(input.bits, inputs),
            border,
            inside: [inside(conv, 0, conv.input.height), inside(conv, 1, conv.input.width)],
            y: 0,
            x: 0,
        })
    }

    /// Fills the columns of the next pixels, and gives the sum of the codes of each. Columns past the last pixel hold those of it.
    pub(super) fn fill(&mut self, blocks: &impl Blocks, columns: &mut [u32]) -> [i32; COLUMNS] {
        let mut pixels = [(0, 0); COLUMNS];
        let mut all_inside = true;
        for pixel in &mut pixels {
            *pixel = (self.y.min(self.conv.output.height - 1), self.x);
            all_inside &= self.inside[0].contains(&pixel.0) & self.inside[1].contains(&pixel.1);
            self.x += 1;
            if self.x >= self.conv.output.width {
                (self.x, self.y) = (0, self.y + 1);
            }
        }
        let mut totals = [0; COLUMNS];
        match (self.by_words, all_inside) {
            (true, true) => self.fill_inside(blocks, pixels, columns, &mut totals),
            (true, false) => self.fill_border(blocks, pixels, columns, &mut totals),
            _ => self.fill_codes(pixels, columns, &mut totals),
        }
        totals
    }

    /// Codes of the group from an input pixel on.
    fn codes(&self, y: usize, x: usize) -> &'a [u8] {
        let pixel = self.input.codes.get((y * self.conv.input.width + x) * self.pixel_bytes..).unwrap_or_default();
        bytes_from(self.input.bits, pixel, self.first_channel).unwrap_or_default()
    }

    /// Every tap is in the image.
    fn fill_inside(&self, blocks: &impl Blocks, pixels: [(usize, usize); COLUMNS], columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let window = self.conv.window;
        let from = pixels.map(|(y, x)| self.codes(y * window.stride[0] - window.pad[0], x * window.stride[1] - window.pad[1]));
        // The dilation of a kernel of one row is bounded by nothing, and not used.
        let stride = window.dilation[0].wrapping_mul(self.conv.input.width * self.pixel_bytes);
        if self.taps_join {
            let run = Run { bits: self.input.bits, from, rows: window.kernel[0], stride, quads: window.kernel[1] * self.quads };
            return blocks.widen(&run, columns, totals);
        }
        let mut taps = columns.chunks_exact_mut((self.quads * 2 * COLUMNS).max(1));
        for ky in 0..window.kernel[0] {
            for kx in 0..window.kernel[1] {
                let begin = ky.wrapping_mul(stride).wrapping_add(kx.wrapping_mul(window.dilation[1]).wrapping_mul(self.pixel_bytes));
                let from = from.map(|codes| codes.get(begin..).unwrap_or_default());
                let Some(columns) = taps.next() else { return };
                blocks.widen(&Run { bits: self.input.bits, from, rows: 1, stride: 0, quads: self.quads }, columns, totals);
            }
        }
    }

    /// Tap by tap, with padding.
    fn fill_border(&self, blocks: &impl Blocks, pixels: [(usize, usize); COLUMNS], columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (window, image) = (self.conv.window, self.conv.input);
        let mut taps = columns.chunks_exact_mut((self.quads * 2 * COLUMNS).max(1));
        for ky in 0..window.kernel[0] {
            let rows = pixels.map(|(y, _)| window.position(0, y, ky, image.height));
            for kx in 0..window.kernel[1] {
                let mut from = [self.border; COLUMNS];
                for ((from, row), (_, x)) in from.iter_mut().zip(rows).zip(pixels) {
                    if let (Some(row), Some(column)) = (row, window.position(1, x, kx, image.width)) {
                        *from = self.codes(row, column);
                    }
                }
                let Some(columns) = taps.next() else { return };
                blocks.widen(&Run { bits: self.input.bits, from, rows: 1, stride: 0, quads: self.quads }, columns, totals);
            }
        }
    }

    /// Code by code.
    #[inline(never)]
    fn fill_codes(&self, pixels: [(usize, usize); COLUMNS], columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (window, image, inputs) = (self.conv.window, self.conv.input, self.conv.group_inputs());
        columns.fill(0);
        for (index, ((y, x), total)) in pixels.into_iter().zip(totals).enumerate() {
            let mut place = 0;
            for ky in 0..window.kernel[0] {
                let row = window.position(0, y, ky, image.height);
                for kx in 0..window.kernel[1] {
                    let from = row.zip(window.position(1, x, kx, image.width));
                    let pixel = from.map(|(y, x)| pack::row(self.input.codes, self.pixel_bytes, y * image.width + x));
                    for channel in self.first_channel..self.first_channel + inputs {
                        let code = pixel.map_or(self.input.zero_point, |pixel| pack::code(pixel, self.input.bits, channel));
                        *total = total.wrapping_add(code);
                        if let Some(word) = columns.get_mut((place / 4 * 2 + place % 2) * COLUMNS + index) {
                            *word |= u32::from(code as u16) << (place / 2 % 2 * 16);
                        }
                        place += 1;
                    }
                }
            }
        }
    }
}

/// Output positions along an axis whose windows lie inside the image.
fn inside(conv: &Conv<'_>, axis: usize, extent: usize) -> Range<usize> {
    let window = conv.window;
    let stride = window.stride[axis].max(1);
    let span = (window.kernel[axis] - 1).saturating_mul(window.dilation[axis]).saturating_add(1);
    let last = extent.saturating_add(window.pad[axis]).checked_sub(span);
    window.pad[axis].div_ceil(stride)..last.map_or(0, |last| last / stride + 1)
}
