//! The search that a deployment uses: evolution that begins where the sequential search ends.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{Deployment, Options, Scored, Scorer, SearchError, evolve, sequential};
use crate::space::{Architecture, Design};

/// Architectures that are remembered; of more, the best half.
const REMEMBERED: usize = 4096;

/// Result of [`joint`].
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// The best design of each architecture, the best first: at least one.
    pub designs: Vec<Scored>,
    /// The best designs of the sequential search, the best first; none where its stages find no room.
    pub sequential: Vec<Scored>,
    /// Designs that both searches scored.
    pub evaluations: u64,
    /// Designs of the evolution that were over a budget.
    pub discarded: u64,
}

/// Architecture, widths and bit widths of a domain together.
///
/// The first population contains the winner of [`sequential`], so that the result cannot fall behind it. At the end of an evolution its best designs resemble
/// each other, and an error of the predictor is one of them all: to be tried for real, the best designs of other architectures are worth more than the
/// same architecture with other bit widths. So those are returned.
///
/// # Errors
/// As [`evolve`].
pub fn joint(deployment: &Deployment<'_>, scorer: &mut dyn Scorer, options: &Options) -> Result<Joint, SearchError> {
    let chains = match sequential(deployment, scorer, options) {
        Ok(found) => found.chains,
        Err(SearchError::Infeasible(_) | SearchError::Together(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let staged = chains.iter().flat_map(|chain| &chain.stages).map(|stage| stage.evaluations).sum::<u64>();
    let sequential = ranked(chains.into_iter().flat_map(|chain| chain.best).collect());
    let mut initial = options.initial.clone();
    initial.extend(sequential.first().map(|best| best.design.clone()));
    let mut watched = Watched::new(scorer);
    let found = evolve(deployment, &mut watched, &Options { initial, ..options.clone() })?;
    let designs = watched.designs(deployment);
    Ok(Joint { designs, sequential, evaluations: staged + found.evaluations, discarded: found.discarded })
}

/// The best first; of equal ones, in the order of designs.
fn ranked(mut designs: Vec<Scored>) -> Vec<Scored> {
    designs.sort_by(super::judge::better);
    designs
}

/// A scorer that remembers the best design of each architecture.
pub struct Watched<'s> {
    scorer: &'s mut dyn Scorer,
    best: BTreeMap<Architecture, (f32, Design)>,
}

impl<'s> Watched<'s> {
    /// Before the first design.
    pub fn new(scorer: &'s mut dyn Scorer) -> Self {
        Self { scorer, best: BTreeMap::new() }
    }

    /// The best design of each architecture, the best first.
    #[must_use]
    pub fn designs(self, deployment: &Deployment<'_>) -> Vec<Scored> {
        let scored = |(score, design): (f32, Design)| Some(Scored { totals: deployment.costs.totals(&design)?, design, score });
        ranked(self.best.into_values().filter_map(scored).collect())
    }
}

impl Scorer for Watched<'_> {
    fn score(&mut self, designs: &[Design]) -> Vec<f32> {
        let scores = self.scorer.score(designs);
        for (design, score) in designs.iter().zip(&scores).filter(|(_, score)| score.is_finite()) {
            let known = self.best.get(&design.architecture);
            if known.is_none_or(|known| *score > known.0 || (*score == known.0 && *design < known.1)) {
                self.best.insert(design.architecture.clone(), (*score, design.clone()));
            }
        }
        if self.best.len() > REMEMBERED {
            let mut known: Vec<(f32, &Architecture)> = self.best.iter().map(|(architecture, (score, _))| (*score, architecture)).collect();
            known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            let kept: BTreeSet<Architecture> =
                known.into_iter().take(REMEMBERED / 2).map(|(_, architecture)| architecture.clone()).collect();
            self.best.retain(|architecture, _| kept.contains(architecture));
        }
        scores
    }
}
