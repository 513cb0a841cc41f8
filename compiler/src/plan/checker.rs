//! An independent check of a memory plan. It shares no code with the planner.
//!
//! Invariants:
//! 1. there is one offset for each buffer, and it is a multiple of the buffer's alignment;
//! 2. every buffer ends inside the arena;
//! 3. at every step the buffers alive at it do not overlap, but for pairs that are named: whether those lie
//!    right is for `lower/replay.rs`, which plays the nodes.

use std::collections::BTreeSet;

use thiserror::Error;

use super::Buffer;

/// What is wrong with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanFault {
    /// Not one offset for each buffer.
    #[error("{offsets} offsets for {buffers} buffers")]
    Length {
        /// How many offsets there are.
        offsets: usize,
        /// How many buffers there are.
        buffers: usize,
    },
    /// An offset is not aligned.
    #[error("buffer {buffer}: offset {offset} is not aligned")]
    Unaligned {
        /// Position of the buffer.
        buffer: usize,
        /// Its offset.
        offset: usize,
    },
    /// A buffer ends past the arena.
    #[error("buffer {buffer} ends past the arena")]
    Outside {
        /// Position of the buffer.
        buffer: usize,
    },
    /// Two buffers that are alive at one step share bytes.
    #[error("buffers {first} and {second} overlap at step {step}")]
    Overlap {
        /// Position of the one.
        first: usize,
        /// Position of the other.
        second: usize,
        /// A step at which both are alive.
        step: usize,
    },
}

/// Checks that `offsets` place `buffers` in an arena of `arena_bytes`; buffers of a pair in `related` may overlap.
///
/// # Errors
/// The first [`PlanFault`] that is found.
pub fn check(buffers: &[Buffer], related: &[(usize, usize)], offsets: &[usize], arena_bytes: usize) -> Result<(), PlanFault> {
    if offsets.len() != buffers.len() {
        return Err(PlanFault::Length { offsets: offsets.len(), buffers: buffers.len() });
    }
    for (buffer, (wanted, &offset)) in buffers.iter().zip(offsets).enumerate() {
        if offset.checked_rem(wanted.align) != Some(0) {
            return Err(PlanFault::Unaligned { buffer, offset });
        }
        if offset.checked_add(wanted.bytes).is_none_or(|end| end > arena_bytes) {
            return Err(PlanFault::Outside { buffer });
        }
    }
    // Walk through time: whoever is born meets those that are alive.
    let related: BTreeSet<(usize, usize)> = related.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect();
    let mut births: Vec<usize> = (0..buffers.len()).filter(|&b| buffers[b].bytes > 0).collect();
    births.sort_by_key(|&b| buffers[b].first);
    let mut alive: Vec<usize> = Vec::new();
    for second in births {
        let step = buffers[second].first;
        alive.retain(|&other| buffers[other].last >= step);
        let overlaps = |&first: &usize| {
            let (begin, end) = (offsets[first].max(offsets[second]), buffers[first].bytes + offsets[first]);
            begin < end.min(offsets[second] + buffers[second].bytes) && !related.contains(&(first, second))
        };
        if let Some(first) = alive.iter().copied().find(overlaps) {
            return Err(PlanFault::Overlap { first, second, step });
        }
        alive.push(second);
    }
    Ok(())
}
