//! A trade-off curve as data, table, CSV and plot.

use std::path::Path;

use apqc::assign::AssignBy;
use apqc::cost::REFERENCE_BITS;
use apqc::pareto::{CurveOptions, CurvePoint, Merit, ParetoCurve};
use serde::Serialize;
use serde_json::{Map, Value};

use super::plot::{Mark, Plot, Series};
use super::search::noise_db;
use super::tables::{percent, table};
use super::{CalibrationReport, SCHEMA};
use crate::commands::Request;
use crate::units::{human_bytes, mj, ms};

/// `pareto.json`. Accuracies are fractions; a field with `Option` is absent where it was not measured or not modelled.
#[derive(Debug, Serialize)]
pub(crate) struct CurveReport {
    schema: u32,
    model: String,
    target: String,
    /// What falls along the curve.
    cost: &'static str,
    /// What it is held against.
    quality: &'static str,
    /// Whether a point meets every budget; true without budgets.
    pub(crate) feasible: bool,
    calibration: CalibrationReport,
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fp32_accuracy_top1: Option<f64>,
    /// Assignments on the greedy curve, evaluated or not.
    curve_points: usize,
    evaluations: usize,
    points: Vec<PointReport>,
}

/// One assignment. Costs are those of the lowered network.
#[derive(Debug, Serialize)]
struct PointReport {
    /// `greedy` or `exact`.
    assign_by: &'static str,
    bops: u64,
    bops_relative: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_mj: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles: Option<u64>,
    flash_bytes: u64,
    arena_bytes: u64,
    /// Against the float network at the logits over the calibration samples, pooled, on the integer runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    sqnr_db: Option<f64>,
    /// Share of calibration samples with the float network's top class.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_top1: Option<f64>,
    /// Sum of the groups' noises relative to the signal, in dB: what the search believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_db: Option<f64>,
    /// Whether every budget is met.
    feasible: bool,
    /// Whether no point is better in cost or quality without being worse in the other.
    non_dominated: bool,
    /// Width of each group by its name, in graph order.
    assignment: Map<String, Value>,
}

/// Name of a quality on the command line and in files.
pub(crate) fn merit_name(merit: Merit) -> &'static str {
    match merit {
        Merit::Sqnr => "sqnr",
        Merit::Accuracy => "accuracy",
        Merit::Agreement => "agreement",
    }
}

/// From a curve to its report.
pub(crate) fn build(curve: &ParetoCurve, request: &Request, options: &CurveOptions) -> CurveReport {
    let graph = &request.network.graph;
    let reference = request.network.macs.saturating_mul(REFERENCE_BITS).max(1);
    let point = |point: &CurvePoint| PointReport {
        assign_by: point.by.name(),
        bops: point.totals.bops,
        bops_relative: point.totals.bops as f64 / reference as f64,
        latency_ms: point.totals.latency_ns.map(ms),
        energy_mj: point.totals.energy_pj.map(mj),
        cycles: point.totals.cycles,
        flash_bytes: point.totals.flash_bytes,
        arena_bytes: point.totals.ram_bytes,
        sqnr_db: point.merit(Merit::Sqnr),
        agreement: point.merit(Merit::Agreement),
        accuracy_top1: point.merit(Merit::Accuracy),
        noise_db: point.noise.and_then(noise_db),
        feasible: point.feasible,
        non_dominated: point.non_dominated,
        assignment: curve
            .grouping
            .groups
            .iter()
            .zip(&point.assignment)
            .map(|(group, candidate)| (group.name.clone(), candidate.to_string().into()))
            .collect(),
    };
    let mut notes = request.notes();
    if !curve.not_modelled.is_empty() {
        notes.push(format!("not modelled by the target, counted as 0 in latency and energy: {}", curve.not_modelled.join(", ")));
    }
    if graph.softmax_dropped {
        notes.push("the softmax at the end is left out: outputs are logits".into());
    }
    if curve.float_accuracy.is_some()
        && let Some(labelled) = request.labelled()
    {
        notes.push(format!("accuracy is that of {} samples of {}", labelled.len(), labelled.source()));
    }
    let greedy = curve.points.iter().filter(|point| point.by == AssignBy::Greedy).count();
    if greedy < curve.curve_points {
        notes.push(format!("{greedy} of the curve's {} points were evaluated; --points N evaluates more", curve.curve_points));
    }
    CurveReport {
        schema: SCHEMA,
        model: graph.name.clone(),
        target: request.choice.target.name().into(),
        cost: options.cost.name(),
        quality: merit_name(options.merit),
        feasible: curve.points.iter().any(|point| point.feasible),
        calibration: CalibrationReport { source: request.calibration.data.source().into(), samples: request.calibration.data.len() },
        notes,
        fp32_accuracy_top1: curve.float_accuracy,
        curve_points: curve.curve_points,
        evaluations: curve.points.len(),
        points: curve.points.iter().map(point).collect(),
    }
}

impl PointReport {
    fn cost(&self, name: &str) -> Option<f64> {
        match name {
            "latency" => self.latency_ms,
            "energy" => self.energy_mj,
            "flash" => Some(self.flash_bytes as f64 / 1024.0),
            "ram" => Some(self.arena_bytes as f64 / 1024.0),
            _ => Some(self.bops_relative),
        }
    }

    fn quality(&self, name: &str) -> Option<f64> {
        match name {
            "accuracy" => self.accuracy_top1.map(|share| 100.0 * share),
            "agreement" => self.agreement.map(|share| 100.0 * share),
            _ => self.sqnr_db,
        }
    }
}

/// Name of a cost's axis, with its unit.
pub(super) fn cost_axis(name: &str) -> &'static str {
    match name {
        "latency" => "latency (ms)",
        "energy" => "energy (mJ)",
        "flash" => "flash (KiB)",
        "ram" => "arena (KiB)",
        _ => "bit operations relative to w8a16",
    }
}

/// Name of a quality's axis, with its unit.
fn quality_axis(name: &str) -> &'static str {
    match name {
        "accuracy" => "top-1 accuracy (%)",
        "agreement" => "agreement with the float network (%)",
        _ => "SQNR at the output (dB)",
    }
}

/// Each curve as a line, and rings around the points that no other dominates.
pub(crate) fn plot(report: &CurveReport) -> Plot {
    let place = |point: &PointReport| Some((point.cost(report.cost)?, point.quality(report.quality)?));
    let mut series = Vec::new();
    for (by, name) in [("greedy", "greedy: flips down the sensitivity list"), ("exact", "exact: least additive noise at the same cost")] {
        let points: Vec<(f64, f64)> = report.points.iter().filter(|point| point.assign_by == by).filter_map(place).collect();
        if !points.is_empty() {
            series.push(Series { name: name.into(), points, mark: Mark::Line });
        }
    }
    let front = report.points.iter().filter(|point| point.non_dominated).filter_map(place).collect();
    series.push(Series { name: "not dominated by any other point".into(), points: front, mark: Mark::Rings });
    if report.points.iter().any(|point| !point.feasible) {
        let feasible = report.points.iter().filter(|point| point.feasible).filter_map(place).collect();
        series.push(Series { name: "meets every budget".into(), points: feasible, mark: Mark::Dots });
    }
    Plot {
        title: format!("{} on {}", report.model, report.target),
        x: cost_axis(report.cost).into(),
        y: quality_axis(report.quality).into(),
        series,
    }
}

/// One line for each point; the assignment as `group=w4a8` separated by spaces.
pub(crate) fn csv(report: &CurveReport) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "assign_by",
        "bops",
        "bops_relative",
        "latency_ms",
        "energy_mj",
        "cycles",
        "flash_bytes",
        "arena_bytes",
        "sqnr_db",
        "agreement",
        "accuracy_top1",
        "noise_db",
        "feasible",
        "non_dominated",
        "assignment",
    ])?;
    let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for point in &report.points {
        let widths: Vec<String> =
            point.assignment.iter().map(|(group, width)| format!("{group}={}", width.as_str().unwrap_or_default())).collect();
        writer.write_record([
            point.assign_by.to_string(),
            point.bops.to_string(),
            point.bops_relative.to_string(),
            optional(point.latency_ms),
            optional(point.energy_mj),
            point.cycles.map(|cycles| cycles.to_string()).unwrap_or_default(),
            point.flash_bytes.to_string(),
            point.arena_bytes.to_string(),
            optional(point.sqnr_db),
            optional(point.agreement),
            optional(point.accuracy_top1),
            optional(point.noise_db),
            point.feasible.to_string(),
            point.non_dominated.to_string(),
            widths.join(" "),
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// The curve as a table.
pub(crate) fn summary(report: &CurveReport, directory: &Path, quiet: bool) -> String {
    let with = |any: fn(&PointReport) -> bool| report.points.iter().any(any);
    let (latency, energy) = (with(|point| point.latency_ms.is_some()), with(|point| point.energy_mj.is_some()));
    let accuracy = with(|point| point.accuracy_top1.is_some());
    let mut header = vec!["", "r", "flash", "arena"];
    let columns = [(latency, "latency"), (energy, "energy"), (accuracy, "accuracy"), (true, "SQNR"), (true, "agreement")];
    header.extend(columns.iter().filter(|column| column.0).map(|column| column.1));
    header.extend(["front", "budgets"]);
    let mut rows = table(&header, 1);
    for point in &report.points {
        let mut row = vec![
            point.assign_by.to_string(),
            format!("{:.4}", point.bops_relative),
            human_bytes(point.flash_bytes),
            human_bytes(point.arena_bytes),
        ];
        let shown = |value: Option<f64>, unit: &str| value.map_or("-".into(), |value| format!("{value:.3} {unit}"));
        let cells = [
            (latency, shown(point.latency_ms, "ms")),
            (energy, shown(point.energy_mj, "mJ")),
            (accuracy, percent(point.accuracy_top1)),
            (true, point.sqnr_db.map_or("-".into(), |db| format!("{db:.2} dB"))),
            (true, percent(point.agreement)),
        ];
        row.extend(cells.into_iter().filter(|cell| cell.0).map(|cell| cell.1));
        row.push(if point.non_dominated { "*" } else { "" }.into());
        row.push(if point.feasible { "met" } else { "not met" }.into());
        rows.add_row(row);
    }
    let verdict = if report.feasible { "" } else { ": NO POINT MEETS EVERY BUDGET" };
    let float = report.fp32_accuracy_top1.map(|share| format!(", float accuracy {}", percent(Some(share)))).unwrap_or_default();
    let mut parts = vec![
        format!("{} for {}, {} against {}{float}{verdict}", report.model, report.target, report.cost, report.quality),
        rows.to_string(),
    ];
    if !quiet {
        parts.push(report.notes.iter().map(|note| format!("note: {note}")).collect::<Vec<_>>().join("\n"));
        parts.push(format!("{} evaluations; * is not dominated by any other point; files in {}", report.evaluations, directory.display()));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}
