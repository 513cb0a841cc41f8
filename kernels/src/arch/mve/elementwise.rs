//! Sum or difference of codes that are bytes.

use super::symbols;
use crate::{ActivationBits, Activations, Add, portable};

/// See [`native::add`](crate::native::add).
pub(crate) fn add(add: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) -> bool {
    let is_byte = |bits| matches!(bits, ActivationBits::A6 | ActivationBits::A8);
    let bytes = [a.bits, b.bits, add.codes.bits].into_iter().all(is_byte);
    if !bytes || !portable::fits_32_bits(add, a.bits, b.bits) || add.check(a.operand(), b.operand(), output.len()).is_err() {
        return false;
    }
    let multiplier_b = if add.subtract { -add.multiplier_b } else { add.multiplier_b };
    // `fits_32_bits`: the sum of all terms fits, so that their order does not matter.
    let constant = a.zero_point.wrapping_mul(-add.multiplier_a).wrapping_sub(b.zero_point.wrapping_mul(multiplier_b));
    // Without a broadcast all rows are one.
    let row_len = if add.broadcast { add.channels } else { output.len() };
    for (a, output) in a.codes.chunks_exact(row_len.max(1)).zip(output.chunks_exact_mut(row_len.max(1))) {
        if b.codes.len() < row_len {
            return false;
        }
        let arguments = symbols::Add {
            multiplier_a: add.multiplier_a,
            lo: add.codes.lo,
            hi: add.codes.hi,
            a: a.as_ptr(),
            b: b.codes.as_ptr(),
            output: output.as_mut_ptr(),
            multiplier_b,
            constant,
            shift: -i32::from(add.shift),
            zero_point: add.codes.zero_point,
            count: row_len,
        };
        // SAFETY: both inputs and the output have `row_len` codes of a byte, which is not 0: there is a row.
        unsafe { symbols::apq_mve_add(&arguments) };
    }
    true
}
