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
            if block.is_fast(&codes) {
                match conv.window.taps() {
                    9 => block.row::<9>(y, inside, &codes, row),
                    25 => block.row::<25>(y, inside, &codes, row),
                    _ => block.row::<0>(y, inside, &codes, row),
                }
                continue;
            }
            for (x, pixel) in row.chunks_exact_mut(pixel_bytes).enumerate() {
                let sums = block.accumulate(conv.window.taps(), |tap| block.load(y, x, tap));
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
    /// Neighbouring pixels that fill a vector between them, where one has few channels and windows are neighbours too.
    together: usize,
    weights: [[__m512i; 4]; FOURS],
    stages: [Stage; 4],
    pixel_bytes: usize,
    /// Rows and columns of the input from the first tap to each.
    steps: [[usize; 2]; 4 * FOURS],
    /// From the first tap's code to each tap's, for a window inside the image.
    offsets: [usize; 4 * FOURS],
    /// From the first tap's first code to the end of the last tap's: every offset is at least `count * together` below.
    span: usize,
}

impl<'a> Block<'a> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn new(conv: &'a Conv<'a>, input: Activations<'a>, first: usize) -> Self {
        let (taps, count) = (conv.window.taps(), (conv.groups - first).min(BLOCK));
        let row_bytes = pack::weight_row_bytes(conv.weight_bits, taps);
        let mut by_tap = [[0u8; BLOCK]; 4 * FOURS];
        let neighbours = conv.window.stride[1] == 1 && conv.groups <= BLOCK / 2 && BLOCK.is_multiple_of(conv.groups);
        let together = if neighbours { BLOCK / conv.groups } else { 1 };
        for place in 0..count * together {
            let row = pack::row(conv.weights, row_bytes, first + place % count);
            for (tap, weights) in by_tap.iter_mut().enumerate().take(taps) {
                weights[place] = pack::weight(row, conv.weight_bits, tap) as u8;
            }
        }
        let mut weights = [[_mm512_setzero_si512(); 4]; FOURS];
        for (to, four) in weights.iter_mut().zip(by_tap.as_chunks::<4>().0).take(taps.div_ceil(4)) {
            let [a, b, c, d] = four.each_ref().map(|weights| load::bytes(weights));
            *to = interleave(a, b, c, d);
        }
        let stages = array::from_fn(|vector| {
            Stage::new(&conv.stage, first + count, |lane| {
                let place = 16 * (lane / 4) + 4 * vector + lane % 4;
                first + if together > 1 { place % count } else { place }
            })
        });
        let mut offsets = [0; 4 * FOURS];
        let ([_, taps_x], [down, right]) = (conv.window.kernel, conv.window.dilation);
        let mut span = count * together;
        let mut steps = [[0; 2]; 4 * FOURS];
        for (tap, (offset, step)) in offsets.iter_mut().zip(&mut steps).enumerate().take(taps) {
            *step = [tap / taps_x * down, tap % taps_x * right];
            // A window that is larger than the image is never inside it.
            let pixels = step[0].saturating_mul(conv.input.width).saturating_add(step[1]);
            *offset = pixels.saturating_mul(conv.input.channels);
            span = span.max(offset.saturating_add(count * together));
        }
        Self { conv, input, first, count, together, pixel_bytes: conv.input.pixel_bytes(input.bits), steps, weights, stages, offsets, span }
    }

    /// Whether [`Block::row`] holds.
    fn is_fast(&self, codes: &Codes) -> bool {
        codes.are_bytes() && self.stages.iter().all(Stage::is_high)
    }

    /// A row of the output. `TAPS`: the number of taps, or 0 for any.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn row<const TAPS: usize>(&self, y: usize, inside: Range<usize>, codes: &Codes, row: &mut [u8]) {
        let taps = if TAPS == 0 { self.conv.window.taps() } else { TAPS };
        let channels = self.conv.output.channels;
        let mut x = 0;
        while x < self.conv.output.width {
            let window = if inside.contains(&x) { self.window(y, x) } else { None };
            let several = self.together > 1 && window.is_some() && x + self.together <= inside.end;
            let pixels = if several { self.together } else { 1 };
            let count = pixels * self.count;
            let sums = match window {
                Some(window) => {
                    let mask = load::mask64(count);
                    self.accumulate(taps, |tap| self.load_inside(window, tap, mask))
                }
                None => self.accumulate(taps, |tap| self.load(y, x, tap)),
            };
            let done = array::from_fn(|vector| self.stages[vector].high_codes(sums[vector]));
            let begin = x * channels + self.first;
            if let Some(out) = row.get_mut(begin..begin + count) {
                load::store(out, codes.pack_bytes(done));
            }
            x += pixels;
        }
    }

    /// The output columns of row `y` whose windows lie inside the image; none where codes are not bytes.
    fn inside(&self, y: usize) -> Range<usize> {
        let (window, image) = (self.conv.window, self.conv.input);
        let whole = window.taps_inside(0, y, image.height) == (0..window.kernel[0]);
        if !whole || !are_bytes(self.input) {
            return 0..0;
        }
        let reach = (window.kernel[1] - 1) * window.dilation[1];
        let fit = (window.pad[1] + image.width).saturating_sub(reach);
        // An output may end before the image does.
        window.pad[1].div_ceil(window.stride[1])..fit.div_ceil(window.stride[1]).min(self.conv.output.width)
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

    /// The codes of a tap where `mask` says, which are those of one pixel or of as many as go together.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn load_inside(&self, window: &[u8], tap: usize, mask: u64) -> __m512i {
        debug_assert!(window.len() == self.span && mask.trailing_ones() as usize <= self.count * self.together);
        // SAFETY: the window has `span` bytes, which is at least `count * together` more than any offset, and no more
        // are read.
        unsafe { _mm512_maskz_loadu_epi8(mask, window.as_ptr().add(self.offsets[tap]).cast()) }
    }

    /// The codes of a tap of output pixel `(y, x)`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn load(&self, y: usize, x: usize, tap: usize) -> __m512i {
        let (window, image, bits) = (self.conv.window, self.conv.input, self.input.bits);
        let [down, right] = self.steps[tap];
        // Before the image is past its end, as unsigned numbers go.
        let from_y = (y * window.stride[0] + down).wrapping_sub(window.pad[0]);
        let from_x = (x * window.stride[1] + right).wrapping_sub(window.pad[1]);
        if from_y >= image.height || from_x >= image.width {
            return _mm512_set1_epi8(self.input.zero_point as i8);
        }
        let begin = (from_y * image.width + from_x) * self.pixel_bytes + pack::row_bytes(bits, self.first);
        let bytes = pack::row_bytes(bits, self.count);
        load::unpack(bits, self.input.codes.get(begin..begin + bytes).unwrap_or_default())
    }

    /// The sums of 64 channels, interleaved; `codes` gives those that a tap reads.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn accumulate(&self, taps: usize, codes: impl Fn(usize) -> __m512i) -> [__m512i; 4] {
        let mut sums = self.stages.each_ref().map(|stage| stage.bias);
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

/// Whether codes are bytes, to be read where they lie.
fn are_bytes(input: Activations<'_>) -> bool {
    matches!(input.bits, ActivationBits::A6 | ActivationBits::A8)
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
