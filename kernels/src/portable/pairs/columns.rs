//! Columns of three output pixels, widened to 16 bits and interleaved.

use super::blocks::{Blocks, Run};
use crate::portable::columns::rows_join;
use crate::{ActivationBits, Activations, Conv, pack};
use core::ops::Range;

/// Columns of a block.
pub(crate) const COLUMNS: usize = 3;

/// How the codes of a column are collected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From where they lie: every tap is whole groups of four codes that begin at a byte.
    Words,
    /// From a copy, in which the taps follow one another: bytes.
    Copy,
    /// One by one.
    Codes,
}

impl Way {
    fn new(conv: &Conv<'_>, bits: ActivationBits) -> Self {
        let inputs = conv.group_inputs();
        if inputs.is_multiple_of(4) && (conv.groups == 1 || rows_join(bits, inputs)) {
            Self::Words
        } else if conv.groups == 1 && conv.window.dilation[1] == 1 && matches!(bits, ActivationBits::A6 | ActivationBits::A8) {
            Self::Copy
        } else {
            Self::Codes
        }
    }
}

/// Taps that are neighbours in the row of the kernel are neighbours in memory.
fn taps_join(conv: &Conv<'_>, bits: ActivationBits) -> bool {
    conv.groups == 1 && conv.window.dilation[1] == 1 && rows_join(bits, conv.group_inputs())
}

/// Bytes of scratch behind the columns: padding, and copies.
pub(super) fn extra_bytes(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    match Way::new(conv, bits) {
        // A window of one tap and no padding meets none; what is padded behind the last pixel is not told apart here.
        Way::Words if conv.window.kernel == [1, 1] && conv.window.pad == [0, 0] && fits(conv) => 0,
        // A row of taps of padding, and one for each column.
        Way::Words if taps_join(conv, bits) => (1 + COLUMNS) * pack::row_bytes(bits, conv.group_inputs()) * conv.window.kernel[1],
        Way::Words => pack::row_bytes(bits, conv.group_inputs()),
        Way::Copy => COLUMNS * copy_bytes(conv),
        Way::Codes => 0,
    }
}

/// A copy of a column, and room for a word that is copied whole.
fn copy_bytes(conv: &Conv<'_>) -> usize {
    conv.row_len().next_multiple_of(4) + 4
}

/// Whether no window reaches past the image.
fn fits(conv: &Conv<'_>) -> bool {
    inside(conv, 0, conv.input.height) == (0..conv.output.height) && inside(conv, 1, conv.input.width) == (0..conv.output.width)
}

/// Fills the columns of one block after the other.
pub(super) struct Packer<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    first_channel: usize,
    pixel_bytes: usize,
    row_bytes: usize,
    way: Way,
    /// Groups of four codes of a tap, and of a row of taps.
    quads: usize,
    row_quads: usize,
    taps_join: bool,
    /// Bytes from one row of taps to the next. The dilation of a kernel of one row is bounded by nothing, and not used.
    tap_stride: usize,
    /// Padding, or copies.
    extra: &'a mut [u8],
    /// Bytes of a copy, and groups of four codes in it.
    copy_bytes: usize,
    copy_quads: usize,
    /// Output rows and columns whose windows lie inside the image.
    inside: [Range<usize>; 2],
    /// The next output pixel.
    y: usize,
    x: usize,
}

type Pixels = [(usize, usize); COLUMNS];

impl<'a> Packer<'a> {
    pub(super) fn new(conv: &'a Conv<'a>, input: Activations<'a>, group: usize, extra: &'a mut [u8]) -> Option<Self> {
        let inputs = conv.group_inputs();
        let (way, pixel_bytes) = (Way::new(conv, input.bits), conv.input.pixel_bytes(input.bits));
        if way == Way::Words {
            for tap in extra.chunks_exact_mut(pack::row_bytes(input.bits, inputs).max(1)) {
                (0..inputs).for_each(|index| pack::set_code(tap, input.bits, index, input.zero_point));
            }
        }
        Some(Self {
            conv,
            input,
            first_channel: group.checked_mul(inputs)?,
            pixel_bytes,
            row_bytes: conv.input.width.wrapping_mul(pixel_bytes),
            way,
            quads: inputs / 4,
            row_quads: inputs / 4 * conv.window.kernel[1],
            tap_stride: conv.window.dilation[0].wrapping_mul(conv.input.width.wrapping_mul(pixel_bytes)),
            taps_join: taps_join(conv, input.bits),
            extra,
            copy_bytes: copy_bytes(conv).max(1),
            copy_quads: conv.row_len().div_ceil(4),
            inside: [inside(conv, 0, conv.input.height), inside(conv, 1, conv.input.width)],
            y: 0,
            x: 0,
        })
    }

    /// Fills the columns of the next pixels, and gives the sum of the codes of each. Columns past the last pixel hold anything.
    #[inline]
    pub(super) fn fill(&mut self, blocks: impl Blocks, columns: &mut [u32]) -> [i32; COLUMNS] {
        let (y, x, mut totals) = (self.y, self.x, [0; COLUMNS]);
        let last = x + COLUMNS - 1;
        let in_row = self.inside[0].contains(&y) && self.inside[1].start <= x && last < self.inside[1].end;
        if self.way == Way::Codes || !in_row {
            self.fill_any(blocks, columns, &mut totals);
            return totals;
        }
        // The common case: neighbours in one row, inside the image.
        self.x = x + COLUMNS;
        if self.x >= self.conv.output.width {
            (self.x, self.y) = (0, y + 1);
        }
        let (begin, step) = (self.first_tap(y, x), self.conv.window.stride[1] * self.pixel_bytes);
        let from = [begin, begin + step, begin + 2 * step].map(|begin| self.input.codes.get(begin..).unwrap_or_default());
        if self.way == Way::Words {
            self.fill_inside(blocks, from, columns, &mut totals);
        } else {
            let mut extra = &mut *self.extra;
            for from in from {
                let Some((copy, others)) = core::mem::take(&mut extra).split_at_mut_checked(self.copy_bytes) else { break };
                gather(blocks, self.conv, from, copy);
                extra = others;
            }
            self.widen_copies(blocks, columns, &mut totals);
        }
        totals
    }

    #[inline(never)]
    fn fill_any(&mut self, blocks: impl Blocks, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (height, width) = (self.conv.output.height, self.conv.output.width);
        let (mut pixels, mut all_inside) = ([(0, 0); COLUMNS], true);
        for pixel in &mut pixels {
            *pixel = (self.y.min(height.saturating_sub(1)), self.x);
            all_inside &= self.is_inside(*pixel);
            self.x += 1;
            if self.x >= width {
                (self.x, self.y) = (0, self.y + 1);
            }
        }
        match self.way {
            Way::Words if all_inside => {
                let from = pixels.map(|(y, x)| self.input.codes.get(self.first_tap(y, x)..).unwrap_or_default());
                self.fill_inside(blocks, from, columns, totals);
            }
            Way::Words if self.taps_join => self.fill_rows(blocks, pixels, columns, totals),
            Way::Words => self.fill_border(blocks, pixels, columns, totals),
            Way::Copy => self.fill_copy(blocks, pixels, columns, totals),
            Way::Codes => self.fill_codes(pixels, columns, totals),
        }
    }

    fn is_inside(&self, (y, x): (usize, usize)) -> bool {
        self.inside[0].contains(&y) & self.inside[1].contains(&x)
    }

    /// Byte of the group's first code at an input pixel.
    fn byte(&self, y: usize, x: usize) -> usize {
        y * self.row_bytes + x * self.pixel_bytes + pack::row_bytes(self.input.bits, self.first_channel)
    }

    /// As [`Self::byte`], of the first tap of a window that lies inside.
    fn first_tap(&self, y: usize, x: usize) -> usize {
        let window = &self.conv.window;
        self.byte(y * window.stride[0] - window.pad[0], x * window.stride[1] - window.pad[1])
    }

    fn run<'r>(&self, from: [&'r [u8]; COLUMNS], quads: usize) -> Run<'r> {
        Run { bits: self.input.bits, from, rows: 1, stride: 0, quads, bytes: pack::row_bytes(self.input.bits, 4 * quads) }
    }

    /// Every tap is in the image.
    #[inline]
    fn fill_inside(&self, blocks: impl Blocks, from: [&[u8]; COLUMNS], columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        if self.taps_join {
            let rows = self.conv.window.kernel[0];
            let columns = columns.get_mut(..self.row_quads * rows * 2 * COLUMNS).unwrap_or_default();
            blocks.widen(&Run { rows, stride: self.tap_stride, ..self.run(from, self.row_quads) }, columns, totals);
        } else {
            self.fill_taps(blocks, from, columns, totals);
        }
    }

    #[inline(never)]
    fn fill_taps(&self, blocks: impl Blocks, from: [&[u8]; COLUMNS], columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let window = &self.conv.window;
        let mut taps = columns.chunks_exact_mut((self.quads * 2 * COLUMNS).max(1));
        for ky in 0..window.kernel[0] {
            for kx in 0..window.kernel[1] {
                let x = kx.wrapping_mul(window.dilation[1]).wrapping_mul(self.pixel_bytes);
                let begin = ky.wrapping_mul(self.tap_stride).wrapping_add(x);
                let from = from.map(|codes| codes.get(begin..).unwrap_or_default());
                let Some(columns) = taps.next() else { return };
                blocks.widen(&self.run(from, self.quads), columns, totals);
            }
        }
    }

    /// With padding, where rows of taps lie together: those that cross an edge are put together in a copy.
    fn fill_rows(&mut self, blocks: impl Blocks, pixels: Pixels, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (window, image) = (&self.conv.window, self.conv.input);
        let tap_bytes = pack::row_bytes(self.input.bits, image.channels);
        let row_bytes = tap_bytes * window.kernel[1];
        let taps = pixels.map(|(_, x)| window.taps_inside(1, x, image.width));
        let mut runs = columns.chunks_exact_mut((self.row_quads * 2 * COLUMNS).max(1));
        for ky in 0..window.kernel[0] {
            let mut begins = [usize::MAX; COLUMNS];
            let (padding, mut copies) = self.extra.split_at_mut_checked(row_bytes).unwrap_or_default();
            for ((begin, (y, x)), taps) in begins.iter_mut().zip(pixels).zip(&taps) {
                let (copy, others) = core::mem::take(&mut copies).split_at_mut_checked(row_bytes).unwrap_or_default();
                copies = others;
                let Some(y) = window.position(0, y, ky, image.height).filter(|_| !taps.is_empty()) else { continue };
                let from_x = (x * window.stride[1] + taps.start).saturating_sub(window.pad[1]);
                let from = y * self.row_bytes + from_x * self.pixel_bytes;
                *begin = from;
                if taps.len() != window.kernel[1] {
                    let inside = taps.start * tap_bytes..taps.end * tap_bytes;
                    crate::pack::copy(copy, padding);
                    let codes = self.input.codes.get(from..).and_then(|codes| codes.get(..inside.len()));
                    if let Some((to, codes)) = copy.get_mut(inside).zip(codes) {
                        crate::pack::copy(to, codes);
                    }
                }
            }
            let mut from = [&[][..]; COLUMNS];
            for (index, ((from, begin), taps)) in from.iter_mut().zip(begins).zip(&taps).enumerate() {
                let copied = match begin {
                    usize::MAX => Some(0),
                    _ if taps.len() != window.kernel[1] => Some((1 + index) * row_bytes),
                    _ => None,
                };
                *from = match copied {
                    Some(begin) => self.extra.get(begin..),
                    None => self.input.codes.get(begin..),
                }
                .unwrap_or_default();
            }
            let Some(columns) = runs.next() else { return };
            blocks.widen(&self.run(from, self.row_quads), columns, totals);
        }
    }

    /// With padding, tap by tap.
    fn fill_border(&self, blocks: impl Blocks, pixels: Pixels, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (window, image, border) = (&self.conv.window, self.conv.input, &*self.extra);
        let mut taps = columns.chunks_exact_mut((self.quads * 2 * COLUMNS).max(1));
        for ky in 0..window.kernel[0] {
            let ys = pixels.map(|(y, _)| window.position(0, y, ky, image.height));
            for kx in 0..window.kernel[1] {
                let mut from = [border; COLUMNS];
                for ((from, y), (_, x)) in from.iter_mut().zip(ys).zip(pixels) {
                    if let (Some(y), Some(x)) = (y, window.position(1, x, kx, image.width)) {
                        *from = self.input.codes.get(self.byte(y, x)..).unwrap_or_default();
                    }
                }
                let Some(columns) = taps.next() else { return };
                blocks.widen(&self.run(from, self.quads), columns, totals);
            }
        }
    }

    /// By way of copies, which follow one another in `extra`.
    fn fill_copy(&mut self, blocks: impl Blocks, pixels: Pixels, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (window, image, codes) = (&self.conv.window, self.conv.input, self.input.codes);
        let inputs = image.channels;
        let inside = pixels.map(|pixel| if self.is_inside(pixel) { self.first_tap(pixel.0, pixel.1) } else { usize::MAX });
        for ((copy, (y, x)), begin) in self.extra.chunks_exact_mut(self.copy_bytes.max(1)).zip(pixels).zip(inside) {
            if let Some(codes) = codes.get(begin..) {
                gather(blocks, self.conv, codes, copy);
                continue;
            }
            let mut taps = copy.chunks_exact_mut(inputs.max(1));
            for ky in 0..window.kernel[0] {
                let row = window.position(0, y, ky, image.height);
                for (kx, tap) in (0..window.kernel[1]).zip(&mut taps) {
                    let at = row.zip(window.position(1, x, kx, image.width)).map(|(y, x)| (y * image.width + x) * inputs);
                    match at {
                        Some(at) => tap.iter_mut().zip(codes.get(at..).unwrap_or_default()).for_each(|(to, from)| *to = *from),
                        None => tap.fill(self.input.zero_point as u8),
                    }
                }
            }
        }
        self.widen_copies(blocks, columns, totals);
    }

    fn widen_copies(&mut self, blocks: impl Blocks, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (bytes, quads) = (self.copy_bytes, self.copy_quads);
        // Whatever weights meet them.
        for place in self.conv.row_len()..4 * quads {
            for copy in 0..COLUMNS {
                if let Some(code) = self.extra.get_mut(copy * bytes + place) {
                    *code = 0;
                }
            }
        }
        let from = [0, bytes, 2 * bytes].map(|begin| self.extra.get(begin..).unwrap_or_default());
        let columns = columns.get_mut(..quads * 2 * COLUMNS).unwrap_or_default();
        blocks.widen(&self.run(from, quads), columns, totals);
    }

    /// Code by code.
    #[inline(never)]
    fn fill_codes(&self, pixels: Pixels, columns: &mut [u32], totals: &mut [i32; COLUMNS]) {
        let (window, image, inputs) = (&self.conv.window, self.conv.input, self.conv.group_inputs());
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

/// Copies the rows of taps of a window that lies inside the image and begins at `from`.
#[inline]
fn gather(blocks: impl Blocks, conv: &Conv<'_>, from: &[u8], copy: &mut [u8]) {
    let (window, image) = (&conv.window, conv.input);
    let stride = window.dilation[0].wrapping_mul(image.width.wrapping_mul(image.channels));
    blocks.gather(from, window.kernel[0], stride, window.kernel[1] * image.channels, copy);
}

/// Output positions along an axis whose windows lie inside the image.
fn inside(conv: &Conv<'_>, axis: usize, extent: usize) -> Range<usize> {
    let (window, outputs) = (&conv.window, [conv.output.height, conv.output.width]);
    let stride = window.stride[axis].max(1);
    let span = (window.kernel[axis] - 1).saturating_mul(window.dilation[axis]).saturating_add(1);
    let last = extent.saturating_add(window.pad[axis]).checked_sub(span);
    window.pad[axis].div_ceil(stride)..last.map_or(0, |last| last / stride + 1).min(outputs[axis])
}
