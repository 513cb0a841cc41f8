//! Columns: the input codes that one output pixel's dot products read (im2col), in the order of the weights.

use crate::{ActivationBits, Activations, Conv, pack};

/// Bytes of a row from code `first` on, where that code starts a byte.
#[inline(always)]
pub(crate) fn bytes_from(bits: ActivationBits, row: &[u8], first: usize) -> Option<&[u8]> {
    let whole = match bits.known() {
        ActivationBits::A2 => first.is_multiple_of(4),
        ActivationBits::A4 => first.is_multiple_of(2),
        _ => true,
    };
    if whole { row.get(pack::row_bytes(bits, first)..) } else { None }
}

/// Widens `codes.len()` codes of a packed row, beginning at code `first`.
#[inline]
pub(crate) fn unpack_from(bits: ActivationBits, row: &[u8], first: usize, codes: &mut [i16]) {
    match bytes_from(bits, row, first) {
        Some(rest) => pack::unpack_row(bits, rest.get(..pack::row_bytes(bits, codes.len())).unwrap_or_default(), codes),
        None => {
            for (index, code) in codes.iter_mut().enumerate() {
                *code = pack::code(row, bits, first + index) as i16;
            }
        }
    }
}

/// Whether rows of `len` codes have no unused bits, so that several rows are one longer row.
pub(crate) fn rows_join(bits: ActivationBits, len: usize) -> bool {
    match bits.known() {
        ActivationBits::A2 => len.is_multiple_of(4),
        ActivationBits::A4 => len.is_multiple_of(2),
        _ => true,
    }
}

/// What the columns of one group of a convolution have in common.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    pixel_bytes: usize,
    first_channel: usize,
    /// Taps that are neighbours in the row of the kernel are neighbours in memory.
    taps_join: bool,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(conv: &'a Conv<'a>, input: Activations<'a>, group: usize) -> Self {
        Self {
            conv,
            input,
            pixel_bytes: conv.input.pixel_bytes(input.bits),
            first_channel: group * conv.group_inputs(),
            taps_join: conv.groups == 1 && conv.window.dilation[1] == 1 && rows_join(input.bits, conv.input.channels),
        }
    }

    /// Fills `column` with the codes from place `start` of output pixel `(y, x)`'s column on, and with zeros past its
    /// end. `unpack(row, first, codes)` gives the codes of a packed row from code `first` on.
    #[inline(always)]
    pub(crate) fn fill<T: Copy + From<u8>>(
        &self,
        (y, x): (usize, usize),
        start: usize,
        column: &mut [T],
        padding: T,
        unpack: impl Fn(&[u8], usize, &mut [T]),
    ) {
        let conv = self.conv;
        let (inputs, width, taps_x) = (conv.group_inputs().max(1), conv.input.width, conv.window.kernel[1].max(1));
        let (tap, mut channel) = if start == 0 { (0, 0) } else { (start / inputs, start % inputs) };
        let (mut ky, mut kx) = if tap == 0 { (0, 0) } else { (tap / taps_x, tap % taps_x) };
        let mut rest = column;
        if start == 0 && self.taps_join && rest.len() >= conv.row_len() && self.inside(y, x) {
            // Whole rows of the kernel, one after the other.
            // The dilation of a kernel of one row is bounded by nothing, and not used.
            let row_bytes = conv.window.dilation[0].wrapping_mul(width * self.pixel_bytes);
            let mut begin = ((y * conv.window.stride[0] - conv.window.pad[0]) * width + x * conv.window.stride[1] - conv.window.pad[1])
                * self.pixel_bytes;
            for _ in 0..conv.window.kernel[0] {
                let (codes, others) = core::mem::take(&mut rest).split_at_mut_checked(taps_x * inputs).unwrap_or_default();
                unpack(self.input.codes.get(begin..).unwrap_or_default(), 0, codes);
                (rest, begin, ky) = (others, begin.wrapping_add(row_bytes), ky + 1);
            }
        }
        while !rest.is_empty() {
            if ky >= conv.window.kernel[0] {
                rest.fill(T::from(0));
                return;
            }
            let from_y = conv.window.position(0, y, ky, conv.input.height);
            let from = from_y.zip(conv.window.position(1, x, kx, width));
            let together = match from {
                Some((_, from_x)) if self.taps_join => (taps_x - kx).min(width - from_x),
                _ => 1,
            };
            let count = (together * inputs - channel).min(rest.len());
            let Some((codes, others)) = rest.split_at_mut_checked(count) else {
                return;
            };
            rest = others;
            match from {
                Some((from_y, from_x)) => {
                    let pixels = self.input.codes.get((from_y * width + from_x) * self.pixel_bytes..).unwrap_or_default();
                    unpack(pixels, self.first_channel + channel, codes);
                }
                None => codes.fill(padding),
            }
            channel = 0;
            kx += together;
            if kx >= taps_x {
                (kx, ky) = (0, ky + 1);
            }
        }
    }

    /// Whether the window of output pixel `(y, x)` lies inside the image.
    #[inline(always)]
    fn inside(&self, y: usize, x: usize) -> bool {
        let (window, image) = (self.conv.window, self.conv.input);
        let both_ends = |axis, out, extent| {
            window.position(axis, out, 0, extent).is_some() && window.position(axis, out, window.kernel[axis] - 1, extent).is_some()
        };
        both_ends(0, y, image.height) && both_ends(1, x, image.width)
    }
}
