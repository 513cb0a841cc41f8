//! From budgets to the designs that are worth being tried for real.

use apq_search::evolution::{
    Costs, Deployment, Domain, Front, Options, Predicted, Scored, SearchError, Smallest, feasible, joint, pareto, together,
};
use apq_search::predictor::{Predictor, PredictorError};
use apq_search::space::{Design, DesignCosts, Encoding, SpaceError};
use apq_search::{Budget, Quantity, Totals};

use super::arena::ArenaCosts;
use super::product::Parallel;

/// Where a design comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The joint search over architecture, widths and bit widths.
    Joint,
    /// Architecture, then widths, then bit widths.
    Sequential,
    /// No design meets the budgets, that for RAM by its estimate; this one comes nearest.
    Nearest,
}

impl Origin {
    /// The name in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Joint => "joint",
            Origin::Sequential => "sequential",
            Origin::Nearest => "nearest",
        }
    }
}

/// A design to be tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The design.
    pub design: Design,
    /// Where it comes from.
    pub origin: Origin,
    /// Accuracy, as the predictor has it.
    pub predicted: f32,
    /// Costs by the cost model; flash is at most this, RAM is 0.
    pub totals: Totals,
}

/// What a search proposes.
#[derive(Debug, Clone)]
pub struct Proposals {
    /// At least one, the highest prediction first, the sequential search's last.
    pub designs: Vec<Proposal>,
    /// Designs that were predicted, of both searches.
    pub evaluations: u64,
    /// Designs of the joint search that were over a budget.
    pub discarded: u64,
    /// Where no design meets the budgets, whatever its RAM: for each but RAM, the least that any design costs.
    pub smallest: Option<Vec<Smallest>>,
}

/// Why there is nothing to propose.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The predictor.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceError),
}

/// A space with what judges its designs.
#[derive(Clone, Copy)]
pub struct Judges<'a> {
    /// Costs of designs on the target.
    pub costs: &'a DesignCosts,
    /// Their accuracy.
    pub predictor: &'a Predictor,
    /// All that designs have to meet.
    pub budgets: &'a [Budget],
    /// Of all randomness.
    pub seed: u64,
    /// Of an evolution.
    pub iterations: usize,
    /// Arena of a network for each byte that its largest step needs. RAM is estimated by it; without it, a budget for RAM is left to those who lower
    /// networks.
    pub arena_scale: Option<f64>,
}

impl Judges<'_> {
    /// The best designs of `count` architectures by the joint search, and the one of the sequential search. Where no
    /// design meets the budgets, one that comes nearest, by the estimate of RAM where there is one.
    ///
    /// # Errors
    /// A budget's quantity is not modelled, or the predictor is of another space.
    pub fn propose(&self, count: usize) -> Result<Proposals, ProposeError> {
        let space = self.costs.space();
        let encoding = Encoding::new(space)?;
        let domain = Domain::new(space, self.costs.choices()).map_err(SearchError::from)?;
        let arena = ArenaCosts::new(self.costs, self.arena_scale.unwrap_or(0.0));
        let (costs, budgets): (&dyn Costs, _) = match self.arena_scale {
            Some(_) => (&arena, self.budgets.to_vec()),
            None => (self.costs, self.modelled_budgets()),
        };
        let deployment = Deployment { domain: &domain, costs, budgets: &budgets };
        let mut scorer = Predicted::new(&encoding, self.predictor, Parallel)?;
        let options = Options { seed: self.seed, iterations: self.iterations, ..Options::default() };
        let found = match joint(&deployment, &mut scorer, &options) {
            Ok(found) => found,
            Err(SearchError::Infeasible(missed) | SearchError::Together(missed)) => {
                let design = together(&deployment).ok_or(SearchError::Infeasible(missed))?;
                let totals = self.costs.cost(&design)?.totals;
                let predicted = self.predicted(&encoding, &design)?;
                let nearest = Proposal { design, origin: Origin::Nearest, predicted, totals };
                // An estimate of RAM proves nothing.
                let smallest = match feasible(&Deployment { costs: self.costs, budgets: &self.modelled_budgets(), ..deployment }) {
                    Err(SearchError::Infeasible(smallest) | SearchError::Together(smallest)) => Some(smallest),
                    _ => None,
                };
                return Ok(Proposals { designs: vec![nearest], evaluations: 0, discarded: 0, smallest });
            }
            Err(error) => return Err(error.into()),
        };
        // The cost model's totals: the search may have added an estimate of RAM.
        let proposal = |origin: Origin| {
            move |Scored { design, score, .. }: Scored| {
                Ok(Proposal { totals: self.costs.cost(&design)?.totals, design, origin, predicted: score })
            }
        };
        let designs = found.designs.into_iter().take(count.max(1)).map(proposal(Origin::Joint));
        let mut designs = designs.collect::<Result<Vec<Proposal>, SpaceError>>()?;
        let winner = found.sequential.into_iter().next().filter(|best| designs.iter().all(|own| own.design != best.design));
        designs.extend(winner.map(proposal(Origin::Sequential)).transpose()?);
        Ok(Proposals { designs, evaluations: found.evaluations, discarded: found.discarded, smallest: None })
    }

    /// The front of predicted accuracy against several costs. Where no design meets the budgets, it is that of all designs.
    ///
    /// # Errors
    /// As [`Judges::propose`], and where an objective is not modelled.
    pub fn front(&self, objectives: &[Quantity]) -> Result<Front, ProposeError> {
        let space = self.costs.space();
        let encoding = Encoding::new(space)?;
        let domain = Domain::new(space, self.costs.choices()).map_err(SearchError::from)?;
        let budgets = self.modelled_budgets();
        let deployment = Deployment { domain: &domain, costs: self.costs, budgets: &budgets };
        let mut scorer = Predicted::new(&encoding, self.predictor, Parallel)?;
        let options = Options { seed: self.seed, iterations: self.iterations, ..Options::default() };
        match pareto(&deployment, &mut scorer, objectives, &options) {
            Err(SearchError::Infeasible(_) | SearchError::Together(_)) => {
                Ok(pareto(&Deployment { budgets: &[], ..deployment }, &mut scorer, objectives, &options)?)
            }
            found => Ok(found?),
        }
    }

    /// All but RAM.
    fn modelled_budgets(&self) -> Vec<Budget> {
        self.budgets.iter().copied().filter(|budget| budget.quantity != Quantity::Ram).collect()
    }

    fn predicted(&self, encoding: &Encoding, design: &Design) -> Result<f32, ProposeError> {
        let ones = encoding.encode(&design.architecture, Some(&design.policy))?;
        Ok(self.predictor.predict(&[ones], &mut Parallel)?.first().copied().unwrap_or(f32::NAN))
    }
}
