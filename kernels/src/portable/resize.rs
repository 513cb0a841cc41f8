//! Resizing along height and width.

use super::blocks::{BLOCK, each_block, load};
use crate::{ActivationBits, Activations, Between, Resize, pack, requant};

/// Nearest neighbour or bilinear; see [`Resize`].
pub fn resize(resize: &Resize<'_>, input: Activations<'_>, output: &mut [u8]) {
    let (from, to) = (resize.input, resize.output);
    let pixel_bytes = to.pixel_bytes(resize.codes.bits);
    let pixel = |y: usize, x: usize| pack::row(input.codes, from.pixel_bytes(input.bits), y * from.width + x);
    for (row, &y) in resize.rows.iter().enumerate() {
        let y = Resize::between(y, from.height);
        for (column, &x) in resize.columns.iter().enumerate() {
            let x = Resize::between(x, from.width);
            let out = pack::row_mut(output, pixel_bytes, row * to.width + column);
            if resize.rescale.is_none() {
                // Whole pixels: both sides pack alike, and unused bits are 0 on both.
                let source = pixel(y.first, x.first);
                if source.len() == out.len() {
                    pack::copy(out, source);
                }
                continue;
            }
            let corners = [pixel(y.first, x.first), pixel(y.first, x.second), pixel(y.second, x.first), pixel(y.second, x.second)];
            if input.bits == ActivationBits::A16 {
                wide(resize, input, corners, [y, x], out);
            } else {
                narrow(resize, input, corners, [y, x], out);
            }
        }
    }
}

/// Codes of at most 8 bits: sums fit 32 bits.
fn narrow(resize: &Resize<'_>, input: Activations<'_>, corners: [&[u8]; 4], around: [Between; 2], out: &mut [u8]) {
    let codes = resize.codes;
    let weights = weights(around);
    // The weights of all corners together are 2^22.
    let zero = input.zero_point << (2 * Resize::FRACTION_BITS);
    let Some(rescale) = resize.rescale else { return };
    each_block(resize.output.channels, codes.bits, out, |first, block| {
        let mut sums = [0i32; BLOCK];
        for (pixel, weight) in corners.into_iter().zip(weights) {
            load(input.bits, pixel, first, resize.output.channels, block);
            for (sum, &code) in sums.iter_mut().zip(block.iter()) {
                *sum = sum.wrapping_add(i32::from(code).wrapping_mul(weight));
            }
        }
        for (code, sum) in block.iter_mut().zip(sums) {
            *code = codes.code(requant::requantize_i32(sum.wrapping_sub(zero), rescale.multiplier, rescale.shift)) as i16;
        }
    });
}

/// Codes of 16 bits, whose zero point is 0.
fn wide(resize: &Resize<'_>, input: Activations<'_>, corners: [&[u8]; 4], around: [Between; 2], out: &mut [u8]) {
    let codes = resize.codes;
    let weights = weights(around);
    let zero = i64::from(input.zero_point) << (2 * Resize::FRACTION_BITS);
    let Some(rescale) = resize.rescale else { return };
    each_block(resize.output.channels, codes.bits, out, |first, block| {
        let mut sums = [0i64; BLOCK];
        for (pixel, weight) in corners.into_iter().zip(weights) {
            load(input.bits, pixel, first, resize.output.channels, block);
            for (sum, &code) in sums.iter_mut().zip(block.iter()) {
                *sum = sum.wrapping_add(i64::from(code).wrapping_mul(i64::from(weight)));
            }
        }
        for (code, sum) in block.iter_mut().zip(sums) {
            *code = codes.code(requant::requantize(sum.wrapping_sub(zero), rescale.multiplier, rescale.shift)) as i16;
        }
    });
}

/// Weights of the corners, row by row.
fn weights([y, x]: [Between; 2]) -> [i32; 4] {
    let (top, left) = (Resize::ONE - y.weight, Resize::ONE - x.weight);
    [top * left, top * x.weight, y.weight * left, y.weight * x.weight]
}

#[cfg(test)]
mod tests {
    use crate::testing::resize;

    #[test]
    fn equals_the_reference() {
        resize::check_resize(super::resize);
    }
}
