//! What was pruned, and what else was tried.

use apq_search::Totals;
use apqc::prune::{Pruning, SetOutcome, Tried};
use serde::Serialize;

use super::Report;
use super::build::relative;
use super::tables::table;
use crate::units::{human_count, mj, ms};

/// The section `pruning` of `report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct PruningReport {
    /// Whether the result has lost channels.
    pub(crate) pruned: bool,
    /// Sets of channels that can only go together, in graph order.
    pub(crate) sets: Vec<SetReport>,
    /// What was compiled and compared: the unpruned network first.
    pub(crate) tried: Vec<TriedReport>,
    #[serde(skip)]
    misses_unfitted: bool,
}

/// One set of channels.
#[derive(Debug, Serialize)]
pub(crate) struct SetReport {
    /// Name of the first layer that makes them.
    pub(crate) name: String,
    /// Names of all layers that make them.
    pub(crate) layers: Vec<String>,
    /// Channels of the imported network.
    pub(crate) width_before: usize,
    /// Channels of the result.
    pub(crate) width_after: usize,
    /// Why they all stay, whatever the budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<String>,
}

/// One network that was compiled.
#[derive(Debug, Serialize)]
pub(crate) struct TriedReport {
    /// Whether it is the result.
    pub(crate) chosen: bool,
    /// Whether it meets every budget.
    pub(crate) feasible: bool,
    /// Of the integers against the unpruned float network over the calibration samples.
    pub(crate) sqnr_db: f64,
    /// The same, less what the fit flatters itself on the samples that it was made for: what decides.
    pub(crate) judged_sqnr_db: f64,
    /// Of the pruned network in floats before its weights were fitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) float_sqnr_db_zeroed: Option<f64>,
    /// And after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) float_sqnr_db_fitted: Option<f64>,
    /// Fitted to half of the samples, on the other half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) float_sqnr_db_held_out: Option<f64>,
    /// Multiply-accumulates.
    pub(crate) macs: u64,
    /// Weights and biases.
    pub(crate) parameters: usize,
    /// BOPs / (128 * MACs of the imported network).
    pub(crate) bops_relative: f64,
    /// Of one inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<f64>,
    /// Of one inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) energy_mj: Option<f64>,
    /// The whole file.
    pub(crate) flash_bytes: u64,
    /// The runtime's arena.
    pub(crate) arena_bytes: u64,
    /// Channels of each set, where some are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) widths: Vec<usize>,
}

impl Report {
    /// Adds what was pruned.
    pub(crate) fn prunes(&mut self, pruning: PruningReport) {
        self.notes.extend(pruning.notes());
        self.pruning = Some(pruning);
    }
}

impl PruningReport {
    /// The report of a compilation; `macs` are those of the network as imported.
    pub(crate) fn new(pruning: &Pruning, macs: u64) -> PruningReport {
        let tried = |(index, tried): (usize, &Tried)| {
            let Totals { bops, latency_ns, energy_pj, flash_bytes, ram_bytes, .. } = tried.totals;
            TriedReport {
                chosen: index == pruning.chosen,
                feasible: tried.feasible,
                sqnr_db: tried.sqnr_db,
                judged_sqnr_db: tried.judged_sqnr_db,
                float_sqnr_db_zeroed: tried.float.map(|worth| worth.zeroed),
                float_sqnr_db_fitted: tried.float.map(|worth| worth.fitted),
                float_sqnr_db_held_out: tried.float.map(|worth| worth.held_out),
                macs: tried.macs,
                parameters: tried.parameters,
                bops_relative: relative(bops, macs),
                latency_ms: latency_ns.map(ms),
                energy_mj: energy_pj.map(mj),
                flash_bytes,
                arena_bytes: ram_bytes,
                widths: if index == 0 { Vec::new() } else { tried.widths.clone() },
            }
        };
        let set = |set: &SetOutcome| SetReport {
            name: set.name.clone(),
            layers: set.layers.clone(),
            width_before: set.width_before,
            width_after: set.width_after,
            kept: set.kept.clone(),
        };
        PruningReport {
            pruned: pruning.chosen != 0,
            sets: pruning.sets.iter().map(set).collect(),
            tried: pruning.tried.iter().enumerate().map(tried).collect(),
            misses_unfitted: pruning.misses_unfitted,
        }
    }

    /// The section for people.
    pub(crate) fn text(&self) -> String {
        let mut rows = table(&["pruning", "MACs", "BOPs, relative", "SQNR", "not fitted", "budgets", ""], 1);
        for (index, tried) in self.tried.iter().enumerate() {
            rows.add_row([
                if index == 0 { "none".into() } else { format!("{index}") },
                human_count(tried.macs),
                format!("{:.4}", tried.bops_relative),
                format!("{:.2} dB", tried.sqnr_db),
                format!("{:.2} dB", tried.judged_sqnr_db),
                String::from(if tried.feasible { "met" } else { "missed" }),
                String::from(if tried.chosen { "taken" } else { "" }),
            ]);
        }
        let mut parts = vec![rows.to_string()];
        let changed: Vec<&SetReport> = self.sets.iter().filter(|set| set.width_after != set.width_before).collect();
        if !changed.is_empty() {
            let mut rows = table(&["channels of", "before", "after"], 1);
            for set in changed {
                rows.add_row([set.layers.join(", "), set.width_before.to_string(), set.width_after.to_string()]);
            }
            parts.push(rows.to_string());
        }
        parts.join("\n\n")
    }

    /// What a reader should know.
    fn notes(&self) -> Vec<String> {
        if self.misses_unfitted {
            return vec![
                "not feasible, though every budget is met on all calibration samples: fitted to half of them, the pruned network misses a task budget on the \
                 other half; more calibration samples help"
                    .into(),
            ];
        }
        if self.pruned {
            return Vec::new();
        }
        if self.sets.iter().all(|set| set.kept.is_some()) {
            return vec!["nothing is pruned: no set of channels can be (report.json says why for each)".into()];
        }
        vec!["nothing is pruned: fewer bits alone are worth more under these budgets than any pruned network that was found".into()]
    }
}
