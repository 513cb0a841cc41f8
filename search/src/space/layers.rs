//! The layers of a design under the names of its nodes, as the compiler asks lookup tables for them.
//!
//! Batch norms and ReLU6 are part of the layer before them, and flattening costs nothing, so neither is here. A sum reads at the widths of its
//! block's expansion: both read the block's input, which has one quantizer.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use apq_lut::{Candidate, LayerKey, Operator};

use super::{Block, BlockBits, BlockShape, Design, Space, SpaceError};

/// A layer with the name of its node.
pub(super) type Layer = (String, LayerKey);

/// A convolution, padded with half its kernel on each side.
fn conv([input, output]: [[u32; 2]; 2], [inputs, outputs]: [u32; 2], kernel: u8, stride: u32, bits: Candidate) -> LayerKey {
    let mut key = LayerKey::plain(Operator::Conv, input, inputs, bits);
    key.output = output;
    key.output_channels = outputs;
    key.kernel = [kernel.into(); 2];
    key.stride = [stride; 2];
    key.padding = [u32::from(kernel) / 2; 4];
    key
}

fn depthwise(sides: [[u32; 2]; 2], channels: u32, kernel: u8, stride: u32, bits: Candidate) -> LayerKey {
    let mut key = conv(sides, [channels; 2], kernel, stride, bits);
    key.groups = channels;
    // With one channel it is a convolution.
    if channels > 1 {
        key.operator = Operator::Depthwise;
    }
    key
}

impl Block {
    /// `[height, width]` of its output.
    fn output(&self) -> [u32; 2] {
        self.input.map(|side| side.div_ceil(self.stride))
    }

    /// Expansion, projection and, where the block has one, sum.
    pub(super) fn pointwise_layers(&self, channels: u32, bits: Candidate) -> Vec<Layer> {
        let (name, output) = (self.name(), self.output());
        let mut layers = alloc::vec![
            (format!("{name}.expand"), conv([self.input; 2], [self.input_channels, channels], 1, 1, bits)),
            (format!("{name}.project"), conv([output; 2], [channels, self.output_channels], 1, 1, bits)),
        ];
        if self.is_residual() {
            layers.push((format!("{name}.add"), LayerKey::plain(Operator::Add, output, self.output_channels, bits)));
        }
        layers
    }

    /// The depthwise convolution.
    pub(super) fn depthwise_layer(&self, shape: BlockShape, bits: Candidate) -> Layer {
        let sides = [self.input, self.output()];
        (format!("{}.depthwise", self.name()), depthwise(sides, shape.channels, shape.kernel, self.stride, bits))
    }
}

impl Space {
    /// The layers before the blocks: stem and first block.
    pub(super) fn leading_layers(&self) -> Vec<Layer> {
        let [height, width, channels] = self.input;
        let (stem, bits) = (&self.stem, self.fixed);
        let input = [height, width];
        let side = input.map(|side| side.div_ceil(stem.stride));
        let mut key = conv([input, side], [channels, stem.channels], stem.kernel, stem.stride, bits);
        key.reads_network_input = true;
        let mut layers = alloc::vec![("stem".to_string(), key)];
        if let Some(outputs) = self.first {
            layers.push(("first.depthwise".to_string(), depthwise([side; 2], stem.channels, 3, 1, bits)));
            layers.push(("first.project".to_string(), conv([side; 2], [stem.channels, outputs], 1, 1, bits)));
        }
        layers
    }

    /// The layers behind the blocks: head, mean, classifier.
    pub(super) fn trailing_layers(&self, blocks: &[Block]) -> Vec<Layer> {
        let (side, channels) = blocks.last().map_or(([1; 2], 1), |block| (block.output(), block.output_channels));
        let mut pool = LayerKey::plain(Operator::AveragePool, side, self.head, self.fixed);
        pool.output = [1; 2];
        pool.kernel = side;
        alloc::vec![
            ("head".to_string(), conv([side; 2], [channels, self.head], 1, 1, self.fixed)),
            ("pool".to_string(), pool),
            ("classifier".to_string(), LayerKey::fully_connected(1, self.head, self.classes, self.fixed)),
        ]
    }

    /// Every layer of a design that a cost model is asked for, in the order of the network, each with the name of its node.
    ///
    /// # Errors
    /// The design is not of the space.
    pub fn layers(&self, design: &Design) -> Result<Vec<(String, LayerKey)>, SpaceError> {
        self.check_design(design)?;
        let blocks = self.blocks();
        let mut layers = self.leading_layers();
        for ((block, shape), bits) in blocks.iter().zip(&design.architecture.0).zip(&design.policy.0) {
            let (Some(shape), Some(BlockBits { pointwise, depthwise })) = (shape, bits) else { continue };
            let mut of_block = block.pointwise_layers(shape.channels, *pointwise);
            of_block.insert(1, block.depthwise_layer(*shape, *depthwise));
            layers.append(&mut of_block);
        }
        layers.extend(self.trailing_layers(&blocks));
        Ok(layers)
    }
}
