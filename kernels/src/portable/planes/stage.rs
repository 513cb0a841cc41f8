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

/// Smallest shift of the whole that leaves a rounding which is a multiple of 2^32.
const SHIFT_MIN: u8 = 33;

/// Bits that taps have to spare in 16.
const SCALE_MAX: u8 = 8;

impl Stage {
    /// For sums of at most `magnitude()`, where that matters.
    pub(crate) fn new(codes: &OutputCodes, shift: u8, magnitude: impl FnOnce() -> u64) -> Self {
        let slow = Self { end: End::Sums, scale: 0, rounding: 0, shift: 0 };
        let scale = SHIFT_MIN.saturating_sub(shift);
        // A smaller shift becomes that one where the sum has bits to spare.
        if scale > SCALE_MAX || (scale > 0 && magnitude() >= 1 << (31 - scale)) {
            return slow;
        }
        let shift = shift.max(SHIFT_MIN);
        // The high word stays below 2^30, and so must half of one and the zero point.
        let (once, places) = (2 * codes.zero_point + 1, u32::from(shift - SHIFT_MIN));
        if places >= 30 || once.unsigned_abs() >= 1 << (30 - places) {
            return slow;
        }
        let straight = codes.bits == ActivationBits::A8 && codes.lo == 0 && codes.hi == 255;
        let end = if straight { End::Codes } else { End::Words };
        Self { end, scale: u32::from(scale), rounding: once << places, shift: shift - 32 }
    }
}
