//! Cortex-M with DSP instructions: M4, M7, and M33 and later cores that have them.

mod depthwise;
mod elementwise;
mod pairs;

pub(crate) use elementwise::{add, max_pool, mul};

use crate::{Activations, Arrangement, Conv, portable};

/// See [`native::conv`](crate::native::conv).
pub(crate) fn conv(params: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let arrangement = params.arrangement.known();
    match arrangement {
        Arrangement::Pairs | Arrangement::Duals if arrangement.has_kernels() => {
            portable::pairs::conv(pairs::Dsp, params, input, output, scratch);
            true
        }
        _ => depthwise::conv(params, input, output, scratch),
    }
}
