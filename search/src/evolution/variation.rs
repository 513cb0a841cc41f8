//! New designs: drawn, mutated, crossed. All of them are designs of the domain.
//!
//! All numbers drawn are of 32 bits, so that a seed gives the same designs on every machine.

use alloc::vec;
use alloc::vec::Vec;

use rand::Rng;

use super::domain::{BlockDomain, Domain};
use crate::space::{Architecture, BlockBits, BlockShape, Design, Policy};

/// One thing that a design chooses.
#[derive(Debug, Clone, Copy)]
enum Gene {
    /// Depth of a stage.
    Depth(usize),
    /// Kernel of a block.
    Kernel(usize),
    /// Width of a block.
    Width(usize),
    /// Bit widths of a block's pointwise convolutions.
    Pointwise(usize),
    /// Bit widths of a block's depthwise convolution.
    Depthwise(usize),
}

/// Draws of a gene that a design has before a mutation gives up.
const DRAWS_MAX: usize = 64;

/// The operators of evolution over a domain.
#[derive(Debug)]
pub(super) struct Variation<'a> {
    pub(super) domain: &'a Domain,
    /// With more than one choice.
    genes: Vec<Gene>,
}

impl<'a> Variation<'a> {
    pub(super) fn new(domain: &'a Domain) -> Self {
        let mut genes = Vec::new();
        let stages = domain.stages.iter().enumerate();
        genes.extend(stages.filter(|(_, stage)| stage.depths.len() > 1).map(|(index, _)| Gene::Depth(index)));
        for (index, block) in domain.blocks.iter().enumerate() {
            let free = [
                (block.kernels.len() > 1, Gene::Kernel(index)),
                (block.widths.len() > 1, Gene::Width(index)),
                (block.pointwise.len() > 1, Gene::Pointwise(index)),
                (block.kernels.iter().any(|(_, pairs)| pairs.len() > 1), Gene::Depthwise(index)),
            ];
            genes.extend(free.into_iter().filter(|(free, _)| *free).map(|(_, gene)| gene));
        }
        Self { domain, genes }
    }

    /// A design by chance: every choice alike.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Design {
        let count = self.domain.blocks.len();
        let mut design = Design { architecture: Architecture(vec![None; count]), policy: Policy(vec![None; count]) };
        for stage in &self.domain.stages {
            let depth = any(&stage.depths, rng).copied().unwrap_or(0);
            self.set_depth(&mut design, stage.blocks.clone(), depth, rng);
        }
        design
    }

    /// Each choice is drawn anew with probability `rate`: the depth of a stage; kernel and width of a block together; bit widths of its pointwise and
    /// of its depthwise convolutions. At least one choice changes, where the domain has one.
    pub(super) fn mutate(&self, parent: &Design, rate: f32, rng: &mut impl Rng) -> Design {
        let mut design = parent.clone();
        for stage in &self.domain.stages {
            if hit(rate, rng) {
                let depth = any(&stage.depths, rng).copied().unwrap_or(0);
                self.set_depth(&mut design, stage.blocks.clone(), depth, rng);
            }
        }
        let parts = design.architecture.0.iter_mut().zip(&mut design.policy.0).zip(&self.domain.blocks);
        for ((shape, bits), block) in parts {
            let (Some(shape), Some(bits)) = (shape, bits) else { continue };
            if hit(rate, rng) {
                let kernel = any(&block.kernels, rng).map_or(shape.kernel, |(side, _)| *side);
                *shape = BlockShape { kernel, channels: any(&block.widths, rng).copied().unwrap_or(shape.channels) };
            }
            if hit(rate, rng) {
                bits.pointwise = any(&block.pointwise, rng).copied().unwrap_or(bits.pointwise);
            }
            if hit(rate, rng) {
                bits.depthwise = any(block.depthwise(shape.kernel), rng).copied().unwrap_or(bits.depthwise);
            }
            allow(block, shape, bits, rng);
        }
        for _ in 0..DRAWS_MAX {
            if design != *parent {
                break;
            }
            self.change_one(&mut design, rng);
        }
        design
    }

    /// Draws one choice anew, unless it belongs to a block that is left out.
    pub(super) fn change_one(&self, design: &mut Design, rng: &mut impl Rng) {
        let Some(&gene) = any(&self.genes, rng) else { return };
        let index = match gene {
            Gene::Depth(stage) => {
                if let Some(stage) = self.domain.stages.get(stage) {
                    let depth = any(&stage.depths, rng).copied().unwrap_or(0);
                    self.set_depth(design, stage.blocks.clone(), depth, rng);
                }
                return;
            }
            Gene::Kernel(index) | Gene::Width(index) | Gene::Pointwise(index) | Gene::Depthwise(index) => index,
        };
        let parts = (design.architecture.0.get_mut(index), design.policy.0.get_mut(index), self.domain.blocks.get(index));
        let (Some(Some(shape)), Some(Some(bits)), Some(block)) = parts else { return };
        match gene {
            Gene::Kernel(_) => shape.kernel = any(&block.kernels, rng).map_or(shape.kernel, |(side, _)| *side),
            Gene::Width(_) => shape.channels = any(&block.widths, rng).copied().unwrap_or(shape.channels),
            Gene::Pointwise(_) => bits.pointwise = any(&block.pointwise, rng).copied().unwrap_or(bits.pointwise),
            _ => bits.depthwise = any(block.depthwise(shape.kernel), rng).copied().unwrap_or(bits.depthwise),
        }
        allow(block, shape, bits, rng);
    }

    /// The depth of each stage from one parent or the other, and each block whole from one of the parents that have it.
    pub(super) fn cross(&self, first: &Design, second: &Design, rng: &mut impl Rng) -> Design {
        let mut design = first.clone();
        for stage in &self.domain.stages {
            let depth_of = |parent: &Design| parent.architecture.0.get(stage.blocks.clone()).unwrap_or_default().iter().flatten().count();
            let depth = if hit(0.5, rng) { depth_of(first) } else { depth_of(second) };
            for (position, index) in stage.blocks.clone().enumerate() {
                let of = |parent: &Design| {
                    Some((parent.architecture.0.get(index).copied().flatten()?, parent.policy.0.get(index).copied().flatten()?))
                };
                let chosen = match (of(first), of(second)) {
                    _ if position >= depth => None,
                    (Some(a), Some(b)) => Some(if hit(0.5, rng) { a } else { b }),
                    (a, b) => a.or(b),
                };
                if let (Some(shape), Some(bits)) = (design.architecture.0.get_mut(index), design.policy.0.get_mut(index)) {
                    (*shape, *bits) = chosen.unzip();
                }
            }
        }
        design
    }

    /// Cuts a stage or lets it grow by blocks by chance.
    fn set_depth(&self, design: &mut Design, blocks: core::ops::Range<usize>, depth: u8, rng: &mut impl Rng) {
        for (position, index) in blocks.enumerate() {
            let parts = (design.architecture.0.get_mut(index), design.policy.0.get_mut(index), self.domain.blocks.get(index));
            let (Some(shape), Some(bits), Some(block)) = parts else { continue };
            if position >= usize::from(depth) {
                (*shape, *bits) = (None, None);
            } else if shape.is_none() {
                (*shape, *bits) = draw_block(block, rng).unzip();
            }
        }
    }
}

/// A block by chance; `None` only from an empty list.
fn draw_block(block: &BlockDomain, rng: &mut impl Rng) -> Option<(BlockShape, BlockBits)> {
    let (kernel, pairs) = any(&block.kernels, rng)?;
    let shape = BlockShape { kernel: *kernel, channels: *any(&block.widths, rng)? };
    Some((shape, BlockBits { pointwise: *any(&block.pointwise, rng)?, depthwise: *any(pairs, rng)? }))
}

/// A kernel may not have all pairs: draws another pair where it does not have this one.
fn allow(block: &BlockDomain, shape: &BlockShape, bits: &mut BlockBits, rng: &mut impl Rng) {
    let pairs = block.depthwise(shape.kernel);
    if !pairs.contains(&bits.depthwise) {
        bits.depthwise = any(pairs, rng).copied().unwrap_or(bits.depthwise);
    }
}

/// One of the values, all alike.
pub(super) fn any<'v, T>(values: &'v [T], rng: &mut impl Rng) -> Option<&'v T> {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let at = if count > 1 { rng.random_range(0..count) } else { 0 };
    values.get(at as usize)
}

fn hit(rate: f32, rng: &mut impl Rng) -> bool {
    rng.random::<f32>() < rate
}
