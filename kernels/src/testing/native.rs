//! Every runner on the kernels of [`native`](crate::native): what a processor's own kernels have to pass, on the host or on a board.

use alloc::vec;

use super::{attention, conv, elementwise, resize, spatial};
use crate::{Activations, Conv, native, portable};

/// One comparison of a kernel with the reference; it panics where they differ, with the parameters in its message.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Name of the kernel, as in [`native`](crate::native).
    pub name: &'static str,
    /// Compares.
    pub run: fn(),
}

/// All comparisons.
pub const CHECKS: [Check; 15] = [
    Check { name: "pad", run: || spatial::check_pad(native::pad) },
    Check { name: "slice", run: || spatial::check_slice(native::slice) },
    Check { name: "transpose", run: || spatial::check_transpose(native::transpose) },
    Check { name: "concat_part", run: || spatial::check_concat(native::concat_part) },
    Check { name: "requantize", run: || elementwise::check_requantize(native::requantize) },
    Check { name: "table", run: || elementwise::check_table(native::table) },
    Check { name: "add", run: || elementwise::check_add(native::add) },
    Check { name: "mul", run: || elementwise::check_mul(native::mul) },
    Check { name: "prelu", run: || resize::check_prelu(native::prelu) },
    Check { name: "resize", run: || resize::check_resize(native::resize) },
    Check { name: "max_pool", run: || spatial::check_max_pool(native::max_pool) },
    Check { name: "average_pool", run: || spatial::check_average_pool(native::average_pool) },
    Check { name: "matmul", run: || attention::check_matmul(native::matmul) },
    Check { name: "conv", run: || conv::check(300, scratched) },
    Check { name: "conv_wide", run: || conv::check_shapes(301, conv::wide_shapes(), scratched) },
];

/// A convolution with the scratch memory that a file gives it.
fn scratched(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8]) {
    let mut scratch = vec![0x77; portable::conv_scratch_bytes(conv, input.bits)];
    native::conv(conv, input, output, &mut scratch);
}

#[cfg(test)]
mod tests {
    #[test]
    fn equals_the_reference() {
        super::CHECKS.iter().for_each(|check| (check.run)());
    }
}
