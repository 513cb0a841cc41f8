//! Parameters of the operators that treat each code alone, and of softmax.

use super::geometry::rows_bytes;
use super::stage::check_rescale;
use super::{Accumulator, ActivationBits, Invalid, Operand, OutputCodes};

/// Sum or difference of two tensors:
/// `clamp((((a - z_a) * m_a +- (b - z_b) * m_b + 2^(r-1)) >> r) + z_out, lo, hi)`.
///
/// Two mantissas under one shift, one rounding. For inputs of at most 8 bits the compiler gives mantissas of at most
/// 21 bits and r <= 31, and everything fits 32 bits; other values are correct but slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add {
    /// Rows (pixels) of `a` and of the output.
    pub rows: usize,
    /// Codes of a row.
    pub channels: usize,
    /// `b` has one row, which is added to every row of `a`.
    pub broadcast: bool,
    /// The second term is subtracted.
    pub subtract: bool,
    /// m_a, 0 .. 2^31.
    pub multiplier_a: i32,
    /// m_b, 0 .. 2^31.
    pub multiplier_b: i32,
    /// r, 1 ..= 62.
    pub shift: u8,
    /// Codes written.
    pub codes: OutputCodes,
}

impl Add {
    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, or a multiplier, the shift, a zero point or the clamp is out of range.
    pub fn check(&self, a: Operand, b: Operand, output_bytes: usize) -> Result<(), Invalid> {
        check_rescale(self.multiplier_a, self.shift, Accumulator::I32)?;
        check_rescale(self.multiplier_b, self.shift, Accumulator::I32)?;
        check_pair(self.rows, self.channels, self.broadcast, a, b, self.codes, output_bytes)
    }
}

/// Product of two tensors: `clamp(requant((a - z_a) * (b - z_b), m, r) + z_out, lo, hi)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mul {
    /// Rows (pixels) of `a` and of the output.
    pub rows: usize,
    /// Codes of a row.
    pub channels: usize,
    /// `b` has one row, which multiplies every row of `a` (squeeze and excitation).
    pub broadcast: bool,
    /// m, 0 .. 2^31.
    pub multiplier: i32,
    /// r, 1 ..= 62.
    pub shift: u8,
    /// Codes written.
    pub codes: OutputCodes,
}

impl Mul {
    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, or a multiplier, the shift, a zero point or the clamp is out of range.
    pub fn check(&self, a: Operand, b: Operand, output_bytes: usize) -> Result<(), Invalid> {
        check_rescale(self.multiplier, self.shift, Accumulator::I32)?;
        check_pair(self.rows, self.channels, self.broadcast, a, b, self.codes, output_bytes)
    }
}

/// One tensor to another quantizer, with a clamp: `clamp(requant(a - z_in, m, r) + z_out, lo, hi)`. An activation
/// function that could not be fused is this with m / 2^r = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requantize {
    /// Rows (pixels).
    pub rows: usize,
    /// Codes of a row.
    pub channels: usize,
    /// m, 0 .. 2^31.
    pub multiplier: i32,
    /// r, 1 ..= 62.
    pub shift: u8,
    /// Codes written.
    pub codes: OutputCodes,
}

impl Requantize {
    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, or a multiplier, the shift, a zero point or the clamp is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        check_rescale(self.multiplier, self.shift, Accumulator::I32)?;
        input.check(rows_bytes(self.rows, self.channels, input.bits)?)?;
        check_output(self.rows, self.channels, self.codes, output_bytes)
    }
}

/// A function given by a table.
///
/// Input of b <= 8 bits: `2^b` entries, one for each code, one byte each, or two (little-endian) where the output has
/// 16 bits. Input of 16 bits: [`Table::POINTS`] points of two bytes each, interpolated:
/// `i = (code + 32768) >> 7`, `f` = the low 7 bits, `t[i] + (((t[i+1] - t[i]) * f + 64) >> 7)`.
///
/// # Error
/// With an entry for each code the result is the function, rounded: at most 0.5 of an output code off. Between points
/// h = 128 input codes apart the largest error is that of the line, h^2/8 of the second derivative (at a bend, h/4 of
/// what the slope changes by), and about one code of rounding. The largest over all input codes, from 16 to 16 bits, in
/// output codes, where the output covers all values of the function (full scale is 32767):
///
/// | function | inputs to 5 | to 10 | to 20 |
/// |---|---|---|---|
/// | Gelu | 1.1 | 1.4 | 1.8 |
/// | Gelu, tanh | 1.1 | 1.4 | 1.8 |
/// | Sigmoid | 1.2 | 1.6 | 3.2 |
/// | Tanh | 2.2 | 5.6 | 19.7 |
/// | Mish | 1.1 | 1.3 | 1.5 |
/// | Softplus | 1.3 | 1.1 | 1.2 |
/// | Elu | 1.1 | 1.4 | 1.8 |
/// | Exp | 5.1 | 10.1 | 22.7 |
/// | HardSwish | 15.2 | 10.4 | 15.0 |
/// | HardSigmoid | 26.0 | 34.4 | 102.4 |
/// | LeakyRelu | 1.0 | 1.0 | 1.0 |
///
/// GELU is `x Phi(x)` in f64 at every point, not a polynomial. A test measures and holds these figures
/// (`cargo test -p apq-tests --test tables -- --nocapture`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// Rows (pixels).
    pub rows: usize,
    /// Codes of a row.
    pub channels: usize,
    /// Entries, as output codes.
    pub entries: &'a [u8],
    /// Width of an output code.
    pub bits: ActivationBits,
}

impl Table<'_> {
    /// Points of a table for 16-bit input.
    pub const POINTS: usize = 513;

    /// Bytes of a table from `input` to `output` codes.
    pub const fn entries_bytes(input: ActivationBits, output: ActivationBits) -> usize {
        match (input, output) {
            (ActivationBits::A16, _) => 2 * Self::POINTS,
            (_, ActivationBits::A16) => 2 << input.bits(),
            _ => 1 << input.bits(),
        }
    }

    /// Everything that the kernels rely on: also that every entry is a code of the output.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, the table has the wrong length, or an entry is not a code of the output.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        input.check(rows_bytes(self.rows, self.channels, input.bits)?)?;
        if rows_bytes(self.rows, self.channels, self.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        if self.entries.len() != Self::entries_bytes(input.bits, self.bits) {
            return Err(Invalid::StageLength);
        }
        let wide = input.bits == ActivationBits::A16 || self.bits == ActivationBits::A16;
        let fits = if wide {
            let (points, _) = self.entries.as_chunks::<2>();
            points.iter().all(|&point| self.bits.contains(i32::from(i16::from_le_bytes(point))))
        } else {
            self.entries.iter().all(|&entry| self.bits.contains(i32::from(entry)))
        };
        if fits { Ok(()) } else { Err(Invalid::Code) }
    }
}

/// Softmax over the last axis of `[rows, channels]`. Output codes are unsigned 8 bits or signed 16 bits with zero point 0 and
/// scale 1/`one`: 255 or 32767 where probabilities up to 1 are wanted, more where an attention spreads over many and none
/// comes near 1; what passes the largest code is clamped to it. See [`reference::softmax`](crate::reference::softmax) for the algorithm and its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// Independent rows.
    pub rows: usize,
    /// Codes of a row, at most 2^24.
    pub channels: usize,
    /// m of `m / 2^r = s_in * log2(e) * 2^16`, 0 .. 2^31.
    pub multiplier: i32,
    /// r, 1 ..= 62.
    pub shift: u8,
    /// Width of an output code: 8 or 16.
    pub bits: ActivationBits,
    /// The output code of probability 1, 1 ..= [`Softmax::ONE_MAX`], if there were such a code.
    pub one: u32,
}

impl Softmax {
    /// Largest `one`.
    pub const ONE_MAX: u32 = 1 << 24;

    /// Everything that the kernels rely on.
    ///
    /// # Errors
    /// Sizes are zero, too large or not those of the buffers, the output has neither 8 nor 16 bits, or the multiplier,
    /// the shift or `one` is out of range.
    pub fn check(&self, input: Operand, output_bytes: usize) -> Result<(), Invalid> {
        check_rescale(self.multiplier, self.shift, Accumulator::I32)?;
        if self.one == 0 || self.one > Self::ONE_MAX {
            return Err(Invalid::Code);
        }
        input.check(rows_bytes(self.rows, self.channels, input.bits)?)?;
        if !matches!(self.bits, ActivationBits::A8 | ActivationBits::A16) {
            return Err(Invalid::Bits);
        }
        if self.channels > 1 << 24 {
            return Err(Invalid::TooLarge);
        }
        if rows_bytes(self.rows, self.channels, self.bits)? != output_bytes {
            return Err(Invalid::OutputLength);
        }
        Ok(())
    }
}

fn check_pair(
    rows: usize,
    channels: usize,
    broadcast: bool,
    a: Operand,
    b: Operand,
    codes: OutputCodes,
    output_bytes: usize,
) -> Result<(), Invalid> {
    a.check(rows_bytes(rows, channels, a.bits)?)?;
    b.check(rows_bytes(if broadcast { 1 } else { rows }, channels, b.bits)?)?;
    check_output(rows, channels, codes, output_bytes)
}

fn check_output(rows: usize, channels: usize, codes: OutputCodes, output_bytes: usize) -> Result<(), Invalid> {
    if rows_bytes(rows, channels, codes.bits)? != output_bytes {
        return Err(Invalid::OutputLength);
    }
    codes.check()
}
