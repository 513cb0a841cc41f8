//! A comparison of searches as data, table, CSV and plots.

use std::collections::BTreeMap;
use std::path::Path;

use apq_search::{Budget, Quantity, mean_and_deviation};
use apqc::compare::{Method, Winner};
use apqc::cost::REFERENCE_BITS;
use apqc::supernet::PredictorFacts;
use serde::Serialize;
use serde_json::Value;

use super::plot::{Mark, Plot, Series};
use super::tables::table;
use super::{CalibrationReport, budget_name, in_unit};
use crate::units::{mj, ms};

/// `compare.json`. Accuracies are fractions.
#[derive(Debug, Serialize)]
pub(crate) struct CompareReport {
    pub(crate) schema: u32,
    pub(crate) model: String,
    pub(crate) target: String,
    /// Samples that decided.
    pub(crate) validation: CalibrationReport,
    /// Samples that report, where there are any; `accuracy_top1` is then theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) test: Option<CalibrationReport>,
    pub(crate) predictor: PredictorFacts,
    /// The one that was trained without transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) predictor_scratch: Option<PredictorFacts>,
    pub(crate) seeds: Vec<u64>,
    /// Designs of each method that were measured under each budget, at most.
    pub(crate) finalists: usize,
    /// Sizes of each search.
    pub(crate) evaluations: usize,
    pub(crate) notes: Vec<String>,
    pub(crate) budgets: Vec<BudgetRow>,
    /// Over all budgets of a quantity and all seeds: the joint search's accuracy less the sequential one's.
    pub(crate) ahead_of_sequential: BTreeMap<&'static str, Difference>,
    pub(crate) seconds: Seconds,
}

/// Times.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Seconds {
    /// All searches.
    pub(crate) search: f64,
    /// Measuring what they found.
    pub(crate) check: f64,
}

/// One budget.
#[derive(Debug, Serialize)]
pub(crate) struct BudgetRow {
    pub(crate) budget: Limit,
    /// By the names of [`Method`]; null where nothing meets the budget.
    #[serde(flatten)]
    pub(crate) methods: BTreeMap<&'static str, Option<MethodReport>>,
    /// The joint search's accuracy less the sequential one's with the same seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ahead_of_sequential: Option<Difference>,
}

/// A budget in its unit.
#[derive(Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) limit: Value,
    #[serde(skip)]
    pub(crate) of: Budget,
}

/// Paired differences of accuracies.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Difference {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) least: f64,
    pub(crate) pairs: usize,
}

/// What a method found under a budget: means over the seeds.
#[derive(Debug, Serialize)]
pub(crate) struct MethodReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_mj: Option<f64>,
    bops: u64,
    bops_relative: f64,
    /// On the test samples, else on those that decided.
    accuracy_top1: f64,
    /// Standard deviation over the seeds.
    accuracy_deviation: f64,
    accuracy_validation: f64,
    seeds: Vec<SeedReport>,
}

/// One search's winner.
#[derive(Debug, Serialize)]
struct SeedReport {
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_mj: Option<f64>,
    bops: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_predicted: Option<f32>,
    accuracy_validation: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_test: Option<f64>,
    /// Whether it is the sequential search's winner.
    from_sequential: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    design: Option<apq_search::space::Design>,
}

fn accuracy(winner: &Winner) -> f64 {
    winner.test.unwrap_or(winner.validation)
}

impl Difference {
    fn of(pairs: &[f64]) -> Option<Difference> {
        let (mean, deviation) = mean_and_deviation(pairs)?;
        Some(Difference { mean, deviation, least: pairs.iter().copied().fold(f64::INFINITY, f64::min), pairs: pairs.len() })
    }
}

impl MethodReport {
    fn new(winners: &[&Winner], macs: u64) -> Option<MethodReport> {
        let accuracies: Vec<f64> = winners.iter().map(|winner| accuracy(winner)).collect();
        let (accuracy_top1, accuracy_deviation) = mean_and_deviation(&accuracies)?;
        let count = winners.len() as f64;
        let mean = |value: &dyn Fn(&Winner) -> Option<f64>| {
            let values: Option<Vec<f64>> = winners.iter().map(|winner| value(winner)).collect();
            values.map(|values| values.iter().sum::<f64>() / count)
        };
        let latency = |winner: &Winner| winner.totals.latency_ns.map(ms);
        let energy = |winner: &Winner| winner.totals.energy_pj.map(mj);
        let bops = mean(&|winner: &Winner| Some(winner.totals.bops as f64)).unwrap_or(0.0);
        let seed = |winner: &&Winner| SeedReport {
            seed: winner.seed,
            latency_ms: latency(winner),
            energy_mj: energy(winner),
            bops: winner.totals.bops,
            accuracy_predicted: winner.predicted,
            accuracy_validation: winner.validation,
            accuracy_test: winner.test,
            from_sequential: winner.from_sequential,
            design: winner.design.clone(),
        };
        Some(MethodReport {
            latency_ms: mean(&latency),
            energy_mj: mean(&energy),
            bops: bops.round() as u64,
            bops_relative: bops / macs.saturating_mul(REFERENCE_BITS).max(1) as f64,
            accuracy_top1,
            accuracy_deviation,
            accuracy_validation: winners.iter().map(|winner| winner.validation).sum::<f64>() / count,
            seeds: winners.iter().map(seed).collect(),
        })
    }
}

/// Differences of the joint and the sequential search with the same budget and seed.
fn differences(winners: &[Winner], budgets: impl Fn(usize) -> bool) -> Vec<f64> {
    let of = |method: Method| winners.iter().filter(move |winner| winner.method == method);
    let rival = |own: &Winner| of(Method::Sequential).find(|rival| (rival.budget, rival.seed) == (own.budget, own.seed));
    let joint = of(Method::Joint).filter(|own| budgets(own.budget));
    joint.filter_map(|own| Some(accuracy(own) - accuracy(rival(own)?))).collect()
}

/// One row for each budget, and the differences over all of them. `methods` are those that took part, `macs` those of the largest network.
pub(crate) fn rows(
    winners: &[Winner],
    budgets: &[Budget],
    methods: &[Method],
    macs: u64,
) -> (Vec<BudgetRow>, BTreeMap<&'static str, Difference>) {
    let row = |(place, budget): (usize, &Budget)| {
        let report = |method: &Method| {
            let own: Vec<&Winner> = winners.iter().filter(|winner| winner.method == *method && winner.budget == place).collect();
            (method.name(), MethodReport::new(&own, macs))
        };
        BudgetRow {
            budget: Limit { name: budget_name(budget.quantity), limit: in_unit(budget.quantity, budget.limit).into(), of: *budget },
            methods: methods.iter().map(report).collect(),
            ahead_of_sequential: Difference::of(&differences(winners, |budget| budget == place)),
        }
    };
    let of_quantity = |quantity: Quantity| {
        let pairs = differences(winners, |budget| budgets.get(budget).is_some_and(|budget| budget.quantity == quantity));
        Some((budget_name(quantity), Difference::of(&pairs)?))
    };
    (budgets.iter().enumerate().map(row).collect(), Quantity::ALL.into_iter().filter_map(of_quantity).collect())
}

/// One line for each winner.
pub(crate) fn csv(report: &CompareReport) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = [
        "budget",
        "limit",
        "method",
        "seed",
        "latency_ms",
        "energy_mj",
        "bops",
        "accuracy_predicted",
        "accuracy_validation",
        "accuracy_test",
        "from_sequential",
    ];
    writer.write_record(columns)?;
    let shown = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for row in &report.budgets {
        for (method, found) in &row.methods {
            for seed in found.iter().flat_map(|found| &found.seeds) {
                writer.write_record([
                    row.budget.name.to_string(),
                    row.budget.limit.to_string(),
                    (*method).to_string(),
                    seed.seed.to_string(),
                    shown(seed.latency_ms),
                    shown(seed.energy_mj),
                    seed.bops.to_string(),
                    shown(seed.accuracy_predicted.map(f64::from)),
                    seed.accuracy_validation.to_string(),
                    shown(seed.accuracy_test),
                    seed.from_sequential.to_string(),
                ])?;
            }
        }
    }
    Ok(writer.into_inner()?)
}

/// A title of a method for people.
fn title(method: Method) -> &'static str {
    match method {
        Method::Joint => "joint",
        Method::JointAlone => "joint alone",
        Method::JointScratch => "alone, no transfer",
        Method::Sequential => "sequential",
        Method::FixedArchitecture => "fixed architecture, SQNR",
        Method::Random => "random",
        Method::Fixed8 => "8 bits",
        Method::Fixed6 => "6 bits",
        Method::Fixed4 => "4 bits",
    }
}

/// Quantities that were budgeted, in the order of reports.
fn quantities(report: &CompareReport) -> Vec<Quantity> {
    let there = |quantity: &Quantity| report.budgets.iter().any(|row| row.budget.of.quantity == *quantity);
    Quantity::ALL.into_iter().filter(there).collect()
}

/// A plot of accuracy for each quantity, by the name of its file.
pub(crate) fn plots(report: &CompareReport) -> Vec<(String, Plot)> {
    let plot = |quantity: Quantity| {
        let rows = || report.budgets.iter().filter(move |row| row.budget.of.quantity == quantity);
        let (unit, scale) = match quantity {
            Quantity::Latency => ("latency budget (ms)", 1e-6),
            Quantity::Energy => ("energy budget (mJ)", 1e-9),
            Quantity::Bops => ("budget of bit operations (millions)", 1e-6),
            _ => ("budget", 1.0),
        };
        let series = |method: Method| {
            let point = |row: &BudgetRow| {
                let found = row.methods.get(method.name())?.as_ref()?;
                Some((row.budget.of.limit as f64 * scale, 100.0 * found.accuracy_top1))
            };
            let points: Vec<(f64, f64)> = rows().filter_map(point).collect();
            let mark = if matches!(method, Method::Fixed8 | Method::Fixed6 | Method::Fixed4) { Mark::Dashes } else { Mark::Line };
            (!points.is_empty()).then(|| Series { name: title(method).into(), points, mark })
        };
        let plot = Plot {
            title: format!("{} on {}, mean of {} seeds", report.model, report.target, report.seeds.len()),
            x: unit.into(),
            y: "top-1 accuracy (%)".into(),
            series: Method::ALL.into_iter().filter_map(series).collect(),
        };
        (format!("compare-{quantity}.svg"), plot)
    };
    quantities(report).into_iter().map(plot).collect()
}

/// For people.
pub(crate) fn summary(report: &CompareReport, directory: Option<&Path>, quiet: bool) -> String {
    let mut parts = Vec::new();
    for quantity in quantities(report) {
        let took_part = |method: &Method| report.budgets.iter().any(|row| row.methods.contains_key(method.name()));
        let methods: Vec<Method> = Method::ALL.into_iter().filter(took_part).collect();
        let mut header = vec![budget_name(quantity)];
        header.extend(methods.iter().map(|method| title(*method)));
        header.push("joint - sequential");
        let mut rows = table(&header, 0);
        for row in report.budgets.iter().filter(|row| row.budget.of.quantity == quantity) {
            let cell = |method: &Method| {
                let found = row.methods.get(method.name()).and_then(Option::as_ref);
                let shown = |found: &MethodReport| match found.seeds.len() {
                    1 => format!("{:.2} %", 100.0 * found.accuracy_top1),
                    _ => format!("{:.2} ± {:.2} %", 100.0 * found.accuracy_top1, 100.0 * found.accuracy_deviation),
                };
                found.map_or("-".into(), shown)
            };
            let mut cells = vec![row.budget.limit.to_string()];
            cells.extend(methods.iter().map(cell));
            cells.push(row.ahead_of_sequential.as_ref().map_or("-".into(), points));
            rows.add_row(cells);
        }
        parts.push(rows.to_string());
    }
    for (name, difference) in &report.ahead_of_sequential {
        parts.push(format!("{name}: joint - sequential {} over {} pairs", points(difference), difference.pairs));
    }
    if !quiet && !report.notes.is_empty() {
        parts.push(report.notes.iter().map(|note| format!("note: {note}")).collect::<Vec<_>>().join("\n"));
    }
    if let Some(directory) = directory {
        parts.push(format!("{:.1} s; files in {}", report.seconds.search + report.seconds.check, directory.display()));
    }
    parts.join("\n\n")
}

/// A difference in points of percentage.
fn points(difference: &Difference) -> String {
    format!("{:+.2} ± {:.2}", 100.0 * difference.mean, 100.0 * difference.deviation)
}
