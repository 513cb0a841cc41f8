//! Distances at which buffers that are alive together may lie.

use std::collections::{BTreeMap, BTreeSet};

use super::Buffer;

/// Two buffers that may share bytes although some step has both alive: what is written into the one piece by piece may lie over what has been
/// read from the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Position of the one.
    pub over: usize,
    /// Position of the other.
    pub under: usize,
    /// Differences `offset(over) - offset(under)` at which they may not lie: open intervals. Every other difference is allowed.
    pub forbidden: Vec<(i64, i64)>,
}

/// Relations by their buffers.
pub(super) struct Relations<'a> {
    of: BTreeMap<(usize, usize), &'a [(i64, i64)]>,
}

impl<'a> Relations<'a> {
    pub(super) fn new(relations: &'a [Relation]) -> Self {
        Self { of: relations.iter().map(|relation| ((relation.over, relation.under), relation.forbidden.as_slice())).collect() }
    }

    /// Adds the offsets that `buffer` may not have because of `other` at its offset, as open intervals.
    pub(super) fn forbid(&self, buffers: &[Buffer], buffer: usize, (other, at): (usize, usize), forbidden: &mut Vec<(i64, i64)>) {
        let at = at as i64;
        if let Some(intervals) = self.of.get(&(buffer, other)) {
            forbidden.extend(intervals.iter().map(|(from, to)| (at + from, at + to)));
        } else if let Some(intervals) = self.of.get(&(other, buffer)) {
            forbidden.extend(intervals.iter().map(|(from, to)| (at - to, at - from)));
        } else {
            forbidden.push((at - buffers[buffer].bytes as i64, at + buffers[other].bytes as i64));
        }
    }

    /// No plan needs less: the largest need of one step.
    pub(super) fn lower_bound(&self, buffers: &[Buffer]) -> usize {
        self.needs(buffers).into_iter().map(|(_, bytes)| bytes).max().unwrap_or(0)
    }

    /// What each step needs at which a buffer's life begins: no less is needed at others.
    pub(super) fn needs(&self, buffers: &[Buffer]) -> Vec<(usize, usize)> {
        let saving =
            |(&(over, under), forbidden): (&(usize, usize), &&[(i64, i64)])| (over, under, saving(buffers, (over, under), forbidden));
        let savings: Vec<(usize, usize, usize)> = self.of.iter().map(saving).filter(|(.., bytes)| *bytes > 0).collect();
        let steps: Vec<usize> = buffers.iter().map(|b| b.first).collect::<BTreeSet<usize>>().into_iter().collect();
        let span = |first: usize, last: usize| steps.partition_point(|&step| step < first)..steps.partition_point(|&step| step <= last);
        let mut needed = vec![0_usize; steps.len()];
        for b in buffers {
            needed[span(b.first, b.last)].iter_mut().for_each(|sum| *sum += b.bytes);
        }
        // What lies over something saves at most its own bytes.
        let mut saved: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); steps.len()];
        for (over, under, saving) in savings {
            let (a, b) = (&buffers[over], &buffers[under]);
            for saved in &mut saved[span(a.first.max(b.first), a.last.min(b.last))] {
                let entry = saved.entry(over).or_default();
                *entry = (*entry + saving).min(a.bytes);
            }
        }
        let needs = needed.into_iter().zip(saved).map(|(sum, saved)| sum - saved.into_values().sum::<usize>().min(sum));
        steps.iter().copied().zip(needs).collect()
    }
}

/// Bytes that two buffers can have in common at most.
fn saving(buffers: &[Buffer], (over, under): (usize, usize), forbidden: &[(i64, i64)]) -> usize {
    let (over, under) = (buffers[over].bytes as i64, buffers[under].bytes as i64);
    let allowed = |difference: i64| !forbidden.iter().any(|&(from, to)| from < difference && difference < to);
    // The common part grows towards full cover, so that it is largest there or at the end of an interval.
    let ends = forbidden.iter().flat_map(|&(from, to)| [from, to]);
    let covers = [0, under - over];
    let common = |difference: i64| (difference + over).min(under) - difference.max(0);
    ends.chain(covers).filter(|&difference| allowed(difference)).map(common).max().unwrap_or(0).max(0) as usize
}
