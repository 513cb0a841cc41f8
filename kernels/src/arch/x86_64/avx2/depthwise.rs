//! Depthwise convolution of 16 channels at a time, two taps to an instruction.
//!
//! Unpacking interleaves the words of two taps within lanes of 128 bits: vector 0 of two holds channels 0 .. 4 and
//! 8 .. 12, vector 1 the others. Packing the codes together again undoes that.

use core::arch::x86_64::*;
use core::array;

use super::load;
use super::stage::{Stage, write};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack};

/// Channels of a block.
const BLOCK: usize = 16;

/// Most taps of a window, in pairs.
const PAIRS: usize = 32;

/// Whether this kernel is the one for that convolution.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels
        && conv.groups == conv.output.channels
        && conv.accumulator == Accumulator::I32
        && conv.window.taps() <= 2 * PAIRS
}

/// For checked parameters to which the kernel [`applies`].
#[target_feature(enable = "avx2")]
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8]) {
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    let (codes, width) = (conv.stage.codes(), conv.output.width.max(1));
    for first in (0..conv.groups).step_by(BLOCK) {
        let block = Block::new(conv, input, first);
        for (index, pixel) in output.chunks_exact_mut(pixel_bytes).enumerate() {
            let (y, x) = (index / width, index % width);
            // Windows inside the image, whose codes are read as they lie, apart: it is most of them.
            let sums = match (block.window(y, x), input.bits) {
                (Some(window), ActivationBits::A16) => block.accumulate(|tap| block.load_inside::<2>(window, tap)),
                (Some(window), _) => block.accumulate(|tap| block.load_inside::<1>(window, tap)),
                (None, _) => block.accumulate(|tap| block.load(y, x, tap)),
            };
            let done: [_; 2] = array::from_fn(|vector| block.stages[vector].codes(sums[vector], codes));
            write(_mm256_packs_epi32(done[0], done[1]), codes.bits, pixel, first, block.count);
        }
    }
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(pixel_bytes) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
}

/// What is the same at every pixel for 16 channels.
struct Block<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    first: usize,
    count: usize,
    weights: [[__m256i; 2]; PAIRS],
    stages: [Stage; 2],
    /// Rows and columns of the input from the first tap to each.
    steps: [[usize; 2]; 2 * PAIRS],
    /// Bytes from the first tap's code to each tap's, for a window inside the image.
    offsets: [usize; 2 * PAIRS],
    /// From the first tap's first code to the end of the last tap's: every offset is at least 16 codes below.
    span: usize,
}

impl<'a> Block<'a> {
    #[target_feature(enable = "avx2")]
    fn new(conv: &'a Conv<'a>, input: Activations<'a>, first: usize) -> Self {
        let (taps, count) = (conv.window.taps(), (conv.groups - first).min(BLOCK));
        let row_bytes = pack::weight_row_bytes(conv.weight_bits, taps);
        let mut by_tap = [[0i16; BLOCK]; 2 * PAIRS];
        for channel in 0..count {
            let row = pack::row(conv.weights, row_bytes, first + channel);
            for (tap, weights) in by_tap.iter_mut().enumerate().take(taps) {
                weights[channel] = pack::weight(row, conv.weight_bits, tap) as i16;
            }
        }
        let mut weights = [[_mm256_setzero_si256(); 2]; PAIRS];
        for (to, [a, b]) in weights.iter_mut().zip(by_tap.as_chunks::<2>().0).take(taps.div_ceil(2)) {
            *to = interleave(load::words(a), load::words(b));
        }
        let stages = array::from_fn(|vector| Stage::new(&conv.stage, first + count, |lane| first + 8 * (lane / 4) + 4 * vector + lane % 4));
        let mut steps = [[0; 2]; 2 * PAIRS];
        let ([_, taps_x], [down, right]) = (conv.window.kernel, conv.window.dilation);
        let (mut offsets, pixel_bytes, block_bytes) =
            ([0; 2 * PAIRS], conv.input.pixel_bytes(input.bits), pack::row_bytes(input.bits, BLOCK));
        let mut span = block_bytes;
        for (tap, (offset, step)) in offsets.iter_mut().zip(&mut steps).enumerate().take(taps) {
            *step = [tap / taps_x * down, tap % taps_x * right];
            // A window that is larger than the image is never inside it.
            let pixels = step[0].saturating_mul(conv.input.width).saturating_add(step[1]);
            *offset = pixels.saturating_mul(pixel_bytes);
            span = span.max(offset.saturating_add(block_bytes));
        }
        Self { conv, input, first, count, weights, stages, steps, offsets, span }
    }

    /// The codes from the first tap's on to the last one's, for a window inside the image and a full block of codes
    /// that are not packed.
    #[inline]
    fn window(&self, y: usize, x: usize) -> Option<&'a [u8]> {
        let (window, image, bits) = (self.conv.window, self.conv.input, self.input.bits);
        let narrow = matches!(bits, ActivationBits::A2 | ActivationBits::A4);
        let [last_y, last_x] = self.steps[window.taps() - 1];
        let from_y = (y * window.stride[0]).checked_sub(window.pad[0])?;
        let from_x = (x * window.stride[1]).checked_sub(window.pad[1])?;
        if narrow || self.count < BLOCK || from_y + last_y >= image.height || from_x + last_x >= image.width {
            return None;
        }
        let begin = (from_y * image.width + from_x) * image.pixel_bytes(bits) + pack::row_bytes(bits, self.first);
        self.input.codes.get(begin..begin.checked_add(self.span)?)
    }

    /// The codes of a tap of a window inside the image, of `BYTES` bytes each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_inside<const BYTES: usize>(&self, window: &[u8], tap: usize) -> __m256i {
        debug_assert!(window.len() == self.span && pack::row_bytes(self.input.bits, BLOCK) == BLOCK * BYTES);
        // SAFETY: the window has `span` bytes, which is at least 16 codes more than any offset.
        unsafe {
            let codes = window.as_ptr().add(self.offsets[tap]);
            if BYTES == 2 { _mm256_loadu_si256(codes.cast()) } else { _mm256_cvtepu8_epi16(_mm_loadu_si128(codes.cast())) }
        }
    }

    /// The sums of 16 channels, interleaved; `codes` gives those that a tap reads.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn accumulate(&self, codes: impl Fn(usize) -> __m256i) -> [__m256i; 2] {
        let mut sums = self.stages.each_ref().map(|stage| stage.bias);
        let taps = self.conv.window.taps();
        for (pair, weights) in self.weights.iter().enumerate().take(taps.div_ceil(2)) {
            let a = codes(2 * pair);
            // Weights past the last tap are 0.
            let b = if 2 * pair + 1 < taps { codes(2 * pair + 1) } else { a };
            for ((sum, codes), &weights) in sums.iter_mut().zip(interleave(a, b)).zip(weights) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes, weights));
            }
        }
        sums
    }

    /// The codes of a tap of output pixel `(y, x)`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(&self, y: usize, x: usize, tap: usize) -> __m256i {
        let (window, image, bits) = (self.conv.window, self.conv.input, self.input.bits);
        let [down, right] = self.steps[tap];
        // Before the image is past its end, as unsigned numbers go.
        let from_y = (y * window.stride[0] + down).wrapping_sub(window.pad[0]);
        let from_x = (x * window.stride[1] + right).wrapping_sub(window.pad[1]);
        if from_y >= image.height || from_x >= image.width {
            return _mm256_set1_epi16(self.input.zero_point as i16);
        }
        let pixel = pack::row(self.input.codes, image.pixel_bytes(bits), from_y * image.width + from_x);
        load::codes16(bits, pixel, self.first, self.count)
    }
}

/// Words of two vectors side by side, in the order that the top of this file describes.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave(a: __m256i, b: __m256i) -> [__m256i; 2] {
    [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)]
}
