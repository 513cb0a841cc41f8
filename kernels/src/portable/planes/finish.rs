//! Output channels of a strip of rows.

use super::TOGETHER;
use super::blocks::{Blocks, To};
use super::program::{End, Run};
use super::span::{BLOCK_MAX, Span, Spans};
use crate::{ActivationBits, Conv, pack, requant};

pub(super) struct Channels<'a, B> {
    pub(super) blocks: &'a B,
    pub(super) conv: &'a Conv<'a>,
    pub(super) run: Run<'a>,
    /// The planes, from the first channel's on.
    pub(super) planes: &'a [u32],
    pub(super) spans: &'a Spans,
    /// The first output channel.
    pub(super) index: usize,
}

impl<B: Blocks> Channels<'_, B> {
    /// `output` begins with the strip, and has the rows below it.
    pub(super) fn run(&self, kept: &mut [u32], output: &mut [u8]) {
        if self.run.end != End::Codes {
            for span in self.spans.large.iter().flatten() {
                self.words(span, kept, output);
            }
            return;
        }
        if self.conv.stage.bits.bits() < 6 {
            return self.packed(kept, output);
        }
        if let Some((span, last)) = &self.spans.beyond {
            self.beyond(span, *last, output);
        }
        for span in self.spans.inside.iter().flatten() {
            self.codes(span, output);
        }
    }

    /// The planes from a span's first word in that row on.
    fn pairs(&self, span: &Span, row: usize) -> &[u32] {
        self.planes.get(self.run.layout().offset(span.start) + row * span.row_words()..).unwrap_or_default()
    }

    /// Codes of 8 bits, straight to the output.
    fn codes(&self, span: &Span, output: &mut [u8]) {
        let channels = self.conv.output.channels;
        let to = To { step: channels, row_step: self.conv.output.width * channels };
        let codes = output.get_mut(span.start * channels + self.index..).unwrap_or_default();
        self.blocks.codes(&self.run, span, self.pairs(span, 0), codes, to);
    }

    /// As [`codes`](Self::codes), of a column that passes the right border; the last rows go by way of another place.
    #[inline(never)]
    fn beyond(&self, span: &Span, last: usize, output: &mut [u8]) {
        let (channels, width) = (self.conv.output.channels, self.conv.output.width);
        let rows = span.rows() - last;
        if rows > 0 {
            self.codes(&span.with_rows(rows), output);
        }
        let span = span.with_rows(1);
        for row in rows..rows + last {
            let mut codes = [[0; TOGETHER]; BLOCK_MAX];
            let to = To { step: TOGETHER, row_step: TOGETHER * BLOCK_MAX };
            self.blocks.codes(&self.run, &span, self.pairs(&span, row), codes.as_flattened_mut(), to);
            let pixels = output.get_mut((row * width + span.start) * channels..).unwrap_or_default();
            for (pixel, codes) in pixels.chunks_exact_mut(channels.max(1)).zip(&codes).take(span.left) {
                let pixel = pixel.iter_mut().skip(self.index).take(self.run.channels);
                for (to, &code) in pixel.zip(codes) {
                    *to = code;
                }
            }
        }
    }

    /// Codes of 2 and 4 bits, by way of a word for the codes of each pixel.
    #[inline(never)]
    fn packed(&self, kept: &mut [u32], output: &mut [u8]) {
        let (codes, extent, width) = (self.conv.stage.codes(), self.run.layout().extent.max(1), self.conv.output.width);
        let pixel_bytes = self.conv.output.pixel_bytes(codes.bits).max(1);
        let first_byte = pack::row_bytes(codes.bits, self.index);
        // What is written of a pixel, and of the word.
        let bytes = pack::row_bytes(codes.bits, self.run.channels);
        let mask = u32::MAX >> (8 * (TOGETHER - self.run.channels.min(TOGETHER)));
        // A channel alone shares its byte with others.
        let whole = self.index.is_multiple_of(TOGETHER)
            && (self.run.channels == TOGETHER || self.index + self.run.channels == self.conv.output.channels);
        let together = kept.len() / extent;
        let to = To { step: TOGETHER, row_step: TOGETHER * extent };
        for first in (0..self.spans.rows).step_by(together.max(1)) {
            let rows = together.min(self.spans.rows - first);
            let beyond = self.spans.beyond.as_ref().map(|(span, _)| span);
            for span in self.spans.inside.iter().flatten().chain(beyond) {
                let codes = bytemuck::cast_slice_mut(kept).get_mut(TOGETHER * span.start..).unwrap_or_default();
                self.blocks.codes(&self.run, &span.with_rows(rows), self.pairs(span, first), codes, to);
            }
            self.blocks.clamp(bytemuck::cast_slice_mut(kept), codes.lo as u8, codes.hi as u8);
            let pixels = output.get_mut(first * width * pixel_bytes..).unwrap_or_default().chunks_exact_mut((width * pixel_bytes).max(1));
            for (words, row) in kept.chunks_exact(extent).zip(pixels).take(rows) {
                for (&word, pixel) in words.iter().zip(row.chunks_exact_mut(pixel_bytes)) {
                    let word = u32::from_le(word) & mask;
                    if !whole {
                        pack::set_code(pixel, codes.bits, self.index, (word & 255) as i32);
                        continue;
                    }
                    let twos = word | word >> (8 - codes.bits.bits());
                    let packed = if codes.bits == ActivationBits::A4 { twos & 255 | twos >> 8 & 0xff00 } else { (twos | twos >> 12) & 255 };
                    let to = pixel.iter_mut().skip(first_byte).take(bytes);
                    for (to, byte) in to.zip(packed.to_le_bytes()) {
                        *to = byte;
                    }
                }
            }
        }
    }

    /// Codes of any width, by way of words, of one channel.
    #[inline(never)]
    fn words(&self, span: &Span, kept: &mut [u32], output: &mut [u8]) {
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits);
        let row_bytes = self.conv.output.width * pixel_bytes;
        let together = kept.len() / BLOCK_MAX;
        for span in (0..span.columns()).map(|index| span.column(index)) {
            let (start, left) = (span.start, span.left.min(BLOCK_MAX));
            for first in (0..span.rows()).step_by(together.max(1)) {
                let part = span.with_rows(together.min(span.rows() - first));
                self.blocks.words(&self.run, &part, self.pairs(&span, first), kept);
                for (row, words) in (first..first + part.rows()).zip(kept.as_chunks::<BLOCK_MAX>().0) {
                    let pixels = output.get_mut(row * row_bytes + start * pixel_bytes..).unwrap_or_default();
                    self.row(words.get(..left).unwrap_or_default(), pixels, pixel_bytes);
                }
            }
        }
    }

    /// The codes of neighbours.
    #[inline]
    fn row(&self, words: &[u32], pixels: &mut [u8], pixel_bytes: usize) {
        let codes = self.conv.stage.codes();
        if self.run.end == End::Sums {
            return self.slow_row(words, pixels, pixel_bytes);
        }
        for (index, &word) in words.iter().enumerate() {
            let at = index * pixel_bytes + size_of::<i16>() * self.index;
            if let Some(to) = pixels.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *to = ((word as i32).max(codes.lo).min(codes.hi) as i16).to_le_bytes();
            }
        }
    }

    /// As [`row`](Self::row), from sums.
    #[inline(never)]
    fn slow_row(&self, words: &[u32], pixels: &mut [u8], pixel_bytes: usize) {
        let codes = self.conv.stage.codes();
        if let Some((_, multiplier, shift)) = self.conv.stage.channel(self.index) {
            for (&word, pixel) in words.iter().zip(pixels.chunks_mut(pixel_bytes.max(1))) {
                let code = codes.code(requant::requantize_i32(word as i32, multiplier, shift));
                pack::set_code(pixel, codes.bits, self.index, code);
            }
        }
    }
}
