//! Depthwise convolution of 64 channels at a time.
//!
//! Unpacking interleaves the codes of four taps, so that one instruction multiplies and adds them for 16 channels. It
//! does so within lanes of 128 bits: vector `v` of four holds, in lane `l`, channels `16 l + 4 v ..`. Packing the codes
//! together again undoes that.

use core::arch::x86_64::*;
use core::array;
use core::ops::Range;

use super::load;
use super::stage::{Codes, Stage};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack};

/// Channels of a block.
const BLOCK: usize = 64;

/// Most taps of a window, in fours.
const FOURS: usize = 16;

/// Whether this kernel is the one for that convolution.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels
        && conv.groups == conv.output.channels
        && conv.accumulator == Accumulator::I32
        && conv.window.taps() <= 4 * FOURS
}

/// For checked parameters to which the kernel [`applies`]; input codes of 8 bits or fewer.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8]) {
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    let codes = Codes::new(conv.stage.codes());
    for first in (0..conv.groups).step_by(BLOCK) {
        let block = Block::new(conv, input, first);
        for (y, row) in output.chunks_exact_mut(pixel_bytes * conv.output.width.max(1)).enumerate() {
            let inside = block.inside(y);
            for (x, pixel) in row.chunks_exact_mut(pixel_bytes).enumerate() {
                let window = if inside.contains(&x) { block.window(y, x) } else { None };
                let sums = match window {
                    Some(window) => block.accumulate(|tap| block.load_inside(window, tap)),
                    None => block.accumulate(|tap| block.load(y, x, tap)),
                };
                let done = array::from_fn(|vector| block.stages[vector].codes(sums[vector], &codes));
                codes.write64(done, pixel, first, block.count);
            }
        }
    }
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(pixel_bytes) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
}

/// What is the same at every pixel for 64 channels.
struct Block<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    first: usize,
    count: usize,
    weights: [[__m512i; 4]; FOURS],
    stages: [Stage; 4],
    /// From the first tap's code to each tap's, for a window inside the image.
    offsets: [usize; 4 * FOURS],
    /// From the first tap's first code to the end of the last tap's. Every offset is at least `count` below.
    span: usize,
}

impl<'a> Block<'a> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn new(conv: &'a Conv<'a>, input: Activations<'a>, first: usize) -> Self {
        let (taps, count) = (conv.window.taps(), (conv.groups - first).min(BLOCK));
        let row_bytes = pack::weight_row_bytes(conv.weight_bits, taps);
        let mut by_tap = [[0u8; BLOCK]; 4 * FOURS];
        for channel in 0..count {
            let row = pack::row(conv.weights, row_bytes, first + channel);
            for (tap, weights) in by_tap.iter_mut().enumerate().take(taps) {
                weights[channel] = pack::weight(row, conv.weight_bits, tap) as u8;
            }
        }
        let mut weights = [[_mm512_setzero_si512(); 4]; FOURS];
        for (to, four) in weights.iter_mut().zip(by_tap.as_chunks::<4>().0).take(taps.div_ceil(4)) {
            let [a, b, c, d] = four.each_ref().map(|weights| load::bytes(weights));
            *to = interleave(a, b, c, d);
        }
        let stages =
            array::from_fn(|vector| Stage::new(&conv.stage, first + count, |lane| first + 16 * (lane / 4) + 4 * vector + lane % 4));
        let mut offsets = [0; 4 * FOURS];
        let ([_, taps_x], [down, right]) = (conv.window.kernel, conv.window.dilation);
        let mut span = count;
        for (tap, offset) in offsets.iter_mut().enumerate().take(taps) {
            // No overflow that matters: a window that is larger than the image is never inside it.
            let pixels = (tap / taps_x).saturating_mul(down).saturating_mul(conv.input.width);
            let pixels = pixels.saturating_add((tap % taps_x).saturating_mul(right));
            *offset = pixels.saturating_mul(conv.input.channels);
            span = span.max(offset.saturating_add(count));
        }
        Self { conv, input, first, count, weights, stages, offsets, span }
    }

    /// The output columns of row `y` whose windows lie inside the image; none where codes are not bytes.
    fn inside(&self, y: usize) -> Range<usize> {
        let (window, image) = (self.conv.window, self.conv.input);
        let whole = window.taps_inside(0, y, image.height) == (0..window.kernel[0]);
        if !whole || !matches!(self.input.bits, ActivationBits::A6 | ActivationBits::A8) {
            return 0..0;
        }
        let reach = (window.kernel[1] - 1) * window.dilation[1];
        let fit = (window.pad[1] + image.width).saturating_sub(reach);
        window.pad[1].div_ceil(window.stride[1])..fit.div_ceil(window.stride[1])
    }

    /// The codes from the first tap's on to the last one's, for a window inside the image.
    #[inline]
    fn window(&self, y: usize, x: usize) -> Option<&'a [u8]> {
        let (window, image) = (self.conv.window, self.conv.input);
        let from_y = (y * window.stride[0]).checked_sub(window.pad[0])?;
        let from_x = (x * window.stride[1]).checked_sub(window.pad[1])?;
        let begin = (from_y * image.width + from_x) * image.channels + self.first;
        self.input.codes.get(begin..begin.checked_add(self.span)?)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn load_inside(&self, window: &[u8], tap: usize) -> __m512i {
        debug_assert!(window.len() == self.span && self.offsets[tap] + self.count <= self.span);
        // SAFETY: the window has `span` bytes, which is at least `count` more than any offset, and no more are read.
        unsafe { _mm512_maskz_loadu_epi8(load::mask64(self.count), window.as_ptr().add(self.offsets[tap]).cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn load(&self, y: usize, x: usize, tap: usize) -> __m512i {
        let (window, image, bits) = (self.conv.window, self.conv.input, self.input.bits);
        let (ky, kx) = (tap / window.kernel[1], tap % window.kernel[1]);
        match window.position(0, y, ky, image.height).zip(window.position(1, x, kx, image.width)) {
            Some((y, x)) => {
                let pixel = pack::row(self.input.codes, image.pixel_bytes(bits), y * image.width + x);
                load::codes64(bits, pixel, self.first, self.count)
            }
            None => _mm512_set1_epi8(self.input.zero_point as i8),
        }
    }

    /// The sums of 64 channels, interleaved; `codes` gives those that a tap reads.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn accumulate(&self, codes: impl Fn(usize) -> __m512i) -> [__m512i; 4] {
        let mut sums = self.stages.each_ref().map(|stage| stage.bias);
        let taps = self.conv.window.taps();
        let mut add = |four: usize, codes: [__m512i; 4]| {
            for ((sum, codes), &weights) in sums.iter_mut().zip(codes).zip(&self.weights[four]) {
                *sum = _mm512_dpbusd_epi32(*sum, codes, weights);
            }
        };
        let fours = taps / 4;
        for four in 0..fours {
            let tap = 4 * four;
            add(four, interleave(codes(tap), codes(tap + 1), codes(tap + 2), codes(tap + 3)));
        }
        // Weights past the last tap are 0.
        let tap = 4 * fours;
        match taps - tap {
            0 => {}
            1 => {
                let a = codes(tap);
                add(fours, interleave(a, a, a, a));
            }
            2 => {
                let (a, b) = (codes(tap), codes(tap + 1));
                add(fours, interleave(a, b, a, b));
            }
            _ => {
                let (a, b, c) = (codes(tap), codes(tap + 1), codes(tap + 2));
                add(fours, interleave(a, b, c, c));
            }
        }
        sums
    }
}

/// Bytes of four vectors side by side, in the order that the top of this file describes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn interleave(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
    let (ab_high, cd_high) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
    [
        _mm512_unpacklo_epi16(ab, cd),
        _mm512_unpackhi_epi16(ab, cd),
        _mm512_unpacklo_epi16(ab_high, cd_high),
        _mm512_unpackhi_epi16(ab_high, cd_high),
    ]
}
