//! Joint search against its baselines at several budgets: what each finds, and what that is worth as integers.
//!
//! A method proposes designs, of which the one with the highest accuracy on the validation samples counts, measured on the integer runtime. The joint
//! search's designs are joined by the winner of the sequential search under the same budget and seed, so that what it finds cannot fall behind that on
//! those samples. Test samples are run by winners only, and decide nothing.

mod fixed;
mod measure;
mod propose;

use apq_search::Totals;
use apq_search::evolution::SearchError;
use apq_search::predictor::PredictorError;
use apq_search::space::{Design, SpaceError};

use crate::compile::CompileError;
use crate::supernet::TrialError;

pub use fixed::FixedArchitectures;
pub use measure::{Measures, Workbench};
pub use propose::{Contest, Proposed};

/// How designs are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Architecture, widths and bit widths together, with the predictor that was transferred.
    Joint,
    /// The same before the sequential search's winner joined: what stands against [`Method::JointScratch`].
    JointAlone,
    /// The same with a predictor that was trained without transfer.
    JointScratch,
    /// Architecture, then widths, then bit widths.
    Sequential,
    /// The best of fixed architectures that can meet the budget, with the bit widths of a sensitivity list.
    FixedArchitecture,
    /// As many designs by chance as the joint search scores.
    Random,
    /// The best architecture at 8 bits.
    Fixed8,
    /// The best architecture at 6 bits.
    Fixed6,
    /// The best architecture at 4 bits.
    Fixed4,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 9] = [
        Method::Joint,
        Method::JointAlone,
        Method::JointScratch,
        Method::Sequential,
        Method::FixedArchitecture,
        Method::Random,
        Method::Fixed8,
        Method::Fixed6,
        Method::Fixed4,
    ];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Method::Joint => "joint",
            Method::JointAlone => "joint_alone",
            Method::JointScratch => "joint_scratch",
            Method::Sequential => "sequential",
            Method::FixedArchitecture => "fixed_architecture",
            Method::Random => "random",
            Method::Fixed8 => "fixed8",
            Method::Fixed6 => "fixed6",
            Method::Fixed4 => "fixed4",
        }
    }

    /// The one width of a method that has one.
    fn bits(self) -> Option<u8> {
        match self {
            Method::Fixed8 => Some(8),
            Method::Fixed6 => Some(6),
            Method::Fixed4 => Some(4),
            _ => None,
        }
    }
}

/// What a method found under a budget with a seed.
#[derive(Debug, Clone)]
pub struct Winner {
    /// The method.
    pub method: Method,
    /// Place of the budget.
    pub budget: usize,
    /// The seed of its search.
    pub seed: u64,
    /// What it costs, by the cost model.
    pub totals: Totals,
    /// What the method's predictor says.
    pub predicted: Option<f32>,
    /// Accuracy as integers on the validation samples, which decided.
    pub validation: f64,
    /// The same on the test samples, where there are any.
    pub test: Option<f64>,
    /// The design; `None` where widths are not those of a policy.
    pub design: Option<Design>,
    /// Whether it is the sequential search's winner.
    pub from_sequential: bool,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A predictor.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A subnet.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// A network.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// The winners of all methods: for each method, budget and seed the design with the highest measured accuracy; of equal ones, the one with the highest
/// prediction.
pub fn winners(proposed: &[Proposed], measures: &Measures) -> Vec<Winner> {
    let best = |of: &Proposed| {
        let tried = of.designs.iter().filter_map(|scored| Some((scored, measures.of(&scored.design)?)));
        let (scored, validation) = tried.reduce(|a, b| if (b.1, b.0.score) > (a.1, a.0.score) { b } else { a })?;
        Some(Winner {
            method: of.method,
            budget: of.budget,
            seed: of.seed,
            totals: scored.totals,
            predicted: Some(scored.score),
            validation,
            test: None,
            design: Some(scored.design.clone()),
            from_sequential: false,
        })
    };
    let mut winners: Vec<Winner> = proposed.iter().filter_map(best).collect();
    let alone = |winner: &&Winner| winner.method == Method::Joint && proposed.iter().any(|of| of.method == Method::JointScratch);
    let alone: Vec<Winner> = winners.iter().filter(alone).map(|winner| Winner { method: Method::JointAlone, ..winner.clone() }).collect();
    winners.extend(alone);
    let sequential: Vec<Winner> = winners.iter().filter(|winner| winner.method == Method::Sequential).cloned().collect();
    for rival in sequential {
        let own = winners.iter_mut().find(|own| own.method == Method::Joint && (own.budget, own.seed) == (rival.budget, rival.seed));
        match own {
            Some(own) if own.validation < rival.validation => *own = Winner { method: Method::Joint, from_sequential: true, ..rival },
            _ => {}
        }
    }
    winners
}
