//! The first designs of a search.

use alloc::vec::Vec;

use rand::Rng;

use super::cheapest::feasible;
use super::judge::Judge;
use super::variation::{Variation, any};
use super::{Deployment, SearchError};
use crate::cost::Totals;
use crate::space::Design;

/// Draws for each design that is wanted, before mutations of those at hand take over.
const DRAWS: usize = 20;

/// Mutations for each design that is wanted, before there are fewer designs than wanted.
const MUTATIONS: usize = 100;

/// `count` designs that meet the budgets, or fewer where there are no more: `initial` first, then designs by chance. Where chance hits too few of them,
/// the others are mutations of those that were hit, or of the cheapest design.
pub(super) fn start(
    judge: &mut Judge<'_, '_>,
    variation: &Variation<'_>,
    initial: &[Design],
    (count, rate): (usize, f32),
    rng: &mut impl Rng,
) -> Result<Vec<(Design, Totals)>, SearchError> {
    modelled(&judge.deployment)?;
    let mut admitted: Vec<(Design, Totals)> = Vec::new();
    admitted.extend(initial.iter().filter(|design| variation.domain.contains(design)).filter_map(|design| judge.admit(design.clone())));
    for _ in 0..count.saturating_mul(DRAWS) {
        if admitted.len() >= count {
            return Ok(admitted);
        }
        admitted.extend(judge.admit(variation.draw(rng)));
    }
    if admitted.is_empty() {
        let cheapest = feasible(&judge.deployment)?;
        admitted.extend(judge.admit(cheapest));
    }
    for attempt in 0..count.saturating_mul(MUTATIONS) {
        if admitted.len() >= count {
            break;
        }
        let Some((parent, _)) = any(&admitted, rng) else { break };
        // Close to a budget only small changes stay below it.
        let rate = if attempt.is_multiple_of(2) { rate } else { 0.0 };
        let child = variation.mutate(parent, rate, rng);
        admitted.extend(judge.admit(child));
    }
    Ok(admitted)
}

/// Checks that every quantity with a budget has figures.
fn modelled(deployment: &Deployment<'_>) -> Result<(), SearchError> {
    let some = deployment.costs.totals(&super::cheapest::narrowest(deployment.domain));
    let missing = |budget: &&crate::cost::Budget| some.is_some_and(|totals| totals.get(budget.quantity).is_none());
    deployment.budgets.iter().find(missing).map_or(Ok(()), |budget| Err(SearchError::NotModelled(budget.quantity)))
}
