//! Post-training bit-width assignment under efficiency budgets: phase 2 of "A Practical Mixed
//! Precision Algorithm for Post-Training Quantization", section 3.3.1, on a cost that need not be monotone.
//!
//! Stages, each of which ends the search for a feasible point when it meets one:
//! 1. the widest candidates;
//! 2. flips down the sensitivity list that lower w*a and a cost that still violates its budget, in
//!    passes until one takes nothing: at tile edges a flip skipped early can be useful later;
//! 3. all remaining flips that lower w*a, because several together may lower what none does alone;
//! 4. the narrowest candidates;
//! 5. changes in any direction from the nearest point, because narrower is not always cheaper.
//!
//! What turned out unnecessary is then undone. So an infeasible result means that the narrowest
//! candidates and every point on the way violate a budget; where cost falls with the bits, that is
//! when and only when no assignment meets them.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::cost::{Budget, Excess, Quantity, Totals, all_met, excess_sum, falls};
use crate::group::Candidate;
use crate::outcome::{Change, Curve, Outcome, Point, SkipReason, Skipped, Step};
use crate::problem::{Problem, ProblemError};
use crate::undo;

impl Problem<'_> {
    /// The assignment that meets all `budgets` with little harm, or the nearest to them.
    ///
    /// Without budgets it is the widest candidates.
    ///
    /// # Errors
    /// [`ProblemError::NotModelled`] when the cost model has no value for a budget's quantity.
    pub fn assign(&self, budgets: &[Budget]) -> Result<Outcome, ProblemError> {
        for &Budget { quantity, .. } in budgets {
            if self.widest_totals.get(quantity).is_none() {
                return Err(ProblemError::NotModelled { quantity });
            }
        }
        let mut search = Search::new(self, budgets);
        let found = search.is_feasible()
            || search.walk(|before, after| {
                let violated = budgets.iter().filter(|budget| !budget.met(before));
                violated.into_iter().any(|budget| falls(budget.quantity, before, after))
            })
            || search.take_all()
            || search.narrowest()
            || search.exchange();
        Ok(search.finish(found))
    }

    /// The whole curve: flips in list order from the widest candidates to the end of the list.
    ///
    /// A flip is taken when it lowers w*a and, unless `quantities` is empty, at least one of them.
    /// `feasible` is true at every point, because there is no budget.
    ///
    /// # Errors
    /// [`ProblemError::NotModelled`] when the cost model has no value for one of `quantities`.
    pub fn curve(&self, quantities: &[Quantity]) -> Result<Curve, ProblemError> {
        self.curve_from(&self.widest(), quantities)
    }

    /// The same curve from another assignment on, which has one of its candidates for each group.
    ///
    /// # Errors
    /// As [`Self::curve`].
    pub fn curve_from(&self, start: &[Candidate], quantities: &[Quantity]) -> Result<Curve, ProblemError> {
        for &quantity in quantities {
            if self.widest_totals.get(quantity).is_none() {
                return Err(ProblemError::NotModelled { quantity });
            }
        }
        for (group, &candidate) in start.iter().enumerate() {
            if self.choices.len() != start.len() || self.choice(group, candidate).is_none() {
                return Err(ProblemError::UnknownCandidate { group, candidate });
            }
        }
        let mut search = Search::new(self, &[]);
        search.stops = false;
        if start != search.current.assignment {
            search.current = Place { assignment: start.to_vec(), totals: self.cost.totals(start) };
            search.points.clear();
            search.record(Step::Start);
        }
        search.walk(|before, after| quantities.is_empty() || quantities.iter().any(|&q| falls(q, before, after)));
        let skipped = search.skipped();
        Ok(Curve { points: search.points, skipped })
    }
}

/// An assignment with its cost.
#[derive(Clone)]
struct Place {
    assignment: Vec<Candidate>,
    totals: Totals,
}

/// The state of one search.
pub(crate) struct Search<'p, 'a> {
    pub(crate) problem: &'p Problem<'a>,
    budgets: &'p [Budget],
    /// Whether a feasible point ends the walk.
    stops: bool,
    current: Place,
    points: Vec<Point>,
    /// For each entry of the list why it was not taken; `None` once it was.
    reasons: Vec<Option<SkipReason>>,
    nearest: Place,
    nearest_excess: Excess,
    smallest: Totals,
    evaluations: usize,
}

impl<'p, 'a> Search<'p, 'a> {
    fn new(problem: &'p Problem<'a>, budgets: &'p [Budget]) -> Self {
        let start = Place { assignment: problem.widest(), totals: problem.widest_totals };
        let mut search = Self {
            problem,
            budgets,
            stops: true,
            nearest: start.clone(),
            nearest_excess: Excess::of(budgets, &start.totals),
            smallest: start.totals,
            current: start,
            points: Vec::new(),
            reasons: problem.list().iter().map(|_| Some(SkipReason::NotNeeded)).collect(),
            evaluations: 1,
        };
        search.record(Step::Start);
        search
    }

    fn is_feasible(&self) -> bool {
        all_met(self.budgets, &self.current.totals)
    }

    pub(crate) fn candidate(&self, group: usize) -> Candidate {
        self.current.assignment[group]
    }

    /// Cost with `group` at `to` and everything else as it is.
    pub(crate) fn evaluate(&mut self, group: usize, to: Candidate) -> Totals {
        let Place { assignment, totals } = &mut self.current;
        let from = core::mem::replace(&mut assignment[group], to);
        let after = self.problem.cost.totals_after(assignment, group, from, totals);
        self.note(after);
        self.current.assignment[group] = from;
        after
    }

    /// Counts an evaluation of the current assignment and remembers it if it is the nearest so far.
    fn note(&mut self, totals: Totals) {
        self.evaluations += 1;
        self.smallest = self.smallest.smallest(&totals);
        let excess = Excess::of(self.budgets, &totals);
        if excess.cmp(&self.nearest_excess).is_lt() {
            self.nearest = Place { assignment: self.current.assignment.clone(), totals };
            self.nearest_excess = excess;
        }
    }

    /// Moves `group` to `to`, where the network costs `totals`.
    pub(crate) fn take(&mut self, step: fn(Change) -> Step, group: usize, to: Candidate, totals: Totals) {
        let from = core::mem::replace(&mut self.current.assignment[group], to);
        self.current.totals = totals;
        self.record(step(Change { group, from, to }));
    }

    fn record(&mut self, step: Step) {
        self.points.push(Point {
            step,
            assignment: self.current.assignment.clone(),
            totals: self.current.totals,
            feasible: self.is_feasible(),
        });
    }

    /// Stage 2. Whether it met all budgets.
    fn walk(&mut self, useful: impl Fn(&Totals, &Totals) -> bool) -> bool {
        loop {
            let mut taken = false;
            for rank in 0..self.reasons.len() {
                taken |= self.try_flip(rank, Step::Flip, &useful);
                if taken && self.stops && self.is_feasible() {
                    return true;
                }
            }
            if !taken {
                return false;
            }
        }
    }

    /// Stage 3. Whether it met all budgets.
    fn take_all(&mut self) -> bool {
        (0..self.reasons.len()).any(|rank| self.try_flip(rank, Step::PlainFlip, |_, _| true) && self.is_feasible())
    }

    /// Takes the flip at `rank` of the list if it lowers w*a and `useful` agrees. Whether it did.
    fn try_flip(&mut self, rank: usize, step: fn(Change) -> Step, useful: impl Fn(&Totals, &Totals) -> bool) -> bool {
        let entry = self.problem.list()[rank];
        if self.reasons[rank].is_none() {
            return false;
        }
        if entry.candidate.product() >= self.candidate(entry.group).product() {
            self.reasons[rank] = Some(SkipReason::NotNarrower);
            return false;
        }
        let after = self.evaluate(entry.group, entry.candidate);
        if !useful(&self.current.totals, &after) {
            self.reasons[rank] = Some(SkipReason::NoViolatedCostFalls);
            return false;
        }
        self.take(step, entry.group, entry.candidate, after);
        self.reasons[rank] = None;
        true
    }

    /// Stage 4. Whether it met all budgets.
    ///
    /// Only where two candidates have equal w*a can the end of the list be another assignment.
    fn narrowest(&mut self) -> bool {
        let narrowest = self.problem.narrowest();
        if narrowest == self.current.assignment {
            return false;
        }
        let totals = self.problem.cost.totals(&narrowest);
        self.current = Place { assignment: narrowest, totals };
        self.note(totals);
        self.record(Step::Narrowest);
        self.is_feasible()
    }

    /// Stage 5. Whether it met all budgets.
    ///
    /// Each quantity whose budget the nearest point misses is minimised by itself, which also finds
    /// its smallest reachable value; then the sum of all excesses is.
    fn exchange(&mut self) -> bool {
        let missed = |quantity| self.budgets.iter().any(|b| b.quantity == quantity && !b.met(&self.nearest.totals));
        let quantities: Vec<Quantity> = Quantity::ALL.into_iter().filter(|&quantity| missed(quantity)).collect();
        // A value that is not modelled is larger than any.
        let key = |quantity, totals: &Totals| totals.get(quantity).map_or((1, 0), |v| (0, v));
        quantities.into_iter().any(|quantity| self.descend(|_, a, b| key(quantity, a).cmp(&key(quantity, b))))
            || self.descend(|budgets, a, b| excess_sum(budgets, a).total_cmp(&excess_sum(budgets, b)))
    }

    /// Coordinate descent from the nearest point: each group in turn to its best candidate, until a
    /// whole round changes nothing. Whether it met all budgets.
    fn descend(&mut self, order: impl Fn(&[Budget], &Totals, &Totals) -> Ordering) -> bool {
        self.return_to_nearest();
        loop {
            let mut changed = false;
            for group in 0..self.problem.choices.len() {
                let mut best: Option<(Candidate, Totals)> = None;
                for &choice in &self.problem.choices[group] {
                    if choice.candidate == self.candidate(group) {
                        continue;
                    }
                    let after = self.evaluate(group, choice.candidate);
                    if all_met(self.budgets, &after) {
                        self.take(Step::Exchange, group, choice.candidate, after);
                        return true;
                    }
                    let lowest = best.as_ref().map_or(&self.current.totals, |(_, totals)| totals);
                    if order(self.budgets, &after, lowest).is_lt() {
                        best = Some((choice.candidate, after));
                    }
                }
                if let Some((candidate, after)) = best {
                    self.take(Step::Exchange, group, candidate, after);
                    changed = true;
                }
            }
            if !changed {
                return false;
            }
        }
    }

    /// Undoes what was unnecessary and makes the result.
    fn finish(mut self, found: bool) -> Outcome {
        if !found {
            self.return_to_nearest();
        }
        loop {
            let held = held_budgets(self.budgets, &self.current.totals);
            undo::undo(&mut self, &held);
            // Where no point met all budgets, an undo may still come upon a nearer one.
            let excess = Excess::of(self.budgets, &self.current.totals);
            if self.nearest_excess.cmp(&excess).is_ge() {
                break;
            }
            self.return_to_nearest();
        }
        Outcome {
            feasible: self.is_feasible(),
            skipped: self.skipped(),
            assignment: self.current.assignment,
            totals: self.current.totals,
            first_feasible: self.points.iter().position(|point| point.feasible),
            points: self.points,
            smallest: self.smallest,
            evaluations: self.evaluations,
        }
    }

    fn return_to_nearest(&mut self) {
        if self.nearest.assignment != self.current.assignment {
            self.current = self.nearest.clone();
            self.record(Step::Nearest);
        }
    }

    fn skipped(&self) -> Vec<Skipped> {
        let list = self.problem.list().iter();
        let skip = |(entry, reason): (&crate::problem::Sensitivity, &Option<SkipReason>)| {
            reason.map(|reason| Skipped { group: entry.group, candidate: entry.candidate, reason })
        };
        list.zip(&self.reasons).filter_map(skip).collect()
    }
}

/// The budgets as an undo has to keep them: a budget that is missed must not be missed by more.
fn held_budgets(budgets: &[Budget], totals: &Totals) -> Vec<Budget> {
    let hold = |budget: &Budget| {
        let limit = totals.get(budget.quantity)?.max(budget.limit);
        Some(Budget { quantity: budget.quantity, limit })
    };
    budgets.iter().filter_map(hold).collect()
}
