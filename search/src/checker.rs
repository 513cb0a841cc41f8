//! An independent check of an assignment. It shares no code with the search and knows nothing of
//! how it works; it asks the cost model for the totals of every point anew.
//!
//! Invariants of an [`Outcome`]:
//! 1. every point gives each group one of its candidates, and its totals are the cost model's;
//! 2. a point is marked feasible exactly when no budget's value exceeds its limit;
//! 3. the first point is the widest assignment: in each group no candidate has a larger w*a, nor an
//!    equal one with more activation bits;
//! 4. a flip, an exchange and an undo change one group from what the point before had; a flip
//!    lowers its w*a and an undo raises it, and a flip (not a plain one) also lowers a cost that
//!    violated its budget;
//! 5. the last point is the result, the result is feasible exactly when some point is, and
//!    `first_feasible` is the first that is;
//! 6. an infeasible result comes with the narrowest assignment also infeasible;
//! 7. no group of a feasible result can go to a candidate of larger w*a and higher SQNR (the widest
//!    counts as highest) with all budgets still met;
//! 8. `smallest` is not above any point's value;
//! 9. flips come first and go down the sensitivity list, over and over: an entry of higher SQNR that
//!    a flip passes over lowers neither w*a nor, with it, a violated cost, and neither does any entry
//!    where the flips end without a feasible point. Plain flips go down the list once.

use alloc::vec::Vec;

use apq_lut::Candidate;
use thiserror::Error;

use crate::cost::{Budget, NetworkCost, Quantity, Totals};
use crate::group::Group;
use crate::outcome::{Change, Outcome, Point, Step};
use crate::problem::Sensitivity;

/// What is wrong with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A point's assignment has not one entry for each group.
    #[error("point {point} does not assign every group")]
    Length {
        /// Position of the point.
        point: usize,
    },
    /// A point gives a group what it cannot have.
    #[error("point {point} gives group {group} {candidate}, which it does not have")]
    NotACandidate {
        /// Position of the point.
        point: usize,
        /// Position of the group.
        group: usize,
        /// What it was given.
        candidate: Candidate,
    },
    /// A point's totals are not those of its assignment.
    #[error("point {point} claims totals that its assignment does not have")]
    Totals {
        /// Position of the point.
        point: usize,
    },
    /// A point is marked feasible and is not, or the reverse.
    #[error("point {point} is marked feasible or infeasible wrongly")]
    Mark {
        /// Position of the point.
        point: usize,
    },
    /// The first point is missing or is not the widest assignment.
    #[error("the path does not start at the widest candidate of group {group}")]
    Start {
        /// Position of the group.
        group: usize,
    },
    /// A flip, exchange or undo does not change just the group that it names, in its direction.
    #[error("point {point} is not the change away from the point before that it claims")]
    Change {
        /// Position of the point.
        point: usize,
    },
    /// A flip lowers no cost that violated its budget.
    #[error("point {point} is a flip that lowers no violated cost")]
    Useless {
        /// Position of the point.
        point: usize,
    },
    /// A flip is not in the sensitivity list, passes over an entry that should have come before it, or comes after other
    /// steps; or the flips end while there is one left.
    #[error("point {point} is not what the sensitivity list asks for next")]
    Order {
        /// Position of the point; of the point after the last flip, where the flips end too early.
        point: usize,
    },
    /// `first_feasible` is not the first feasible point.
    #[error("the first feasible point is not the one that is reported")]
    FirstFeasible,
    /// The result is not the last point, or its feasibility is not what the points say.
    #[error("the result does not agree with the path")]
    Result,
    /// The result is infeasible although the narrowest assignment meets all budgets.
    #[error("the result is infeasible, but the narrowest assignment meets all budgets")]
    NarrowestIsFeasible,
    /// A flip was not necessary.
    #[error("group {group} could go to {candidate} with all budgets still met")]
    UndoLeft {
        /// Position of the group.
        group: usize,
        /// Where it could go.
        candidate: Candidate,
    },
    /// `smallest` is larger than a value on the path.
    #[error("point {point} has less {quantity} than the smallest value that is reported")]
    Smallest {
        /// Position of the point.
        point: usize,
        /// The quantity.
        quantity: Quantity,
    },
}

/// Checks `outcome` against the problem that it answers.
///
/// # Errors
/// The first [`Fault`] that is found.
pub fn check(
    groups: &[Group],
    sensitivities: &[Sensitivity],
    cost: &dyn NetworkCost,
    budgets: &[Budget],
    outcome: &Outcome,
) -> Result<(), Fault> {
    check_points(groups, cost, budgets, outcome)?;
    check_start(groups, outcome)?;
    check_changes(outcome)?;
    check_flips(sensitivities, cost, budgets, outcome)?;
    let last = outcome.points.last().ok_or(Fault::Result)?;
    let any = outcome.points.iter().any(|point| point.feasible);
    let same = last.assignment == outcome.assignment && last.totals == outcome.totals;
    if !same || outcome.feasible != last.feasible || outcome.feasible != any {
        return Err(Fault::Result);
    }
    if outcome.first_feasible != (0..outcome.points.len()).find(|&point| outcome.points[point].feasible) {
        return Err(Fault::FirstFeasible);
    }
    if outcome.feasible {
        check_undone(groups, sensitivities, cost, budgets, outcome)
    } else {
        let totals = cost.totals(&narrowest(groups));
        if meets(budgets, &totals) { Err(Fault::NarrowestIsFeasible) } else { Ok(()) }
    }
}

/// Invariants 1, 2 and 8.
fn check_points(groups: &[Group], cost: &dyn NetworkCost, budgets: &[Budget], outcome: &Outcome) -> Result<(), Fault> {
    for (point, at) in outcome.points.iter().enumerate() {
        if at.assignment.len() != groups.len() {
            return Err(Fault::Length { point });
        }
        for (group, &candidate) in at.assignment.iter().enumerate() {
            if !groups[group].candidates.contains(&candidate) {
                return Err(Fault::NotACandidate { point, group, candidate });
            }
        }
        let totals = cost.totals(&at.assignment);
        if totals != at.totals {
            return Err(Fault::Totals { point });
        }
        if meets(budgets, &totals) != at.feasible {
            return Err(Fault::Mark { point });
        }
        for quantity in Quantity::ALL {
            let least = value(&outcome.smallest, quantity);
            if value(&totals, quantity).is_some_and(|v| least.is_none_or(|least| least > v)) {
                return Err(Fault::Smallest { point, quantity });
            }
        }
    }
    Ok(())
}

/// Invariant 3.
fn check_start(groups: &[Group], outcome: &Outcome) -> Result<(), Fault> {
    let first = outcome.points.first().ok_or(Fault::Result)?;
    if first.step != Step::Start {
        return Err(Fault::Result);
    }
    for (group, &start) in first.assignment.iter().enumerate() {
        let wider = |other: &Candidate| {
            let (own, others) = (bit_product(start), bit_product(*other));
            others > own || (others == own && other.activation_bits > start.activation_bits)
        };
        if groups[group].candidates.iter().any(wider) {
            return Err(Fault::Start { group });
        }
    }
    Ok(())
}

/// Invariant 4.
fn check_changes(outcome: &Outcome) -> Result<(), Fault> {
    for (index, pair) in outcome.points.windows(2).enumerate() {
        let point = index + 1;
        let (change, narrows, widens) = match pair[1].step {
            Step::Flip(change) | Step::PlainFlip(change) => (change, true, false),
            Step::Undo(change) => (change, false, true),
            Step::Exchange(change) => (change, false, false),
            Step::Narrowest | Step::Nearest => continue,
            Step::Start => return Err(Fault::Change { point }),
        };
        let (before, after) = (bit_product(change.from), bit_product(change.to));
        let mut expected = pair[0].assignment.clone();
        let named = expected.get_mut(change.group).is_some_and(|candidate| {
            let matches = *candidate == change.from;
            *candidate = change.to;
            matches
        });
        let wrong_way = (narrows && after >= before) || (widens && after <= before);
        if !named || expected != pair[1].assignment || wrong_way {
            return Err(Fault::Change { point });
        }
    }
    Ok(())
}

/// Invariant 9, and what invariant 4 says of costs.
fn check_flips(sensitivities: &[Sensitivity], cost: &dyn NetworkCost, budgets: &[Budget], outcome: &Outcome) -> Result<(), Fault> {
    let sqnr = |change: Change| {
        let mut entries = sensitivities.iter();
        entries.find(|entry| entry.group == change.group && entry.candidate == change.to).map(|entry| entry.sqnr_db)
    };
    // Whether an entry in this range of SQNR, both ends exclusive, was to be taken at `at`.
    let left = |at: &Point, above: Option<f64>, below: Option<f64>| {
        let inside = |entry: &&Sensitivity| above.is_none_or(|db| entry.sqnr_db > db) && below.is_none_or(|db| entry.sqnr_db < db);
        sensitivities.iter().filter(inside).any(|entry| {
            let mut assignment = at.assignment.clone();
            let from = core::mem::replace(&mut assignment[entry.group], entry.candidate);
            bit_product(entry.candidate) < bit_product(from) && lowers_violated(budgets, &at.totals, &cost.totals(&assignment))
        })
    };
    let (mut flips_ended, mut flip_before, mut plain_before) = (false, None, None);
    for (index, pair) in outcome.points.windows(2).enumerate() {
        let (before, point) = (&pair[0], index + 1);
        let Step::Flip(change) = pair[1].step else {
            if !flips_ended && !before.feasible && left(before, None, None) {
                return Err(Fault::Order { point });
            }
            flips_ended = true;
            if let Step::PlainFlip(change) = pair[1].step {
                let db = sqnr(change).ok_or(Fault::Order { point })?;
                if plain_before.replace(db).is_some_and(|before| db > before) {
                    return Err(Fault::Order { point });
                }
            }
            continue;
        };
        if !lowers_violated(budgets, &before.totals, &pair[1].totals) {
            return Err(Fault::Useless { point });
        }
        let db = sqnr(change).ok_or(Fault::Order { point })?;
        let passed_over = match flip_before.replace(db) {
            // A new pass: down to the end of the list, and from its top.
            Some(last) if db > last => left(before, None, Some(last)) || left(before, Some(db), None),
            last => left(before, Some(db), last),
        };
        if flips_ended || passed_over {
            return Err(Fault::Order { point });
        }
    }
    let last = outcome.points.last().ok_or(Fault::Result)?;
    let unfinished = !flips_ended && !last.feasible && left(last, None, None);
    if unfinished { Err(Fault::Order { point: outcome.points.len() }) } else { Ok(()) }
}

/// Whether a cost that violates its budget at `before` is lower at `after`.
fn lowers_violated(budgets: &[Budget], before: &Totals, after: &Totals) -> bool {
    budgets.iter().any(|budget| match (value(before, budget.quantity), value(after, budget.quantity)) {
        (Some(before), Some(after)) => before > budget.limit && after < before,
        (None, Some(_)) => true,
        (_, None) => false,
    })
}

/// Invariant 7.
fn check_undone(
    groups: &[Group],
    sensitivities: &[Sensitivity],
    cost: &dyn NetworkCost,
    budgets: &[Budget],
    outcome: &Outcome,
) -> Result<(), Fault> {
    let start = outcome.points.first().ok_or(Fault::Result)?;
    let measured = |group: usize, candidate: Candidate| {
        if start.assignment[group] == candidate {
            return f64::INFINITY;
        }
        let mut entries = sensitivities.iter();
        let entry = entries.find(|entry| entry.group == group && entry.candidate == candidate);
        entry.map_or(f64::NEG_INFINITY, |entry| entry.sqnr_db)
    };
    let mut assignment = outcome.assignment.clone();
    for group in 0..groups.len() {
        let chosen = assignment[group];
        for &candidate in &groups[group].candidates {
            let wider = bit_product(candidate) > bit_product(chosen);
            if wider && measured(group, candidate) > measured(group, chosen) {
                assignment[group] = candidate;
                if meets(budgets, &cost.totals(&assignment)) {
                    return Err(Fault::UndoLeft { group, candidate });
                }
            }
        }
        assignment[group] = chosen;
    }
    Ok(())
}

fn narrowest(groups: &[Group]) -> Vec<Candidate> {
    let mut narrowest = Vec::new();
    for group in groups {
        let mut candidates = group.candidates.clone();
        candidates.sort_by_key(|c| (bit_product(*c), c.activation_bits));
        narrowest.extend(candidates.first());
    }
    narrowest
}

fn bit_product(candidate: Candidate) -> u16 {
    u16::from(candidate.weight_bits) * u16::from(candidate.activation_bits)
}

fn value(totals: &Totals, quantity: Quantity) -> Option<u64> {
    match quantity {
        Quantity::Bops => Some(totals.bops),
        Quantity::Latency => totals.latency_ns,
        Quantity::Energy => totals.energy_pj,
        Quantity::Cycles => totals.cycles,
        Quantity::Flash => Some(totals.flash_bytes),
        Quantity::Ram => Some(totals.ram_bytes),
    }
}

fn meets(budgets: &[Budget], totals: &Totals) -> bool {
    let mut missed = 0;
    for budget in budgets {
        match value(totals, budget.quantity) {
            Some(value) if value <= budget.limit => {}
            _ => missed += 1,
        }
    }
    missed == 0
}
