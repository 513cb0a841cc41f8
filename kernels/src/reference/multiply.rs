//! Convolution and fully connected layers.

use super::Product;
use crate::{Accumulator, Activations, Conv, FullyConnected, pack, requant};

/// Convolution; see [`Conv`].
///
/// `acc[o] = bias[o] + sum w[o, y, x, i] * a`, in the accumulator's width; padding reads the input's zero point.
pub fn conv<P: Product>(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8]) {
    let bits = input.bits;
    let (pixel_bytes, output_bytes) = (conv.input.pixel_bytes(bits), conv.output.pixel_bytes(conv.stage.bits));
    for y in 0..conv.output.height {
        for x in 0..conv.output.width {
            let out = pack::row_mut(output, output_bytes, y * conv.output.width + x);
            for o in 0..conv.output.channels {
                let first_input = o / conv.group_outputs().max(1) * conv.group_inputs();
                let Some((bias, multiplier, shift)) = conv.stage.channel(o) else {
                    return;
                };
                let mut acc = i64::from(bias);
                let mut k = 0;
                for ky in 0..conv.window.kernel[0] {
                    let from_y = conv.window.position(0, y, ky, conv.input.height);
                    for kx in 0..conv.window.kernel[1] {
                        let from_x = conv.window.position(1, x, kx, conv.input.width);
                        let pixel = from_y.zip(from_x).map(|(y, x)| pack::row(input.codes, pixel_bytes, y * conv.input.width + x));
                        for i in first_input..first_input + conv.group_inputs() {
                            let a = pixel.map_or(input.zero_point, |pixel| pack::code(pixel, bits, i));
                            let w = conv.weight(o, k);
                            acc = acc.wrapping_add(P::product(w, conv.weight_bits, a, bits, bits.signed()));
                            k += 1;
                        }
                    }
                }
                if conv.accumulator == Accumulator::I32 {
                    acc = i64::from(acc as i32);
                }
                let scaled = requant::requantize(acc, multiplier, shift);
                pack::set_code(out, conv.stage.bits, o, conv.stage.codes().code(scaled));
            }
            pack::clear_unused(out, conv.stage.bits, conv.output.channels);
        }
    }
}

/// Fully connected layer; see [`FullyConnected`].
pub fn fully_connected<P: Product>(layer: &FullyConnected<'_>, input: Activations<'_>, output: &mut [u8]) {
    conv::<P>(&layer.as_conv(), input, output);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Native;
    use crate::{ActivationBits, Arrangement, Image, OutputStage, WeightBits, Window};

    const UNIT: i32 = 1 << 30;

    /// A stage that writes the accumulator itself, as 16-bit codes.
    fn plain<'a>(bias: &'a [i32], multiplier: &'a [i32], shift: &'a [u8]) -> OutputStage<'a> {
        OutputStage { bias, multiplier, shift, zero_point: 0, lo: -32768, hi: 32767, bits: ActivationBits::A16 }
    }

    fn codes16(bytes: &[u8]) -> std::vec::Vec<i16> {
        bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect()
    }

    #[test]
    fn three_by_three_by_hand() {
        // Padding reads the zero point, 10, not 0.
        let weights: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let conv = Conv {
            input: Image { height: 2, width: 2, channels: 1 },
            output: Image { height: 2, width: 2, channels: 1 },
            window: Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad: [1, 1] },
            groups: 1,
            weight_bits: WeightBits::W8,
            arrangement: Arrangement::RowMajor,
            weights: &weights,
            accumulator: Accumulator::I32,
            stage: plain(&[-450], &[UNIT], &[30]),
        };
        let input = Activations { codes: &[11, 12, 13, 14], bits: ActivationBits::A8, zero_point: 10 };
        let mut output = [0; 8];
        super::conv::<Native>(&conv, input, &mut output);
        // The bias takes 10 * 45 away: what is left is the convolution of 1, 2, 3, 4 with zero padding.
        assert_eq!(codes16(&output), [5 + 12 + 24 + 36, 4 + 10 + 21 + 32, 2 + 6 + 15 + 24, 1 + 4 + 12 + 20]);
    }

    #[test]
    fn groups_stride_and_multiplier_by_hand() {
        // Two groups of one input channel, two outputs each, 4-bit weights in 1 x 2 kernels: rows (1,-1) (2,3) (-8,7)
        // (0,1).
        let weights = [0xf1, 0x32, 0x78, 0x10];
        let conv = Conv {
            input: Image { height: 1, width: 3, channels: 2 },
            output: Image { height: 1, width: 2, channels: 4 },
            window: Window { kernel: [1, 2], stride: [1, 2], dilation: [1, 1], pad: [0, 1] },
            groups: 2,
            weight_bits: WeightBits::W4,
            arrangement: Arrangement::RowMajor,
            weights: &weights,
            accumulator: Accumulator::I64,
            stage: plain(&[0; 4], &[1 << 22; 4], &[22; 4]),
        };
        // 4-bit pixels (1,2) (3,4) (5,6).
        let input = Activations { codes: &[0x21, 0x43, 0x65], bits: ActivationBits::A4, zero_point: 0 };
        let mut output = [0; 16];
        super::conv::<Native>(&conv, input, &mut output);
        assert_eq!(codes16(&output), [-1, 3, 14, 2, 3 - 5, 6 + 15, -32 + 42, 6]);
    }

    #[test]
    fn output_stage_by_hand() {
        // Half of the accumulator, ties upward, plus 5, clamped to 4 ..= 9.
        let stage = OutputStage {
            bias: &[0, 1, -1, -3, 100, -2],
            multiplier: &[UNIT; 6],
            shift: &[31; 6],
            zero_point: 5,
            lo: 4,
            hi: 9,
            bits: ActivationBits::A4,
        };
        let layer = FullyConnected {
            rows: 1,
            inputs: 1,
            outputs: 6,
            weight_bits: WeightBits::W2,
            arrangement: Arrangement::RowMajor,
            weights: &[0; 6],
            accumulator: Accumulator::I32,
            stage,
        };
        let input = Activations { codes: &[255], bits: ActivationBits::A8, zero_point: 0 };
        let mut output = [0xff; 3];
        fully_connected::<Native>(&layer, input, &mut output);
        // 5, 5.5 -> 6, 4.5 -> 5, 3.5 -> 4, 55 -> 9, 4
        assert_eq!(output, [0x65, 0x45, 0x49]);
    }
}
