//! `apqc dataset`: accuracies of a supernet's subnets, in floats or as integers, from which a predictor learns.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use apq_onnx::supernet::{METADATA_KEY, Supernet};
use apq_search::space::Choices;
use apq_search::space::record::{self, Header, Kind, POINTS_MAX, SCHEMA};
use apqc::data::Dataset;
use apqc::dataset::{Bench, DatasetFile, Measure, Quantization, Tuner, merge, ranges, sample};
use apqc::lower::RawInput;
use apqc::prepare::raw_type;
use apqc::quant::sensitivity::Shard;
use apqc::supernet::Images;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::choices::{Ranges, RoundingBy, at_least_one};
use super::console::eprint_lossy;
use super::failure::{Exit, input, input_with_hint};
use super::inputs::{InputFile, Samples};
use super::trainer::Trainer;
use super::{Context, destination, inputs};

/// Accuracies of subnets, from which a predictor learns.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    Sample(Box<SampleArgs>),
    Merge(MergeArgs),
}

/// Draws subnets of a supernet and evaluates them. Nothing is trained. A run that was stopped goes on where it was.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// The supernet.
    #[arg(value_name = "SUPERNET.onnx")]
    pub(super) supernet: PathBuf,
    /// What is measured.
    #[arg(long, value_enum)]
    kind: KindName,
    /// Labelled samples that measure, which the supernet was not trained on.
    #[arg(long, value_name = "PATH")]
    pub(super) data: PathBuf,
    /// Samples that calibrate norms and ranges [default: SUPERNET.calib.npz].
    #[arg(long, value_name = "PATH")]
    pub(super) calib: Option<String>,
    /// Points of the whole dataset.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=POINTS_MAX))]
    points: u64,
    /// Samples of --data used, at most [default: all].
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    samples: Option<usize>,
    /// Calibration samples for norms, at most.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    norm_samples: usize,
    /// Calibration samples for the ranges of activations, at most.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    range_samples: usize,
    /// Only part I of N of the points; `dataset merge` joins the parts.
    #[arg(long, value_name = "I/N", value_parser = super::sensitivity::shard)]
    shard: Option<Shard>,
    /// Where points go, one JSON line each [default: SUPERNET.KIND.jsonl]. What is there is kept.
    #[arg(short, long, value_name = "FILE.jsonl")]
    output: Option<PathBuf>,
    /// Only bit widths that a target has kernels for: a name or a TOML file.
    #[arg(long, value_name = "NAME|FILE.toml")]
    target: Option<String>,
    /// Mean and standard deviation of the input [default: SUPERNET.json].
    #[arg(long, value_name = "FILE.json")]
    pub(super) preprocess: Option<PathBuf>,
    /// How the ranges of weights are found.
    #[arg(long, value_enum, default_value_t = Ranges::Mse)]
    weight_ranges: Ranges,
    /// How the ranges of activations are found.
    #[arg(long, value_enum, default_value_t = Ranges::Mse)]
    activation_ranges: Ranges,
    /// How weights are rounded. The rules that learn or solve take several times as long.
    #[arg(long, value_enum, default_value_t = RoundingBy::Nearest)]
    rounding: RoundingBy,
    /// Train the network of each point with its quantizers for so many steps before it is measured, by `apqc-train finetune`.
    #[arg(long, value_name = "STEPS", requires = "train", value_parser = clap::value_parser!(u32).range(1..))]
    finetune: Option<u32>,
    /// Images to train on, as `apqc-train finetune --data` takes them.
    #[arg(long, value_name = "PATH", requires = "finetune")]
    train: Option<PathBuf>,
    /// Take biases as they are where weights are rounded to nearest, instead of correcting them where held-out samples improve.
    #[arg(long)]
    no_bias_correction: bool,
}

/// What a dataset holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindName {
    /// Architectures and the accuracy of their networks in floats.
    Float,
    /// Architectures with bit widths, and the accuracy of their networks as integers.
    Quantized,
}

impl KindName {
    /// What the default name of a file ends with.
    fn ending(self) -> &'static str {
        match self {
            KindName::Float => ".float.jsonl",
            KindName::Quantized => ".quantized.jsonl",
        }
    }
}

impl From<KindName> for Kind {
    fn from(kind: KindName) -> Kind {
        match kind {
            KindName::Float => Kind::Float,
            KindName::Quantized => Kind::Quantized,
        }
    }
}

/// Joins the parts of a dataset.
#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The parts, in any order.
    #[arg(required = true, value_name = "PART.jsonl")]
    parts: Vec<PathBuf>,
    /// Where the dataset goes.
    #[arg(short, long, value_name = "FILE.jsonl")]
    output: PathBuf,
    /// Join what there is, though points are missing.
    #[arg(long)]
    partial: bool,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

/// The command.
pub(crate) fn dataset(context: &Context, command: &DatasetCommand) -> anyhow::Result<Exit> {
    match command {
        DatasetCommand::Sample(args) => sample_points(context, args),
        DatasetCommand::Merge(args) => merge_parts(context, args),
    }
}

fn sample_points(context: &Context, args: &SampleArgs) -> anyhow::Result<Exit> {
    let trainer = match (args.finetune, &args.train) {
        (Some(_), _) if args.kind == KindName::Float => return Err(input("--finetune trains with quantizers: it is for --kind quantized")),
        (Some(steps), Some(images)) => Some(Trainer::find(args, images, steps, context.seed)?),
        _ => None,
    };
    let (supernet, supernet_file) = supernet(&args.supernet)?;
    let space = supernet.space();
    let choice = args.target.as_deref().map(inputs::target).transpose()?;
    let choices = Choices::new(space, choice.as_ref().map(|choice| &choice.target))?;
    let shape = space.input.map(|size| size as usize);
    let (preprocess, _) = inputs::preprocess(args.preprocess.as_deref(), &args.supernet, shape[2])?;
    let data = inputs::samples("data", &args.data, &shape, args.samples.unwrap_or(usize::MAX))?;
    check_labels(&data.data, space.classes)?;
    let calibration = inputs::calibration(args.calib.as_deref(), &args.supernet, &shape, args.norm_samples, context.seed)?;
    let quantization = Quantization {
        weight_ranges: args.weight_ranges.into(),
        activation_ranges: args.activation_ranges.into(),
        rounding: args.rounding.into(),
        bias_correction: args.rounding == RoundingBy::Nearest && !args.no_bias_correction,
        seed: context.seed,
    };
    let ranges: Vec<Vec<f32>> =
        (0..calibration.data.len().min(args.range_samples)).map(|index| calibration.data.to_f32(index, &preprocess)).collect();
    let of_samples =
        |samples: &Samples| samples.file.as_ref().map_or_else(|| inputs::content_sha256(&samples.data), |file| file.sha256.clone());
    let header = Header {
        schema: SCHEMA.into(),
        fingerprint: space.fingerprint_text(),
        kind: args.kind.into(),
        seed: context.seed,
        points: args.points,
        shard: args.shard.map(|shard| [shard.index as u32, shard.count as u32]),
        samples: data.data.len() as u64,
        data: of_samples(&data),
        supernet: supernet_file.sha256,
        calibration: of_samples(&calibration),
        norm_samples: calibration.data.len() as u64,
        preprocess: inputs::sha256(&[json!(preprocess).to_string().as_bytes()]),
        quantization: (args.kind == KindName::Quantized).then(|| record::Quantization {
            activation_ranges: quantization.activation_ranges.name().into(),
            weight_ranges: quantization.weight_ranges.name().into(),
            range_samples: ranges.len() as u64,
            rounding: quantization.rounding.name().into(),
            bias_correction: quantization.bias_correction,
            target: choice.as_ref().map(|choice| choice.target.name().to_string()),
            finetune: trainer.as_ref().map(Trainer::facts),
        }),
    };
    let path = args.output.clone().unwrap_or_else(|| inputs::beside(&args.supernet, args.kind.ending()));
    let file = DatasetFile::open(&path, &header)?;
    let before = file.points().len();
    if before > 0 && !context.console.quiet {
        eprint_lossy(&format!("note: {before} points are there already"));
    }
    let norms = Images::new(&calibration.data, &preprocess);
    let images = Images::new(&data.data, &preprocess);
    let input = RawInput { raw: raw_type(&data.data), preprocess };
    let measure = match args.kind {
        KindName::Float => Measure::Float(&images),
        KindName::Quantized => {
            let tuner = trainer.as_ref().map(|trainer| trainer as &dyn Tuner);
            Measure::Integer { ranges: &ranges, quantization, input: &input, tuner }
        }
    };
    let drawer = context.console.progress();
    let start = Instant::now();
    let contents = sample(&Bench { supernet: &supernet, data: &data.data, norms: &norms, measure }, &choices, file, &drawer)?;
    drawer.finish();
    let (points, seconds) = (contents.points.len(), start.elapsed().as_secs_f64());
    let json = json!({ "file": path.display().to_string(), "points": points, "evaluated": points - before, "seconds": seconds });
    context.console.result(&json, || format!("{points} points, {} of them new in {seconds:.1} s: {}", points - before, path.display()))?;
    Ok(Exit::Done)
}

/// A supernet, and its file.
fn supernet(path: &Path) -> anyhow::Result<(Supernet, InputFile)> {
    let bytes = inputs::read(path)?;
    let found = apq_onnx::supernet::read(&bytes).with_context(|| path.display().to_string())?;
    let ordinary = || {
        let text = format!("{} is an ordinary network: it has no metadata `{METADATA_KEY}`", path.display());
        input_with_hint(text, "`apqc-train export` writes a supernet; docs/supernet.md has the format")
    };
    Ok((found.ok_or_else(ordinary)?, InputFile::new("supernet", path, &bytes)))
}

/// Every sample has a label that is a class.
fn check_labels(data: &Dataset, classes: u32) -> anyhow::Result<()> {
    let from = data.source();
    match data.labels() {
        None => Err(input_with_hint(format!("{from} has no labels"), "array `y` of a .npz, or labels.csv in a folder of images")),
        Some(labels) => match labels.iter().position(|label| *label >= classes) {
            Some(sample) => {
                Err(input(format!("{from} has label {} for sample {sample}, the supernet has {classes} classes", labels[sample])))
            }
            None => Ok(()),
        },
    }
}

fn merge_parts(context: &Context, args: &MergeArgs) -> anyhow::Result<Exit> {
    destination::check(&args.output, args.force)?;
    let Some(merged) = merge(&args.parts)? else { return Err(input("no parts")) };
    let missing = merged.missing();
    if !missing.is_empty() {
        let text = format!("{} of {} points are missing: {}", missing.len(), merged.header.points, ranges(&missing, RANGES_SHOWN));
        if !args.partial {
            return Err(input_with_hint(
                text,
                "`apqc dataset sample` with the same flags goes on with a part; --partial joins what there is",
            ));
        }
        eprint_lossy(&format!("note: {text}"));
    }
    merged.write(&args.output)?;
    let json = json!({ "parts": args.parts.len(), "points": merged.points.len(), "repeated": merged.repeated, "missing": missing });
    context.console.result(&json, || format!("{} parts, {} points: {}", args.parts.len(), merged.points.len(), args.output.display()))?;
    Ok(Exit::Done)
}

/// Ranges of missing points that a message lists.
const RANGES_SHOWN: usize = 20;
