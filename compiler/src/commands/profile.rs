//! `apqc profile`: costs of layers on a board or an emulator.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_lut::{Candidate, LayerKey, Table};
use apq_profile::keys::model_keys;
use apq_profile::measure::{Counts, MeasureError, run_batches};
use apq_profile::synthetic::{Skipped, batches};
use apq_profile::{Device, design};
use apq_targets::Target;
use clap::Args;
use serde::Serialize;

use super::device::{DeviceArgs, limits};
use super::failure::{Exit, input, input_with_hint};
use super::{Context, destination, inputs, lut};
use crate::report::tables::table;

/// Measures layers on a board or in an emulator and writes a lookup table. Without models: the built-in list, from which the costs of any
/// layer are estimated; with models: exactly their layers. What an emulator counts is instructions.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Models whose layers are measured: ONNX at all candidates, compiled ones at their own widths.
    #[arg(value_name = "MODEL.onnx|MODEL.apq")]
    models: Vec<PathBuf>,
    /// What the board is: a name (`apqc targets list`) or a TOML file.
    #[arg(long, value_name = "NAME|FILE.toml")]
    target: String,
    #[command(flatten)]
    device: DeviceArgs,
    /// Bit widths, as w4a8,w8a8, or `all` that the target has kernels for [default: the target's candidates].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    candidates: Vec<String>,
    /// Of the measured layers, keep only those of well-known networks in the table, beside what the costs of any other layer are estimated from.
    #[arg(long, conflicts_with = "models")]
    compact: bool,
    /// The table that is written [default: TARGET.lut.json].
    #[arg(short, long, value_name = "LUT.json")]
    output: Option<PathBuf>,
    /// Replace a table that is there, and forget what an interrupted call has measured.
    #[arg(long)]
    force: bool,
}

/// What was done, in JSON.
#[derive(Serialize)]
struct Profiled {
    table: String,
    target: String,
    board: String,
    runner: String,
    kernels: String,
    unit: &'static str,
    clock_hz: u64,
    /// Layers counted now.
    measured: usize,
    /// Layers that an interrupted call had counted.
    resumed: usize,
    skipped: Vec<SkippedLayer>,
    fits: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit_error_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit_error_max: Option<f64>,
    seconds: f64,
}

#[derive(Serialize)]
struct SkippedLayer {
    layer: String,
    reason: String,
}

/// The command.
pub(crate) fn profile(context: &Context, args: &ProfileArgs) -> anyhow::Result<Exit> {
    let start = std::time::Instant::now();
    let target = inputs::target(&args.target)?.target;
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.lut.json", target.name())));
    destination::check(&output, args.force)?;
    let device = args.device.open(&target)?;
    let keys = wanted(args, &target)?;
    let part = Part { path: with_ending(&output, ".part") };
    let mut counts = if args.force { Counts::new(target.name()) } else { part.resume(&target, &device)? };
    let resumed = counts.len();
    let left: Vec<LayerKey> = keys.into_iter().filter(|key| !counts.contains(&plain(key))).collect();
    let (files, skipped) = batches(&target, &left, &limits(&device, &target), context.seed);
    if files.is_empty() && counts.is_empty() {
        let why = skipped.first().map_or_else(String::new, |(key, reason)| format!(": {key}: {reason}"));
        return Err(input(format!("there is no layer to measure{why}")));
    }
    let drawer = context.console.progress();
    drawer.start("profile", files.len());
    let measured = run_batches(&device, &files, &mut counts, |counts| {
        drawer.advance();
        part.keep(counts)
    });
    drawer.finish();
    measured.map_err(|error| part.explain(error))?;
    let finished = if args.models.is_empty() {
        let networks: BTreeSet<LayerKey> = design::networks(&target, target.candidates()).into_iter().collect();
        counts.finished(|key| !args.compact || networks.contains(key))?
    } else {
        counts.table()?
    };
    destination::write(&output, args.force, &finished.to_json()?)?;
    part.remove()?;
    let result = result(&finished, &output, (resumed, counts.len() - resumed), &skipped, start.elapsed().as_secs_f64())?;
    context.console.result(&result, || text(&result))?;
    Ok(Exit::Done)
}

/// The layers that are to be measured.
fn wanted(args: &ProfileArgs, target: &Target) -> anyhow::Result<Vec<LayerKey>> {
    let candidates = match args.candidates.as_slice() {
        [] => target.candidates().to_vec(),
        [all] if all == "all" => design::all_candidates(target),
        list => list.iter().map(|text| text.parse()).collect::<Result<Vec<Candidate>, _>>().map_err(|error| input(error.to_string()))?,
    };
    if args.models.is_empty() {
        let usual: Vec<Candidate> = candidates.iter().copied().filter(|candidate| target.candidates().contains(candidate)).collect();
        return Ok([design::layers(target, &candidates), design::networks(target, &usual)].concat());
    }
    let mut keys = Vec::new();
    for path in &args.models {
        let bytes = inputs::read(path)?;
        if inputs::is_apq(path, &bytes) {
            let file = inputs::apq(path)?;
            keys.extend(model_keys(&inputs::checked(path, &file)?).into_iter().map(|(_, key)| key));
        } else {
            keys.extend(lut::keys(path, candidates.clone())?);
        }
    }
    Ok(keys)
}

/// The key under which a layer is measured.
fn plain(key: &LayerKey) -> LayerKey {
    LayerKey { reads_network_input: false, ..key.clone() }.with_needed_padding()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// What has been measured so far: a table beside the one to come, whole after each file of layers.
struct Part {
    path: PathBuf,
}

impl Part {
    /// What an interrupted call with the same board, program and target left.
    fn resume(&self, target: &Target, device: &Device) -> anyhow::Result<Counts> {
        if !self.path.exists() {
            return Ok(Counts::new(target.name()));
        }
        let table = inputs::table_file(&self.path)?;
        let same = table.profile().is_none_or(|profile| {
            let counter = profile.counter();
            counter.runner == device.runner.to_string() && counter.clock_hz == device.clock_hz && counter.kernels.ends_with(&device.build)
        });
        if same && table.name() == target.name() {
            return Ok(Counts::of(&table));
        }
        Err(input_with_hint(
            format!("{} is what an interrupted call left, with another target, runner or firmware", self.path.display()),
            "to begin anew: --force",
        ))
    }

    fn keep(&self, counts: &Counts) -> Result<(), apq_profile::MachineError> {
        let text = counts.table()?.to_json()?;
        destination::write(&self.path, true, &text).map_err(|error| format!("{error:#}").into())
    }

    /// An error with what is not lost.
    fn explain(&self, error: MeasureError) -> anyhow::Error {
        let error = anyhow::Error::from(error);
        if self.path.exists() {
            return error.context(format!("{} keeps what was measured, and the same command goes on from there", self.path.display()));
        }
        error
    }

    fn remove(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).with_context(|| self.path.display().to_string()),
            _ => Ok(()),
        }
    }
}

fn result(
    finished: &Table,
    output: &Path,
    (resumed, measured): (usize, usize),
    skipped: &[(LayerKey, Skipped)],
    seconds: f64,
) -> anyhow::Result<Profiled> {
    let profile = finished.profile().context("nothing was counted")?;
    let counter = profile.counter().clone();
    let fits = profile.fits();
    let mean = fits.iter().map(|fit| fit.error_mean).sum::<f64>() / fits.len().max(1) as f64;
    Ok(Profiled {
        table: output.display().to_string(),
        target: finished.name().to_string(),
        board: counter.board,
        runner: counter.runner,
        kernels: counter.kernels,
        unit: counter.unit.name(),
        clock_hz: counter.clock_hz,
        measured,
        resumed,
        skipped: skipped.iter().map(|(key, reason)| SkippedLayer { layer: key.to_string(), reason: reason.to_string() }).collect(),
        fits: fits.len(),
        fit_error_mean: Some(mean).filter(|_| !fits.is_empty()),
        fit_error_max: fits.iter().map(|fit| fit.error_max).max_by(f64::total_cmp),
        seconds,
    })
}

fn text(result: &Profiled) -> String {
    let Profiled { table: path, board, runner, kernels, unit, .. } = result;
    let mut lines = vec![format!(
        "{path}: {} layers in {unit}, {} of them from an interrupted call, in {:.0} s",
        result.measured + result.resumed,
        result.resumed,
        result.seconds
    )];
    lines.push(format!("counted by {runner} on {board} ({kernels})"));
    if let (Some(mean), Some(max)) = (result.fit_error_mean, result.fit_error_max) {
        lines.push(format!(
            "{} fits for layers that are not in the table; error on layers that a fit has not seen: mean {:.2} %, largest {:.1} %",
            result.fits,
            mean * 100.0,
            max * 100.0
        ));
    }
    if !result.skipped.is_empty() {
        let mut rows = table(&["not measured", "why"], 1);
        result.skipped.iter().for_each(|skipped| {
            rows.add_row([&skipped.layer, &skipped.reason]);
        });
        lines.push(rows.to_string());
    }
    lines.join("\n")
}
