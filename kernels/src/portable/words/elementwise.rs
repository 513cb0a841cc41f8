//! Operators that treat each code alone.

use super::{is_byte, map, zip};
use crate::portable::add::fits_32_bits;
use crate::requant::{self, HIGH_SHIFT_MIN};
use crate::{ActivationBits, Activations, Add, Mul, OutputCodes, Requantize, Table};

/// Codes from which on a table of all 256 results is worth its computation.
const TABLE_MIN: usize = 512;

/// Calls `each(a, b, output)` with the rows that belong to each other; all rows at once where `b` has as many as `a`.
#[inline(always)]
fn each_row(channels: usize, broadcast: bool, a: &[u8], b: &[u8], output: &mut [u8], mut each: impl FnMut(&[u8], &[u8], &mut [u8])) {
    if !broadcast {
        return each(a, b, output);
    }
    let channels = channels.max(1);
    for (a, output) in a.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
        each(a, b, output);
    }
}

/// Whether saturation to 8 bits is all there is to clamp, which processors have an instruction for.
fn is_saturation(codes: &OutputCodes) -> bool {
    codes.lo == 0 && codes.hi == 255
}

/// See [`native::add`](crate::native::add).
pub(crate) fn add(add: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    let codes = add.codes;
    if ![a.bits, b.bits, codes.bits].into_iter().all(is_byte) || !fits_32_bits(add, a.bits, b.bits) {
        return false;
    }
    let (m_a, m_b) = (add.multiplier_a, if add.subtract { -add.multiplier_b } else { add.multiplier_b });
    let shift = u32::from(add.shift);
    // Everything that does not depend on the codes, with the zero point below the shift where that fits.
    let offset = (1i64 << (shift - 1)) - i64::from(a.zero_point) * i64::from(m_a) - i64::from(b.zero_point) * i64::from(m_b);
    let whole = offset + (i64::from(codes.zero_point) << shift);
    let largest = 255 * (i64::from(add.multiplier_a) + i64::from(add.multiplier_b));
    let (offset, zero_point) = if whole.abs() + largest < 1 << 31 { (whole, 0) } else { (offset, codes.zero_point) };
    let Ok(offset) = i32::try_from(offset) else {
        return false;
    };
    let sum = |x: u32, y: u32| (x as i32).wrapping_mul(m_a).wrapping_add(offset).wrapping_add((y as i32).wrapping_mul(m_b)) >> shift;
    each_row(add.channels, add.broadcast, a.codes, b.codes, output, |a, b, output| {
        if zero_point == 0 && is_saturation(&codes) {
            zip(a, b, output, |x, y| sum(x, y).clamp(0, 255) as u32);
        } else {
            zip(a, b, output, |x, y| sum(x, y).wrapping_add(zero_point).max(codes.lo).min(codes.hi) as u32);
        }
    });
    true
}

/// See [`native::mul`](crate::native::mul).
pub(crate) fn mul(mul: &Mul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    let codes = mul.codes;
    if ![a.bits, b.bits, codes.bits].into_iter().all(is_byte) || mul.shift < HIGH_SHIFT_MIN {
        return false;
    }
    let product = |x: u32, y: u32| {
        let product = (x as i32).wrapping_sub(a.zero_point).wrapping_mul((y as i32).wrapping_sub(b.zero_point));
        requant::requantize_high(product, mul.multiplier, mul.shift).wrapping_add(codes.zero_point)
    };
    each_row(mul.channels, mul.broadcast, a.codes, b.codes, output, |a, b, output| {
        zip(a, b, output, |x, y| product(x, y).max(codes.lo).min(codes.hi) as u32);
    });
    true
}

/// See [`native::requantize`](crate::native::requantize).
pub(crate) fn requantize(params: &Requantize, input: Activations<'_>, output: &mut [u8]) -> bool {
    let codes = params.codes;
    if !is_byte(input.bits) || !is_byte(codes.bits) || input.codes.len() < TABLE_MIN {
        return false;
    }
    let mut entries = [0; 256];
    for (entry, code) in entries.iter_mut().zip(0i32..) {
        let scaled = requant::requantize_i32(code - input.zero_point, params.multiplier, params.shift);
        *entry = codes.code(scaled) as u8;
    }
    look_up(&entries, input.codes, output);
    true
}

/// See [`native::table`](crate::native::table).
pub(crate) fn table(table: &Table<'_>, input: Activations<'_>, output: &mut [u8]) -> bool {
    if !is_byte(input.bits) || !is_byte(table.bits) {
        return false;
    }
    match table.entries.first_chunk::<256>() {
        Some(entries) if input.bits == ActivationBits::A8 => look_up(entries, input.codes, output),
        _ => {
            let mut entries = [0; 256];
            for (to, &entry) in entries.iter_mut().zip(table.entries) {
                *to = entry;
            }
            look_up(&entries, input.codes, output);
        }
    }
    true
}

#[inline(never)]
fn look_up(entries: &[u8; 256], input: &[u8], output: &mut [u8]) {
    map(input, output, |code| u32::from(entries[usize::from(code as u8)]));
}
