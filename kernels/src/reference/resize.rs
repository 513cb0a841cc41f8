//! Resizing along height and width.

use crate::{Activations, Between, Resize, pack, requant};

/// Nearest neighbour or bilinear; see [`Resize`].
pub fn resize(resize: &Resize<'_>, input: Activations<'_>, output: &mut [u8]) {
    let (from, to) = (resize.input, resize.output);
    let code = |y: usize, x: usize, channel: usize| {
        pack::code(pack::row(input.codes, from.pixel_bytes(input.bits), y * from.width + x), input.bits, channel)
    };
    for (row, &y) in resize.rows.iter().enumerate() {
        let y = Resize::between(y, from.height);
        for (column, &x) in resize.columns.iter().enumerate() {
            let x = Resize::between(x, from.width);
            let out = pack::row_mut(output, to.pixel_bytes(resize.codes.bits), row * to.width + column);
            for channel in 0..to.channels {
                let value = |y: usize, x: usize| i64::from(code(y, x, channel) - input.zero_point);
                let result = match resize.rescale {
                    None => code(y.first, x.first, channel),
                    Some(rescale) => {
                        let above = mixed(x, value(y.first, x.first), value(y.first, x.second));
                        let below = mixed(x, value(y.second, x.first), value(y.second, x.second));
                        resize.codes.code(requant::requantize(mixed(y, above, below), rescale.multiplier, rescale.shift))
                    }
                };
                pack::set_code(out, resize.codes.bits, channel, result);
            }
            pack::clear_unused(out, resize.codes.bits, to.channels);
        }
    }
}

fn mixed(between: Between, first: i64, second: i64) -> i64 {
    let weight = i64::from(between.weight);
    (i64::from(Resize::ONE) - weight) * first + weight * second
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActivationBits, Image, OutputCodes, Rescale};

    #[test]
    fn twice_as_large_by_hand() {
        let (small, large) = (Image { height: 1, width: 2, channels: 1 }, Image { height: 1, width: 4, channels: 1 });
        // Half-pixel centres: -0.25 (0 at the edge), 0.25, 0.75, 1.25 (1 at the edge).
        let columns = [0, 512, 1536, 2048];
        let codes = OutputCodes::full(ActivationBits::A8, 10);
        let rescale = Some(Rescale { multiplier: 1 << 30, shift: 52 });
        let mut params = Resize { input: small, output: large, rows: &[0], columns: &columns, rescale, codes };
        let input = Activations { codes: &[20, 30], bits: ActivationBits::A8, zero_point: 20 };
        assert_eq!(params.check(input.operand(), 4), Ok(()));
        let mut output = [0; 4];
        resize(&params, input, &mut output);
        assert_eq!(output, [10, 13, 18, 20]); // 0, 2.5 -> 3, 7.5 -> 8, 10
        (params.rescale, params.columns) = (None, &[0, 0, 2048, 2048]);
        assert_eq!(params.check(input.operand(), 4), Ok(()));
        resize(&params, input, &mut output);
        assert_eq!(output, [20, 20, 30, 30]);
    }
}
