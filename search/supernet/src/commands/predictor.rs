//! `apqc-train predictor`: data sets in, a predictor out.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use apq_search::space::Encoding;
use apq_search::space::record::Kind;
use apq_supernet::files::write_whole;
use apq_supernet::predictor::curve::{self, CurvePoint};
use apq_supernet::predictor::dataset::{Dataset, DatasetError};
use apq_supernet::predictor::{Plan, Provenance, Samples, VERSION, hold_out, pairs, pairwise_accuracy, write};
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::Context;
use super::destination;
use super::failure::{input, input_with_hint};
use super::space::{Found, read_space};

/// Trains a predictor of quantized accuracy, from float points first and then from quantized ones.
#[derive(Debug, Args)]
pub(crate) struct PredictorArgs {
    /// What the data sets are of: a supernet's ONNX file, a checkpoint, a search space as JSON, or the name of one that is built in.
    #[arg(long, value_name = "SUPERNET")]
    supernet: PathBuf,
    /// Data set of float accuracies, all of its shards [default: SUPERNET.float.jsonl, where `apqc dataset sample` puts it].
    #[arg(long, value_name = "FILE", num_args = 1..)]
    float: Vec<PathBuf>,
    /// Data set of quantized accuracies, all of its shards [default: SUPERNET.quantized.jsonl].
    #[arg(long, value_name = "FILE", num_args = 1..)]
    quantized: Vec<PathBuf>,
    /// The predictor's file [default: SUPERNET.predictor, where `apqc compile` looks for it].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Start from nothing instead of from the predictor of float accuracy.
    #[arg(long)]
    scratch: bool,
    /// Quantized points, whole architectures at a time, that are not trained on but tell the pairwise accuracy [default: a fifth, at most 1000].
    #[arg(long, value_name = "N")]
    held_out: Option<usize>,
    /// Pairs of held-out points that are compared.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pairs: u32,
    /// Also train on so many quantized points, with and without transfer: the learning curve, written beside the output as `.curve.csv` and `.curve.json`.
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', conflicts_with = "scratch", value_parser = clap::value_parser!(u32).range(10..))]
    curve: Vec<u32>,
    /// Steps of 64 points of each training [default: 1200, or 20 passes over the points where that is more].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: Option<u32>,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
}

/// What the command prints.
#[derive(Debug, Serialize)]
struct Report {
    output: PathBuf,
    space: String,
    dimensions: usize,
    float_points: usize,
    quantized_points: usize,
    held_out_points: usize,
    pairs: usize,
    /// Of float accuracy, on as many float points as are held out for it.
    pairwise_float: Option<f64>,
    pairwise: Option<f64>,
    curve: Vec<CurvePoint>,
    seconds: f64,
}

/// Fewest points from which something can be learned.
const POINTS_MIN: usize = 10;
/// Most points that are held out where nobody says how many.
const HELD_OUT_MAX: usize = 1000;

pub(crate) fn run(context: &Context, args: &PredictorArgs) -> anyhow::Result<()> {
    let start = std::time::Instant::now();
    let output = args.output.clone().unwrap_or_else(|| args.supernet.with_extension("predictor"));
    let beside = |extension: &str| PathBuf::from(format!("{}.{extension}", output.display()));
    let curve_files = [beside("curve.csv"), beside("curve.json")];
    let outputs = [output.as_path()].into_iter().chain(curve_files.iter().filter(|_| !args.curve.is_empty()).map(PathBuf::as_path));
    for path in outputs {
        destination::check(path, args.force)?;
    }
    // The networks are too small for threads, and their number shall not change a result.
    tch::set_num_threads(1);
    let Found { space, supernet } = read_space(&args.supernet)?;
    let encoding = Encoding::new(&space)?;
    let read = |paths: &[PathBuf], kind| Dataset::read(paths, kind, &encoding).map_err(explain);
    let given = |paths: &[PathBuf], extension: &str| match paths {
        [] => vec![args.supernet.with_extension(extension)],
        paths => paths.to_vec(),
    };
    let quantized = read(&given(&args.quantized, "quantized.jsonl"), Kind::Quantized)?;
    let float = if args.scratch { None } else { Some(read(&given(&args.float, "float.jsonl"), Kind::Float)?) };
    if let Some(float) = &float
        && float.header.supernet != quantized.header.supernet
    {
        return Err(input("the float and the quantized data set are of different supernets"));
    }
    if supernet.is_some_and(|supernet| supernet != quantized.header.supernet) {
        let shown = args.supernet.display();
        return Err(input_with_hint(
            format!("the data sets are of another supernet than {shown}"),
            format!("give --supernet the file that they were made from, or make others: `apqc dataset sample {shown}`"),
        ));
    }

    let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
    let (train, held) = split(&quantized, args.held_out, &encoding, &mut rng)?;
    let held_pairs = pairs(&held.accuracies, args.pairs as usize, &mut rng);
    let plan = Plan {
        dimensions: encoding.dimensions(),
        blocks: space.blocks().len(),
        steps: args.steps.map(|steps| steps as usize),
        seed: context.seed,
    };
    let sizes: Vec<usize> = args.curve.iter().map(|&size| size as usize).collect();
    let steps_curve: usize = sizes.iter().map(|&size| 2 * plan.steps(size)).sum();
    let steps_float = float.as_ref().map_or(0, |float| plan.steps(float.points.len()));
    let bar = context.console.bar("predictor", (steps_float + plan.steps(train.len()) + steps_curve) as u64);
    let mut tick = || bar.advance(1);

    let mut pairwise_float = None;
    let base = match &float {
        None => None,
        Some(float) => {
            let (train, held) = split(float, None, &encoding, &mut rng)?;
            let held_pairs = pairs(&held.accuracies, args.pairs as usize, &mut rng);
            let network = plan.float(&train, &mut tick)?;
            pairwise_float = pairwise_accuracy(&network.predict(&held.inputs), &held.accuracies, &held_pairs);
            Some((network, train.len()))
        }
    };
    let network = plan.quantized(base.as_ref().map(|(network, _)| network), &train, &mut tick)?;
    let pairwise = pairwise_accuracy(&network.predict(&held.inputs), &held.accuracies, &held_pairs);
    let curve = match &base {
        Some((float, _)) => curve::curve(&plan, float, &train, &sizes, &held, &held_pairs, &mut tick)?,
        None => Vec::new(),
    };
    drop(bar);

    let (mean, std) = train.moments();
    let provenance = Provenance {
        version: VERSION,
        space: space.fingerprint_text(),
        supernet: quantized.header.supernet.clone(),
        mean,
        std,
        float_points: base.as_ref().map_or(0, |(_, points)| *points),
        quantized_points: train.len(),
        pairwise,
        seed: context.seed,
    };
    write(&output, &network, &provenance)?;
    if !args.curve.is_empty() {
        let [csv, json] = &curve_files;
        write_whole(csv, curve_csv(&curve)?.as_bytes()).with_context(|| format!("cannot write {}", csv.display()))?;
        write_whole(json, &serde_json::to_vec_pretty(&curve)?).with_context(|| format!("cannot write {}", json.display()))?;
    }
    let report = Report {
        output,
        space: provenance.space,
        dimensions: plan.dimensions,
        float_points: provenance.float_points,
        quantized_points: train.len(),
        held_out_points: held.len(),
        pairs: held_pairs.len(),
        pairwise_float,
        pairwise,
        curve,
        seconds: start.elapsed().as_secs_f64(),
    };
    context.console.result(&report, || text(&report))
}

/// Encoded points to train on, and to hold out; no architecture is in both.
fn split(dataset: &Dataset, held_out: Option<usize>, encoding: &Encoding, rng: &mut ChaCha8Rng) -> anyhow::Result<(Samples, Samples)> {
    let count = dataset.points.len();
    let held_out = held_out.unwrap_or((count / 5).min(HELD_OUT_MAX));
    if held_out < 2 || count.saturating_sub(held_out) < POINTS_MIN {
        return Err(input_with_hint(
            format!("{count} points are too few to hold out {held_out} and to learn from {POINTS_MIN}"),
            "`apqc dataset sample` evaluates more",
        ));
    }
    let (train, held) = hold_out(dataset.by_architecture(), held_out, rng);
    let samples = dataset.samples(encoding)?;
    Ok((samples.select(&train), samples.select(&held)))
}

fn explain(error: DatasetError) -> anyhow::Error {
    let hint = match &error {
        DatasetError::Record { .. } => "`apqc dataset sample` makes one for this supernet",
        DatasetError::Mixed { .. } | DatasetError::Twice { .. } => "`apqc dataset merge` puts shards together",
        DatasetError::Kind { .. } => "float points go with --float, quantized ones with --quantized",
        _ => return error.into(),
    };
    input_with_hint(error.to_string(), hint)
}

fn curve_csv(curve: &[CurvePoint]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for point in curve {
        writer.serialize(point)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn text(report: &Report) -> String {
    let percent = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
    let mut text = format!("{}: {} inputs, for space {}\n", report.output.display(), report.dimensions, report.space);
    if report.float_points > 0 {
        let _ = writeln!(text, "float: {} points, pairwise accuracy {}", report.float_points, percent(report.pairwise_float));
    }
    let _ = writeln!(
        text,
        "quantized: {} points, pairwise accuracy {} on {} pairs of {} held-out points",
        report.quantized_points,
        percent(report.pairwise),
        report.pairs,
        report.held_out_points
    );
    for point in &report.curve {
        let (transfer, scratch) = (percent(Some(point.transfer)), percent(Some(point.scratch)));
        let _ = writeln!(text, "  {:>6} points: {transfer} with transfer, {scratch} without", point.points);
    }
    let _ = write!(text, "{:.0} s", report.seconds);
    text
}
