//! What joint search is compared with, on the same domain, costs and scorer.
//!
//! Fixed precision is [`super::evolve`] over [`Domain::at_bits`]; here are the others.

use alloc::vec::Vec;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::cheapest::together;
use super::evolve::{evolve, select};
use super::judge::Judge;
use super::start::start;
use super::variation::Variation;
use super::{Deployment, Domain, Found, Options, Scored, Scorer, SearchError};
use crate::cost::{Budget, Totals};
use crate::space::{Architecture, BlockBits, BlockShape, Design, Policy};

/// Designs that a random search scores at once.
const BATCH: usize = 100;

/// The largest architecture of a domain at its widest bits.
#[must_use]
pub fn widest_largest(domain: &Domain) -> Design {
    let domain = at_widest(domain);
    let mut design = Design { architecture: Architecture(Vec::new()), policy: Policy(Vec::new()) };
    for stage in &domain.stages {
        let depth = stage.depths.iter().copied().max().unwrap_or(0).into();
        for (position, block) in domain.blocks.get(stage.blocks.clone()).unwrap_or_default().iter().enumerate() {
            let choice = || {
                let (kernel, pairs) = block.kernels.iter().max_by_key(|(side, _)| *side)?;
                let shape = BlockShape { kernel: *kernel, channels: block.widths.iter().copied().max()? };
                Some((shape, BlockBits { pointwise: *block.pointwise.first()?, depthwise: *pairs.first()? }))
            };
            let (shape, bits) = if position < depth { choice() } else { None }.unzip();
            design.architecture.0.push(shape);
            design.policy.0.push(bits);
        }
    }
    design
}

fn at_widest(domain: &Domain) -> Domain {
    domain.widest().map_or_else(|| domain.clone(), |pair| domain.at_bits(pair))
}

/// The best of `count` designs by chance.
///
/// # Errors
/// As [`evolve`].
pub fn random(deployment: &Deployment<'_>, scorer: &mut dyn Scorer, count: usize, options: &Options) -> Result<Found, SearchError> {
    options.check()?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let variation = Variation::new(deployment.domain);
    let mut judge = Judge::new(*deployment, scorer);
    let wanted = (count, options.mutation_rate);
    let designs = start(&mut judge, &variation, &options.initial, wanted, &mut rng)?;
    let (mut best, mut history) = (Vec::new(), Vec::new());
    for batch in designs.chunks(BATCH) {
        best.append(&mut judge.score(batch.to_vec())?);
        select(&mut best, options.parents);
        history.extend(best.first().map(|first: &Scored| first.score));
    }
    Ok(Found { best, history, evaluations: judge.evaluations, discarded: judge.discarded })
}

/// One stage of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What the stage was held to.
    pub budgets: Vec<Budget>,
    /// The best design that it found.
    pub best: Scored,
    /// Designs that were scored.
    pub evaluations: u64,
}

/// Architecture, then widths, then bit widths.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Parts, on a logarithmic scale, of the way from the largest network to the budget that are left after the first stage and after the second.
    pub left: [f64; 2],
    /// The stages; the last one's design is the chain's.
    pub stages: [Stage; 3],
    /// The best designs of the last stage, the best first.
    pub best: Vec<Scored>,
}

/// Result of [`sequential`].
#[derive(Debug, Clone, PartialEq)]
pub struct Sequential {
    /// The chains that met the budgets, the one with the highest score first.
    pub chains: Vec<Chain>,
}

/// Ways in which the stages share a budget: all of it in the first stage, and then ever more left to the later ones.
const SHARES: [[f64; 2]; 4] = [[0.0, 0.0], [1.0 / 3.0, 1.0 / 6.0], [2.0 / 3.0, 1.0 / 3.0], [1.0, 0.5]];

/// Sequential search, as by ProxylessNAS, AMC and HAQ: depths and kernels at the widest bits and the largest widths; then widths; then bit widths. Each stage is an
/// evolution with a third of the iterations under budgets of its own, and keeps what the stages before it chose.
///
/// A later stage can only be of use if an earlier one does not use up the budget. The largest network at the widest bits costs C, the budget is B: a stage that leaves
/// the part s of the way is held to B * (C / B)^s, so that with s = 2/3 and 1/3 each stage makes the network smaller by the same factor. (In table 2 of
/// APQ the latency of such a chain falls 13.14, 9.77, 8.45 ms.) Where the budget of a stage is below its cheapest design, that design's costs are its budget. The
/// last stage is held to the budgets themselves. Several ways of sharing are tried, and the chain with the highest score counts, which favours this baseline.
///
/// # Errors
/// As [`evolve`], where no chain meets the budgets.
pub fn sequential(deployment: &Deployment<'_>, scorer: &mut dyn Scorer, options: &Options) -> Result<Sequential, SearchError> {
    options.check()?;
    let largest = deployment.costs.totals(&widest_largest(deployment.domain));
    let (mut chains, mut failure) = (Vec::new(), None);
    for left in SHARES {
        match chain(deployment, scorer, options, (left, largest)) {
            Ok(chain) => chains.push(chain),
            Err(error @ (SearchError::Infeasible(_) | SearchError::Together(_))) => failure = failure.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    let score = |chain: &Chain| chain.stages[2].best.score;
    chains.sort_by(|a: &Chain, b: &Chain| score(b).total_cmp(&score(a)));
    match failure {
        Some(error) if chains.is_empty() => Err(error),
        _ => Ok(Sequential { chains }),
    }
}

/// A third of the iterations.
fn of_stage(options: &Options) -> Options {
    Options { initial: Vec::new(), iterations: options.iterations.div_ceil(3), ..options.clone() }
}

/// Designs that a sequential search scores at most.
pub(super) fn evaluations(options: &Options) -> usize {
    of_stage(options).evaluations().saturating_mul(3 * SHARES.len())
}

fn chain(
    deployment: &Deployment<'_>,
    scorer: &mut dyn Scorer,
    options: &Options,
    (left, largest): ([f64; 2], Option<Totals>),
) -> Result<Chain, SearchError> {
    let Deployment { domain, costs, budgets } = *deployment;
    let mut stage = |domain: &Domain, left: Option<f64>| -> Result<(Stage, Vec<Scored>), SearchError> {
        let stage = Deployment { domain, costs, budgets };
        let budgets = left.map_or_else(|| budgets.to_vec(), |left| shared(&stage, largest, left));
        let options = of_stage(options);
        let found = evolve(&Deployment { domain, costs, budgets: &budgets }, scorer, &options)?;
        let best = found.best.first().cloned().ok_or(SearchError::Options("a design"))?;
        Ok((Stage { budgets, best, evaluations: found.evaluations }, found.best))
    };
    let uniform = at_widest(domain);
    let (first, _) = stage(&uniform.at_largest_widths(), Some(left[0]))?;
    let (second, _) = stage(&uniform.at_depths_and_kernels(&first.best.design.architecture)?, Some(left[1]))?;
    let (third, best) = stage(&domain.at_architecture(&second.best.design.architecture)?, None)?;
    Ok(Chain { left, stages: [first, second, third], best })
}

/// The budgets of a stage that leaves the part `left` of the way to later ones.
fn shared(stage: &Deployment<'_>, largest: Option<Totals>, left: f64) -> Vec<Budget> {
    let relaxed = |budget: &Budget| {
        let cost = largest.and_then(|totals| totals.get(budget.quantity)).unwrap_or(0);
        let ratio = (cost as f64 / (budget.limit as f64).max(1.0)).max(1.0);
        Budget { limit: (budget.limit as f64 * libm::pow(ratio, left)) as u64, ..*budget }
    };
    let mut budgets: Vec<Budget> = if left > 0.0 { stage.budgets.iter().map(relaxed).collect() } else { stage.budgets.to_vec() };
    let nearest = together(&Deployment { budgets: &budgets, ..*stage }).and_then(|design| stage.costs.totals(&design));
    for budget in &mut budgets {
        let least = nearest.and_then(|totals| totals.get(budget.quantity)).unwrap_or(0);
        budget.limit = budget.limit.max(least);
    }
    budgets
}
