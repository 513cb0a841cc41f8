//! Every runner on the kernels of [`native`](crate::native): what a processor's own kernels have to pass, on the host or on a board.

use alloc::vec;
use alloc::vec::Vec;

use super::{attention, conv, elementwise, resize, spatial};
use crate::{Activations, Arrangement, Conv, native, portable};

/// One comparison of a kernel with the reference; it panics where they differ, with the parameters in its message.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Name of the kernel, as in [`native`](crate::native).
    pub name: &'static str,
    /// Whether this build has the kernel.
    pub here: bool,
    /// Compares.
    pub run: fn(),
}

impl Check {
    const fn new(name: &'static str, run: fn()) -> Self {
        Self { name, here: true, run }
    }

    const fn arranged(name: &'static str, arrangement: Arrangement, run: fn()) -> Self {
        Self { name, here: arrangement.has_kernels(), run }
    }
}

/// All comparisons.
pub const CHECKS: [Check; 24] = [
    Check::new("pad", || spatial::check_pad(native::pad)),
    Check::new("slice", || spatial::check_slice(native::slice)),
    Check::new("transpose", || spatial::check_transpose(native::transpose)),
    Check::new("concat_part", || spatial::check_concat(native::concat_part)),
    Check::new("requantize", || elementwise::check_requantize(native::requantize)),
    Check::new("table", || elementwise::check_table(native::table)),
    Check::new("add", || elementwise::check_add(native::add)),
    Check::new("mul", || elementwise::check_mul(native::mul)),
    Check::new("prelu", || resize::check_prelu(native::prelu)),
    Check::new("resize", || resize::check_resize(native::resize)),
    Check::new("max_pool", || spatial::check_max_pool(native::max_pool)),
    Check::new("average_pool", || spatial::check_average_pool(native::average_pool)),
    Check::new("matmul", || attention::check_matmul(native::matmul)),
    Check::new("conv", || conv::check(300, scratched)),
    Check::new("conv_wide", || conv::check_shapes(301, conv::wide_shapes(), scratched)),
    Check::new("conv_depthwise", || conv::check_shapes(303, conv::depthwise_shapes(), scratched)),
    Check::arranged("conv_pairs", Arrangement::Pairs, || conv::check_arranged(Arrangement::Pairs, 302, conv::shapes(), aligned)),
    Check::arranged("conv_unsigned", Arrangement::Unsigned, || conv::check_arranged(Arrangement::Unsigned, 304, conv::shapes(), aligned)),
    Check::arranged("conv_vectors", Arrangement::Vectors, || conv::check_arranged(Arrangement::Vectors, 305, conv::shapes(), scratched)),
    Check::arranged("conv_lanes", Arrangement::Lanes, || conv::check_widths(Arrangement::Lanes, 306, depthwise_shapes(), scratched)),
    Check::arranged("conv_duals", Arrangement::Duals, || conv::check_arranged(Arrangement::Duals, 307, conv::shapes(), aligned)),
    Check::arranged("conv_wide_pairs", Arrangement::Pairs, || conv::check_widths(Arrangement::Pairs, 309, dense_shapes(), aligned)),
    Check::arranged("conv_wide_duals", Arrangement::Duals, || conv::check_widths(Arrangement::Duals, 310, dense_shapes(), aligned)),
    Check::arranged("conv_wide_unsigned", Arrangement::Unsigned, || {
        conv::check_arranged(Arrangement::Unsigned, 308, conv::wide_shapes(), aligned)
    }),
];

fn depthwise_shapes() -> Vec<conv::Shape> {
    let shapes = conv::shapes().into_iter().chain(conv::wide_shapes());
    shapes.filter(|shape| shape.groups == shape.input.channels && shape.groups == shape.output.channels).collect()
}

/// Some of the larger shapes that are not depthwise: each output stage by itself takes whole fours of channels.
fn dense_shapes() -> Vec<conv::Shape> {
    let mut dense: Vec<_> = conv::wide_shapes().into_iter().filter(|shape| shape.groups == 1).step_by(10).collect();
    dense.push(conv::shape([5, 7], [8, 12], conv::window([3, 3], [1, 1], [1, 1], [1, 1]), [1, 1], 1));
    dense.push(conv::shape([5, 7], [16, 16], conv::window([3, 3], [2, 2], [1, 1], [1, 1]), [1, 1], 2));
    dense
}

/// A convolution with the scratch memory that a file gives it.
fn scratched(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8]) {
    let mut scratch = vec![0x77; portable::conv_scratch_bytes(conv, input.bits)];
    native::conv(conv, input, output, &mut scratch);
}

/// As [`scratched`], with the memory aligned as a file's is.
fn aligned(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8]) {
    let bytes = portable::conv_scratch_bytes(conv, input.bits);
    let mut scratch = vec![0x7777_7777_7777_7777u64; bytes.div_ceil(8)];
    let scratch = bytemuck::cast_slice_mut(&mut scratch);
    native::conv(conv, input, output, scratch.get_mut(..bytes).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    #[test]
    fn equals_the_reference() {
        super::CHECKS.iter().filter(|check| check.here).for_each(|check| (check.run)());
    }
}
