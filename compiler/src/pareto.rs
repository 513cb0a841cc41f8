//! The whole trade-off curve: assignments from the widest to the narrowest, each evaluated as integers.

use apq_lut::{Candidate, CostModel};
use apq_search::{Budget, Problem, Quantity, Sensitivity, Totals};
use apq_targets::Target;

use crate::assign::AssignBy;
use crate::compile::{CompileError, Data, Options, Progress, Stage};
use crate::network::Network;
use crate::prepare::{ListStore, MeasuredList, Prepared};
use crate::quant::groups::Grouping;
use crate::task::{Evaluation, Evaluator};

/// What a curve says about the network's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merit {
    /// SQNR against the float network over the calibration samples, in dB.
    Sqnr,
    /// Accuracy on the labelled samples.
    Accuracy,
    /// Share of calibration samples with the float network's top class.
    Agreement,
}

/// What the curve trades.
#[derive(Debug, Clone, Copy)]
pub struct CurveOptions {
    /// What falls along the curve. Flips that do not lower it are left out, except for RAM, which several flips lower only together.
    pub cost: Quantity,
    /// What is wanted for it.
    pub merit: Merit,
    /// Points evaluated on each curve, at most; at least 2.
    pub points_max: usize,
}

/// One evaluated assignment.
#[derive(Debug, Clone)]
pub struct CurvePoint {
    /// The curve that it belongs to.
    pub by: AssignBy,
    /// The width of each group.
    pub assignment: Vec<Candidate>,
    /// Costs; flash and RAM are those of the lowered network.
    pub totals: Totals,
    /// Sum of the groups' noises relative to the signal; `None` where the list holds accuracies.
    pub noise: Option<f64>,
    /// What the integer runtime makes of it.
    pub evaluation: Evaluation,
    /// Whether it meets every budget.
    pub feasible: bool,
    /// Whether no evaluated point is better in cost or merit without being worse in the other.
    pub non_dominated: bool,
}

impl CurvePoint {
    /// The merit of this point, where it was measured.
    pub fn merit(&self, merit: Merit) -> Option<f64> {
        match merit {
            Merit::Sqnr => self.evaluation.calibration?.sqnr_db,
            Merit::Accuracy => self.evaluation.accuracy_top1,
            Merit::Agreement => self.evaluation.calibration?.agreement,
        }
    }
}

/// A whole curve.
pub struct ParetoCurve {
    /// The groups.
    pub grouping: Grouping,
    /// Points of the greedy curve from the widest to the narrowest, then those of the exact one.
    pub points: Vec<CurvePoint>,
    /// Assignments on the greedy curve, evaluated or not.
    pub curve_points: usize,
    /// The sensitivity list.
    pub list: Vec<Sensitivity>,
    /// Samples run through the network for the list; 0 where it came from the store.
    pub forward_passes: usize,
    /// Operators that the cost model does not cover.
    pub not_modelled: Vec<String>,
    /// Accuracy of the float network on the labelled samples.
    pub float_accuracy: Option<f64>,
}

/// Evaluates the curve. The exact one is added where `options` ask for it.
///
/// # Errors
/// As [`crate::compile::compile`].
#[expect(clippy::too_many_arguments, reason = "the same request as for a compilation, and the curve")]
pub fn pareto(
    network: &Network,
    target: &Target,
    model: Option<&dyn CostModel>,
    data: &Data<'_>,
    options: &Options,
    curve: &CurveOptions,
    store: (&dyn ListStore, &str),
    progress: &dyn Progress,
) -> Result<ParetoCurve, CompileError> {
    let prepared = Prepared::new(network, target, data, options, progress)?;
    let MeasuredList { list, forward_passes } = prepared.sensitivity(options.estimator, store, progress)?;
    progress.begin(Stage::Assign, 0);
    let plan_ram = curve.cost == Quantity::Ram || options.budgets.iter().any(|budget| budget.quantity == Quantity::Ram);
    let costs = prepared.costs(model, plan_ram)?;
    let problem = Problem::new(&prepared.groups, &list, &costs)?;
    let lowered: &[Quantity] = if curve.cost == Quantity::Ram { &[] } else { &[curve.cost] };
    let flips: Vec<(Vec<Candidate>, Totals)> =
        problem.curve(lowered)?.points.into_iter().map(|point| (point.assignment, point.totals)).collect();
    let chosen = spread(&flips, curve);
    let mut wanted: Vec<(AssignBy, Vec<Candidate>, Totals)> =
        chosen.iter().map(|(assignment, totals)| (AssignBy::Greedy, assignment.clone(), *totals)).collect();
    if options.search.by == AssignBy::Exact && !options.search.accuracies {
        progress.begin(Stage::Assign, chosen.len());
        for (assignment, totals) in &chosen {
            progress.step();
            let Some(limit) = totals.get(curve.cost) else { continue };
            let best = problem.assign_exact(&[Budget { quantity: curve.cost, limit }], Some(assignment))?.best;
            let point = best.map(|best| (AssignBy::Exact, best.assignment, best.totals));
            wanted.extend(point.filter(|point| wanted.last().is_none_or(|last| (last.0, &last.1) != (point.0, &point.1))));
        }
    }
    let labelled = options.search.task.labelled.as_deref().or(data.test);
    let evaluator = Evaluator::new(&prepared, data, true, labelled, options, progress)?;
    let mut points = Vec::with_capacity(wanted.len());
    for (by, assignment, mut totals) in wanted {
        let evaluation = evaluator.evaluate(&assignment)?;
        totals.flash_bytes = evaluation.flash_bytes;
        totals.ram_bytes = evaluation.ram_bytes;
        let task = options.search.task.budgets.verdicts(&evaluation);
        let feasible = options.budgets.iter().all(|budget| budget.met(&totals)) && task.iter().all(|verdict| verdict.margin >= 0.0);
        let noise = (!options.search.accuracies).then(|| problem.noise(&assignment));
        points.push(CurvePoint { by, assignment, totals, noise, evaluation, feasible, non_dominated: false });
    }
    mark_front(&mut points, curve);
    let float_accuracy = evaluator.float_accuracy();
    let not_modelled = costs.not_modelled().into_iter().map(String::from).collect();
    drop(costs);
    Ok(ParetoCurve { curve_points: flips.len(), grouping: prepared.grouping, points, list, forward_passes, not_modelled, float_accuracy })
}

/// At most so many points that are asked for: the first, the last, and between them those nearest to even steps of the cost.
fn spread(points: &[(Vec<Candidate>, Totals)], curve: &CurveOptions) -> Vec<(Vec<Candidate>, Totals)> {
    let wanted = curve.points_max.max(2);
    if points.len() <= wanted {
        return points.to_vec();
    }
    let cost = |index: usize| points[index].1.get(curve.cost).unwrap_or(0) as f64;
    let last = points.len() - 1;
    let mut chosen: Vec<usize> = (0..wanted)
        .map(|step| {
            let aim = cost(0) + (cost(last) - cost(0)) * step as f64 / (wanted - 1) as f64;
            (0..=last).min_by(|a, b| (cost(*a) - aim).abs().total_cmp(&(cost(*b) - aim).abs())).unwrap_or(0)
        })
        .chain([0, last])
        .collect();
    chosen.sort_unstable();
    chosen.dedup();
    // The ends may have come on top.
    while chosen.len() > wanted {
        chosen.remove(chosen.len() / 2);
    }
    chosen.into_iter().map(|index| points[index].clone()).collect()
}

/// Marks points to which no other is at least as good in cost and merit, and better in one.
fn mark_front(points: &mut [CurvePoint], curve: &CurveOptions) {
    let values: Vec<Option<(u64, f64)>> =
        points.iter().map(|point| Some((point.totals.get(curve.cost)?, point.merit(curve.merit)?))).collect();
    for (point, own) in points.iter_mut().zip(&values) {
        let dominated = |own: &(u64, f64)| {
            values.iter().flatten().any(|other| other.0 <= own.0 && other.1 >= own.1 && (other.0 < own.0 || other.1 > own.1))
        };
        point.non_dominated = own.as_ref().is_some_and(|own| !dominated(own));
    }
}
