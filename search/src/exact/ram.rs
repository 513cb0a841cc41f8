//! RAM on top of the additive problem: branch and bound on sets of groups that cannot be as wide together.

use alloc::vec;
use alloc::vec::Vec;

use super::Effort;
use super::states::{Solved, solve};
use super::table::{Item, Table};
use crate::cost::{Budget, Quantity};
use crate::group::Candidate;
use crate::noise;
use crate::problem::Problem;

/// What the whole search found.
pub(super) struct Found {
    /// For each group the position of its choice in `Problem::choices`.
    pub(super) choices: Option<Vec<usize>>,
    /// No assignment that meets all budgets has less noise, in units.
    pub(super) bound: u128,
    pub(super) proved: bool,
}

/// A subproblem, solved without its RAM budget.
struct Node {
    /// Range of activation bits of each group.
    bits: Vec<(u8, u8)>,
    choices: Vec<usize>,
    units: u128,
    bound: u128,
    /// Position in the order of creation: breaks ties.
    number: usize,
}

/// The search.
pub(super) struct Search<'p, 'a> {
    problem: &'p Problem<'a>,
    table: &'p Table,
    ram_limit: Option<u64>,
    effort: Effort,
    solved: usize,
    proved: bool,
    /// Least bound of what was left out.
    bound: u128,
    best: Option<(Vec<usize>, u128)>,
    /// How often the cost model was asked.
    pub(super) evaluations: usize,
}

impl<'p, 'a> Search<'p, 'a> {
    pub(super) fn new(problem: &'p Problem<'a>, table: &'p Table, budgets: &[Budget], effort: Effort) -> Self {
        let ram_limit = budgets.iter().filter(|budget| budget.quantity == Quantity::Ram).map(|budget| budget.limit).min();
        Search { problem, table, ram_limit, effort, solved: 0, proved: true, bound: u128::MAX, best: None, evaluations: 0 }
    }

    /// The least noise; `start` meets all budgets.
    pub(super) fn solve(&mut self, start: Option<&[Candidate]>) -> Found {
        self.best = start.and_then(|assignment| self.known(assignment));
        let mut open: Vec<Node> = Vec::new();
        let everything = vec![(0, u8::MAX); self.table.items.len()];
        open.extend(self.narrowed(everything).and_then(|bits| self.node(bits)));
        // The node of least noise first: when it keeps the RAM budget, nothing else can be better.
        while let Some(place) = (0..open.len()).min_by_key(|&place| (open[place].bound, open[place].units, open[place].number)) {
            let node = open.swap_remove(place);
            if self.best.as_ref().is_some_and(|(_, best)| node.bound >= *best) {
                break;
            }
            if self.solved >= self.effort.nodes_max {
                self.proved = false;
                self.bound = self.bound.min(node.bound);
                break;
            }
            let Some(conflict) = self.conflict(&node) else {
                self.best = Some((node.choices, node.units));
                continue;
            };
            let mut bits = node.bits;
            for (group, wide) in conflict {
                let mut below = bits.clone();
                below[group].1 = below[group].1.min(wide - 1);
                open.extend(self.node(below));
                bits[group].0 = bits[group].0.max(wide);
            }
        }
        let best = self.best.take();
        let found = best.as_ref().map_or(u128::MAX, |(_, units)| *units);
        Found { choices: best.map(|(choices, _)| choices), bound: self.bound.min(found), proved: self.proved }
    }

    /// A given assignment as choices, with its noise.
    fn known(&self, assignment: &[Candidate]) -> Option<(Vec<usize>, u128)> {
        let position =
            |(group, candidate): (usize, &Candidate)| self.problem.choices[group].iter().position(|choice| choice.candidate == *candidate);
        let choices: Vec<usize> = assignment.iter().enumerate().map(position).collect::<Option<_>>()?;
        let units = choices.iter().enumerate().map(|(group, &choice)| noise::units(&self.problem.choices[group][choice])).sum();
        Some((choices, units))
    }

    fn activation_bits(&self, group: usize, choice: usize) -> u8 {
        self.problem.choices[group][choice].candidate.activation_bits
    }

    /// Solves a subproblem without its RAM budget; `None` where nothing fits, or nothing better than what is known.
    fn node(&mut self, bits: Vec<(u8, u8)>) -> Option<Node> {
        let room = self.table.room.as_ref()?;
        let allowed = |(group, items): (usize, &Vec<Item>)| -> Vec<Item> {
            let (low, high) = bits[group];
            items.iter().copied().filter(|item| (low..=high).contains(&self.activation_bits(group, item.choice))).collect()
        };
        let items: Vec<Vec<Item>> = self.table.items.iter().enumerate().map(allowed).collect();
        self.solved += 1;
        let known = self.best.clone();
        let Solved { best, bound, proved } = solve(&items, room, self.table.quantities.len(), known, self.effort.states_max);
        if !proved {
            self.proved = false;
            self.bound = self.bound.min(bound);
        }
        let (choices, units) = best.filter(|(_, units)| self.best.as_ref().is_none_or(|(_, known)| units < known))?;
        Some(Node { bits, choices, units, bound, number: self.solved })
    }

    fn ram_fits(&mut self, assignment: &[Candidate]) -> bool {
        self.evaluations += 1;
        let ram = self.problem.cost.totals(assignment).ram_bytes;
        self.ram_limit.is_none_or(|limit| ram <= limit)
    }

    /// The narrowest activations that a group may have.
    fn lowest(&self, group: usize, (low, high): (u8, u8)) -> Option<Candidate> {
        let candidates = self.problem.choices[group].iter().map(|choice| choice.candidate);
        candidates.filter(|candidate| (low..=high).contains(&candidate.activation_bits)).min_by_key(|candidate| candidate.activation_bits)
    }

    /// Ranges of bits without those that do not fit even with everything else at its narrowest; `None` where nothing fits.
    fn narrowed(&mut self, mut bits: Vec<(u8, u8)>) -> Option<Vec<(u8, u8)>> {
        if self.ram_limit.is_none() {
            return Some(bits);
        }
        let mut assignment: Vec<Candidate> =
            bits.iter().enumerate().map(|(group, range)| self.lowest(group, *range)).collect::<Option<_>>()?;
        if !self.ram_fits(&assignment) {
            return None;
        }
        for group in 0..bits.len() {
            let lowest = assignment[group];
            let mut wider: Vec<Candidate> = self.problem.choices[group].iter().map(|choice| choice.candidate).collect();
            wider.sort_by_key(|candidate| core::cmp::Reverse(candidate.activation_bits));
            wider.dedup_by_key(|candidate| candidate.activation_bits);
            for candidate in wider.into_iter().filter(|candidate| candidate.activation_bits > lowest.activation_bits) {
                assignment[group] = candidate;
                if self.ram_fits(&assignment) {
                    break;
                }
                bits[group].1 = candidate.activation_bits - 1;
            }
            assignment[group] = lowest;
        }
        Some(bits)
    }

    /// Groups that cannot all have at least the activation bits given here; `None` where the RAM budget is kept.
    fn conflict(&mut self, node: &Node) -> Option<Vec<(usize, u8)>> {
        self.ram_limit?;
        let candidate = |(group, &choice): (usize, &usize)| self.problem.choices[group][choice].candidate;
        let mut assignment: Vec<Candidate> = node.choices.iter().enumerate().map(candidate).collect();
        if self.ram_fits(&assignment) {
            return None;
        }
        let mut conflict = Vec::new();
        for group in 0..assignment.len() {
            let own = assignment[group];
            let lowest = self.lowest(group, node.bits[group]).unwrap_or(own);
            if lowest.activation_bits == own.activation_bits {
                continue;
            }
            assignment[group] = lowest;
            if self.ram_fits(&assignment) {
                assignment[group] = own;
                conflict.push((group, own.activation_bits));
            }
        }
        Some(conflict)
    }
}
