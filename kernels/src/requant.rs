//! Requantisation: an integer accumulator to another scale, `M = m / 2^r`, with one rounding, half towards +infinity.
//!
//! `requant(acc, m, r) = (acc * m + 2^(r-1)) >> r` as if in 64 bits, 1 <= r <= 62. With a 32-bit accumulator and
//! m < 2^31, or |acc| < 2^39 and m < 2^23, nothing passes 2^62 + 2^61. Outside those ranges everything wraps; nothing
//! panics.

/// `(acc * m + 2^(r-1)) >> r` in 64 bits.
#[inline]
pub const fn requantize(acc: i64, m: i32, r: u8) -> i64 {
    // The wrapping operations are for parameters and accumulators that broke their promise; they cost nothing.
    let half = 1i64.wrapping_shl((r as u32).wrapping_sub(1));
    acc.wrapping_mul(m as i64).wrapping_add(half).wrapping_shr(r as u32)
}

/// `(acc * m + 2^(r-1)) >> r` as if in 128 bits, for |acc| < 2^47 and m < 2^31; saturated to +-2^62, which lies beyond every
/// clamp.
#[inline]
pub const fn requantize_wide(acc: i64, m: i32, r: u8) -> i64 {
    const LIMIT: i128 = 1 << 62;
    let half = 1i128.wrapping_shl((r as u32).wrapping_sub(1));
    let scaled = (acc as i128 * m as i128).wrapping_add(half).wrapping_shr(r as u32);
    if scaled > LIMIT {
        LIMIT as i64
    } else if scaled < -LIMIT {
        -LIMIT as i64
    } else {
        scaled as i64
    }
}

/// Smallest shift for which [`requantize_high`] holds.
pub const HIGH_SHIFT_MIN: u8 = 32;

/// [`requantize`] of a 32-bit accumulator for 32 <= r <= 62: one widening multiply-add, and a shift of the high word.
///
/// Exact, because `x >> r == (x >> 32) >> (r - 32)`. The result plus any zero point fits 32 bits: it is below 1.5 * 2^30.
#[inline]
pub const fn requantize_high(acc: i32, m: i32, r: u8) -> i32 {
    let half = 1i64.wrapping_shl((r as u32).wrapping_sub(1));
    let sum = (acc as i64 * m as i64).wrapping_add(half);
    ((sum >> 32) as i32).wrapping_shr((r as u32).wrapping_sub(32))
}

/// [`requantize`] of a 32-bit accumulator for 33 <= r <= 62, without the lower word of the product: it takes no part in the rounding.
#[inline]
pub const fn requantize_upper(acc: i32, m: i32, r: u8) -> i32 {
    let half = 1i32.wrapping_shl((r as u32).wrapping_sub(33));
    upper(acc, m).wrapping_add(half).wrapping_shr((r as u32).wrapping_sub(32))
}

/// The upper word of a product.
#[inline(always)]
pub(crate) const fn upper(a: i32, b: i32) -> i32 {
    // Cortex-M0 and its like have no long multiplication, and the library's is for 64-bit factors.
    if cfg!(all(core_feature = "thumb", not(core_feature = "thumb2"))) {
        upper_by_halves(a, b)
    } else {
        ((a as i64 * b as i64) >> 32) as i32
    }
}

/// [`upper`] by products of halves. No sum overflows: |a >> 16| <= 2^15, and a lower half is below 2^16.
#[cfg_attr(all(core_feature = "thumb", not(core_feature = "thumb2")), inline(never))]
const fn upper_by_halves(a: i32, b: i32) -> i32 {
    let (a_low, a_high, b_low, b_high) = (a & 0xffff, a >> 16, b & 0xffff, b >> 16);
    let low = (a_low as u32).wrapping_mul(b_low as u32);
    let cross = (a_high * b_low).wrapping_add((low >> 16) as i32);
    let other = (a_low * b_high).wrapping_add(cross & 0xffff);
    (a_high * b_high).wrapping_add(cross >> 16).wrapping_add(other >> 16)
}

/// [`requantize`] of a 32-bit accumulator, by the fast form where that holds.
#[inline]
pub const fn requantize_i32(acc: i32, m: i32, r: u8) -> i64 {
    if r >= HIGH_SHIFT_MIN { requantize_high(acc, m, r) as i64 } else { requantize(acc as i64, m, r) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// The definition, where nothing can overflow.
    fn exact(acc: i64, m: i32, r: u8) -> i128 {
        let scaled = i128::from(acc) * i128::from(m);
        (scaled + (1 << (r - 1))).div_euclid(1 << r)
    }

    fn check(acc: i64, m: i32, r: u8) {
        let expected = exact(acc, m, r);
        assert_eq!(i128::from(requantize(acc, m, r)), expected, "{acc} {m} {r}");
        if let Ok(acc) = i32::try_from(acc) {
            assert_eq!(i128::from(requantize_i32(acc, m, r)), expected, "{acc} {m} {r}");
            assert_eq!(i128::from(requantize_wide(i64::from(acc), m, r)), expected, "{acc} {m} {r}");
            if r >= HIGH_SHIFT_MIN {
                assert_eq!(i128::from(requantize_high(acc, m, r)), expected, "{acc} {m} {r}");
                assert!(expected.abs() < (1 << 31) - (1 << 16), "a zero point fits");
            }
            if r > HIGH_SHIFT_MIN {
                assert_eq!(i128::from(requantize_upper(acc, m, r)), expected, "{acc} {m} {r}");
            }
            for (a, b) in [(acc, m), (m, acc), (acc, acc), (acc, !m)] {
                assert_eq!(i64::from(upper_by_halves(a, b)), (i64::from(a) * i64::from(b)) >> 32, "{a} {b}");
            }
        }
    }

    #[test]
    fn halves_round_up() {
        assert_eq!(requantize(1, 1, 1), 1);
        assert_eq!(requantize(-1, 1, 1), 0);
        assert_eq!(requantize(-3, 1, 1), -1);
        assert_eq!(requantize(3, 1 << 30, 31), 2);
        assert_eq!(requantize_high(-3, 1 << 30, 32), -1);
        assert_eq!(requantize_high(-2, 1 << 30, 32), 0);
    }

    #[test]
    fn wide_sums_saturate_beyond_every_clamp() {
        let largest = (1i64 << 47) - 1;
        for r in 1..=62 {
            for (acc, m) in [(largest, i32::MAX), (-largest, i32::MAX), (largest, 1 << 30), (-largest, 3)] {
                let expected = exact(acc, m, r).clamp(-(1 << 62), 1 << 62);
                assert_eq!(i128::from(requantize_wide(acc, m, r)), expected, "{acc} {m} {r}");
            }
        }
    }

    #[test]
    fn equal_to_the_definition_at_every_shift_and_boundary() {
        let multipliers = [0, 1, 2, 3, (1 << 22) - 1, 1 << 22, (1 << 23) - 1, 1 << 30, (1 << 30) + 1, i32::MAX - 1, i32::MAX];
        let (mut random, mut others) = (Random::new(3), Random::new(4));
        for r in 1..=62u8 {
            for m in multipliers.into_iter().chain((0..8).map(|_| others.between(0, i32::MAX))) {
                let edges = [i32::MIN, i32::MIN + 1, -(1 << 30), -2, -1, 0, 1, 2, 1 << 30, i32::MAX - 1, i32::MAX];
                for acc in edges.into_iter().chain((0..8).map(|_| random.between(i32::MIN, i32::MAX))) {
                    check(i64::from(acc), m, r);
                }
                // Accumulators at which the rounding turns.
                if m != 0 {
                    let turn = (1i64 << (r - 1)) / i64::from(m);
                    for acc in [-turn - 1, -turn, turn, turn + 1, 3 * turn] {
                        if i32::try_from(acc).is_ok() {
                            check(acc, m, r);
                        }
                    }
                }
                if m < 1 << 23 {
                    let bound = (1i64 << 39) - 1;
                    for acc in [-bound, bound, bound - 1, i64::from(random.between(i32::MIN, i32::MAX)) << 7] {
                        check(acc, m, r);
                    }
                }
            }
        }
    }
}
