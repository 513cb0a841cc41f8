//! The front of a supernet's accuracy against costs, as data, table, CSV and plot.

use std::path::Path;

use apq_search::evolution::Scored;
use apq_search::space::Design;
use apq_search::{Budget, Quantity, Totals};
use apqc::cost::REFERENCE_BITS;
use apqc::supernet::{PredictorFacts, Trial};
use serde::{Serialize, Serializer};

use super::CalibrationReport;
use super::curve::cost_axis;
use super::plot::{Mark, Plot, Series};
use super::supernet::architecture_text;
use super::tables::{percent, table};
use crate::units::{human_bytes, mj, ms};

/// `pareto.json` of a supernet. Accuracies are fractions; a field with `Option` is absent where it was not measured or not modelled.
#[derive(Debug, Serialize)]
pub(crate) struct FrontReport {
    pub(crate) schema: u32,
    pub(crate) target: String,
    /// Name of the search space.
    pub(crate) space: String,
    /// Its fingerprint.
    pub(crate) fingerprint: String,
    /// The cost of the plot.
    #[serde(serialize_with = "name_of")]
    pub(crate) cost: Quantity,
    /// Whether a point is known to meet every budget; true without budgets.
    pub(crate) feasible: bool,
    pub(crate) calibration: CalibrationReport,
    /// On what accuracies were measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<CalibrationReport>,
    pub(crate) predictor: PredictorFacts,
    pub(crate) notes: Vec<String>,
    /// Designs that were predicted.
    pub(crate) evaluations: u64,
    pub(crate) points: Vec<FrontPoint>,
}

/// A design that no other beats in predicted accuracy and every cost.
#[derive(Debug, Serialize)]
pub(crate) struct FrontPoint {
    accuracy_predicted: f64,
    /// Of the integer runtime; absent where the design was not checked for real.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_top1: Option<f64>,
    /// Of the subnet in floats.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_float: Option<f64>,
    bops: u64,
    bops_relative: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_mj: Option<f64>,
    /// By the cost tables: the file has at most this.
    flash_bytes: u64,
    /// Of the lowered file.
    #[serde(skip_serializing_if = "Option::is_none")]
    arena_bytes: Option<u64>,
    /// Whether every budget is met; absent where RAM decides and the design was not checked for real.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) feasible: Option<bool>,
    design: Design,
}

impl FrontPoint {
    /// `macs` are those of the largest network.
    pub(crate) fn new(scored: &Scored, trial: Option<&Trial>, budgets: &[Budget], macs: u64) -> FrontPoint {
        let totals = Totals { ram_bytes: trial.map_or(0, |trial| trial.ram_bytes), ..scored.totals };
        FrontPoint {
            accuracy_predicted: scored.score.into(),
            accuracy_top1: trial.and_then(|trial| trial.accuracy),
            accuracy_float: trial.and_then(|trial| trial.float_accuracy),
            bops: totals.bops,
            bops_relative: totals.bops as f64 / macs.saturating_mul(REFERENCE_BITS).max(1) as f64,
            latency_ms: totals.latency_ns.map(ms),
            energy_mj: totals.energy_pj.map(mj),
            flash_bytes: totals.flash_bytes,
            arena_bytes: trial.map(|trial| trial.ram_bytes),
            feasible: feasible(budgets, &totals, trial.is_some()),
            design: scored.design.clone(),
        }
    }

    fn cost(&self, quantity: Quantity) -> Option<f64> {
        match quantity {
            Quantity::Bops => Some(self.bops_relative),
            Quantity::Latency => self.latency_ms,
            Quantity::Energy => self.energy_mj,
            Quantity::Flash => Some(self.flash_bytes as f64 / 1024.0),
            Quantity::Ram => self.arena_bytes.map(|bytes| bytes as f64 / 1024.0),
            Quantity::Cycles => None,
        }
    }
}

/// Whether every budget is met; `None` where only RAM, which is known of lowered networks, could say so.
fn feasible(budgets: &[Budget], totals: &Totals, lowered: bool) -> Option<bool> {
    let known = |budget: &&Budget| lowered || budget.quantity != Quantity::Ram;
    if !budgets.iter().filter(known).all(|budget| budget.met(totals)) {
        return Some(false);
    }
    budgets.iter().all(|budget| known(&budget)).then_some(true)
}

fn name_of<S: Serializer>(quantity: &Quantity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(quantity.name())
}

/// Predicted accuracy of every point, and what was measured.
pub(crate) fn plot(report: &FrontReport) -> Plot {
    let points = |accuracy: fn(&FrontPoint) -> Option<f64>| {
        let place = |point: &FrontPoint| Some((point.cost(report.cost)?, 100.0 * accuracy(point)?));
        report.points.iter().filter_map(place).collect()
    };
    let series = |name: &str, points, mark| Series { name: name.into(), points, mark };
    Plot {
        title: format!("{} on {}", report.space, report.target),
        x: cost_axis(report.cost.name()).into(),
        y: "top-1 accuracy (%)".into(),
        series: vec![
            series("predicted, not dominated in accuracy and all costs", points(|point| Some(point.accuracy_predicted)), Mark::Dots),
            series("measured as integers", points(|point| point.accuracy_top1), Mark::Dots),
        ],
    }
}

/// One line for each point; the design as JSON.
pub(crate) fn csv(report: &FrontReport) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "accuracy_predicted",
        "accuracy_top1",
        "accuracy_float",
        "bops",
        "bops_relative",
        "latency_ms",
        "energy_mj",
        "flash_bytes",
        "arena_bytes",
        "feasible",
        "design",
    ])?;
    let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for point in &report.points {
        writer.write_record([
            point.accuracy_predicted.to_string(),
            optional(point.accuracy_top1),
            optional(point.accuracy_float),
            point.bops.to_string(),
            point.bops_relative.to_string(),
            optional(point.latency_ms),
            optional(point.energy_mj),
            point.flash_bytes.to_string(),
            point.arena_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
            point.feasible.map(|feasible| feasible.to_string()).unwrap_or_default(),
            serde_json::to_string(&point.design)?,
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// The points that were checked as a table.
pub(crate) fn summary(report: &FrontReport, directory: &Path, quiet: bool) -> String {
    let mut rows = table(&["design", "predicted", "float", "integer", "r", "latency", "energy", "flash", "budgets"], 1);
    let shown = |value: Option<f64>, unit: &str| value.map_or("-".into(), |value| format!("{value:.4} {unit}"));
    for point in report.points.iter().filter(|point| point.arena_bytes.is_some()) {
        rows.add_row([
            architecture_text(&point.design),
            percent(Some(point.accuracy_predicted)),
            percent(point.accuracy_float),
            percent(point.accuracy_top1),
            format!("{:.4}", point.bops_relative),
            shown(point.latency_ms, "ms"),
            shown(point.energy_mj, "mJ"),
            human_bytes(point.flash_bytes),
            if point.feasible == Some(true) { "met" } else { "not met" }.into(),
        ]);
    }
    let verdict = if report.feasible { "" } else { ": NO POINT MEETS EVERY BUDGET" };
    let mut parts = vec![format!("{} for {}, {} points{verdict}", report.space, report.target, report.points.len()), rows.to_string()];
    if !quiet {
        parts.push(report.notes.iter().map(|note| format!("note: {note}")).collect::<Vec<_>>().join("\n"));
        parts.push(format!("{} designs were predicted; files in {}", report.evaluations, directory.display()));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_is_known_of_lowered_networks_only() {
        let budget = |quantity, limit| Budget { quantity, limit };
        let totals = Totals { bops: 10, ram_bytes: 100, ..Totals::default() };
        let unknown = Totals { ram_bytes: 0, ..totals };
        let [bops, missed] = [10, 9].map(|limit| budget(Quantity::Bops, limit));
        let [ram, small] = [100, 99].map(|limit| budget(Quantity::Ram, limit));
        assert_eq!((feasible(&[], &unknown, false), feasible(&[bops], &unknown, false)), (Some(true), Some(true)));
        assert_eq!((feasible(&[bops, ram], &unknown, false), feasible(&[missed, ram], &unknown, false)), (None, Some(false)));
        assert_eq!((feasible(&[bops, ram], &totals, true), feasible(&[bops, small], &totals, true)), (Some(true), Some(false)));
    }
}
