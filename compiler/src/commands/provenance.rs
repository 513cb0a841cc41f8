//! What a result depends on: the basis of a sensitivity list, and the flags in the manifest.

use std::path::Path;

use apq_search::Quantity;
use apqc::compile::Options;
use apqc::data::{Dataset, Preprocess};
use apqc::network::Network;
use apqc::quant::groups::Grouping;
use apqc::quant::sensitivity::{Basis, ListFile};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::failure::input_with_hint;
use super::inputs::{self, InputFile, TargetChoice};
use super::request::RequestArgs;
use crate::cache::GivenList;

/// Everything that a sensitivity list depends on and that is known before calibration.
pub(super) fn basis(
    (network, model_files): (&Network, &[InputFile]),
    grouping: &Grouping,
    calibration: &Dataset,
    preprocess: &Preprocess,
    options: &Options,
    seed: u64,
) -> Basis {
    let groups: Vec<Value> = grouping.groups.iter().map(|group| json!([group.name, group.candidates])).collect();
    let hash = |value: Value| inputs::sha256(&[value.to_string().as_bytes()]);
    let calibration = inputs::content_sha256(calibration);
    Basis {
        version: env!("CARGO_PKG_VERSION").into(),
        algorithm: Basis::ALGORITHM,
        model: match model_files {
            [file] => file.sha256.clone(),
            files => hash(files.iter().map(|file| file.sha256.clone()).collect()),
        },
        graph: inputs::sha256(&[network.graph.to_string().as_bytes()]),
        groups: hash(groups.into()),
        samples: calibration.clone(),
        calibration,
        preprocess: hash(json!(preprocess)),
        ranges: format!("weights {}, activations {}", options.weight_ranges, options.activation_ranges),
        rounding: options.rounding.name().into(),
        output_bits: options.output_bits,
        seed,
        quantizers: String::new(),
    }
}

/// Reads a list and refuses one of something else. Which samples were measured is the list's own business.
pub(super) fn given_list(path: &Path, basis: &mut Basis) -> anyhow::Result<GivenList> {
    let bytes = inputs::read(path)?;
    let name = path.display().to_string();
    let file = ListFile::parse(&name, &bytes)?;
    let list = file.whole(&name)?;
    basis.samples.clone_from(&file.basis.samples);
    let known = Basis { quantizers: String::new(), ..file.basis.clone() };
    if let Some(what) = known.difference(basis) {
        return Err(input_with_hint(
            format!("{name}: the list is of something else; it differs in its {what}"),
            "measure it with the same model, data and flags: apqc sensitivity MODEL.onnx ... -o FILE",
        ));
    }
    let file_facts = InputFile::new("sensitivity list", path, &bytes);
    Ok(GivenList { name, list, file, file_facts })
}

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
    flags.insert("keep_softmax".into(), json!(options.keep_softmax));
    flags
}
