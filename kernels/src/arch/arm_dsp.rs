//! Cortex-M with DSP instructions: M4, M7, M33.

pub(crate) mod depthwise;
pub(crate) mod elementwise;
