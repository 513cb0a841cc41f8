//! Operators that move codes.

use crate::{ActivationBits, Activations, ConcatPart, Image, Pad, RANK_MAX, Slice, Transpose, pack, requant};

/// Pad with a constant code; see [`Pad`].
pub fn pad(pad: &Pad, input: Activations<'_>, output: &mut [u8]) {
    fill(pad.output, input.bits, output, |at| {
        // Positions before the input wrap to huge ones and are outside it as well.
        let ([y, x, channel], [top, left, first]) = (at, pad.before);
        let [y, x, channel] = [y.wrapping_sub(top), x.wrapping_sub(left), channel.wrapping_sub(first)];
        if y < pad.input.height && x < pad.input.width && channel < pad.input.channels {
            image_code(pad.input, input, [y, x, channel])
        } else {
            pad.code
        }
    });
}

/// Every step-th code; see [`Slice`].
pub fn slice(slice: &Slice, input: Activations<'_>, output: &mut [u8]) {
    let [(top, down), (left, right), (first, on)] = [0, 1, 2].map(|axis| {
        let of = |axes: [usize; 3]| axes.get(axis).copied().unwrap_or(0);
        (of(slice.begin), of(slice.step))
    });
    fill(slice.output, input.bits, output, |[y, x, channel]| {
        image_code(slice.input, input, [top + y * down, left + x * right, first + channel * on])
    });
}

/// Writes `code([y, x, channel])` for every code of an image.
fn fill(image: Image, bits: ActivationBits, output: &mut [u8], code: impl Fn([usize; 3]) -> i32) {
    for y in 0..image.height {
        for x in 0..image.width {
            let out = pack::row_mut(output, image.pixel_bytes(bits), y * image.width + x);
            for channel in 0..image.channels {
                pack::set_code(out, bits, channel, code([y, x, channel]));
            }
            pack::clear_unused(out, bits, image.channels);
        }
    }
}

fn image_code(image: Image, input: Activations<'_>, [y, x, channel]: [usize; 3]) -> i32 {
    let pixel = pack::row(input.codes, image.pixel_bytes(input.bits), y * image.width + x);
    pack::code(pixel, input.bits, channel)
}

/// One input of a concatenation; see [`ConcatPart`].
pub fn concat_part(part: &ConcatPart, input: Activations<'_>, output: &mut [u8]) {
    let input_bytes = pack::row_bytes(input.bits, part.input_channels);
    let output_bytes = pack::row_bytes(part.codes.bits, part.output_channels);
    for outer in 0..part.outer {
        for index in 0..part.input_rows {
            let row = pack::row(input.codes, input_bytes, outer * part.input_rows + index);
            let to = outer * part.output_rows + part.row_offset + index;
            let out = pack::row_mut(output, output_bytes, to);
            for channel in 0..part.input_channels {
                let code = pack::code(row, input.bits, channel);
                let code = match part.rescale {
                    None => code,
                    Some(rescale) => {
                        let value = i64::from(code - input.zero_point);
                        part.codes.code(requant::requantize(value, rescale.multiplier, rescale.shift))
                    }
                };
                pack::set_code(out, part.codes.bits, part.channel_offset + channel, code);
            }
            if part.channel_offset + part.input_channels == part.output_channels {
                pack::clear_unused(out, part.codes.bits, part.output_channels);
            }
        }
    }
}

/// Permutation of axes; see [`Transpose`].
pub fn transpose(transpose: &Transpose, input: Activations<'_>, output: &mut [u8]) {
    let output_shape = transpose.output_shape();
    let [.., input_channels] = transpose.shape;
    let [lead @ .., channels] = output_shape;
    let input_bytes = pack::row_bytes(input.bits, input_channels);
    let output_bytes = pack::row_bytes(input.bits, channels);
    for index in 0..lead.into_iter().product() {
        let out = pack::row_mut(output, output_bytes, index);
        let mut at = [0; RANK_MAX];
        let mut rest = index;
        for axis in (0..RANK_MAX - 1).rev() {
            let extent = output_shape[axis].max(1);
            at[axis] = rest % extent;
            rest /= extent;
        }
        for channel in 0..channels {
            at[RANK_MAX - 1] = channel;
            let mut from = [0; RANK_MAX];
            for (&axis, &position) in transpose.axes.iter().zip(&at) {
                if let Some(from) = from.get_mut(axis) {
                    *from = position;
                }
            }
            let [from_lead @ .., from_channel] = from;
            let row = from_lead.iter().zip(&transpose.shape).fold(0, |row, (&at, &extent)| row * extent + at);
            let code = pack::code(pack::row(input.codes, input_bytes, row), input.bits, from_channel);
            pack::set_code(out, input.bits, channel, code);
        }
        pack::clear_unused(out, input.bits, channels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OutputCodes, Rescale};

    fn view(codes: &[u8], bits: ActivationBits) -> Activations<'_> {
        Activations { codes, bits, zero_point: 0 }
    }

    #[test]
    fn pad_and_slice_by_hand() {
        let (small, large) = (Image { height: 1, width: 2, channels: 1 }, Image { height: 2, width: 3, channels: 2 });
        let params = Pad { input: small, output: large, before: [1, 0, 1], code: 9 };
        let mut padded = [0; 6];
        pad(&params, view(&[1, 2], ActivationBits::A4), &mut padded);
        assert_eq!(padded, [0x99, 0x99, 0x99, 0x19, 0x29, 0x99]);
        let params = Slice { input: large, output: small, begin: [1, 0, 1], step: [1, 1, 1] };
        let mut sliced = [0; 2];
        slice(&params, view(&padded, ActivationBits::A4), &mut sliced);
        assert_eq!(sliced, [1, 2]);
    }

    #[test]
    fn concat_by_hand() {
        let mut part = ConcatPart {
            outer: 1,
            input_rows: 2,
            output_rows: 2,
            row_offset: 0,
            input_channels: 1,
            output_channels: 3,
            channel_offset: 0,
            rescale: None,
            codes: OutputCodes::full(ActivationBits::A4, 1),
        };
        let mut output = [0xff; 4];
        concat_part(&part, view(&[5, 6], ActivationBits::A4), &mut output);
        part = ConcatPart { input_channels: 2, channel_offset: 1, ..part };
        part.rescale = Some(Rescale { multiplier: 1 << 30, shift: 31 });
        concat_part(&part, view(&[2, 4, 6, 250], ActivationBits::A8), &mut output);
        // Half, plus 1; the unused half of each second byte is 0.
        assert_eq!(output, [0x25, 0x03, 0x46, 0x0f]);
    }

    #[test]
    fn transpose_by_hand() {
        let params = Transpose::new(&[2, 3], &[1, 0]).unwrap();
        let mut output = [0xff; 3];
        transpose(&params, view(&[0x21, 0x03, 0x54, 0x06], ActivationBits::A4), &mut output);
        assert_eq!(output, [0x41, 0x52, 0x63]);
    }
}
