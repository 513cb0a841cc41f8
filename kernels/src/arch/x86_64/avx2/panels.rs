//! Convolution of tiles: up to four pixels of a row by the 16 channels of a panel.

use core::arch::x86_64::*;
use core::array;

use super::load;
use super::stage::{Stage, write};
use crate::arch::x86_64::PANEL;
use crate::portable::Columns;
use crate::{Accumulator, Activations, Conv, pack};

/// Most pixels of a tile.
const TILE: usize = 4;

/// Fewest pixels of a layer for which weights are worth packing.
const PIXELS_MIN: usize = 4;

/// Pairs of a segment of a column. Its sums fit 32 bits: 256 products of at most 2^7 * 2^15.
const SEGMENT: usize = 128;

/// Two successive weights of each of 16 channels.
type Pairs = [u8; 2 * PANEL];

/// The codes of a segment of each pixel of a tile.
type Segments = [[i16; 2 * SEGMENT]; TILE];

/// Whether this kernel suits the layer and there was enough scratch memory for one panel.
#[target_feature(enable = "avx2")]
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let pairs = conv.row_len().div_ceil(2).max(1);
    let (scratch, _) = scratch.as_chunks_mut();
    let Some(panel) = scratch.get_mut(..pairs).filter(|_| conv.output.pixels() >= PIXELS_MIN) else {
        return false;
    };
    let (outputs, width) = (conv.group_outputs(), conv.output.width);
    let tile = width.div_ceil(width.div_ceil(TILE).max(1)).max(1);
    let mut columns = [[0; 2 * SEGMENT]; TILE];
    for group in 0..conv.groups {
        let source = Columns::new(conv, input, group);
        for begin in (0..outputs).step_by(PANEL) {
            let (first, count) = (group * outputs + begin, (outputs - begin).min(PANEL));
            pack_panel(conv, first, count, panel);
            let stages = array::from_fn(|half| Stage::new(&conv.stage, first + count, |lane| first + 8 * half + lane));
            let layer = Layer { conv, input, source: &source, panel, stages, first, count };
            for y in 0..conv.output.height {
                for x in (0..width).step_by(tile) {
                    match (width - x).min(tile) {
                        1 => layer.tile::<1>((y, x), &mut columns, output),
                        2 => layer.tile::<2>((y, x), &mut columns, output),
                        3 => layer.tile::<3>((y, x), &mut columns, output),
                        _ => layer.tile::<4>((y, x), &mut columns, output),
                    }
                }
            }
        }
    }
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(conv.output.pixel_bytes(conv.stage.bits).max(1)) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
    true
}

/// Packs the weights of `count` channels from channel `first` on, 16 at most; zeros in place of the others and after
/// the ends of the rows.
fn pack_panel(conv: &Conv<'_>, first: usize, count: usize, panel: &mut [Pairs]) {
    const WEIGHTS: usize = 64;
    let (bits, row_len) = (conv.weight_bits, conv.row_len());
    let row_bytes = pack::weight_row_bytes(bits, row_len);
    for (block, panel) in panel.chunks_mut(WEIGHTS / 2).enumerate() {
        let done = WEIGHTS * block;
        for channel in 0..PANEL {
            let mut weights = [0i8; WEIGHTS];
            let left = (row_len - done.min(row_len)).min(WEIGHTS);
            if let Some(weights) = weights.get_mut(..left).filter(|_| channel < count) {
                let row = pack::row(conv.weights, row_bytes, first + channel);
                let row = row.get(pack::weight_row_bytes(bits, done)..).unwrap_or_default();
                pack::unpack_weights(bits, row.get(..pack::weight_row_bytes(bits, left)).unwrap_or_default(), weights);
            }
            for (pairs, pair) in panel.iter_mut().zip(weights.as_chunks::<2>().0) {
                if let Some(to) = pairs.as_chunks_mut::<2>().0.get_mut(channel) {
                    *to = pair.map(|weight| weight as u8);
                }
            }
        }
    }
}

/// One panel of a layer.
struct Layer<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    source: &'a Columns<'a>,
    panel: &'a [Pairs],
    stages: [Stage; 2],
    first: usize,
    count: usize,
}

impl Layer<'_> {
    /// The panel's channels of the `N` pixels from `(y, x)` on.
    #[target_feature(enable = "avx2")]
    fn tile<const N: usize>(&self, (y, x): (usize, usize), columns: &mut Segments, output: &mut [u8]) {
        let (conv, codes) = (self.conv, self.conv.stage.codes());
        let pixel_bytes = conv.output.pixel_bytes(codes.bits).max(1);
        let begin = (y * conv.output.width + x) * pixel_bytes;
        let output = output.get_mut(begin..begin + N * pixel_bytes).unwrap_or_default();
        let wide = conv.accumulator == Accumulator::I64;
        let start = if wide { [_mm256_setzero_si256(); 2] } else { self.stages.each_ref().map(|stage| stage.bias) };
        let mut sums = [start; N];
        let mut wide_sums = [self.stages.each_ref().map(|stage| load::to_lanes(stage.bias).map(i64::from)); N];
        for (segment, weights) in self.panel.chunks(SEGMENT).enumerate() {
            for (index, column) in columns.iter_mut().enumerate().take(N) {
                let column = column.get_mut(..2 * weights.len()).unwrap_or_default();
                let padding = self.input.zero_point as i16;
                self.source.fill((y, x + index), 2 * SEGMENT * segment, column, padding, |row, first, codes| {
                    load::codes(self.input.bits, row, first, codes);
                });
            }
            accumulate(&mut sums, weights, columns);
            if wide {
                for (wide, sums) in wide_sums.iter_mut().flatten().zip(sums.as_flattened_mut()) {
                    for (wide, lane) in wide.iter_mut().zip(load::to_lanes(*sums)) {
                        *wide = wide.wrapping_add(i64::from(lane));
                    }
                    *sums = _mm256_setzero_si256();
                }
            }
        }
        for ((pixel, sums), wide_sums) in output.chunks_exact_mut(pixel_bytes).zip(sums).zip(wide_sums) {
            let done: [_; 2] = array::from_fn(|half| match wide {
                true => self.stages[half].codes_each(wide_sums[half], codes),
                false => self.stages[half].codes(sums[half], codes),
            });
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(done[0], done[1]));
            write(words, codes.bits, pixel, self.first, self.count);
        }
    }
}

/// Adds the products of a segment of a panel and of `N` pixels' columns.
#[inline]
#[target_feature(enable = "avx2")]
fn accumulate<const N: usize>(sums: &mut [[__m256i; 2]; N], weights: &[Pairs], columns: &Segments) {
    let columns: [_; N] = array::from_fn(|index| columns[index].as_chunks::<2>().0);
    let mut local = *sums;
    for (pair, weights) in weights.iter().enumerate().take(SEGMENT) {
        let (halves, _) = weights.as_chunks::<16>();
        let weights = [load::signed(&halves[0]), load::signed(&halves[1])];
        for (sums, column) in local.iter_mut().zip(columns) {
            let [a, b] = column[pair];
            let codes = _mm256_set1_epi32(i32::from(a as u16) | i32::from(b) << 16);
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes, weights));
            }
        }
    }
    *sums = local;
}
