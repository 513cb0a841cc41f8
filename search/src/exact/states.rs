//! Dynamic programming over the groups with bounds: Nemhauser and Ullmann's lists of states that no other dominates.

use alloc::vec;
use alloc::vec::Vec;

use super::dual::{Prices, Shares, prices};
use super::table::{Costs, Item, SUMS_MAX, least_costs, plus, useful, within};
use crate::noise;

/// Most states after one group. The rest is dropped, highest bound first, and the result is not proved any more.
pub(super) const STATES_MAX: usize = 1 << 18;

/// States that a new one is compared with, where several quantities are limited.
const GUARDS_MAX: usize = 96;

/// Prices for completing a state, relative to the best ones: dearer ones leave room where the best ones overstep.
const DEARER: [f64; 6] = [1.0, 1.01, 1.05, 1.2, 1.7, 4.0];

/// Bounds are floating-point sums; what they are off by is far below this part of their terms.
const TOLERANCE: f64 = 1e-9;

/// The result of one run.
pub(super) struct Solved {
    /// For each group the position of its choice in `Problem::choices`, and the noise in units; `None` where nothing fits.
    pub(super) best: Option<(Vec<usize>, u128)>,
    /// No assignment has less noise.
    pub(super) bound: u128,
    /// Whether nothing was dropped.
    pub(super) proved: bool,
}

#[derive(Clone, Copy)]
struct State {
    noise: u128,
    costs: Costs,
    parent: u32,
    item: u32,
}

/// The least noise within `room`, of `count` limited quantities, with at most `states_max` states after a group. `known` is an assignment that fits,
/// with its noise.
pub(super) fn solve(items: &[Vec<Item>], room: &Costs, count: usize, known: Option<(Vec<usize>, u128)>, states_max: usize) -> Solved {
    let groups = useful(items, room);
    if groups.iter().any(Vec::is_empty) || !within(&least_costs(&groups)[0], room) {
        return Solved { best: None, bound: u128::MAX, proved: true };
    }
    let shares = Shares::new(room, count);
    let target = known.as_ref().map_or(f64::INFINITY, |(_, units)| noise::relative(*units));
    let prices = prices(&groups, &shares, target);
    let order = order(&groups, &shares, &prices);
    let groups: Vec<&[Item]> = order.iter().map(|group| groups[*group].as_slice()).collect();
    Run::new(groups, room, &shares, prices, known, order).run(states_max)
}

/// Groups whose second choice is dearest come first: there is hardly anything to decide about them.
fn order(groups: &[Vec<Item>], shares: &Shares, prices: &Prices) -> Vec<usize> {
    let gap = |items: &Vec<Item>| {
        let mut values: Vec<f64> = items.iter().map(|item| shares.priced(item.noise, &item.costs, prices)).collect();
        values.sort_by(f64::total_cmp);
        if values.len() > 1 { values[1] - values[0] } else { f64::INFINITY }
    };
    let gaps: Vec<f64> = groups.iter().map(gap).collect();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by(|a, b| gaps[*b].total_cmp(&gaps[*a]));
    order
}

/// Sums over the groups from each on, at given prices.
struct Completion {
    /// The item of each group.
    items: Vec<usize>,
    noise: Vec<u128>,
    costs: Vec<Costs>,
}

impl Completion {
    fn new(groups: &[&[Item]], shares: &Shares, prices: &Prices) -> Self {
        let cheapest = |items: &&[Item]| {
            let best = shares.cheapest(items, prices).map(|(item, _)| item.choice);
            items.iter().position(|item| Some(item.choice) == best).unwrap_or(0)
        };
        let items: Vec<usize> = groups.iter().map(cheapest).collect();
        let (mut noise, mut costs) = (vec![0; groups.len() + 1], vec![[0; SUMS_MAX]; groups.len() + 1]);
        for group in (0..groups.len()).rev() {
            let item = &groups[group][items[group]];
            noise[group] = noise[group + 1] + item.noise;
            costs[group] = plus(costs[group + 1], item.costs);
        }
        Completion { items, noise, costs }
    }
}

struct Run<'r> {
    groups: Vec<&'r [Item]>,
    /// Original position of each group.
    order: Vec<usize>,
    room: &'r Costs,
    shares: &'r Shares,
    prices: Prices,
    least: Vec<Costs>,
    /// For each suffix of the groups the sum of their cheapest choices at `prices`, minus all prices.
    suffix: Vec<f64>,
    /// What the terms of a bound add up to, without regard to their signs.
    magnitude: f64,
    completions: Vec<Completion>,
    best: Option<(Vec<usize>, u128)>,
    best_relative: f64,
    trail: Vec<Vec<(u32, u32)>>,
}

impl<'r> Run<'r> {
    fn new(
        groups: Vec<&'r [Item]>,
        room: &'r Costs,
        shares: &'r Shares,
        prices: Prices,
        known: Option<(Vec<usize>, u128)>,
        order: Vec<usize>,
    ) -> Self {
        let owned: Vec<Vec<Item>> = groups.iter().map(|items| items.to_vec()).collect();
        let paid: f64 = prices.iter().sum();
        let mut suffix = vec![-paid; groups.len() + 1];
        for group in (0..groups.len()).rev() {
            suffix[group] = suffix[group + 1] + shares.cheapest(groups[group], &prices).map_or(0.0, |(_, value)| value);
        }
        let completions = DEARER.iter().map(|factor| Completion::new(&groups, shares, &prices.map(|price| factor * price))).collect();
        Run {
            order,
            room,
            shares,
            prices,
            least: least_costs(&owned),
            magnitude: suffix[0].abs() + 2.0 * paid,
            suffix,
            completions,
            best_relative: known.as_ref().map_or(f64::INFINITY, |(_, units)| noise::relative(*units)),
            best: known,
            trail: Vec::new(),
            groups,
        }
    }

    fn run(mut self, states_max: usize) -> Solved {
        let mut states = vec![State { noise: 0, costs: [0; SUMS_MAX], parent: 0, item: 0 }];
        let mut dropped = f64::INFINITY;
        self.complete(&states);
        for group in 0..self.groups.len() {
            let mut next = Vec::new();
            for (parent, state) in states.iter().enumerate() {
                for (item, own) in self.groups[group].iter().enumerate() {
                    let costs = plus(state.costs, own.costs);
                    if within(&plus(costs, self.least[group + 1]), self.room) {
                        next.push(State { noise: state.noise + own.noise, costs, parent: parent as u32, item: item as u32 });
                    }
                }
            }
            next.retain(|state| !self.hopeless(group + 1, state));
            let mut kept = undominated(next, self.room);
            if kept.len() > states_max {
                kept.sort_by(|a, b| self.bound(group + 1, a).total_cmp(&self.bound(group + 1, b)));
                dropped = dropped.min(self.bound(group + 1, &kept[states_max]));
                kept.truncate(states_max);
            }
            self.trail.push(kept.iter().map(|state| (state.parent, state.item)).collect());
            states = kept;
            self.complete(&states);
        }
        let found = self.best.as_ref().map_or(u128::MAX, |(_, units)| *units);
        // Below the least that was dropped there may be an assignment.
        let proved = dropped >= self.best_relative;
        let bound = if proved { found } else { found.min(noise::floor_units(dropped)) };
        Solved { best: self.best, bound, proved }
    }

    /// No assignment that begins like `state` has less noise.
    fn bound(&self, group: usize, state: &State) -> f64 {
        self.shares.priced(state.noise, &state.costs, &self.prices) + self.suffix[group]
    }

    fn hopeless(&self, group: usize, state: &State) -> bool {
        self.best.is_some() && self.bound(group, state) - TOLERANCE * (self.magnitude + self.best_relative) > self.best_relative
    }

    /// Completes states in the cheapest way at several prices, and keeps the best that fits.
    fn complete(&mut self, states: &[State]) {
        let group = self.trail.len();
        for (place, state) in states.iter().enumerate() {
            for completion in 0..self.completions.len() {
                let rest = &self.completions[completion];
                let units = state.noise + rest.noise[group];
                let better = self.best.as_ref().is_none_or(|(_, best)| units < *best);
                if better && within(&plus(state.costs, rest.costs[group]), self.room) {
                    self.best_relative = noise::relative(units);
                    self.best = Some((self.choices(place, completion), units));
                }
            }
        }
    }

    /// The choice of each group, in the original order, of a state of the last list and its completion.
    fn choices(&self, mut place: usize, completion: usize) -> Vec<usize> {
        let done = self.trail.len();
        let mut choices = vec![0; self.groups.len()];
        for group in (0..self.groups.len()).rev() {
            let item = if group >= done {
                self.completions[completion].items[group]
            } else {
                let (parent, item) = self.trail[group][place];
                place = parent as usize;
                item as usize
            };
            choices[self.order[group]] = self.groups[group][item].choice;
        }
        choices
    }
}

/// The states to which no other is equal or better in noise and all costs, by rising noise.
fn undominated(mut states: Vec<State>, room: &Costs) -> Vec<State> {
    states.sort_unstable_by_key(|state| (state.noise, state.costs, state.parent, state.item));
    let limited = room.iter().filter(|room| **room > 0).count();
    // With one quantity the cheapest so far is the only one that can dominate.
    let guards_max = if limited <= 1 { 1 } else { GUARDS_MAX };
    let mut guards: Vec<Costs> = Vec::new();
    states.retain(|state| {
        if let Some(place) = guards.iter().position(|guard| within(guard, &state.costs)) {
            // What dominated once dominates often.
            guards[..=place].rotate_right(1);
            return false;
        }
        if guards.len() == guards_max {
            guards.pop();
        }
        guards.insert(0, state.costs);
        true
    });
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of four choices with two costs, which look random.
    fn groups(count: usize, mut seed: u32) -> Vec<Vec<Item>> {
        let mut next = |most: u64| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u64::from(seed >> 8) % most
        };
        let mut item = |choice: usize| {
            let mut costs = [0; SUMS_MAX];
            (costs[0], costs[1]) = (next(100), next(100));
            Item { choice, noise: u128::from(next(1000)) << 50, costs }
        };
        (0..count).map(|_| (0..4).map(&mut item).collect()).collect()
    }

    /// The least noise within `room` among all combinations.
    fn least(groups: &[Vec<Item>], costs: Costs, room: &Costs) -> Option<u128> {
        match groups.split_first() {
            None => Some(0),
            Some((first, rest)) => {
                let fitting = first.iter().filter(|item| within(&plus(costs, item.costs), room));
                fitting.filter_map(|item| Some(item.noise + least(rest, plus(costs, item.costs), room)?)).min()
            }
        }
    }

    #[test]
    fn cut_lists_of_states_give_bounds_that_hold() {
        let mut unproved = 0;
        for seed in 0..40 {
            let groups = groups(7, seed);
            let mut room = [0; SUMS_MAX];
            (room[0], room[1]) = (200 + u64::from(seed), 260);
            let least = least(&groups, [0; SUMS_MAX], &room);
            for states_max in [1, 2, 8, STATES_MAX] {
                let solved = solve(&groups, &room, 2, None, states_max);
                let found = solved.best.as_ref().map(|(_, units)| *units);
                assert!(found >= least || found.is_none(), "seed {seed}");
                assert!(solved.bound <= least.unwrap_or(u128::MAX), "seed {seed}: bound {} above {least:?}", solved.bound);
                assert!(!solved.proved || found == least, "seed {seed}");
                assert!(solved.proved || states_max < STATES_MAX, "seed {seed}");
                unproved += usize::from(!solved.proved);
            }
        }
        assert!(unproved > 0, "nothing was cut");
    }
}
