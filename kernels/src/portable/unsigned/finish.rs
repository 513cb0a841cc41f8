//! The output stage of a block of channels and columns.

use super::Blocks;
use crate::{ActivationBits, Conv, OutputCodes, pack, requant};

/// What all blocks of a convolution have in common.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    conv: &'a Conv<'a>,
    pixel_bytes: usize,
    is_fast: bool,
}

impl<'a> Finish<'a> {
    pub(super) fn new(conv: &'a Conv<'a>) -> Self {
        let bits = conv.stage.bits;
        let is_bytes = matches!(bits, ActivationBits::A6 | ActivationBits::A8);
        let is_fast = is_bytes && conv.stage.shift.iter().all(|shift| ByteStage::SHIFTS.contains(shift));
        Self { conv, pixel_bytes: conv.output.pixel_bytes(bits), is_fast }
    }

    /// Writes the channels from `channel` on of the pixels from `pixel` on.
    #[inline]
    pub(super) fn block<B: Blocks, const N: usize>(&self, pixel: usize, channel: usize, sums: &[[u32; N]], output: &mut [u8]) {
        let channels = channel..channel + sums.len();
        let stage = &self.conv.stage;
        let Some(output) = output.get_mut(pixel * self.pixel_bytes..) else {
            return;
        };
        let (Some(bias), Some(multiplier), Some(shift)) =
            (stage.bias.get(channels.clone()), stage.multiplier.get(channels.clone()), stage.shift.get(channels))
        else {
            return;
        };
        let codes = stage.codes();
        let stage = ByteStage { bias, multiplier, shift, codes, pixel_bytes: self.pixel_bytes };
        if self.is_fast {
            B::finish(&stage, sums, output.get_mut(channel..).unwrap_or_default());
        } else {
            stage.finish_any(channel, sums, output);
        }
    }
}

/// Output stage of some channels into bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByteStage<'a> {
    pub(crate) bias: &'a [i32],
    pub(crate) multiplier: &'a [i32],
    pub(crate) shift: &'a [u8],
    pub(crate) codes: OutputCodes,
    /// Bytes from a pixel to the next.
    pub(crate) pixel_bytes: usize,
}

impl ByteStage<'_> {
    /// Shifts for which one addition rounds and adds the zero point within 32 bits:
    /// `(acc * m + 2^(r-1) >> r) + z = (upper word of acc * m + (2z + 1) * 2^(r-33)) >> (r-32)`, below `2^30 + 511 * 2^21`.
    pub(crate) const SHIFTS: core::ops::RangeInclusive<u8> = 33..=54;

    /// See [`Blocks::finish`].
    #[inline]
    pub(super) fn finish<const N: usize>(&self, sums: &[[u32; N]], output: &mut [u8]) {
        let codes = self.codes;
        let twice_zero = 2 * codes.zero_point + 1;
        let channels = sums.iter().zip(self.bias).zip(self.multiplier).zip(self.shift);
        for (channel, (((sums, &bias), &multiplier), &shift)) in channels.enumerate() {
            let shift = u32::from(shift).wrapping_sub(32);
            let addend = twice_zero.wrapping_shl(shift.wrapping_sub(1));
            let mut at = channel;
            for &sum in sums {
                let acc = sum.wrapping_add(bias as u32) as i32;
                let code = requant::upper(acc, multiplier).wrapping_add(addend).wrapping_shr(shift);
                if let Some(to) = output.get_mut(at) {
                    *to = code.max(codes.lo).min(codes.hi) as u8;
                }
                at += self.pixel_bytes;
            }
        }
    }

    /// As [`ByteStage::finish`], of all widths and shifts; `output` begins with channel 0.
    #[inline(never)]
    fn finish_any<const N: usize>(&self, channel: usize, sums: &[[u32; N]], output: &mut [u8]) {
        let codes = self.codes;
        let channels = sums.iter().zip(self.bias).zip(self.multiplier).zip(self.shift);
        for (channel, (((sums, &bias), &multiplier), &shift)) in (channel..).zip(channels) {
            let mut begin = 0;
            for &sum in sums {
                // The last block may have fewer pixels than sums.
                let Some(pixel) = output.get_mut(begin..).and_then(|rest| rest.get_mut(..self.pixel_bytes)) else {
                    break;
                };
                begin += self.pixel_bytes;
                let acc = sum.wrapping_add(bias as u32) as i32;
                let code = if shift > requant::HIGH_SHIFT_MIN {
                    // No code is so large that this could overflow.
                    requant::requantize_upper(acc, multiplier, shift).wrapping_add(codes.zero_point).max(codes.lo).min(codes.hi)
                } else {
                    codes.code(requant::requantize_i32(acc, multiplier, shift))
                };
                pack::set_code(pixel, codes.bits, channel, code);
            }
        }
    }
}
