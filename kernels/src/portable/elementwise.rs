//! Functions of one code.

use super::blocks::{self, each_block, load};
use crate::reference;
use crate::{ActivationBits, Activations, LayerNorm, Prelu, Requantize, Softmax, Table, pack, requant};

/// Codes from which on a table of all 256 results is worth its computation.
const TABLE_MIN: usize = 1024;

/// One tensor to another quantizer; see [`Requantize`].
pub fn requantize(params: &Requantize, input: Activations<'_>, output: &mut [u8]) {
    #[cfg(target_pointer_width = "32")]
    if super::words::requantize(params, input, output) {
        return;
    }
    let codes = params.codes;
    let function = |code: i16| {
        let value = i64::from(i32::from(code) - input.zero_point);
        codes.code(requant::requantize(value, params.multiplier, params.shift)) as i16
    };
    let count = params.rows * params.channels;
    if input.bits != ActivationBits::A16 && count >= TABLE_MIN {
        let mut results = [0; 256];
        for (result, code) in results.iter_mut().zip(0..) {
            *result = function(code);
        }
        blocks::map(params.rows, params.channels, codes.bits, input, output, |block| {
            for code in block {
                *code = results[usize::from(*code as u8)];
            }
        });
    } else {
        blocks::map(params.rows, params.channels, codes.bits, input, output, |block| {
            for code in block {
                *code = function(*code);
            }
        });
    }
}

/// Rectifier with a slope for each channel; see [`Prelu`].
pub fn prelu(prelu: &Prelu<'_>, input: Activations<'_>, output: &mut [u8]) {
    let (codes, channels) = (prelu.codes, prelu.channels);
    for index in 0..prelu.rows {
        let row = pack::row(input.codes, pack::row_bytes(input.bits, channels), index);
        let out = pack::row_mut(output, pack::row_bytes(codes.bits, channels), index);
        each_block(channels, codes.bits, out, |first, block| {
            load(input.bits, row, first, channels, block);
            let slopes = prelu.slope_multiplier.iter().zip(prelu.slope_shift).skip(first);
            for (code, (&multiplier, &shift)) in block.iter_mut().zip(slopes) {
                let value = i32::from(*code) - input.zero_point;
                let (multiplier, shift) = if value < 0 { (multiplier, shift) } else { (prelu.multiplier, prelu.shift) };
                *code = codes.code(requant::requantize_i32(value, multiplier, shift)) as i16;
            }
        });
    }
}

/// A function given by a table; see [`Table`].
pub fn table(table: &Table<'_>, input: Activations<'_>, output: &mut [u8]) {
    #[cfg(target_pointer_width = "32")]
    if super::words::table(table, input, output) {
        return;
    }
    let (pairs, _) = table.entries.as_chunks::<2>();
    let wide = |index: usize| pairs.get(index).map_or(0, |&pair| i16::from_le_bytes(pair));
    let each = |function: &dyn Fn(i16) -> i16, output: &mut [u8]| {
        blocks::map(table.rows, table.channels, table.bits, input, output, |block| {
            for code in block {
                *code = function(*code);
            }
        });
    };
    match (input.bits, table.bits) {
        (ActivationBits::A16, _) => each(
            &|code| {
                let offset = (i32::from(code) + 32768) as usize;
                let (here, next) = (i32::from(wide(offset >> 7)), i32::from(wide((offset >> 7) + 1)));
                (here + (((next - here) * (offset & 127) as i32 + 64) >> 7)) as i16
            },
            output,
        ),
        (_, ActivationBits::A16) => each(&|code| wide(code as usize), output),
        _ => each(&|code| table.entries.get(code as usize).map_or(0, |&entry| i16::from(entry)), output),
    }
}

/// Softmax; see [`Softmax`].
pub fn softmax(softmax: &Softmax, input: Activations<'_>, output: &mut [u8]) {
    reference::softmax(softmax, input, output);
}

/// Layer normalisation; see [`LayerNorm`].
pub fn layer_norm(norm: &LayerNorm<'_>, input: Activations<'_>, output: &mut [u8]) {
    reference::layer_norm(norm, input, output);
}

#[cfg(test)]
mod tests {
    use crate::testing::{elementwise, resize};

    #[test]
    fn equals_the_reference() {
        elementwise::check_requantize(super::requantize);
        elementwise::check_table(super::table);
        resize::check_prelu(super::prelu);
    }
}
