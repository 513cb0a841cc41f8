//! Convolution of tiles: up to eight pixels of a row by the 16 channels of a panel.

use core::arch::x86_64::*;
use core::array;

use super::load;
use super::stage::{Codes, Stage};
use super::weights::{Quads, pack_panel};
use crate::arch::x86_64::PANEL;
use crate::portable::Columns;
use crate::{ActivationBits, Activations, Conv, Image, Window, pack};

/// Most pixels of a tile.
const TILE: usize = 8;

/// Fewest pixels of a layer for which weights are worth packing.
const PIXELS_MIN: usize = 4;

/// Most panels that are kept at once.
const PANELS: usize = 12;

/// Quads of a segment of a column.
const SEGMENT: usize = 128;

/// Whether this kernel suits the layer and there was enough scratch memory for one panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn conv(conv: &Conv<'_>, input: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) -> bool {
    let quads = conv.row_len().div_ceil(4).max(1);
    // Codes are read where they lie if they are bytes and no quad ends within a tap.
    let in_place = matches!(input.bits, ActivationBits::A6 | ActivationBits::A8) && conv.group_inputs().is_multiple_of(4);
    let (scratch, _) = scratch.as_chunks_mut::<64>();
    let padding_chunks = if in_place && conv.window != Window::POINT { conv.group_inputs().div_ceil(64) } else { 0 };
    let Some((padding, panels)) = scratch.split_at_mut_checked(padding_chunks) else {
        return false;
    };
    if panels.len() < quads || conv.output.pixels() < PIXELS_MIN {
        return false;
    }
    padding.as_flattened_mut().fill(input.zero_point as u8);
    let flat = flattened(conv);
    let conv = flat.as_ref().unwrap_or(conv);
    let layer = Layer { conv, input, codes: Codes::new(conv.stage.codes()), padding: padding.as_flattened(), in_place, quads };
    layer.run(output, panels);
    if conv.stage.bits.bits() < 8 {
        for pixel in output.chunks_exact_mut(conv.output.pixel_bytes(conv.stage.bits).max(1)) {
            pack::clear_unused(pixel, conv.stage.bits, conv.output.channels);
        }
    }
    true
}

/// A pointwise convolution as one over a single row, whose tiles are full.
fn flattened<'a>(conv: &Conv<'a>) -> Option<Conv<'a>> {
    let (input, output) = (conv.input, conv.output);
    let same = input.width == output.width && input.height == output.height;
    let row = |image: Image| Image { height: 1, width: image.pixels(), channels: image.channels };
    (conv.window == Window::POINT && same).then(|| Conv { input: row(input), output: row(output), ..*conv })
}

struct Layer<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    codes: Codes,
    /// The channels of a pixel of padding.
    padding: &'a [u8],
    in_place: bool,
    /// Quads of a column.
    quads: usize,
}

/// One panel's place in a pass over the pixels.
struct Panel<'a> {
    weights: &'a [Quads],
    stage: Stage,
    first: usize,
    count: usize,
}

/// A tile's first pixel.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    y: usize,
    x: usize,
    /// Its place among the columns that were filled ahead.
    column: usize,
}

impl Layer<'_> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn run(&self, output: &mut [u8], panels: &mut [Quads]) {
        let conv = self.conv;
        let outputs = conv.group_outputs();
        let together = (panels.len() / self.quads).clamp(1, PANELS);
        // Tiles of equal size: a last one of few pixels would take as long as a full one.
        let width = conv.output.width;
        let tile = width.div_ceil(width.div_ceil(TILE).max(1));
        // Columns are filled some tiles ahead, so that a tile does not wait for its columns' way to memory.
        let ahead = if self.in_place { 1 } else { (SEGMENT * TILE / self.quads / tile).max(1) };
        let mut columns = [0; 4 * SEGMENT * TILE];
        for group in 0..conv.groups {
            let source = Columns::new(conv, self.input, group);
            for begin in (0..outputs).step_by(PANEL * together) {
                let end = outputs.min(begin + PANEL * together);
                for (first, panel) in (begin..end).step_by(PANEL).zip(panels.chunks_exact_mut(self.quads)) {
                    pack_panel(conv, group * outputs + first, (end - first).min(PANEL), panel);
                }
                let ready: [Option<Panel<'_>>; PANELS] = array::from_fn(|index| {
                    let first = begin + PANEL * index;
                    let weights = panels.chunks_exact(self.quads).nth(index).filter(|_| first < end)?;
                    let (first, count) = (group * outputs + first, (end - first).min(PANEL));
                    let stage = Stage::new(&conv.stage, first + count, |lane| first + lane);
                    Some(Panel { weights, stage, first, count })
                });
                for y in 0..conv.output.height {
                    for begin in (0..width).step_by(tile * ahead) {
                        let end = width.min(begin + tile * ahead);
                        if !self.in_place && self.quads <= SEGMENT {
                            for (x, column) in (begin..end).zip(columns.chunks_exact_mut(4 * self.quads)) {
                                self.fill(&source, (y, x), 0, column);
                            }
                        }
                        let mut x = begin;
                        while x < end {
                            let place = Place { group, y, x, column: x - begin };
                            let pixels = (end - x).min(tile);
                            x += pixels;
                            match pixels {
                                1 => self.tile::<1>(&source, place, &ready, &mut columns, output),
                                2 => self.tile::<2>(&source, place, &ready, &mut columns, output),
                                3 => self.tile::<3>(&source, place, &ready, &mut columns, output),
                                4 => self.tile::<4>(&source, place, &ready, &mut columns, output),
                                5 => self.tile::<5>(&source, place, &ready, &mut columns, output),
                                6 => self.tile::<6>(&source, place, &ready, &mut columns, output),
                                7 => self.tile::<7>(&source, place, &ready, &mut columns, output),
                                _ => self.tile::<8>(&source, place, &ready, &mut columns, output),
                            }
                        }
                    }
                }
            }
        }
    }

    /// Fills a part of a pixel's column, from place `start` on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn fill(&self, source: &Columns<'_>, at: (usize, usize), start: usize, column: &mut [u8]) {
        source.fill(at, start, column, self.input.zero_point as u8, |row, first, codes| {
            load::codes(self.input.bits, row, first, codes);
        });
    }

    /// All panels' channels of the `N` pixels from `(y, x)` on.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn tile<const N: usize>(
        &self,
        source: &Columns<'_>,
        place: Place,
        panels: &[Option<Panel<'_>>],
        columns: &mut [u8],
        output: &mut [u8],
    ) {
        let conv = self.conv;
        let Place { group, y, x, column } = place;
        let pixel_bytes = conv.output.pixel_bytes(conv.stage.bits);
        let begin = (y * conv.output.width + x) * pixel_bytes;
        let Some(output) = output.get_mut(begin..begin + N * pixel_bytes) else {
            return;
        };
        for panel in panels.iter().flatten() {
            let mut sums = [panel.stage.bias; N];
            if self.in_place {
                let taps_x = conv.window.kernel[1];
                let (mut ky, mut kx) = (0, 0);
                for weights in panel.weights.chunks_exact((conv.group_inputs() / 4).max(1)) {
                    accumulate(&mut sums, weights, self.pixels::<N>((y, x), (ky, kx), group));
                    kx += 1;
                    if kx == taps_x {
                        (kx, ky) = (0, ky + 1);
                    }
                }
            } else if self.quads <= SEGMENT {
                let len = 4 * self.quads;
                let at = |index| columns.get((column + index) * len..).unwrap_or_default();
                accumulate(&mut sums, panel.weights, array::from_fn(at));
            } else {
                for (segment, weights) in panel.weights.chunks(SEGMENT).enumerate() {
                    let len = 4 * SEGMENT;
                    for (index, column) in columns.chunks_exact_mut(len).enumerate().take(N) {
                        let column = column.get_mut(..4 * weights.len()).unwrap_or_default();
                        self.fill(source, (y, x + index), len * segment, column);
                    }
                    accumulate(&mut sums, weights, array::from_fn(|index| columns.get(index * len..).unwrap_or_default()));
                }
            }
            if panel.stage.is_high() && self.codes.are_bytes() {
                self.codes.write_tile(&panel.stage, sums, output, pixel_bytes, (panel.first, panel.count));
                continue;
            }
            for (sums, pixel) in sums.into_iter().zip(output.chunks_exact_mut(pixel_bytes.max(1))) {
                self.codes.write16(panel.stage.codes(sums, &self.codes), pixel, panel.first, panel.count);
            }
        }
    }

    /// The codes that one tap reads for each pixel of a tile.
    #[inline(always)]
    fn pixels<const N: usize>(&self, (y, x): (usize, usize), (ky, kx): (usize, usize), group: usize) -> [&[u8]; N] {
        let (conv, inputs) = (self.conv, self.conv.group_inputs());
        let padding = self.padding.get(..inputs).unwrap_or_default();
        let Some(from_y) = conv.window.position(0, y, ky, conv.input.height) else {
            return [padding; N];
        };
        let row = (from_y * conv.input.width) * conv.input.channels + group * inputs;
        array::from_fn(|index| match conv.window.position(1, x + index, kx, conv.input.width) {
            Some(from_x) => {
                let begin = row + from_x * conv.input.channels;
                self.input.codes.get(begin..begin + inputs).unwrap_or_default()
            }
            None => padding,
        })
    }
}

/// Adds the products of a segment of a panel and of `N` pixels' columns, which has four codes for each of `weights`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn accumulate<const N: usize>(sums: &mut [__m512i; N], weights: &[Quads], codes: [&[u8]; N]) {
    if codes.iter().any(|codes| codes.len() < 4 * weights.len()) {
        return;
    }
    let codes = codes.map(<[u8]>::as_ptr);
    let mut local = *sums;
    for (quad, weights) in weights.iter().enumerate() {
        // SAFETY: `weights` has 64 bytes.
        let weights = unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) };
        for (sum, codes) in local.iter_mut().zip(codes) {
            // SAFETY: there are four codes for each of `weights`.
            let four = unsafe { codes.add(4 * quad).cast::<i32>().read_unaligned() };
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi32(four), weights);
        }
    }
    *sums = local;
}
