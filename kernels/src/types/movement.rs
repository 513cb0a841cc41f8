//! Parameters of the operators that move codes: pad, slice, concat, transpose.

use super::geometry::rows_bytes;
use super::stage::check_rescale;
use super::{Accumulator, ActivationBits, Image, Invalid, Operand, OutputCodes};

/// Pad with one constant code. `[vertical, horizontal, channels]` codes precede the input; what follows it is whatever
/// the output size leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Input `[1, H, W, C]`.
    pub input: Image,
    /// Output `[1, H, W, C]`.
    pub output: Image,
    /// Position of the input's first code in the output.
    pub before: [usize; 3],
    /// The constant's code in the tensor's quantizer, which does not change.
    pub code: i32,
}

impl Pad {
    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, the input does not lie inside the output, or the constant is no code.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        input.check(self.input.bytes_checked(input.bits)?)?;
        if self.output.bytes_checked(input.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        for axis in 0..3 {
            let (inner, outer) = (extents(self.input)[axis], extents(self.output)[axis]);
            if self.before[axis].checked_add(inner).is_none_or(|end| end > outer) {
                return Err(Invalid::Shape);
            }
        }
        if input.bits.contains(self.code) { Ok(()) } else { Err(Invalid::Code) }
    }
}

/// Every `step`-th code from `begin` on, along `[vertical, horizontal, channels]`. Codes do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Input `[1, H, W, C]`.
    pub input: Image,
    /// Output `[1, H, W, C]`.
    pub output: Image,
    /// First position read.
    pub begin: [usize; 3],
    /// Distance between positions read, at least 1.
    pub step: [usize; 3],
}

impl Slice {
    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, a step is zero, or a position that is read lies outside the input.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        input.check(self.input.bytes_checked(input.bits)?)?;
        if self.output.bytes_checked(input.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        for axis in 0..3 {
            let last =
                (extents(self.output)[axis] - 1).checked_mul(self.step[axis]).and_then(|distance| distance.checked_add(self.begin[axis]));
            if self.step[axis] == 0 || last.is_none_or(|last| last >= extents(self.input)[axis]) {
                return Err(Invalid::Shape);
            }
        }
        Ok(())
    }
}

/// Multiplier and shift of a requantisation, `m / 2^r = s_in / s_out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescale {
    /// m, 0 .. 2^31.
    pub multiplier: i32,
    /// r, 1 ..= 62.
    pub shift: u8,
}

/// One input of a concatenation, written to its place in the output. A concatenation is one call for each input.
///
/// Both tensors are seen as `[outer, rows, channels]`. Along the channels: outer = 1, rows = pixels, offset in
/// channels. Along the width: outer = height, rows = width, offset in rows. Along the height: outer = 1, rows = pixels,
/// offset in rows.
///
/// Other codes of the output keep their value, but a part that reaches the last channel clears the unused bits of a
/// packed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConcatPart {
    /// Blocks of rows.
    pub outer: usize,
    /// Rows of an input block.
    pub input_rows: usize,
    /// Rows of an output block.
    pub output_rows: usize,
    /// First output row written, in each block.
    pub row_offset: usize,
    /// Codes of an input row.
    pub input_channels: usize,
    /// Codes of an output row.
    pub output_channels: usize,
    /// First output channel written, in each row.
    pub channel_offset: usize,
    /// `None` where input and output share one quantizer: the codes are copied and `codes` gives the width alone.
    pub rescale: Option<Rescale>,
    /// Codes written.
    pub codes: OutputCodes,
}

impl ConcatPart {
    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, the part does not lie inside the output, or its
    /// requantisation is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        let input_rows = self.outer.checked_mul(self.input_rows).ok_or(Invalid::TooLarge)?;
        let output_rows = self.outer.checked_mul(self.output_rows).ok_or(Invalid::TooLarge)?;
        input.check(rows_bytes(input_rows, self.input_channels, input.bits)?)?;
        if rows_bytes(output_rows, self.output_channels, self.codes.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        let rows_end = self.row_offset.checked_add(self.input_rows);
        let channels_end = self.channel_offset.checked_add(self.input_channels);
        if rows_end.is_none_or(|end| end > self.output_rows) || channels_end.is_none_or(|end| end > self.output_channels) {
            return Err(Invalid::Shape);
        }
        match self.rescale {
            Some(rescale) => {
                check_rescale(rescale.multiplier, rescale.shift, Accumulator::I32)?;
                self.codes.check()
            }
            None if input.bits != self.codes.bits => Err(Invalid::Bits),
            None => Ok(()),
        }
    }
}

/// Largest rank that [`Transpose`] handles.
pub const RANK_MAX: usize = 5;

/// Permutation of axes: axis `i` of the output is axis `axes[i]` of the input. Codes do not change. The last axis is
/// the packed one on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// Input shape; a tensor of lower rank has leading ones.
    pub shape: [usize; RANK_MAX],
    /// Input axis of each output axis.
    pub axes: [usize; RANK_MAX],
}

impl Transpose {
    /// From a shape and a permutation of the same rank, 1 ..= [`RANK_MAX`].
    ///
    /// # Errors
    /// The ranks differ or are out of range, or the axes are no permutation.
    pub fn new(shape: &[usize], axes: &[usize]) -> Result<Self, Invalid> {
        let rank = shape.len();
        if rank != axes.len() || rank == 0 || rank > RANK_MAX {
            return Err(Invalid::Permutation);
        }
        let lead = RANK_MAX - rank;
        let mut transpose = Self { shape: [1; RANK_MAX], axes: [0, 1, 2, 3, 4] };
        for (to, &extent) in transpose.shape.iter_mut().skip(lead).zip(shape) {
            *to = extent;
        }
        for (to, &axis) in transpose.axes.iter_mut().skip(lead).zip(axes) {
            *to = axis.checked_add(lead).ok_or(Invalid::Permutation)?;
        }
        transpose.check_axes()?;
        Ok(transpose)
    }

    /// Shape of the output.
    pub fn output_shape(&self) -> [usize; RANK_MAX] {
        self.axes.map(|axis| self.shape.get(axis).copied().unwrap_or(1))
    }

    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, or the axes are no permutation.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        self.check_axes()?;
        input.check(shape_bytes(self.shape, input.bits)?)?;
        if shape_bytes(self.output_shape(), input.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        Ok(())
    }

    fn check_axes(&self) -> Result<(), Invalid> {
        let all = (0..RANK_MAX).all(|axis| self.axes.contains(&axis));
        if all { Ok(()) } else { Err(Invalid::Permutation) }
    }
}

fn shape_bytes(shape: [usize; RANK_MAX], bits: ActivationBits) -> Result<usize, Invalid> {
    let [lead @ .., channels] = shape;
    let rows = lead.into_iter().try_fold(1usize, usize::checked_mul).ok_or(Invalid::TooLarge)?;
    rows_bytes(rows, channels, bits)
}

fn extents(image: Image) -> [usize; 3] {
    [image.height, image.width, image.channels]
}
