//! What one layer costs, and what several do.

use apq_kernels::{Arrangement, WeightBits, WeightShape};
use apq_lut::{CostError, CostModel, LayerKey, Operator, bops};
use apq_targets::Target;

use super::super::Space;

/// Costs of a layer, or of several, in whole units. A figure that some layer lacks is marked in `missing`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LayerCost {
    pub(super) bops: u64,
    pub(super) macs: u64,
    pub(super) weights_bytes: u64,
    /// Bytes of the file that are not packed weights, at most.
    pub(super) overhead_bytes: u64,
    cycles: u64,
    latency_ns: u64,
    energy_pj: u64,
    missing: u8,
}

const NO_CYCLES: u8 = 1;
const NO_LATENCY: u8 = 2;
const NO_ENERGY: u8 = 4;

impl LayerCost {
    /// All but the bytes. What the model does not cover counts as 0, as in every report of the compiler.
    pub(super) fn of(key: &LayerKey, model: Option<&dyn CostModel>) -> Result<Self, CostError> {
        let mut cost = Self { bops: bops(key).unwrap_or(u64::MAX), macs: key.macs().unwrap_or(u64::MAX), ..Self::default() };
        let Some(model) = model else { return Ok(cost) };
        match model.cost(key) {
            Ok(modelled) => {
                let mut figure = |value: Option<u64>, mark: u8| {
                    cost.missing |= if value.is_none() { mark } else { 0 };
                    value.unwrap_or(0)
                };
                let cycles = figure(modelled.cycles, NO_CYCLES);
                let latency_ns = figure(modelled.latency_ns.map(|ns| libm::ceil(ns) as u64), NO_LATENCY);
                let energy_pj = figure(modelled.energy_nj.map(|nj| libm::ceil(nj * 1e3) as u64), NO_ENERGY);
                Ok(Self { cycles, latency_ns, energy_pj, ..cost })
            }
            Err(CostError::NotModelled { .. }) => Ok(cost),
            Err(error) => Err(error),
        }
    }

    #[inline]
    pub(super) fn add(&mut self, other: &Self) {
        self.bops = self.bops.saturating_add(other.bops);
        self.macs = self.macs.saturating_add(other.macs);
        self.weights_bytes = self.weights_bytes.saturating_add(other.weights_bytes);
        self.overhead_bytes = self.overhead_bytes.saturating_add(other.overhead_bytes);
        self.cycles = self.cycles.saturating_add(other.cycles);
        self.latency_ns = self.latency_ns.saturating_add(other.latency_ns);
        self.energy_pj = self.energy_pj.saturating_add(other.energy_pj);
        self.missing |= other.missing;
    }

    fn unless(&self, mark: u8, value: u64) -> Option<u64> {
        (self.missing & mark == 0).then_some(value)
    }

    pub(super) fn cycles(&self) -> Option<u64> {
        self.unless(NO_CYCLES, self.cycles)
    }

    pub(super) fn latency_ns(&self) -> Option<u64> {
        self.unless(NO_LATENCY, self.latency_ns)
    }

    pub(super) fn energy_pj(&self) -> Option<u64> {
        self.unless(NO_ENERGY, self.energy_pj)
    }
}

/// Bytes of a layer's weights in the arrangement that the compiler takes for the target.
pub(super) fn weights_bytes(target: &Target, key: &LayerKey) -> u64 {
    if !key.operator.has_weights() {
        return 0;
    }
    let arrangements = target.arrangements(&key.operator, key.weight_bits, key.activation_bits);
    let arrangement = { arrangements }.find_map(Arrangement::from_name).unwrap_or_default();
    let taps = u64::from(key.kernel[0]) * u64::from(key.kernel[1]);
    let row_len = taps * u64::from(key.input_channels.checked_div(key.groups).unwrap_or(0));
    let bytes = || {
        let bits = WeightBits::try_from(key.weight_bits).ok()?;
        let shape =
            WeightShape { groups: key.groups as usize, rows: key.output_channels as usize, row_len: usize::try_from(row_len).ok()? };
        arrangement.bytes(bits, &shape)
    };
    bytes().map_or(u64::MAX, |bytes| bytes as u64)
}

/// Bytes of the records of a node, its output and its group in the graph section and of their places there, but for names; numbers of any size that a network
/// of a space has.
const RECORDS_BYTES: u64 = 132;

/// What the name of a tensor has beside that of its node.
const TENSOR_SUFFIX_BYTES: u64 = 16;

/// Filling up to a multiple of 4 before a block of the raw section.
const FILL_BYTES: u64 = 3;

/// Bias, multiplier and shift.
const CHANNEL_BYTES: u64 = 9;

/// Bytes that a node takes in a file beside packed weights, at most (`runtime/FORMAT.md`).
pub(super) fn node_overhead(name: &str, key: &LayerKey) -> u64 {
    let names = 3 * (name.len() as u64 + 2) + TENSOR_SUFFIX_BYTES;
    let blocks = match key.operator {
        Operator::AveragePool => FILL_BYTES + CHANNEL_BYTES,
        _ if key.operator.has_weights() => 2 * FILL_BYTES + CHANNEL_BYTES * u64::from(key.output_channels),
        _ => 0,
    };
    RECORDS_BYTES + names + blocks
}

/// Bytes of a file without nodes, at most: header, names of operators and arrangements, the input and the codes of its raw bytes.
pub(super) fn file_overhead(space: &Space) -> u64 {
    const HEADER_BYTES: u64 = 40;
    const LISTS_AND_HEAD_BYTES: u64 = 320;
    // The image, the flattened mean, and a softmax where one is kept.
    const MORE_TENSORS: u64 = 3;
    let code_bytes = if space.fixed.activation_bits == 16 { 2 } else { 1 };
    let input = u64::from(space.input[2]) * (2 * 4 + 256 * code_bytes) + FILL_BYTES;
    HEADER_BYTES + LISTS_AND_HEAD_BYTES + MORE_TENSORS * (RECORDS_BYTES + 3 * TENSOR_SUFFIX_BYTES) + input
}
