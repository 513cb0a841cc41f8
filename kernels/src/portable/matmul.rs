//! Product of two activations as dot products of differences from the zero points.

use super::columns::unpack_from;
use super::dot::{LANES, Lanes, dot, dot_long};
use crate::reference::{self, Native};
use crate::{Activations, MatMul, pack, requant};

/// Columns of `b` that are unpacked together, with enough scratch memory.
const BLOCK_COLUMNS: usize = 16;

/// Bytes that may be lost to alignment.
const ALIGNMENT: usize = align_of::<Lanes>() - 1;

/// Scratch bytes with which [`matmul`] is fastest.
pub fn matmul_scratch_bytes(product: &MatMul) -> usize {
    bytes(product, product.columns.min(BLOCK_COLUMNS))
}

/// Scratch bytes below which [`matmul`] falls back to the reference.
pub fn matmul_scratch_bytes_min(product: &MatMul) -> usize {
    bytes(product, 1)
}

/// A row of `a` and some columns of `b`, widened.
fn bytes(product: &MatMul, columns: usize) -> usize {
    let chunks = product.inner.div_ceil(LANES).max(1);
    (columns + 1).saturating_mul(chunks).saturating_mul(size_of::<Lanes>()).saturating_add(ALIGNMENT)
}

/// Matrix product; see [`MatMul`].
pub fn matmul(product: &MatMul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    let (_, scratch, _) = bytemuck::pod_align_to_mut::<u8, i16>(scratch);
    let chunks = product.inner.div_ceil(LANES).max(1);
    let (lanes, _) = scratch.as_chunks_mut::<LANES>();
    let Some((row, columns)) = lanes.split_at_mut_checked(chunks).filter(|(_, columns)| columns.len() >= chunks) else {
        reference::matmul::<Native>(product, a, b, output);
        return;
    };
    row.as_flattened_mut().fill(0);
    columns.as_flattened_mut().fill(0);
    let block_len = (columns.len() / chunks).min(product.columns).max(1);
    let narrow = product.fits_32_bits(&a, &b);
    let a_bytes = pack::row_bytes(a.bits, product.inner);
    let out_bytes = pack::row_bytes(product.codes.bits, product.columns);
    for batch in 0..product.batches {
        for first in (0..product.columns).step_by(block_len) {
            let count = block_len.min(product.columns - first);
            load_columns(product, &b, batch, first, columns.chunks_exact_mut(chunks).take(count));
            for index in batch * product.rows..(batch + 1) * product.rows {
                if let Some(codes) = row.as_flattened_mut().get_mut(..product.inner) {
                    unpack_from(a.bits, pack::row(a.codes, a_bytes, index), 0, codes);
                    centre(codes, a.zero_point);
                }
                let out = pack::row_mut(output, out_bytes, index);
                for (column, lanes) in columns.chunks_exact(chunks).take(count).enumerate() {
                    let scaled = if narrow {
                        requant::requantize_i32(dot(row, lanes), product.multiplier, product.shift)
                    } else {
                        requant::requantize_wide(dot_long(row, lanes), product.multiplier, product.shift)
                    };
                    pack::set_code(out, product.codes.bits, first + column, product.codes.code(scaled));
                }
            }
        }
    }
    if product.codes.bits.bits() < 8 {
        for row in output.chunks_exact_mut(out_bytes.max(1)) {
            pack::clear_unused(row, product.codes.bits, product.columns);
        }
    }
}

/// Columns of `b` from `first` on, as differences from the zero point.
fn load_columns<'l>(product: &MatMul, b: &Activations<'_>, batch: usize, first: usize, columns: impl Iterator<Item = &'l mut [Lanes]>) {
    let (rows, codes) = product.right();
    let bytes = pack::row_bytes(b.bits, codes);
    for (column, lanes) in columns.enumerate() {
        let Some(to) = lanes.as_flattened_mut().get_mut(..product.inner) else {
            return;
        };
        if product.transposed {
            unpack_from(b.bits, pack::row(b.codes, bytes, batch * rows + first + column), 0, to);
        } else {
            for (k, code) in to.iter_mut().enumerate() {
                *code = pack::code(pack::row(b.codes, bytes, batch * rows + k), b.bits, first + column) as i16;
            }
        }
        centre(to, b.zero_point);
    }
}

/// Codes less the zero point, which is 0 where they need all 16 bits.
fn centre(codes: &mut [i16], zero_point: i32) {
    let zero_point = zero_point as i16;
    codes.iter_mut().for_each(|code| *code = code.wrapping_sub(zero_point));
}

#[cfg(test)]
mod tests {
    use crate::testing::attention;

    #[test]
    fn equals_the_reference() {
        attention::check_matmul(super::matmul);
    }
}
