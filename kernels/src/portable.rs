//! Fast kernels in plain Rust, equal to [`reference`](crate::reference) bit for bit.
//!
//! Their inner loops have a fixed length, so that LLVM vectorises them for whatever the target has, and none of them
//! can panic. A kernel that wants working memory takes `scratch`; the function beside it says how much is best and how
//! much is the least. With less than that the kernel is still right, and as slow as the reference.

mod add;
mod blocks;
mod columns;
mod conv;
mod depthwise;
mod dot;
mod elementwise;
mod matmul;
mod movement;
pub(crate) mod pairs;
#[cfg_attr(not(any(test, core_feature = "dsp")), expect(dead_code, reason = "every machine knows how much scratch memory it wants"))]
pub(crate) mod planes;
mod pool;
mod resize;
pub(crate) mod unsigned;
pub(crate) mod vectors;
#[cfg(any(test, target_pointer_width = "32"))]
pub(crate) mod words;

pub use add::{add, mul};
pub use conv::{
    conv, conv_scratch_bytes, conv_scratch_bytes_min, fully_connected, fully_connected_scratch_bytes, fully_connected_scratch_bytes_min,
};
pub use elementwise::{layer_norm, prelu, requantize, softmax, table};
pub use matmul::{matmul, matmul_scratch_bytes, matmul_scratch_bytes_min};
pub use movement::{concat_part, pad, slice, transpose};
pub use pool::{average_pool, max_pool};
pub use resize::resize;

// What `arch` builds on.
#[cfg(any(target_arch = "x86_64", core_feature = "mve"))]
pub(crate) use add::fits_32_bits;
#[cfg(target_arch = "x86_64")]
pub(crate) use {
    columns::{Columns, bytes_from, unpack_from},
    conv::{Dots, conv_with},
    dot::Lanes,
};
