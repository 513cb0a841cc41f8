//! AVX2: codes and weights widened to 16 bits, so that `vpmaddwd`, which adds two products to 32 bits, is exact. (The
//! instruction for bytes saturates.) Also what a processor with VNNI uses for 16-bit activations.

mod add;
mod depthwise;
mod dot;
mod load;
mod panels;
mod stage;

pub(super) use add::add;

use crate::portable::{Dots, conv_with};
use crate::{Activations, Conv};

/// See [`native::conv`](crate::native::conv). For checked parameters, on a processor with AVX2.
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    if depthwise::applies(conv) {
        // SAFETY: the caller vouches for the instructions.
        unsafe { depthwise::conv(conv, input, output) };
        return true;
    }
    // SAFETY: as above.
    if !unsafe { panels::conv(conv, input, output, scratch) } {
        // SAFETY: as above.
        let narrow = |weights: &_, codes: &_| unsafe { dot::dot(weights, codes) };
        // SAFETY: as above.
        let wide = |weights: &_, codes: &_| unsafe { dot::dot_wide(weights, codes) };
        conv_with(Dots { narrow, wide }, conv, input, output, scratch);
    }
    true
}
