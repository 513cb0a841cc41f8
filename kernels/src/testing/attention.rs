//! Runner for the product of two activations.

use super::{Random, same};
use crate::bitfused::BitFused;
use crate::reference::{self, Native};
use crate::{ActivationBits, Activations, MatMul, pack, portable};
use alloc::vec;

/// Batches, rows, inner, columns on both sides of the boundaries of bytes, chunks and blocks.
const SHAPES: [[usize; 4]; 10] = [
    [1, 1, 1, 1],
    [1, 2, 3, 5],
    [2, 3, 4, 2],
    [3, 2, 31, 3],
    [1, 4, 32, 16],
    [2, 1, 33, 17],
    [1, 3, 64, 33],
    [1, 2, 99, 99],
    [4, 5, 7, 6],
    [1, 1, 600, 2],
];

type Kernel = fn(&MatMul, Activations<'_>, Activations<'_>, &mut [u8], &mut [u8]);

pub(crate) fn check_matmul(kernel: Kernel) {
    let mut random = Random::new(14);
    for [batches, rows, inner, columns] in SHAPES {
        for a_bits in ActivationBits::ALL {
            for b_bits in ActivationBits::ALL {
                for transposed in [false, true] {
                    let bits = random.choose(&ActivationBits::ALL);
                    let magnitude = f64::from(a_bits.hi()) * f64::from(b_bits.hi()) * libm::sqrt(inner as f64);
                    let (multiplier, shift) = random.rescale(i32::MAX, magnitude, bits);
                    let codes = random.codes(bits);
                    let product = MatMul { batches, rows, inner, columns, transposed, multiplier, shift, codes };
                    let a = random.tensor(batches * rows, inner, a_bits);
                    let (right_rows, right_codes) = product.right();
                    let b = random.tensor(batches * right_rows, right_codes, b_bits);
                    let bytes = batches * rows * pack::row_bytes(bits, columns);
                    let scratch = random.choose(&[portable::matmul_scratch_bytes(&product), portable::matmul_scratch_bytes_min(&product)]);
                    product.check(a.view().operand(), b.view().operand(), bytes, scratch).unwrap();
                    let what = (product, a_bits, b_bits, a.zero_point, b.zero_point);
                    let expected = |out: &mut [u8]| reference::matmul::<Native>(&product, a.view(), b.view(), out);
                    same(bytes, &what, expected, |out| kernel(&product, a.view(), b.view(), out, &mut vec![0x77; scratch]));
                    same(bytes, &what, expected, |out| reference::matmul::<BitFused>(&product, a.view(), b.view(), out));
                }
            }
        }
    }
}
