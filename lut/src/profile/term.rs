//! Terms of a fit: how often a part of a kernel's loop nest runs.

use super::sizes::Sizes;
use crate::{LayerKey, Operator};

/// How often something happens in a layer. Kernels work on blocks, and a block that is not full costs as much as a full one: hence the terms
/// with rounded-up quotients, for the blocks of every instruction set; a fit takes those that explain the counts.
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
    /// Output codes.
    Outputs,
    /// Input codes.
    Inputs,
    /// Multiply-accumulates; of other operators taps of all outputs.
    Macs,
    /// Multiply-accumulates with taps inside the input.
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
    /// Blocks of 2 columns.
    Blocks2,
    /// Blocks of 4 columns.
    Blocks4,
    /// Columns behind the last whole block of 4.
    Left4,
    /// Tiles of 1 channel and 2 columns.
    Tiles1x2,
    /// Steps of 1 product in such tiles.
    Steps1x2,
    /// Tiles of 2 channels and 4 columns.
    Tiles2x4,
    /// Steps of 4 products in such tiles.
    Steps2x4x4,
    /// Steps of 8 products in such tiles.
    Steps2x4x8,
    /// Products behind the last whole step of 8, in such tiles.
    Steps2x4Left,
    /// Tiles of the last, single channel of an odd number.
    TilesOdd,
    /// Steps of 4 products in those.
    StepsOdd,
    /// Steps of 4 products in single columns behind the last whole block of 4.
    StepsLeft,
    /// Tiles of 2 channels and 3 columns.
    Tiles2x3,
    /// Steps of 16 products in such tiles.
    Steps2x3x16,
    /// Tiles of 4 channels and 1 column.
    Tiles4x1,
    /// Steps of 4 products in such tiles.
    Steps4x1x4,
    /// Steps of 16 products in single sums.
    Steps1x1x16,
    /// Pixels of blocks of 4 channels.
    Quads,
    /// Pixels inside of blocks of 4 channels.
    QuadsInterior,
    /// Taps inside the input, of blocks of 4 channels.
    QuadTaps,
    /// Pairs of adjacent pixels of blocks of 4 channels.
    QuadPairs,
    /// Taps of those.
    QuadPairTaps,
    /// Taps of blocks of 4 channels: the weights, once.
    QuadWeights,
    /// Pixels of blocks of 16 channels.
    Vectors,
    /// Taps inside the input, of blocks of 16 channels.
    VectorTaps,
    /// Channels behind the last whole block of 4, of all pixels.
    ChannelsLeft,
}

impl Term {
    /// Terms that a fit of a convolution chooses from.
    const CONV: &'static [Term] = {
        use Term::*;
        &[
            Call,
            Channels,
            Rows,
            Pixels,
            Interior,
            Outputs,
            Macs,
            Taps,
            TapsInside,
            TapRows,
            Elements,
            Weights,
            Blocks4,
            Left4,
            Tiles2x4,
            Steps2x4x4,
            Steps2x4x8,
            Steps2x4Left,
            TilesOdd,
            StepsOdd,
            StepsLeft,
            Tiles1x2,
            Steps1x2,
            Blocks2,
            Tiles2x3,
            Steps2x3x16,
        ]
    };

    /// Of a depthwise convolution.
    const DEPTHWISE: &'static [Term] = {
        use Term::*;
        &[
            Call,
            Channels,
            Rows,
            Pixels,
            Interior,
            Outputs,
            Inputs,
            Macs,
            MacsInside,
            Taps,
            TapsInside,
            TapRows,
            Weights,
            Quads,
            QuadsInterior,
            QuadTaps,
            QuadPairs,
            QuadPairTaps,
            QuadWeights,
            Vectors,
            VectorTaps,
            ChannelsLeft,
        ]
    };

    /// Of a fully connected layer or a product of activations.
    const PRODUCT: &'static [Term] = {
        use Term::*;
        &[
            Call,
            Channels,
            Pixels,
            Outputs,
            Macs,
            Elements,
            Weights,
            Tiles4x1,
            Steps4x1x4,
            Blocks4,
            Tiles2x4,
            Steps2x4x4,
            Steps2x4x8,
            Steps2x4Left,
            StepsOdd,
            StepsLeft,
            Steps1x2,
            Tiles2x3,
            Steps2x3x16,
            Steps1x1x16,
        ]
    };

    /// Of everything else.
    const OTHER: &'static [Term] = {
        use Term::*;
        &[Call, Channels, Rows, Pixels, Outputs, Inputs, Macs, MacsInside, Taps, TapsInside, Quads, Vectors, ChannelsLeft]
    };

    /// Terms that a fit of this operator chooses from.
    #[must_use]
    pub fn of(operator: &Operator) -> &'static [Term] {
        match operator {
            Operator::Conv => Self::CONV,
            Operator::Depthwise => Self::DEPTHWISE,
            Operator::FullyConnected | Operator::MatMul => Self::PRODUCT,
            _ => Self::OTHER,
        }
    }

    /// How often it happens in a layer.
    #[must_use]
    pub fn value(self, key: &LayerKey) -> f64 {
        let s = Sizes::of(key);
        let float = |value: u64| value as f64;
        let up = |value: u64, block: u64| value.div_ceil(block) as f64;
        let (pixels, outputs, products, groups) = (float(s.pixels), float(s.outputs), float(s.products), float(s.groups));
        let (channels, taps) = (float(s.channels), float(s.taps));
        let quads = up(s.channels, 4);
        let left = float(s.pixels % 4);
        let tiles = |rows: u64, columns: u64| groups * up(s.outputs, rows) * up(s.pixels, columns);
        match self {
            Self::Call => 1.0,
            Self::Channels => channels,
            Self::Rows => s.rows,
            Self::Pixels => pixels,
            Self::Interior => s.interior,
            Self::Outputs => pixels * channels,
            Self::Inputs => s.read,
            Self::Macs => pixels * channels * products,
            Self::MacsInside => s.taps_inside * channels * (products / taps),
            Self::Taps => pixels * taps,
            Self::TapsInside => s.taps_inside,
            Self::TapRows => pixels * float(s.tap_rows),
            Self::Elements => groups * pixels * products,
            Self::Weights => channels * products,
            Self::Blocks2 => groups * up(s.pixels, 2),
            Self::Blocks4 => groups * up(s.pixels, 4),
            Self::Left4 => groups * left,
            Self::Tiles1x2 => tiles(1, 2),
            Self::Steps1x2 => tiles(1, 2) * products,
            Self::Tiles2x4 => tiles(2, 4),
            Self::Steps2x4x4 => tiles(2, 4) * up(s.products, 4),
            Self::Steps2x4x8 => tiles(2, 4) * up(s.products, 8),
            Self::Steps2x4Left => tiles(2, 4) * float(s.products % 8),
            Self::TilesOdd => groups * float(s.outputs % 2) * up(s.pixels, 4),
            Self::StepsOdd => groups * float(s.outputs % 2) * up(s.pixels, 4) * up(s.products, 4),
            Self::StepsLeft => groups * left * up(s.outputs, 2) * up(s.products, 4),
            Self::Tiles2x3 => tiles(2, 3),
            Self::Steps2x3x16 => tiles(2, 3) * up(s.products, 16),
            Self::Tiles4x1 => tiles(4, 1),
            Self::Steps4x1x4 => tiles(4, 1) * up(s.products, 4),
            Self::Steps1x1x16 => groups * outputs * pixels * up(s.products, 16),
            Self::Quads => pixels * quads,
            Self::QuadsInterior => s.interior * quads,
            Self::QuadTaps => s.taps_inside * quads,
            Self::QuadPairs => s.rows * up(s.columns, 2) * quads,
            Self::QuadPairTaps => s.rows * up(s.columns, 2) * quads * taps,
            Self::QuadWeights => taps * quads,
            Self::Vectors => pixels * up(s.channels, 16),
            Self::VectorTaps => s.taps_inside * up(s.channels, 16),
            Self::ChannelsLeft => pixels * float(s.channels % 4),
        }
    }
}

/// The names in files.
const NAMES: [(Term, &str); 40] = [
    (Term::Call, "call"),
    (Term::Channels, "channels"),
    (Term::Rows, "rows"),
    (Term::Pixels, "pixels"),
    (Term::Interior, "interior"),
    (Term::Outputs, "outputs"),
    (Term::Inputs, "inputs"),
    (Term::Macs, "macs"),
    (Term::MacsInside, "macs_inside"),
    (Term::Taps, "taps"),
    (Term::TapsInside, "taps_inside"),
    (Term::TapRows, "tap_rows"),
    (Term::Elements, "elements"),
    (Term::Weights, "weights"),
    (Term::Blocks2, "blocks_2"),
    (Term::Blocks4, "blocks_4"),
    (Term::Left4, "left_4"),
    (Term::Tiles1x2, "tiles_1x2"),
    (Term::Steps1x2, "steps_1x2"),
    (Term::Tiles2x4, "tiles_2x4"),
    (Term::Steps2x4x4, "steps_2x4x4"),
    (Term::Steps2x4x8, "steps_2x4x8"),
    (Term::Steps2x4Left, "steps_2x4_left"),
    (Term::TilesOdd, "tiles_odd"),
    (Term::StepsOdd, "steps_odd"),
    (Term::StepsLeft, "steps_left"),
    (Term::Tiles2x3, "tiles_2x3"),
    (Term::Steps2x3x16, "steps_2x3x16"),
    (Term::Tiles4x1, "tiles_4x1"),
    (Term::Steps4x1x4, "steps_4x1x4"),
    (Term::Steps1x1x16, "steps_1x1x16"),
    (Term::Quads, "quads"),
    (Term::QuadsInterior, "quads_interior"),
    (Term::QuadTaps, "quad_taps"),
    (Term::QuadPairs, "quad_pairs"),
    (Term::QuadPairTaps, "quad_pair_taps"),
    (Term::QuadWeights, "quad_weights"),
    (Term::Vectors, "vectors"),
    (Term::VectorTaps, "vector_taps"),
    (Term::ChannelsLeft, "channels_left"),
];

impl Term {
    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(term, _)| *term == self).map_or("", |(_, name)| name)
    }

    /// The term of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(term, _)| *term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Candidate;

    #[test]
    fn names_are_found_again_and_every_term_is_chosen_from_somewhere() {
        let choices = [Operator::Conv, Operator::Depthwise, Operator::FullyConnected, Operator::Add].map(|operator| Term::of(&operator));
        for (term, name) in NAMES {
            assert_eq!((Term::from_name(name), term.name()), (Some(term), name));
            assert!(choices.iter().any(|terms| terms.contains(&term)), "{name}");
        }
        assert!(choices.iter().flat_map(|terms| terms.iter()).all(|term| !term.name().is_empty()));
        assert_eq!(Term::from_name("tiles"), None);
    }

    #[test]
    fn terms_by_hand() {
        let bits = Candidate::new(8, 8).unwrap();
        let conv = LayerKey::conv([5, 5], 3, 7, [3, 3], [1, 1], [1; 4], bits).unwrap();
        let values = |key: &LayerKey, terms: &[Term]| terms.iter().map(|term| term.value(key)).collect::<alloc::vec::Vec<_>>();
        let (macs, steps) = (25.0 * 7.0 * 27.0, 7.0 * 4.0 * 7.0);
        assert_eq!(values(&conv, &[Term::Macs, Term::Steps2x4x4, Term::Tiles2x4, Term::Left4]), [macs, steps, 28.0, 1.0]);
        assert_eq!(values(&conv, &[Term::TilesOdd, Term::Elements, Term::Weights]), [7.0, 675.0, 189.0]);
        let depthwise = LayerKey::depthwise([4, 3], 10, [3, 3], [1, 1], [1; 4], bits).unwrap();
        assert_eq!(values(&depthwise, &[Term::Macs, Term::MacsInside]), [1080.0, 700.0]);
        assert_eq!(values(&depthwise, &[Term::QuadTaps, Term::QuadPairs, Term::ChannelsLeft]), [210.0, 24.0, 24.0]);
        let product = LayerKey::fully_connected(3, 20, 6, bits);
        assert_eq!(values(&product, &[Term::Macs, Term::Steps4x1x4, Term::Outputs, Term::Elements]), [360.0, 30.0, 18.0, 60.0]);
    }
}
