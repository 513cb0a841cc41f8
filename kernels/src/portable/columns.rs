//! Columns: the input codes that one output pixel's dot products read (im2col), widened to 16 bits.

use super::dot::Lanes;
use crate::{ActivationBits, Activations, Conv, pack};

/// Widens `codes.len()` codes of a packed row, beginning at code `first`.
#[inline]
pub(crate) fn unpack_from(bits: ActivationBits, row: &[u8], first: usize, codes: &mut [i16]) {
    let whole_bytes = match bits {
        ActivationBits::A2 => first.is_multiple_of(4),
        ActivationBits::A4 => first.is_multiple_of(2),
        _ => true,
    };
    if whole_bytes {
        let rest = row.get(pack::row_bytes(bits, first)..).unwrap_or_default();
        let bytes = pack::row_bytes(bits, codes.len());
        pack::unpack_row(bits, rest.get(..bytes).unwrap_or_default(), codes);
    } else {
        for (index, code) in codes.iter_mut().enumerate() {
            *code = pack::code(row, bits, first + index) as i16;
        }
    }
}

/// Whether rows of `len` codes have no unused bits, so that several rows are one longer row.
pub(crate) fn rows_join(bits: ActivationBits, len: usize) -> bool {
    match bits {
        ActivationBits::A2 => len.is_multiple_of(4),
        ActivationBits::A4 => len.is_multiple_of(2),
        _ => true,
    }
}

/// What the columns of one group of a convolution have in common.
pub(super) struct Columns<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    pixel_bytes: usize,
    first_channel: usize,
    /// Taps that are neighbours in the row of the kernel are neighbours in memory.
    taps_join: bool,
}

impl<'a> Columns<'a> {
    pub(super) fn new(conv: &'a Conv<'a>, input: Activations<'a>, group: usize) -> Self {
        let channels = conv.input.channels;
        Self {
            conv,
            input,
            pixel_bytes: conv.input.pixel_bytes(input.bits),
            first_channel: group * conv.group_inputs(),
            taps_join: conv.groups == 1 && conv.window.dilation[1] == 1 && rows_join(input.bits, channels),
        }
    }

    /// Fills `column` for output pixel `pixel`: taps in the order of the weights, then zeros.
    pub(super) fn fill(&self, pixel: usize, column: &mut [Lanes]) {
        let conv = self.conv;
        let column = column.as_flattened_mut();
        let Some((mut rest, padding)) = column.split_at_mut_checked(conv.row_len()) else {
            return;
        };
        padding.fill(0);
        let width = conv.output.width.max(1);
        let (y, x) = (pixel / width, pixel % width);
        let row_codes = conv.window.kernel[1] * conv.group_inputs();
        for tap in 0..conv.window.kernel[0] {
            let Some((row, others)) = rest.split_at_mut_checked(row_codes) else {
                return;
            };
            rest = others;
            match conv.window.position(0, y, tap, conv.input.height) {
                Some(from_y) => self.fill_row(from_y, x, row),
                None => row.fill(self.input.zero_point as i16),
            }
        }
    }

    /// Fills the part of a column that reads input row `y`.
    fn fill_row(&self, y: usize, x: usize, mut row: &mut [i16]) {
        let conv = self.conv;
        let (width, taps) = (conv.input.width, conv.window.kernel[1]);
        let zero_point = self.input.zero_point as i16;
        let mut tap = 0;
        while tap < taps {
            let position = conv.window.position(1, x, tap, width);
            let together = match position {
                Some(from_x) if self.taps_join => (taps - tap).min(width - from_x),
                _ => 1,
            };
            let Some((codes, others)) = row.split_at_mut_checked(together * conv.group_inputs()) else {
                return;
            };
            row = others;
            match position {
                Some(from_x) => {
                    let start = (y * width + from_x) * self.pixel_bytes;
                    let pixels = self.input.codes.get(start..).unwrap_or_default();
                    unpack_from(self.input.bits, pixels, self.first_channel, codes);
                }
                None => codes.fill(zero_point),
            }
            tap += together;
        }
    }
}
