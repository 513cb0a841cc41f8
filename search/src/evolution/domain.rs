//! What a search may choose from: a space whose lists of choices can be made shorter.

use alloc::vec::Vec;
use core::ops::Range;

use apq_lut::Candidate;

use crate::space::{Architecture, Choices, Design, Space};

/// The choices of a search, all of them legal designs of the space.
///
/// A baseline that leaves something fixed is a search over a domain with one choice there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    pub(super) stages: Vec<StageDomain>,
    pub(super) blocks: Vec<BlockDomain>,
}

/// Depths of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StageDomain {
    /// Its blocks in the list of all blocks.
    pub(super) blocks: Range<usize>,
    /// Ascending, none above the number of blocks.
    pub(super) depths: Vec<u8>,
}

/// Choices of a block; no list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockDomain {
    /// Sides of the kernel, ascending, each with the pairs of the depthwise convolution.
    pub(super) kernels: Vec<(u8, Vec<Candidate>)>,
    /// Widths, ascending.
    pub(super) widths: Vec<u32>,
    /// Pairs of expansion and projection.
    pub(super) pointwise: Vec<Candidate>,
}

impl BlockDomain {
    /// Pairs of the depthwise convolution with this kernel.
    pub(super) fn depthwise(&self, kernel: u8) -> &[Candidate] {
        self.kernels.iter().find(|(side, _)| *side == kernel).map_or(&[], |(_, pairs)| pairs)
    }
}

/// Nothing is left to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {block} of the search space has no {of} to choose from")]
pub struct EmptyDomain {
    /// Place in `Space::blocks`.
    pub block: usize,
    /// The list that is empty.
    pub of: &'static str,
}

impl Domain {
    /// All of a space that `choices` leave.
    ///
    /// # Errors
    /// A list is empty. That cannot be where the space and the choices are checked.
    pub fn new(space: &Space, choices: &Choices) -> Result<Self, EmptyDomain> {
        let blocks = space.blocks();
        let of_block = |block: &crate::space::Block| BlockDomain {
            kernels: space.kernels.iter().map(|&side| (side, choices.depthwise(side).to_vec())).collect(),
            widths: block.widths.clone(),
            pointwise: choices.pointwise().to_vec(),
        };
        let mut stages: Vec<StageDomain> = Vec::new();
        let mut first = 0;
        for (index, stage) in space.stages.iter().enumerate() {
            let end = first + blocks.iter().filter(|block| block.stage == index).count();
            stages.push(StageDomain { blocks: first..end, depths: stage.depths.clone() });
            first = end;
        }
        Self { stages, blocks: blocks.iter().map(of_block).collect() }.checked()
    }

    /// The widest pair of any convolution: where a sequential search begins, w8a8 in the paper.
    #[must_use]
    pub fn widest(&self) -> Option<Candidate> {
        let of_block = |block: &BlockDomain| {
            let depthwise = block.kernels.iter().flat_map(|(_, pairs)| pairs);
            block.pointwise.iter().chain(depthwise).copied().max_by_key(|pair| (pair.product(), *pair))
        };
        self.blocks.iter().filter_map(of_block).max_by_key(|pair| (pair.product(), *pair))
    }

    /// Bit widths held at one pair; where a convolution cannot have it, at the next wider one, or else at its widest.
    #[must_use]
    pub fn at_bits(&self, pair: Candidate) -> Self {
        let nearest = |pairs: &mut Vec<Candidate>| {
            let wider = |own: &&Candidate| own.weight_bits >= pair.weight_bits && own.activation_bits >= pair.activation_bits;
            let order = |own: &&Candidate| (own.product(), own.activation_bits);
            let best = pairs.iter().filter(wider).min_by_key(order).or_else(|| pairs.iter().max_by_key(order)).copied();
            pairs.clear();
            pairs.extend(best);
        };
        let mut domain = self.clone();
        for block in &mut domain.blocks {
            nearest(&mut block.pointwise);
            block.kernels.iter_mut().for_each(|(_, pairs)| nearest(pairs));
        }
        domain
    }

    /// Every block at its largest width.
    #[must_use]
    pub fn at_largest_widths(&self) -> Self {
        let mut domain = self.clone();
        for block in &mut domain.blocks {
            block.widths.drain(..block.widths.len().saturating_sub(1));
        }
        domain
    }

    /// Depths and kernels held at those of an architecture of the domain; widths stay free.
    ///
    /// # Errors
    /// The architecture has a kernel that the domain does not have.
    pub fn at_depths_and_kernels(&self, architecture: &Architecture) -> Result<Self, EmptyDomain> {
        let mut domain = self.clone();
        for stage in &mut domain.stages {
            let shapes = architecture.0.get(stage.blocks.clone()).unwrap_or_default();
            stage.depths = [shapes.iter().flatten().count() as u8].to_vec();
        }
        for (block, shape) in domain.blocks.iter_mut().zip(&architecture.0) {
            if let Some(shape) = shape {
                block.kernels.retain(|(side, _)| *side == shape.kernel);
            }
        }
        domain.checked()
    }

    /// Held at one architecture; bit widths stay free.
    ///
    /// # Errors
    /// The architecture has a shape that the domain does not have.
    pub fn at_architecture(&self, architecture: &Architecture) -> Result<Self, EmptyDomain> {
        let mut domain = self.at_depths_and_kernels(architecture)?;
        for (block, shape) in domain.blocks.iter_mut().zip(&architecture.0) {
            if let Some(shape) = shape {
                block.widths.retain(|width| *width == shape.channels);
            }
        }
        domain.checked()
    }

    /// Whether a design consists of the domain's choices.
    #[must_use]
    pub fn contains(&self, design: &Design) -> bool {
        let (shapes, policy) = (&design.architecture.0, &design.policy.0);
        if shapes.len() != self.blocks.len() || policy.len() != shapes.len() {
            return false;
        }
        let leading = |stage: &StageDomain| {
            let there = shapes.get(stage.blocks.clone()).unwrap_or_default();
            let depth = there.iter().take_while(|shape| shape.is_some()).count();
            there.iter().flatten().count() == depth && stage.depths.iter().any(|own| usize::from(*own) == depth)
        };
        let legal = |((shape, bits), block): ((&Option<_>, &Option<_>), &BlockDomain)| match (shape, bits) {
            (None, None) => true,
            (Some(shape), Some(bits)) => {
                let (shape, bits): (&crate::space::BlockShape, &crate::space::BlockBits) = (shape, bits);
                block.widths.contains(&shape.channels)
                    && block.depthwise(shape.kernel).contains(&bits.depthwise)
                    && block.pointwise.contains(&bits.pointwise)
            }
            _ => false,
        };
        self.stages.iter().all(leading) && shapes.iter().zip(policy).zip(&self.blocks).all(legal)
    }

    fn checked(self) -> Result<Self, EmptyDomain> {
        for stage in &self.stages {
            let deepest = stage.depths.iter().copied().max().map(usize::from);
            if deepest.is_none_or(|depth| depth > stage.blocks.len()) {
                return Err(EmptyDomain { block: stage.blocks.start, of: "depth" });
            }
        }
        for (index, block) in self.blocks.iter().enumerate() {
            let empty = [
                (block.kernels.is_empty(), "kernel"),
                (block.widths.is_empty(), "width"),
                (block.pointwise.is_empty(), "bit widths for pointwise convolutions"),
                (block.kernels.iter().any(|(_, pairs)| pairs.is_empty()), "bit widths for its depthwise convolution"),
            ];
            if let Some((_, of)) = empty.into_iter().find(|(empty, _)| *empty) {
                return Err(EmptyDomain { block: index, of });
            }
        }
        Ok(self)
    }
}
