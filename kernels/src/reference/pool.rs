//! Pooling.

use crate::{Activations, AveragePool, MaxPool, Window, pack, requant};

/// Average pool; see [`AveragePool`].
pub fn average_pool(pool: &AveragePool<'_>, input: Activations<'_>, output: &mut [u8]) {
    let output_bytes = pool.output.pixel_bytes(pool.codes.bits);
    for y in 0..pool.output.height {
        for x in 0..pool.output.width {
            let out = pack::row_mut(output, output_bytes, y * pool.output.width + x);
            let count = pool.counted(0, y) * pool.counted(1, x);
            // `check` has seen that every count has a divisor.
            let (multiplier, shift) = pool.divisor(count).unwrap_or((0, 1));
            for channel in 0..pool.output.channels {
                let mut sum = 0;
                for_each_pixel(pool.input, pool.window, y, x, |pixel| {
                    let pixel = pack::row(input.codes, pool.input.pixel_bytes(input.bits), pixel);
                    sum += i64::from(pack::code(pixel, input.bits, channel) - input.zero_point);
                });
                let scaled = requant::requantize(sum, multiplier, shift);
                pack::set_code(out, pool.codes.bits, channel, pool.codes.code(scaled));
            }
            pack::clear_unused(out, pool.codes.bits, pool.output.channels);
        }
    }
}

/// Max pool; see [`MaxPool`].
pub fn max_pool(pool: &MaxPool, input: Activations<'_>, output: &mut [u8]) {
    let (input_bytes, output_bytes) = (pool.input.pixel_bytes(input.bits), pool.output.pixel_bytes(input.bits));
    for y in 0..pool.output.height {
        for x in 0..pool.output.width {
            let out = pack::row_mut(output, output_bytes, y * pool.output.width + x);
            for channel in 0..pool.output.channels {
                let mut largest = input.bits.lo();
                for_each_pixel(pool.input, pool.window, y, x, |pixel| {
                    let pixel = pack::row(input.codes, input_bytes, pixel);
                    largest = largest.max(pack::code(pixel, input.bits, channel));
                });
                pack::set_code(out, input.bits, channel, largest);
            }
            pack::clear_unused(out, input.bits, pool.output.channels);
        }
    }
}

/// Calls `visit` with the index of every input pixel that the window at output `(y, x)` meets.
fn for_each_pixel(input: crate::Image, window: Window, y: usize, x: usize, mut visit: impl FnMut(usize)) {
    // Taps in the padding are left out beforehand: a file may claim a kernel that is far larger than the image.
    for ky in window.taps_inside(0, y, input.height) {
        for kx in window.taps_inside(1, x, input.width) {
            let from_y = window.position(0, y, ky, input.height);
            let from_x = window.position(1, x, kx, input.width);
            if let Some((y, x)) = from_y.zip(from_x) {
                visit(y * input.width + x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActivationBits, CountPadding, Image, OutputCodes};

    const WINDOW: Window = Window { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], pad: [0, 0] };

    #[test]
    fn averages_divide_by_what_they_count() {
        // A 3 x 3 image in 2 x 2 windows with ceil_mode: the last row and column are cut off.
        let input = Image { height: 3, width: 3, channels: 1 };
        let output = Image { height: 2, width: 2, channels: 1 };
        let mut pool = AveragePool {
            input,
            output,
            window: WINDOW,
            padding: CountPadding::Exclude,
            counts: &[1, 2, 4],
            multiplier: &[1 << 30; 3],
            shift: &[30, 31, 32],
            codes: OutputCodes::full(ActivationBits::A8, 7),
        };
        let codes = Activations { codes: &[1, 2, 3, 4, 5, 6, 7, 8, 9], bits: ActivationBits::A8, zero_point: 1 };
        assert_eq!(pool.check(codes.operand(), 4), Ok(()));
        let mut averages = [0; 4];
        average_pool(&pool, codes, &mut averages);
        // (0 + 1 + 3 + 4) / 4, (2 + 5) / 2, (6 + 7) / 2, 8
        assert_eq!(averages, [9, 11, 14, 15]);

        // Padding at the bottom and on the right counts, as zeros; what ceil_mode added past it would not.
        pool.padding = CountPadding::Include { end: [1, 1] };
        average_pool(&pool, codes, &mut averages);
        // 8 / 4, 7 / 4, 13 / 4, 8 / 4
        assert_eq!(averages, [9, 9, 10, 9]);
        pool.padding = CountPadding::Include { end: [0, 0] };
        average_pool(&pool, codes, &mut averages);
        assert_eq!(averages, [9, 11, 14, 15]);
    }

    #[test]
    fn padding_never_wins() {
        let pool = MaxPool {
            input: Image { height: 1, width: 2, channels: 1 },
            output: Image { height: 1, width: 2, channels: 1 },
            window: Window { kernel: [3, 3], stride: [1, 2], dilation: [1, 1], pad: [1, 1] },
        };
        let codes = [(-300i16).to_le_bytes(), (-200i16).to_le_bytes()];
        let input = Activations { codes: codes.as_flattened(), bits: ActivationBits::A16, zero_point: 0 };
        let mut output = [0; 4];
        assert_eq!(pool.check(input.operand(), 4), Ok(()));
        max_pool(&pool, input, &mut output);
        assert_eq!(output.as_chunks().0, &[(-200i16).to_le_bytes(), (-200i16).to_le_bytes()]);
    }
}
