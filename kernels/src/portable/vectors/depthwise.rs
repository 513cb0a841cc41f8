//! Depthwise convolution, its lanes channels.

use super::finish::Finish;
use super::{Blocks, CHUNK, COLUMNS};
use crate::arrange::lanes::{BLOCK, PASS};
use crate::reference::{self, Native};
use crate::{Accumulator, ActivationBits, Activations, Conv, pack};

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
    let Some((zeros, pixels)) = scratch.get_mut(..wanted).and_then(|scratch| scratch.split_at_mut_checked(bytes)) else {
        return reference::conv::<Native>(conv, input, output);
    };
    if !applies(conv) {
        return reference::conv::<Native>(conv, input, output);
    }
    // At 16 bits the zero point is 0.
    zeros.fill(input.zero_point as u8);
    let finish = Finish::new(&conv.stage);
    let (wide, blocks) = (input.bits == ActivationBits::A16, conv.groups.div_ceil(BLOCK));
    let passes = conv.window.taps().div_ceil(PASS);
    let mut sums = [[0; CHUNK]; COLUMNS];
    let (mut y, mut x) = (0, 0);
    for pixel in output.chunks_exact_mut(conv.output.pixel_bytes(conv.stage.bits).max(1)) {
        for first in (0..conv.groups).step_by(CHUNK) {
            let count = (conv.groups - first).min(CHUNK);
            for pass in 0..passes {
                let taps = taps(conv, input, (y, x), pass, zeros, pixels);
                let weights = conv.weights.get((pass * blocks + first / BLOCK) * PASS * BLOCK..).unwrap_or_default();
                let [sums, ..] = &mut sums;
                B::depthwise(&taps, first, count, weights, wide, pass > 0, sums);
            }
            finish.run::<B, 1>(first, count, [0], &sums, &mut [&mut *pixel]);
        }
        (y, x) = if x + 1 < conv.output.width { (y, x + 1) } else { (y + 1, 0) };
    }
}

/// The pixels that the taps of a pass read.
#[inline(always)]
fn taps<'a>(
    conv: &Conv<'_>,
    input: Activations<'a>,
    (y, x): (usize, usize),
    pass: usize,
    zeros: &'a [u8],
    pixels: &'a mut [u8],
) -> [&'a [u8]; PASS] {
    let [_, taps_x] = conv.window.kernel;
    let first = pass * PASS;
    let (mut ky, mut kx) = if first == 0 { (0, 0) } else { (first / taps_x.max(1), first % taps_x.max(1)) };
    let pixel_bytes = conv.input.pixel_bytes(input.bits);
    let mut unpacked = pixels.chunks_exact_mut(zeros.len().max(1));
    let mut taps = [zeros; PASS];
    for tap in &mut taps {
        if ky >= conv.window.kernel[0] {
            break;
        }
        let from_y = conv.window.position(0, y, ky, conv.input.height);
        if let Some((from_y, from_x)) = from_y.zip(conv.window.position(1, x, kx, conv.input.width)) {
            let pixel = pack::row(input.codes, pixel_bytes, from_y * conv.input.width + from_x);
            *tap = match unpacked.next() {
                Some(codes) => {
                    for (index, code) in codes.iter_mut().enumerate() {
                        *code = pack::code(pixel, input.bits, index) as u8;
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
        testing::conv::check_arranged(Arrangement::Lanes, 124, testing::conv::shapes(), |params, input, output| {
            conv::<PlainRust>(params, input, output, &mut []);
        });
    }
}
