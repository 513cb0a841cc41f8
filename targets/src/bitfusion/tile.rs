//! Sizes of one tile.

use super::machine::{COLUMNS, PARTIAL_SUM_BITS, Streams, TILE_BITS_MAX};
use super::work::Dense;

/// What is on chip at a time: a part of the output and of the input channels. The kernel is never
/// cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Output `[height, width]`.
    pub output: [u64; 2],
    /// Input channels.
    pub input_channels: u64,
    /// Output channels.
    pub output_channels: u64,
}

/// A tile that fits on chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bits in DRAM, at the true precision and without padding.
    pub(super) dram: Streams<u64>,
    /// Bits in SRAM, padded to whole rows and columns of the array.
    pub(super) sram: Streams<u64>,
    /// Output pixels.
    pub(super) pixels: u64,
    /// Column groups of the array that the output channels fill.
    pub(super) columns: u64,
    /// Passes of the array that reduce kernel and input channels.
    pub(super) reductions: u64,
}

impl Tile {
    /// Sizes of the tile, or `None` where a stream does not fit in its half of the SRAM.
    pub(super) fn sizes(&self, dense: &Dense) -> Option<Sizes> {
        let Tile { output: [height, width], input_channels, output_channels } = *self;
        let reduction = dense.reduction();
        let kernel = dense.kernel_area();
        let pixels = height * width;
        let columns = output_channels.div_ceil(COLUMNS);

        let outputs = pixels * columns * COLUMNS * PARTIAL_SUM_BITS;
        if outputs > TILE_BITS_MAX.outputs {
            return None;
        }
        let weight_rows = (kernel * input_channels).div_ceil(reduction);
        let weights = weight_rows * reduction * columns * COLUMNS * dense.weights.stored_bits;
        if weights > TILE_BITS_MAX.weights {
            return None;
        }
        // im2col stores each pixel once for every kernel element that reads it.
        let input_pixels = if dense.im2col { pixels * kernel } else { dense.input_side(0, height) * dense.input_side(1, width) };
        let channel_rows = input_channels.div_ceil(reduction);
        let activations = input_pixels * channel_rows * reduction * dense.activations.stored_bits;
        if activations > TILE_BITS_MAX.activations {
            return None;
        }

        Some(Sizes {
            dram: Streams {
                weights: kernel * input_channels * output_channels * dense.weights.bits,
                activations: input_pixels * input_channels * dense.activations.bits,
                outputs: pixels * output_channels * PARTIAL_SUM_BITS,
            },
            sram: Streams { weights, activations, outputs },
            pixels,
            columns,
            // im2col lines kernel and channels up; otherwise each kernel element starts anew.
            reductions: if dense.im2col { weight_rows } else { kernel * channel_rows },
        })
    }
}
