//! AVX-512 VNNI: `vpdpbusd` multiplies 64 unsigned codes by 64 signed weights and adds them, four at a time, to 16 sums
//! of 32 bits, without saturation.

mod depthwise;
mod load;
mod panels;
mod rows;
mod stage;
mod weights;

use crate::{Accumulator, ActivationBits, Activations, Conv};

/// See [`native::conv`](crate::native::conv). For checked parameters, on a processor with AVX-512 F, BW, VL and VNNI.
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    if conv.accumulator != Accumulator::I32 || input.bits == ActivationBits::A16 {
        return false;
    }
    if depthwise::applies(conv) {
        // SAFETY: the caller vouches for the instructions.
        unsafe { depthwise::conv(conv, input, output) };
        return true;
    }
    // SAFETY: as above.
    unsafe { panels::conv(conv, input, output, scratch) || rows::conv(conv, input, output, scratch) }
}
