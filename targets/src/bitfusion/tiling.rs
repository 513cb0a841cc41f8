//! The best tiling of a dense convolution.
//!
//! Output height and width are cut by the same power of two, input channels by a power of two and
//! output channels by a power of two of whole columns (im2col: of single channels); every loop
//! order is tried. The result is the lexicographic minimum of (cycles, energy).
//!
//! A tile is skipped when even the least traffic that any loop order can have does not beat the
//! best tiling so far. Large tiles come first: they move least, so most others are skipped.

use super::energy::{tile_nj, total_nj};
use super::machine::{COLUMNS, DRAM_BITS_PER_CYCLE};
use super::reuse::{Traffic, Trips, for_each_order};
use super::tile::{Sizes, Tile};
use super::work::Dense;

/// A tile, and what the best order of its loops costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tiling {
    /// The tile.
    pub tile: Tile,
    /// Cycles in which the array works.
    pub busy_cycles: u64,
    /// Cycles of loading the first tile and storing the last, which nothing overlaps.
    pub fill_cycles: u64,
    /// Cycles in which the DRAM interface works; they overlap the others.
    pub dram_cycles: u64,
    /// Bits read from DRAM.
    pub dram_read_bits: u64,
    /// Bits written to DRAM.
    pub dram_write_bits: u64,
    /// Energy in nanojoules.
    pub energy_nj: f64,
}

impl Tiling {
    /// Cycles from start to end: computing with fill and drain, or the traffic, whichever is longer.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        (self.busy_cycles + self.fill_cycles).max(self.dram_cycles)
    }

    fn new(tile: Tile, busy_cycles: u64, tiles_nj: f64, traffic: &Traffic) -> Self {
        let transfer = |bits: u64| bits.div_ceil(DRAM_BITS_PER_CYCLE);
        let dram_read_bits = traffic.total.each().iter().sum();
        let dram_write_bits = traffic.total.outputs;
        let mut tiling = Self {
            tile,
            busy_cycles,
            fill_cycles: transfer(traffic.first.each().iter().sum()) + transfer(traffic.first.outputs),
            dram_cycles: transfer(dram_read_bits) + transfer(dram_write_bits),
            dram_read_bits,
            dram_write_bits,
            energy_nj: 0.0,
        };
        tiling.energy_nj = total_nj(busy_cycles, tiling.cycles(), traffic, tiles_nj);
        tiling
    }

    fn beats(&self, other: &Option<Tiling>) -> bool {
        other.is_none_or(|other| (self.cycles(), self.energy_nj) < (other.cycles(), other.energy_nj))
    }
}

/// The best tiling, or `None` where not even the smallest tile fits on chip.
pub(super) fn best(dense: &Dense) -> Option<Tiling> {
    let mut best = None;
    let [height, width] = dense.output;
    let column = if dense.im2col { 1 } else { COLUMNS };
    for side in cuts(1, height.max(width)) {
        for input_channels in cuts(1, dense.input_channels) {
            for output_channels in cuts(column, dense.output_channels) {
                let tile = Tile { output: [side.min(height), side.min(width)], input_channels, output_channels };
                if let Some(sizes) = tile.sizes(dense) {
                    try_tile(dense, &tile, &sizes, &mut best);
                }
            }
        }
    }
    best
}

/// `min(unit * 2^i, size)` without repetition, from `size` down.
fn cuts(unit: u64, size: u64) -> impl Iterator<Item = u64> {
    let doublings = size.div_ceil(unit).next_power_of_two().ilog2();
    (0..=doublings).rev().map(move |i| (unit << i).min(size))
}

fn try_tile(dense: &Dense, tile: &Tile, sizes: &Sizes, best: &mut Option<Tiling>) {
    let trips: Trips = [
        dense.output[0].div_ceil(tile.output[0]),
        dense.output[1].div_ceil(tile.output[1]),
        dense.input_channels.div_ceil(tile.input_channels),
        dense.output_channels.div_ceil(tile.output_channels),
    ];
    let tiles: u64 = trips.iter().product();
    let busy_cycles = tiles * sizes.pixels * sizes.columns * sizes.reductions * dense.passes();
    let tiles_nj = tiles as f64 * tile_nj(dense, tile, sizes);

    let bound = Tiling::new(*tile, busy_cycles, tiles_nj, &Traffic::least(sizes, &trips));
    if !bound.beats(best) {
        return;
    }
    for_each_order(sizes, &trips, &mut |traffic| {
        let tiling = Tiling::new(*tile, busy_cycles, tiles_nj, &traffic);
        if tiling.beats(best) {
            *best = Some(tiling);
        }
    });
}
