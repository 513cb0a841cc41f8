//! RAM of designs, estimated: the real arena follows from the memory plan of a lowered network, which takes too long for every design of a search.

use apq_search::Totals;
use apq_search::evolution::Costs;
use apq_search::space::{Block, BlockBits, BlockShape, Design, DesignCosts, Space};

/// Costs of designs with RAM as `scale` times the bytes of the tensors that the largest step of a design needs.
pub(super) struct ArenaCosts<'a> {
    costs: &'a DesignCosts,
    scale: f64,
    blocks: Vec<BlockElements>,
}

impl<'a> ArenaCosts<'a> {
    pub(super) fn new(costs: &'a DesignCosts, scale: f64) -> ArenaCosts<'a> {
        ArenaCosts { costs, scale, blocks: costs.space().blocks().iter().map(BlockElements::of).collect() }
    }

    /// Input, output and, inside a residual block, the block's input of the layer where they are largest together.
    fn step_bytes_max(&self, design: &Design) -> u64 {
        let space = self.costs.space();
        let fixed = space.fixed.activation_bits;
        let mut steps = Steps::default();
        let (mut side, [height, width, channels]) = (area(stem_side(space)), space.input);
        steps.layer(area([height, width]) * u64::from(channels), side * u64::from(space.stem.channels), fixed, 0);
        let mut last = u64::from(space.stem.channels);
        if let Some(first) = space.first {
            steps.layer(side * last, side * last, fixed, 0);
            steps.layer(side * last, side * u64::from(first), fixed, 0);
            last = first.into();
        }
        let entries = self.blocks.iter().zip(&design.architecture.0).zip(&design.policy.0);
        for ((block, shape), bits) in entries {
            if let (Some(shape), Some(bits)) = (shape, bits) {
                block.steps(*shape, *bits, &mut steps);
            }
            // The stage has its stride and its channels, whatever its depth.
            (side, last) = (block.output_area, block.output_channels);
        }
        let head = u64::from(space.head);
        steps.layer(side * last, side * head, fixed, 0);
        steps.layer(side * head, head, fixed, 0);
        steps.layer(head, space.classes.into(), fixed, 0);
        steps.close(fixed);
        steps.most
    }
}

impl Costs for ArenaCosts<'_> {
    fn totals(&self, design: &Design) -> Option<Totals> {
        let totals = self.costs.cost(design).ok()?.totals;
        Some(Totals { ram_bytes: (self.scale * self.step_bytes_max(design) as f64).ceil() as u64, ..totals })
    }
}

fn area([height, width]: [u32; 2]) -> u64 {
    u64::from(height) * u64::from(width)
}

fn stem_side(space: &Space) -> [u32; 2] {
    [space.input[0], space.input[1]].map(|side| side.div_ceil(space.stem.stride.max(1)))
}

fn bytes(elements: u64, bits: u8) -> u64 {
    (elements * u64::from(bits)).div_ceil(8)
}

/// The layers of a network one after the other. What a layer writes has the width that the next one reads.
#[derive(Default)]
struct Steps {
    /// Bytes beside what the last layer writes.
    held: u64,
    /// Elements that the last layer writes.
    written: u64,
    most: u64,
}

impl Steps {
    /// A layer that reads and writes so many elements, with bytes beside it that a later one reads.
    fn layer(&mut self, read: u64, written: u64, bits: u8, beside: u64) {
        self.close(bits);
        (self.held, self.written) = (bytes(read, bits) + beside, written);
    }

    fn close(&mut self, bits: u8) {
        self.most = self.most.max(self.held + bytes(self.written, bits));
    }
}

/// Sizes of a block, but for the channels of its expansion.
struct BlockElements {
    input_area: u64,
    input_channels: u64,
    output_area: u64,
    output_channels: u64,
    residual: bool,
}

impl BlockElements {
    fn of(block: &Block) -> BlockElements {
        BlockElements {
            input_area: area(block.input),
            input_channels: block.input_channels.into(),
            output_area: area(block.input.map(|side| side.div_ceil(block.stride.max(1)))),
            output_channels: block.output_channels.into(),
            residual: block.is_residual(),
        }
    }

    /// Expansion, depthwise convolution, projection, and the sum where there is one.
    fn steps(&self, shape: BlockShape, BlockBits { pointwise, depthwise }: BlockBits, steps: &mut Steps) {
        let (pointwise, depthwise) = (pointwise.activation_bits, depthwise.activation_bits);
        let channels = u64::from(shape.channels);
        let (input, output) = (self.input_area * self.input_channels, self.output_area * self.output_channels);
        let beside = if self.residual { bytes(input, pointwise) } else { 0 };
        steps.layer(input, self.input_area * channels, pointwise, 0);
        steps.layer(self.input_area * channels, self.output_area * channels, depthwise, beside);
        steps.layer(self.output_area * channels, output, pointwise, beside);
        if self.residual {
            steps.layer(output, output, pointwise, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apq_lut::{Candidate, LayerKey, Operator};
    use apq_search::space::{sample_architecture, sample_policy};
    use apq_targets::Target;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn tensor_bytes(sides: [u32; 2], channels: u32, bits: u8) -> u64 {
        bytes(area(sides) * u64::from(channels), bits)
    }

    /// The same from the layers as the cost model knows them, in the order of the network.
    fn of_keys(keys: &[&LayerKey]) -> u64 {
        let read = |key: &LayerKey| tensor_bytes(key.input, key.input_channels, key.activation_bits);
        let adds = |place: usize| keys.get(place).is_some_and(|key| key.operator == Operator::Add);
        let step = |(place, key): (usize, &&LayerKey)| {
            let written_bits = keys.get(place + 1).map_or(key.activation_bits, |reader| reader.activation_bits);
            let written = tensor_bytes(key.output, key.output_channels, written_bits);
            // Expansion, depthwise convolution, projection, sum.
            let block_input = if adds(place + 1) {
                place.checked_sub(2)
            } else if adds(place + 2) {
                place.checked_sub(1)
            } else {
                None
            };
            read(key) + written + block_input.and_then(|place| keys.get(place)).map_or(0, |key| read(key))
        };
        keys.iter().enumerate().map(step).max().unwrap_or(0)
    }

    #[test]
    fn the_largest_step_holds_the_input_of_its_block() {
        let bits = |weight_bits, activation_bits| Candidate { weight_bits, activation_bits };
        let plain = |operator, channels, of| LayerKey::plain(operator, [4, 4], channels, of);
        let mut expand = plain(Operator::Conv, 8, bits(4, 4));
        expand.output_channels = 32;
        let depthwise = plain(Operator::Depthwise, 32, bits(8, 8));
        let mut project = plain(Operator::Conv, 32, bits(4, 4));
        project.output_channels = 8;
        let add = plain(Operator::Add, 8, bits(4, 4));
        // 16 pixels: 8 channels of 4 bits, read twice; 32 of 8 bits, 32 of 4 bits.
        assert_eq!(of_keys(&[&expand, &depthwise, &project, &add]), 64 + 512 + 256);
        assert_eq!(of_keys(&[&expand, &depthwise, &project]), 512 + 256);
        let elements = |residual| BlockElements { input_area: 16, input_channels: 8, output_area: 16, output_channels: 8, residual };
        for (residual, most) in [(true, 64 + 512 + 256), (false, 512 + 256)] {
            let mut steps = Steps::default();
            let policy = BlockBits { pointwise: bits(4, 4), depthwise: bits(8, 8) };
            elements(residual).steps(BlockShape { kernel: 3, channels: 32 }, policy, &mut steps);
            steps.close(4);
            assert_eq!(steps.most, most);
        }
    }

    #[test]
    fn steps_are_those_of_the_layers_of_a_design() {
        for space in [Space::fashion(), Space::imagenet()] {
            let costs = DesignCosts::new(&space, &Target::builtin("bitfusion").unwrap(), None).unwrap();
            let arena = ArenaCosts::new(&costs, 0.5);
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            for _ in 0..200 {
                let architecture = sample_architecture(&space, &mut rng);
                let policy = sample_policy(costs.choices(), &architecture, &mut rng);
                let design = Design { architecture, policy };
                let layers = costs.keys(&design).unwrap();
                let expected = of_keys(&layers.iter().map(|(_, key)| key).collect::<Vec<_>>());
                assert_eq!(arena.step_bytes_max(&design), expected);
                assert_eq!(arena.totals(&design).unwrap().ram_bytes, expected.div_ceil(2));
            }
        }
    }
}
