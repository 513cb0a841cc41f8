//! RAM of designs, estimated: the real arena follows from the memory plan of a lowered network, which takes too long for every design of a search.

use apq_lut::{LayerKey, Operator};
use apq_search::Totals;
use apq_search::evolution::Costs;
use apq_search::space::{Design, DesignCosts};

/// Costs of designs with RAM as `scale` times the bytes of the tensors that the largest step of a design needs.
pub(super) struct ArenaCosts<'a> {
    pub(super) costs: &'a DesignCosts,
    pub(super) scale: f64,
}

impl Costs for ArenaCosts<'_> {
    fn totals(&self, design: &Design) -> Option<Totals> {
        let totals = self.costs.cost(design).ok()?.totals;
        let layers = self.costs.keys(design).ok()?;
        let keys: Vec<&LayerKey> = layers.iter().map(|(_, key)| key).collect();
        Some(Totals { ram_bytes: (self.scale * step_bytes_max(&keys) as f64).ceil() as u64, ..totals })
    }
}

fn tensor_bytes(sides: [u32; 2], channels: u32, bits: u8) -> u64 {
    (u64::from(sides[0]) * u64::from(sides[1]) * u64::from(channels) * u64::from(bits)).div_ceil(8)
}

/// Input, output and, inside a residual block, the block's input of the layer where they are largest together. `keys` are in the order of the network.
fn step_bytes_max(keys: &[&LayerKey]) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use apq_lut::Candidate;

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
        assert_eq!(step_bytes_max(&[&expand, &depthwise, &project, &add]), 64 + 512 + 256);
        assert_eq!(step_bytes_max(&[&expand, &depthwise, &project]), 512 + 256);
        assert_eq!(step_bytes_max(&[]), 0);
    }
}
