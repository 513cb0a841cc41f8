//! What an assignment search returns.

use alloc::vec::Vec;

use crate::cost::Totals;
use crate::group::Candidate;

/// One group's change of bit widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Position of the group.
    pub group: usize,
    /// Candidate before.
    pub from: Candidate,
    /// Candidate after.
    pub to: Candidate,
}

/// How a point of the path was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Where the path begins: every group at its widest candidate, or the assignment that a curve was asked to start from.
    Start,
    /// A flip in list order that lowers w*a and a cost that still violated its budget.
    Flip(Change),
    /// A flip in list order that lowers w*a only. Taken when no flip alone lowers a violated cost
    /// but several together may, as where two layers need equally much RAM.
    PlainFlip(Change),
    /// Every group at its narrowest candidate, after all flips were taken without success.
    Narrowest,
    /// A change to whichever candidate lowers a violated cost, narrower or wider, after narrower
    /// ones alone did not suffice. It starts from the point that came nearest.
    Exchange(Change),
    /// Back to the nearest of all assignments looked at, while none met all budgets.
    Nearest,
    /// A flip taken back, at least in part: to a wider candidate of higher SQNR.
    Undo(Change),
}

/// One point of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What led here.
    pub step: Step,
    /// The candidate of each group, in graph order.
    pub assignment: Vec<Candidate>,
    /// Cost of the network.
    pub totals: Totals,
    /// Whether all budgets are met here.
    pub feasible: bool,
}

/// Why an entry of the sensitivity list is not among the flips that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// w*a of the group would not have fallen: a flip higher in the list had gone as far.
    NotNarrower,
    /// No cost that violated its budget would have fallen.
    NoViolatedCostFalls,
    /// All budgets were met before its turn came.
    NotNeeded,
}

/// An entry of the sensitivity list that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Position of the group.
    pub group: usize,
    /// The candidate that the entry would have led to.
    pub candidate: Candidate,
    /// Why it was not taken the last time it was looked at.
    pub reason: SkipReason,
}

/// The curve without budgets: from the widest candidates down the whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    /// The start and every flip that was taken.
    pub points: Vec<Point>,
    /// The entries of the list that were not.
    pub skipped: Vec<Skipped>,
}

/// The result of an assignment under efficiency budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether `assignment` meets all budgets. If not, it is the nearest that was found: the one
    /// whose worst budget is exceeded by the smallest share of its limit, then the one that misses
    /// fewest budgets, then the one found first.
    pub feasible: bool,
    /// The candidate of each group, in graph order.
    pub assignment: Vec<Candidate>,
    /// Cost of the network under `assignment`.
    pub totals: Totals,
    /// Position in `points` of the first point that met all budgets, if any did.
    pub first_feasible: Option<usize>,
    /// Every point that was taken, in order. The last one is `assignment`.
    pub points: Vec<Point>,
    /// The entries of the sensitivity list that were not taken.
    pub skipped: Vec<Skipped>,
    /// For each quantity the smallest value that any assignment looked at had. When the result is
    /// infeasible, each quantity whose budget is missed has been minimised by itself, which is
    /// exact for costs that are sums over the groups.
    pub smallest: Totals,
    /// How often the cost model was asked.
    pub evaluations: usize,
}
