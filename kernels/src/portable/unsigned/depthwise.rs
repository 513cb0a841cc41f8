//! Depthwise convolution without a channel multiplier: channels side by side, as they lie in memory, so that the cost of a window's borders is
//! shared by all of them.

use super::finish::Finish;
use super::{Blocks, CHANNELS, after};
use crate::arrange::unsigned;
use crate::{ActivationBits, Activations, Conv, pack};

/// Output pixels at once; they share the constants of the output stage.
const PIXELS: usize = super::COLUMNS;

/// Taps at once.
const TAPS: usize = 12;

/// Whether this is the kernel for that convolution.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels && conv.groups == conv.output.channels
}

/// Bytes of scratch: the weights `[taps][C]`, and a pixel of padding.
pub(super) fn scratch_bytes(conv: &Conv<'_>, input: ActivationBits) -> usize {
    let padding = pack::row_bytes(input, conv.input.channels);
    conv.window.taps().saturating_mul(conv.input.channels).saturating_add(padding)
}

/// Products of pixels and weights, which lie alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps<'a> {
    pub(crate) bits: ActivationBits,
    /// The codes of all channels, for each tap.
    pub(crate) pixels: &'a [&'a [u8]],
    /// `[taps][stride]`, signed.
    pub(crate) weights: &'a [u8],
    pub(crate) stride: usize,
    /// The first channel.
    pub(crate) channel: usize,
}

impl Taps<'_> {
    /// See [`Blocks::add_taps`].
    pub(crate) fn add<const N: usize>(&self, index: usize, sums: &mut [[u32; N]]) {
        let mut weights = self.weights.get(self.channel..).unwrap_or_default();
        for pixel in self.pixels {
            let sums = sums.iter_mut().filter_map(|sums| sums.get_mut(index));
            let products = sums.zip(weights);
            match self.bits {
                ActivationBits::A6 | ActivationBits::A8 => {
                    let codes = pixel.get(self.channel..).unwrap_or_default();
                    products.zip(codes).for_each(|((sum, &weight), &code)| add(sum, weight, u32::from(code)));
                }
                bits => {
                    let codes = (self.channel..).map(|channel| pack::code(pixel, bits, channel) as u32);
                    products.zip(codes).for_each(|((sum, &weight), code)| add(sum, weight, code));
                }
            }
            weights = weights.get(self.stride..).unwrap_or_default();
        }
    }
}

#[inline(always)]
fn add(sum: &mut u32, weight: u8, code: u32) {
    *sum = sum.wrapping_add(code.wrapping_mul(weight as i8 as u32));
}

/// `scratch` has [`scratch_bytes`].
pub(super) fn conv<B: Blocks>(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], weights: &[u32], scratch: &mut [u8]) {
    let (channels, taps) = (conv.groups, conv.window.taps());
    let Some((unpacked, padding)) = scratch.split_at_mut_checked(taps * channels) else {
        return;
    };
    unpack(conv, weights, unpacked);
    // Every field of a byte, or 0 at 16 bits.
    for channel in 0..channels {
        pack::set_code(padding, input.bits, channel, input.zero_point);
    }
    let finish = Finish::new(conv);
    let blocks = Block { conv, input, padding };
    let (mut pixel, end, mut position) = (0, conv.output.pixels(), [0, 0]);
    while pixel < end {
        let mut pixels = [[&[][..]; TAPS]; PIXELS];
        blocks.fill(position, 0, &mut pixels);
        let mut channel = 0;
        while channel < channels {
            let mut sums = [[0; PIXELS]; CHANNELS];
            let Some(sums) = sums.get_mut(..CHANNELS.min(channels - channel)) else {
                return;
            };
            let mut tap = 0;
            while tap < taps {
                let count = TAPS.min(taps - tap);
                if taps > TAPS {
                    blocks.fill(position, tap, &mut pixels);
                }
                let weights = unpacked.get(tap * channels..).unwrap_or_default();
                for (index, pixels) in pixels.iter().enumerate().take(end - pixel) {
                    let pixels = pixels.get(..count).unwrap_or_default();
                    B::add_taps(&Taps { bits: input.bits, pixels, weights, stride: channels, channel }, index, sums);
                }
                tap += count;
            }
            finish.block::<B, PIXELS>(pixel, channel, sums, output);
            channel += sums.len();
        }
        pixel += PIXELS;
        position = after(position, PIXELS, conv.output.width);
    }
}

/// Weights `[taps][C]`, signed bytes.
fn unpack(conv: &Conv<'_>, weights: &[u32], unpacked: &mut [u8]) {
    let (channels, taps) = (conv.groups, conv.window.taps());
    let row_words = unsigned::row_words(conv.weight_bits, taps).max(1);
    let mut weights = weights;
    for channel in 0..channels {
        let (row, others) = weights.split_at_checked(row_words).unwrap_or_default();
        weights = others;
        let mut at = channel;
        unsigned::each_group(conv.weight_bits, row, |group| {
            for weight in group {
                // Past the last tap there are none.
                if let Some(to) = unpacked.get_mut(at) {
                    *to = weight as u8;
                }
                at += channels;
            }
        });
    }
}

/// What the lists of pixels are made from.
struct Block<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    padding: &'a [u8],
}

impl<'a> Block<'a> {
    /// The pixels of up to [`TAPS`] taps from `tap` on, for the outputs from that row and column on.
    #[inline(never)]
    fn fill(&self, [mut y, mut x]: [usize; 2], tap: usize, pixels: &mut [[&'a [u8]; TAPS]; PIXELS]) {
        let (window, image) = (self.conv.window, self.conv.input);
        let (pixel_bytes, taps_x) = (image.pixel_bytes(self.input.bits), window.kernel[1].max(1));
        for pixels in pixels {
            if y >= self.conv.output.height {
                break;
            }
            let (mut ky, mut kx) = if tap == 0 { (0, 0) } else { (tap / taps_x, tap % taps_x) };
            let inside = window.taps_inside(1, x, image.width);
            let mut row = window.position(0, y, ky, image.height);
            for codes in pixels {
                *codes = match row {
                    Some(row) if inside.contains(&kx) => {
                        let column = x * window.stride[1] + kx * window.dilation[1] - window.pad[1];
                        self.input.codes.get((row * image.width + column) * pixel_bytes..).unwrap_or_default()
                    }
                    _ => self.padding,
                };
                kx += 1;
                if kx == taps_x {
                    (ky, kx) = (ky + 1, 0);
                    if ky == window.kernel[0] {
                        break;
                    }
                    row = window.position(0, y, ky, image.height);
                }
            }
            [y, x] = after([y, x], 1, self.conv.output.width);
        }
    }
}
