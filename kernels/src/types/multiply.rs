//! Parameters of the multiply-accumulate operators.

use super::{Accumulator, Image, Invalid, Operand, OutputStage, WeightBits, Window};
use crate::{Arrangement, WeightShape, portable};

/// Two-dimensional convolution, dense, grouped or depthwise (`groups == input.channels`, with or without a multiplier).
///
/// Output channel `o` belongs to group `o / (output.channels / groups)` and reads that group's input channels.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// Input `[1, H, W, I]`.
    pub input: Image,
    /// Output `[1, H, W, O]`.
    pub output: Image,
    /// Window over the input; padding reads the input's zero point.
    pub window: Window,
    /// Number of groups; divides both channel counts.
    pub groups: usize,
    /// Width of a weight.
    pub weight_bits: WeightBits,
    /// Order of the weights.
    pub arrangement: Arrangement,
    /// Weights of `O` output channels by `kernel H * kernel W * I / groups`, in that order.
    pub weights: &'a [u8],
    /// Width of the accumulator.
    pub accumulator: Accumulator,
    /// Output stage, one entry for each output channel.
    pub stage: OutputStage<'a>,
}

impl Conv<'_> {
    /// Input channels of one group.
    pub const fn group_inputs(&self) -> usize {
        divide(self.input.channels, self.groups)
    }

    /// Output channels of one group.
    pub const fn group_outputs(&self) -> usize {
        divide(self.output.channels, self.groups)
    }

    /// Weights of one output channel.
    pub const fn row_len(&self) -> usize {
        self.window.taps() * self.group_inputs()
    }

    /// The matrix that the weights are.
    pub const fn weight_shape(&self) -> WeightShape {
        WeightShape { groups: self.groups, rows: self.output.channels, row_len: self.row_len() }
    }

    /// Weight `index` of output channel `row`, wherever the arrangement has it.
    #[inline]
    pub fn weight(&self, row: usize, index: usize) -> i32 {
        self.arrangement.weight(self.weight_bits, &self.weight_shape(), self.weights, row, index)
    }

    /// Multiply-accumulates of one inference, padding included.
    pub const fn macs(&self) -> usize {
        self.output.pixels() * self.output.channels * self.row_len()
    }

    /// Everything that [`reference::conv`](crate::reference::conv) and [`portable::conv`] rely on. The scratch must
    /// have [`portable::conv_scratch_bytes_min`] bytes; more of it is faster.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, the window or the groups do not suit the shapes, or the
    /// output stage is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize, scratch_bytes: usize) -> Result<(), Invalid> {
        input.check(self.input.bytes_checked(input.bits)?)?;
        if self.output.bytes_checked(self.stage.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        self.window.check(self.output)?;
        if self.groups == 0 || !self.input.channels.is_multiple_of(self.groups) || !self.output.channels.is_multiple_of(self.groups) {
            return Err(Invalid::Groups);
        }
        let row_len = self.window.taps().checked_mul(self.group_inputs()).ok_or(Invalid::TooLarge)?;
        let shape = WeightShape { groups: self.groups, rows: self.output.channels, row_len };
        match self.arrangement.bytes(self.weight_bits, &shape) {
            None => return Err(Invalid::TooLarge),
            Some(bytes) if bytes != self.weights.len() => return Err(Invalid::WeightLength),
            Some(_) => {}
        }
        self.stage.check(self.output.channels, self.accumulator)?;
        check_scratch(portable::conv_scratch_bytes_min(self, input.bits), scratch_bytes)
    }
}

/// Fully connected layer applied to each of `rows` vectors.
#[derive(Clone, Copy, Debug)]
pub struct FullyConnected<'a> {
    /// Number of vectors.
    pub rows: usize,
    /// Length of an input vector; input is `[rows, inputs]`, each row packed like a pixel's channels.
    pub inputs: usize,
    /// Length of an output vector; output is `[rows, outputs]`.
    pub outputs: usize,
    /// Width of a weight.
    pub weight_bits: WeightBits,
    /// Order of the weights.
    pub arrangement: Arrangement,
    /// Weights of `outputs` by `inputs`, in that order.
    pub weights: &'a [u8],
    /// Width of the accumulator.
    pub accumulator: Accumulator,
    /// Output stage, one entry for each output.
    pub stage: OutputStage<'a>,
}

impl<'a> FullyConnected<'a> {
    /// The same layer as a pointwise convolution over `rows` pixels.
    pub const fn as_conv(&self) -> Conv<'a> {
        Conv {
            input: Image { height: 1, width: self.rows, channels: self.inputs },
            output: Image { height: 1, width: self.rows, channels: self.outputs },
            window: Window::POINT,
            groups: 1,
            weight_bits: self.weight_bits,
            arrangement: self.arrangement,
            weights: self.weights,
            accumulator: self.accumulator,
            stage: self.stage,
        }
    }

    /// Everything that the kernels for this layer rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, or the output stage is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize, scratch_bytes: usize) -> Result<(), Invalid> {
        self.as_conv().check(input, output_bytes, scratch_bytes)
    }
}

/// 0 groups, which `check` refuses, must not panic.
const fn divide(channels: usize, groups: usize) -> usize {
    match channels.checked_div(groups) {
        Some(each) => each,
        None => 0,
    }
}

pub(super) fn check_scratch(needed: usize, given: usize) -> Result<(), Invalid> {
    if needed <= given { Ok(()) } else { Err(Invalid::ScratchLength) }
}
