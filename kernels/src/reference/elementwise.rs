//! Operators that treat each code alone.

use crate::{ActivationBits, Activations, Add, Mul, OutputCodes, Prelu, Requantize, Table, pack, requant};

/// Sum or difference; see [`Add`].
pub fn add(add: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    let value = |a: i64, b: i64| {
        let (a, b) = (a * i64::from(add.multiplier_a), b * i64::from(add.multiplier_b));
        // The multipliers are in the sum already.
        requant::requantize(if add.subtract { a - b } else { a + b }, 1, add.shift)
    };
    pairs(add.rows, add.channels, add.broadcast, add.codes, a, b, output, value);
}

/// Product; see [`Mul`].
pub fn mul(mul: &Mul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    let value = |a: i64, b: i64| requant::requantize(a * b, mul.multiplier, mul.shift);
    pairs(mul.rows, mul.channels, mul.broadcast, mul.codes, a, b, output, value);
}

/// Writes the code of `value(a - z_a, b - z_b)` for every pair of codes.
#[expect(clippy::too_many_arguments, reason = "the common fields of Add and Mul, and the buffers")]
fn pairs(
    rows: usize,
    channels: usize,
    broadcast: bool,
    codes: OutputCodes,
    a: Activations<'_>,
    b: Activations<'_>,
    output: &mut [u8],
    value: impl Fn(i64, i64) -> i64,
) {
    for index in 0..rows {
        let row_a = pack::row(a.codes, pack::row_bytes(a.bits, channels), index);
        let row_b = pack::row(b.codes, pack::row_bytes(b.bits, channels), if broadcast { 0 } else { index });
        let out = pack::row_mut(output, pack::row_bytes(codes.bits, channels), index);
        for channel in 0..channels {
            let a = pack::code(row_a, a.bits, channel) - a.zero_point;
            let b = pack::code(row_b, b.bits, channel) - b.zero_point;
            pack::set_code(out, codes.bits, channel, codes.code(value(i64::from(a), i64::from(b))));
        }
        pack::clear_unused(out, codes.bits, channels);
    }
}

/// One tensor to another quantizer; see [`Requantize`].
pub fn requantize(params: &Requantize, input: Activations<'_>, output: &mut [u8]) {
    map(params.rows, params.channels, params.codes.bits, input, output, |code| {
        let value = i64::from(code - input.zero_point);
        params.codes.code(requant::requantize(value, params.multiplier, params.shift))
    });
}

/// Rectifier with a slope for each channel; see [`Prelu`].
pub fn prelu(prelu: &Prelu<'_>, input: Activations<'_>, output: &mut [u8]) {
    let codes = prelu.codes;
    for index in 0..prelu.rows {
        let row = pack::row(input.codes, pack::row_bytes(input.bits, prelu.channels), index);
        let out = pack::row_mut(output, pack::row_bytes(codes.bits, prelu.channels), index);
        let slopes = prelu.slope_multiplier.iter().zip(prelu.slope_shift);
        for (channel, (&multiplier, &shift)) in slopes.enumerate() {
            let value = i64::from(pack::code(row, input.bits, channel) - input.zero_point);
            let (multiplier, shift) = if value < 0 { (multiplier, shift) } else { (prelu.multiplier, prelu.shift) };
            pack::set_code(out, codes.bits, channel, codes.code(requant::requantize(value, multiplier, shift)));
        }
        pack::clear_unused(out, codes.bits, prelu.channels);
    }
}

/// A function given by a table; see [`Table`].
pub fn table(table: &Table<'_>, input: Activations<'_>, output: &mut [u8]) {
    // Points of 16-bit input have two bytes whatever the width of the output.
    let interpolated = input.bits == ActivationBits::A16;
    let entry_bits = if interpolated { ActivationBits::A16 } else { table.bits };
    let entry_bits = if entry_bits == ActivationBits::A16 { entry_bits } else { ActivationBits::A8 };
    let entry = |index| pack::code(table.entries, entry_bits, index);
    map(table.rows, table.channels, table.bits, input, output, |code| {
        if interpolated {
            let offset = (code + 32768) as usize;
            let (point, fraction) = (offset >> 7, (offset & 127) as i32);
            let (here, next) = (entry(point), entry(point + 1));
            here + (((next - here) * fraction + 64) >> 7)
        } else {
            entry(code as usize)
        }
    });
}

/// Writes `function(code)` for every code.
fn map(rows: usize, channels: usize, bits: ActivationBits, input: Activations<'_>, output: &mut [u8], function: impl Fn(i32) -> i32) {
    for index in 0..rows {
        let row = pack::row(input.codes, pack::row_bytes(input.bits, channels), index);
        let out = pack::row_mut(output, pack::row_bytes(bits, channels), index);
        for channel in 0..channels {
            pack::set_code(out, bits, channel, function(pack::code(row, input.bits, channel)));
        }
        pack::clear_unused(out, bits, channels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_and_subtract_by_hand() {
        // a - 1 weighs 1, b - 2 weighs 0.5; ties upward; zero point 10.
        let mut params = Add {
            rows: 1,
            channels: 3,
            broadcast: false,
            subtract: false,
            multiplier_a: 2,
            multiplier_b: 1,
            shift: 1,
            codes: OutputCodes::full(ActivationBits::A8, 10),
        };
        let a = Activations { codes: &[1, 3, 0], bits: ActivationBits::A8, zero_point: 1 };
        let b = Activations { codes: &[3, 0, 255], bits: ActivationBits::A8, zero_point: 2 };
        let mut output = [0; 3];
        add(&params, a, b, &mut output);
        assert_eq!(output, [11, 11, 136]); // 0.5, 2 - 1, -1 + 126.5
        params.subtract = true;
        add(&params, a, b, &mut output);
        assert_eq!(output, [10, 13, 0]); // -0.5, 2 + 1, -1 - 126.5
    }

    #[test]
    fn multiply_broadcasts_and_clamps() {
        let params = Mul {
            rows: 2,
            channels: 2,
            broadcast: true,
            multiplier: 1 << 30,
            shift: 32,
            codes: OutputCodes { zero_point: 3, lo: 3, hi: 12, bits: ActivationBits::A4 },
        };
        let a = Activations { codes: &[0x21, 0x93], bits: ActivationBits::A4, zero_point: 0 };
        let b = Activations { codes: &[6, 0, 0xff, 0xff], bits: ActivationBits::A16, zero_point: 0 };
        let mut output = [0; 2];
        mul(&params, a, b, &mut output);
        // (1 * 6) / 4 = 1.5 -> 2, (2 * -1) / 4 = -0.5 -> 0; (3 * 6) / 4 = 4.5 -> 5, (9 * -1) / 4 -> clamped
        assert_eq!(output, [0x35, 0x38]);
    }

    #[test]
    fn a_unit_multiplier_clamps_alone() {
        let codes = OutputCodes { zero_point: 100, lo: 100, hi: 200, bits: ActivationBits::A8 };
        let params = Requantize { rows: 1, channels: 4, multiplier: 1 << 30, shift: 30, codes };
        let input = Activations { codes: &[0, 100, 150, 255], bits: ActivationBits::A8, zero_point: 100 };
        let mut output = [0; 4];
        requantize(&params, input, &mut output);
        assert_eq!(output, [100, 100, 150, 200]);
    }

    #[test]
    fn slopes_are_each_channels_own() {
        let params = Prelu {
            rows: 2,
            channels: 2,
            multiplier: 1 << 30,
            shift: 30,
            slope_multiplier: &[1 << 30, -(1 << 30)],
            slope_shift: &[31, 32],
            codes: OutputCodes::full(ActivationBits::A8, 100),
        };
        let input = Activations { codes: &[7, 7, 13, 2], bits: ActivationBits::A8, zero_point: 10 };
        assert_eq!(params.check(input.operand(), 4), Ok(()));
        let mut output = [0; 4];
        prelu(&params, input, &mut output);
        // -3 / 2 = -1.5 -> -1, -3 / -4 = 0.75 -> 1; 3, -8 / -4 = 2
        assert_eq!(output, [99, 101, 103, 102]);
    }

    #[test]
    fn tables_look_up_and_interpolate() {
        let entries = [3, 2, 1, 0];
        let params = Table { rows: 1, channels: 4, entries: &entries, bits: ActivationBits::A4 };
        let input = Activations { codes: &[0b11_10_01_00], bits: ActivationBits::A2, zero_point: 0 };
        let mut output = [0; 2];
        table(&params, input, &mut output);
        assert_eq!(output, [0x23, 0x01]);

        // A line through the points is reproduced; its last piece ends past the last code.
        let mut points = [0; 2 * Table::POINTS];
        for (index, point) in points.as_chunks_mut().0.iter_mut().enumerate() {
            *point = (index as i16 * 4 - 1024).to_le_bytes();
        }
        let params = Table { rows: 1, channels: 3, entries: &points, bits: ActivationBits::A16 };
        let codes = [(-32768i16).to_le_bytes(), 48i16.to_le_bytes(), 32767i16.to_le_bytes()];
        let input = Activations { codes: codes.as_flattened(), bits: ActivationBits::A16, zero_point: 0 };
        let mut output = [0; 6];
        table(&params, input, &mut output);
        // 48 * 4 / 128 = 1.5 -> 2; 32767 * 4 / 128 = 1023.97
        assert_eq!(output.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect::<std::vec::Vec<_>>(), [-1024, 2, 1024]);
    }
}
