//! The network's input and output: raw data to codes and back.

use serde::Serialize;

use crate::tensor::Tensor;

/// Element type of the raw data that the network was calibrated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RawType {
    /// Unsigned bytes, as most images.
    U8,
    /// Signed bytes.
    I8,
    /// Real numbers.
    F32,
}

impl RawType {
    /// `u8`, `i8` or `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::F32 => "f32",
        }
    }

    /// Whether the file holds a table that turns raw data into codes.
    pub fn has_table(self) -> bool {
        self != Self::F32
    }

    /// Entries of a table for one channel: one for each byte.
    pub const TABLE_ENTRIES: usize = 256;

    /// The raw value that entry `byte` of a table stands for.
    pub fn value(self, byte: u8) -> f32 {
        match self {
            Self::I8 => f32::from(byte as i8),
            Self::U8 | Self::F32 => f32::from(byte),
        }
    }
}

/// Input as the file stores it.
///
/// At `raw`: means `[lists]` f32, standard deviations `[lists]` f32, and for bytes a table `[lists][256]` of codes, u8
/// at up to 8 bits and i16 at 16.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct InputRecord {
    pub(crate) tensor: u16,
    pub(crate) raw_type: RawType,
    pub(crate) lists: u32,
    pub(crate) raw: u32,
}

/// Output as the file stores it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct OutputRecord {
    pub(crate) tensor: u16,
    pub(crate) classes: u32,
    pub(crate) softmax_removed: bool,
}

/// What the network reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<'a> {
    /// Number of the tensor.
    pub index: u16,
    /// Its shape and quantizer.
    pub tensor: Tensor<'a>,
    /// Element type of the raw data.
    pub raw_type: RawType,
    /// Means: one for all channels, or one for each.
    pub mean: &'a [f32],
    /// Standard deviations, as many as `mean`.
    pub std: &'a [f32],
    /// Codes for every raw byte, `[mean.len()][256]`, u8 or little-endian i16 at 16 bits; empty for f32 data. The entry
    /// of a signed byte is that of its bit pattern.
    pub table: &'a [u8],
}

impl Input<'_> {
    /// Code of one raw value of `channel` by the formula.
    pub fn quantize(&self, x: f32, channel: usize) -> i32 {
        let list = if self.mean.len() == 1 { 0 } else { channel };
        let mean = self.mean.get(list).copied().unwrap_or(0.0);
        let std = self.std.get(list).copied().unwrap_or(1.0);
        let Tensor { scale, zero_point, bits, .. } = self.tensor;
        quantize_input(x, mean, std, scale, zero_point, bits.lo(), bits.hi())
    }

    /// Code of one raw byte of `channel` by the table, if there is one.
    pub fn look_up(&self, byte: u8, channel: usize) -> Option<i32> {
        let list = if self.mean.len() == 1 { 0 } else { channel };
        let entry = list.checked_mul(RawType::TABLE_ENTRIES)?.checked_add(usize::from(byte))?;
        if self.tensor.bits.signed() {
            let (entries, _) = self.table.as_chunks::<2>();
            entries.get(entry).map(|&code| i32::from(i16::from_le_bytes(code)))
        } else {
            self.table.get(entry).map(|&code| i32::from(code))
        }
    }
}

/// What the network writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Output<'a> {
    /// Number of the tensor.
    pub index: u16,
    /// Its shape and quantizer.
    pub tensor: Tensor<'a>,
    /// Number of classes of a classifier, 0 for any other network.
    pub classes: usize,
    /// A Softmax ended the network and was left out of the file.
    pub softmax_removed: bool,
}

/// Code of a raw value: `clamp(round(((x - mean) / std) / scale) + zero_point, lo, hi)`, in single precision with
/// round = half away from zero. Not-a-number becomes the zero point.
///
/// Compiler, host and device share this function, so that they get the same codes.
pub fn quantize_input(x: f32, mean: f32, std: f32, scale: f32, zero_point: i32, lo: i32, hi: i32) -> i32 {
    let steps = libm::roundf(((x - mean) / std) / scale);
    // The cast saturates, and turns not-a-number into 0.
    let code = (steps as i32).saturating_add(zero_point);
    // `max` then `min` rather than `clamp`, which panics where lo > hi.
    code.max(lo).min(hi)
}
