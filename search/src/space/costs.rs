//! What designs cost: sums over tables, made once for a space, a target and a cost model.

mod layer;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use apq_lut::{CostError, CostModel, LayerKey};
use apq_targets::Target;

use super::{Architecture, Block, BlockBits, BlockShape, Choices, ChoicesError, Design, Policy, Space, SpaceError};
use crate::Totals;
use layer::{LayerCost, file_overhead, weights_bytes};

/// Costs of every design of a space, by look-ups: two for each block.
///
/// Bit operations, cycles, latency, energy and packed weights are those that the compiler finds for the network that it lowers, in the same
/// whole units for each layer. Flash adds what else is in the file, at most. RAM follows from the memory plan of a whole network: it is 0 here, and a
/// budget for it can be held against the lowered network only.
#[derive(Debug, Clone)]
pub struct DesignCosts {
    space: Space,
    choices: Choices,
    /// Layers that every design has, and the file itself.
    fixed: LayerCost,
    blocks: Vec<BlockTable>,
    has_model: bool,
}

/// What one design costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DesignCost {
    /// As budgets want it. `ram_bytes` is 0.
    pub totals: Totals,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Packed weights, part of `totals.flash_bytes`.
    pub weights_bytes: u64,
}

/// Why designs have no costs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CostsError {
    /// The space cannot be searched for the target.
    #[error(transparent)]
    Choices(#[from] ChoicesError),
    /// The cost model has no answer for a layer.
    #[error("{node}: {reason}")]
    Cost {
        /// Name of the layer's node.
        node: String,
        /// What the model says.
        reason: CostError,
    },
}

/// Costs of a block, rows by kernel and width, columns by candidate of the space; `None` where the choices leave the pair out.
#[derive(Debug, Clone)]
struct BlockTable {
    block: Block,
    /// Whether the stage may end before this block.
    may_end_before: bool,
    /// `[width][candidate]`: expansion, projection, sum.
    pointwise: Vec<Option<LayerCost>>,
    /// `[kernel][width][candidate]`.
    depthwise: Vec<Option<LayerCost>>,
}

/// Asks the cost model for every layer once.
struct Memo<'a> {
    target: &'a Target,
    model: Option<&'a dyn CostModel>,
    known: BTreeMap<LayerKey, LayerCost>,
}

impl Memo<'_> {
    /// The cost of a layer, with what its node takes in the file beside weights.
    fn layer(&mut self, (node, key): super::layers::Layer) -> Result<LayerCost, CostsError> {
        let overhead = layer::node_overhead(&node, &key);
        let mut cost = match self.known.get(&key) {
            Some(known) => *known,
            None => {
                let mut cost = LayerCost::of(&key, self.model).map_err(|reason| CostsError::Cost { node, reason })?;
                cost.weights_bytes = weights_bytes(self.target, &key);
                self.known.insert(key, cost);
                cost
            }
        };
        cost.overhead_bytes = overhead;
        Ok(cost)
    }

    fn layers(&mut self, layers: Vec<super::layers::Layer>) -> Result<LayerCost, CostsError> {
        let mut sum = LayerCost::default();
        for layer in layers {
            sum.add(&self.layer(layer)?);
        }
        Ok(sum)
    }
}

impl DesignCosts {
    /// Asks the cost model for every layer of the space, at the pairs of widths that the target leaves, each once.
    ///
    /// # Errors
    /// The space cannot be searched for the target, or the model has no answer for a layer.
    pub fn new(space: &Space, target: &Target, model: Option<&dyn CostModel>) -> Result<Self, CostsError> {
        let choices = Choices::new(space, Some(target))?;
        let mut memo = Memo { target, model, known: BTreeMap::new() };
        let blocks = space.blocks();
        let mut fixed = memo.layers(space.leading_layers())?;
        fixed.add(&memo.layers(space.trailing_layers(&blocks))?);
        fixed.overhead_bytes += file_overhead(space);
        let mut tables = Vec::new();
        for block in blocks {
            let (mut pointwise, mut depthwise) = (Vec::new(), Vec::new());
            for channels in &block.widths {
                for pair in &space.candidates {
                    let there = choices.pointwise().contains(pair);
                    pointwise.push(if there { Some(memo.layers(block.pointwise_layers(*channels, *pair))?) } else { None });
                }
            }
            for kernel in &space.kernels {
                for channels in &block.widths {
                    for pair in &space.candidates {
                        let shape = BlockShape { kernel: *kernel, channels: *channels };
                        let there = choices.depthwise(*kernel).contains(pair);
                        depthwise.push(if there { Some(memo.layer(block.depthwise_layer(shape, *pair))?) } else { None });
                    }
                }
            }
            let depths = space.stages.get(block.stage).map_or(&[][..], |stage| &stage.depths);
            let may_end_before = depths.iter().any(|depth| usize::from(*depth) == block.position);
            tables.push(BlockTable { block, may_end_before, pointwise, depthwise });
        }
        Ok(Self { space: space.clone(), choices, fixed, blocks: tables, has_model: model.is_some() })
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The pairs of widths that designs may have.
    #[must_use]
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// The layers of a design with the names of their nodes: what its costs are the sum of.
    ///
    /// # Errors
    /// The design is not of the space.
    pub fn keys(&self, design: &Design) -> Result<Vec<(String, LayerKey)>, SpaceError> {
        self.space.layers(design)
    }

    /// What a design costs.
    ///
    /// # Errors
    /// The design is not of the space, or has a pair of widths that the target does not run there.
    pub fn cost(&self, design: &Design) -> Result<DesignCost, SpaceError> {
        self.sum(design).map(|sum| self.finished(&sum)).ok_or_else(|| self.why_not(design))
    }

    fn finished(&self, sum: &LayerCost) -> DesignCost {
        let modelled = |value: Option<u64>| value.filter(|_| self.has_model);
        let totals = Totals {
            bops: sum.bops,
            latency_ns: modelled(sum.latency_ns()),
            energy_pj: modelled(sum.energy_pj()),
            cycles: modelled(sum.cycles()),
            flash_bytes: sum.weights_bytes.saturating_add(sum.overhead_bytes),
            ram_bytes: 0,
        };
        DesignCost { totals, macs: sum.macs, weights_bytes: sum.weights_bytes }
    }

    fn sum(&self, design: &Design) -> Option<LayerCost> {
        let Design { architecture: Architecture(shapes), policy: Policy(policy) } = design;
        if [shapes.len(), policy.len()] != [self.blocks.len(); 2] {
            return None;
        }
        let mut sum = self.fixed;
        let mut before = true;
        for ((table, shape), bits) in self.blocks.iter().zip(shapes).zip(policy) {
            before |= table.block.position == 0;
            match (shape, bits) {
                (Some(shape), Some(bits)) if before => {
                    let [pointwise, depthwise] = table.look_up(&self.space, *shape, *bits)?;
                    sum.add(pointwise);
                    sum.add(depthwise);
                }
                (None, None) if table.may_end_before || !before => before = false,
                _ => return None,
            }
        }
        Some(sum)
    }

    /// Why [`Self::sum`] found nothing.
    fn why_not(&self, design: &Design) -> SpaceError {
        if let Err(reason) = self.space.check_design(design) {
            return reason;
        }
        let entries = self.blocks.iter().zip(&design.architecture.0).zip(&design.policy.0);
        let excluded = entries.filter_map(|((table, shape), bits)| {
            let (shape, bits) = ((*shape)?, (*bits)?);
            let pointwise = !self.choices.pointwise().contains(&bits.pointwise);
            let depthwise = !self.choices.depthwise(shape.kernel).contains(&bits.depthwise);
            let reason = match (pointwise, depthwise) {
                (true, _) => alloc::format!("the target has no {} for its pointwise convolutions", bits.pointwise),
                (_, true) => alloc::format!("the target has no {0} for its depthwise {1}x{1} convolution", bits.depthwise, shape.kernel),
                _ => return None,
            };
            Some(SpaceError::Block { block: table.block.name(), reason })
        });
        let unknown = SpaceError::Length { found: design.policy.0.len(), expected: self.blocks.len() };
        { excluded }.next().unwrap_or(unknown)
    }
}

fn place<T: PartialEq>(values: &[T], value: T) -> Option<usize> {
    values.iter().position(|own| *own == value)
}

impl BlockTable {
    /// Costs of the pointwise layers and of the depthwise one.
    fn look_up(&self, space: &Space, shape: BlockShape, bits: BlockBits) -> Option<[&LayerCost; 2]> {
        let kernel = place(&space.kernels, shape.kernel)?;
        // Widths are evenly spaced.
        let above = shape.channels.checked_sub(*self.block.widths.first()?)?;
        let width = above.checked_div(space.channel_step).filter(|_| above.is_multiple_of(space.channel_step))? as usize;
        let (widths, candidates) = (self.block.widths.len(), space.candidates.len());
        if width >= widths {
            return None;
        }
        let pointwise = self.pointwise.get(width * candidates + place(&space.candidates, bits.pointwise)?)?;
        let row = kernel * widths + width;
        let depthwise = self.depthwise.get(row * candidates + place(&space.candidates, bits.depthwise)?)?;
        Some([pointwise.as_ref()?, depthwise.as_ref()?])
    }
}
