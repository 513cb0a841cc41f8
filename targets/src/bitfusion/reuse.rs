//! Traffic between DRAM and the chip under every order of the four tile loops.
//!
//! The loops run over output columns, output rows, input channels and output channels. A stream
//! that stays on chip while a loop runs is not loaded again by it. From the innermost loop
//! outwards: as long as everything that a stream has touched fits in its half of the SRAM, only
//! loops that the stream depends on multiply its traffic; once it does not fit, every loop does.

use super::machine::{Streams, TILE_BITS_MAX};
use super::tile::Sizes;

/// Trips of the loops over output height, output width, input and output channels.
pub(super) type Trips = [u64; 4];

const HEIGHT: usize = 0;
const WIDTH: usize = 1;
const INPUT_CHANNELS: usize = 2;
const OUTPUT_CHANNELS: usize = 3;

/// Loops that change what a stream reads or writes.
const DEPENDS: Streams<&[usize]> = Streams {
    weights: &[INPUT_CHANNELS, OUTPUT_CHANNELS],
    activations: &[HEIGHT, WIDTH, INPUT_CHANNELS],
    outputs: &[HEIGHT, WIDTH, OUTPUT_CHANNELS],
};

/// Traffic of one order of the loops, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    /// In all. Outputs move this much in each direction: they are read back as partial sums.
    pub(super) total: Streams<u64>,
    /// Before the first tile can start, or after the last has ended.
    pub(super) first: Streams<u64>,
}

impl Traffic {
    /// What no order of the loops can go below: every loop that a stream depends on, once.
    pub(super) fn least(sizes: &Sizes, trips: &Trips) -> Self {
        let least = |bits: u64, depends: &[usize]| depends.iter().fold(bits, |bits, &axis| bits * trips[axis]);
        Self {
            total: Streams {
                weights: least(sizes.dram.weights, DEPENDS.weights),
                activations: least(sizes.dram.activations, DEPENDS.activations),
                outputs: least(sizes.dram.outputs, DEPENDS.outputs),
            },
            first: sizes.dram,
        }
    }
}

/// One stream, somewhere between the innermost loop and the outermost.
#[derive(Debug, Clone, Copy)]
struct Stream {
    total: u64,
    first: u64,
    /// What it would occupy on chip; `None` once that is too much.
    sram: Option<u64>,
}

impl Stream {
    fn new(dram: u64, sram: u64) -> Self {
        Self { total: dram, first: dram, sram: Some(sram) }
    }

    fn inside(self, trips: u64, depends: bool, sram_max: u64) -> Self {
        match self.sram {
            None => Self { total: self.total * trips, ..self },
            Some(_) if !depends => self,
            Some(sram) => {
                let total = self.total * trips;
                let sram = sram * trips;
                if sram > sram_max { Self { total, sram: None, ..self } } else { Self { total, first: total, sram: Some(sram) } }
            }
        }
    }
}

impl Streams<Stream> {
    fn inside(self, axis: usize, trips: u64) -> Self {
        let depends = |axes: &[usize]| axes.contains(&axis);
        Self {
            weights: self.weights.inside(trips, depends(DEPENDS.weights), TILE_BITS_MAX.weights),
            activations: self.activations.inside(trips, depends(DEPENDS.activations), TILE_BITS_MAX.activations),
            outputs: self.outputs.inside(trips, depends(DEPENDS.outputs), TILE_BITS_MAX.outputs),
        }
    }
}

/// Calls `visit` with the traffic of every order of the loops that can differ.
///
/// A loop of one trip changes nothing wherever it stands, and two spatial loops with equal trips
/// can be exchanged, because the same streams depend on both.
pub(super) fn for_each_order(sizes: &Sizes, trips: &Trips, visit: &mut impl FnMut(Traffic)) {
    let start = Streams {
        weights: Stream::new(sizes.dram.weights, sizes.sram.weights),
        activations: Stream::new(sizes.dram.activations, sizes.sram.activations),
        outputs: Stream::new(sizes.dram.outputs, sizes.sram.outputs),
    };
    outwards(start, trips.map(|count| count > 1), trips, visit);
}

/// Puts each of the `left` loops around what has been built so far. At most four levels deep.
fn outwards(streams: Streams<Stream>, left: [bool; 4], trips: &Trips, visit: &mut impl FnMut(Traffic)) {
    if left == [false; 4] {
        let Streams { weights, activations, outputs } = streams;
        return visit(Traffic {
            total: Streams { weights: weights.total, activations: activations.total, outputs: outputs.total },
            first: Streams { weights: weights.first, activations: activations.first, outputs: outputs.first },
        });
    }
    let interchangeable = left[HEIGHT] && left[WIDTH] && trips[HEIGHT] == trips[WIDTH];
    for axis in 0..left.len() {
        if left[axis] && !(axis == WIDTH && interchangeable) {
            let mut left = left;
            left[axis] = false;
            outwards(streams.inside(axis, trips[axis]), left, trips, visit);
        }
    }
}
