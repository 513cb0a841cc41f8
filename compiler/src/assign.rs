//! From sensitivity list, costs and budgets to the bit widths of each group.
//!
//! Efficiency budgets are met by the cost model alone: the widest assignment that meets them, greedily or with the least additive noise. Task budgets
//! then decide how far from there the network can be narrowed: the curve begins at that assignment, holds only points that meet the efficiency
//! budgets, and its last point that still does the task is the result. So without efficiency budgets it begins at the widest candidates.

use apq_lut::Candidate;
use apq_search::{Budget, Effort, Exact, NetworkCost, Outcome, Problem, Quantity, Sensitivity, Totals, checker};

use crate::compile::{CompileError, Data, Options, Progress, Stage};
use crate::cost::NetworkCosts;
use crate::prepare::Prepared;
use crate::task::{self, Evaluator, TaskOptions, TaskSearch};

/// How widths are assigned under efficiency budgets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AssignBy {
    /// Flips down the sensitivity list, the paper's algorithm.
    #[default]
    Greedy,
    /// The least sum of the groups' noises.
    Exact,
}

impl AssignBy {
    /// Both, in the order in which the tool lists them.
    pub const ALL: [Self; 2] = [Self::Greedy, Self::Exact];

    /// The name on the command line and in `report.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Greedy => "greedy",
            Self::Exact => "exact",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.name() == name)
    }
}

/// How widths are found.
#[derive(Debug, Clone, Default)]
pub struct SearchOptions {
    /// Under efficiency budgets.
    pub by: AssignBy,
    /// Whether the sensitivity list holds accuracies. Those do not add up as noises do, so that there is only the greedy assignment.
    pub accuracies: bool,
    /// Under task budgets.
    pub task: TaskOptions,
    /// Widths to take as they are, one for each group in graph order, instead of any search.
    pub assignment: Option<Vec<Candidate>>,
}

/// Widths, and how they were found.
pub struct Assigned {
    /// The width of each group.
    pub assignment: Vec<Candidate>,
    /// Both ways to meet the efficiency budgets; `None` where the widths were given.
    pub searched: Option<Searched>,
    /// The search under task budgets, where there are any.
    pub task: Option<TaskSearch>,
}

/// What the greedy and the exact assignment found under the efficiency budgets; nothing exact, and no noise, where the list holds accuracies.
pub struct Searched {
    /// The greedy assignment with its whole path.
    pub greedy: Outcome,
    /// Its noise relative to the signal, additively.
    pub greedy_noise: Option<f64>,
    /// The exact one.
    pub exact: Option<Exact>,
    /// Noise of the result.
    pub noise: Option<f64>,
    /// Which of them the result comes from: the exact one also where it alone meets the budgets.
    pub by: AssignBy,
}

/// Finds the widths.
///
/// # Errors
/// The problem is inconsistent, a budget's quantity is not modelled, or an evaluation fails.
pub fn assign(
    prepared: &Prepared<'_>,
    list: &[Sensitivity],
    costs: &NetworkCosts<'_>,
    data: &Data<'_>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Assigned, CompileError> {
    progress.begin(Stage::Assign, 0);
    let task = &options.search.task;
    let labelled = task.labelled.as_deref().or(data.test);
    let on_calibration = task.budgets.sqnr_db_min.is_some() || task.budgets.agreement_min.is_some();
    let labelled = labelled.filter(|_| task.budgets.accuracy_drop.is_some());
    let evaluator = || Evaluator::new(prepared, data, on_calibration, labelled, options, progress);
    if let Some(assignment) = &options.search.assignment {
        let curve = [(assignment.clone(), costs.totals(assignment))];
        let task = if task.budgets.is_empty() { None } else { Some(task::search(&curve, &evaluator()?, &task.budgets, task.scheme)?) };
        return Ok(Assigned { assignment: assignment.clone(), searched: None, task });
    }
    let problem = Problem::new(&prepared.groups, list, costs)?;
    let greedy = problem.assign(&options.budgets)?;
    checker::check(&prepared.groups, list, costs, &options.budgets, &greedy).map_err(|fault| CompileError::Check(fault.to_string()))?;
    let (wanted, exact, greedy_noise) = if options.search.accuracies {
        (AssignBy::Greedy, None, None)
    } else {
        let exact = problem.assign_exact(&options.budgets, greedy.feasible.then_some(&greedy.assignment))?;
        let greedy_noise = problem.noise(&greedy.assignment);
        check(&greedy, greedy_noise, &exact)?;
        (options.search.by, Some(exact), Some(greedy_noise))
    };
    let (mut assignment, by) = match exact.as_ref().and_then(|exact| exact.best.as_ref()) {
        Some(best) if wanted == AssignBy::Exact || !greedy.feasible => (best.assignment.clone(), AssignBy::Exact),
        _ => (greedy.assignment.clone(), AssignBy::Greedy),
    };
    let mut found = None;
    if !task.budgets.is_empty() {
        let curve = curve(&problem, costs, assignment, &options.budgets, wanted, progress)?;
        let searched = task::search(&curve, &evaluator()?, &task.budgets, task.scheme)?;
        assignment = curve[searched.point].0.clone();
        found = Some(searched);
    }
    let noise = greedy_noise.map(|_| problem.noise(&assignment));
    Ok(Assigned { assignment, searched: Some(Searched { greedy, greedy_noise, exact, noise, by }), task: found })
}

/// The two searches must not contradict each other.
fn check(greedy: &Outcome, greedy_noise: f64, exact: &Exact) -> Result<(), CompileError> {
    let fault = match &exact.best {
        None if greedy.feasible => "the exact search finds no assignment where the greedy one does",
        Some(best) if greedy.feasible && best.noise > greedy_noise => "the exact assignment is noisier than the greedy one",
        _ => return Ok(()),
    };
    Err(CompileError::Check(fault.into()))
}

/// Points from `start` on, each narrower than the one before, that meet all efficiency budgets; the start is among them in any case.
///
/// Greedily they are flips down the list. Exactly they are, for the BOPs of each of those points, the assignment of least noise, or, where
/// that takes long to prove, one that is at least no noisier than the point.
pub fn curve(
    problem: &Problem<'_>,
    costs: &NetworkCosts<'_>,
    start: Vec<Candidate>,
    budgets: &[Budget],
    by: AssignBy,
    progress: &dyn Progress,
) -> Result<Vec<(Vec<Candidate>, Totals)>, CompileError> {
    let quantities: Vec<Quantity> = budgets.iter().map(|budget| budget.quantity).filter(|q| *q != Quantity::Ram).collect();
    let flips = problem.curve_from(&start, &quantities)?;
    let meets = |totals: &Totals| budgets.iter().all(|budget| budget.met(totals));
    let mut points = vec![(start.clone(), costs.totals(&start))];
    if !meets(&points[0].1) {
        return Ok(points);
    }
    progress.begin(Stage::Assign, flips.points.len().saturating_sub(1));
    for point in flips.points.into_iter().skip(1) {
        progress.step();
        let (assignment, totals) = match by {
            AssignBy::Greedy => (point.assignment, point.totals),
            AssignBy::Exact => {
                let limit = Budget { quantity: Quantity::Bops, limit: point.totals.bops };
                let known = meets(&point.totals).then_some(point.assignment.as_slice());
                match problem.assign_exact_within(&[budgets, &[limit]].concat(), known, Effort::quick())?.best {
                    Some(best) => (best.assignment, best.totals),
                    None => continue,
                }
            }
        };
        if meets(&totals) && points.last().is_none_or(|last| last.0 != assignment) {
            points.push((assignment, totals));
        }
    }
    Ok(points)
}
