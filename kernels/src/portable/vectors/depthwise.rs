//! Depthwise convolution, its lanes channels.

use super::finish::finish;
use super::source::inside;
use super::{Blocks, CHUNK, COLUMNS, Channels, Lanes, Pixels, Stage, Sums, Taps};
use crate::arrange::lanes::PASS;
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack};
use core::ops::Range;

fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels && conv.groups == conv.output.channels && conv.accumulator == Accumulator::I32
}

/// Whether codes are unpacked before they are used.
fn is_packed(bits: ActivationBits) -> bool {
    matches!(bits, ActivationBits::A2 | ActivationBits::A4)
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
            // At 16 bits the zero point is 0.
            B::fill(zeros, input.zero_point as u8);
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
    passes: usize,
    /// Of the first pass, [`places`].
    first_pass: [usize; PASS],
}

impl<'a> Depthwise<'a> {
    fn new(conv: &'a Conv<'a>, input: Activations<'a>, stage: Stage<'a>, zeros: &'a [u8], pixels: &'a mut [u8]) -> Self {
        let pixel_bytes = conv.input.pixel_bytes(input.bits);
        let extents = [conv.input.height, conv.input.width];
        let inside = if is_packed(input.bits) { [0..0, 0..0] } else { [0, 1].map(|axis| inside(conv, axis, extents[axis])) };
        Self {
            conv,
            input,
            lanes: Lanes::new(conv, input.bits),
            stage,
            zeros,
            pixels,
            inside,
            pixel_bytes,
            passes: conv.window.taps().div_ceil(PASS),
            first_pass: places(conv, pixel_bytes, 0),
        }
    }

    fn run<B: Blocks>(&mut self, output: &mut [u8]) {
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits).max(1);
        let mut sums = [[0; CHUNK]; COLUMNS];
        let channels = Channels { first: 0, count: self.conv.groups.min(CHUNK) };
        let prepared = B::codes(&self.stage, channels);
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

    /// `N` pixels from output position `at` on; returns the position of the next.
    #[inline(never)]
    fn block<B: Blocks, const N: usize>(
        &mut self,
        at: (usize, usize),
        bytes: &mut [u8],
        step: usize,
        sums: &mut [Sums; N],
        prepared: &B::Codes<'_>,
    ) -> (usize, usize) {
        let (mut first, mut next) = (0, at);
        while first < self.conv.groups {
            let channels = Channels { first, count: (self.conv.groups - first).min(CHUNK) };
            let mut left = &mut sums[..];
            next = at;
            while !left.is_empty() {
                let made = self.neighbours::<B>(next, channels, left);
                next = if next.1 + made < self.conv.output.width { (next.0, next.1 + made) } else { (next.0 + 1, 0) };
                left = left.get_mut(made..).unwrap_or_default();
            }
            let pixels = Pixels { bytes: &mut *bytes, step, at: first };
            if first == 0 {
                finish::<B, N>(&self.stage, prepared, channels, &[0; N], sums, pixels);
            } else {
                finish::<B, N>(&self.stage, &B::codes(&self.stage, channels), channels, &[0; N], sums, pixels);
            }
            first += channels.count;
        }
        next
    }

    /// Sums of as many pixels as lie in one row, within the input, or of one.
    #[inline(always)]
    fn neighbours<B: Blocks>(&mut self, (y, x): (usize, usize), channels: Channels, sums: &mut [Sums]) -> usize {
        let (window, input) = (&self.conv.window, self.conv.input);
        let whole = self.inside[0].contains(&y) && self.inside[1].contains(&x);
        let made = if whole { (self.inside[1].end - x).min(sums.len()) } else { 1 };
        let sums = sums.get_mut(..made).unwrap_or_default();
        let mut taps = Taps {
            codes: self.input.codes,
            at: [0; PASS],
            step: window.stride[1].wrapping_mul(self.pixel_bytes),
            zeros: self.zeros,
        };
        for pass in 0..self.passes {
            if whole {
                let (from_y, from_x) = (y * window.stride[0] - window.pad[0], x * window.stride[1] - window.pad[1]);
                let begin = (from_y * input.width + from_x) * self.pixel_bytes;
                let places = if pass == 0 { self.first_pass } else { places(self.conv, self.pixel_bytes, pass) };
                taps.at = places.map(|place| begin.wrapping_add(place));
                B::depthwise(&self.lanes, pass, channels, &taps, sums);
            } else if self.pixels.is_empty() {
                taps.at = self.taps((y, x), pass);
                B::depthwise(&self.lanes, pass, channels, &taps, sums);
            } else {
                taps.at = self.unpack((y, x), pass);
                B::depthwise(&self.lanes, pass, channels, &Taps { codes: self.pixels, ..taps }, sums);
            }
        }
        made
    }

    /// What the taps of a pass read at an output pixel.
    #[inline(never)]
    fn taps(&self, (y, x): (usize, usize), pass: usize) -> [usize; PASS] {
        let (window, input) = (&self.conv.window, self.conv.input);
        let [taps_y, taps_x] = window.kernel;
        let (mut ky, mut kx) = if pass == 0 { (0, 0) } else { (pass * PASS / taps_x.max(1), pass * PASS % taps_x.max(1)) };
        let mut row = window.position(0, y, ky, input.height);
        let mut at = [Taps::ZERO; PASS];
        for at in &mut at {
            if ky >= taps_y {
                break;
            }
            if let Some((from_y, from_x)) = row.zip(window.position(1, x, kx, input.width)) {
                *at = (from_y * input.width + from_x) * self.pixel_bytes;
            }
            kx += 1;
            if kx >= taps_x {
                (kx, ky) = (0, ky + 1);
                row = if ky < taps_y { window.position(0, y, ky, input.height) } else { None };
            }
        }
        at
    }

    /// Likewise, unpacked.
    #[inline(never)]
    fn unpack(&mut self, at: (usize, usize), pass: usize) -> [usize; PASS] {
        let mut taps = self.taps(at, pass);
        let bytes = self.zeros.len();
        for (index, (at, codes)) in taps.iter_mut().zip(self.pixels.chunks_exact_mut(bytes.max(1))).enumerate() {
            let pixel = self.input.codes.get(*at..).and_then(|rest| rest.get(..self.pixel_bytes));
            if let Some(pixel) = pixel {
                for (index, code) in codes.iter_mut().enumerate() {
                    *code = pack::code(pixel, self.input.bits, index) as u8;
                }
                *at = index * bytes;
            }
        }
        taps
    }
}

/// What the taps of a pass read, from the first byte of a window within the input on; the first tap of the pass where there are no more.
fn places(conv: &Conv<'_>, pixel_bytes: usize, pass: usize) -> [usize; PASS] {
    let [taps_y, taps_x] = conv.window.kernel;
    let (mut ky, mut kx) = (pass * PASS / taps_x.max(1), pass * PASS % taps_x.max(1));
    // Dilations of kernels of one row or column are bounded by nothing, and not used.
    let place = |ky: usize, kx: usize| {
        let pixel = (ky.wrapping_mul(conv.window.dilation[0])).wrapping_mul(conv.input.width);
        pixel.wrapping_add(kx.wrapping_mul(conv.window.dilation[1])).wrapping_mul(pixel_bytes)
    };
    let mut places = [place(ky, kx); PASS];
    for to in &mut places {
        if ky >= taps_y {
            break;
        }
        *to = place(ky, kx);
        (ky, kx) = if kx + 1 < taps_x { (ky, kx + 1) } else { (ky + 1, 0) };
    }
    places
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
