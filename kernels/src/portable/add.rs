//! Sum, difference and product of two tensors.

use super::blocks;
use crate::{ActivationBits, Activations, Add, Mul, requant};

/// Sum or difference; see [`Add`].
pub fn add(add: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    #[cfg(target_pointer_width = "32")]
    if super::words::add(add, a, b, output, super::words::Sum::run, super::words::clamp) {
        return;
    }
    let shape = (add.rows, add.channels, add.broadcast);
    let sign = if add.subtract { -1 } else { 1 };
    let (m_a, m_b) = (i64::from(add.multiplier_a), sign * i64::from(add.multiplier_b));
    let (z_a, z_b) = (a.zero_point, b.zero_point);
    let codes = add.codes;
    if fits_32_bits(add, a.bits, b.bits) {
        let (m_a, m_b) = (m_a as i32, m_b as i32);
        let (half, shift) = (1i32.wrapping_shl(u32::from(add.shift) - 1), u32::from(add.shift));
        let (z_a, z_b) = (z_a as i16, z_b as i16);
        blocks::zip(shape, codes.bits, a, b, output, |a, b| {
            for (a, &b) in a.iter_mut().zip(b) {
                let (x, y) = (i32::from(a.wrapping_sub(z_a)), i32::from(b.wrapping_sub(z_b)));
                let sum = x.wrapping_mul(m_a).wrapping_add(y.wrapping_mul(m_b));
                let code = (sum.wrapping_add(half).wrapping_shr(shift)).wrapping_add(codes.zero_point);
                *a = code.max(codes.lo).min(codes.hi) as i16;
            }
        });
    } else {
        blocks::zip(shape, codes.bits, a, b, output, |a, b| {
            for (a, &b) in a.iter_mut().zip(b) {
                let (x, y) = (i64::from(i32::from(*a) - z_a), i64::from(i32::from(b) - z_b));
                *a = codes.code(requant::requantize(x * m_a + y * m_b, 1, add.shift)) as i16;
            }
        });
    }
}

/// Whether every intermediate value stays within 32 bits, zero point included.
pub(crate) fn fits_32_bits(add: &Add, a: ActivationBits, b: ActivationBits) -> bool {
    let largest = 255 * (i64::from(add.multiplier_a) + i64::from(add.multiplier_b));
    let narrow = a != ActivationBits::A16 && b != ActivationBits::A16;
    narrow && (1..=30).contains(&add.shift) && largest + (1 << (add.shift - 1)) < (1 << 31) - (1 << 16)
}

/// Product; see [`Mul`].
pub fn mul(mul: &Mul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    #[cfg(target_pointer_width = "32")]
    if super::words::mul(mul, a, b, output, super::words::clamp) {
        return;
    }
    let codes = mul.codes;
    let shape = (mul.rows, mul.channels, mul.broadcast);
    let (z_a, z_b) = (a.zero_point, b.zero_point);
    blocks::zip(shape, codes.bits, a, b, output, |a, b| {
        for (a, &b) in a.iter_mut().zip(b) {
            let product = i64::from(i32::from(*a) - z_a) * i64::from(i32::from(b) - z_b);
            *a = codes.code(requant::requantize(product, mul.multiplier, mul.shift)) as i16;
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::testing::elementwise;

    #[test]
    fn equals_the_reference() {
        elementwise::check_add(super::add);
        elementwise::check_mul(super::mul);
    }
}
