//! Images, windows over them, and views of packed activations.

use super::{ActivationBits, Invalid};
use core::ops::Range;

/// Size of a channel-last image `[1, height, width, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels of one pixel.
    pub channels: usize,
}

impl Image {
    /// Number of pixels. Does not overflow for an image that [`Image::bytes_checked`] accepted.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Bytes of one pixel at that width.
    pub const fn pixel_bytes(&self, bits: ActivationBits) -> usize {
        crate::pack::row_bytes(bits, self.channels)
    }

    /// Bytes of the whole image at that width.
    pub const fn bytes(&self, bits: ActivationBits) -> usize {
        self.pixels() * self.pixel_bytes(bits)
    }

    /// As [`Image::bytes`], for sizes that nothing has vouched for.
    ///
    /// # Errors
    /// A dimension is zero, or the size does not fit the address space.
    pub fn bytes_checked(&self, bits: ActivationBits) -> Result<usize, Invalid> {
        rows_bytes(self.height.checked_mul(self.width).ok_or(Invalid::TooLarge)?, self.channels, bits)
    }
}

/// Bytes of `rows` rows of `channels` codes, each row starting at a byte.
pub(super) fn rows_bytes(rows: usize, channels: usize, bits: ActivationBits) -> Result<usize, Invalid> {
    if rows == 0 || channels == 0 {
        return Err(Invalid::Shape);
    }
    // `row_bytes` multiplies by two at most.
    if channels > usize::MAX / 4 {
        return Err(Invalid::TooLarge);
    }
    // More codes than bytes: kernels count codes as well.
    if rows.checked_mul(channels).is_none_or(|codes| codes > isize::MAX as usize) {
        return Err(Invalid::TooLarge);
    }
    let bytes = rows.checked_mul(crate::pack::row_bytes(bits, channels)).ok_or(Invalid::TooLarge)?;
    // Offsets are compared as isize in places, and no slice is longer than that.
    if bytes > isize::MAX as usize { Err(Invalid::TooLarge) } else { Ok(bytes) }
}

/// A sliding window. Every pair is `[vertical, horizontal]`.
///
/// Tap `t` of output position `o` reads input position `o * stride + t * dilation - pad`; positions outside
/// `0 .. extent` are padding. The padding at the bottom and on the right is whatever the output size makes of it, and
/// need not be the same as `pad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub kernel: [usize; 2],
    /// Input positions from one output position to the next.
    pub stride: [usize; 2],
    /// Input positions from one tap to the next.
    pub dilation: [usize; 2],
    /// Padding at the top and on the left.
    pub pad: [usize; 2],
}

impl Window {
    /// The window of a pointwise operator: one tap, stride 1, no padding.
    pub const POINT: Self = Self { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };

    /// Number of taps.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Input position that `tap` of output position `out` reads along `axis` (0 vertical, 1 horizontal), or `None` in
    /// the padding.
    #[inline(always)]
    pub fn position(&self, axis: usize, out: usize, tap: usize, extent: usize) -> Option<usize> {
        let at = out * self.stride[axis] + tap * self.dilation[axis];
        at.checked_sub(self.pad[axis]).filter(|&position| position < extent)
    }

    /// Taps of output position `out` along `axis` that read the input and not the padding.
    #[inline(always)]
    pub fn taps_inside(&self, axis: usize, out: usize, extent: usize) -> Range<usize> {
        let (at, dilation) = (out * self.stride[axis], self.dilation[axis].max(1));
        let first = self.pad[axis].saturating_sub(at).div_ceil(dilation);
        let end = (self.pad[axis] + extent).saturating_sub(at).div_ceil(dilation);
        first.min(self.kernel[axis])..end.min(self.kernel[axis])
    }

    /// Positions cannot overflow for outputs of that size.
    pub(super) fn check(&self, output: Image) -> Result<(), Invalid> {
        for (axis, extent) in [output.height, output.width].into_iter().enumerate() {
            if self.kernel[axis] == 0 || self.stride[axis] == 0 || self.dilation[axis] == 0 {
                return Err(Invalid::Window);
            }
            let last_out = extent.checked_sub(1).and_then(|last| last.checked_mul(self.stride[axis]));
            let last_tap = (self.kernel[axis] - 1).checked_mul(self.dilation[axis]);
            let last = last_out.zip(last_tap).and_then(|(out, tap)| out.checked_add(tap));
            if last.is_none() || self.pad[axis] > isize::MAX as usize {
                return Err(Invalid::TooLarge);
            }
        }
        self.kernel[0].checked_mul(self.kernel[1]).map(|_| ()).ok_or(Invalid::TooLarge)
    }
}

/// A tensor's packed codes, as [`pack`](crate::pack) lays them out, and its quantizer's zero point.
#[derive(Clone, Copy, Debug)]
pub struct Activations<'a> {
    /// Rows of packed codes; a row is one pixel's channels, or one vector.
    pub codes: &'a [u8],
    /// Width of a code.
    pub bits: ActivationBits,
    /// Code of real zero: 0 at 16 bits.
    pub zero_point: i32,
}

impl Activations<'_> {
    /// What `check` needs to know of these codes.
    pub const fn operand(&self) -> Operand {
        Operand { bytes: self.codes.len(), bits: self.bits, zero_point: self.zero_point }
    }
}

/// Description of an input that need not exist yet: what [`Activations`] will be when the kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Length of the codes in bytes.
    pub bytes: usize,
    /// Width of a code.
    pub bits: ActivationBits,
    /// Code of real zero.
    pub zero_point: i32,
}

impl Operand {
    /// The operand holds exactly `bytes` bytes and its zero point is one of its codes.
    pub(super) fn check(&self, bytes: usize) -> Result<(), Invalid> {
        if self.bytes != bytes {
            return Err(Invalid::InputLength);
        }
        if self.bits.contains(self.zero_point) { Ok(()) } else { Err(Invalid::ZeroPoint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_inside_are_those_with_a_position() {
        for kernel in 1..6 {
            for stride in 1..4 {
                for dilation in 1..4 {
                    for pad in 0..9 {
                        let window = Window { kernel: [1, kernel], stride: [1, stride], dilation: [1, dilation], pad: [0, pad] };
                        for extent in 1..6 {
                            for out in 0..9 {
                                let inside = window.taps_inside(1, out, extent);
                                let position = |tap| window.position(1, out, tap, extent);
                                for tap in 0..kernel {
                                    assert_eq!(inside.contains(&tap), position(tap).is_some(), "{window:?} {extent} {out}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
