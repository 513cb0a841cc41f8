//! Product of two activations.

use super::Product;
use crate::{Activations, MatMul, pack, requant};

/// Matrix product; see [`MatMul`].
pub fn matmul<P: Product>(product: &MatMul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    let (right_rows, right_codes) = product.right();
    let (a_bytes, b_bytes) = (pack::row_bytes(a.bits, product.inner), pack::row_bytes(b.bits, right_codes));
    let out_bytes = pack::row_bytes(product.codes.bits, product.columns);
    let (z_a, z_b) = (i64::from(a.zero_point), i64::from(b.zero_point));
    for batch in 0..product.batches {
        for row in 0..product.rows {
            let left = pack::row(a.codes, a_bytes, batch * product.rows + row);
            let out = pack::row_mut(output, out_bytes, batch * product.rows + row);
            for column in 0..product.columns {
                let (mut products, mut sum_a, mut sum_b) = (0, 0, 0);
                for k in 0..product.inner {
                    let (right_row, right_code) = if product.transposed { (column, k) } else { (k, column) };
                    let x = pack::code(left, a.bits, k);
                    let y = pack::code(pack::row(b.codes, b_bytes, batch * right_rows + right_row), b.bits, right_code);
                    products += P::codes(x, a.bits, y, b.bits);
                    sum_a += i64::from(x);
                    sum_b += i64::from(y);
                }
                let sum = products - z_b * sum_a - z_a * sum_b + product.inner as i64 * z_a * z_b;
                let scaled = requant::requantize_wide(sum, product.multiplier, product.shift);
                pack::set_code(out, product.codes.bits, column, product.codes.code(scaled));
            }
            pack::clear_unused(out, product.codes.bits, product.columns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Native;
    use crate::{ActivationBits, OutputCodes};

    #[test]
    fn two_by_two_by_hand() {
        let codes = OutputCodes::full(ActivationBits::A16, 0);
        let mut product = MatMul { batches: 1, rows: 2, inner: 2, columns: 2, transposed: false, multiplier: 1, shift: 1, codes };
        // (1 2; 3 4) with zero point 1, (5 6; 7 8) with zero point 5: (0 1; 2 3) (0 1; 2 3) = (2 3; 6 11), halved upwards.
        let a = Activations { codes: &[1, 2, 3, 4], bits: ActivationBits::A8, zero_point: 1 };
        let b = Activations { codes: &[5, 6, 7, 8], bits: ActivationBits::A8, zero_point: 5 };
        let mut output = [0; 8];
        matmul::<Native>(&product, a, b, &mut output);
        assert_eq!(output, [1, 0, 2, 0, 3, 0, 6, 0]);
        // With its transpose: (0 1; 2 3) (0 2; 1 3) = (1 3; 3 13).
        product.transposed = true;
        matmul::<Native>(&product, a, b, &mut output);
        assert_eq!(output, [1, 0, 2, 0, 2, 0, 7, 0]);
    }
}
