//! Designs by chance, and designs of one width.
//!
//! All numbers drawn are of 32 bits, so that a seed gives the same designs on every machine.

use alloc::vec::Vec;

use apq_lut::Candidate;
use rand::Rng;

use super::{Architecture, BlockBits, BlockShape, Choices, Policy, Space};

/// One of `values`, all alike; `None` only where there are none.
fn any<T: Copy>(values: &[T], rng: &mut impl Rng) -> Option<T> {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let at = if count > 1 { rng.random_range(0..count) } else { 0 };
    values.get(at as usize).copied()
}

/// An architecture: for each stage any of its depths, for each block any kernel and any width. Once-for-all training draws in this way; it is not
/// the uniform distribution over architectures, nearly all of which have the largest depth.
pub fn sample_architecture(space: &Space, rng: &mut impl Rng) -> Architecture {
    let depths: Vec<u8> = space.stages.iter().map(|stage| any(&stage.depths, rng).unwrap_or(0)).collect();
    let shape = |block: super::Block| {
        let there = depths.get(block.stage).is_some_and(|depth| block.position < usize::from(*depth));
        there.then(|| Some(BlockShape { kernel: any(&space.kernels, rng)?, channels: any(&block.widths, rng)? }))?
    };
    Architecture(space.blocks().into_iter().map(shape).collect())
}

/// A policy for an architecture of the space: for each block any pair that the choices leave, drawn for its pointwise convolutions and for its
/// depthwise one.
pub fn sample_policy(choices: &Choices, architecture: &Architecture, rng: &mut impl Rng) -> Policy {
    let bits = |shape: &Option<BlockShape>| {
        let pointwise = any(choices.pointwise(), rng);
        let depthwise = any(choices.depthwise(shape.as_ref()?.kernel), rng);
        Some(BlockBits { pointwise: pointwise?, depthwise: depthwise? })
    };
    Policy(architecture.0.iter().map(bits).collect())
}

/// The policy with one pair everywhere. Where the choices do not have it, the next wider one that they have: weights and activations no narrower, the
/// fewest bit operations of those, then the fewest activation bits. `None` where a layer has no such pair.
#[must_use]
pub fn uniform_policy(choices: &Choices, architecture: &Architecture, candidate: Candidate) -> Option<Policy> {
    let nearest = |pairs: &[Candidate]| {
        let wider = |pair: &&Candidate| pair.weight_bits >= candidate.weight_bits && pair.activation_bits >= candidate.activation_bits;
        pairs.iter().filter(wider).min_by_key(|pair| (pair.product(), pair.activation_bits)).copied()
    };
    let pointwise = nearest(choices.pointwise())?;
    let bits = |shape: &Option<BlockShape>| match shape {
        None => Some(None),
        Some(shape) => Some(Some(BlockBits { pointwise, depthwise: nearest(choices.depthwise(shape.kernel))? })),
    };
    architecture.0.iter().map(bits).collect::<Option<Vec<_>>>().map(Policy)
}
