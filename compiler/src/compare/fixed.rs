//! Fixed architectures with bit widths of a sensitivity list: the way without a search over architectures.

use std::collections::BTreeMap;

use apq_lut::CostModel;
use apq_search::evolution::{Domain, SearchError, cheapest};
use apq_search::space::{Architecture, Block, BlockShape, DesignCosts, Space};
use apq_search::{Budget, NetworkCost, Quantity, Totals};
use apq_targets::Target;

use super::{CompareError, Method, Winner};
use crate::assign::assign;
use crate::compile::{CompileError, Data, Options, Progress};
use crate::data::Dataset;
use crate::dataset::accuracy;
use crate::prepare::Prepared;
use crate::supernet::Bench;

/// Fixed architectures of a space on a target.
pub struct FixedArchitectures<'a> {
    /// Cuts and measures subnets.
    pub bench: &'a Bench<'a>,
    /// Costs of designs.
    pub costs: &'a DesignCosts,
    /// The target's cost model.
    pub model: Option<&'a dyn CostModel>,
    /// Met beside the budget that is compared at.
    pub common: &'a [Budget],
    /// Calibration samples and preprocessing.
    pub data: Data<'a>,
    /// How networks are compiled.
    pub options: &'a Options,
    /// The target.
    pub target: &'a Target,
    /// Labelled samples that decide.
    pub validation: &'a Dataset,
    /// Labelled samples that report.
    pub test: Option<&'a Dataset>,
    /// Architectures that are compiled for each budget, at most.
    pub finalists: usize,
}

/// Architectures with the same part of each stage's depths, of the kernels and of each block's widths, the largest first.
fn ladder(space: &Space) -> Vec<Architecture> {
    let steps = |count: usize| 0..count.max(1);
    let depths = space.stages.iter().map(|stage| stage.depths.len()).max().unwrap_or(1);
    let blocks = space.blocks();
    let mut rungs = Vec::new();
    for depth in steps(depths) {
        for kernel in &space.kernels {
            for width in [0.0, 0.5, 1.0] {
                let shape = |block: &Block| {
                    let depths = &space.stages.get(block.stage)?.depths;
                    let depth = *depths.get(depth.min(depths.len().saturating_sub(1)))?;
                    let place = (width * block.widths.len().saturating_sub(1) as f64).round() as usize;
                    let channels = *block.widths.get(place)?;
                    (block.position < usize::from(depth)).then_some(BlockShape { kernel: *kernel, channels })
                };
                rungs.push(Architecture(blocks.iter().map(shape).collect()));
            }
        }
    }
    rungs
}

impl FixedArchitectures<'_> {
    /// For each budget the best, on the validation samples, of the architectures that can meet it at some bit widths, with those of the list. Of many, an even
    /// choice from the largest to the smallest is tried. A budget that no rung meets is left out.
    ///
    /// # Errors
    /// A network cannot be compiled.
    pub fn winners(&self, budgets: &[Budget], progress: &dyn Progress) -> Result<Vec<Winner>, CompareError> {
        let space = self.costs.space();
        let domain = Domain::new(space, self.costs.choices()).map_err(SearchError::from)?;
        let mut rungs = Vec::new();
        for architecture in ladder(space) {
            let own = domain.at_architecture(&architecture).map_err(SearchError::from)?;
            let narrowest = |quantity| cheapest(&own, self.costs, quantity);
            let Some((design, _)) = narrowest(Quantity::Bops) else { continue };
            let macs = self.costs.cost(&design).map_or(0, |cost| cost.macs);
            rungs.push((macs, architecture, own));
        }
        rungs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        // Budgets that take the same architecture share its list.
        let mut chosen: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, budget) in budgets.iter().enumerate() {
            let meets = |(_, _, own): &(u64, Architecture, Domain)| {
                let limits = || self.common.iter().chain([budget]).filter(|budget| budget.quantity != Quantity::Ram);
                limits().all(|budget| cheapest(own, self.costs, budget.quantity).is_some_and(|(_, value)| value <= budget.limit))
            };
            let able: Vec<usize> = (0..rungs.len()).filter(|&rung| meets(&rungs[rung])).collect();
            let count = able.len().min(self.finalists.max(1));
            for tried in 0..count {
                chosen.entry(able[tried * able.len() / count]).or_default().push(place);
            }
        }
        let mut best: BTreeMap<usize, Winner> = BTreeMap::new();
        for (rung, places) in chosen {
            for winner in self.of_architecture(&rungs[rung].1, budgets, &places, progress)? {
                if best.get(&winner.budget).is_none_or(|known| winner.validation > known.validation) {
                    best.insert(winner.budget, winner);
                }
            }
        }
        Ok(best.into_values().collect())
    }

    fn of_architecture(
        &self,
        architecture: &Architecture,
        budgets: &[Budget],
        places: &[usize],
        progress: &dyn Progress,
    ) -> Result<Vec<Winner>, CompareError> {
        let extracted = self.bench.extract(architecture)?;
        let data = Data { test: None, ..self.data };
        let mut options = self.options.clone();
        let prepared = Prepared::new(&extracted.network, self.target, &data, &options, progress)?;
        let list = prepared.sensitivity(options.estimator, (&(), ""), progress)?.list;
        let costs = prepared.costs(self.model, false)?;
        let mut winners = Vec::new();
        for place in places {
            options.budgets =
                self.common.iter().chain([&budgets[*place]]).filter(|budget| budget.quantity != Quantity::Ram).copied().collect();
            let assigned = assign(&prepared, &list, &costs, &data, &options, progress)?;
            let totals: Totals = costs.totals(&assigned.assignment);
            if !options.budgets.iter().all(|budget| budget.met(&totals)) {
                continue;
            }
            let (mut network, _) = prepared.finished(assigned.assignment, &options, progress);
            let (lowered, _) = prepared.lowered(&mut network).map_err(CompileError::from)?;
            winners.push(Winner {
                method: Method::FixedArchitecture,
                budget: *place,
                seed: 0,
                totals,
                predicted: None,
                validation: accuracy(&lowered, self.validation)?,
                test: self.test.map(|test| accuracy(&lowered, test)).transpose()?,
                design: None,
                from_sequential: false,
            });
        }
        Ok(winners)
    }
}
