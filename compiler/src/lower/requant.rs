//! Real factors as integer mantissas under a shift (arithmetic.md, requantisation).

use apq_kernels::Accumulator;

/// Largest shift that a kernel takes.
const SHIFT_MAX: i32 = 62;

/// `factor` as `m * 2^-r` with a normalised mantissa of `mantissa_bits` bits, 1 <= r <= 62. A factor too small for that gets a shorter mantissa;
/// `None` for one too large.
pub fn mantissa(factor: f64, mantissa_bits: u32) -> Option<(i32, u8)> {
    if factor == 0.0 {
        return Some((0, 1));
    }
    if !factor.is_finite() || factor < 0.0 {
        return None;
    }
    let mut exponent = factor.log2().floor() as i32 + 1;
    // log2 may be off by one next to a power of two.
    while factor * 2f64.powi(-exponent) >= 1.0 {
        exponent += 1;
    }
    while factor * 2f64.powi(-exponent) < 0.5 {
        exponent -= 1;
    }
    let mut shift = mantissa_bits as i32 - exponent;
    let mut m = (factor * 2f64.powi(shift)).round();
    if m >= 2f64.powi(mantissa_bits as i32) {
        m /= 2.0;
        shift -= 1;
    }
    if shift > SHIFT_MAX {
        m = (factor * 2f64.powi(SHIFT_MAX)).round();
        shift = SHIFT_MAX;
    }
    (shift >= 1).then_some((m as i32, shift as u8))
}

/// The mantissa for a layer with that accumulator.
pub fn layer_mantissa(factor: f64, accumulator: Accumulator) -> Option<(i32, u8)> {
    mantissa(
        factor,
        match accumulator {
            Accumulator::I32 => 31,
            Accumulator::I64 => 23,
        },
    )
}

/// Two factors under one shift, the larger one normalised to `mantissa_bits` bits.
pub fn shared_mantissas(a: f64, b: f64, mantissa_bits: u32) -> Option<([i32; 2], u8)> {
    let (_, shift) = mantissa(a.max(b), mantissa_bits)?;
    let at = |factor: f64| (factor * 2f64.powi(i32::from(shift))).round() as i32;
    Some(([at(a), at(b)], shift))
}

/// A factor of either sign; the mantissa carries the sign.
pub fn signed_mantissa(factor: f64) -> Option<(i32, u8)> {
    let (m, shift) = mantissa(factor.abs(), 31)?;
    Some((if factor < 0.0 { -m } else { m }, shift))
}

/// The mantissa of a bilinear resize, whose sums count in 2^-22 of an input code (`apq_kernels::Resize`).
pub fn resize_mantissa(ratio: f64, input_bits: u8) -> Option<(i32, u8)> {
    mantissa(ratio * 2f64.powi(-22), if input_bits == 16 { 23 } else { 31 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mantissas_are_normalised_and_close() {
        for exponent in -31..29 {
            for fraction in [0.5, 0.500001, 0.75, 0.999999999, 0.9999999999999] {
                let factor = fraction * 2f64.powi(exponent);
                let (m, r) = mantissa(factor, 31).unwrap();
                assert!((1..=62).contains(&r), "{factor}");
                let back = f64::from(m) * 2f64.powi(-i32::from(r));
                assert!((back / factor - 1.0).abs() <= 2f64.powi(-30), "{factor} {m} {r}");
                assert!(m >= 1 << 30, "{factor} {m} {r}");
            }
        }
    }

    #[test]
    fn extremes() {
        assert_eq!(mantissa(0.0, 31), Some((0, 1)));
        assert_eq!(mantissa(2f64.powi(30), 31), None);
        assert_eq!(mantissa(2f64.powi(29), 31), Some((1 << 30, 1)));
        assert_eq!(mantissa(2f64.powi(-40), 31), Some((1 << 22, 62)));
        assert_eq!(mantissa(f64::NAN, 31), None);
        assert_eq!(mantissa(-1.0, 31), None);
    }
}
