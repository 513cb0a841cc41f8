//! `apqc lut check`: what a table predicts for whole models, beside what a board or an emulator counts.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_lut::Table;
use apq_profile::Machine;
use apq_profile::check::{ModelCheck, check, relative};
use apq_profile::keys::model_keys;
use clap::Args;
use serde::Serialize;

use crate::commands::device::DeviceArgs;
use crate::commands::failure::{Exit, input, input_with_hint, unsupported};
use crate::commands::{Context, inputs};
use crate::report::tables::table;
use crate::units;

/// Flags of `lut check`.
#[derive(Debug, Args)]
pub(in crate::commands) struct CheckArgs {
    /// Compiled models.
    #[arg(value_name = "MODEL.apq", required = true)]
    models: Vec<PathBuf>,
    /// What the models were compiled for.
    #[arg(long, value_name = "NAME|FILE.toml")]
    target: String,
    /// Lookup table in place of the target's own.
    #[arg(long, value_name = "FILE")]
    lut: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Largest relative error of a whole model that is accepted: 3% or 0.03.
    #[arg(long, value_name = "SHARE", default_value = "3%", value_parser = units::fraction)]
    tolerance: f64,
}

#[derive(Serialize)]
struct Checked {
    target: String,
    board: String,
    runner: String,
    unit: &'static str,
    models: Vec<CheckedModel>,
    tolerance: f64,
    error_rel_max: f64,
    met: bool,
}

#[derive(Serialize)]
struct CheckedModel {
    model: String,
    predicted: f64,
    measured: f64,
    error_rel: f64,
    /// Of the fits alone, as if no layer were in the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    fit_error_rel: Option<f64>,
    layers: Vec<CheckedLayer>,
}

#[derive(Serialize)]
struct CheckedLayer {
    name: String,
    layer: String,
    predicted: f64,
    estimated: bool,
    measured: f64,
    error_rel: f64,
}

/// The command.
pub(super) fn run(context: &Context, args: &CheckArgs) -> anyhow::Result<Exit> {
    let choice = inputs::required_target(Some(&args.target), args.lut.as_deref())?;
    let Some(costs) = choice.given.as_ref().or(choice.table.as_ref()) else {
        return Err(unsupported(
            format!("target `{}` has no lookup table", choice.target.name()),
            "give --lut FILE; `apqc profile` makes one",
        ));
    };
    let device = args.device.open(&choice.target)?;
    let mut models = Vec::new();
    let mut counter = None;
    for path in &args.models {
        let (checked, run) = one(path, costs, &device)?;
        models.push(checked);
        counter = Some(run);
    }
    let counter = counter.ok_or_else(|| input("no model is named"))?;
    let error_rel_max = models.iter().map(|model| model.error_rel.abs()).fold(0.0, f64::max);
    let checked = Checked {
        target: choice.target.name().to_string(),
        board: counter.board,
        runner: counter.runner,
        unit: counter.unit.name(),
        models,
        tolerance: args.tolerance,
        error_rel_max,
        met: error_rel_max <= args.tolerance,
    };
    context.console.result(&checked, || text(&checked))?;
    Ok(if checked.met { Exit::Done } else { Exit::NotMet })
}

fn one(path: &Path, costs: &Table, device: &dyn Machine) -> anyhow::Result<(CheckedModel, apq_lut::Counter)> {
    let shown = path.display().to_string();
    let bytes = inputs::read(path)?;
    if !inputs::is_apq(path, &bytes) {
        return Err(input_with_hint(format!("{shown} is not a compiled model"), "`apqc compile MODEL.onnx --target T` makes one"));
    }
    let file = inputs::apq(path)?;
    let model = inputs::checked(path, &file)?;
    let macs = model_keys(&model).iter().filter_map(|(_, key)| key.macs()).sum();
    let run = device.run(&file, macs, true).map_err(apq_profile::measure::MeasureError::Machine).with_context(|| shown.clone())?;
    let check = check(costs, &model, &run).with_context(|| shown.clone())?;
    Ok((checked(shown, &check), run.counter))
}

fn checked(model: String, check: &ModelCheck) -> CheckedModel {
    let layers = check.layers.iter().map(|layer| CheckedLayer {
        name: layer.name.clone(),
        layer: layer.key.to_string(),
        predicted: layer.predicted,
        estimated: layer.estimated,
        measured: layer.measured,
        error_rel: relative(layer.predicted, layer.measured),
    });
    CheckedModel {
        model,
        predicted: check.predicted,
        measured: check.measured,
        error_rel: check.error(),
        fit_error_rel: check.fit_error(),
        layers: layers.collect(),
    }
}

fn text(checked: &Checked) -> String {
    let mut text = format!("{} on {}, {}\n", checked.runner, checked.board, checked.unit);
    let percent = |error: f64| format!("{:+.2} %", error * 100.0);
    for model in &checked.models {
        let mut rows = table(&["layer", "", "predicted", "measured", "error"], 2);
        for layer in &model.layers {
            let kind = if layer.estimated { "estimated" } else { "entry" };
            rows.add_row([
                layer.layer.clone(),
                kind.into(),
                format!("{:.0}", layer.predicted),
                format!("{:.0}", layer.measured),
                percent(layer.error_rel),
            ]);
        }
        let total = [model.predicted, model.measured].map(|count| format!("{count:.0}"));
        let [predicted, measured] = total;
        rows.add_row(["total".into(), String::new(), predicted, measured, percent(model.error_rel)]);
        let fits = model.fit_error_rel.map_or_else(String::new, |error| format!("; fits alone {}", percent(error)));
        text += &format!("{}: error {}{fits}\n{rows}\n", model.model, percent(model.error_rel));
    }
    let verdict = if checked.met { "within" } else { "beyond" };
    text + &format!("largest error {:.2} %, {verdict} the tolerance of {:.2} %", checked.error_rel_max * 100.0, checked.tolerance * 100.0)
}
