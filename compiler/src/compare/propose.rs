//! What each method proposes.

use apq_lut::Candidate;
use apq_search::evolution::{Deployment, Domain, Options, Predicted, Scored, Scorer, SearchError, Watched, joint, random, sequential};
use apq_search::predictor::Predictor;
use apq_search::space::{Architecture, DesignCosts, Encoding};
use apq_search::{Budget, Quantity};
use rayon::prelude::*;

use super::{CompareError, Method};
use crate::compile::{Progress, Stage};
use crate::supernet::Parallel;

/// A space, what its designs cost, and what predicts their accuracy.
pub struct Contest<'a> {
    /// Costs of designs on the target.
    pub costs: &'a DesignCosts,
    /// The predictor that was transferred from floats.
    pub predictor: &'a Predictor,
    /// One that was trained without transfer.
    pub scratch: Option<&'a Predictor>,
    /// Met by every design, beside the budget that is compared at.
    pub common: &'a [Budget],
    /// Sizes of the searches.
    pub options: Options,
    /// Designs of each method that are measured, at most.
    pub finalists: usize,
}

/// Designs of one method under one budget, the highest prediction first; none where nothing meets the budget.
#[derive(Debug, Clone)]
pub struct Proposed {
    /// The method.
    pub method: Method,
    /// Place of the budget.
    pub budget: usize,
    /// Of the search.
    pub seed: u64,
    /// At most as many as there are finalists.
    pub designs: Vec<Scored>,
}

impl Contest<'_> {
    /// Every search: each method under each budget with each seed. The progress has a step for each.
    ///
    /// # Errors
    /// A budget's quantity is not modelled, or a predictor is of another space.
    pub fn propose(&self, budgets: &[Budget], seeds: &[u64], progress: &dyn Progress) -> Result<Vec<Proposed>, CompareError> {
        let searched = |method: &Method| match method {
            Method::FixedArchitecture => false,
            Method::JointScratch => self.scratch.is_some(),
            // The joint search before the sequential winner joined it.
            Method::JointAlone => false,
            _ => true,
        };
        let mut runs = Vec::new();
        for budget in 0..budgets.len() {
            for seed in seeds {
                runs.extend(Method::ALL.into_iter().filter(searched).map(|method| (method, budget, *seed)));
            }
        }
        progress.begin(Stage::Search, runs.len());
        let run = |(method, budget, seed): (Method, usize, u64)| {
            let designs = match self.search(method, budgets[budget], seed) {
                Ok(designs) => designs,
                // A narrow domain may have nothing under a budget that others meet.
                Err(CompareError::Search(SearchError::Infeasible(_) | SearchError::Together(_))) => Vec::new(),
                Err(error) => return Err(error),
            };
            progress.step();
            Ok(Proposed { method, budget, seed, designs })
        };
        runs.into_par_iter().map(run).collect()
    }

    fn search(&self, method: Method, budget: Budget, seed: u64) -> Result<Vec<Scored>, CompareError> {
        let space = self.costs.space();
        let encoding = Encoding::new(space)?;
        let whole = Domain::new(space, self.costs.choices()).map_err(SearchError::from)?;
        let domain = match method.bits().and_then(|bits| Candidate::new(bits, bits)) {
            Some(pair) => whole.at_bits(pair),
            None => whole,
        };
        let budgets: Vec<Budget> = self.common.iter().chain([&budget]).copied().filter(|budget| budget.quantity != Quantity::Ram).collect();
        let deployment = Deployment { domain: &domain, costs: self.costs, budgets: &budgets };
        let predictor = if method == Method::JointScratch { self.scratch.unwrap_or(self.predictor) } else { self.predictor };
        let mut scorer = Predicted::new(&encoding, predictor, Parallel)?;
        let scorer: &mut dyn Scorer = &mut scorer;
        let options = Options { seed, ..self.options.clone() };
        let best = match method {
            Method::Random => {
                let mut watched = Watched::new(scorer);
                random(&deployment, &mut watched, options.joint_evaluations(), &options)?;
                watched.designs(&deployment)
            }
            Method::Sequential => {
                let chains = sequential(&deployment, scorer, &options)?.chains;
                chains.into_iter().flat_map(|chain| chain.best).collect()
            }
            // At fixed bits, too: over a narrower domain, with as many evaluations.
            _ => joint(&deployment, scorer, &options)?.designs,
        };
        Ok(spread(best, self.finalists))
    }
}

/// The best `count`, the best first; designs of an architecture that is already there only where there are no others.
fn spread(mut best: Vec<Scored>, count: usize) -> Vec<Scored> {
    best.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut seen: Vec<Architecture> = Vec::new();
    let (mut first, mut rest): (Vec<Scored>, Vec<Scored>) = (Vec::new(), Vec::new());
    for scored in best {
        if seen.contains(&scored.design.architecture) {
            rest.push(scored);
        } else {
            seen.push(scored.design.architecture.clone());
            first.push(scored);
        }
    }
    first.append(&mut rest);
    first.truncate(count.max(1));
    first
}
