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

/// A sum as 32-bit arithmetic has it: `a * m_a + b * m_b + offset >> shift`, saturated to 8 bits.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    pub(crate) m_a: i32,
    pub(crate) m_b: i32,
    pub(crate) offset: i32,
    /// 1 ..= 30
    pub(crate) shift: u32,
}

impl Sum {
    fn new(add: &Add, a: Activations<'_>, b: Activations<'_>) -> Option<Self> {
        let codes = add.codes;
        if ![a.bits, b.bits, codes.bits].into_iter().all(is_byte) || !fits_32_bits(add, a.bits, b.bits) {
            return None;
        }
        let (m_a, m_b) = (add.multiplier_a, if add.subtract { -add.multiplier_b } else { add.multiplier_b });
        // Half of one, both zero points of the inputs, and that of the output above the shift.
        let zero = i64::from(a.zero_point) * i64::from(m_a) + i64::from(b.zero_point) * i64::from(m_b);
        let offset = (1i64 << (add.shift - 1)) - zero + (i64::from(codes.zero_point) << add.shift);
        let largest = 255 * (i64::from(add.multiplier_a) + i64::from(add.multiplier_b));
        let fits = offset.abs() + largest < 1 << 31;
        fits.then_some(Self { m_a, m_b, offset: offset as i32, shift: u32::from(add.shift) })
    }

    /// In plain Rust.
    #[inline(never)]
    pub(crate) fn run(&self, a: &[u8], b: &[u8], output: &mut [u8]) {
        let Self { m_a, m_b, offset, shift } = *self;
        zip(a, b, output, |x, y| {
            let sum = (x as i32).wrapping_mul(m_a).wrapping_add((y as i32).wrapping_mul(m_b)).wrapping_add(offset);
            sum.wrapping_shr(shift).clamp(0, 255) as u32
        });
    }
}

/// See [`native::add`](crate::native::add). `run` saturates a [`Sum`], `clamp` narrows that.
pub(crate) fn add(
    add: &Add,
    a: Activations<'_>,
    b: Activations<'_>,
    output: &mut [u8],
    run: impl Fn(&Sum, &[u8], &[u8], &mut [u8]),
    clamp: impl Fn(&mut [u8], u8, u8),
) -> bool {
    let Some(sum) = Sum::new(add, a, b) else {
        return false;
    };
    each_row(add.channels, add.broadcast, a.codes, b.codes, output, |a, b, output| run(&sum, a, b, output));
    narrow(&add.codes, output, clamp);
    true
}

/// Clamps what is saturated to 8 bits.
fn narrow(codes: &OutputCodes, output: &mut [u8], clamp: impl Fn(&mut [u8], u8, u8)) {
    if codes.lo > 0 || codes.hi < 255 {
        clamp(output, codes.lo as u8, codes.hi as u8);
    }
}

/// See [`native::mul`](crate::native::mul).
pub(crate) fn mul(mul: &Mul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8], clamp: impl Fn(&mut [u8], u8, u8)) -> bool {
    let codes = mul.codes;
    // The product's high word stays below 2^16, and the zero point and half of one fit beside it.
    if ![a.bits, b.bits, codes.bits].into_iter().all(is_byte) || !(HIGH_SHIFT_MIN + 1..=HIGH_SHIFT_MIN + 20).contains(&mul.shift) {
        return false;
    }
    let (z_a, z_b, multiplier) = (a.zero_point, b.zero_point, mul.multiplier);
    let shift = u32::from(mul.shift - HIGH_SHIFT_MIN);
    let offset = (2 * codes.zero_point + 1) << (shift - 1);
    each_row(mul.channels, mul.broadcast, a.codes, b.codes, output, |a, b, output| {
        scale(a, b, output, z_a, z_b, multiplier, offset, shift);
    });
    narrow(&codes, output, clamp);
    true
}

/// `(high word of (a - z_a) * (b - z_b) * multiplier) + offset >> shift`, saturated to 8 bits.
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "each in a register")]
fn scale(a: &[u8], b: &[u8], output: &mut [u8], z_a: i32, z_b: i32, multiplier: i32, offset: i32, shift: u32) {
    zip(a, b, output, |x, y| {
        let product = (x as i32).wrapping_sub(z_a).wrapping_mul((y as i32).wrapping_sub(z_b));
        let high = ((i64::from(product) * i64::from(multiplier)) >> 32) as i32;
        high.wrapping_add(offset).wrapping_shr(shift).clamp(0, 255) as u32
    });
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
