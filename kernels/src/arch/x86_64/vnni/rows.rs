//! Dot products of rows of weights as they lie in the file: for layers of so few pixels that a panel of weights would
//! not pay, and for too little scratch memory to hold one.

use core::arch::x86_64::*;

use super::load;
use super::stage::{Codes, Stage, vector};
use crate::arch::x86_64::PANEL;
use crate::portable::Columns;
use crate::{Activations, Conv, pack};

/// Most pixels whose columns are kept at once.
const COLUMNS: usize = 8;

/// Whether there was enough scratch memory: a row of weights and a column, in whole vectors.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let (row_len, outputs) = (conv.row_len(), conv.group_outputs());
    let chunks = row_len.div_ceil(64).max(1);
    let (scratch, _) = scratch.as_chunks_mut::<64>();
    let Some((weights, columns)) = scratch.split_at_mut_checked(chunks) else {
        return false;
    };
    let block_len = (columns.len() / chunks).min(COLUMNS);
    if block_len == 0 {
        return false;
    }
    let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits).max(1);
    let row_bytes = pack::weight_row_bytes(conv.weight_bits, row_len);
    let codes = Codes::new(conv.stage.codes());
    let width = conv.output.width.max(1);
    for group in 0..conv.groups {
        let source = Columns::new(conv, input, group);
        for (block, pixels) in output.chunks_mut(pixel_bytes * block_len).enumerate() {
            let used = pixels.chunks_exact(pixel_bytes).len();
            for (index, column) in columns.chunks_exact_mut(chunks).take(used).enumerate() {
                let pixel = block * block_len + index;
                let padding = input.zero_point as u8;
                source.fill((pixel / width, pixel % width), 0, column.as_flattened_mut(), padding, |row, first, codes| {
                    load::codes(input.bits, row, first, codes);
                });
            }
            for begin in (0..outputs).step_by(PANEL) {
                let first = group * outputs + begin;
                let count = (outputs - begin).min(PANEL);
                let stage = Stage::new(&conv.stage, first + count, |lane| first + lane);
                let mut sums = [[0; PANEL]; COLUMNS];
                for lane in 0..count {
                    let row = pack::row(conv.weights, row_bytes, first + lane);
                    for (index, chunk) in weights.iter_mut().enumerate() {
                        load::store(chunk, load::weights(conv.weight_bits, row, 64 * index, row_len - (64 * index).min(row_len)));
                    }
                    for (sums, column) in sums.iter_mut().zip(columns.chunks_exact(chunks)).take(used) {
                        sums[lane] = dot(weights, column);
                    }
                }
                for (sums, pixel) in sums.iter().zip(pixels.chunks_exact_mut(pixel_bytes)) {
                    let sums = _mm512_add_epi32(vector(sums), stage.bias);
                    codes.write16(stage.codes(sums, &codes), pixel, first, count);
                }
            }
        }
    }
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(pixel_bytes) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
    true
}

/// Dot product that wraps in 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dot(weights: &[[u8; 64]], column: &[[u8; 64]]) -> i32 {
    // Two sums, so that one does not wait for the other.
    let mut sums = [_mm512_setzero_si512(); 2];
    let (pairs, last) = weights.as_chunks::<2>();
    let (column_pairs, column_last) = column.as_chunks::<2>();
    for (weights, codes) in pairs.iter().zip(column_pairs) {
        for ((sum, weights), codes) in sums.iter_mut().zip(weights).zip(codes) {
            *sum = _mm512_dpbusd_epi32(*sum, load::bytes(codes), load::bytes(weights));
        }
    }
    for (weights, codes) in last.iter().zip(column_last) {
        sums[0] = _mm512_dpbusd_epi32(sums[0], load::bytes(codes), load::bytes(weights));
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
}
