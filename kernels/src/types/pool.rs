//! Parameters of the pooling operators.

use super::geometry::Window;
use super::stage::check_rescale;
use super::{Accumulator, ActivationBits, Image, Invalid, Operand, OutputCodes};

/// Which elements an average pool divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountPadding {
    /// Elements of the input only.
    Exclude,
    /// Elements of the padded input, which ends `end` positions (`[vertical, horizontal]`) after the input; positions
    /// past that (a window that ceil_mode added) are not counted.
    Include {
        /// Padding at the bottom and on the right.
        end: [usize; 2],
    },
}

/// Average pool: `clamp(requant(sum(a - z_in), m_n, r_n) + z_out)`, n = number of counted elements.
///
/// The divisors are in three parallel lists: window with `counts[i]` counted elements uses `multiplier[i]` and
/// `shift[i]`, that is `s_in / (s_out * n)`.
#[derive(Clone, Copy, Debug)]
pub struct AveragePool<'a> {
    /// Input `[1, H, W, C]`.
    pub input: Image,
    /// Output `[1, H, W, C]`.
    pub output: Image,
    /// Window over the input; padding adds nothing to the sum.
    pub window: Window,
    /// Which elements are counted.
    pub padding: CountPadding,
    /// Numbers of counted elements, each at least 1, strictly ascending.
    pub counts: &'a [u32],
    /// m for each count, 0 .. 2^31.
    pub multiplier: &'a [i32],
    /// r for each count, 1 ..= 62.
    pub shift: &'a [u8],
    /// Codes written.
    pub codes: OutputCodes,
}

impl AveragePool<'_> {
    /// Taps of output position `out` along `axis` that are counted.
    // Inlined always, and the window's functions with it: a constant axis needs no bounds check.
    #[inline(always)]
    pub fn counted(&self, axis: usize, out: usize) -> usize {
        let extent = if axis == 0 { self.input.height } else { self.input.width };
        match self.padding {
            CountPadding::Exclude => self.window.taps_inside(axis, out, extent).len(),
            CountPadding::Include { end } => {
                let limit = self.window.pad[axis] + extent + end[axis];
                let left = limit.saturating_sub(out * self.window.stride[axis]);
                left.div_ceil(self.window.dilation[axis].max(1)).min(self.window.kernel[axis])
            }
        }
    }

    /// Multiplier and shift for a window of `count` counted elements.
    pub fn divisor(&self, count: usize) -> Option<(i32, u8)> {
        let index = self.counts.binary_search(&u32::try_from(count).ok()?).ok()?;
        Some((*self.multiplier.get(index)?, *self.shift.get(index)?))
    }

    /// Everything that the kernels rely on: also that every window has a divisor and that no sum passes 2^31.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers; the divisors are not in order, out of range or lack a count; a sum may pass
    /// 2^31; or the clamp is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        input.check(self.input.bytes_checked(input.bits)?)?;
        check_pooled(self.input, self.output, self.window, self.codes.bits, output_bytes)?;
        if let CountPadding::Include { end } = self.padding {
            for (axis, extent) in [self.input.height, self.input.width].into_iter().enumerate() {
                let limit = self.window.pad[axis].checked_add(extent).and_then(|sum| sum.checked_add(end[axis]));
                limit.ok_or(Invalid::TooLarge)?;
            }
        }
        if self.counts.len() != self.multiplier.len() || self.counts.len() != self.shift.len() {
            return Err(Invalid::StageLength);
        }
        if !self.counts.is_sorted_by(|a, b| a < b) {
            return Err(Invalid::CountOrder);
        }
        for (&multiplier, &shift) in self.multiplier.iter().zip(self.shift) {
            check_rescale(multiplier, shift, Accumulator::I32)?;
        }
        let taps = u64::try_from(self.window.taps()).map_err(|_| Invalid::TooLarge)?;
        let span = input.zero_point.abs_diff(input.bits.lo()).max(input.zero_point.abs_diff(input.bits.hi()));
        if taps.checked_mul(u64::from(span)).is_none_or(|sum| sum >= 1 << 31) {
            return Err(Invalid::Count);
        }
        let mut rows_before = None;
        for y in 0..self.output.height {
            let rows = self.counted(0, y);
            // A row of windows repeats the horizontal counts, so equal vertical counts need one look only.
            if rows_before.replace(rows) == Some(rows) {
                continue;
            }
            let mut columns_before = None;
            for x in 0..self.output.width {
                let columns = self.counted(1, x);
                if columns_before.replace(columns) == Some(columns) {
                    continue;
                }
                let count = rows * columns;
                if count == 0 || self.divisor(count).is_none() {
                    return Err(Invalid::Count);
                }
            }
        }
        self.codes.check()
    }
}

/// Max pool: the largest code of the input's elements in the window. Padding never wins and codes do not change, so
/// input and output share one quantizer.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool {
    /// Input `[1, H, W, C]`.
    pub input: Image,
    /// Output `[1, H, W, C]`.
    pub output: Image,
    /// Window over the input.
    pub window: Window,
}

impl MaxPool {
    /// Everything that the kernels rely on: also that every window meets at least one element.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, or a window meets no element.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        input.check(self.input.bytes_checked(input.bits)?)?;
        check_pooled(self.input, self.output, self.window, input.bits, output_bytes)?;
        let extents = [(self.input.height, self.output.height), (self.input.width, self.output.width)];
        for (axis, (extent, outputs)) in extents.into_iter().enumerate() {
            let meets = |out| !self.window.taps_inside(axis, out, extent).is_empty();
            if !(0..outputs).all(meets) {
                return Err(Invalid::Window);
            }
        }
        Ok(())
    }
}

fn check_pooled(input: Image, output: Image, window: Window, bits: ActivationBits, output_bytes: usize) -> Result<(), Invalid> {
    if input.channels != output.channels {
        return Err(Invalid::Shape);
    }
    if output.bytes_checked(bits)? != output_bytes {
        return Err(Invalid::OutputLength);
    }
    window.check(output)
}
