//! Parameters of layer normalisation.

use super::geometry::rows_bytes;
use super::{Invalid, Operand, OutputCodes};

/// Layer normalisation over the last axis of `[rows, channels]`:
/// `(x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c]`.
///
/// The zero point of the input cancels, and nothing but the square root is rounded before the result:
///
/// 1. `S = sum q`, `D[c] = C q[c] - S` and `N = C sum q^2 - S^2` are exact: C times the distance from the mean and C^2
///    times the variance, in input codes. |D| < 2^29 and N <= 2^56 for C <= 8192.
/// 2. `R = 64 N + E`, where `E = round(64 C^2 epsilon / s_in^2)` is a constant of the file below 2^62. For R = 0 every D
///    is 0, and so is every n below.
/// 3. k is the number with `2^62 <= R 4^k < 2^64`, `s = floor(sqrt(R 4^k))`, and `v = floor(2^62 / s)`: the reciprocal
///    of the root in 31 bits.
/// 4. `n[c] = (D[c] v + 2^(35-k)) >> (36 - k)`: the normalised value in units of 2^-23, |n| < 2^30.
/// 5. `y[c] = clamp(((n[c] g[c] + (b[c] << (r - 14)) + 2^(r-1)) >> r) + z_out, lo, hi)`, with gamma as signed mantissas
///    `g = gamma / s_out * 2^(r-23)` under one shift, and `b = beta / s_out * 2^14`. Everything fits 64 bits.
///
/// See [`reference::layer_norm`](crate::reference::layer_norm) for its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerNorm<'a> {
    /// Independent rows.
    pub rows: usize,
    /// C: codes of a row, at most [`LayerNorm::CHANNELS_MAX`].
    pub channels: usize,
    /// E, below 2^62.
    pub epsilon: u64,
    /// `[C]`: g.
    pub gamma: &'a [i32],
    /// `[C]`: b.
    pub beta: &'a [i32],
    /// r, [`LayerNorm::SHIFT_MIN`] ..= [`LayerNorm::SHIFT_MAX`].
    pub shift: u8,
    /// Codes written.
    pub codes: OutputCodes,
}

impl LayerNorm<'_> {
    /// Most codes of a row.
    pub const CHANNELS_MAX: usize = 8192;
    /// Smallest shift: one more than the fraction bits of beta.
    pub const SHIFT_MIN: u8 = 15;
    /// Largest shift, for which shifted betas stay below 2^59.
    pub const SHIFT_MAX: u8 = 42;
    /// Fraction bits of R beside those of N.
    pub const EPSILON_BITS: u32 = 6;
    /// Fraction bits of a normalised value.
    pub const NORMAL_BITS: u32 = 23;
    /// Fraction bits of beta.
    pub const BETA_BITS: u32 = 14;

    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, gamma and beta are not `[C]`, or E, the shift, the zero point
    /// or the clamp is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        input.check(rows_bytes(self.rows, self.channels, input.bits)?)?;
        if rows_bytes(self.rows, self.channels, self.codes.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        if self.channels > Self::CHANNELS_MAX || self.epsilon >= 1 << 62 {
            return Err(Invalid::TooLarge);
        }
        if [self.gamma.len(), self.beta.len()] != [self.channels; 2] {
            return Err(Invalid::StageLength);
        }
        if !(Self::SHIFT_MIN..=Self::SHIFT_MAX).contains(&self.shift) {
            return Err(Invalid::Shift);
        }
        self.codes.check()
    }
}
