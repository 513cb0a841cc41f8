//! Rows of codes in blocks: the frame of the operators that treat each code alone.

use super::columns::{rows_join, unpack_from};
use crate::{ActivationBits, Activations, pack};

/// Codes of a block: whole bytes at every width, and small enough for a microcontroller's stack.
pub(super) const BLOCK: usize = 64;

/// Codes of a block, widened.
pub(super) type Block = [i16; BLOCK];

/// Rows and codes of a row, or one long row where no tensor's rows have unused bits.
fn joined(rows: usize, channels: usize, widths: &[ActivationBits]) -> (usize, usize) {
    if widths.iter().all(|&bits| rows_join(bits, channels)) { (1, rows * channels) } else { (rows, channels) }
}

/// Packs `function(codes)` for every block of codes.
pub(super) fn map(
    rows: usize,
    channels: usize,
    bits: ActivationBits,
    input: Activations<'_>,
    output: &mut [u8],
    function: impl Fn(&mut Block),
) {
    let (rows, channels) = joined(rows, channels, &[bits, input.bits]);
    for index in 0..rows {
        let row = pack::row(input.codes, pack::row_bytes(input.bits, channels), index);
        let out = pack::row_mut(output, pack::row_bytes(bits, channels), index);
        each_block(channels, bits, out, |first, codes| {
            load(input.bits, row, first, channels, codes);
            function(codes);
        });
    }
}

/// Packs `function(a, b)`, left in `a`, for every block of two tensors' codes.
pub(super) fn zip(
    (rows, channels, broadcast): (usize, usize, bool),
    bits: ActivationBits,
    a: Activations<'_>,
    b: Activations<'_>,
    output: &mut [u8],
    function: impl Fn(&mut Block, &Block),
) {
    let (rows, channels) = if broadcast { (rows, channels) } else { joined(rows, channels, &[bits, a.bits, b.bits]) };
    for index in 0..rows {
        let row_a = pack::row(a.codes, pack::row_bytes(a.bits, channels), index);
        let row_b = pack::row(b.codes, pack::row_bytes(b.bits, channels), if broadcast { 0 } else { index });
        let out = pack::row_mut(output, pack::row_bytes(bits, channels), index);
        each_block(channels, bits, out, |first, codes| {
            let mut others = [0; BLOCK];
            load(a.bits, row_a, first, channels, codes);
            load(b.bits, row_b, first, channels, &mut others);
            function(codes, &others);
        });
    }
}

/// Packs what `fill(first, block)` leaves, for every block of a row.
#[inline]
pub(super) fn each_block(channels: usize, bits: ActivationBits, out: &mut [u8], mut fill: impl FnMut(usize, &mut Block)) {
    for (index, out) in out.chunks_mut(pack::row_bytes(bits, BLOCK).max(1)).enumerate() {
        let first = index * BLOCK;
        let mut codes = [0; BLOCK];
        fill(first, &mut codes);
        let left = (channels - first.min(channels)).min(BLOCK);
        pack::pack_row(bits, codes.get(..left).unwrap_or_default(), out);
    }
}

/// Widens the block of a row of `channels` codes that begins at code `first`.
#[inline]
pub(super) fn load(bits: ActivationBits, row: &[u8], first: usize, channels: usize, codes: &mut Block) {
    let left = (channels - first.min(channels)).min(BLOCK);
    if let Some(codes) = codes.get_mut(..left) {
        unpack_from(bits, row, first, codes);
    }
}
