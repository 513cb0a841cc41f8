//! Output channels of a strip of rows.

use super::blocks::{Blocks, To};
use super::program::{End, Run};
use super::span::{BLOCK_MAX, Span, Spans};
use super::{TOGETHER, WORDS, WORDS_ROWS};
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
    /// `output` is the strip's.
    pub(super) fn run(&self, kept: &mut [u32; WORDS], output: &mut [u8]) {
        if self.run.end != End::Codes {
            for span in self.spans.large.iter().flatten() {
                self.words(span, kept, output);
            }
            return;
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

    /// Codes of any width, by way of words.
    #[inline(never)]
    fn words(&self, span: &Span, kept: &mut [u32; WORDS], output: &mut [u8]) {
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits);
        let row_bytes = self.conv.output.width * pixel_bytes;
        for span in (0..span.columns()).map(|index| span.column(index)) {
            let (start, left) = (span.start, span.left.min(BLOCK_MAX));
            for first in (0..span.rows()).step_by(WORDS_ROWS) {
                let part = span.with_rows(WORDS_ROWS.min(span.rows() - first));
                self.blocks.words(&self.run, &part, self.pairs(&span, first), kept);
                for (row, words) in (first..first + part.rows()).zip(kept.as_chunks::<BLOCK_MAX>().0) {
                    let pixels = output.get_mut(row * row_bytes + start * pixel_bytes..).unwrap_or_default();
                    self.row(words.get(..left).unwrap_or_default(), pixels, pixel_bytes);
                }
            }
        }
    }

    /// The codes of neighbours.
    fn row(&self, words: &[u32], pixels: &mut [u8], pixel_bytes: usize) {
        let codes = self.conv.stage.codes();
        if self.run.end == End::Sums {
            return self.slow_row(words, pixels, pixel_bytes);
        }
        let clamped = words.iter().map(|&word| (word as i32).max(codes.lo).min(codes.hi));
        let (each, shift, mask) = match codes.bits {
            ActivationBits::A2 => (4, self.index % 4 * 2, 3),
            ActivationBits::A4 => (2, self.index % 2 * 4, 15),
            ActivationBits::A6 | ActivationBits::A8 => (1, 0, 255),
            ActivationBits::A16 => {
                for (code, pixel) in clamped.zip(pixels.chunks_mut(pixel_bytes.max(1))) {
                    pack::set_code(pixel, codes.bits, self.index, code);
                }
                return;
            }
        };
        let bytes = pixels.get_mut(self.index / each..).unwrap_or_default().iter_mut().step_by(pixel_bytes.max(1));
        for (code, byte) in clamped.zip(bytes) {
            *byte = *byte & !(mask << shift) | (code as u8) << shift;
        }
    }

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
