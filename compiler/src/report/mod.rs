//! What a compilation found, as data ([`Report`]), as files ([`files`]) and as tables for people ([`tables`]).

mod build;
pub(crate) mod compare;
pub(crate) mod curve;
pub(crate) mod files;
pub(crate) mod front;
pub(crate) mod layers;
mod plot;
pub(crate) mod pruning;
pub(crate) mod search;
pub(crate) mod supernet;
pub(crate) mod tables;

pub(crate) use build::{Facts, budget_name, build, in_unit};

use std::collections::BTreeMap;

use serde::Serialize;

use layers::LayerReport;

/// Version of the meaning of `report.json`'s fields.
pub(crate) const SCHEMA: u32 = 1;

/// `report.json`. A field with `Option` is absent where it was not measured or not modelled.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// Name of the model.
    pub(crate) model: String,
    /// Name of the target.
    pub(crate) target: String,
    /// Whether every budget is met.
    pub(crate) feasible: bool,
    /// Whether the model fits into the target's memories; true for a memory that the target does not limit.
    pub(crate) fits: Fits,
    /// Where ranges and sensitivities come from.
    pub(crate) calibration: CalibrationReport,
    /// What a reader should know before trusting the numbers.
    pub(crate) notes: Vec<String>,
    /// The float network.
    pub(crate) fp32: FloatReport,
    /// The integer network.
    pub(crate) result: ResultReport,
    /// Quantizer groups in graph order.
    pub(crate) groups: Vec<GroupReport>,
    /// Operations in graph order.
    pub(crate) layers: Vec<LayerReport>,
    /// Stretches of the network that run in strips of rows, so that the arena meets its budget.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) streamed: Vec<StreamedReport>,
    /// What was pruned, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pruning: Option<pruning::PruningReport>,
    /// How the assignment was found.
    pub(crate) search: SearchReport,
    /// The budgets as stated.
    pub(crate) budgets: Vec<BudgetReport>,
    /// How the network was found in a supernet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) supernet: Option<supernet::SupernetReport>,
}

/// Whether flash and RAM suffice.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Fits {
    /// The file in the target's flash.
    pub(crate) flash: bool,
    /// The arena in the target's RAM.
    pub(crate) ram: bool,
}

/// Calibration samples.
#[derive(Debug, Serialize)]
pub(crate) struct CalibrationReport {
    /// A path, or what was drawn.
    pub(crate) source: String,
    /// How many.
    pub(crate) samples: usize,
}

/// The float network over the test samples. Accuracies are fractions.
#[derive(Debug, Default, Serialize)]
pub(crate) struct FloatReport {
    /// Share of samples whose label is the top class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy_top1: Option<f64>,
    /// Share of samples whose label is among the top five.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy_top5: Option<f64>,
    /// Test samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<usize>,
}

/// The integer network. Accuracies are fractions, measured on the integer runtime.
#[derive(Debug, Serialize)]
pub(crate) struct ResultReport {
    /// Share of samples whose label is the top class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy_top1: Option<f64>,
    /// Share of samples whose label is among the top five.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy_top5: Option<f64>,
    /// Share of test samples with the float network's top class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agreement: Option<f64>,
    /// Against the float network at the logits over the calibration samples, pooled.
    pub(crate) sqnr_db: f64,
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
    /// Of one inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cycles: Option<u64>,
    /// The whole file.
    pub(crate) flash_bytes: u64,
    /// Packed weights.
    pub(crate) weights_bytes: u64,
    /// The runtime's arena.
    pub(crate) arena_bytes: u64,
    /// Multiply-accumulates.
    pub(crate) macs: u64,
}

/// A stretch of the network that runs in strips of rows: no tensor inside it exists whole.
#[derive(Debug, Serialize)]
pub(crate) struct StreamedReport {
    /// Names of its layers in order.
    pub(crate) layers: Vec<String>,
    /// How often its last layer runs in one inference.
    pub(crate) strips: usize,
    /// Multiply-accumulates that are done twice: none, rows that two strips need are kept.
    pub(crate) recomputed_macs: u64,
    /// Bytes of kept rows that are moved in one inference.
    pub(crate) moved_bytes: usize,
}

/// One quantizer group.
#[derive(Debug, Serialize)]
pub(crate) struct GroupReport {
    /// Name of its first operation.
    pub(crate) name: String,
    /// Assigned.
    pub(crate) weight_bits: u8,
    /// Assigned.
    pub(crate) activation_bits: u8,
    /// Names of its operations in graph order.
    pub(crate) ops: Vec<String>,
    /// What the sensitivity list says about it.
    #[serde(flatten)]
    pub(crate) values: ListValues,
}

/// What the network is worth with one group alone quantized, by candidate; the widest is not measured. The name says what the list holds.
#[derive(Debug, Serialize)]
pub(crate) enum ListValues {
    /// SQNR at the output.
    #[serde(rename = "sqnr_db")]
    Sqnr(BTreeMap<String, f64>),
    /// Share of labelled samples whose label is the top class.
    #[serde(rename = "accuracy_top1")]
    Accuracy(BTreeMap<String, f64>),
    /// Fisher information times quantization noise, as -10 log10 of it.
    #[serde(rename = "fit_db")]
    Fit(BTreeMap<String, f64>),
}

impl ListValues {
    /// Values of a list by `metric`.
    pub(crate) fn new(metric: &str, values: BTreeMap<String, f64>) -> ListValues {
        match metric {
            "accuracy" => ListValues::Accuracy(values),
            "fit" => ListValues::Fit(values),
            _ => ListValues::Sqnr(values),
        }
    }

    /// The worst value with its candidate.
    pub(crate) fn worst(&self) -> Option<(f64, &str)> {
        let (ListValues::Sqnr(values) | ListValues::Accuracy(values) | ListValues::Fit(values)) = self;
        values.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(candidate, value)| (*value, candidate.as_str()))
    }

    /// Name of the values for people.
    pub(crate) fn heading(&self) -> &'static str {
        match self {
            ListValues::Sqnr(_) => "SQNR",
            ListValues::Accuracy(_) => "accuracy",
            ListValues::Fit(_) => "FIT, -dB",
        }
    }

    /// A value for people.
    pub(crate) fn shown(&self, value: f64) -> String {
        match self {
            ListValues::Accuracy(_) => tables::percent(Some(value)),
            ListValues::Sqnr(_) => format!("{value:.2} dB"),
            ListValues::Fit(_) => format!("{value:.2}"),
        }
    }
}

/// How the assignment was found.
#[derive(Debug, Serialize)]
pub(crate) struct SearchReport {
    /// How the curve was searched under task budgets; without them, `assign_by`.
    pub(crate) scheme: &'static str,
    /// Where the widths under the efficiency budgets come from: `greedy`, `exact`, or `file` for `--assign`.
    pub(crate) assign_by: &'static str,
    /// Samples run through the network, partly or wholly, for the sensitivity list; also where it came from the cache.
    pub(crate) forward_passes: usize,
    /// Assignments that were evaluated as whole quantized networks, each once; the result is one of them.
    pub(crate) evaluations: usize,
    /// The greedy assignment under the efficiency budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) greedy: Option<search::AssignReport>,
    /// The exact one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exact: Option<search::AssignReport>,
    /// The search under task budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<search::TaskReport>,
    /// Times; the only fields that differ between runs.
    pub(crate) seconds: SecondsReport,
}

/// Seconds of each part.
#[derive(Debug, Serialize)]
pub(crate) struct SecondsReport {
    /// Ranges and quantizers.
    pub(crate) calibrate: f64,
    /// The sensitivity list.
    pub(crate) sensitivity: f64,
    /// Assignment and bias correction.
    pub(crate) assign: f64,
    /// Lowering and memory plan.
    pub(crate) lower: f64,
    /// Everything, evaluation included.
    pub(crate) total: f64,
}

/// A budget as stated; the unit is in the name.
#[derive(Debug, Serialize)]
pub(crate) struct BudgetReport {
    /// `latency_ms`, `energy_mj`, `bops`, `flash_bytes`, `ram_bytes`, `accuracy_drop`, `sqnr_db_min` or `agreement_min`.
    pub(crate) name: &'static str,
    /// Largest value allowed; of a name that ends in `min` the smallest.
    pub(crate) limit: serde_json::Number,
    /// Value of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<serde_json::Number>,
    /// Whether value <= limit, of costs compared in integers; of a name that ends in `min` whether value >= limit.
    pub(crate) met: bool,
    /// Whether it is about what the network is worth, not about what it costs.
    #[serde(skip)]
    pub(crate) task: bool,
    /// Where it is not met: the smallest value that the search found for this quantity alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) smallest_found: Option<serde_json::Number>,
}
