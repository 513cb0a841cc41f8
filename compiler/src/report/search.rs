//! How the assignment was found, as data and as tables.

use apq_search::Totals;
use apqc::compile::Compiled;
use apqc::task::{TaskSearch, TaskVerdict};
use comfy_table::CellAlignment;
use serde::Serialize;

use super::BudgetReport;
use super::tables::{percent, table};
use crate::units::{human_bytes, human_count, mj, ms};

/// One way to meet the efficiency budgets. Costs are the cost model's: flash is an upper bound, RAM is not planned here.
#[derive(Debug, Serialize)]
pub(crate) struct AssignReport {
    /// Whether the efficiency budgets are met.
    pub(crate) feasible: bool,
    /// Whether no assignment has less noise, or none meets the budgets; the exact one says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proved: Option<bool>,
    /// Sum of the groups' noises relative to the signal in dB; absent where nothing is narrower than the widest, and there is no noise, and where the
    /// list holds accuracies, which do not add up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noise_db: Option<f64>,
    /// Costs; absent where there is no assignment.
    #[serde(flatten)]
    pub(crate) costs: Option<CostReport>,
}

/// Costs of an assignment.
#[derive(Debug, Serialize)]
pub(crate) struct CostReport {
    /// w * a * MAC.
    pub(crate) bops: u64,
    /// BOPs / (128 * MACs of the imported network).
    pub(crate) bops_relative: f64,
    /// Of one inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<f64>,
    /// Of one inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) energy_mj: Option<f64>,
    /// The file, at most.
    pub(crate) flash_bytes: u64,
}

impl CostReport {
    /// Of `totals`, with the BOPs of the imported network at w8a16.
    pub(crate) fn new(totals: &Totals, reference_bops: u64) -> CostReport {
        CostReport {
            bops: totals.bops,
            bops_relative: totals.bops as f64 / reference_bops.max(1) as f64,
            latency_ms: totals.latency_ns.map(ms),
            energy_mj: totals.energy_pj.map(mj),
            flash_bytes: totals.flash_bytes,
        }
    }
}

/// Noise relative to the signal in dB.
pub(crate) fn noise_db(noise: f64) -> Option<f64> {
    (noise > 0.0).then(|| 10.0 * noise.log10())
}

/// The greedy and the exact assignment; `None` where widths were given, or no exact one was searched.
pub(crate) fn assignments(compiled: &Compiled, reference_bops: u64) -> (Option<AssignReport>, Option<AssignReport>) {
    let Some(searched) = &compiled.searched else { return (None, None) };
    let greedy = AssignReport {
        feasible: searched.greedy.feasible,
        proved: None,
        noise_db: searched.greedy_noise.and_then(noise_db),
        costs: Some(CostReport::new(&searched.greedy.totals, reference_bops)),
    };
    let exact = searched.exact.as_ref().map(|exact| AssignReport {
        feasible: exact.best.is_some(),
        proved: Some(exact.proved),
        noise_db: exact.best.as_ref().and_then(|best| noise_db(best.noise)),
        costs: exact.best.as_ref().map(|best| CostReport::new(&best.totals, reference_bops)),
    });
    (Some(greedy), exact)
}

/// The search under task budgets.
#[derive(Debug, Serialize)]
pub(crate) struct TaskReport {
    /// How the curve was searched.
    pub(crate) scheme: &'static str,
    /// Points of the curve, from the widest assignment to the narrowest.
    pub(crate) points: usize,
    /// Position of the result.
    pub(crate) point: usize,
    /// Points that were evaluated.
    pub(crate) evaluations: usize,
    /// Labelled samples that decided about accuracy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decided_on: Option<DecidedOn>,
    /// Evaluated points, in the order of evaluation.
    pub(crate) evaluated: Vec<PointReport>,
}

/// Labelled samples that decided about accuracy.
#[derive(Debug, Serialize)]
pub(crate) struct DecidedOn {
    /// A path.
    pub(crate) source: String,
    /// How many.
    pub(crate) samples: usize,
    /// Accuracy of the float network on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) float_accuracy_top1: Option<f64>,
}

/// One evaluated point of the curve: what the integer runtime made of it.
#[derive(Debug, Serialize)]
pub(crate) struct PointReport {
    /// Position on the curve.
    pub(crate) point: usize,
    /// Costs by the cost model.
    #[serde(flatten)]
    pub(crate) costs: CostReport,
    /// On the labelled samples that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy_top1: Option<f64>,
    /// On the calibration samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sqnr_db: Option<f64>,
    /// On the calibration samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agreement: Option<f64>,
    /// Whether every task budget is met.
    pub(crate) met: bool,
}

/// The report of a search under task budgets.
pub(crate) fn task(search: &TaskSearch, reference_bops: u64) -> TaskReport {
    let point = |one: &apqc::task::EvaluatedPoint| PointReport {
        point: one.point,
        costs: CostReport::new(&one.totals, reference_bops),
        accuracy_top1: one.evaluation.accuracy_top1,
        sqnr_db: one.evaluation.calibration.and_then(|quality| quality.sqnr_db),
        agreement: one.evaluation.calibration.and_then(|quality| quality.agreement),
        met: one.met,
    };
    TaskReport {
        scheme: search.scheme.name(),
        points: search.points,
        point: search.point,
        evaluations: search.evaluated.len(),
        decided_on: search.labelled.as_ref().map(|(source, samples)| DecidedOn {
            source: source.clone(),
            samples: *samples,
            float_accuracy_top1: search.float_accuracy,
        }),
        evaluated: search.evaluated.iter().map(point).collect(),
    }
}

/// A task budget among the others.
pub(crate) fn task_budget(verdict: &TaskVerdict) -> BudgetReport {
    let number = |value: f64| serde_json::Number::from_f64(value);
    BudgetReport {
        name: verdict.name,
        limit: number(verdict.limit).unwrap_or_else(|| 0.into()),
        value: number(verdict.value),
        met: verdict.margin >= 0.0,
        task: true,
        smallest_found: None,
    }
}

/// Greedy and exact side by side.
pub(crate) fn assignments_table(greedy: &AssignReport, exact: &AssignReport, used: &str) -> String {
    let mut rows = table(&["assignment", "noise", "BOPs", "latency", "energy", "flash", ""], 1);
    if let Some(note) = rows.column_mut(6) {
        note.set_cell_alignment(CellAlignment::Left);
    }
    for (name, one) in [("greedy", greedy), ("exact", exact)] {
        let cost = |shown: fn(&CostReport) -> Option<String>| one.costs.as_ref().and_then(shown).unwrap_or_else(|| "-".into());
        let mut notes = Vec::new();
        if name == used {
            notes.push("used");
        }
        match (one.feasible, one.proved) {
            (true, Some(false)) => notes.push("not proved least"),
            (false, Some(true)) => notes.push("proved: none meets the budgets"),
            (false, _) => notes.push("misses the budgets"),
            _ => {}
        }
        rows.add_row([
            name.to_string(),
            one.noise_db.map_or("-".into(), |db| format!("{db:.2} dB")),
            cost(|costs| Some(format!("{} (r = {:.4})", human_count(costs.bops), costs.bops_relative))),
            cost(|costs| costs.latency_ms.map(|ms| format!("{ms:.4} ms"))),
            cost(|costs| costs.energy_mj.map(|mj| format!("{mj:.4} mJ"))),
            cost(|costs| Some(human_bytes(costs.flash_bytes))),
            notes.join("; "),
        ]);
    }
    rows.to_string()
}

/// The evaluated points, from the widest to the narrowest.
pub(crate) fn task_table(task: &TaskReport) -> String {
    let mut rows = table(&["point", "r", "accuracy", "SQNR", "agreement", "met"], 1);
    let mut points: Vec<&PointReport> = task.evaluated.iter().collect();
    points.sort_by_key(|point| point.point);
    for point in points {
        let result = if point.point == task.point { " *" } else { "" };
        rows.add_row([
            format!("{} of {}{result}", point.point + 1, task.points),
            format!("{:.4}", point.costs.bops_relative),
            percent(point.accuracy_top1),
            point.sqnr_db.map_or("-".into(), |db| format!("{db:.2} dB")),
            percent(point.agreement),
            if point.met { "yes" } else { "no" }.into(),
        ]);
    }
    let decided = task.decided_on.as_ref().map_or(String::new(), |on| {
        format!(", accuracy on {} samples of {} (float {})", on.samples, on.source, percent(on.float_accuracy_top1))
    });
    format!("{} search: {} evaluations{decided}; * is the result\n{rows}", task.scheme, task.evaluations)
}
