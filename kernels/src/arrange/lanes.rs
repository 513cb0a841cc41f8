//! `lanes`: depthwise weights for multipliers whose lanes are channels.
//!
//! Taps in passes of [`PASS`], the last one filled up with weights 0; in a pass, blocks of [`BLOCK`] channels, filled up likewise; in a
//! block `[tap][channel]`. A weight of any width takes a byte, two's complement: taps are few.

use super::WeightShape;
use crate::WeightBits;

/// Taps of a pass: those of a kernel of 3 by 3.
pub(crate) const PASS: usize = 9;

/// Channels of a block.
pub(crate) const BLOCK: usize = 8;

pub(super) fn bytes(_bits: WeightBits, shape: &WeightShape) -> Option<usize> {
    let taps = shape.row_len.div_ceil(PASS).checked_mul(PASS)?;
    shape.rows.div_ceil(BLOCK).checked_mul(BLOCK)?.checked_mul(taps)
}

/// Where the weight of a channel and a tap lies.
#[inline]
fn place(shape: &WeightShape, channel: usize, tap: usize) -> usize {
    let blocks = shape.rows.div_ceil(BLOCK);
    ((tap / PASS * blocks + channel / BLOCK) * PASS + tap % PASS) * BLOCK + channel % BLOCK
}

#[inline]
pub(super) fn weight(_bits: WeightBits, shape: &WeightShape, weights: &[u8], row: usize, index: usize) -> i32 {
    weights.get(place(shape, row, index)).map_or(0, |&code| i32::from(code as i8))
}

pub(super) fn padding_is_clear(shape: &WeightShape, weights: &[u8]) -> bool {
    let used = shape.row_len.checked_rem(PASS).unwrap_or(0);
    let channels = shape.rows.div_ceil(BLOCK) * BLOCK;
    let last = match used {
        0 => weights.len(),
        _ => weights.len().saturating_sub(channels * PASS),
    };
    let unused = weights.get(last..).unwrap_or_default().chunks_exact(PASS * BLOCK).filter_map(|block| block.get(used * BLOCK..));
    unused.flatten().all(|&code| code == 0)
}

pub(super) fn arrange(_bits: WeightBits, shape: &WeightShape, codes: &[i8], weights: &mut [u8]) {
    weights.fill(0);
    for (channel, row) in codes.chunks_exact(shape.row_len.max(1)).enumerate() {
        for (tap, &code) in row.iter().enumerate() {
            if let Some(to) = weights.get_mut(place(shape, channel, tap)) {
                *to = code as u8;
            }
        }
    }
}
