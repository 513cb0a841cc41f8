//! The arena planner: where each buffer lies while it is alive.
//!
//! Two buffers may share bytes when no step has both alive, or where a [`Relation`] says at which
//! distances from each other they may. The planner minimises the arena, which is dynamic storage
//! allocation with known lifetimes (NP-hard): `fit` places the buffers by best fit in several orders,
//! and where none of these reaches the lower bound, `exact` looks for something smaller by branch and
//! bound within a limit of nodes, without relations. Relations are used only where they make the
//! arena smaller. There is no clock and no randomness: equal input gives equal plans.
//!
//! Views of the same bytes (reshape) are the caller's business: they are one
//! buffer here, alive from the first writer to the last reader. [`checker`] verifies a plan and
//! shares no code with the planner.

pub mod checker;
mod exact;
mod fit;
mod relation;

pub use relation::Relation;
use relation::Relations;

use thiserror::Error;

/// A block of memory that one or more steps need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Size in bytes. A buffer of 0 bytes gets offset 0.
    pub bytes: usize,
    /// The offset is a multiple of it; a power of two.
    pub align: usize,
    /// First step at which the buffer is alive.
    pub first: usize,
    /// Last step at which the buffer is alive, not before `first`.
    pub last: usize,
}

/// Where each buffer lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Offset in bytes from the start of the arena, for each buffer in the order given. The arena's
    /// start has to be aligned to the largest `align`.
    pub offsets: Vec<usize>,
    /// Size of the arena in bytes.
    pub arena_bytes: usize,
    /// No plan can need less: the largest sum over the buffers that are alive at one step, with
    /// what their alignment costs at least, and without what relations save at most.
    pub lower_bound_bytes: usize,
    /// Whether it is proven that no plan needs less.
    pub optimal: bool,
}

/// How much work a plan may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Nodes of the branch and bound at most.
    pub nodes_max: u32,
}

impl Effort {
    /// For the search for bit widths, which plans thousands of times: no branch and bound.
    pub const fn quick() -> Self {
        Self { nodes_max: 0 }
    }
}

impl Default for Effort {
    /// For a plan that is kept.
    fn default() -> Self {
        Self { nodes_max: 200_000 }
    }
}

/// Why buffers cannot be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// An alignment is not a power of two.
    #[error("buffer {buffer}: alignment {align} is not a power of two")]
    Alignment {
        /// Position of the buffer.
        buffer: usize,
        /// Its alignment.
        align: usize,
    },
    /// A lifetime ends before it begins.
    #[error("buffer {buffer}: its last step {last} is before its first step {first}")]
    Lifetime {
        /// Position of the buffer.
        buffer: usize,
        /// First step.
        first: usize,
        /// Last step.
        last: usize,
    },
    /// The buffers together are larger than an address.
    #[error("the buffers together need more bytes than can be addressed")]
    TooLarge,
}

/// Plans `buffers` into one arena.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(buffers: &[Buffer], relations: &[Relation], effort: Effort) -> Result<Plan, PlanError> {
    validate(buffers)?;
    if relations.is_empty() {
        return Ok(plan_apart(buffers, effort));
    }
    let related = Relations::new(relations);
    let apart_bound = lower_bound(buffers);
    let bound = related.lower_bound(buffers).min(apart_bound);
    let mut best = fit::best_of_orders(buffers, &related, bound);
    if effort.nodes_max > 0 {
        best = fewest_relations(buffers, relations, best, bound);
    }
    if best.arena_bytes >= apart_bound {
        let apart = plan_apart(buffers, effort);
        if apart.arena_bytes <= best.arena_bytes {
            best = Placement { offsets: apart.offsets, arena_bytes: apart.arena_bytes };
        }
    }
    Ok(Plan { optimal: best.arena_bytes == bound, offsets: best.offsets, arena_bytes: best.arena_bytes, lower_bound_bytes: bound })
}

/// Bytes that no plan can do without at each step at which a buffer's life begins; none needs more at other steps.
pub fn step_needs(buffers: &[Buffer], relations: &[Relation]) -> Vec<(usize, usize)> {
    Relations::new(relations).needs(buffers)
}

/// Without relations.
fn plan_apart(buffers: &[Buffer], effort: Effort) -> Plan {
    let lower_bound_bytes = lower_bound(buffers);
    let mut best = fit::best_of_orders(buffers, &Relations::new(&[]), lower_bound_bytes);
    let mut proven = false;
    if best.arena_bytes > lower_bound_bytes {
        let found = exact::improve(buffers, &best, lower_bound_bytes, effort.nodes_max);
        proven = found.exhausted;
        best = found.placement.unwrap_or(best);
    }
    Plan {
        optimal: proven || best.arena_bytes == lower_bound_bytes,
        offsets: best.offsets,
        arena_bytes: best.arena_bytes,
        lower_bound_bytes,
    }
}

/// Relations that are tried to be left out, times buffers.
const TRIED_MAX: usize = 4096;

/// Leaves out one relation after the other, as long as the arena does not grow: running piece by piece costs some time.
fn fewest_relations(buffers: &[Buffer], relations: &[Relation], mut best: Placement, bound: usize) -> Placement {
    let mut kept = relations.to_vec();
    let mut place = 0;
    for _ in 0..TRIED_MAX / buffers.len().max(1) {
        let used = |relation: &Relation| {
            let [(a, from), (b, to)] = [relation.over, relation.under].map(|buffer| (best.offsets[buffer], buffers[buffer].bytes));
            a.max(b) < (a + from).min(b + to)
        };
        let Some(next) = (place..kept.len()).find(|relation| used(&kept[*relation])) else { break };
        let relation = kept.remove(next);
        let without = fit::best_of_orders(buffers, &Relations::new(&kept), bound);
        place = next;
        if without.arena_bytes <= best.arena_bytes {
            best = without;
        } else {
            kept.insert(next, relation);
            place += 1;
        }
    }
    best
}

/// A plan without its proof.
#[derive(Clone, Debug)]
struct Placement {
    offsets: Vec<usize>,
    arena_bytes: usize,
}

impl Buffer {
    /// Whether some step has both alive.
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// After this no sum or rounding of sizes can overflow.
fn validate(buffers: &[Buffer]) -> Result<(), PlanError> {
    let mut total = 0_usize;
    for (buffer, &Buffer { bytes, align, first, last }) in buffers.iter().enumerate() {
        if !align.is_power_of_two() {
            return Err(PlanError::Alignment { buffer, align });
        }
        if last < first {
            return Err(PlanError::Lifetime { buffer, first, last });
        }
        // Every buffer on top of all others, each with the most padding it can have.
        total = total.checked_add(bytes).and_then(|sum| sum.checked_add(2 * (align - 1))).ok_or(PlanError::TooLarge)?;
        // Distances between offsets have a sign.
        isize::try_from(total).map_err(|_| PlanError::TooLarge)?;
    }
    Ok(())
}

/// The largest need of one step.
///
/// All offsets at a step are multiples of the smallest alignment there, so every buffer but the
/// topmost takes its size rounded up to it.
fn lower_bound(buffers: &[Buffer]) -> usize {
    // Every maximal set of buffers alive together is alive at some buffer's first step.
    let need = |step: usize| {
        let live = buffers.iter().filter(move |b| b.bytes > 0 && b.first <= step && step <= b.last);
        let align = live.clone().map(|b| b.align).min().unwrap_or(1);
        let padded = |b: &Buffer| b.bytes.next_multiple_of(align);
        let sum: usize = live.clone().map(padded).sum();
        sum - live.map(|b| padded(b) - b.bytes).max().unwrap_or(0)
    };
    buffers.iter().map(|b| need(b.first)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
