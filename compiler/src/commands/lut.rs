//! `apqc lut`: costs of layers, from tables and models.

mod check;
mod tables;

use std::path::{Path, PathBuf};

use apq_lut::{CostModel, Counter, Diff, LayerKey, Provenance, Table, diff};
use apqc::cost::layer_key;
use clap::Subcommand;

use super::Context;
use super::failure::{Exit, input, input_with_hint, unsupported};
use super::inputs::{self, TargetChoice};
use crate::report::tables::table;
use check::CheckArgs;
use tables::{NewFile, PreferArgument};

/// Lookup tables. A table is a file (ours, or JSON as APQ published it) or the name of a target.
#[derive(Debug, Subcommand)]
pub(crate) enum LutCommand {
    /// Costs by layer; JSON is our file format.
    Show {
        /// A table file, a target's name or its TOML file.
        #[arg(value_name = "TARGET|FILE")]
        table: String,
        /// Only the layers of this model, at all candidates; a target without a table needs it.
        #[arg(long, value_name = "MODEL.onnx")]
        model: Option<PathBuf>,
    },
    /// Compares B with A on the layers of A; of a target and a file, on those of the file. Exit code 1 where they differ.
    Diff {
        /// A table file or a target.
        #[arg(value_name = "A")]
        a: String,
        /// A table file or a target.
        #[arg(value_name = "B")]
        b: String,
        /// Largest relative difference of latency and energy that is accepted. Without it, 1e-9 and equal cycles.
        #[arg(long, value_name = "R")]
        tolerance: Option<f64>,
    },
    /// Turns a published table into a file of ours.
    Import {
        /// The table, in JSON as APQ published it.
        #[arg(value_name = "PUBLISHED.json")]
        published: PathBuf,
        #[command(flatten)]
        output: NewFile,
    },
    /// Puts tables together.
    Merge {
        /// Table files.
        #[arg(value_name = "TABLE", required = true, num_args = 2..)]
        tables: Vec<PathBuf>,
        /// Which of two different costs of a layer is kept; without it they are refused.
        #[arg(long, value_enum, value_name = "WHICH")]
        prefer: Option<PreferArgument>,
        #[command(flatten)]
        output: NewFile,
    },
    /// Compares predictions with whole models that a board or an emulator runs. Exit code 1 beyond the tolerance.
    Check(CheckArgs),
}

/// Differences that rounding explains.
const TOLERANCE: f64 = 1e-9;

/// The command.
pub(crate) fn lut(context: &Context, command: &LutCommand) -> anyhow::Result<Exit> {
    match command {
        LutCommand::Show { table, model } => show(context, table, model.as_deref()),
        LutCommand::Diff { a, b, tolerance } => compare(context, a, b, *tolerance),
        LutCommand::Import { published, output } => tables::import(context, published, output),
        LutCommand::Merge { tables, prefer, output } => tables::merge(context, tables, prefer.map(Into::into), output),
        LutCommand::Check(args) => check::run(context, args),
    }
}

/// Where costs come from.
enum Source {
    Table(Table),
    Target(Box<TargetChoice>),
}

impl Source {
    fn open(word: &str) -> anyhow::Result<Source> {
        let is_toml = Path::new(word).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let is_file = !is_toml && (Path::new(word).is_file() || Path::new(word).extension().is_some() || word.contains('/'));
        if is_file {
            return Ok(Source::Table(inputs::table_file(Path::new(word))?));
        }
        let choice = inputs::target(word)?;
        match choice.table {
            Some(table) => Ok(Source::Table(table)),
            None if choice.cost_model().is_none() => Err(unsupported(
                format!("target `{}` counts bit operations only; it has no costs of layers", choice.target.name()),
                "what has: bitfusion, table files, target files with a lookup table",
            )),
            None => Ok(Source::Target(Box::new(choice))),
        }
    }
}

fn show(context: &Context, word: &str, model: Option<&Path>) -> anyhow::Result<Exit> {
    let source = Source::open(word)?;
    let shown = match (source, model) {
        (Source::Table(table), None) => table,
        (Source::Table(table), Some(model)) => {
            let candidates = table.keys().filter_map(|key| apq_lut::Candidate::new(key.weight_bits, key.activation_bits)).collect();
            let mut of_model = Table::new(table.name());
            for key in keys(model, candidates)? {
                if let (Some(entry), None) = (table.answer(&key), of_model.get(&key)) {
                    of_model.insert(key, entry)?;
                }
            }
            of_model
        }
        (Source::Target(choice), Some(path)) => {
            let keys = keys(path, choice.target.candidates().to_vec())?;
            let model = choice.cost_model().ok_or_else(|| input("the target has no costs of layers"))?;
            Table::from_model(&*model, &keys)?
        }
        (Source::Target(choice), None) => {
            return Err(input_with_hint(
                format!("target `{}` has a model of costs, not a table: name the layers that are asked for", choice.target.name()),
                format!("apqc lut show {word} --model MODEL.onnx"),
            ));
        }
    };
    // The file format is the JSON form.
    let json: serde_json::Value = serde_json::from_str(&shown.to_json()?)?;
    context.console.result(&json, || rows(&shown))?;
    Ok(Exit::Done)
}

/// Keys of a model's layers at each candidate.
pub(super) fn keys(model: &Path, mut candidates: Vec<apq_lut::Candidate>) -> anyhow::Result<Vec<LayerKey>> {
    candidates.sort_unstable();
    candidates.dedup();
    let network = inputs::onnx(model)?.network;
    let of_node = |node| candidates.iter().filter_map(|candidate| layer_key(&network.graph, node, *candidate)).collect::<Vec<_>>();
    Ok(network.graph.nodes.iter().flat_map(of_node).collect())
}

fn rows(shown: &Table) -> String {
    let mut rows = table(&["layer", "count", "unit", "runs", "spread", "latency", "energy", "from"], 1);
    for (key, entry) in shown.iter() {
        let number = |value: Option<f64>, scale: f64, unit: &str| value.map_or("-".into(), |value| format!("{:.6} {unit}", value / scale));
        let from = match &entry.provenance {
            Provenance::Imported { source } => format!("imported: {source}"),
            Provenance::Analytic { model } => format!("model: {model}"),
            Provenance::Measured { board, runner, .. } => format!("measured: {board}, {runner}"),
            Provenance::Emulated { emulator, core, .. } => format!("emulated: {core}, {emulator}"),
            Provenance::Estimated { layers, error_max, .. } => {
                format!("estimated from {layers} layers, within {:.1} % of each", error_max * 100.0)
            }
        };
        let (count, unit) = match (&entry.provenance, entry.provenance.counts(), entry.cost.cycles) {
            (_, Some((unit, _, mean, _)), _) => (format!("{mean:.0}"), unit.name()),
            (Provenance::Estimated { unit, count, .. }, ..) => (format!("{count:.0}"), unit.name()),
            (.., Some(cycles)) => (cycles.to_string(), "cycles"),
            _ => ("-".into(), ""),
        };
        let (runs, spread) = match entry.provenance.counts() {
            Some((_, runs, _, spread)) => (runs.to_string(), format!("{spread:.0}")),
            None => ("-".into(), "-".into()),
        };
        rows.add_row([
            key.to_string(),
            count,
            unit.into(),
            runs,
            spread,
            number(entry.cost.latency_ns, 1e6, "ms"),
            number(entry.cost.energy_nj, 1e6, "mJ"),
            from,
        ]);
    }
    let mut text = format!("{}: {} entries\n{rows}", shown.name(), shown.len());
    if let Some(profile) = shown.profile() {
        let Counter { board, runner, kernels, unit, clock_hz } = profile.counter();
        let mhz = *clock_hz as f64 / 1e6;
        text += &format!("\n{} counted by {runner} on {board} ({kernels}), times at {mhz} MHz", unit.name());
        let mut rows = table(&["fit for", "path", "widths", "layers", "mean error", "largest error"], 2);
        for fit in profile.fits() {
            rows.add_row([
                fit.operator.to_string(),
                fit.path.name().into(),
                format!("w{}a{}", fit.weight_bits, fit.activation_bits),
                fit.layers.to_string(),
                format!("{:.2} %", fit.error_mean * 100.0),
                format!("{:.1} %", fit.error_max * 100.0),
            ]);
        }
        if !profile.fits().is_empty() {
            text += &format!("\nlayers without an entry are estimated by {} fits\n{rows}", profile.fits().len());
        }
    }
    text
}

fn compare(context: &Context, a: &str, b: &str, tolerance: Option<f64>) -> anyhow::Result<Exit> {
    if tolerance.is_some_and(|tolerance| tolerance.is_nan() || tolerance < 0.0) {
        return Err(input("--tolerance is a number of 0 or more"));
    }
    let result = match (Source::open(a)?, Source::open(b)?) {
        (Source::Table(a), Source::Table(b)) => diff(&a, &b)?,
        (Source::Table(a), Source::Target(b)) => diff(&a, &*model(&b)?)?,
        (Source::Target(a), Source::Table(b)) => diff(&Table::from_model(&*model(&a)?, b.keys())?, &b)?,
        (Source::Target(_), Source::Target(_)) => {
            return Err(input_with_hint(
                "two targets with models have no list of layers to be compared on",
                "compare one with a table: apqc lut show TARGET --model MODEL.onnx --format json > a.json",
            ));
        }
    };
    context.console.result(&result, || text(&result))?;
    Ok(if agree(&result, tolerance) { Exit::Done } else { Exit::NotMet })
}

fn model(choice: &TargetChoice) -> anyhow::Result<Box<dyn CostModel + '_>> {
    choice.cost_model().ok_or_else(|| input("the target has no costs of layers"))
}

/// Whether nothing is missing and nothing differs by more than the tolerance.
fn agree(result: &Diff, tolerance: Option<f64>) -> bool {
    let within = |difference: Option<f64>| difference.is_none_or(|difference| difference <= tolerance.unwrap_or(TOLERANCE));
    let cycles = tolerance.is_some() || result.cycles_mismatched == 0;
    result.compared > 0 && result.missing == 0 && cycles && within(result.latency_rel_max) && within(result.energy_rel_max)
}

fn text(result: &Diff) -> String {
    let relative = |value: Option<f64>| value.map_or("not compared".into(), |value| format!("{value:.3e}"));
    let mut rows = table(&["", "layers"], 1);
    rows.add_row(["compared".to_string(), result.compared.to_string()]);
    rows.add_row(["missing in B".to_string(), result.missing.to_string()]);
    rows.add_row(["cycles differ".to_string(), result.cycles_mismatched.to_string()]);
    rows.add_row(["latency, largest relative difference".to_string(), relative(result.latency_rel_max)]);
    rows.add_row(["energy, largest relative difference".to_string(), relative(result.energy_rel_max)]);
    rows.to_string()
}
