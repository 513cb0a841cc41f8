//! Depthwise convolution, its lanes channels.

use super::finish::finish;
use super::source::inside;
use super::{Blocks, CHUNK, COLUMNS, Lanes, Pixels, Stage, Sums};
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
}

impl<'a> Depthwise<'a> {
    fn new(conv: &'a Conv<'a>, input: Activations<'a>, stage: Stage<'a>, zeros: &'a [u8], pixels: &'a mut [u8]) -> Self {
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
            pixel_bytes: conv.input.pixel_bytes(input.bits),
            passes: conv.window.taps().div_ceil(PASS),
        }
    }

    fn run<B: Blocks>(&mut self, output: &mut [u8]) {
        let pixel_bytes = self.conv.output.pixel_bytes(self.conv.stage.bits).max(1);
        let mut sums = [[0; CHUNK]; COLUMNS];
        let mut at = (0, 0);
        let mut blocks = output.chunks_exact_mut(pixel_bytes * COLUMNS);
        for pixels in &mut blocks {
            at = self.block::<B, COLUMNS>(at, pixels, pixel_bytes, &mut sums);
        }
        let [sums, ..] = &mut sums;
        for pixel in blocks.into_remainder().chunks_exact_mut(pixel_bytes) {
            at = self.block::<B, 1>(at, pixel, pixel_bytes, core::array::from_mut(sums));
        }
    }

    /// `N` pixels from output position `at` on; returns the position of the next.
    #[inline(never)]
    fn block<B: Blocks, const N: usize>(
        &mut self,
        at: (usize, usize),
        bytes: &mut [u8],
        pixel_bytes: usize,
        sums: &mut [Sums; N],
    ) -> (usize, usize) {
        let (mut first, mut next) = (0, at);
        while first < self.conv.groups {
            let count = (self.conv.groups - first).min(CHUNK);
            let mut done = 0;
            next = at;
            while let Some(sums) = sums.get_mut(done..).filter(|sums| !sums.is_empty()) {
                let made = self.neighbours::<B>(next, first, count, sums);
                next = if next.1 + made < self.conv.output.width { (next.0, next.1 + made) } else { (next.0 + 1, 0) };
                done += made;
            }
            let pixels = Pixels { bytes: &mut *bytes, step: pixel_bytes, at: first };
            finish::<B, N>(&self.stage, first, count, &[0; N], sums, pixels);
            first += count;
        }
        next
    }

    /// Sums of as many pixels as lie in one row, within the input, or of one.
    #[inline(always)]
    fn neighbours<B: Blocks>(&mut self, (y, x): (usize, usize), first: usize, count: usize, sums: &mut [Sums]) -> usize {
        let whole = self.inside[0].contains(&y) && self.inside[1].contains(&x);
        let made = if whole { (self.inside[1].end - x).min(sums.len()) } else { 1 };
        let sums = sums.get_mut(..made).unwrap_or_default();
        let (lanes, step) = (self.lanes, self.conv.window.stride[1].wrapping_mul(self.pixel_bytes));
        for pass in 0..self.passes {
            let taps = if whole { self.taps_inside((y, x), pass) } else { self.taps((y, x), pass) };
            B::depthwise(&lanes, pass, first, count, &taps, step, sums);
        }
        made
    }

    /// What the taps of a pass read, from there to the end of the input: of a window within the input.
    #[inline(always)]
    fn taps_inside(&self, (y, x): (usize, usize), pass: usize) -> [&[u8]; PASS] {
        let (window, width) = (&self.conv.window, self.conv.input.width);
        let row_bytes = width * self.pixel_bytes;
        let [taps_y, taps_x] = window.kernel;
        // Dilations of kernels of one row or column are bounded by nothing, and not used.
        let steps = (window.dilation[0].wrapping_mul(row_bytes), window.dilation[1].wrapping_mul(self.pixel_bytes));
        let (mut ky, mut kx) = if pass == 0 { (0, 0) } else { (pass * PASS / taps_x.max(1), pass * PASS % taps_x.max(1)) };
        let (from_y, from_x) = (y * window.stride[0] - window.pad[0], x * window.stride[1] - window.pad[1]);
        let mut row = from_y * row_bytes + from_x * self.pixel_bytes;
        row = row.wrapping_add(ky.wrapping_mul(steps.0));
        let mut place = row.wrapping_add(kx.wrapping_mul(steps.1));
        // Past the last tap weights are 0.
        let mut taps = [self.input.codes.get(place..).unwrap_or_default(); PASS];
        for tap in &mut taps {
            if ky >= taps_y {
                break;
            }
            *tap = self.input.codes.get(place..).unwrap_or_default();
            kx += 1;
            place = place.wrapping_add(steps.1);
            if kx >= taps_x {
                (kx, ky) = (0, ky + 1);
                row = row.wrapping_add(steps.0);
                place = row;
            }
        }
        taps
    }

    /// The pixels that the taps of a pass read.
    #[inline(never)]
    fn taps(&mut self, (y, x): (usize, usize), pass: usize) -> [&[u8]; PASS] {
        let (conv, taps_x) = (self.conv, self.conv.window.kernel[1]);
        let (mut ky, mut kx) = if pass == 0 { (0, 0) } else { (pass * PASS / taps_x.max(1), pass * PASS % taps_x.max(1)) };
        let mut unpacked = self.pixels.chunks_exact_mut(self.zeros.len().max(1));
        let mut taps = [self.zeros; PASS];
        for tap in &mut taps {
            if ky >= conv.window.kernel[0] {
                break;
            }
            let from_y = conv.window.position(0, y, ky, conv.input.height);
            if let Some((from_y, from_x)) = from_y.zip(conv.window.position(1, x, kx, conv.input.width)) {
                let pixel = pack::row(self.input.codes, self.pixel_bytes, from_y * conv.input.width + from_x);
                *tap = match unpacked.next() {
                    Some(codes) => {
                        for (index, code) in codes.iter_mut().enumerate() {
                            *code = pack::code(pixel, self.input.bits, index) as u8;
                        }
                        codes
                    }
                    None => pixel,
                };
            }
            (ky, kx) = if kx + 1 < taps_x { (ky, kx + 1) } else { (ky + 1, 0) };
        }
        taps
    }
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
