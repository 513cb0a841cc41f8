//! Why a search has no result.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::domain::EmptyDomain;
use crate::cost::{Budget, Quantity};

/// What the cheapest design costs, beside a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Smallest {
    /// The budget.
    pub budget: Budget,
    /// The smallest value that any design has.
    pub value: u64,
}

/// Why a search has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Some budget is below the cheapest design.
    #[error("no design meets the budgets: {}", listed(.0))]
    Infeasible(
        /// For each budget, what the design costs that is cheapest by it.
        Vec<Smallest>,
    ),
    /// Each budget can be met, and no design was found that meets all of them.
    #[error("no design was found that meets all budgets at once, though some meet each: {}", listed(.0))]
    Together(
        /// For each budget, what the design costs that is cheapest by it.
        Vec<Smallest>,
    ),
    /// A quantity has no figures for this target.
    #[error("{0} is not modelled for this target")]
    NotModelled(
        /// The quantity.
        Quantity,
    ),
    /// The scorer gave another number of scores.
    #[error("the scorer gave {got} scores for {asked} designs")]
    Scores {
        /// Designs.
        asked: usize,
        /// Scores.
        got: usize,
    },
    /// An option that allows no search.
    #[error("a search needs {0}")]
    Options(
        /// What it needs.
        &'static str,
    ),
    /// Nothing is left to choose from.
    #[error(transparent)]
    Domain(#[from] EmptyDomain),
}

fn listed(smallest: &[Smallest]) -> String {
    let mut text = String::new();
    for (index, Smallest { budget: Budget { quantity, limit }, value }) in smallest.iter().enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        let unit = unit(*quantity);
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{quantity} is at least {value}{unit}, and the budget is {limit}{unit}");
    }
    text
}

/// Unit of a quantity's field in the totals.
fn unit(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Latency => " ns",
        Quantity::Energy => " pJ",
        Quantity::Flash | Quantity::Ram => " bytes",
        Quantity::Bops | Quantity::Cycles => "",
    }
}
