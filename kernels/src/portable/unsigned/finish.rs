//! The output stage of a block of channels and columns.

use crate::{ActivationBits, Conv, pack, requant};

/// What all blocks of a convolution have in common.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    conv: &'a Conv<'a>,
    pixel_bytes: usize,
    is_bytes: bool,
}

impl<'a> Finish<'a> {
    pub(super) fn new(conv: &'a Conv<'a>) -> Self {
        let bits = conv.stage.bits;
        Self { conv, pixel_bytes: conv.output.pixel_bytes(bits), is_bytes: matches!(bits, ActivationBits::A6 | ActivationBits::A8) }
    }

    /// Writes the channels from `channel` on of the pixels from `pixel` on; `excess` is what each column's sums are too large by.
    #[inline]
    pub(super) fn block<const N: usize>(&self, pixel: usize, channel: usize, sums: &[[u32; N]], excess: &[u32; N], output: &mut [u8]) {
        let first = pixel * self.pixel_bytes;
        let stage = &self.conv.stage;
        let codes = stage.codes();
        for (channel, sums) in (channel..).zip(sums) {
            let Some((bias, multiplier, shift)) = stage.channel(channel) else {
                return;
            };
            let accs = sums.iter().zip(excess).map(|(&sum, &excess)| (bias as u32).wrapping_add(sum).wrapping_sub(excess) as i32);
            if self.is_bytes && shift > requant::HIGH_SHIFT_MIN {
                let Some(output) = output.get_mut(first + channel..) else {
                    return;
                };
                let mut at = 0;
                for acc in accs {
                    let code = requant::requantize_upper(acc, multiplier, shift).wrapping_add(codes.zero_point);
                    if let Some(to) = output.get_mut(at) {
                        *to = code.max(codes.lo).min(codes.hi) as u8;
                    }
                    at += self.pixel_bytes;
                }
            } else {
                let pixels = output.get_mut(first..).unwrap_or_default().chunks_exact_mut(self.pixel_bytes.max(1));
                for (acc, pixel) in accs.zip(pixels) {
                    let scaled = requant::requantize_i32(acc, multiplier, shift);
                    pack::set_code(pixel, codes.bits, channel, codes.code(scaled));
                }
            }
        }
    }
}
