//! The output stage in 32 bits.

use super::program::End;
use crate::{ActivationBits, OutputCodes};

/// `(high word of sum * multiplier) + rounding >> shift`: the requantized sum and the zero point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) end: End,
    /// Bits by which taps and bias are shifted to the left.
    pub(crate) scale: u32,
    pub(crate) rounding: i32,
    pub(crate) shift: u8,
}

/// Bits that taps have to spare in 16.
const SCALE_MAX: u8 = 8;

impl Stage {
    /// Smallest shift of the whole that leaves a rounding which is a multiple of 2^32.
    pub(crate) const SHIFT_MIN: u8 = 33;

    /// Largest shift with those codes: the high word stays below 2^30, and so must half of one and the zero point.
    pub(crate) fn shift_max(codes: &OutputCodes) -> u8 {
        let once = (2 * codes.zero_point + 1).unsigned_abs();
        (Self::SHIFT_MIN as u32 + once.leading_zeros()).saturating_sub(2).min(62) as u8
    }

    /// Whether saturation to 8 bits comes first; what is narrower follows.
    pub(crate) fn straight(codes: &OutputCodes) -> bool {
        codes.bits != ActivationBits::A16
    }

    /// For sums of at most `magnitude()`, where that matters.
    pub(crate) fn new(codes: &OutputCodes, shift: u8, magnitude: impl FnOnce() -> u64) -> Self {
        let slow = Self { end: End::Sums, scale: 0, rounding: 0, shift: 0 };
        let scale = Self::SHIFT_MIN.saturating_sub(shift);
        // A smaller shift becomes that one where the sum has bits to spare.
        if scale > SCALE_MAX || (scale > 0 && magnitude() >= 1 << (31 - scale)) {
            return slow;
        }
        let shift = shift.max(Self::SHIFT_MIN);
        if shift > Self::shift_max(codes) {
            return slow;
        }
        let end = if Self::straight(codes) { End::Codes } else { End::Words };
        let rounding = (2 * codes.zero_point + 1) << (shift - Self::SHIFT_MIN);
        Self { end, scale: u32::from(scale), rounding, shift: shift - 32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rounding_stays_below_its_bound_and_passes_it_with_the_next_shift() {
        for zero_point in [0, 1, 2, 3, 127, 128, 254, 255, -1, -2, -32768, 32767] {
            let codes = OutputCodes::full(ActivationBits::A8, zero_point);
            let once = u64::from((2 * zero_point + 1).unsigned_abs());
            let max = Stage::shift_max(&codes);
            assert!(once << (max - Stage::SHIFT_MIN) < 1 << 30);
            assert!(max == 62 || once << (max + 1 - Stage::SHIFT_MIN) >= 1 << 30, "{zero_point}");
        }
    }
}
