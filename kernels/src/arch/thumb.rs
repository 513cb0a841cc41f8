//! Cortex-M without products of halves: M3, and M0 with its like.
//!
//! Inner loops for weights arranged `unsigned`, each an assembler function: LLVM keeps neither four accumulators nor four words of columns
//! in registers there.

#[cfg(not(core_feature = "thumb2"))]
mod v6m;
#[cfg(core_feature = "thumb2")]
mod v7m;

#[cfg(not(core_feature = "thumb2"))]
use v6m as loops;
#[cfg(core_feature = "thumb2")]
use v7m as loops;

use crate::portable::unsigned::{self, Blocks, ByteStage, COLUMNS, Portable, Product, Rows, Taps};
use crate::{ActivationBits, Activations, Arrangement, Conv, WeightBits, arrange};

/// See [`native::conv`](crate::native::conv).
pub(crate) fn conv(params: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    if params.arrangement != Arrangement::Unsigned {
        return false;
    }
    unsigned::conv::<Thumb>(params, input, output, scratch);
    true
}

/// Products of rows and columns.
#[repr(C)]
struct Products {
    columns: *const [u32; COLUMNS],
    rows: *const u32,
    sums: *mut [u32; COLUMNS],
    /// At least 1.
    channels: usize,
    /// At least 1.
    row_words: usize,
    /// Words of a row between two times that sums are taken out, at least 1; for functions that do not know it.
    interval: usize,
    start: *const [u32; COLUMNS],
}

/// Products of pixels and weights, four channels at a time.
#[repr(C)]
struct Channels {
    /// Addresses of bytes, each followed by a word that is not read.
    pixels: *const &'static [u8],
    pixels_end: *const &'static [u8],
    weights: *const u8,
    /// Bytes from a tap's weights to the next one's.
    stride: usize,
    /// Bytes from a pixel's first to the first channel.
    channel: usize,
    /// Groups of four channels, at least 1.
    groups: usize,
    /// Every fourth word is a channel's sum.
    sums: *mut u32,
}

/// Output stage of sums.
#[repr(C)]
struct Stage {
    sums: *const [u32; COLUMNS],
    output: *mut u8,
    pixel_bytes: usize,
    bias: *const i32,
    multiplier: *const i32,
    shift: *const u8,
    /// At least 1.
    channels: usize,
    /// Twice the zero point and 1.
    twice_zero: i32,
    lo: i32,
    hi: i32,
}

/// The loops of this core where it has them, else plain Rust.
struct Thumb;

impl Blocks for Thumb {
    fn run<const N: usize>(rows: Rows<'_>, columns: &[[u32; N]], start: &[u32; N], sums: &mut [[u32; N]]) {
        let Rows { bits, product, words, row_words } = rows;
        let interval = match product {
            Product::Two { units } => units,
            _ => 1,
        };
        let fits = row_words > 0
            && !sums.is_empty()
            && column_words(bits, product, row_words).is_some_and(|needed| needed <= columns.len())
            && row_words.checked_mul(sums.len()).is_some_and(|needed| needed <= words.len());
        match loops::function(bits, product) {
            Some(function) if N == COLUMNS && fits => {
                let products = Products {
                    columns: columns.as_ptr().cast(),
                    rows: words.as_ptr(),
                    sums: sums.as_mut_ptr().cast(),
                    channels: sums.len(),
                    row_words,
                    interval,
                    start: start.as_ptr().cast(),
                };
                // SAFETY: N is COLUMNS. A function reads `channels * row_words` words of `rows`, the columns that so many words of a row are
                // multiplied by, and `start`, and writes `channels` sums: the slices have them.
                unsafe { function(&products) }
            }
            _ => Portable::run(rows, columns, start, sums),
        }
    }

    fn bytes<const N: usize>(codes: &[u32], index: usize, columns: &mut [[u32; N]]) -> u32 {
        // So many groups of four codes of at most 255 add up to less than 2^16 in each half.
        const GROUPS_MAX: usize = 128;
        if N != COLUMNS || index >= N {
            return Portable::bytes(codes, index, columns);
        }
        let (mut sum, mut columns) = (0u32, columns);
        let mut codes = codes.get(..codes.len().min(columns.len() / 2)).unwrap_or_default();
        while !codes.is_empty() {
            let (some, others) = codes.split_at_checked(GROUPS_MAX).unwrap_or((codes, &[]));
            let Some((words, rest)) = columns.split_at_mut_checked(2 * some.len()) else {
                break;
            };
            // SAFETY: there is at least one group, and two words of the column for each, which begins within the first word's array.
            sum = sum.wrapping_add(unsafe { loops::apart(some.as_ptr(), some.len(), words.as_mut_ptr().cast::<u32>().add(index)) });
            (codes, columns) = (others, rest);
        }
        sum
    }

    fn add_taps<const N: usize>(taps: &Taps<'_>, index: usize, sums: &mut [[u32; N]]) {
        let groups = sums.len() / 4;
        let end = taps.channel + 4 * groups;
        let last = taps.pixels.len().wrapping_sub(1).checked_mul(taps.stride).and_then(|last| last.checked_add(end));
        let fits = groups > 0
            && index < N
            && matches!(taps.bits, ActivationBits::A6 | ActivationBits::A8)
            && taps.pixels.iter().all(|pixel| end <= pixel.len())
            && last.is_some_and(|last| last <= taps.weights.len());
        if N != COLUMNS || !fits {
            return Portable::add_taps(taps, index, sums);
        }
        let pixels = taps.pixels.as_ptr_range();
        let (sums, others) = sums.split_at_mut(4 * groups);
        // SAFETY: there is a pixel, or `last` would be none; each has `end` bytes, and so have the weights of the last tap. `sums` are `4 *
        // groups` arrays of COLUMNS words, and `index` is one of the first's.
        unsafe {
            loops::add_taps(&Channels {
                pixels: pixels.start.cast(),
                pixels_end: pixels.end.cast(),
                weights: taps.weights.as_ptr().add(taps.channel),
                stride: taps.stride,
                channel: taps.channel,
                groups,
                sums: sums.as_mut_ptr().cast::<u32>().add(index),
            });
        }
        if !others.is_empty() {
            Portable::add_taps(&Taps { channel: end, ..*taps }, index, others);
        }
    }

    fn finish<const N: usize>(stage: &ByteStage<'_>, sums: &[[u32; N]], output: &mut [u8]) {
        let lengths = [stage.bias.len(), stage.multiplier.len(), stage.shift.len()];
        let last = stage.pixel_bytes.checked_mul(COLUMNS - 1).and_then(|last| last.checked_add(sums.len()));
        let fits = !sums.is_empty() && lengths == [sums.len(); 3] && last.is_some_and(|last| last <= output.len());
        if N != COLUMNS || !fits {
            return Portable::finish(stage, sums, output);
        }
        let codes = stage.codes;
        let task = Stage {
            sums: sums.as_ptr().cast(),
            output: output.as_mut_ptr(),
            pixel_bytes: stage.pixel_bytes,
            bias: stage.bias.as_ptr(),
            multiplier: stage.multiplier.as_ptr(),
            shift: stage.shift.as_ptr(),
            channels: sums.len(),
            twice_zero: 2 * codes.zero_point + 1,
            lo: codes.lo,
            hi: codes.hi,
        };
        // SAFETY: N is COLUMNS; the lists have an entry for each of `channels`, and the last pixel ends within the output.
        unsafe { if (codes.lo, codes.hi) == (0, 255) { loops::finish(&task) } else { loops::finish_within(&task) } }
    }
}

/// Columns' words that `row_words` words of weights are multiplied by.
fn column_words(bits: WeightBits, product: Product, row_words: usize) -> Option<usize> {
    let (weights, words) = arrange::unsigned::unit(bits);
    Some((row_words / words).checked_mul(weights)? / product.codes_of_a_word())
}
