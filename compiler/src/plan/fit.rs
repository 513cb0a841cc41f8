//! Greedy placement: buffers in some order, each into the best gap that the placed ones leave.

use std::cmp::Reverse;

use super::{Buffer, Placement, Relations};

/// How a gap is chosen.
#[derive(Clone, Copy)]
enum Choice {
    /// The smallest gap that is large enough; the space on top counts as the largest.
    Tightest,
    /// The gap with the lowest offset.
    Lowest,
}

/// How often the topmost buffers are moved to the front of an order.
const ROUNDS: usize = 24;

/// The best placement over several orders; stops at the first one that needs no more than
/// `lower_bound`.
pub(super) fn best_of_orders(buffers: &[Buffer], relations: &Relations<'_>, lower_bound: usize) -> Placement {
    let mut best: Option<Placement> = None;
    for order in orders(buffers) {
        for choice in [Choice::Tightest, Choice::Lowest] {
            let placement = settle(buffers, relations, order.clone(), choice, lower_bound);
            if best.as_ref().is_none_or(|best| placement.arena_bytes < best.arena_bytes) {
                best = Some(placement);
            }
            if let Some(best) = best.as_ref().filter(|best| best.arena_bytes <= lower_bound) {
                return best.clone();
            }
        }
    }
    best.unwrap_or(Placement { offsets: Vec::new(), arena_bytes: 0 })
}

/// Places in `order`, then again with the buffers that reach the top of the arena first, as long as
/// that changes the order: what ends up on top was placed too late.
fn settle(buffers: &[Buffer], relations: &Relations<'_>, mut order: Vec<usize>, choice: Choice, lower_bound: usize) -> Placement {
    let mut best = place(buffers, relations, &order, choice);
    let mut last = best.clone();
    for _ in 0..ROUNDS {
        if best.arena_bytes <= lower_bound {
            break;
        }
        let is_top = |&b: &usize| last.offsets[b] + buffers[b].bytes == last.arena_bytes;
        let (top, rest): (Vec<usize>, Vec<usize>) = order.iter().partition(|&b| is_top(b));
        let reordered = [top, rest].concat();
        if reordered == order {
            break;
        }
        order = reordered;
        last = place(buffers, relations, &order, choice);
        if last.arena_bytes < best.arena_bytes {
            best = last.clone();
        }
    }
    best
}

/// Orders in which hard buffers tend to come first. Each ends with the position, so that it is
/// total.
fn orders(buffers: &[Buffer]) -> Vec<Vec<usize>> {
    let duration = |b: usize| buffers[b].last - buffers[b].first;
    let bytes = |b: usize| buffers[b].bytes;
    let live = |step: usize| {
        let alive = buffers.iter().filter(|b| b.first <= step && step <= b.last);
        alive.map(|b| b.bytes).sum::<usize>()
    };
    let at_birth: Vec<usize> = buffers.iter().map(|b| live(b.first)).collect();
    // Bytes alive at the fullest step of the buffer's life, which is where some buffer's life
    // begins.
    let fullest = |b: &Buffer| {
        let births = buffers.iter().zip(&at_birth);
        let during = births.filter(|(other, _)| b.first <= other.first && other.first <= b.last);
        during.map(|(_, &live)| live).max().unwrap_or(0)
    };
    let crowd: Vec<usize> = buffers.iter().map(fullest).collect();
    let area = |b: usize| bytes(b) as u128 * (duration(b) as u128 + 1);
    let sorted = |key: &dyn Fn(usize) -> (u128, usize)| {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&b| (Reverse(key(b)), b));
        order
    };
    let by_first = {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&b| (buffers[b].first, Reverse(bytes(b)), b));
        order
    };
    vec![
        sorted(&|b| (bytes(b) as u128, duration(b))),
        sorted(&|b| (crowd[b] as u128, bytes(b))),
        sorted(&|b| (area(b), bytes(b))),
        sorted(&|b| (duration(b) as u128, bytes(b))),
        by_first,
    ]
}

/// Places the buffers one after another.
fn place(buffers: &[Buffer], relations: &Relations<'_>, order: &[usize], choice: Choice) -> Placement {
    let mut offsets = vec![0; buffers.len()];
    let mut arena_bytes = 0;
    let mut placed: Vec<usize> = Vec::with_capacity(buffers.len());
    let mut forbidden = Vec::new();
    for &b in order {
        let buffer = &buffers[b];
        if buffer.bytes == 0 {
            continue;
        }
        forbidden.clear();
        for &other in placed.iter().filter(|&&other| buffers[other].meets(buffer)) {
            relations.forbid(buffers, b, (other, offsets[other]), &mut forbidden);
        }
        let offset = gap(&mut forbidden, buffer.align, choice);
        offsets[b] = offset;
        arena_bytes = arena_bytes.max(offset + buffer.bytes);
        placed.push(b);
    }
    Placement { offsets, arena_bytes }
}

/// The offset that `choice` takes outside of the open intervals that are `forbidden`.
fn gap(forbidden: &mut [(i64, i64)], align: usize, choice: Choice) -> usize {
    forbidden.sort_unstable();
    let mut end = 0;
    let mut best: Option<(i64, usize)> = None;
    for &(from, to) in forbidden.iter() {
        let start = usize::next_multiple_of(end as usize, align);
        if start as i64 <= from {
            match choice {
                Choice::Lowest => return start,
                Choice::Tightest => {
                    if best.is_none_or(|(room, _)| from - end < room) {
                        best = Some((from - end, start));
                    }
                }
            }
        }
        end = end.max(to);
    }
    best.map_or(usize::next_multiple_of(end as usize, align), |(_, start)| start)
}
