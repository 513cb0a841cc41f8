//! Operators that move codes: whole bytes at a time where the codes are whole bytes, or whole pixels move.

use super::blocks;
use crate::{ActivationBits, Activations, ConcatPart, Image, Pad, RANK_MAX, Slice, Transpose, pack, reference, requant};

/// Bytes of a code, where a code is whole bytes.
fn code_bytes(bits: ActivationBits) -> Option<usize> {
    match bits {
        ActivationBits::A2 | ActivationBits::A4 => None,
        ActivationBits::A6 | ActivationBits::A8 => Some(1),
        ActivationBits::A16 => Some(2),
    }
}

/// Bytes from channel 0 to `channel`, where that is whole bytes.
fn channel_bytes(bits: ActivationBits, channel: usize) -> Option<usize> {
    match code_bytes(bits) {
        Some(bytes) => Some(channel * bytes),
        None if channel == 0 => Some(0),
        None => None,
    }
}

fn copy(from: Option<&[u8]>, to: Option<&mut [u8]>) {
    if let (Some(from), Some(to)) = (from, to)
        && from.len() == to.len()
    {
        pack::copy(to, from);
    }
}

/// Pad with a constant code; see [`Pad`].
pub fn pad(pad: &Pad, input: Activations<'_>, output: &mut [u8]) {
    let bits = input.bits;
    let whole_pixels = pad.input.channels == pad.output.channels;
    let Some(first) = channel_bytes(bits, pad.before[2]).filter(|_| whole_pixels || code_bytes(bits).is_some()) else {
        return reference::pad(pad, input, output);
    };
    let (input_bytes, output_bytes) = (pad.input.pixel_bytes(bits), pad.output.pixel_bytes(bits));
    fill(pad.output, bits, pad.code, output);
    for y in 0..pad.input.height {
        if whole_pixels {
            let start = ((y + pad.before[0]) * pad.output.width + pad.before[1]) * output_bytes;
            let row = pack::row(input.codes, pad.input.width * input_bytes, y);
            copy(Some(row), output.get_mut(start..start + row.len()));
        } else {
            for x in 0..pad.input.width {
                let pixel = pack::row(input.codes, input_bytes, y * pad.input.width + x);
                let to = (y + pad.before[0]) * pad.output.width + x + pad.before[1];
                let out = pack::row_mut(output, output_bytes, to);
                copy(Some(pixel), out.get_mut(first..first + input_bytes));
            }
        }
    }
}

/// Fills an image with one code.
fn fill(image: Image, bits: ActivationBits, code: i32, output: &mut [u8]) {
    let [low, high] = (code as i16).to_le_bytes();
    match bits {
        ActivationBits::A16 => output.as_chunks_mut().0.fill([low, high]),
        ActivationBits::A6 | ActivationBits::A8 => output.fill(low),
        ActivationBits::A2 | ActivationBits::A4 => {
            let every = if bits == ActivationBits::A2 { 0b0101_0101 } else { 0b0001_0001 };
            output.fill(low.wrapping_mul(every));
            for pixel in output.chunks_exact_mut(image.pixel_bytes(bits).max(1)) {
                pack::clear_unused(pixel, bits, image.channels);
            }
        }
    }
}

/// Every step-th code; see [`Slice`].
pub fn slice(slice: &Slice, input: Activations<'_>, output: &mut [u8]) {
    let bits = input.bits;
    let whole_pixels = slice.input.channels == slice.output.channels;
    let neighbours = slice.step[2] == 1 || slice.output.channels == 1;
    let first = channel_bytes(bits, slice.begin[2]).filter(|_| whole_pixels || code_bytes(bits).is_some());
    let Some(first) = first.filter(|_| neighbours) else {
        return reference::slice(slice, input, output);
    };
    let (input_bytes, output_bytes) = (slice.input.pixel_bytes(bits), slice.output.pixel_bytes(bits));
    for y in 0..slice.output.height {
        let from_y = slice.begin[0] + y * slice.step[0];
        for x in 0..slice.output.width {
            let from_x = slice.begin[1] + x * slice.step[1];
            let pixel = pack::row(input.codes, input_bytes, from_y * slice.input.width + from_x);
            let out = pack::row_mut(output, output_bytes, y * slice.output.width + x);
            copy(pixel.get(first..first + output_bytes), Some(out));
        }
    }
}

/// One input of a concatenation; see [`ConcatPart`].
pub fn concat_part(part: &ConcatPart, input: Activations<'_>, output: &mut [u8]) {
    let (bits, codes) = (input.bits, part.codes);
    let whole_rows = part.input_channels == part.output_channels;
    let first = channel_bytes(codes.bits, part.channel_offset).filter(|_| whole_rows || code_bytes(codes.bits).is_some());
    let Some(first) = first else {
        return reference::concat_part(part, input, output);
    };
    let input_bytes = pack::row_bytes(bits, part.input_channels);
    let part_bytes = pack::row_bytes(codes.bits, part.input_channels);
    let output_bytes = pack::row_bytes(codes.bits, part.output_channels);
    for outer in 0..part.outer {
        for index in 0..part.input_rows {
            let row = pack::row(input.codes, input_bytes, outer * part.input_rows + index);
            let to = outer * part.output_rows + part.row_offset + index;
            let out = pack::row_mut(output, output_bytes, to).get_mut(first..first + part_bytes);
            let out = out.unwrap_or_default();
            let Some(rescale) = part.rescale else {
                copy(Some(row), Some(out));
                continue;
            };
            blocks::each_block(part.input_channels, codes.bits, out, |first, block| {
                blocks::load(bits, row, first, part.input_channels, block);
                for code in block {
                    let value = i64::from(i32::from(*code) - input.zero_point);
                    *code = codes.code(requant::requantize(value, rescale.multiplier, rescale.shift)) as i16;
                }
            });
        }
    }
}

/// Permutation of axes; see [`Transpose`].
pub fn transpose(transpose: &Transpose, input: Activations<'_>, output: &mut [u8]) {
    let bits = input.bits;
    let [.., channels] = transpose.output_shape();
    let row_bytes = pack::row_bytes(bits, channels).max(1);
    let [.., last_axis] = transpose.axes;
    if last_axis == RANK_MAX - 1 {
        // A row of codes moves as bytes, whatever its width.
        each_row(transpose, output, row_bytes, |first, _, out| {
            let start = first / channels.max(1) * row_bytes;
            copy(input.codes.get(start..start + row_bytes), Some(out));
        });
        return;
    }
    match code_bytes(bits) {
        Some(1) => each_row(transpose, output, row_bytes, |first, stride, out| {
            let codes = input.codes.get(first..).unwrap_or_default();
            for (to, &from) in out.iter_mut().zip(codes.iter().step_by(stride.max(1))) {
                *to = from;
            }
        }),
        Some(_) => {
            let (pairs, _) = input.codes.as_chunks::<2>();
            each_row(transpose, output, row_bytes, |first, stride, out| {
                let codes = pairs.get(first..).unwrap_or_default();
                for (to, &from) in out.as_chunks_mut().0.iter_mut().zip(codes.iter().step_by(stride.max(1))) {
                    *to = from;
                }
            });
        }
        None => reference::transpose(transpose, input, output),
    }
}

/// Calls `write(first, stride, row)` for each row of the output: the row's codes are input codes `first`,
/// `first + stride` and so on, in the order of the input without unused bits.
fn each_row(transpose: &Transpose, output: &mut [u8], row_bytes: usize, write: impl Fn(usize, usize, &mut [u8])) {
    let mut strides = [1; RANK_MAX];
    let mut stride = 1;
    for (to, &extent) in strides.iter_mut().zip(&transpose.shape).rev() {
        *to = stride;
        stride *= extent;
    }
    let axis = |axis: usize| {
        let extent = transpose.shape.get(axis).copied().unwrap_or(1);
        // Never 0, which `step_by` refuses.
        (0, extent, strides.get(axis).copied().unwrap_or(1).max(1))
    };
    let [mut lead @ .., (_, _, stride)] = transpose.axes.map(axis);
    let mut first = 0;
    for row in output.chunks_exact_mut(row_bytes) {
        write(first, stride, row);
        for (at, extent, stride) in lead.iter_mut().rev() {
            *at += 1;
            first += *stride;
            if *at < *extent {
                break;
            }
            first -= *extent * *stride;
            *at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::spatial;

    #[test]
    fn equals_the_reference() {
        spatial::check_pad(super::pad);
        spatial::check_slice(super::slice);
        spatial::check_concat(super::concat_part);
        spatial::check_transpose(super::transpose);
    }
}
