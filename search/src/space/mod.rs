//! The search space of a once-for-all network: stages of inverted-residual blocks with elastic kernel, width and depth, and bit widths for each block.
//!
//! Source: "APQ: Joint Search for Network Architecture, Pruning and Quantization Policy", sections 3.1 and 3.2.
//!
//! | file | subject |
//! |---|---|
//! | `presets` | the paper's space, and a small one |
//! | `check` | limits of a space; whether a design is of a space |
//! | `fingerprint` | a number by which files that belong to a space know it |
//! | `count` | how many designs there are, exactly |
//! | `choices` | the pairs of widths that a target leaves |
//! | `sample` | random and uniform designs |
//! | `encoding` | the one-hot vectors of a predictor |
//! | `layers` | the layers of a design, as lookup tables know them |
//! | `costs` | what designs cost, from tables |
//! | `record` | data sets of evaluated designs |

mod check;
mod choices;
mod costs;
mod count;
mod encoding;
mod fingerprint;
mod layers;
mod presets;
mod sample;

pub mod record;

pub use check::SpaceError;
pub use choices::{Choices, ChoicesError};
pub use costs::{CostsError, DesignCost, DesignCosts};
pub use count::Count;
pub use encoding::Encoding;
pub use sample::{sample_architecture, sample_policy, uniform_policy};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use apq_lut::Candidate;
use serde::{Deserialize, Serialize};

/// What a supernet contains. The text form (JSON) travels in the supernet's file.
///
/// A network of the space is: the stem (convolution), the first block where there is one (depthwise convolution and projection, fixed), the stages, the
/// head (1x1 convolution), the mean over all positions, and the classifier. Each convolution but a projection ends in ReLU6; every convolution has a
/// batch norm. A block is expansion, depthwise convolution and projection, and adds its input where stride is 1 and the channels are equal.
/// Padding is `kernel / 2` on each side.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// For people.
    pub name: String,
    /// `[height, width, channels]`.
    pub input: [u32; 3],
    /// Outputs of the classifier.
    pub classes: u32,
    /// The first convolution.
    pub stem: Stem,
    /// Output channels of a first block without expansion (3x3, stride 1), where there is one.
    pub first: Option<u32>,
    /// In the order of the network.
    pub stages: Vec<Stage>,
    /// Output channels of the last convolution, 1x1.
    pub head: u32,
    /// Sides that a depthwise kernel may have, ascending, odd.
    pub kernels: Vec<u8>,
    /// Least and largest channels of an expansion, as multiples of the block's input channels.
    pub expansion: [u32; 2],
    /// From one width of an expansion to the next.
    pub channel_step: u32,
    /// Pairs of bit widths that a convolution of a block may have.
    pub candidates: Vec<Candidate>,
    /// Bit widths of the stem, the first block, the head and the classifier.
    pub fixed: Candidate,
}

/// The first convolution of a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// Output channels.
    pub channels: u32,
    /// Side of the kernel.
    pub kernel: u8,
    /// In both directions.
    pub stride: u32,
}

/// Blocks of one resolution and width.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Output channels of every block.
    pub channels: u32,
    /// Stride of the first block; the others have 1.
    pub stride: u32,
    /// Numbers of blocks to choose from, ascending; a subnet takes the leading blocks.
    pub depths: Vec<u8>,
}

/// What is chosen for the architecture of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockShape {
    /// Side of the depthwise kernel.
    pub kernel: u8,
    /// Channels between expansion and projection.
    pub channels: u32,
}

/// Bit widths of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockBits {
    /// Expansion and projection: weights, and the activations that each reads.
    pub pointwise: Candidate,
    /// Depthwise convolution: weights, and the activations that it reads.
    pub depthwise: Candidate,
}

/// A subnet: for each block of the space, in the order of [`Space::blocks`], its shape, or `None` where the block is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(pub Vec<Option<BlockShape>>);

/// Bit widths of a subnet, `None` where the block is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policy(pub Vec<Option<BlockBits>>);

/// A subnet with its bit widths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// The subnet.
    pub architecture: Architecture,
    /// Its bit widths.
    pub policy: Policy,
}

/// One block of the space, at its largest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Index of its stage.
    pub stage: usize,
    /// Index within the stage.
    pub position: usize,
    /// `[height, width]` of its input.
    pub input: [u32; 2],
    /// Channels of its input: B in the paper.
    pub input_channels: u32,
    /// Channels of its output.
    pub output_channels: u32,
    /// Of the depthwise convolution.
    pub stride: u32,
    /// Widths of the expansion to choose from, ascending.
    pub widths: Vec<u32>,
}

impl Block {
    /// Whether the block adds its input to its output.
    #[must_use]
    pub fn is_residual(&self) -> bool {
        self.stride == 1 && self.input_channels == self.output_channels
    }

    /// The prefix of the names of its tensors and nodes, `stages.2.blocks.0`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("stages.{}.blocks.{}", self.stage, self.position)
    }
}

impl Space {
    /// Every block at the largest depth, in the order of the network. For spaces that [`Space::check`] takes: it bounds what this allocates.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut input = [self.input[0], self.input[1]].map(|side| side.div_ceil(self.stem.stride.max(1)));
        let mut input_channels = self.first.unwrap_or(self.stem.channels);
        for (stage, of) in self.stages.iter().enumerate() {
            for position in 0..of.depths.iter().copied().max().unwrap_or(0) {
                let stride = if position == 0 { of.stride.max(1) } else { 1 };
                let [least, largest] = self.expansion.map(|times| times.saturating_mul(input_channels));
                let widths = (least..=largest).step_by(self.channel_step.max(1) as usize).collect();
                blocks.push(Block {
                    stage,
                    position: position.into(),
                    input,
                    input_channels,
                    output_channels: of.channels,
                    stride,
                    widths,
                });
                input = input.map(|side| side.div_ceil(stride));
                input_channels = of.channels;
            }
        }
        blocks
    }
}
