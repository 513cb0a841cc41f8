//! Columns: the input codes that one output pixel's dot products read, in the order of the weights.

use crate::portable::rows_join;
use crate::{Activations, Conv, pack};

/// What the columns of one group of a convolution have in common.
#[derive(Clone, Copy)]
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
    pub(super) fn fill<T: Copy + From<u8>>(
        &self,
        (y, x): (usize, usize),
        start: usize,
        column: &mut [T],
        padding: T,
        unpack: impl Fn(&[u8], usize, &mut [T]),
    ) {
        let conv = self.conv;
        let (inputs, width, [_, taps_x]) = (conv.group_inputs().max(1), conv.input.width, conv.window.kernel);
        let (tap, mut channel) = if start == 0 { (0, 0) } else { (start / inputs, start % inputs) };
        let (mut ky, mut kx) = if tap == 0 { (0, 0) } else { (tap / taps_x, tap % taps_x) };
        let mut rest = column;
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
}

/// Bytes of a row from code `first` on, where that code starts a byte.
#[inline(always)]
pub(super) fn bytes_from(bits: crate::ActivationBits, row: &[u8], first: usize) -> Option<&[u8]> {
    use crate::ActivationBits::{A2, A4};
    let whole = match bits {
        A2 => first.is_multiple_of(4),
        A4 => first.is_multiple_of(2),
        _ => true,
    };
    if whole { row.get(pack::row_bytes(bits, first)..) } else { None }
}
