//! The fastest kernels for the processor that runs them, equal to [`reference`](crate::reference) bit for bit.
//!
//! A file is the same for every machine, so scratch memory is what [`portable`] asks for; the
//! kernels of `arch` make do with that.

pub use crate::portable::{
    average_pool, concat_part, layer_norm, matmul, pad, prelu, requantize, resize, slice, softmax, table, transpose,
};

use crate::{Activations, Add, Conv, FullyConnected, MaxPool, Mul, portable};

/// What the fastest kernels of this build are written for: an instruction set, or `portable` where they are all plain Rust. A program for an
/// operating system may find out that the processor lacks it.
pub const KIND: &str = if cfg!(target_arch = "x86_64") {
    "x86_64"
} else if cfg!(core_feature = "mve") {
    "mve"
} else if cfg!(core_feature = "dsp") {
    "dsp"
} else if cfg!(core_feature = "thumb") {
    "thumb"
} else {
    "portable"
};

/// Convolution; see [`Conv`]. Scratch: [`portable::conv_scratch_bytes`].
pub fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if crate::arch::x86_64::conv(conv, input, output, scratch) {
        return;
    }
    #[cfg(core_feature = "mve")]
    if crate::arch::mve::conv(conv, input, output, scratch) {
        return;
    }
    #[cfg(core_feature = "dsp")]
    if crate::arch::arm_dsp::conv(conv, input, output, scratch) {
        return;
    }
    #[cfg(all(core_feature = "thumb", not(core_feature = "dsp")))]
    if crate::arch::thumb::conv(conv, input, output, scratch) {
        return;
    }
    portable::conv(conv, input, output, scratch);
}

/// Fully connected layer; see [`FullyConnected`]. Scratch: [`portable::fully_connected_scratch_bytes`].
pub fn fully_connected(layer: &FullyConnected<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    conv(&layer.as_conv(), input, output, scratch);
}

/// Sum or difference; see [`Add`].
pub fn add(add: &Add, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if crate::arch::x86_64::add(add, a, b, output) {
        return;
    }
    #[cfg(core_feature = "mve")]
    if crate::arch::mve::add(add, a, b, output) {
        return;
    }
    #[cfg(core_feature = "dsp")]
    if crate::arch::arm_dsp::add(add, a, b, output) {
        return;
    }
    portable::add(add, a, b, output);
}

/// Max pool; see [`MaxPool`].
pub fn max_pool(pool: &MaxPool, input: Activations<'_>, output: &mut [u8]) {
    #[cfg(core_feature = "dsp")]
    if crate::arch::arm_dsp::max_pool(pool, input, output) {
        return;
    }
    portable::max_pool(pool, input, output);
}

/// Product; see [`Mul`].
pub fn mul(mul: &Mul, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    #[cfg(core_feature = "dsp")]
    if crate::arch::arm_dsp::mul(mul, a, b, output) {
        return;
    }
    portable::mul(mul, a, b, output);
}
