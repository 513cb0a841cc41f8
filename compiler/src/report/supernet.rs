//! How a network was found in a supernet, as data and as a table.

use apq_search::space::{Design, Space};
use apqc::cost::REFERENCE_BITS;
use apqc::supernet::{Checked, PredictorFacts};
use serde::Serialize;

use super::CalibrationReport;
use super::tables::percent;
use crate::units::{mj, ms};

/// The section `supernet` of `report.json`. Accuracies are fractions.
#[derive(Debug, Serialize)]
pub(crate) struct SupernetReport {
    /// Name of the search space.
    pub(crate) space: String,
    /// Its fingerprint.
    pub(crate) fingerprint: String,
    /// What was lowered, with the bit widths that the search chose.
    pub(crate) design: Design,
    /// What the predictor says of it.
    pub(crate) accuracy_predicted: f64,
    /// Where the predictor comes from.
    pub(crate) predictor: PredictorFacts,
    /// On what designs were compared; absent without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<CalibrationReport>,
    /// Designs that were checked for real, as they were proposed.
    pub(crate) candidates: Vec<CandidateReport>,
    /// Bit widths by the sensitivity list for the same subnet, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refined: Option<RefinedReport>,
    /// Designs that were predicted.
    pub(crate) evaluations: u64,
    /// Designs that were over a budget.
    pub(crate) discarded: u64,
    /// Times.
    pub(crate) seconds: SupernetSeconds,
}

/// One design that was checked for real.
#[derive(Debug, Serialize)]
pub(crate) struct CandidateReport {
    /// `joint`, `sequential`, or `nearest` where the search had nothing that meets the budgets, that for RAM as it was estimated then.
    pub(crate) origin: &'static str,
    /// By the predictor.
    pub(crate) accuracy_predicted: f64,
    /// Of the subnet in floats on the validation samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy_float: Option<f64>,
    /// Of the integer runtime on the validation samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
    /// Relative to w8a16 of the largest network.
    pub(crate) bops_relative: f64,
    /// By the cost model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<f64>,
    /// By the cost model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) energy_mj: Option<f64>,
    /// Of the lowered file.
    pub(crate) flash_bytes: u64,
    /// Of the lowered file.
    pub(crate) arena_bytes: u64,
    /// Whether it meets every budget.
    pub(crate) feasible: bool,
    /// Whether it is the result.
    pub(crate) chosen: bool,
    /// Architecture and bit widths.
    pub(crate) design: Design,
}

/// What the sensitivity list made of the chosen subnet under the same budgets.
#[derive(Debug, Serialize)]
pub(crate) struct RefinedReport {
    /// Of the integer runtime on the validation samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
    /// Whether it took the place of the searched widths: it meets the budgets, and its accuracy is not lower.
    pub(crate) kept: bool,
}

/// Seconds of the search.
#[derive(Debug, Default, Serialize)]
pub(crate) struct SupernetSeconds {
    /// Evolution.
    pub(crate) search: f64,
    /// Designs checked for real.
    pub(crate) check: f64,
    /// Sensitivity list and assignment of the chosen subnet.
    pub(crate) refine: f64,
}

/// `design.json`.
#[derive(Debug, Serialize)]
pub(crate) struct DesignFile<'a> {
    /// Of this file.
    pub(crate) schema: &'static str,
    /// Name of the search space.
    pub(crate) space: &'a str,
    /// Its fingerprint.
    pub(crate) fingerprint: String,
    /// Blocks of the space, `null` where one is left out.
    pub(crate) architecture: &'a apq_search::space::Architecture,
    /// Their bit widths; `null` where `assignment.toml` has widths that no policy of the space has.
    pub(crate) policy: Option<&'a apq_search::space::Policy>,
}

/// The section for designs that were checked; `chosen` is one of them. Counts are of designs that were predicted, and over a budget. `macs` are those of the largest network.
pub(crate) fn build(
    space: &Space,
    (evaluations, discarded): (u64, u64),
    (checked, chosen): (&[Checked], usize),
    predictor: PredictorFacts,
    validation: Option<CalibrationReport>,
    macs: u64,
) -> SupernetReport {
    let candidate = |(index, one): (usize, &Checked)| CandidateReport {
        origin: one.proposal.origin.name(),
        accuracy_predicted: one.proposal.predicted.into(),
        accuracy_float: one.trial.float_accuracy,
        accuracy: one.trial.accuracy,
        bops_relative: one.proposal.totals.bops as f64 / macs.saturating_mul(REFERENCE_BITS).max(1) as f64,
        latency_ms: one.proposal.totals.latency_ns.map(ms),
        energy_mj: one.proposal.totals.energy_pj.map(mj),
        flash_bytes: one.trial.flash_bytes,
        arena_bytes: one.trial.ram_bytes,
        feasible: one.feasible,
        chosen: index == chosen,
        design: one.proposal.design.clone(),
    };
    let result = &checked[chosen].proposal;
    SupernetReport {
        space: space.name.clone(),
        fingerprint: space.fingerprint_text(),
        design: result.design.clone(),
        accuracy_predicted: result.predicted.into(),
        predictor,
        validation,
        candidates: checked.iter().enumerate().map(candidate).collect(),
        refined: None,
        evaluations,
        discarded,
        seconds: SupernetSeconds::default(),
    }
}

/// The blocks of an architecture in few signs: kernel and width of each, stages apart.
pub(crate) fn architecture_text(design: &Design) -> String {
    let blocks = design.architecture.0.iter().flatten().map(|shape| format!("{}x{}", shape.kernel, shape.channels));
    blocks.collect::<Vec<_>>().join(" ")
}

/// The designs that were checked.
pub(crate) fn table(report: &SupernetReport) -> String {
    let mut rows = self::rows(report);
    if let Some(refined) = &report.refined {
        let verdict = if refined.kept { "kept" } else { "not kept" };
        rows.push_str(&format!("\nbit widths by the sensitivity list: accuracy {}, {verdict}", percent(refined.accuracy)));
    }
    format!("Designs of {} that were checked for real (kernel x channels of each block)\n{rows}", report.space)
}

fn rows(report: &SupernetReport) -> String {
    let with = |any: fn(&CandidateReport) -> bool| report.candidates.iter().any(any);
    let (latency, energy) = (with(|one| one.latency_ms.is_some()), with(|one| one.energy_mj.is_some()));
    let mut header = vec!["", "design", "predicted", "float", "integer", "r"];
    header.extend([(latency, "latency"), (energy, "energy")].iter().filter(|column| column.0).map(|column| column.1));
    let mut rows = super::tables::table(&header, 2);
    for one in &report.candidates {
        let mark = if one.chosen { "> " } else { "  " };
        let mut row = vec![
            format!("{mark}{}", one.origin),
            architecture_text(&one.design),
            percent(Some(one.accuracy_predicted)),
            percent(one.accuracy_float),
            percent(one.accuracy),
            format!("{:.4}", one.bops_relative),
        ];
        let shown = |value: Option<f64>, unit: &str| value.map_or("-".into(), |value| format!("{value:.4} {unit}"));
        let costs = [(latency, shown(one.latency_ms, "ms")), (energy, shown(one.energy_mj, "mJ"))];
        row.extend(costs.into_iter().filter(|cost| cost.0).map(|cost| cost.1));
        rows.add_row(row);
    }
    rows.to_string()
}
