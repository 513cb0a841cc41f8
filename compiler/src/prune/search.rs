//! Widths and bits together: from the unpruned network at its widest bits, whatever comes nearest to the budgets for the least noise at the output, be it
//! eight channels less or a group at fewer bits. Noises of sets and of groups are taken to add up; what the result is worth is measured on the real network.

use apq_lut::{Candidate, CostError};
use apq_search::{Budget, Quantity, Totals, excess_sum};

use super::Unpruned;
use super::costs::{PrunedDesign, PruningCosts, relative};
use super::losses::Losses;
use super::sets::Prunable;

/// A joint search under efficiency budgets.
pub struct Joint<'a> {
    /// The sets.
    pub prunable: &'a Prunable,
    /// What pruning them costs.
    pub losses: &'a Losses,
    /// The groups, and what narrowing them costs.
    pub unpruned: &'a Unpruned,
    /// All of them must be met.
    pub budgets: &'a [Budget],
    /// How much worse pruning is taken to be than it was measured: noises of sets add up less well than those of groups.
    pub caution: f64,
}

/// One change of a design.
#[derive(Debug, Clone, Copy)]
enum Move {
    Width(usize, usize),
    Bits(usize, Candidate),
}

impl Move {
    fn apply(self, design: &mut PrunedDesign) {
        match self {
            Move::Width(set, width) => design.widths[set] = width,
            Move::Bits(group, candidate) => design.bits[group] = candidate,
        }
    }
}

/// A gain below this is rounding.
const GAIN_MIN: f64 = 1e-9;

impl Joint<'_> {
    /// The design, and whether it meets the budgets by the cost model.
    ///
    /// # Errors
    /// The cost model lacks an entry.
    pub fn run(&self, costs: &mut PruningCosts<'_>) -> Result<(PrunedDesign, bool), CostError> {
        let start = PrunedDesign { widths: self.prunable.widths(), bits: self.unpruned.widest.clone() };
        let (mut best, met) = self.descend(start, None, costs)?;
        if !met {
            return Ok((best, false));
        }
        // A set that was pruned early may have become too dear: the same without it.
        for set in 0..best.widths.len() {
            let whole = self.prunable.sets[set].width();
            if best.widths[set] < whole {
                let mut other = best.clone();
                other.widths[set] = whole;
                let (other, met) = self.descend(other, Some(set), costs)?;
                if met && self.noise(&other) < self.noise(&best) {
                    best = other;
                }
            }
        }
        Ok((best, true))
    }

    /// The noise of a design, relative to the signal.
    pub fn noise(&self, design: &PrunedDesign) -> f64 {
        let sets = (0..design.widths.len()).map(|set| self.set_noise(set, design.widths[set])).sum::<f64>();
        sets + (0..design.bits.len()).map(|group| self.group_noise(group, design.bits[group])).sum::<f64>()
    }

    fn set_noise(&self, set: usize, width: usize) -> f64 {
        self.caution * self.losses.noise(set, self.prunable.sets[set].width() - width)
    }

    fn group_noise(&self, group: usize, candidate: Candidate) -> f64 {
        if self.unpruned.widest.get(group) == Some(&candidate) {
            return 0.0;
        }
        let entry = self.unpruned.list.iter().find(|entry| entry.group == group && entry.candidate == candidate);
        entry.map_or(f64::INFINITY, |entry| 10f64.powf(-entry.sqnr_db / 10.0))
    }

    /// Takes the best change until the budgets are met or nothing helps, then takes back what was not needed.
    fn descend(
        &self,
        start: PrunedDesign,
        without: Option<usize>,
        costs: &mut PruningCosts<'_>,
    ) -> Result<(PrunedDesign, bool), CostError> {
        let mut design = start;
        let mut totals = costs.totals(&design)?;
        while excess_sum(self.budgets, &totals) > 0.0 {
            let Some(change) = self.best(&design, &totals, without, costs)? else { return Ok((design, false)) };
            change.apply(&mut design);
            totals = costs.totals(&design)?;
        }
        self.undo(&mut design, costs)?;
        Ok((design, true))
    }

    /// The change that comes nearer to the budgets for the least noise; where single changes do not, at the edge of a tile, one that saves operations.
    fn best(
        &self,
        design: &PrunedDesign,
        totals: &Totals,
        without: Option<usize>,
        costs: &mut PruningCosts<'_>,
    ) -> Result<Option<Move>, CostError> {
        let before = (excess_sum(self.budgets, totals), self.spent(totals, totals));
        let mut best: [Option<(f64, Move)>; 2] = [None, None];
        for change in self.changes(design, without) {
            let added = self.added(design, change);
            if !added.is_finite() {
                continue;
            }
            let mut after = design.clone();
            change.apply(&mut after);
            let after = costs.totals(&after)?;
            let gains = [before.0 - excess_sum(self.budgets, &after), before.1 - self.spent(&after, totals)];
            for (best, gain) in best.iter_mut().zip(gains) {
                let score = gain / added.max(1e-12);
                if gain > GAIN_MIN && best.is_none_or(|(most, _)| score > most) {
                    *best = Some((score, change));
                }
            }
        }
        Ok(best[0].or(best[1]).map(|(_, change)| change))
    }

    /// Costs of the violated budgets, and bit operations, relative to now.
    fn spent(&self, totals: &Totals, now: &Totals) -> f64 {
        let violated = self.budgets.iter().filter(|budget| !budget.met(now)).map(|budget| relative(budget.quantity, budget.limit, totals));
        violated.sum::<f64>() + 0.01 * relative(Quantity::Bops, now.bops, totals)
    }

    fn changes(&self, design: &PrunedDesign, without: Option<usize>) -> Vec<Move> {
        let mut changes = Vec::new();
        for (set, now) in design.widths.iter().enumerate().filter(|(set, _)| Some(*set) != without) {
            changes.extend(self.prunable.sets[set].widths().into_iter().filter(|width| width < now).map(|width| Move::Width(set, width)));
        }
        for (group, now) in design.bits.iter().enumerate() {
            let narrower = self.unpruned.grouping.groups[group].candidates.iter().filter(|candidate| candidate.product() < now.product());
            changes.extend(narrower.map(|candidate| Move::Bits(group, *candidate)));
        }
        changes
    }

    fn added(&self, design: &PrunedDesign, change: Move) -> f64 {
        match change {
            Move::Width(set, width) => self.set_noise(set, width) - self.set_noise(set, design.widths[set]),
            Move::Bits(group, candidate) => self.group_noise(group, candidate) - self.group_noise(group, design.bits[group]),
        }
    }

    /// Widens what need not be narrow, the most harmful first.
    fn undo(&self, design: &mut PrunedDesign, costs: &mut PruningCosts<'_>) -> Result<(), CostError> {
        loop {
            let mut wider: Vec<(f64, Move)> = self.wider(design).into_iter().map(|change| (self.added(design, change), change)).collect();
            wider.retain(|(added, _)| *added < 0.0);
            wider.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut taken = false;
            for (_, change) in wider {
                let mut after = design.clone();
                change.apply(&mut after);
                if excess_sum(self.budgets, &costs.totals(&after)?) == 0.0 {
                    *design = after;
                    taken = true;
                    break;
                }
            }
            if !taken {
                return Ok(());
            }
        }
    }

    fn wider(&self, design: &PrunedDesign) -> Vec<Move> {
        let mut changes = Vec::new();
        for (set, now) in design.widths.iter().enumerate() {
            changes.extend(self.prunable.sets[set].widths().into_iter().filter(|width| width > now).map(|width| Move::Width(set, width)));
        }
        for (group, now) in design.bits.iter().enumerate() {
            let others = self.unpruned.grouping.groups[group].candidates.iter().filter(|candidate| *candidate != now);
            changes.extend(others.map(|candidate| Move::Bits(group, *candidate)));
        }
        changes
    }
}
