//! Noise and additive costs of every choice.

use alloc::vec;
use alloc::vec::Vec;

use crate::cost::{Budget, Quantity, Totals};
use crate::noise;
use crate::problem::{Problem, ProblemError};

/// Most quantities that are sums over the groups.
pub(super) const SUMS_MAX: usize = Quantity::ALL.len() - 1;

/// Costs in the order of [`Table::quantities`]; the rest is 0.
pub(super) type Costs = [u64; SUMS_MAX];

/// One choice of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Position in `Problem::choices`.
    pub(super) choice: usize,
    /// Noise in units.
    pub(super) noise: u128,
    /// Cost above that of the group's cheapest choice, for each quantity.
    pub(super) costs: Costs,
}

/// The additive part of a problem under budgets.
pub(super) struct Table {
    /// Limited quantities that are sums, without repetition.
    pub(super) quantities: Vec<Quantity>,
    /// Totals of the network with every group at its cheapest choice, for each quantity by itself.
    base: Costs,
    /// What the budgets leave above `base`; `None` where not even that fits.
    pub(super) room: Option<Costs>,
    /// For each group its choices from the widest to the narrowest.
    pub(super) items: Vec<Vec<Item>>,
    /// How often the cost model was asked.
    pub(super) evaluations: usize,
}

impl Table {
    /// Asks the cost model for every choice by itself, everything else at its widest.
    pub(super) fn new(problem: &Problem<'_>, budgets: &[Budget]) -> Result<Self, ProblemError> {
        if let Some(budget) = budgets.iter().find(|budget| problem.widest_totals.get(budget.quantity).is_none()) {
            return Err(ProblemError::NotModelled { quantity: budget.quantity });
        }
        let limited = |quantity: &Quantity| *quantity != Quantity::Ram && budgets.iter().any(|budget| budget.quantity == *quantity);
        let quantities: Vec<Quantity> = Quantity::ALL.into_iter().filter(limited).collect();
        let mut table = Table { base: [0; SUMS_MAX], room: None, items: Vec::new(), evaluations: 0, quantities };
        let values = |totals: &Totals| -> Option<Costs> {
            let mut values = [0; SUMS_MAX];
            for (value, quantity) in values.iter_mut().zip(&table.quantities) {
                *value = totals.get(*quantity)?;
            }
            Some(values)
        };
        let widest = values(&problem.widest_totals).unwrap_or_default();
        let mut base = widest;
        let mut assignment = problem.widest();
        for (group, choices) in problem.choices.iter().enumerate() {
            let from = assignment[group];
            let mut items = Vec::with_capacity(choices.len());
            for (choice, own) in choices.iter().enumerate() {
                assignment[group] = own.candidate;
                table.evaluations += 1;
                // A choice whose cost is not known meets no budget.
                if let Some(costs) = values(&problem.cost.totals_after(&assignment, group, from, &problem.widest_totals)) {
                    items.push(Item { choice, noise: noise::units(own), costs });
                }
            }
            assignment[group] = from;
            for (place, quantity) in table.quantities.iter().enumerate() {
                let least = items.iter().map(|item| item.costs[place]).min().unwrap_or(0);
                items.iter_mut().for_each(|item| item.costs[place] -= least);
                // A sum falls by no more than what it consists of.
                let fall = widest[place].saturating_sub(least);
                base[place] = base[place].checked_sub(fall).ok_or(ProblemError::NotAdditive { quantity: *quantity })?;
            }
            table.items.push(items);
        }
        let mut room = [0; SUMS_MAX];
        let mut fits = true;
        for (place, quantity) in table.quantities.iter().enumerate() {
            let limits = budgets.iter().filter(|budget| budget.quantity == *quantity).map(|budget| budget.limit);
            match limits.min().unwrap_or(u64::MAX).checked_sub(base[place]) {
                Some(left) => room[place] = left,
                None => fits = false,
            }
        }
        table.base = base;
        table.room = fits.then_some(room);
        Ok(table)
    }

    /// The first limited quantity whose value in `totals` is not the sum over `choices`.
    pub(super) fn differs(&self, choices: &[usize], totals: &Totals) -> Option<Quantity> {
        let mut sums = self.base;
        for (items, &choice) in self.items.iter().zip(choices) {
            let costs = items.iter().find(|item| item.choice == choice).map_or([0; SUMS_MAX], |item| item.costs);
            sums = plus(sums, costs);
        }
        self.quantities.iter().zip(sums).find(|(quantity, sum)| totals.get(**quantity) != Some(*sum)).map(|(quantity, _)| *quantity)
    }
}

/// The sum of two costs; past 64 bits it is the largest number, which no room holds.
pub(super) fn plus(a: Costs, b: Costs) -> Costs {
    let mut sum = [0; SUMS_MAX];
    for (sum, (a, b)) in sum.iter_mut().zip(a.into_iter().zip(b)) {
        *sum = a.saturating_add(b);
    }
    sum
}

/// Whether no cost is above `room`.
pub(super) fn within(costs: &Costs, room: &Costs) -> bool {
    costs.iter().zip(room).all(|(cost, room)| cost <= room)
}

/// The choices of each group that can be part of a best assignment: those that fit, and are not worse or dearer throughout than another.
pub(super) fn useful(items: &[Vec<Item>], room: &Costs) -> Vec<Vec<Item>> {
    let fitting = |items: &Vec<Item>| -> Vec<Item> {
        let mut kept: Vec<Item> = Vec::new();
        let mut sorted: Vec<Item> = items.iter().copied().filter(|item| within(&item.costs, room)).collect();
        // Stable: of equal ones the widest stays.
        sorted.sort_by_key(|item| (item.noise, item.costs));
        for item in sorted {
            if !kept.iter().any(|other| within(&other.costs, &item.costs)) {
                kept.push(item);
            }
        }
        kept
    };
    items.iter().map(fitting).collect()
}

/// For each suffix of the groups, from all of them to none, the sum of the least cost of each group.
pub(super) fn least_costs(items: &[Vec<Item>]) -> Vec<Costs> {
    let mut suffix = vec![[0; SUMS_MAX]; items.len() + 1];
    for (group, items) in items.iter().enumerate().rev() {
        let mut least = [u64::MAX; SUMS_MAX];
        for item in items {
            for (least, cost) in least.iter_mut().zip(item.costs) {
                *least = cost.min(*least);
            }
        }
        suffix[group] = plus(suffix[group + 1], least);
    }
    suffix
}
