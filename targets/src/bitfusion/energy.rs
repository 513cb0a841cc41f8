//! Energy of a tiling.

use super::machine::{BUSY_CYCLE_NJ, CYCLE_NJ, DRAM_NJ, PARTIAL_SUM_BITS, SRAM_READ_NJ, SRAM_WRITE_NJ};
use super::reuse::Traffic;
use super::tile::{Sizes, Tile};
use super::work::Dense;

/// Energy of updating one bit of a partial sum on chip.
const OUTPUT_UPDATE_NJ: f64 = SRAM_READ_NJ.outputs + SRAM_WRITE_NJ.outputs;

/// SRAM accesses of the array while it works on one tile, in nJ: the better of keeping the outputs
/// in place and fetching the weights for every pixel, and keeping the weights in place and
/// updating the outputs in every pass.
pub(super) fn tile_nj(dense: &Dense, tile: &Tile, sizes: &Sizes) -> f64 {
    let taps = dense.kernel_area() * tile.input_channels;
    let read = sizes.pixels * taps * sizes.columns * dense.activations.bits;
    let activations = read as f64 * SRAM_READ_NJ.activations;
    let weights = taps * tile.output_channels * dense.weights.bits;
    let outputs = sizes.pixels * tile.output_channels * PARTIAL_SUM_BITS;

    let output_stationary = activations + (weights * sizes.pixels) as f64 * SRAM_READ_NJ.weights + outputs as f64 * OUTPUT_UPDATE_NJ;
    let weight_stationary = activations + weights as f64 * SRAM_READ_NJ.weights + (outputs * sizes.reductions) as f64 * OUTPUT_UPDATE_NJ;
    output_stationary.min(weight_stationary)
}

/// Energy of the whole convolution in nJ. `tiles_nj`: [`tile_nj`] times the number of tiles.
///
/// No argument lowers it when it grows, in exact and in rounded arithmetic, so bounds in give a
/// bound out.
pub(super) fn total_nj(busy_cycles: u64, cycles: u64, traffic: &Traffic, tiles_nj: f64) -> f64 {
    let total = traffic.total;
    let dram_bits = total.weights + total.activations + 2 * total.outputs;
    busy_cycles as f64 * BUSY_CYCLE_NJ
        + cycles as f64 * CYCLE_NJ
        + dram_bits as f64 * DRAM_NJ
        + total.activations as f64 * SRAM_WRITE_NJ.activations
        + total.weights as f64 * SRAM_WRITE_NJ.weights
        + total.outputs as f64 * OUTPUT_UPDATE_NJ
        + tiles_nj
}
