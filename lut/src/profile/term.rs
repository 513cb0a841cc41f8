//! Terms of a fit: how often a part of a kernel's loop nest runs.

use alloc::format;
use alloc::string::{String, ToString};

use super::sizes::Sizes;
use crate::LayerKey;

/// How often something happens in a layer. Kernels work on blocks, and a block that is not full costs as much as a full one: hence the terms
/// with rounded-up quotients. Their numbers are the sizes of blocks, in this order: channels, columns (output pixels), products of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// Once for each layer.
    Call,
    /// Output channels.
    Channels,
    /// Rows of output pixels.
    Rows,
    /// Output pixels.
    Pixels,
    /// Output pixels whose window lies inside the input.
    Interior,
    /// Input pixels.
    Area,
    /// Rows of output channels.
    ChannelRows,
    /// Output codes.
    Outputs,
    /// Input codes.
    Inputs,
    /// Multiply-accumulates; of operators without weights, taps of all outputs.
    Macs,
    /// The same with taps inside the input.
    MacsInside,
    /// Taps of all output pixels.
    Taps,
    /// Taps inside the input, of all output pixels.
    TapsInside,
    /// Rows of the windows of all output pixels.
    TapRows,
    /// Codes of all columns: what im2col writes.
    Elements,
    /// Weights.
    Weights,
    /// Channels behind the last whole block of 4, of all pixels.
    ChannelsLeft,
    /// Blocks of columns.
    Blocks(u8),
    /// Steps of products in those.
    BlockSteps(u8, u8),
    /// Blocks of columns with a pixel whose window passes the input's border, about.
    BorderBlocks(u8),
    /// Taps of those.
    BorderBlockTaps(u8),
    /// Steps of products of those.
    BorderBlockSteps(u8, u8),
    /// Blocks of columns that are not full.
    LeftBlock(u8),
    /// Outputs of those.
    LeftOutputs(u8),
    /// Tiles of channels and columns.
    Tiles(u8, u8),
    /// Steps of products in those.
    Steps(u8, u8, u8),
    /// Tiles whose products are no whole number of steps.
    TailTiles(u8, u8, u8),
    /// Tiles of the single channel that pairs leave.
    OddTiles(u8),
    /// Steps of products in those.
    OddSteps(u8, u8),
    /// Steps of single columns behind the last whole block.
    LeftSteps(u8, u8, u8),
    /// Pixels of blocks of channels.
    Lanes(u8),
    /// Those with the whole window inside the input.
    LanesInterior(u8),
    /// Taps inside the input, of blocks of channels.
    LaneTaps(u8),
    /// Weights of blocks of channels.
    LaneWeights(u8),
    /// Input codes of blocks of channels.
    LaneInputs(u8),
    /// Channels, each with blocks of neighbours of a row.
    ColumnBlocks(u8),
    /// The same in each row.
    RowBlocks(u8),
    /// Pairs of taps of those.
    RowBlockTaps(u8),
}

/// Largest block that a file may name.
const BLOCK_MAX: u8 = 64;

impl Term {
    /// How often it happens in a layer.
    #[must_use]
    pub fn value(self, key: &LayerKey) -> f64 {
        let s = Sizes::of(key);
        let float = |value: u64| value as f64;
        let up = |value: u64, block: u8| value.div_ceil(u64::from(block.max(1))) as f64;
        let (pixels, products, groups) = (float(s.pixels), float(s.products), float(s.groups));
        let (channels, taps) = (float(s.channels), float(s.taps));
        let left = |columns: u8| groups * float(s.pixels % u64::from(columns.max(1)));
        let tail = |step: u8| if s.products.is_multiple_of(u64::from(step.max(1))) { 0.0 } else { 1.0 };
        let odd = groups * float(s.outputs % 2);
        // A run of border pixels touches one block more than it fills, less what it shares.
        let border = |columns: u8| {
            let columns = f64::from(columns.max(1));
            groups * (pixels - s.interior + s.border_runs * (columns - 1.0)) / columns
        };
        let rows = |block: u8| channels * s.rows * up(s.columns, block);
        match self {
            Self::Call => 1.0,
            Self::Channels => channels,
            Self::Rows => s.rows,
            Self::Pixels => pixels,
            Self::Interior => s.interior,
            Self::Area => s.area,
            Self::ChannelRows => channels * s.rows,
            Self::Outputs => pixels * channels,
            Self::Inputs => s.read,
            Self::Macs => pixels * channels * products,
            Self::MacsInside => s.taps_inside * channels * (products / taps),
            Self::Taps => pixels * taps,
            Self::TapsInside => s.taps_inside,
            Self::TapRows => groups * pixels * float(s.tap_rows),
            Self::Elements => groups * pixels * products,
            Self::Weights => channels * products,
            Self::ChannelsLeft => pixels * float(s.channels % 4),
            Self::Blocks(columns) => groups * up(s.pixels, columns),
            Self::BlockSteps(columns, step) => groups * up(s.pixels, columns) * up(s.products, step),
            Self::BorderBlocks(columns) => border(columns),
            Self::BorderBlockTaps(columns) => border(columns) * taps,
            Self::BorderBlockSteps(columns, step) => border(columns) * up(s.products, step),
            Self::LeftBlock(columns) => groups.min(left(columns)),
            Self::LeftOutputs(columns) => left(columns) * float(s.outputs),
            Self::Tiles(block, columns) => groups * up(s.outputs, block) * up(s.pixels, columns),
            Self::Steps(block, columns, step) => groups * up(s.outputs, block) * up(s.pixels, columns) * up(s.products, step),
            Self::TailTiles(block, columns, step) => groups * up(s.outputs, block) * up(s.pixels, columns) * tail(step),
            Self::OddTiles(columns) => odd * up(s.pixels, columns),
            Self::OddSteps(columns, step) => odd * up(s.pixels, columns) * up(s.products, step),
            Self::LeftSteps(block, columns, step) => left(columns) * up(s.outputs, block) * up(s.products, step),
            Self::Lanes(block) => pixels * up(s.channels, block),
            Self::LanesInterior(block) => s.interior * up(s.channels, block),
            Self::LaneTaps(block) => s.taps_inside * up(s.channels, block),
            Self::LaneWeights(block) => taps * up(s.channels, block),
            Self::LaneInputs(block) => s.read / channels.max(1.0) * up(s.channels, block),
            Self::ColumnBlocks(block) => channels * up(s.columns, block),
            Self::RowBlocks(block) => rows(block),
            Self::RowBlockTaps(block) => rows(block) * float(s.tap_rows) * float((s.taps / s.tap_rows.max(1)).div_ceil(2)),
        }
    }

    /// Its name in files, and the sizes of its blocks.
    fn parts(self) -> (&'static str, [u8; 3]) {
        match self {
            Self::Call => ("call", [0; 3]),
            Self::Channels => ("channels", [0; 3]),
            Self::Rows => ("rows", [0; 3]),
            Self::Pixels => ("pixels", [0; 3]),
            Self::Interior => ("interior", [0; 3]),
            Self::Area => ("area", [0; 3]),
            Self::ChannelRows => ("channel_rows", [0; 3]),
            Self::Outputs => ("outputs", [0; 3]),
            Self::Inputs => ("inputs", [0; 3]),
            Self::Macs => ("macs", [0; 3]),
            Self::MacsInside => ("macs_inside", [0; 3]),
            Self::Taps => ("taps", [0; 3]),
            Self::TapsInside => ("taps_inside", [0; 3]),
            Self::TapRows => ("tap_rows", [0; 3]),
            Self::Elements => ("elements", [0; 3]),
            Self::Weights => ("weights", [0; 3]),
            Self::ChannelsLeft => ("channels_left", [0; 3]),
            Self::Blocks(a) => ("blocks", [a, 0, 0]),
            Self::BlockSteps(a, b) => ("block_steps", [a, b, 0]),
            Self::BorderBlocks(a) => ("border_blocks", [a, 0, 0]),
            Self::BorderBlockTaps(a) => ("border_block_taps", [a, 0, 0]),
            Self::BorderBlockSteps(a, b) => ("border_block_steps", [a, b, 0]),
            Self::LeftBlock(a) => ("left_block", [a, 0, 0]),
            Self::LeftOutputs(a) => ("left_outputs", [a, 0, 0]),
            Self::TailTiles(a, b, c) => ("tail_tiles", [a, b, c]),
            Self::Tiles(a, b) => ("tiles", [a, b, 0]),
            Self::Steps(a, b, c) => ("steps", [a, b, c]),
            Self::OddTiles(a) => ("odd_tiles", [a, 0, 0]),
            Self::OddSteps(a, b) => ("odd_steps", [a, b, 0]),
            Self::LeftSteps(a, b, c) => ("left_steps", [a, b, c]),
            Self::Lanes(a) => ("lanes", [a, 0, 0]),
            Self::LanesInterior(a) => ("lanes_interior", [a, 0, 0]),
            Self::LaneTaps(a) => ("lane_taps", [a, 0, 0]),
            Self::LaneWeights(a) => ("lane_weights", [a, 0, 0]),
            Self::LaneInputs(a) => ("lane_inputs", [a, 0, 0]),
            Self::ColumnBlocks(a) => ("column_blocks", [a, 0, 0]),
            Self::RowBlocks(a) => ("row_blocks", [a, 0, 0]),
            Self::RowBlockTaps(a) => ("row_block_taps", [a, 0, 0]),
        }
    }

    /// Every term, with blocks of those sizes where it has some.
    fn all([a, b, c]: [u8; 3]) -> [Term; 38] {
        use Term::*;
        [
            Call,
            Channels,
            Rows,
            Pixels,
            Interior,
            Area,
            ChannelRows,
            Outputs,
            Inputs,
            Macs,
            MacsInside,
            Taps,
            TapsInside,
            TapRows,
            Elements,
            Weights,
            ChannelsLeft,
            Blocks(a),
            BlockSteps(a, b),
            BorderBlocks(a),
            BorderBlockTaps(a),
            BorderBlockSteps(a, b),
            LeftBlock(a),
            LeftOutputs(a),
            TailTiles(a, b, c),
            Tiles(a, b),
            Steps(a, b, c),
            OddTiles(a),
            OddSteps(a, b),
            LeftSteps(a, b, c),
            Lanes(a),
            LanesInterior(a),
            LaneTaps(a),
            LaneWeights(a),
            LaneInputs(a),
            ColumnBlocks(a),
            RowBlocks(a),
            RowBlockTaps(a),
        ]
    }

    /// Its name in files, as `tiles:2x3`.
    #[must_use]
    pub fn name(self) -> String {
        match self.parts() {
            (name, [0, ..]) => name.to_string(),
            (name, [a, 0, _]) => format!("{name}:{a}"),
            (name, [a, b, 0]) => format!("{name}:{a}x{b}"),
            (name, [a, b, c]) => format!("{name}:{a}x{b}x{c}"),
        }
    }

    /// The term of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (base, sizes) = name.split_once(':').unwrap_or((name, ""));
        let mut blocks = [0; 3];
        let mut texts = sizes.split('x').filter(|text| !text.is_empty());
        for block in &mut blocks {
            let Some(text) = texts.next() else { break };
            *block = text.parse().ok().filter(|size| (1..=BLOCK_MAX).contains(size))?;
        }
        let given = |blocks: [u8; 3]| blocks.map(|block| block > 0);
        let mut terms = Self::all([1; 3]).into_iter().zip(Self::all(blocks));
        let named = |(shape, term): &(Term, Term)| {
            let (own, wanted) = shape.parts();
            own == base && given(wanted) == given(blocks) && term.name() == name
        };
        terms.find(named).map(|(_, term)| term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Candidate;

    #[test]
    fn names_are_found_again() {
        for term in Term::all([2, 3, 16]) {
            assert_eq!(Term::from_name(&term.name()), Some(term), "{}", term.name());
        }
        assert_eq!(Term::Steps(2, 3, 4).name(), "steps:2x3x4");
        for bad in ["", "tiles", "tiles:2", "tiles:2x0", "tiles:2x3x4", "tiles:2x65", "tiles:2x3x", "tiles:x2x3", "call:1", "steps:+2x3x4"]
        {
            assert_eq!(Term::from_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn terms_by_hand() {
        let bits = Candidate::new(8, 8).unwrap();
        let conv = LayerKey::conv([5, 5], 3, 7, [3, 3], [1, 1], [1; 4], bits).unwrap();
        let values = |key: &LayerKey, terms: &[Term]| terms.iter().map(|term| term.value(key)).collect::<alloc::vec::Vec<_>>();
        let (macs, steps) = (25.0 * 7.0 * 27.0, 4.0 * 7.0 * 7.0);
        assert_eq!(values(&conv, &[Term::Macs, Term::Steps(2, 4, 4), Term::Tiles(2, 4), Term::LeftBlock(4)]), [macs, steps, 28.0, 1.0]);
        assert_eq!(values(&conv, &[Term::OddTiles(4), Term::Elements, Term::Weights, Term::BorderBlocks(1)]), [7.0, 675.0, 189.0, 16.0]);
        // Two rows of the border, and a run of two pixels between three rows.
        assert_eq!(values(&conv, &[Term::BorderBlocks(3), Term::LeftOutputs(4), Term::TailTiles(2, 4, 8)]), [22.0 / 3.0, 7.0, 28.0]);
        assert_eq!(values(&conv, &[Term::BlockSteps(3, 8), Term::LeftSteps(2, 4, 4)]), [36.0, 28.0]);
        let depthwise = LayerKey::depthwise([4, 3], 10, [3, 3], [1, 1], [1; 4], bits).unwrap();
        assert_eq!(values(&depthwise, &[Term::Macs, Term::MacsInside]), [1080.0, 700.0]);
        assert_eq!(values(&depthwise, &[Term::LaneTaps(4), Term::RowBlocks(2), Term::ChannelsLeft]), [210.0, 80.0, 24.0]);
        assert_eq!(values(&depthwise, &[Term::RowBlockTaps(4), Term::ColumnBlocks(2), Term::LaneInputs(4)]), [240.0, 20.0, 36.0]);
        let product = LayerKey::fully_connected(3, 20, 6, bits);
        assert_eq!(values(&product, &[Term::Macs, Term::Steps(4, 1, 4), Term::Outputs, Term::Elements]), [360.0, 30.0, 18.0, 60.0]);
    }
}
