//! Spaces that are there by name.

use alloc::string::ToString;
use alloc::vec::Vec;

use apq_lut::Candidate;

use super::{Architecture, BlockShape, Space, Stage, Stem};

/// Widths of weights and of activations in the paper; the candidates are all pairs.
const WIDTHS: [u8; 3] = [4, 6, 8];

const W8A8: Candidate = Candidate { weight_bits: 8, activation_bits: 8 };

fn all_pairs() -> Vec<Candidate> {
    let pairs = |weight_bits| WIDTHS.map(|activation_bits| Candidate { weight_bits, activation_bits });
    WIDTHS.into_iter().flat_map(pairs).collect()
}

fn stage(channels: u32, stride: u32, depths: &[u8]) -> Stage {
    Stage { channels, stride, depths: depths.to_vec() }
}

impl Space {
    /// Names of the presets.
    pub const PRESETS: [&'static str; 2] = ["fashion", "imagenet"];

    /// The preset of that name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "fashion" => Some(Self::fashion()),
            "imagenet" => Some(Self::imagenet()),
            _ => None,
        }
    }

    /// The paper's space: MobileNetV2 at 224x224 with 21 elastic blocks, as the layers of its published BitFusion table show it.
    #[must_use]
    pub fn imagenet() -> Self {
        const DEPTHS: &[u8] = &[2, 3, 4];
        let stages = [
            stage(24, 2, DEPTHS),
            stage(40, 2, DEPTHS),
            stage(80, 2, DEPTHS),
            stage(96, 1, DEPTHS),
            stage(192, 2, DEPTHS),
            stage(320, 1, &[1]),
        ];
        Self {
            name: "imagenet".to_string(),
            input: [224, 224, 3],
            classes: 1000,
            stem: Stem { channels: 32, kernel: 3, stride: 2 },
            first: Some(16),
            stages: stages.into(),
            head: 1280,
            kernels: [3, 5, 7].into(),
            expansion: [4, 6],
            channel_step: 8,
            candidates: all_pairs(),
            fixed: W8A8,
        }
    }

    /// A small space for 28x28 images in grey and 10 classes, to be trained on any computer.
    #[must_use]
    pub fn fashion() -> Self {
        const DEPTHS: &[u8] = &[2, 3, 4];
        Self {
            name: "fashion".to_string(),
            input: [28, 28, 1],
            classes: 10,
            stem: Stem { channels: 16, kernel: 3, stride: 2 },
            first: None,
            stages: [stage(24, 2, DEPTHS), stage(40, 2, DEPTHS)].into(),
            head: 128,
            kernels: [3, 5, 7].into(),
            expansion: [4, 6],
            channel_step: 8,
            candidates: all_pairs(),
            fixed: W8A8,
        }
    }

    /// Every stage at its largest depth, every block with its largest kernel and width.
    #[must_use]
    pub fn largest(&self) -> Architecture {
        self.smallest_in(false, false, false)
    }

    /// Every stage at its smallest depth, every block with its smallest kernel and width.
    #[must_use]
    pub fn smallest(&self) -> Architecture {
        self.smallest_in(true, true, true)
    }

    /// The smallest of what is `true`, the largest of the rest.
    #[must_use]
    pub fn smallest_in(&self, depth: bool, kernel: bool, width: bool) -> Architecture {
        fn pick<T: Ord + Copy>(values: &[T], smallest: bool) -> Option<T> {
            if smallest { values.iter().min().copied() } else { values.iter().max().copied() }
        }
        let shape = |block: super::Block| {
            let depth = pick(&self.stages.get(block.stage)?.depths, depth)?;
            let shape = BlockShape { kernel: pick(&self.kernels, kernel)?, channels: pick(&block.widths, width)? };
            (block.position < usize::from(depth)).then_some(shape)
        };
        Architecture(self.blocks().into_iter().map(shape).collect())
    }
}
