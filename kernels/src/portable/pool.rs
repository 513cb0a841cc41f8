//! Pooling, vectorised over the channels.

use super::blocks::{self, BLOCK};
use crate::{Activations, AveragePool, Image, MaxPool, Window, pack, requant};

/// Average pool; see [`AveragePool`].
pub fn average_pool(pool: &AveragePool<'_>, input: Activations<'_>, output: &mut [u8]) {
    #[cfg(target_pointer_width = "32")]
    if super::words::average_pool(pool, input, output) {
        return;
    }
    let (codes, channels) = (pool.codes, pool.output.channels);
    for y in 0..pool.output.height {
        let rows = pool.counted(0, y);
        for x in 0..pool.output.width {
            // `check` has seen that every count has a divisor.
            let (multiplier, shift) = pool.divisor(rows * pool.counted(1, x)).unwrap_or((0, 1));
            let out = pack::row_mut(output, pool.output.pixel_bytes(codes.bits), y * pool.output.width + x);
            blocks::each_block(channels, codes.bits, out, |first, block| {
                let mut sums = [0i32; BLOCK];
                each_pixel(pool.input, pool.window, input, (y, x), |pixel| {
                    let mut addends = [input.zero_point as i16; BLOCK];
                    blocks::load(input.bits, pixel, first, channels, &mut addends);
                    for (sum, addend) in sums.iter_mut().zip(addends) {
                        *sum = sum.wrapping_add(i32::from(addend) - input.zero_point);
                    }
                });
                for (code, sum) in block.iter_mut().zip(sums) {
                    *code = codes.code(requant::requantize_i32(sum, multiplier, shift)) as i16;
                }
            });
        }
    }
}

/// Max pool; see [`MaxPool`].
pub fn max_pool(pool: &MaxPool, input: Activations<'_>, output: &mut [u8]) {
    #[cfg(target_pointer_width = "32")]
    if super::words::max_pool(pool, input, output, super::words::larger) {
        return;
    }
    let channels = pool.output.channels;
    for y in 0..pool.output.height {
        for x in 0..pool.output.width {
            let out = pack::row_mut(output, pool.output.pixel_bytes(input.bits), y * pool.output.width + x);
            blocks::each_block(channels, input.bits, out, |first, block| {
                *block = [input.bits.lo() as i16; BLOCK];
                each_pixel(pool.input, pool.window, input, (y, x), |pixel| {
                    let mut codes = [0; BLOCK];
                    blocks::load(input.bits, pixel, first, channels, &mut codes);
                    for (largest, code) in block.iter_mut().zip(codes) {
                        *largest = (*largest).max(code);
                    }
                });
            });
        }
    }
}

/// Calls `visit` with every input pixel that the window at output `(y, x)` meets.
#[inline]
fn each_pixel<'a>(image: Image, window: Window, input: Activations<'a>, (y, x): (usize, usize), mut visit: impl FnMut(&'a [u8])) {
    let pixel_bytes = image.pixel_bytes(input.bits);
    let (rows, columns) = (window.taps_inside(0, y, image.height), window.taps_inside(1, x, image.width));
    for y in rows.filter_map(|tap| window.position(0, y, tap, image.height)) {
        for x in columns.clone().filter_map(|tap| window.position(1, x, tap, image.width)) {
            visit(pack::row(input.codes, pixel_bytes, y * image.width + x));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::spatial;

    #[test]
    fn equals_the_reference() {
        spatial::check_average_pool(super::average_pool);
        spatial::check_max_pool(super::max_pool);
    }
}
