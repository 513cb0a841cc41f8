//! Pooling, four channels at a time.

use super::{is_byte, words, words_mut};
use crate::{Activations, AveragePool, Image, MaxPool, OutputCodes, Window, pack, requant};

/// Pixels of which the sums of codes fit 16 bits.
const PIXELS_MAX: usize = 257;

/// Words of the pixels that a window meets.
#[derive(Clone, Copy)]
struct Patch<'a> {
    /// The input from the first of them on.
    words: &'a [u32],
    rows: usize,
    columns: usize,
    /// Words from a row to the next, and from a column.
    row_step: usize,
    column_step: usize,
}

impl<'a> Patch<'a> {
    /// At output `(y, x)`, of an input of that many words a pixel.
    fn new(image: Image, window: Window, input: &'a [u32], (y, x): (usize, usize), pixel: usize) -> Option<Self> {
        let (rows, columns) = (window.taps_inside(0, y, image.height), window.taps_inside(1, x, image.width));
        let first_y = window.position(0, y, rows.start, image.height)?;
        let first_x = window.position(1, x, columns.start, image.width)?;
        // Of one row or column the dilation says nothing.
        let step = |axis: usize, taps: usize| if taps > 1 { window.dilation[axis] } else { 1 };
        Some(Self {
            words: input.get((first_y * image.width + first_x) * pixel..)?,
            rows: rows.len(),
            columns: columns.len(),
            row_step: step(0, rows.len()) * image.width * pixel,
            column_step: step(1, columns.len()) * pixel,
        })
    }

    /// Folds word `word` of every pixel into `state`.
    #[inline(always)]
    fn fold<S>(&self, word: usize, mut state: S, mut each: impl FnMut(S, u32) -> S) -> S {
        for row in 0..self.rows {
            let mut at = row * self.row_step + word;
            for _ in 0..self.columns {
                if let Some(&word) = self.words.get(at) {
                    state = each(state, word);
                }
                at += self.column_step;
            }
        }
        state
    }
}

/// Words of a pixel, where pixels are words.
fn pixel_words(image: Image) -> Option<usize> {
    image.channels.is_multiple_of(4).then_some(image.channels / 4)
}

/// See [`native::average_pool`](crate::native::average_pool).
pub(crate) fn average_pool(pool: &AveragePool<'_>, input: Activations<'_>, output: &mut [u8]) -> bool {
    let Some(pixel) = pixel_words(pool.input).filter(|_| is_byte(input.bits) && pool.window.taps() <= PIXELS_MAX) else {
        return false;
    };
    let ((words, []), codes) = (words(input.codes), pool.codes) else {
        return false;
    };
    let output_bytes = pool.output.pixel_bytes(codes.bits);
    for y in 0..pool.output.height {
        let rows = pool.counted(0, y);
        for x in 0..pool.output.width {
            let (multiplier, shift) = pool.divisor(rows * pool.counted(1, x)).unwrap_or((0, 1));
            let out = pack::row_mut(output, output_bytes, y * pool.output.width + x);
            let patch = Patch::new(pool.input, pool.window, words, (y, x), pixel);
            let zero = patch.map_or(0, |patch| (patch.rows * patch.columns) as i32) * input.zero_point;
            for word in 0..pixel {
                // Channels 0 and 2, and 1 and 3, in the halves of a word each.
                let (even, odd) = patch.map_or((0, 0), |patch| {
                    patch.fold(word, (0u32, 0u32), |(even, odd), word| {
                        let word = u32::from_le(word);
                        (even.wrapping_add(word & 0x00ff_00ff), odd.wrapping_add(word >> 8 & 0x00ff_00ff))
                    })
                });
                let sums = [even & 0xffff, odd & 0xffff, even >> 16, odd >> 16].map(|sum| sum as i32 - zero);
                write(&codes, out, 4 * word, sums.map(|sum| codes.code(requant::requantize_i32(sum, multiplier, shift))));
            }
        }
    }
    true
}

/// Writes the codes of four channels from `first` on; bits that no code uses are there only where the channels are no multiple of four.
fn write(codes: &OutputCodes, out: &mut [u8], first: usize, values: [i32; 4]) {
    for (index, value) in (first..).zip(values) {
        pack::set_code(out, codes.bits, index, value);
    }
}

/// See [`native::max_pool`](crate::native::max_pool). `larger` gives the larger of each pair of bytes.
pub(crate) fn max_pool(pool: &MaxPool, input: Activations<'_>, output: &mut [u8], larger: impl Fn(u32, u32) -> u32) -> bool {
    let Some(pixel) = pixel_words(pool.input).filter(|_| is_byte(input.bits)) else {
        return false;
    };
    let ((words, []), (to, [])) = (words(input.codes), words_mut(output)) else {
        return false;
    };
    let mut rest = to;
    for y in 0..pool.output.height {
        for x in 0..pool.output.width {
            let Some((out, others)) = core::mem::take(&mut rest).split_at_mut_checked(pixel) else {
                return true;
            };
            rest = others;
            let Some(patch) = Patch::new(pool.input, pool.window, words, (y, x), pixel) else {
                continue;
            };
            for (word, out) in out.iter_mut().enumerate() {
                *out = patch.fold(word, 0, &larger);
            }
        }
    }
    true
}
