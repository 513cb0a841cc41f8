//! Parameters of the rectifier with a slope for each channel.

use super::geometry::rows_bytes;
use super::stage::check_rescale;
use super::{Accumulator, Invalid, Operand, OutputCodes};

/// Rectifier with a slope for each channel (ONNX `PRelu`). With v the input's code less its zero point:
///
/// ```text
/// v >= 0    clamp(requant(v, m, r) + z_out, lo, hi)             m / 2^r       = s_in / s_out
/// v <  0    clamp(requant(v, m_c, r_c) + z_out, lo, hi)         m_c / 2^(r_c) = slope_c * s_in / s_out
/// ```
///
/// m_c carries the slope's sign, so that negative slopes are as exact as others. One rounding: the result is within 0.5
/// of a code of the exact value, and 2^-14 of a code at 16 bits for the mantissas of 31 bits. A rectifier with one slope
/// for all channels is a [`Table`](super::Table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelu<'a> {
    /// Rows (pixels).
    pub rows: usize,
    /// Codes of a row.
    pub channels: usize,
    /// m of values that are not negative, 0 .. 2^31.
    pub multiplier: i32,
    /// r of the same, 1 ..= 62.
    pub shift: u8,
    /// `[C]`: m_c of negative values, -2^31 < m_c < 2^31.
    pub slope_multiplier: &'a [i32],
    /// `[C]`: r_c of negative values, 1 ..= 62.
    pub slope_shift: &'a [u8],
    /// Codes written.
    pub codes: OutputCodes,
}

impl Prelu<'_> {
    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, the slopes are not as many as the channels, or a multiplier,
    /// a shift, a zero point or the clamp is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        check_rescale(self.multiplier, self.shift, Accumulator::I32)?;
        input.check(rows_bytes(self.rows, self.channels, input.bits)?)?;
        if rows_bytes(self.rows, self.channels, self.codes.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        if [self.slope_multiplier.len(), self.slope_shift.len()] != [self.channels; 2] {
            return Err(Invalid::StageLength);
        }
        for (&multiplier, &shift) in self.slope_multiplier.iter().zip(self.slope_shift) {
            check_rescale(multiplier.checked_abs().ok_or(Invalid::Multiplier)?, shift, Accumulator::I32)?;
        }
        self.codes.check()
    }
}
