//! The input of the assignment: groups, sensitivity list and cost model, validated and in order.

use alloc::vec::Vec;
use core::cmp::Ordering;

use thiserror::Error;

use crate::cost::{NetworkCost, Quantity, Totals};
use crate::group::{Candidate, Group, width};

/// One entry of the sensitivity list: the network's SQNR when only `group` is quantized, at
/// `candidate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// Position of the group in graph order.
    pub group: usize,
    /// Bit widths of the group; all other groups stay in float.
    pub candidate: Candidate,
    /// SQNR in dB, not NaN.
    pub sqnr_db: f64,
}

/// Why an assignment problem is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProblemError {
    /// A group has no candidates.
    #[error("group {group} has no candidates")]
    NoCandidates {
        /// Position of the group.
        group: usize,
    },
    /// A group lists a candidate twice.
    #[error("group {group} lists {candidate} twice")]
    RepeatedCandidate {
        /// Position of the group.
        group: usize,
        /// The candidate.
        candidate: Candidate,
    },
    /// The sensitivity list names a group that does not exist.
    #[error("the sensitivity list names group {group}, which does not exist")]
    UnknownGroup {
        /// Position that was named.
        group: usize,
    },
    /// The sensitivity list names a candidate that its group does not have.
    #[error("the sensitivity list names {candidate}, which group {group} does not have")]
    UnknownCandidate {
        /// Position of the group.
        group: usize,
        /// The candidate.
        candidate: Candidate,
    },
    /// The sensitivity list holds two values for one candidate of one group.
    #[error("the sensitivity list has two entries for group {group} at {candidate}")]
    RepeatedEntry {
        /// Position of the group.
        group: usize,
        /// The candidate.
        candidate: Candidate,
    },
    /// A candidate other than its group's widest has no entry in the sensitivity list.
    #[error("the sensitivity list has no entry for group {group} at {candidate}")]
    MissingEntry {
        /// Position of the group.
        group: usize,
        /// The candidate.
        candidate: Candidate,
    },
    /// An SQNR is not a number.
    #[error("the SQNR of group {group} at {candidate} is not a number")]
    NotANumber {
        /// Position of the group.
        group: usize,
        /// The candidate.
        candidate: Candidate,
    },
    /// A limited quantity is no sum over the groups, which the exact assignment needs.
    #[error("{quantity} is not the sum of what the groups cost")]
    NotAdditive {
        /// The quantity.
        quantity: Quantity,
    },
    /// A quantity that is to be limited is not modelled for this target.
    #[error("{quantity} is not modelled for this target")]
    NotModelled {
        /// The quantity.
        quantity: Quantity,
    },
}

/// A candidate of a group as the search sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) candidate: Candidate,
    /// Position in the sorted list: the larger, the more harmful. `None` for the widest candidate,
    /// where every group starts and to which no flip leads.
    pub(crate) rank: Option<usize>,
    /// SQNR in dB; plus infinity for the widest candidate, whatever was measured for it: one lucky
    /// sample must not make a narrower candidate look better than the baseline.
    pub(crate) sqnr_db: f64,
}

/// An assignment problem: what can be chosen, what it harms and what it costs.
pub struct Problem<'a> {
    pub(crate) cost: &'a dyn NetworkCost,
    /// Highest SQNR first; without the widest candidates.
    list: Vec<Sensitivity>,
    /// For each group its candidates from the widest to the narrowest.
    pub(crate) choices: Vec<Vec<Choice>>,
    /// Totals with every group at its widest candidate.
    pub(crate) widest_totals: Totals,
}

impl<'a> Problem<'a> {
    /// Validates and sorts.
    ///
    /// `sensitivities` needs one entry for each candidate of each group except the widest; entries
    /// for the widest are accepted and not used. Its order does not matter.
    ///
    /// # Errors
    /// See [`ProblemError`].
    pub fn new(groups: &[Group], sensitivities: &[Sensitivity], cost: &'a dyn NetworkCost) -> Result<Self, ProblemError> {
        let mut choices = Vec::with_capacity(groups.len());
        for (group, definition) in groups.iter().enumerate() {
            choices.push(sorted_choices(group, definition)?);
        }
        for entry in sensitivities {
            enter(&mut choices, entry)?;
        }
        for (group, of_group) in choices.iter_mut().enumerate() {
            if let Some(missing) = of_group.iter().skip(1).find(|choice| choice.sqnr_db.is_nan()) {
                return Err(ProblemError::MissingEntry { group, candidate: missing.candidate });
            }
            of_group[0].sqnr_db = f64::INFINITY;
        }

        let widest: Vec<Candidate> = choices.iter().map(|of_group| of_group[0].candidate).collect();
        let widest_totals = cost.totals(&widest);
        let mut list: Vec<Sensitivity> = Vec::new();
        for (group, of_group) in choices.iter().enumerate() {
            list.extend(of_group.iter().skip(1).map(|choice| Sensitivity { group, candidate: choice.candidate, sqnr_db: choice.sqnr_db }));
        }
        sort(&mut list, &widest, &widest_totals, cost);
        for (rank, entry) in list.iter().enumerate() {
            for choice in &mut choices[entry.group] {
                if choice.candidate == entry.candidate {
                    choice.rank = Some(rank);
                }
            }
        }
        Ok(Self { cost, list, choices, widest_totals })
    }

    /// The sensitivity list in the order in which flips are tried: highest SQNR first, ties broken
    /// by bits (narrower first), then by BOPs saved, then by graph order. The widest candidates,
    /// which are the baseline, are not in it.
    pub fn list(&self) -> &[Sensitivity] {
        &self.list
    }

    /// The baseline: every group at its widest candidate.
    pub fn widest(&self) -> Vec<Candidate> {
        self.choices.iter().map(|of_group| of_group[0].candidate).collect()
    }

    /// Every group at its narrowest candidate.
    pub fn narrowest(&self) -> Vec<Candidate> {
        self.choices.iter().map(|of_group| of_group[of_group.len() - 1].candidate).collect()
    }

    /// The entry of `choices` that `group` has in an assignment.
    pub(crate) fn choice(&self, group: usize, candidate: Candidate) -> Option<&Choice> {
        self.choices[group].iter().find(|choice| choice.candidate == candidate)
    }
}

/// A group's candidates from the widest to the narrowest, with NaN where an SQNR is still missing.
fn sorted_choices(group: usize, definition: &Group) -> Result<Vec<Choice>, ProblemError> {
    let unknown = |&candidate: &Candidate| Choice { candidate, rank: None, sqnr_db: f64::NAN };
    let mut choices: Vec<Choice> = definition.candidates.iter().map(unknown).collect();
    choices.sort_by_key(|choice| core::cmp::Reverse(width(choice.candidate)));
    if choices.is_empty() {
        return Err(ProblemError::NoCandidates { group });
    }
    match choices.windows(2).find(|pair| pair[0].candidate == pair[1].candidate) {
        Some(pair) => Err(ProblemError::RepeatedCandidate { group, candidate: pair[0].candidate }),
        None => Ok(choices),
    }
}

/// Puts one entry of the sensitivity list where it belongs.
fn enter(choices: &mut [Vec<Choice>], entry: &Sensitivity) -> Result<(), ProblemError> {
    let &Sensitivity { group, candidate, sqnr_db } = entry;
    if sqnr_db.is_nan() {
        return Err(ProblemError::NotANumber { group, candidate });
    }
    let of_group = choices.get_mut(group).ok_or(ProblemError::UnknownGroup { group })?;
    let choice =
        of_group.iter_mut().find(|choice| choice.candidate == candidate).ok_or(ProblemError::UnknownCandidate { group, candidate })?;
    if !choice.sqnr_db.is_nan() {
        return Err(ProblemError::RepeatedEntry { group, candidate });
    }
    // Adding positive zero makes the two zeros one, so that they tie.
    choice.sqnr_db = sqnr_db + 0.0;
    Ok(())
}

/// Sorts the list. BOPs are asked for only where SQNR and bits leave a tie, because a cost model
/// may be slow.
fn sort(list: &mut [Sensitivity], widest: &[Candidate], widest_totals: &Totals, cost: &dyn NetworkCost) {
    let by_sqnr_and_bits = |a: &Sensitivity, b: &Sensitivity| -> Ordering {
        b.sqnr_db.total_cmp(&a.sqnr_db).then(width(a.candidate).cmp(&width(b.candidate)))
    };
    list.sort_by(|a, b| by_sqnr_and_bits(a, b).then(a.group.cmp(&b.group)));
    let mut assignment = widest.to_vec();
    for tied in list.chunk_by_mut(|a, b| by_sqnr_and_bits(a, b).is_eq()) {
        if tied.len() > 1 {
            tied.sort_by_cached_key(|entry| {
                let from = core::mem::replace(&mut assignment[entry.group], entry.candidate);
                let flipped = cost.totals_after(&assignment, entry.group, from, widest_totals);
                assignment[entry.group] = from;
                // Fewer BOPs left = more saved; the sort is stable, so graph order remains.
                flipped.bops
            });
        }
    }
}

impl Choice {
    /// Whether a group that moves from `self` to `other` is harmed less and costs more bits: what
    /// an undo may do.
    pub(crate) fn is_undone_by(&self, other: &Self) -> bool {
        other.candidate.product() > self.candidate.product() && other.sqnr_db > self.sqnr_db
    }
}
