//! Depthwise convolution, its lanes channels.

use super::finish::finish;
use super::source::{self, inside, is_packed};
use super::{Blocks, CHUNK, COLUMNS, Channels, Lanes, Pixels, Places, Stage, Sums, ZERO};
use crate::arrange::lanes::PASS;
use crate::portable::columns::rows_join;
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack};
use core::ops::Range;

fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels && conv.groups == conv.output.channels && conv.accumulator == Accumulator::I32
}

/// Bytes of a pixel whose codes take a byte or two each.
fn row_bytes(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    if bits == ActivationBits::A16 { 2 * conv.groups } else { conv.groups }
}

/// A pixel of zero points, and the pixels of a pass where their codes are packed.
pub(crate) fn scratch_bytes(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    if !applies(conv) {
        return 0;
    }
    row_bytes(conv, bits).saturating_mul(if is_packed(bits) { 1 + PASS } else { 1 })
}

/// See [`native::conv`](crate::native::conv), for [`Arrangement::Lanes`](crate::Arrangement::Lanes).
pub(crate) fn conv<B: Blocks>(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    let (bytes, wanted) = (row_bytes(conv, input.bits), scratch_bytes(conv, input.bits));
    let scratch = scratch.get_mut(..wanted).and_then(|scratch| scratch.split_at_mut_checked(bytes));
    match scratch.zip(Stage::new(&conv.stage)) {
        Some(((zeros, pixels), stage)) if applies(conv) => {
            // A pixel whose codes are unpacked has a byte for each.
            let pair = if is_packed(input.bits) { [input.zero_point as u8; 2] } else { source::zeros(input) };
            B::fill(zeros, pair);
            Depthwise::new(conv, input, stage, zeros, pixels).run::<B>(output);
        }
        _ => reference::conv::<Native>(conv, input, output),
    }
}

struct Depthwise<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    lanes: Lanes<'a>,
    stage: Stage<'a>,
    zeros: &'a [u8],
    /// Unpacked pixels of a pass, where codes are packed.
    pixels: &'a mut [u8],
    /// Output rows and columns whose windows lie within the input; none where codes are packed.
    inside: [Range<usize>; 2],
    pixel_bytes: usize,
}

/// What is prepared for the first pass and the first chunk of channels: for most layers there are no others.
struct Prepared<'a, B: Blocks> {
    channels: Channels,
    pass: B::Pass<'a>,
    codes: B::Codes<'a>,
}

impl<'a> Depthwise<'a> {
    fn new(conv: &'a Conv<'a>, input: Activations<'a>, stage: Stage<'a>, zeros: &'a [u8], pixels: &'a mut [u8]) -> Self {
        let extents = [conv.input.height, conv.input.width];
        let inside = if is_packed(input.bits) { [0..0, 0..0] } else { [0, 1].map(|axis| inside(conv, axis, extents[axis])) };
        let (lanes, pixel_bytes) = (Lanes::new(conv, input.bits), conv.input.pixel_bytes(input.bits));
        Self { conv, input, lanes, stage, zeros, pixels, inside, pixel_bytes }
    }

    fn run<B: Blocks>(&mut self, output: &mut [u8]) {
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits).max(1);
        let mut sums = [[0; CHUNK]; COLUMNS];
        let prepared = self.prepare::<B>(0);
        let mut at = (0, 0);
        let mut blocks = output.chunks_exact_mut(pixel_bytes * COLUMNS);
        for pixels in &mut blocks {
            at = self.block::<B, COLUMNS>(at, pixels, pixel_bytes, &mut sums, &prepared);
        }
        let [sums, ..] = &mut sums;
        for pixel in blocks.into_remainder().chunks_exact_mut(pixel_bytes) {
            at = self.block::<B, 1>(at, pixel, pixel_bytes, core::array::from_mut(sums), &prepared);
        }
    }

    #[inline(never)]
    fn prepare<B: Blocks>(&self, first: usize) -> Prepared<'a, B> {
        let channels = Channels { first, count: (self.conv.groups - first).min(CHUNK) };
        Prepared { channels, pass: self.pass::<B>(0, channels), codes: B::codes(&self.stage, channels) }
    }

    #[inline(never)]
    fn pass<B: Blocks>(&self, pass: usize, channels: Channels) -> B::Pass<'a> {
        B::pass(&self.lanes, pass, channels, places(self.conv, self.pixel_bytes, pass))
    }

    /// `N` pixels from output position `at` on; returns the position of the next.
    #[inline(always)]
    fn block<B: Blocks, const N: usize>(
        &mut self,
        at: (usize, usize),
        bytes: &mut [u8],
        step: usize,
        sums: &mut [Sums; N],
        prepared: &Prepared<'a, B>,
    ) -> (usize, usize) {
        let next = self.chunk(at, Pixels { bytes: &mut *bytes, step, at: 0 }, sums, prepared);
        let mut first = prepared.channels.count;
        while first < self.conv.groups {
            let others = self.prepare::<B>(first);
            self.chunk(at, Pixels { bytes: &mut *bytes, step, at: first }, sums, &others);
            first += others.channels.count;
        }
        next
    }

    /// As [`Self::block`], some channels.
    #[inline(never)]
    fn chunk<B: Blocks, const N: usize>(
        &mut self,
        at: (usize, usize),
        pixels: Pixels<'_, N>,
        sums: &mut [Sums; N],
        prepared: &Prepared<'a, B>,
    ) -> (usize, usize) {
        let (mut y, mut x) = at;
        let mut left = &mut sums[..];
        while !left.is_empty() {
            let made = self.neighbours::<B>((y, x), left, prepared);
            x += made;
            if x >= self.conv.output.width {
                (y, x) = (y + 1, 0);
            }
            left = left.get_mut(made..).unwrap_or_default();
        }
        finish::<B, N>(&self.stage, &prepared.codes, prepared.channels, &[0; N], sums, pixels);
        (y, x)
    }

    /// Sums of as many pixels as lie in one row, within the input, or of one.
    #[inline(always)]
    fn neighbours<B: Blocks>(&mut self, (y, x): (usize, usize), sums: &mut [Sums], prepared: &Prepared<'a, B>) -> usize {
        let (window, inside_x) = (&self.conv.window, &self.inside[1]);
        if !(self.inside[0].contains(&y) && inside_x.contains(&x)) {
            if let Some(sums) = sums.first_mut() {
                self.at_edge::<B>((y, x), sums, prepared);
            }
            return 1;
        }
        let made = (inside_x.end - x).min(sums.len());
        let sums = sums.get_mut(..made).unwrap_or_default();
        let (from_y, from_x) = (y * window.stride[0] - window.pad[0], x * window.stride[1] - window.pad[1]);
        let begin = (from_y * self.conv.input.width + from_x) * self.pixel_bytes;
        B::depthwise(&prepared.pass, self.input.codes, begin, sums);
        for pass in 1..window.taps().div_ceil(PASS) {
            B::depthwise(&self.pass::<B>(pass, prepared.channels), self.input.codes, begin, sums);
        }
        made
    }

    /// One pixel of any window.
    #[inline(never)]
    fn at_edge<B: Blocks>(&mut self, at: (usize, usize), sums: &mut Sums, prepared: &Prepared<'a, B>) {
        for pass in 0..self.conv.window.taps().div_ceil(PASS) {
            let mut taps = self.taps(at, pass);
            if !self.pixels.is_empty() {
                self.unpack::<B>(&mut taps);
            }
            let codes = if self.pixels.is_empty() { self.input.codes } else { &*self.pixels };
            if pass == 0 {
                B::depthwise_at(&prepared.pass, codes, self.zeros, &taps, sums);
            } else {
                B::depthwise_at(&self.pass::<B>(pass, prepared.channels), codes, self.zeros, &taps, sums);
            }
        }
    }

    /// What the taps of a pass read at an output pixel.
    #[inline(always)]
    fn taps(&self, (y, x): (usize, usize), pass: usize) -> [usize; PASS] {
        let (window, input) = (&self.conv.window, self.conv.input);
        let [taps_y, taps_x] = window.kernel;
        let (mut ky, mut kx) = if pass == 0 { (0, 0) } else { (pass * PASS / taps_x.max(1), pass * PASS % taps_x.max(1)) };
        // Before the first row or column positions wrap, past the last one. Dilations of kernels of one row or column are not used.
        let position = |axis: usize, out: usize, tap: usize| {
            (out * window.stride[axis]).wrapping_add(tap.wrapping_mul(window.dilation[axis])).wrapping_sub(window.pad[axis])
        };
        let (mut from_y, mut from_x) = (position(0, y, ky), position(1, x, kx));
        let mut at = [ZERO; PASS];
        for at in &mut at {
            if ky >= taps_y {
                break;
            }
            if from_y < input.height && from_x < input.width {
                *at = (from_y * input.width + from_x) * self.pixel_bytes;
            }
            kx += 1;
            from_x = from_x.wrapping_add(window.dilation[1]);
            if kx >= taps_x {
                (kx, ky) = (0, ky + 1);
                from_x = position(1, x, 0);
                from_y = from_y.wrapping_add(window.dilation[0]);
            }
        }
        at
    }

    /// Unpacks what taps read, and has them read that.
    #[inline(never)]
    fn unpack<B: Blocks>(&mut self, taps: &mut [usize; PASS]) {
        let bytes = self.zeros.len();
        for (index, (at, codes)) in taps.iter_mut().zip(self.pixels.chunks_exact_mut(bytes.max(1))).enumerate() {
            if let Some(pixel) = self.input.codes.get(*at..).and_then(|rest| rest.get(..self.pixel_bytes)) {
                let packed = codes.len() - pixel.len().min(codes.len());
                if rows_join(self.input.bits, bytes) {
                    for (to, from) in codes.iter_mut().skip(packed).zip(pixel) {
                        *to = *from;
                    }
                    B::unpack(self.input.bits, codes);
                } else {
                    for (index, code) in codes.iter_mut().enumerate() {
                        *code = pack::code(pixel, self.input.bits, index) as u8;
                    }
                }
                *at = index * bytes;
            }
        }
    }
}

/// What the taps of a pass read, from the first byte of a window within the input on; the first tap of the pass where there are no more.
fn places(conv: &Conv<'_>, pixel_bytes: usize, pass: usize) -> Places {
    let [taps_y, taps_x] = conv.window.kernel;
    let (mut ky, mut kx) = (pass * PASS / taps_x.max(1), pass * PASS % taps_x.max(1));
    // Dilations of kernels of one row or column are bounded by nothing, and not used.
    let place = |ky: usize, kx: usize| {
        let pixel = (ky.wrapping_mul(conv.window.dilation[0])).wrapping_mul(conv.input.width);
        pixel.wrapping_add(kx.wrapping_mul(conv.window.dilation[1])).wrapping_mul(pixel_bytes)
    };
    let mut taps = [place(ky, kx); PASS];
    let mut count = 0;
    for to in &mut taps {
        if ky >= taps_y {
            break;
        }
        count += 1;
        *to = place(ky, kx);
        (ky, kx) = if kx + 1 < taps_x { (ky, kx + 1) } else { (ky + 1, 0) };
    }
    Places { taps, count, step: conv.window.stride[1].wrapping_mul(pixel_bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::vectors::PlainRust;
    use crate::{Arrangement, testing};
    use std::vec;

    #[test]
    fn equals_the_reference() {
        for shapes in [testing::conv::shapes(), testing::conv::wide_shapes()] {
            testing::conv::check_arranged(Arrangement::Lanes, 123, shapes, |params, input, output| {
                let mut scratch = vec![0x77; scratch_bytes(params, input.bits)];
                conv::<PlainRust>(params, input, output, &mut scratch);
            });
        }
        testing::conv::check_widths(Arrangement::Lanes, 124, testing::conv::shapes(), |params, input, output| {
            conv::<PlainRust>(params, input, output, &mut []);
        });
    }
}
