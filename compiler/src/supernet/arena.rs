//! RAM of designs, estimated: the real arena follows from the memory plan of a lowered network, which takes too long for every design of a search.

use apq_search::Totals;
use apq_search::evolution::Costs;
use apq_search::space::{Block, BlockBits, BlockShape, Design, DesignCosts, Space};

/// Costs of designs with RAM as that of the largest step of a design: `scale` times the bytes of its tensors, which may overlap or be streamed by rows,
/// and its scratch memory, which may not.
pub(super) struct ArenaCosts<'a> {
    costs: &'a DesignCosts,
    scale: f64,
    blocks: Vec<BlockElements>,
}

impl<'a> ArenaCosts<'a> {
    pub(super) fn new(costs: &'a DesignCosts, scale: f64) -> ArenaCosts<'a> {
        ArenaCosts { costs, scale, blocks: costs.space().blocks().iter().map(BlockElements::of).collect() }
    }

    /// Of a step are input, output, scratch memory and, inside a residual block, the block's input.
    fn ram_bytes(&self, design: &Design) -> u64 {
        let space = self.costs.space();
        let fixed = space.fixed.activation_bits;
        let mut steps = Steps::new(self.scale);
        let (mut side, [height, width, channels]) = (area(stem_side(space)), space.input);
        steps.layer(area([height, width]) * u64::from(channels), side * u64::from(space.stem.channels), fixed, (0, 0));
        let mut last = u64::from(space.stem.channels);
        if let Some(first) = space.first {
            steps.layer(side * last, side * last, fixed, (0, depthwise_scratch(3, last)));
            steps.layer(side * last, side * u64::from(first), fixed, (0, 0));
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
        steps.layer(side * last, side * head, fixed, (0, 0));
        steps.layer(side * head, head, fixed, (0, 0));
        steps.layer(head, space.classes.into(), fixed, (0, 0));
        steps.close(fixed);
        steps.most
    }
}

impl Costs for ArenaCosts<'_> {
    fn totals(&self, design: &Design) -> Option<Totals> {
        let totals = self.costs.cost(design).ok()?.totals;
        Some(Totals { ram_bytes: self.ram_bytes(design), ..totals })
    }
}

fn area([height, width]: [u32; 2]) -> u64 {
    u64::from(height) * u64::from(width)
}

fn stem_side(space: &Space) -> [u32; 2] {
    [space.input[0], space.input[1]].map(|side| side.div_ceil(space.stem.stride.max(1)))
}

/// 6 bits take a byte.
fn bytes(elements: u64, bits: u8) -> u64 {
    let stored = if bits == 6 { 8 } else { bits };
    (elements * u64::from(stored)).div_ceil(8)
}

/// The weights in 16 bits, as the kernels of targets that have little RAM unpack them.
fn depthwise_scratch(kernel: u8, channels: u64) -> u64 {
    2 * u64::from(kernel) * u64::from(kernel) * channels
}

/// The layers of a network one after the other. What a layer writes has the width that the next one reads.
struct Steps {
    /// Of the bytes of tensors.
    scale: f64,
    /// Bytes of tensors beside what the last layer writes.
    held: u64,
    /// Scratch memory of the last layer.
    scratch: u64,
    /// Elements that the last layer writes.
    written: u64,
    most: u64,
}

impl Steps {
    fn new(scale: f64) -> Steps {
        Steps { scale, held: 0, scratch: 0, written: 0, most: 0 }
    }

    /// A layer that reads and writes so many elements, with bytes beside it that a later one reads, and with scratch memory.
    fn layer(&mut self, read: u64, written: u64, bits: u8, (beside, scratch): (u64, u64)) {
        self.close(bits);
        (self.held, self.written, self.scratch) = (bytes(read, bits) + beside, written, scratch);
    }

    fn close(&mut self, bits: u8) {
        let tensors = self.scale * (self.held + bytes(self.written, bits)) as f64;
        self.most = self.most.max(tensors.ceil() as u64 + self.scratch);
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
        let scratch = depthwise_scratch(shape.kernel, channels);
        steps.layer(input, self.input_area * channels, pointwise, (0, 0));
        steps.layer(self.input_area * channels, self.output_area * channels, depthwise, (beside, scratch));
        steps.layer(self.output_area * channels, output, pointwise, (beside, 0));
        if self.residual {
            steps.layer(output, output, pointwise, (0, 0));
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
    fn of_keys(keys: &[&LayerKey], scale: f64) -> u64 {
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
            let tensors = read(key) + written + block_input.and_then(|place| keys.get(place)).map_or(0, |key| read(key));
            let taps = u64::from(key.kernel[0] * key.kernel[1]);
            let scratch = if key.operator == Operator::Depthwise { 2 * taps * u64::from(key.input_channels) } else { 0 };
            (scale * tensors as f64).ceil() as u64 + scratch
        };
        keys.iter().enumerate().map(step).max().unwrap_or(0)
    }

    #[test]
    fn the_largest_step_holds_the_input_of_its_block() {
        let bits = |weight_bits, activation_bits| Candidate { weight_bits, activation_bits };
        let plain = |operator, channels, of| LayerKey::plain(operator, [4, 4], channels, of);
        let mut expand = plain(Operator::Conv, 8, bits(4, 4));
        expand.output_channels = 32;
        let mut depthwise = plain(Operator::Depthwise, 32, bits(8, 8));
        depthwise.kernel = [3, 3];
        let mut project = plain(Operator::Conv, 32, bits(4, 4));
        project.output_channels = 8;
        let add = plain(Operator::Add, 8, bits(4, 4));
        // 16 pixels: 8 channels of 4 bits, read twice; 32 of 8 bits, 32 of 4 bits; 9 taps of 32 channels.
        let scratch = 2 * 9 * 32;
        assert_eq!(of_keys(&[&expand, &depthwise, &project, &add], 1.0), 64 + 512 + 256 + scratch);
        assert_eq!(of_keys(&[&expand, &depthwise, &project], 0.5), (512 + 256) / 2 + scratch);
        let elements = |residual| BlockElements { input_area: 16, input_channels: 8, output_area: 16, output_channels: 8, residual };
        for (residual, scale, most) in [(true, 1.0, 64 + 512 + 256 + scratch), (false, 0.5, (512 + 256) / 2 + scratch)] {
            let mut steps = Steps::new(scale);
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
            let arena = ArenaCosts::new(&costs, 0.7);
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            for _ in 0..200 {
                let architecture = sample_architecture(&space, &mut rng);
                let policy = sample_policy(costs.choices(), &architecture, &mut rng);
                let design = Design { architecture, policy };
                let layers = costs.keys(&design).unwrap();
                let expected = of_keys(&layers.iter().map(|(_, key)| key).collect::<Vec<_>>(), 0.7);
                assert_eq!(arena.totals(&design).unwrap().ram_bytes, expected);
            }
        }
    }
}
