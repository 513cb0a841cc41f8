//! Cortex-M with vectors of 128 bits (MVE): M55, M85.
//!
//! The kernels are those of [`portable::vectors`](crate::portable::vectors), with their inner blocks in assembly: the stable compiler has
//! neither intrinsics nor register classes for these instructions. Every function here checks the lengths of what it hands to assembly.

mod blocks;
mod elementwise;
mod symbols;

pub(crate) use elementwise::add;

use crate::portable::vectors;
use crate::{Activations, Arrangement, Conv};
use blocks::Mve;

/// See [`native::conv`](crate::native::conv).
pub(crate) fn conv(params: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    match params.arrangement {
        Arrangement::Vectors => vectors::conv::<Mve>(params, input, output, scratch),
        Arrangement::Lanes => vectors::depthwise::<Mve>(params, input, output, scratch),
        _ => return false,
    }
    true
}
