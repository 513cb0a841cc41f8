//! Parameters of resizing along height and width.

use super::stage::check_rescale;
use super::{Accumulator, ActivationBits, Image, Invalid, Operand, OutputCodes, Rescale};

/// Resize of an image along height and width, nearest neighbour or bilinear.
///
/// Every output row and column has a *coordinate* in the input, an unsigned number with [`Resize::FRACTION_BITS`] = 11
/// bits behind the point: `i = coordinate >> 11` is the position before it, `f = coordinate & 2047` the weight of the
/// position behind it, `i' = min(i + 1, size - 1)`.
///
/// Nearest (`rescale` is `None`): every fraction is 0, and the code at `(i_y, i_x)` is copied; input and output share one
/// quantizer.
///
/// Bilinear, with p(y, x) the input's code less its zero point:
///
/// ```text
/// above = (2048 - f_x) p(i_y,  i_x) + f_x p(i_y,  i_x')
/// below = (2048 - f_x) p(i_y', i_x) + f_x p(i_y', i_x')
/// acc   = (2048 - f_y) above + f_y below                      |acc| < 2^30, or <= 2^37 with 16-bit codes
/// code  = clamp(requant(acc, m, r) + z_out, lo, hi)           m / 2^r = s_in / (s_out * 2^22)
/// ```
///
/// One rounding. m has up to 31 bits, with 16-bit codes up to 23. A coordinate rounded to 11 bits moves the result by at
/// most 2^-12 of the difference of neighbouring rows and 2^-12 of that of neighbouring columns: 0.13 of a code in all at
/// 8 bits. Where fractions are sums of 1/2, 1/4, .. 1/2048, as with every factor that is a power of two and most
/// conventions, that error is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize<'a> {
    /// Input `[1, H, W, C]`.
    pub input: Image,
    /// Output `[1, H', W', C]`.
    pub output: Image,
    /// `[H']`: coordinate of each output row.
    pub rows: &'a [u32],
    /// `[W']`: coordinate of each output column.
    pub columns: &'a [u32],
    /// `None` for nearest neighbour: `codes` then gives the width alone.
    pub rescale: Option<Rescale>,
    /// Codes written.
    pub codes: OutputCodes,
}

/// Where a coordinate lies along an axis: the positions around it and the weight of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// Position before the coordinate.
    pub first: usize,
    /// Position behind it, the last one at most.
    pub second: usize,
    /// Weight of `second`, of 2048.
    pub weight: i32,
}

impl Resize<'_> {
    /// Bits of a coordinate behind the point.
    pub const FRACTION_BITS: u32 = 11;

    /// A whole step of a coordinate.
    pub const ONE: i32 = 1 << Self::FRACTION_BITS;

    /// Places around a coordinate of an axis with `size` positions.
    #[inline]
    pub fn between(coordinate: u32, size: usize) -> Between {
        let first = (coordinate >> Self::FRACTION_BITS) as usize;
        let second = (first + 1).min(size.saturating_sub(1));
        Between { first, second, weight: (coordinate & (Self::ONE as u32 - 1)) as i32 }
    }

    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, the channels differ, a coordinate lies outside the input or
    /// has a fraction where codes are copied, or the requantisation is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        input.check(self.input.bytes_checked(input.bits)?)?;
        if self.output.bytes_checked(self.codes.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        if self.input.channels != self.output.channels {
            return Err(Invalid::Shape);
        }
        if [self.rows.len(), self.columns.len()] != [self.output.height, self.output.width] {
            return Err(Invalid::StageLength);
        }
        for (coordinates, size) in [(self.rows, self.input.height), (self.columns, self.input.width)] {
            for &coordinate in coordinates {
                let Between { first, weight, .. } = Self::between(coordinate, size);
                if first >= size || (self.rescale.is_none() && weight != 0) {
                    return Err(Invalid::Coordinate);
                }
            }
        }
        match self.rescale {
            Some(Rescale { multiplier, shift }) => {
                let accumulator = if input.bits == ActivationBits::A16 { Accumulator::I64 } else { Accumulator::I32 };
                check_rescale(multiplier, shift, accumulator)?;
                self.codes.check()
            }
            None if input.bits != self.codes.bits => Err(Invalid::Bits),
            None => Ok(()),
        }
    }
}
