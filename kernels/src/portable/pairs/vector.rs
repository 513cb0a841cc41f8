//! One vector: fully connected layers.

use super::{Blocks, group, write};
use crate::arrange::pairs::row_bytes;
use crate::{ActivationBits, Activations, Conv, pack};

/// Whether the layer has one column, of neighbours in memory.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.window.kernel == [1, 1] && conv.window.pad == [0, 0] && conv.groups == 1 && conv.input.pixels() == 1 && conv.output.pixels() == 1
}

pub(super) fn fully_connected(blocks: impl Blocks, conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], _: &mut [u8]) -> bool {
    if !matches!(input.bits, ActivationBits::A6 | ActivationBits::A8) {
        return false;
    }
    let Some((weights, stage)) = group(conv, 0) else {
        return true;
    };
    let total = input.codes.iter().fold(0i32, |total, &code| total.wrapping_add(i32::from(code)));
    for (index, row) in weights.chunks_exact(row_bytes(conv.weight_bits, conv.row_len()).max(1)).enumerate() {
        let [Some(first), second] = [stage.channel(2 * index), stage.channel(2 * index + 1)] else {
            return true;
        };
        let sums = blocks.vector(conv.weight_bits, row, input.codes, total, [first.0, second.map_or(0, |second| second.0)]);
        for (offset, (channel, sum)) in [Some(first), second].into_iter().zip(sums).enumerate() {
            if let Some((_, multiplier, shift)) = channel {
                write(&stage, output, 2 * index + offset, sum, multiplier, shift);
            }
        }
    }
    let _ = pack::code;
    true
}
