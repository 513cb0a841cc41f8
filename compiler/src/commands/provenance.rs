//! What a result depends on: the flags in the manifest.

use apq_search::Quantity;
use apqc::compile::Options;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::inputs::TargetChoice;
use super::request::RequestArgs;

/// Flags that change the result, defaults filled in.
pub(super) fn flags(args: &RequestArgs, options: &Options, choice: &TargetChoice) -> Map<String, Value> {
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_string());
    let mut flags = Map::new();
    flags.insert("target".into(), json!(choice.target.name()));
    for budget in &options.budgets {
        let unit = match budget.quantity {
            Quantity::Latency => "latency_ns",
            Quantity::Energy => "energy_pj",
            Quantity::Flash => "flash_bytes",
            Quantity::Ram => "ram_bytes",
            other => other.name(),
        };
        flags.insert(unit.into(), json!(budget.limit));
    }
    let task = &options.search.task;
    for (name, limit) in [
        ("accuracy_drop", task.budgets.accuracy_drop),
        ("min_sqnr_db", task.budgets.sqnr_db_min),
        ("min_agreement", task.budgets.agreement_min),
    ] {
        if let Some(limit) = limit {
            flags.insert(name.into(), json!(limit));
        }
    }
    if !task.budgets.is_empty() {
        flags.insert("search".into(), json!(task.scheme.name()));
    }
    flags.insert("calib".into(), json!(args.calib));
    flags.insert("samples".into(), json!(args.samples));
    flags.insert("candidates".into(), json!(options.candidates));
    flags.insert("weight_ranges".into(), json!(name(args.weight_ranges.to_possible_value())));
    flags.insert("activation_ranges".into(), json!(name(args.activation_ranges.to_possible_value())));
    flags.insert("sqnr".into(), json!(options.estimator.name()));
    flags.insert("rounding".into(), json!(options.rounding.name()));
    flags.insert("assign_by".into(), json!(options.search.by.name()));
    flags.insert("output_bits".into(), json!(options.output_bits));
    flags
}
