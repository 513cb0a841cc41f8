//! The assignment with the least additive noise under all budgets, exactly.
//!
//! Noise and all costs but RAM are sums over the groups, so this is a multiple-choice knapsack with one constraint for each
//! budget. [`table`] takes the problem apart into those sums, [`dual`] finds multipliers whose bound holds for every
//! assignment, [`states`] builds assignments group by group and keeps those that are neither dominated nor bounded away.
//! RAM is a maximum over steps of the network, not a sum: [`ram`] solves without it, looks at the real RAM of the result, and
//! branches on a smallest set of groups that cannot be as wide together.

mod dual;
mod ram;
mod states;
mod table;

use alloc::vec::Vec;

use crate::cost::{Budget, Totals, all_met};
use crate::group::Candidate;
use crate::noise;
use crate::problem::{Problem, ProblemError};
use states::STATES_MAX;
use table::Table;

/// The result of [`Problem::assign_exact`].
#[derive(Clone, Debug, PartialEq)]
pub struct Exact {
    /// The assignment with the least noise that was found; `None` where none meets all budgets.
    pub best: Option<Best>,
    /// No assignment that meets all budgets has less noise than this, relative to the signal.
    pub noise_min: f64,
    /// Whether `best` is proved to be the least, or that there is none; false only where the limits on time and memory cut
    /// the search.
    pub proved: bool,
    /// How often the cost model was asked.
    pub evaluations: usize,
}

/// How much an exact search may do; past it the result is not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Partial assignments that are kept at once.
    states_max: usize,
    /// Subproblems of a RAM budget that are solved.
    nodes_max: usize,
}

impl Default for Effort {
    /// For the one assignment that counts.
    fn default() -> Self {
        Effort { states_max: STATES_MAX, nodes_max: 200 }
    }
}

impl Effort {
    /// A sixteenth of the states and a tenth of the subproblems, for one of many assignments.
    pub fn quick() -> Self {
        Effort { states_max: STATES_MAX / 16, nodes_max: 20 }
    }
}

/// An assignment that meets all budgets.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The candidate of each group, in graph order.
    pub assignment: Vec<Candidate>,
    /// Cost of the network.
    pub totals: Totals,
    /// Sum of the groups' noises relative to the signal.
    pub noise: f64,
}

impl Problem<'_> {
    /// The assignment with the least noise, [`Problem::noise`], among those that meet all `budgets`.
    ///
    /// All quantities but RAM have to be sums over the groups. RAM must not grow when a group goes to a candidate with fewer
    /// activation bits, nor depend on weight bits; where a memory plan does so, the result still meets every budget, but need not be
    /// the least. `start` is an assignment known to be good, such as that of
    /// [`Problem::assign`]: it saves time and changes the result only between assignments of equal noise.
    ///
    /// # Errors
    /// [`ProblemError::NotModelled`] when the cost model has no value for a budget's quantity, [`ProblemError::NotAdditive`]
    /// when a quantity is no sum over the groups.
    pub fn assign_exact(&self, budgets: &[Budget], start: Option<&[Candidate]>) -> Result<Exact, ProblemError> {
        self.assign_exact_within(budgets, start, Effort::default())
    }

    /// [`Problem::assign_exact`] with limits on the work. The result is never noisier than `start`.
    ///
    /// # Errors
    /// As [`Problem::assign_exact`].
    pub fn assign_exact_within(&self, budgets: &[Budget], start: Option<&[Candidate]>, effort: Effort) -> Result<Exact, ProblemError> {
        let table = Table::new(self, budgets)?;
        let start = start.filter(|assignment| assignment.len() == self.choices.len() && all_met(budgets, &self.cost.totals(assignment)));
        let mut search = ram::Search::new(self, &table, budgets, effort);
        let found = search.solve(start);
        let evaluations = table.evaluations + search.evaluations + 1;
        let best = match found.choices {
            Some(choices) => Some(self.verified(&table, budgets, &choices)?),
            None => None,
        };
        Ok(Exact { best, noise_min: noise::relative(found.bound), proved: found.proved, evaluations })
    }

    /// Asks the cost model for the totals of the result anew.
    fn verified(&self, table: &Table, budgets: &[Budget], choices: &[usize]) -> Result<Best, ProblemError> {
        let assignment: Vec<Candidate> = choices.iter().zip(&self.choices).map(|(&choice, group)| group[choice].candidate).collect();
        let totals = self.cost.totals(&assignment);
        if let Some(quantity) = table.differs(choices, &totals).or_else(|| budgets.iter().find(|b| !b.met(&totals)).map(|b| b.quantity)) {
            return Err(ProblemError::NotAdditive { quantity });
        }
        let noise = self.noise(&assignment);
        Ok(Best { assignment, totals, noise })
    }
}
