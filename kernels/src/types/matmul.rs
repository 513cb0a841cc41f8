//! Parameters of the product of two activations.

use super::geometry::rows_bytes;
use super::multiply::check_scratch;
use super::stage::check_rescale;
use super::{Accumulator, ActivationBits, Activations, Invalid, Operand, OutputCodes};
use crate::portable;

/// Matrix product of two activations, one for each batch (attention: one for each head):
/// `y[n, i, j] = clamp(requant(sum_k (a[n, i, k] - z_a) * (b[n, k, j] - z_b), m, r) + z_out, lo, hi)`.
///
/// With codes instead of differences the sum is `sum a b - z_b sum a - z_a sum b + K z_a z_b`, the same integer. No
/// difference passes `d = max(z - lo, hi - z)` of its tensor, so that no sum, whole or partial, passes `K d_a d_b`: at
/// most 255^2 K at 8 bits and 2^30 K at 16. [`MatMul::check`] refuses what may reach 2^47 (K = 131072 at 16 bits), and
/// `requant` is computed as if in 128 bits, so that nothing overflows; below 2^31 everything but `requant`'s product
/// fits 32 bits. That is a property of widths, zero points and K alone, no file has to state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Independent products.
    pub batches: usize,
    /// Rows of `a` and of the output, for each batch.
    pub rows: usize,
    /// K: the axis that is summed over.
    pub inner: usize,
    /// Columns of the output.
    pub columns: usize,
    /// `b` is stored `[batches, columns, inner]`, as a layer's weights are; else `[batches, inner, columns]`.
    pub transposed: bool,
    /// m, 0 .. 2^31.
    pub multiplier: i32,
    /// r, 1 ..= 62.
    pub shift: u8,
    /// Codes written.
    pub codes: OutputCodes,
}

/// Sums stay below this: times m < 2^31 they are far from the limit of 128 bits.
const SUM_LIMIT: u64 = 1 << 47;

impl MatMul {
    /// Rows and codes of a row of `b`, for one batch.
    pub const fn right(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.inner) } else { (self.inner, self.columns) }
    }

    /// Multiply-accumulates. Does not overflow after [`MatMul::check`] for products that a machine could finish.
    pub const fn macs(&self) -> usize {
        self.batches.saturating_mul(self.rows).saturating_mul(self.columns).saturating_mul(self.inner)
    }

    /// Largest absolute sum, from the widths and the zero points; `None` past 64 bits.
    pub fn sum_max(&self, a: Operand, b: Operand) -> Option<u64> {
        let inner = u64::try_from(self.inner).ok()?;
        inner.checked_mul(difference_max(a.bits, a.zero_point) * difference_max(b.bits, b.zero_point))
    }

    /// Whether every sum fits 32 bits.
    pub fn fits_32_bits(&self, a: &Activations<'_>, b: &Activations<'_>) -> bool {
        self.sum_max(a.operand(), b.operand()).is_some_and(|sum| sum < 1 << 31)
    }

    /// Everything that the kernels rely on. The scratch must have [`portable::matmul_scratch_bytes_min`] bytes; more of
    /// it is faster.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, a sum may reach 2^47, or the multiplier, the shift, a zero
    /// point (0 at 16 bits) or the clamp is out of range.
    pub fn check(&self, a: Operand, b: Operand, output_bytes: usize, scratch_bytes: usize) -> Result<(), Invalid> {
        check_rescale(self.multiplier, self.shift, Accumulator::I32)?;
        let of_batches = |rows: usize| self.batches.checked_mul(rows).ok_or(Invalid::TooLarge);
        a.check(rows_bytes(of_batches(self.rows)?, self.inner, a.bits)?)?;
        let (rows, codes) = self.right();
        b.check(rows_bytes(of_batches(rows)?, codes, b.bits)?)?;
        if rows_bytes(of_batches(self.rows)?, self.columns, self.codes.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        self.codes.check()?;
        // Differences of 16-bit codes from anything else would take 17 bits.
        if [a, b].iter().any(|operand| operand.bits.signed() && operand.zero_point != 0) {
            return Err(Invalid::ZeroPoint);
        }
        if self.sum_max(a, b).is_none_or(|sum| sum >= SUM_LIMIT) {
            return Err(Invalid::Count);
        }
        check_scratch(portable::matmul_scratch_bytes_min(self), scratch_bytes)
    }
}

/// Largest distance of a code from its zero point.
fn difference_max(bits: ActivationBits, zero_point: i32) -> u64 {
    let below = i64::from(zero_point) - i64::from(bits.lo());
    // A byte that should hold a 6-bit code may hold more.
    let hi = if bits == ActivationBits::A6 { 255 } else { bits.hi() };
    let above = i64::from(hi) - i64::from(zero_point);
    below.unsigned_abs().max(above.unsigned_abs())
}
