//! Depthwise convolution without a channel multiplier, channel after channel: the rows of a channel that the window meets, padded, stand
//! side by side in scratch, so that every loop runs over neighbours.

use super::finish::ByteStage;
use crate::arrange::unsigned;
use crate::{Activations, Conv, pack, requant};

/// Pixels of a row at once.
const PIXELS: usize = 4;

/// Whether this is the kernel for that convolution.
pub(super) fn applies(conv: &Conv<'_>) -> bool {
    conv.groups == conv.input.channels && conv.groups == conv.output.channels
}

/// Weights of a channel, with what the arrangement pads them with.
fn padded_taps(conv: &Conv<'_>) -> usize {
    let (weights, _) = unsigned::unit(conv.weight_bits);
    conv.window.taps().div_ceil(weights).saturating_mul(weights)
}

/// Codes of a row that the outputs of a row read, padding included.
fn row_codes(conv: &Conv<'_>) -> usize {
    let (last, window) = (conv.output.width.saturating_sub(1), conv.window);
    let taps = window.kernel[1].saturating_sub(1).saturating_mul(window.dilation[1]);
    last.saturating_mul(window.stride[1]).saturating_add(taps).saturating_add(1)
}

/// Words of scratch: the weights and the rows of one channel.
pub(super) fn scratch_words(conv: &Conv<'_>) -> usize {
    conv.window.kernel[0].saturating_mul(row_codes(conv)).saturating_add(padded_taps(conv))
}

/// `scratch` has [`scratch_words`].
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], weights: &[u32], scratch: &mut [u32]) {
    let Some((taps, rows)) = scratch.split_at_mut_checked(padded_taps(conv)) else {
        return;
    };
    let row_words = unsigned::row_words(conv.weight_bits, conv.row_len());
    let row_codes = row_codes(conv).max(1);
    for (channel, weights) in weights.chunks_exact(row_words.max(1)).enumerate() {
        unsigned::unpack(conv.weight_bits, weights, taps);
        let Some(stage) = Channel::new(conv, channel) else {
            return;
        };
        let [height, stride, dilation] = [conv.window.kernel[0], conv.window.stride[0], conv.window.dilation[0]];
        // Rows of the padded image below this one stand in scratch.
        let mut next = 0;
        for y in 0..conv.output.height {
            let first = y * stride;
            for tap in 0..height {
                let row = first + tap * dilation;
                if dilation > 1 || row >= next {
                    let slot = slot(row, tap, dilation, height);
                    fill(conv, input, channel, row, rows.get_mut(slot * row_codes..).unwrap_or_default());
                }
            }
            next = first + height;
            let rows = Rows { rows, row_codes, taps, first: if dilation > 1 { 0 } else { first % height.max(1) }, y };
            rows.outputs(conv, &stage, output);
        }
    }
}

/// Where a row of the padded image stands. Rows that follow each other stay for the next outputs.
fn slot(row: usize, tap: usize, dilation: usize, height: usize) -> usize {
    if dilation > 1 { tap } else { row % height.max(1) }
}

/// Copies a channel of a row of the padded image.
fn fill(conv: &Conv<'_>, input: Activations<'_>, channel: usize, row: usize, to: &mut [u32]) {
    let (image, [pad_y, pad_x]) = (conv.input, conv.window.pad);
    let Some(to) = to.get_mut(..row_codes(conv)) else {
        return;
    };
    let zero = input.zero_point as u32;
    let Some(y) = row.checked_sub(pad_y).filter(|&y| y < image.height) else {
        return to.fill(zero);
    };
    let (left, rest) = to.split_at_mut(pad_x.min(to.len()));
    left.fill(zero);
    let (inside, right) = rest.split_at_mut(image.width.min(rest.len()));
    right.fill(zero);
    let pixel_bytes = image.pixel_bytes(input.bits);
    let pixels = input.codes.get(y * image.width * pixel_bytes..).unwrap_or_default();
    if input.bits.bits() == 8 || input.bits.bits() == 6 {
        let mut at = channel;
        for to in inside {
            *to = pixels.get(at).copied().map_or(0, u32::from);
            at += pixel_bytes;
        }
    } else {
        for (to, pixel) in inside.iter_mut().zip(pixels.chunks_exact(pixel_bytes.max(1))) {
            *to = pack::code(pixel, input.bits, channel) as u32;
        }
    }
}

/// What the outputs of a row read.
struct Rows<'a> {
    rows: &'a [u32],
    row_codes: usize,
    taps: &'a [u32],
    /// Slot of the first tap's row.
    first: usize,
    y: usize,
}

impl<'a> Rows<'a> {
    fn outputs(&self, conv: &Conv<'_>, stage: &Channel, output: &mut [u8]) {
        let window = &conv.window;
        match (window.kernel, window.stride[1], window.dilation, self.taps.first_chunk()) {
            ([3, 3], 1, [1, 1], Some(taps)) => self.three::<1, 6>(conv, taps, stage, output),
            ([3, 3], 2, [1, 1], Some(taps)) => self.three::<2, 9>(conv, taps, stage, output),
            _ => self.any(conv, stage, output),
        }
    }

    /// The row of a tap.
    fn row(&self, conv: &Conv<'_>, tap: usize) -> &'a [u32] {
        let height = conv.window.kernel[0];
        let slot = self.first + tap;
        let slot = if slot < height { slot } else { slot - height };
        self.rows.get(slot * self.row_codes..).and_then(|rows| rows.get(..self.row_codes)).unwrap_or_default()
    }

    /// Three by three taps. `SPAN = (PIXELS - 1) * STRIDE + 3`.
    #[inline(never)]
    fn three<const STRIDE: usize, const SPAN: usize>(&self, conv: &Conv<'_>, taps: &[u32; 9], stage: &Channel, output: &mut [u8]) {
        let width = conv.output.width;
        let mut rows = [0, 1, 2].map(|tap| self.row(conv, tap));
        let (mut pixel, end) = (self.y * width, (self.y + 1) * width);
        while end - pixel >= PIXELS {
            stage.write(three_by_three::<STRIDE, SPAN, PIXELS>(rows, taps), conv, pixel, output);
            rows = rows.map(|row| row.get(STRIDE * PIXELS..).unwrap_or_default());
            pixel += PIXELS;
        }
        while pixel < end {
            stage.write(three_by_three::<STRIDE, 3, 1>(rows, taps), conv, pixel, output);
            rows = rows.map(|row| row.get(STRIDE..).unwrap_or_default());
            pixel += 1;
        }
    }

    /// Any window.
    #[inline(never)]
    fn any(&self, conv: &Conv<'_>, stage: &Channel, output: &mut [u8]) {
        let (width, window) = (conv.output.width, conv.window);
        let (stride, dilation) = (window.stride[1], window.dilation[1]);
        let mut x = 0;
        while x < width {
            // Columns past the last one are not written.
            let (mut sums, mut taps) = ([0u32; PIXELS], self.taps);
            for tap in 0..window.kernel[0] {
                let (weights, rest) = taps.split_at_checked(window.kernel[1]).unwrap_or_default();
                taps = rest;
                let mut codes = self.row(conv, tap).get(x * stride..).unwrap_or_default();
                for &weight in weights {
                    let mut place = 0;
                    for sum in &mut sums {
                        *sum = sum.wrapping_add(codes.get(place).copied().unwrap_or(0).wrapping_mul(weight));
                        place += stride;
                    }
                    codes = codes.get(dilation..).unwrap_or_default();
                }
            }
            let sums = sums.get(..PIXELS.min(width - x)).unwrap_or_default();
            for (index, &sum) in sums.iter().enumerate() {
                stage.write([sum], conv, self.y * width + x + index, output);
            }
            x += PIXELS;
        }
    }
}

#[inline(always)]
fn three_by_three<const STRIDE: usize, const SPAN: usize, const N: usize>(rows: [&[u32]; 3], taps: &[u32; 9]) -> [u32; N] {
    let mut sums = [0u32; N];
    for (row, taps) in rows.into_iter().zip(taps.as_chunks::<3>().0) {
        let Some(codes) = row.first_chunk::<SPAN>() else {
            return sums;
        };
        for (index, sum) in sums.iter_mut().enumerate() {
            for (tap, &weight) in taps.iter().enumerate() {
                // Constants, once unrolled.
                let code = codes.get(index * STRIDE + tap).copied().unwrap_or(0);
                *sum = sum.wrapping_add(code.wrapping_mul(weight));
            }
        }
    }
    sums
}

/// Output stage of a channel.
struct Channel {
    channel: usize,
    pixel_bytes: usize,
    bias: i32,
    multiplier: i32,
    shift: u8,
    is_fast: bool,
}

impl Channel {
    fn new(conv: &Conv<'_>, channel: usize) -> Option<Self> {
        let (bias, multiplier, shift) = conv.stage.channel(channel)?;
        let bits = conv.stage.bits;
        let is_fast = matches!(bits.bits(), 6 | 8) && ByteStage::SHIFTS.contains(&shift);
        Some(Self { channel, pixel_bytes: conv.output.pixel_bytes(bits), bias, multiplier, shift, is_fast })
    }

    /// Writes the channel of the pixels from `pixel` on.
    #[inline(always)]
    fn write<const N: usize>(&self, sums: [u32; N], conv: &Conv<'_>, pixel: usize, output: &mut [u8]) {
        let codes = conv.stage.codes();
        let mut begin = pixel * self.pixel_bytes;
        for sum in sums {
            let pixel = output.get_mut(begin..).unwrap_or_default();
            begin += self.pixel_bytes;
            let acc = sum.wrapping_add(self.bias as u32) as i32;
            if self.is_fast {
                let code = requant::requantize_upper(acc, self.multiplier, self.shift).wrapping_add(codes.zero_point);
                if let Some(to) = pixel.get_mut(self.channel) {
                    *to = code.max(codes.lo).min(codes.hi) as u8;
                }
            } else {
                let scaled = requant::requantize_i32(acc, self.multiplier, self.shift);
                pack::set_code(pixel, codes.bits, self.channel, codes.code(scaled));
            }
        }
    }
}
