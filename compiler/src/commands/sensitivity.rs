//! `apqc sensitivity`: the list alone, whole or in shards; `merge` joins shards, `compare` tells how much lists agree.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use apq_search::{Estimator, Sensitivity, kendall_tau_b};
use apqc::compile::{CompileError, ListStore, Progress, Stage};
use apqc::data::Dataset;
use apqc::prepare::{Prepared, check_samples};
use apqc::quant::sensitivity::{
    Basis, ListFile, MeasureError, Measurement, Metric, SAMPLES_PER_PIECE, Shard, differentiable, expanded, measured, merge, paired,
    quantizers_sha256,
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::console::eprint_lossy;
use super::failure::{Exit, input, input_with_hint, unsupported};
use super::request::{Request, RequestArgs};
use super::{Context, destination, inputs};
use crate::cache::DiskLists;
use crate::report::tables;

/// How much the quantization of each group harms the network, everything else being float.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct SensitivityArgs {
    #[command(subcommand)]
    command: Option<ListCommand>,
    #[command(flatten)]
    request: Option<RequestArgs>,
    /// What is measured.
    #[arg(long, value_enum, default_value_t, help_heading = "List")]
    metric: MetricName,
    /// Only every N-th measurement from the I-th on; `sensitivity merge` joins the parts.
    #[arg(long, value_name = "I/N", value_parser = shard, help_heading = "List")]
    shard: Option<Shard>,
    /// Where the list goes: CSV if the name ends in .csv, else JSON, which `merge`, `compare` and `compile --list` read.
    #[arg(short, long, value_name = "FILE", help_heading = "List")]
    output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long, help_heading = "List")]
    force: bool,
}

#[derive(Debug, Subcommand)]
enum ListCommand {
    /// Joins all parts of a list: the result has the bytes of a list that was measured at once.
    Merge {
        /// The parts, in any order.
        #[arg(required = true, value_name = "PART.json")]
        parts: Vec<PathBuf>,
        /// Where the list goes [default: stdout].
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Kendall's tau-b of each list with the first.
    Compare {
        /// Lists, over the same groups.
        #[arg(required = true, num_args = 2.., value_name = "LIST.json")]
        lists: Vec<PathBuf>,
    },
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum MetricName {
    /// Signal to quantization noise at the output (see --sqnr).
    #[default]
    Sqnr,
    /// Top-1 accuracy on labelled samples: those of --data, or the calibration samples' labels.
    Accuracy,
    /// Fisher information times quantization noise, in dB; classes of the float network where there are no labels.
    Fit,
}

impl MetricName {
    fn metric(self, estimator: Estimator) -> Metric {
        match self {
            MetricName::Sqnr => Metric::Sqnr(estimator),
            MetricName::Accuracy => Metric::Accuracy,
            MetricName::Fit => Metric::Fit,
        }
    }
}

/// Most parts of a list; there are never that many measurements.
const SHARDS_MAX: usize = 1 << 16;

pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let numbers = text.split_once('/').and_then(|(index, count)| Some(Shard { index: index.parse().ok()?, count: count.parse().ok()? }));
    numbers
        .filter(|shard| (1..=shard.count).contains(&shard.index) && shard.count <= SHARDS_MAX)
        .ok_or_else(|| format!("I/N with 1 <= I <= N <= {SHARDS_MAX}, as 1/4"))
}

/// The command.
pub(crate) fn sensitivity(context: &Context, args: &SensitivityArgs) -> anyhow::Result<Exit> {
    match (&args.command, &args.request) {
        (Some(ListCommand::Merge { parts, output, force }), _) => merge_files(context, parts, output.as_deref(), *force),
        (Some(ListCommand::Compare { lists }), _) => compare(context, lists),
        (None, Some(request)) => list(context, args, request),
        (None, None) => Err(input("which model? `apqc sensitivity MODEL.onnx --target NAME`")),
    }
}

fn list(context: &Context, args: &SensitivityArgs, request_args: &RequestArgs) -> anyhow::Result<Exit> {
    if request_args.has_list() {
        return Err(input("--list takes a list instead of measuring one: it is for compile and pareto"));
    }
    args.output.as_deref().map_or(Ok(()), |path| destination::check(path, args.force))?;
    let request = request_args.load(context, None)?;
    let metric = args.metric.metric(request.options.estimator);
    let labelled = Labelled::choose(metric, request_args.has_data(), &request)?;
    let drawer = context.console.progress();
    let prepared = Prepared::new(&request.network, &request.choice.target, &request.data(), &request.options, &drawer)
        .map_err(|error| request.explain(error))?;
    let samples = labelled.samples(&request, &prepared);
    let basis = Basis { samples: labelled.sha256.clone(), quantizers: quantizers_sha256(&prepared.bank), ..request.basis.clone() };
    let values = values(context, &prepared, metric, (&samples, labelled.labels), args.shard, &basis, &drawer)?;
    drawer.finish();
    let model = request.network.graph.name.clone();
    let places = measured(&prepared.grouping, &prepared.widest);
    let file = ListFile::new((model, basis, samples.len()), metric, &prepared.grouping, &places, &values, args.shard);
    if let Some(path) = &args.output {
        destination::write(path, args.force, &if is_csv(path) { csv_text(&file)? } else { file.to_json() })?;
    }
    if !context.console.quiet {
        request.notes().iter().for_each(|note| eprint_lossy(&format!("note: {note}")));
    }
    context.console.result(&file, || table(&file))?;
    Ok(Exit::Done)
}

/// The samples that a metric measures.
struct Labelled<'a> {
    /// Samples in place of the calibration samples.
    own: Option<&'a Dataset>,
    labels: Option<&'a [u32]>,
    sha256: String,
}

impl<'a> Labelled<'a> {
    /// SQNR needs no labels; accuracy and FIT take those that the user names, or the calibration samples'. A test set that merely lies beside the model
    /// reports and decides nothing. What a metric cannot do is said before anything is calibrated.
    fn choose(metric: Metric, named: bool, request: &'a Request) -> anyhow::Result<Labelled<'a>> {
        let sha256 = request.basis.calibration.clone();
        let (data, own, sha256) = match (&request.test, metric) {
            (_, Metric::Sqnr(_)) => return Ok(Labelled { own: None, labels: None, sha256 }),
            (Some(test), _) if named => (&test.data, Some(&test.data), inputs::content_sha256(&test.data)),
            _ => (&request.calibration.data, None, sha256),
        };
        if metric == Metric::Accuracy && data.labels().is_none() {
            let text = format!("the metric accuracy needs labels, {} has none", data.source());
            return Err(input_with_hint(text, "give labelled samples by --data, or use --metric sqnr, which needs no labels"));
        }
        if metric == Metric::Fit {
            differentiable(&request.network.graph).map_err(|error| refused(error.into()))?;
        }
        check_samples(&request.network, data)?;
        Ok(Labelled { own, labels: data.labels(), sha256 })
    }

    /// The samples as the network takes them.
    fn samples<'p>(&self, request: &Request, prepared: &'p Prepared<'_>) -> Cow<'p, [Vec<f32>]> {
        match self.own {
            Some(data) => (0..data.len()).map(|index| data.to_f32(index, &request.preprocess)).collect::<Vec<_>>().into(),
            None => prepared.samples.as_slice().into(),
        }
    }
}

/// The values of this part's measurements, from the cache or measured; `None` for those of other parts.
fn values(
    context: &Context,
    prepared: &Prepared<'_>,
    metric: Metric,
    (samples, labels): (&[Vec<f32>], Option<&[u32]>),
    shard: Option<Shard>,
    basis: &Basis,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Option<f64>>> {
    let places = measured(&prepared.grouping, &prepared.widest);
    let whole = Shard { index: 1, count: 1 };
    let own = |place: usize| shard.unwrap_or(whole).holds(place);
    let entries: Vec<_> = places.iter().enumerate().filter(|(place, _)| own(*place)).map(|(_, entry)| *entry).collect();
    let lists = DiskLists::new(context.cache.as_deref());
    let key = match shard {
        Some(shard) => format!("{} {}/{}", basis.key(&metric.full_name()), shard.index, shard.count),
        None => basis.key(&metric.full_name()),
    };
    let kept = lists.load(&key).map_err(CompileError::List)?;
    let found = |list: &Vec<Sensitivity>| {
        let value = |(group, candidate)| Some(list.iter().find(|entry| entry.group == group && entry.candidate == candidate)?.sqnr_db);
        entries.iter().map(|entry| value(*entry)).collect::<Option<Vec<f64>>>()
    };
    let values = match kept.as_ref().and_then(found) {
        Some(values) => values,
        None => {
            let (executor, grouping) = (&prepared.executor, &prepared.grouping);
            let measurement = Measurement::new(executor, grouping, &prepared.bank, metric, &entries, labels).map_err(refused)?;
            let pieces = lists.disk_pieces(&key);
            if !context.console.quiet && pieces.count() > 0 {
                let kept = (pieces.count() * SAMPLES_PER_PIECE).min(samples.len());
                eprint_lossy(&format!("note: about {kept} of {} samples are from a run that was stopped", samples.len()));
            }
            progress.begin(Stage::Sensitivity, samples.len());
            let values = measurement.run(samples, &pieces, &|| progress.step());
            lists.store(&key, &expanded(grouping, &entries, &values));
            values
        }
    };
    let mut values = values.into_iter();
    Ok((0..places.len()).map(|place| if own(place) { values.next() } else { None }).collect())
}

fn refused(error: MeasureError) -> anyhow::Error {
    match error {
        MeasureError::NoLabels => input(error.to_string()),
        MeasureError::NoGradient(_) => unsupported(error.to_string(), "--metric sqnr needs no gradients"),
    }
}

fn merge_files(context: &Context, parts: &[PathBuf], output: Option<&Path>, force: bool) -> anyhow::Result<Exit> {
    output.map_or(Ok(()), |path| destination::check(path, force))?;
    let files: Vec<(String, ListFile)> = parts.iter().map(|path| read(path)).collect::<anyhow::Result<_>>()?;
    let list = merge(&files)?;
    match output {
        Some(path) => {
            destination::write(path, force, &if is_csv(path) { csv_text(&list)? } else { list.to_json() })?;
            context.console.result(&json!({ "parts": files.len(), "entries": list.entries.len(), "key": list.key }), || {
                format!("{} parts, {} entries: {}", files.len(), list.entries.len(), path.display())
            })?;
        }
        None => context.console.result(&list, || table(&list))?,
    }
    Ok(Exit::Done)
}

fn compare(context: &Context, paths: &[PathBuf]) -> anyhow::Result<Exit> {
    let lists: Vec<(String, ListFile)> = paths.iter().map(|path| read(path)).collect::<anyhow::Result<_>>()?;
    let mut rows = Vec::new();
    let Some(((first_name, first), others)) = lists.split_first() else { return Err(input("no lists")) };
    for (name, list) in others {
        let (a, b) = paired((first_name, first), (name, list))?;
        rows.push((name, list, a.len(), kendall_tau_b(&a, &b)));
    }
    let all: Vec<_> = rows
        .iter()
        .map(|(name, list, entries, tau)| json!({ "list": name, "metric": list.metric_name(), "entries": entries, "tau_b": tau }))
        .collect();
    let json = json!({ "reference": first_name, "metric": first.metric_name(), "lists": all });
    context.console.result(&json, || {
        let mut table = tables::table(&[&format!("against {first_name} ({})", first.metric_name()), "metric", "entries", "tau-b"], 2);
        for (name, list, entries, tau) in &rows {
            let tau = tau.map_or("all values are equal".into(), |tau| format!("{tau:.4}"));
            table.add_row([(*name).clone(), list.metric_name(), entries.to_string(), tau]);
        }
        table.to_string()
    })?;
    Ok(Exit::Done)
}

/// A list file.
pub(crate) fn read(path: &Path) -> anyhow::Result<(String, ListFile)> {
    let name = path.display().to_string();
    let file = ListFile::parse(&name, &inputs::read(path)?)?;
    Ok((name, file))
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// The values in the order in which the assignment tries them: what harms least comes first.
fn sorted(file: &ListFile) -> Vec<&apqc::quant::sensitivity::Entry> {
    let mut entries: Vec<_> = file.entries.iter().collect();
    entries.sort_by(|a, b| b.value().total_cmp(&a.value()).then(a.place.cmp(&b.place)));
    entries
}

fn csv_text(file: &ListFile) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["group", "candidate", &column(file)])?;
    for entry in sorted(file) {
        writer.write_record([entry.group.as_str(), &entry.candidate.to_string(), &entry.value().to_string()])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn column(file: &ListFile) -> String {
    match file.metric.as_str() {
        "accuracy" => "accuracy_top1".into(),
        "fit" => "fit_db".into(),
        _ => "sqnr_db".into(),
    }
}

fn table(file: &ListFile) -> String {
    let heading = match file.metric.as_str() {
        "accuracy" => "accuracy".to_string(),
        "fit" => "FIT, -dB".to_string(),
        _ => format!("SQNR, dB ({})", file.estimator.as_deref().unwrap_or_default()),
    };
    let mut rows = tables::table(&["group", "bits", &heading], 2);
    for entry in sorted(file) {
        let value = if file.metric == "accuracy" { tables::percent(Some(entry.value())) } else { format!("{:.2}", entry.value()) };
        rows.add_row([entry.group.clone(), entry.candidate.to_string(), value]);
    }
    let mut text = rows.to_string();
    let _ = write!(text, "\n{} samples, {} of {} entries", file.samples, file.entries.len(), file.total);
    if let Some(Shard { index, count }) = file.shard {
        let _ = write!(text, " (part {index} of {count})");
    }
    text
}
