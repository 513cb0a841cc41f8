//! Branch and bound over placements.
//!
//! In some smallest plan no buffer can sink: each lies at the lowest aligned offset above the
//! buffers below it. Such a plan is built by placing the buffers by rising offset, each on the
//! skyline, which is the highest end so far at each step. So the tree branches over which buffer
//! comes next:
//! - its offset is not below the last one's; of equal offsets the position decides, because the
//!   order of those does not matter;
//! - no other unplaced buffer would fit entirely below it: that one could sink later;
//! - of buffers that are equal in everything the first comes first.
//!
//! A node is cut off when at some step the skyline and the unplaced buffers alive there already
//! need as much as the best plan.

use super::{Buffer, Placement};

/// What the search found.
pub(super) struct Found {
    /// A placement that needs less than the one given, if there was one within the limit.
    pub(super) placement: Option<Placement>,
    /// Whether the whole tree was searched, so that nothing smaller exists.
    pub(super) exhausted: bool,
}

/// Buffers at most. The tree is as deep as there are buffers, and so is the stack.
const BUFFERS_MAX: usize = 1000;

/// Looks for a placement below `start` with at most `nodes_max` nodes.
pub(super) fn improve(buffers: &[Buffer], start: &Placement, lower_bound: usize, nodes_max: u32) -> Found {
    if nodes_max == 0 || buffers.len() > BUFFERS_MAX {
        return Found { placement: None, exhausted: false };
    }
    let mut search = Search::new(buffers, start, lower_bound, nodes_max);
    let exhausted = search.descend(0, None);
    Found { placement: search.best, exhausted }
}

struct Search<'a> {
    buffers: &'a [Buffer],
    lower_bound: usize,
    nodes_left: u32,
    /// Steps at which a buffer's life begins; every maximal set of buffers alive together is alive
    /// at one of them. For each buffer the range of these in which it is alive.
    spans: Vec<std::ops::Range<usize>>,
    /// Highest end of a placed buffer at each of those steps.
    skyline: Vec<usize>,
    /// Bytes of the unplaced buffers at each of those steps.
    waiting: Vec<usize>,
    placed: Vec<bool>,
    unplaced: usize,
    offsets: Vec<usize>,
    best_bytes: usize,
    best: Option<Placement>,
}

impl<'a> Search<'a> {
    fn new(buffers: &'a [Buffer], start: &Placement, lower_bound: usize, nodes_max: u32) -> Self {
        let mut steps: Vec<usize> = buffers.iter().map(|b| b.first).collect();
        steps.sort_unstable();
        steps.dedup();
        let span = |b: &Buffer| steps.partition_point(|&step| step < b.first)..steps.partition_point(|&step| step <= b.last);
        let spans: Vec<_> = buffers.iter().map(span).collect();
        let mut waiting = vec![0; steps.len()];
        for (buffer, span) in buffers.iter().zip(&spans) {
            for sum in &mut waiting[span.clone()] {
                *sum += buffer.bytes;
            }
        }
        let placed: Vec<bool> = buffers.iter().map(|b| b.bytes == 0).collect();
        Self {
            buffers,
            lower_bound,
            nodes_left: nodes_max,
            spans,
            skyline: vec![0; steps.len()],
            waiting,
            unplaced: placed.iter().filter(|placed| !**placed).count(),
            placed,
            offsets: vec![0; buffers.len()],
            best_bytes: start.arena_bytes,
            best: None,
        }
    }

    /// Searches below the current node, whose last buffer is `last` at offset `floor`. Returns
    /// false when the limit of nodes ended the search.
    fn descend(&mut self, floor: usize, last: Option<usize>) -> bool {
        if self.unplaced == 0 {
            // Every step's skyline is below `best_bytes`, or a bound had cut this node off.
            self.best_bytes = self.skyline.iter().copied().max().unwrap_or(0);
            self.best = Some(Placement { offsets: self.offsets.clone(), arena_bytes: self.best_bytes });
            return true;
        }
        for (offset, b) in self.branches(floor, last) {
            if self.best_bytes <= self.lower_bound {
                return true;
            }
            if self.nodes_left == 0 {
                return false;
            }
            self.nodes_left -= 1;
            let saved = self.push(b, offset);
            let complete = !self.can_improve(offset) || self.descend(offset, Some(b));
            self.pop(b, &saved);
            if !complete {
                return false;
            }
        }
        true
    }

    /// The buffers that may come next with their offsets, the most promising first.
    fn branches(&self, floor: usize, last: Option<usize>) -> Vec<(usize, usize)> {
        let rest = || (0..self.buffers.len()).filter(|&b| !self.placed[b]);
        let resting = |b: usize| {
            let top = self.skyline[self.spans[b].clone()].iter().copied().max().unwrap_or(0);
            top.next_multiple_of(self.buffers[b].align)
        };
        let offsets: Vec<(usize, usize)> = rest().map(|b| (resting(b), b)).collect();
        let lowest_end = offsets.iter().map(|&(offset, b)| offset + self.buffers[b].bytes).min();
        let in_order = |&(offset, b): &(usize, usize)| offset > floor || (offset == floor && last.is_none_or(|last| b > last));
        let is_first_of_equals =
            |&(_, b): &(usize, usize)| !rest().take_while(|&other| other < b).any(|o| self.buffers[o] == self.buffers[b]);
        let mut branches: Vec<(usize, usize)> = offsets
            .iter()
            .copied()
            .filter(in_order)
            .filter(|&(offset, _)| lowest_end.is_some_and(|end| offset < end))
            .filter(is_first_of_equals)
            .collect();
        // The step that has least room to spare decides the arena, so its buffers go first.
        let need = |b: usize| {
            let steps = self.spans[b].clone();
            steps.map(|step| self.skyline[step] + self.waiting[step]).max().unwrap_or(0)
        };
        branches.sort_by_key(|&(offset, b)| (offset, std::cmp::Reverse((need(b), self.buffers[b].bytes)), b));
        branches
    }

    /// Places `b`; returns the skyline that it covers.
    fn push(&mut self, b: usize, offset: usize) -> Vec<usize> {
        let span = self.spans[b].clone();
        let saved = self.skyline[span.clone()].to_vec();
        self.skyline[span.clone()].fill(offset + self.buffers[b].bytes);
        for sum in &mut self.waiting[span] {
            *sum -= self.buffers[b].bytes;
        }
        self.placed[b] = true;
        self.unplaced -= 1;
        self.offsets[b] = offset;
        saved
    }

    fn pop(&mut self, b: usize, saved: &[usize]) {
        let span = self.spans[b].clone();
        self.skyline[span.clone()].copy_from_slice(saved);
        for sum in &mut self.waiting[span] {
            *sum += self.buffers[b].bytes;
        }
        self.placed[b] = false;
        self.unplaced += 1;
    }

    /// Whether the bound leaves room for something better; nothing more goes below `floor`.
    fn can_improve(&self, floor: usize) -> bool {
        self.skyline.iter().zip(&self.waiting).all(|(&top, &waiting)| {
            let base = if waiting > 0 { top.max(floor) } else { top };
            base + waiting < self.best_bytes
        })
    }
}
