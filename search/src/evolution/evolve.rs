//! Evolution under budgets: algorithm 1 of the paper.

use alloc::vec::Vec;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::judge::{Judge, better};
use super::start::start;
use super::variation::{Variation, any};
use super::{Deployment, Found, Options, Scored, Scorer, SearchError};
use crate::cost::Totals;
use crate::space::Design;

/// Attempts at a new design that meets the budgets; a child that fails them all is left out of its iteration.
const ATTEMPTS: usize = 20;

/// Attempts with the rate as it is; later ones mutate less, down to one choice.
const FULL_ATTEMPTS: usize = 5;

/// Choices of a child over a budget that are drawn anew. Without that a stage would hardly ever become deeper close to a budget.
const CHANGES: usize = 24;

/// The designs with the highest scores that meet all budgets.
///
/// As in the paper, the parents of an iteration are the best of all designs so far, and the result is what they are at the end, and no design over a budget is
/// scored. Beyond the paper, a child over a budget is not given up at once: single choices are drawn anew as long as that brings it closer. Where a child was
/// scored before, another is made in its place.
///
/// # Errors
/// No design meets the budgets, a quantity with a budget is not modelled, the scorer gives another number of scores, or an option is none.
pub fn evolve(deployment: &Deployment<'_>, scorer: &mut dyn Scorer, options: &Options) -> Result<Found, SearchError> {
    options.check()?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let variation = Variation::new(deployment.domain);
    let mut judge = Judge::new(*deployment, scorer);
    let rate = options.mutation_rate;
    let first = start(&mut judge, &variation, &options.initial, (options.population, rate), &mut rng)?;
    let mut best = judge.score(first)?;
    select(&mut best, options.parents);
    let mut history: Vec<f32> = best.first().map(|first| first.score).into_iter().collect();
    for _ in 1..options.iterations {
        let mut children = Vec::with_capacity(options.mutations + options.crossovers);
        for _ in 0..options.mutations {
            children.extend(mutant(&mut judge, &variation, &best, rate, &mut rng));
        }
        for _ in 0..options.crossovers {
            children.extend(cross(&mut judge, &variation, &best, rate, &mut rng));
        }
        if children.is_empty() {
            break;
        }
        best.append(&mut judge.score(children)?);
        select(&mut best, options.parents);
        history.extend(best.first().map(|first| first.score));
    }
    Ok(Found { best, history, evaluations: judge.evaluations, discarded: judge.discarded })
}

/// Keeps the best, the best first.
pub(super) fn select(designs: &mut Vec<Scored>, count: usize) {
    designs.sort_by(better);
    designs.truncate(count);
}

/// A new design by mutation of one of `parents`.
pub(super) fn mutant(
    judge: &mut Judge<'_, '_>,
    variation: &Variation<'_>,
    parents: &[Scored],
    rate: f32,
    rng: &mut ChaCha8Rng,
) -> Option<(Design, Totals)> {
    let mut rate = rate;
    for attempt in 0..ATTEMPTS {
        let parent = any(parents, rng)?;
        if attempt >= FULL_ATTEMPTS {
            rate *= 0.8;
        }
        let admitted = judge.admit_repaired(variation.mutate(&parent.design, rate, rng), variation, CHANGES, rng);
        if admitted.is_some() {
            return admitted;
        }
    }
    None
}

/// A new design by crossover of two of `parents`. Where parents are so alike that there is none, a mutation of one.
pub(super) fn cross(
    judge: &mut Judge<'_, '_>,
    variation: &Variation<'_>,
    parents: &[Scored],
    rate: f32,
    rng: &mut ChaCha8Rng,
) -> Option<(Design, Totals)> {
    for _ in 0..FULL_ATTEMPTS {
        let (first, second) = (any(parents, rng)?, any(parents, rng)?);
        let admitted = judge.admit_repaired(variation.cross(&first.design, &second.design, rng), variation, CHANGES, rng);
        if admitted.is_some() {
            return admitted;
        }
    }
    mutant(judge, variation, parents, rate, rng)
}

impl Options {
    /// Checks that there is something to do.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        let needs = [
            (self.population > 0, "a population of at least 1"),
            (self.parents > 0, "at least 1 parent"),
            (self.iterations > 0, "at least 1 iteration"),
            ((0.0..=1.0).contains(&self.mutation_rate), "a mutation rate from 0 to 1"),
        ];
        needs.into_iter().find(|(met, _)| !met).map_or(Ok(()), |(_, need)| Err(SearchError::Options(need)))
    }
}
