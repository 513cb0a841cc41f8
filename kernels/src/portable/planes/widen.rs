//! From packed codes to planes.

use super::TOGETHER;
use super::layout::{Layout, Order};
use crate::portable::columns::unpack_from;
use crate::{ActivationBits, Activations, Conv, pack};
use core::ops::Range;

/// Two numbers of 16 bits as a word; the left one is the lower half.
#[inline]
pub(crate) const fn pair(left: i32, right: i32) -> u32 {
    left as u32 & 0xffff | (right as u32) << 16
}

/// The rows of the input that a strip of output rows reads, of four channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widen<'a> {
    conv: &'a Conv<'a>,
    layout: &'a Layout,
    input: Activations<'a>,
    first_channel: usize,
    /// Input rows.
    first_row: usize,
    last_row: usize,
    /// Row of the planes that takes the first of them.
    to_row: usize,
    /// Rows of the planes that the strip reads.
    rows: usize,
}

/// What the rows of dense planes have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// The input from the first row's first pixel and first channel on.
    pub(crate) codes: &'a [u8],
    /// Bytes from a row to the next.
    pub(crate) row_bytes: usize,
    /// Bytes from a pixel to the next.
    pub(crate) pixel_bytes: usize,
    pub(crate) rows: usize,
    /// Pixels of a row that are wanted.
    pub(crate) pixels: usize,
    /// The word in each plane that takes the first pixel.
    pub(crate) first_word: usize,
    /// The first pixel is the right one of its word.
    pub(crate) odd: bool,
    pub(crate) bits: ActivationBits,
    pub(crate) zero_point: i32,
}

impl<'a> Widen<'a> {
    /// What `rows` output rows from row `top` on read.
    pub(crate) fn new(
        conv: &'a Conv<'a>,
        layout: &'a Layout,
        input: Activations<'a>,
        first_channel: usize,
        top: usize,
        rows: usize,
    ) -> Self {
        let (top, pad) = (top * conv.window.stride[0], conv.window.pad[0]);
        let rows = layout.input_rows(rows, conv.window.kernel[0]);
        let first_row = top.saturating_sub(pad).min(conv.input.height);
        let to_row = pad.saturating_sub(top).min(rows);
        let last_row = (first_row + rows - to_row).min(conv.input.height);
        Self { conv, layout, input, first_channel, first_row, last_row, to_row, rows }
    }

    /// Writes the rows above and below the input.
    pub(crate) fn pad(&self, planes: &mut [u32], padding: u32) {
        let pitch = self.layout.pitch;
        let end = self.to_row + self.last_row - self.first_row;
        for plane in planes.chunks_exact_mut(self.layout.plane_words.max(1)) {
            for rows in [0..self.to_row, end..self.rows] {
                let words: Range<usize> = rows.start * pitch..rows.end * pitch;
                plane.get_mut(words).unwrap_or_default().fill(padding);
            }
        }
    }

    /// The rows where words hold neighbours, if all four channels are there.
    pub(crate) fn dense_rows(&self) -> Option<Rows<'a>> {
        let (conv, channels) = (self.conv, self.conv.input.channels);
        if self.layout.order == Order::Gathered || self.first_channel + TOGETHER > channels {
            return None;
        }
        let pad = conv.window.pad[1];
        let pixel_bytes = conv.input.pixel_bytes(self.input.bits);
        let first = pack::row_bytes(self.input.bits, self.first_channel);
        let row_bytes = conv.input.width * pixel_bytes;
        Some(Rows {
            codes: self.input.codes.get(self.first_row * row_bytes + first..)?,
            row_bytes,
            pixel_bytes,
            rows: self.last_row - self.first_row,
            pixels: conv.input.width.min((2 * self.layout.pitch).saturating_sub(pad)),
            first_word: self.to_row * self.layout.pitch + pad.min(2 * self.layout.pitch) / 2,
            odd: pad % 2 == 1,
            bits: self.input.bits,
            zero_point: self.input.zero_point,
        })
    }

    /// Words of a row of a plane, and of a plane.
    pub(crate) fn pitch(&self) -> (usize, usize) {
        (self.layout.pitch, self.layout.plane_words)
    }

    /// Widens, whatever the width and the order.
    #[inline(never)]
    pub(crate) fn run(&self, planes: &mut [u32]) {
        let Some(rows) = self.dense_rows() else {
            return self.any(planes);
        };
        let padding = [pair(rows.zero_point, rows.zero_point); 2];
        let load = |pixel| four(rows.bits, pixel);
        let (pitch, plane_words) = self.pitch();
        let (one, rest) = planes.split_at_mut_checked(plane_words).unwrap_or_default();
        let (two, rest) = rest.split_at_mut_checked(plane_words).unwrap_or_default();
        let (three, four) = rest.split_at_mut_checked(plane_words).unwrap_or_default();
        for row in 0..rows.rows {
            let mut pixels = rows.codes.get(row * rows.row_bytes..).unwrap_or_default().chunks(rows.pixel_bytes.max(1)).take(rows.pixels);
            let mut next = || pixels.next().map(load);
            let first = rows.first_word + row * pitch;
            let words = one.iter_mut().zip(two.iter_mut()).zip(three.iter_mut().zip(four.iter_mut())).skip(first);
            let mut left = if rows.odd { Some(padding) } else { next() };
            for ((one, two), (three, four)) in words {
                let Some([a, b]) = left else {
                    break;
                };
                let [c, d] = next().unwrap_or(padding);
                (*one, *two) = (a & 0xffff | c << 16, a >> 16 | c & 0xffff_0000);
                (*three, *four) = (b & 0xffff | d << 16, b >> 16 | d & 0xffff_0000);
                left = next();
            }
        }
    }

    /// Widens channels that are fewer than four, and what is not in order.
    #[inline(never)]
    fn any(&self, planes: &mut [u32]) {
        let (pitch, [_, taps_x]) = (self.layout.pitch, self.conv.window.kernel);
        let [_, pad] = self.conv.window.pad;
        for (row, y) in (self.to_row..).zip(self.first_row..self.last_row) {
            for word in 0..pitch {
                // The columns of the padded input that the word holds.
                let (left, right) = match self.layout.order {
                    Order::Dense | Order::Halved => (Some(2 * word), Some(2 * word + 1)),
                    Order::Gathered => {
                        let extent = self.layout.extent.max(1);
                        let (tap, out) = (word / extent * 2, word % extent);
                        let column = |tap: usize| {
                            let is_there = tap < taps_x && out < self.conv.output.width;
                            is_there.then(|| out * self.conv.window.stride[1] + tap * self.conv.window.dilation[1])
                        };
                        (column(tap), column(tap + 1))
                    }
                };
                let (left, right) = (self.pixel(y, left, pad), self.pixel(y, right, pad));
                let words = planes.chunks_exact_mut(self.layout.plane_words.max(1)).map(|plane| plane.get_mut(row * pitch + word));
                for (to, (left, right)) in words.zip(left.into_iter().zip(right)) {
                    if let Some(to) = to {
                        *to = pair(i32::from(left), i32::from(right));
                    }
                }
            }
        }
    }

    /// The four channels of a column of the padded input.
    #[inline]
    fn pixel(&self, y: usize, column: Option<usize>, pad: usize) -> [i16; TOGETHER] {
        let mut codes = [self.input.zero_point as i16; TOGETHER];
        let width = self.conv.input.width;
        if let Some(x) = column.and_then(|column| column.checked_sub(pad)).filter(|&x| x < width) {
            let pixel = pack::row(self.input.codes, self.conv.input.pixel_bytes(self.input.bits), y * width + x);
            let left = TOGETHER.min(self.conv.input.channels - self.first_channel);
            if let Some(codes) = codes.get_mut(..left) {
                unpack_from(self.input.bits, pixel, self.first_channel, codes);
            }
        }
        codes
    }
}

/// The first four channels of a pixel, each in half a word.
#[inline]
fn four(bits: ActivationBits, pixel: &[u8]) -> [u32; 2] {
    let word = |bytes: Option<&[u8; 4]>| bytes.map_or(0, |&bytes| u32::from_le_bytes(bytes));
    let (packed, width) = match (bits, pixel) {
        (ActivationBits::A2, &[a, ..]) => (u32::from(a), 2),
        (ActivationBits::A4, &[a, b, ..]) => (u32::from(a) | u32::from(b) << 8, 4),
        (ActivationBits::A16, _) => return [word(pixel.first_chunk()), word(pixel.get(4..).and_then(<[u8]>::first_chunk))],
        _ => (word(pixel.first_chunk()), 8),
    };
    let mask = (1 << width) - 1;
    let code = |index: u32| packed >> (width * index) & mask;
    [code(0) | code(1) << 16, code(2) | code(3) << 16]
}
