//! One vector: fully connected layers.

use super::{Blocks, Group, padded, write};
use crate::portable::columns::unpack_from;
use crate::{ActivationBits, Activations, Conv};

/// Whether the layer has one column, of neighbours in memory.
pub(super) fn applies(conv: &Conv<'_>, bits: ActivationBits) -> bool {
    let point = conv.window.kernel == [1, 1] && conv.window.pad == [0, 0] && conv.groups == 1;
    bits != ActivationBits::A16 && point && conv.input.pixels() == 1 && conv.output.pixels() == 1
}

/// Scratch bytes: codes of less than a byte are unpacked.
pub(super) fn scratch_bytes(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    if matches!(bits, ActivationBits::A2 | ActivationBits::A4) { padded(conv) } else { 0 }
}

/// `false` where the scratch is too small.
pub(super) fn fully_connected<B: Blocks>(
    blocks: B,
    conv: &Conv<'_>,
    input: Activations<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) -> bool {
    let codes = if scratch_bytes(conv, input.bits) == 0 {
        input.codes
    } else {
        let Some(codes) = scratch.get_mut(..conv.row_len()) else { return false };
        for (index, codes) in codes.chunks_mut(8).enumerate() {
            let mut wide = [0; 8];
            unpack_from(input.bits, input.codes, 8 * index, wide.get_mut(..codes.len()).unwrap_or_default());
            codes.iter_mut().zip(wide).for_each(|(to, from)| *to = from as u8);
        }
        codes
    };
    let Some(group) = Group::new(conv, input.bits, 0) else { return true };
    let total = codes.iter().fold(0i32, |total, &code| total.wrapping_add(i32::from(code)));
    let stage = &group.stage;
    blocks.vector(&group, codes, total, output, |output, first, sums| {
        for (sum, index) in sums.into_iter().zip(first..) {
            if let Some((bias, multiplier, shift)) = stage.channel(index) {
                write(stage, output, index, sum.wrapping_add(bias), multiplier, shift);
            }
        }
    });
    true
}
