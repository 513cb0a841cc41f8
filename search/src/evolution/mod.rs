//! Search for the best design under budgets: evolution, its many-objective form, and the baselines that it is compared with.
//!
//! Source: "APQ: Joint Search for Network Architecture, Pruning and Quantization Policy", section 3.3 and algorithm 1. Architecture, widths and bit widths
//! are searched together; what a design is worth comes from a [`Scorer`], usually a [`Predicted`] accuracy, and what it costs from [`Costs`]. A design
//! over any budget is discarded before it is scored, and no design is scored twice in one search.
//!
//! Equal input gives equal results: randomness is a ChaCha8 of the caller's seed, and whatever threads a scorer uses, the search asks it for one batch
//! after the other.

mod baseline;
mod cheapest;
mod domain;
mod error;
mod evolve;
mod joint;
mod judge;
mod pareto;
mod predicted;
mod start;
mod variation;

use alloc::vec::Vec;

use crate::cost::{Budget, Totals};
use crate::space::{Design, DesignCosts};

pub use baseline::{Chain, Sequential, Stage, random, sequential, widest_largest};
pub use cheapest::{cheapest, feasible, together};
pub use domain::{Domain, EmptyDomain};
pub use error::{SearchError, Smallest};
pub use evolve::evolve;
pub use joint::{Joint, Watched, joint};
pub use pareto::{Front, pareto};
pub use predicted::Predicted;

/// What designs are worth.
pub trait Scorer {
    /// The score of each design, in their order; the higher, the better. What is not a number counts as worst.
    ///
    /// The score of a design must not depend on the designs beside it.
    fn score(&mut self, designs: &[Design]) -> Vec<f32>;
}

impl<F: FnMut(&[Design]) -> Vec<f32>> Scorer for F {
    fn score(&mut self, designs: &[Design]) -> Vec<f32> {
        self(designs)
    }
}

/// What designs cost.
pub trait Costs {
    /// The costs of a design. Each is a sum over the blocks of what they cost at their shape and bit widths, but RAM, which may be a maximum. `None` for
    /// a design that cannot be had; it is discarded.
    fn totals(&self, design: &Design) -> Option<Totals>;
}

impl<F: Fn(&Design) -> Option<Totals>> Costs for F {
    fn totals(&self, design: &Design) -> Option<Totals> {
        self(design)
    }
}

impl Costs for DesignCosts {
    fn totals(&self, design: &Design) -> Option<Totals> {
        self.cost(design).ok().map(|cost| cost.totals)
    }
}

/// What is searched, what it costs, and what it may cost.
#[derive(Clone, Copy)]
pub struct Deployment<'a> {
    /// The designs.
    pub domain: &'a Domain,
    /// Their costs.
    pub costs: &'a dyn Costs,
    /// All of them are met by every result.
    pub budgets: &'a [Budget],
}

/// Sizes of an evolution; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Designs of the first iteration.
    pub population: usize,
    /// Best designs of all that have been scored, from which the next are made.
    pub parents: usize,
    /// New designs of an iteration by mutation of a parent.
    pub mutations: usize,
    /// New designs of an iteration by crossover of two parents.
    pub crossovers: usize,
    /// Probability that a mutation draws a choice of a layer anew; three in four mutations draw one choice alone.
    pub mutation_rate: f32,
    /// Times that designs are scored. Fewer are made where no new design is found any more.
    pub iterations: usize,
    /// Of all randomness.
    pub seed: u64,
    /// Designs that are in the first population, where they meet the budgets.
    pub initial: Vec<Design>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            population: 100,
            parents: 25,
            mutations: 50,
            crossovers: 50,
            mutation_rate: 0.1,
            iterations: 500,
            seed: 0,
            initial: Vec::new(),
        }
    }
}

impl Options {
    /// Designs that are scored at most.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        let later = self.iterations.saturating_sub(1).saturating_mul(self.mutations.saturating_add(self.crossovers));
        self.population.saturating_add(later)
    }

    /// Designs that a [`joint()`] search scores at most, the sequential search that it begins with included.
    #[must_use]
    pub fn joint_evaluations(&self) -> usize {
        baseline::evaluations(self).saturating_add(self.evaluations())
    }
}

/// A design with what it is worth and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The design.
    pub design: Design,
    /// By the scorer; never "not a number".
    pub score: f32,
    /// By the cost model.
    pub totals: Totals,
}

/// Result of a search for one best design.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The best designs of all that were scored, the best first: at least one, at most as many as there are parents.
    pub best: Vec<Scored>,
    /// The best score after each iteration.
    pub history: Vec<f32>,
    /// Designs that were scored, each counted once.
    pub evaluations: u64,
    /// Designs that were over a budget.
    pub discarded: u64,
}

#[cfg(test)]
mod tests;
