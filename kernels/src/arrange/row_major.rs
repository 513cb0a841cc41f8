//! `row-major`: an output channel after the other, weights packed from the low bits, each channel from a byte on.

use super::WeightShape;
use crate::{WeightBits, pack};

pub(super) fn bytes(bits: WeightBits, shape: &WeightShape) -> Option<usize> {
    shape.rows.checked_mul(pack::weight_row_bytes(bits, shape.row_len))
}

#[inline]
pub(super) fn weight(bits: WeightBits, shape: &WeightShape, weights: &[u8], row: usize, index: usize) -> i32 {
    pack::weight(pack::row(weights, pack::weight_row_bytes(bits, shape.row_len), row), bits, index)
}

pub(super) fn arrange(bits: WeightBits, shape: &WeightShape, codes: &[i8], weights: &mut [u8]) {
    let rows = weights.chunks_exact_mut(pack::weight_row_bytes(bits, shape.row_len).max(1));
    for (row, codes) in rows.zip(codes.chunks_exact(shape.row_len.max(1))) {
        pack::pack_weights(bits, codes, row);
    }
}
