//! What becomes of an accumulator: bias, multiplier, shift, zero point and clamp.

use super::{Accumulator, ActivationBits, Invalid};

/// Codes that an operator writes: zero point, clamp and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputCodes {
    /// Code of real zero.
    pub zero_point: i32,
    /// Smallest code written; a fused ReLU raises it to the zero point.
    pub lo: i32,
    /// Largest code written; a fused ReLU6 lowers it.
    pub hi: i32,
    /// Width of a code.
    pub bits: ActivationBits,
}

impl OutputCodes {
    /// All codes of that width, with that zero point.
    pub const fn full(bits: ActivationBits, zero_point: i32) -> Self {
        Self { zero_point, lo: bits.lo(), hi: bits.hi(), bits }
    }

    /// The code of a requantized value: zero point added and clamped in 64 bits.
    #[inline]
    pub fn code(&self, requantized: i64) -> i32 {
        let code = requantized.wrapping_add(i64::from(self.zero_point));
        // `max` then `min` rather than `clamp`, which panics where lo > hi.
        code.max(i64::from(self.lo)).min(i64::from(self.hi)) as i32
    }

    /// Zero point and clamp are codes of the width and lo <= hi.
    ///
    /// # Errors
    /// The zero point is no code, or the clamp is empty or outside the codes.
    pub fn check(&self) -> Result<(), Invalid> {
        if !self.bits.contains(self.zero_point) {
            return Err(Invalid::ZeroPoint);
        }
        if self.lo > self.hi || !self.bits.contains(self.lo) || !self.bits.contains(self.hi) {
            return Err(Invalid::Clamp);
        }
        Ok(())
    }
}

/// Output stage of a multiply-accumulate operator, with one bias, multiplier and shift for each output channel:
/// `clamp(((acc + bias) * multiplier + 2^(shift-1) >> shift) + zero_point, lo, hi)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputStage<'a> {
    /// `[O]`: bias with the input's zero point folded in, `bias - z_in * sum w`; the accumulator starts from it.
    pub bias: &'a [i32],
    /// `[O]`: m, 0 .. 2^31 with a 32-bit accumulator, 0 .. 2^23 with a 64-bit one.
    pub multiplier: &'a [i32],
    /// `[O]`: r, 1 ..= 62.
    pub shift: &'a [u8],
    /// Code of real zero of the output.
    pub zero_point: i32,
    /// Smallest code written.
    pub lo: i32,
    /// Largest code written.
    pub hi: i32,
    /// Width of an output code.
    pub bits: ActivationBits,
}

impl OutputStage<'_> {
    /// The part that all channels share.
    pub const fn codes(&self) -> OutputCodes {
        OutputCodes { zero_point: self.zero_point, lo: self.lo, hi: self.hi, bits: self.bits }
    }

    /// Bias, multiplier and shift of output channel `index`.
    #[inline]
    pub fn channel(&self, index: usize) -> Option<(i32, i32, u8)> {
        Some((*self.bias.get(index)?, *self.multiplier.get(index)?, *self.shift.get(index)?))
    }

    /// Lengths, multipliers, shifts and clamp suit `channels` outputs of that accumulator.
    ///
    /// # Errors
    /// The lists have another length than `channels`, or a multiplier, a shift, the zero point or the clamp is out of range.
    pub fn check(&self, channels: usize, accumulator: Accumulator) -> Result<(), Invalid> {
        if [self.bias.len(), self.multiplier.len(), self.shift.len()] != [channels; 3] {
            return Err(Invalid::StageLength);
        }
        for (&multiplier, &shift) in self.multiplier.iter().zip(self.shift) {
            check_rescale(multiplier, shift, accumulator)?;
        }
        self.codes().check()
    }
}

/// One multiplier and shift are in range for that accumulator.
pub(super) fn check_rescale(multiplier: i32, shift: u8, accumulator: Accumulator) -> Result<(), Invalid> {
    if !(0..=accumulator.multiplier_max()).contains(&multiplier) {
        return Err(Invalid::Multiplier);
    }
    if !(1..=62).contains(&shift) {
        return Err(Invalid::Shift);
    }
    Ok(())
}
