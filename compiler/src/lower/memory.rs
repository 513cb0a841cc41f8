//! How small the arena is made: outputs lie over inputs where that costs next to nothing; where a budget asks for more, in pieces of single rows;
//! and where that is not enough, stretches of the network run in strips ([`stream`]).

use std::ops::Range;

use apq_runtime::build::ModelSpec;

use super::LowerError;
use super::arena::{Need, needs, place};
use super::overlap::Pieces;
use super::stream::{NODES_MAX, STRIPS_MAX, Stretch, stream, streams};
use crate::plan::Effort;

/// What the plan of the arena is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryGoal {
    /// Work that each plan may take.
    pub effort: Effort,
    /// Bytes that the arena shall not pass, if that can be reached without changing a result; `None` for an arena as small as costs next to
    /// nothing.
    pub arena_bytes_max: Option<usize>,
}

impl From<Effort> for MemoryGoal {
    fn from(effort: Effort) -> Self {
        MemoryGoal { effort, arena_bytes_max: None }
    }
}

/// A stretch of the network that runs in strips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamedStretch {
    /// Names of its layers.
    pub layers: Vec<String>,
    /// How often its last layer runs.
    pub strips: usize,
    /// Bytes of rows that are moved in one inference instead of being computed again.
    pub moved_bytes: usize,
}

/// A planned network.
pub(super) struct Planned {
    pub(super) spec: ModelSpec,
    /// For each node, the node of the network as it was of which it is a part; `None` for one that moves rows.
    pub(super) origin: Vec<Option<usize>>,
    pub(super) stretches: Vec<StreamedStretch>,
}

/// Plans the arena of a network.
pub(super) fn plan(spec: ModelSpec, goal: MemoryGoal) -> Result<Planned, LowerError> {
    let origin = (0..spec.nodes.len()).map(Some).collect();
    let mut coarse = spec;
    place(&mut coarse, goal.effort, Some(Pieces::Coarse))?;
    let mut best = Planned { spec: coarse, origin, stretches: Vec::new() };
    let Some(limit) = goal.arena_bytes_max.filter(|limit| best.spec.arena_bytes > *limit) else { return Ok(best) };
    let plain = unplaced(&best.spec);
    let mut single = plain.clone();
    place(&mut single, goal.effort, Some(Pieces::Single))?;
    if single.arena_bytes < best.spec.arena_bytes {
        best.spec = single;
    }
    let mut stretches: Vec<Stretch> = Vec::new();
    while best.spec.arena_bytes > limit {
        let Some((improved, planned)) = improve(&plain, &stretches, &best, limit)? else { break };
        (stretches, best) = (improved, planned);
    }
    if !stretches.is_empty() && goal.effort != Effort::quick() {
        best = planned(&plain, &stretches, goal.effort)?;
    }
    Ok(best)
}

/// The network with all tensors at 0, and views where they begin in what they show.
fn unplaced(spec: &ModelSpec) -> ModelSpec {
    let mut plain = spec.clone();
    for (to, from) in plain.tensors.iter_mut().zip(&spec.tensors) {
        to.offset = from.alias.map_or(0, |root| from.offset - spec.tensors[root].offset);
    }
    plain
}

/// One more stretch around the step that needs most, or a longer or finer one: the cheapest that meets the limit, else the one with the smallest arena;
/// `None` where nothing makes the arena smaller.
fn improve(plain: &ModelSpec, stretches: &[Stretch], best: &Planned, limit: usize) -> Result<Option<(Vec<Stretch>, Planned)>, LowerError> {
    let needs = needs(&best.spec);
    let Some(peak) = needs.iter().max_by_key(|need| need.bytes) else { return Ok(None) };
    let mut candidates: Vec<(usize, usize, Vec<Stretch>)> = Vec::new();
    for nodes in around(plain, best, peak) {
        let height = plain.tensors[plain.nodes[nodes.end - 1].output].shape[1];
        let kept = stretches.iter().filter(|stretch| stretch.nodes.end <= nodes.start || stretch.nodes.start >= nodes.end);
        let kept: Vec<Stretch> = kept.cloned().collect();
        let mut rows = height.div_ceil(STRIPS_MAX);
        while rows < height {
            let mut tried = kept.clone();
            tried.push(Stretch { nodes: nodes.clone(), rows });
            if tried != stretches
                && let Some(streamed) = stream(plain, &tried)
            {
                let bound = super::arena::needs(&streamed.spec).iter().map(|need| need.bytes).max().unwrap_or(0);
                candidates.push((bound, streamed.spec.nodes.len(), tried));
            }
            rows = (2 * rows).max(1);
        }
    }
    // Those that may meet the limit by the number of nodes, then the others by what they need.
    candidates.sort_by_key(|(bound, nodes, _)| if *bound <= limit { (0, *nodes, *bound) } else { (1, *bound, *nodes) });
    let mut found: Option<(Vec<Stretch>, Planned)> = None;
    for (_, _, tried) in candidates.into_iter().take(PLANS_MAX) {
        let planned = planned(plain, &tried, Effort::quick())?;
        let smallest = found.as_ref().map_or(best.spec.arena_bytes, |(_, found)| found.spec.arena_bytes);
        if planned.spec.arena_bytes < smallest {
            let met = planned.spec.arena_bytes <= limit;
            found = Some((tried, planned));
            if met {
                break;
            }
        }
    }
    Ok(found)
}

/// Candidates that are planned before the best of them is taken.
const PLANS_MAX: usize = 6;

/// Stretches that contain the node that needs most, or begin or end beside it.
fn around(plain: &ModelSpec, best: &Planned, peak: &Need) -> Vec<Range<usize>> {
    let place = best.origin[..=peak.node.min(best.origin.len() - 1)].iter().rev().find_map(|origin| *origin).unwrap_or(0);
    let mut found = Vec::new();
    for first in place.saturating_sub(NODES_MAX)..=place {
        for end in place + 1..=(first + NODES_MAX).min(plain.nodes.len()) {
            if streams(plain, &(first..end)) {
                found.push(first..end);
            }
        }
    }
    found
}

fn planned(plain: &ModelSpec, stretches: &[Stretch], effort: Effort) -> Result<Planned, LowerError> {
    let inconsistent = || LowerError::Plan("a stretch that does not stream".into());
    let mut sorted = stretches.to_vec();
    sorted.sort_by_key(|stretch| stretch.nodes.start);
    let streamed = stream(plain, &sorted).ok_or_else(inconsistent)?;
    let mut spec = streamed.spec;
    place(&mut spec, effort, Some(Pieces::Single))?;
    let report = |(stretch, moved_bytes): (&Stretch, &usize)| StreamedStretch {
        layers: plain.nodes[stretch.nodes.clone()].iter().map(|node| node.name.clone()).collect(),
        strips: plain.tensors[plain.nodes[stretch.nodes.end - 1].output].shape[1].div_ceil(stretch.rows),
        moved_bytes: *moved_bytes,
    };
    let stretches = sorted.iter().zip(&streamed.moved_bytes).map(report).collect();
    Ok(Planned { spec, origin: streamed.origin, stretches })
}
