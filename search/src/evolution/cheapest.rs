//! The cheapest designs, exactly: every cost is a sum over the blocks, so that the cheapest design has the cheapest choice in each block.
//!
//! A stage has its least depth, since no block costs less than nothing. Several budgets at once ask for more: of each block only the choices count that no
//! other choice undercuts in all budgeted quantities, and of the leading blocks together only such sums.

use alloc::vec;
use alloc::vec::Vec;

use apq_lut::Candidate;

use super::domain::Domain;
use super::{Costs, Deployment, SearchError, Smallest};
use crate::cost::{Quantity, Totals, all_met};
use crate::space::{Architecture, BlockBits, BlockShape, Design, Policy};

/// Sums of the leading blocks that are kept; of more, those closest to the budgets.
const SUMS_MAX: usize = 512;

/// A choice for a block with what it costs in each quantity.
type Choice = (BlockShape, BlockBits, Vec<i128>);

/// A sum of the leading blocks: costs, place of the sum before it, and choice of the last block.
type Sum = (Vec<i128>, usize, usize);

/// The design with the least of one quantity, and how much that is; `None` where the quantity is not modelled.
#[must_use]
pub fn cheapest(domain: &Domain, costs: &dyn Costs, quantity: Quantity) -> Option<(Design, u64)> {
    let mut design = narrowest(domain);
    for (index, choices) in choices(domain, costs, &[quantity])? {
        let best = choices.into_iter().min_by(|a, b| a.2.cmp(&b.2))?;
        put(&mut design, index, (best.0, best.1));
    }
    let value = costs.totals(&design)?.get(quantity)?;
    Some((design, value))
}

/// A design that meets all budgets.
///
/// # Errors
/// A quantity is not modelled, a budget is below the cheapest design, or no design was found that meets all budgets at once.
pub fn feasible(deployment: &Deployment<'_>) -> Result<Design, SearchError> {
    let Deployment { domain, costs, budgets } = *deployment;
    let meets = |design: &Design| costs.totals(design).is_some_and(|totals| all_met(budgets, &totals));
    let mut smallest = Vec::new();
    for budget in budgets {
        let (design, value) = cheapest(domain, costs, budget.quantity).ok_or(SearchError::NotModelled(budget.quantity))?;
        if meets(&design) {
            return Ok(design);
        }
        smallest.push(Smallest { budget: *budget, value });
    }
    if smallest.is_empty() {
        return Ok(narrowest(domain));
    }
    if smallest.iter().any(|Smallest { budget, value }| *value > budget.limit) {
        return Err(SearchError::Infeasible(smallest));
    }
    together(deployment).filter(meets).ok_or(SearchError::Together(smallest))
}

/// The least depths, and the first choice of everything else.
pub(super) fn narrowest(domain: &Domain) -> Design {
    let count = domain.blocks.len();
    let mut design = Design { architecture: Architecture(vec![None; count]), policy: Policy(vec![None; count]) };
    for index in least_blocks(domain) {
        let choice = domain.blocks.get(index).and_then(|block| {
            let narrow = |pairs: &[Candidate]| pairs.iter().copied().min_by_key(|pair| pair.product());
            let (kernel, pairs) = block.kernels.first()?;
            let shape = BlockShape { kernel: *kernel, channels: *block.widths.first()? };
            Some((shape, BlockBits { pointwise: narrow(&block.pointwise)?, depthwise: narrow(pairs)? }))
        });
        if let Some(choice) = choice {
            put(&mut design, index, choice);
        }
    }
    design
}

/// Blocks that every design has.
fn least_blocks(domain: &Domain) -> impl Iterator<Item = usize> {
    domain.stages.iter().flat_map(|stage| stage.blocks.clone().take(stage.depths.iter().copied().min().unwrap_or(0).into()))
}

fn put(design: &mut Design, index: usize, (shape, bits): (BlockShape, BlockBits)) {
    if let (Some(to_shape), Some(to_bits)) = (design.architecture.0.get_mut(index), design.policy.0.get_mut(index)) {
        (*to_shape, *to_bits) = (Some(shape), Some(bits));
    }
}

/// For each block that every design has, the choices that no other undercuts; costs are what a choice adds to the narrowest design, RAM its RAM.
fn choices(domain: &Domain, costs: &dyn Costs, quantities: &[Quantity]) -> Option<Vec<(usize, Vec<Choice>)>> {
    let mut design = narrowest(domain);
    let vector = |totals: &Totals| quantities.iter().map(|quantity| totals.get(*quantity).map(i128::from)).collect::<Option<Vec<_>>>();
    let start = vector(&costs.totals(&design)?)?;
    let mut all = Vec::new();
    for index in least_blocks(domain) {
        let block = domain.blocks.get(index)?;
        let narrow = (design.architecture.0.get(index).copied()??, design.policy.0.get(index).copied()??);
        let mut kept: Vec<Choice> = Vec::new();
        for &channels in &block.widths {
            for (kernel, depthwise) in &block.kernels {
                for pair in depthwise {
                    for &pointwise in &block.pointwise {
                        let (shape, bits) = (BlockShape { kernel: *kernel, channels }, BlockBits { pointwise, depthwise: *pair });
                        put(&mut design, index, (shape, bits));
                        let Some(mut costs) = costs.totals(&design).and_then(|totals| vector(&totals)) else { continue };
                        for ((cost, start), quantity) in costs.iter_mut().zip(&start).zip(quantities) {
                            *cost -= if *quantity == Quantity::Ram { 0 } else { *start };
                        }
                        keep(&mut kept, (shape, bits, costs), |choice| &choice.2);
                    }
                }
            }
        }
        put(&mut design, index, narrow);
        all.push((index, kept));
    }
    Some(all)
}

/// Adds a thing unless another costs no more in every quantity, and takes out those that it undercuts in this way.
fn keep<T>(kept: &mut Vec<T>, new: T, costs: impl Fn(&T) -> &Vec<i128>) {
    let covers = |a: &T, b: &T| costs(a).iter().zip(costs(b)).all(|(a, b)| a <= b);
    if !kept.iter().any(|own| covers(own, &new)) {
        kept.retain(|own| !covers(&new, own));
        kept.push(new);
    }
}

/// The design that is closest to meeting all budgets: the one with the smallest largest part of a budget that is used. `None` where a quantity is not modelled.
#[must_use]
pub fn together(deployment: &Deployment<'_>) -> Option<Design> {
    let Deployment { domain, costs, budgets } = *deployment;
    let quantities: Vec<Quantity> = budgets.iter().map(|budget| budget.quantity).collect();
    let mut design = narrowest(domain);
    let totals = costs.totals(&design)?;
    let start = quantities.iter().map(|quantity| totals.get(*quantity).map(i128::from)).collect::<Option<Vec<_>>>()?;
    // The largest part of a budget that is used.
    let load = |costs: &[i128]| {
        let parts = costs.iter().zip(budgets).map(|(cost, budget)| *cost as f64 / (budget.limit as f64).max(0.5));
        parts.fold(f64::NEG_INFINITY, f64::max)
    };
    let blocks = choices(domain, costs, &quantities)?;
    let mut steps: Vec<Vec<Sum>> = vec![vec![(start, 0, 0)]];
    for (_, choices) in &blocks {
        let mut sums: Vec<Sum> = Vec::new();
        for (before, (costs, ..)) in steps.last()?.iter().enumerate() {
            for (choice, (.., addends)) in choices.iter().enumerate() {
                let plus = |((a, b), quantity): ((&i128, &i128), &Quantity)| if *quantity == Quantity::Ram { *a.max(b) } else { a + b };
                let sum = costs.iter().zip(addends).zip(&quantities).map(plus).collect();
                sums.push((sum, before, choice));
            }
        }
        // What undercuts another has no larger load, so that it comes before it.
        sums.sort_by(|a, b| load(&a.0).total_cmp(&load(&b.0)).then_with(|| a.cmp(b)));
        let mut kept = Vec::new();
        for sum in sums {
            if kept.len() == SUMS_MAX {
                break;
            }
            keep(&mut kept, sum, |sum| &sum.0);
        }
        steps.push(kept);
    }
    // The sums are in order of their load.
    let mut place = 0;
    for (sums, (index, choices)) in steps.iter().skip(1).zip(&blocks).rev() {
        let (_, before, choice) = sums.get(place)?;
        let (shape, bits, _) = choices.get(*choice)?;
        put(&mut design, *index, (*shape, *bits));
        place = *before;
    }
    Some(design)
}
