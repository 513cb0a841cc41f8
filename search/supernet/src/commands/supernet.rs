//! `apqc-train supernet`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_supernet::checkpoint::{self, Checkpoint};
use apq_supernet::data::{Images, Preprocess};
use apq_supernet::files::write_whole;
use apq_supernet::recipe::{Phase, Recipe, State};
use apq_supernet::shrinking::{EpochRecord, Training, accuracy, random_subnets};
use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::{input, input_with_hint};
use super::images::{check_images, read_test};
use super::space::read_space;

/// Trains a once-for-all network by progressive shrinking. A run that was stopped goes on where its last finished epoch ended.
#[derive(Debug, Args)]
pub(crate) struct SupernetArgs {
    /// Training and test images: a folder of IDX files (gzipped or not), or a `.npz` with `x` (u8 [N, H, W, C]) and `y`.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Images that only report, where --data is a `.npz`.
    #[arg(long, value_name = "FILE.npz")]
    test: Option<PathBuf>,
    /// The search space: a preset (fashion, imagenet), a JSON file, or that of another supernet or checkpoint.
    #[arg(long, default_value = "fashion", value_name = "NAME|FILE.json")]
    space: PathBuf,
    /// Epochs of the full network, then with elastic kernels, depth and width.
    #[arg(long, default_value = "12,2,4,32", value_delimiter = ',', value_name = "N,N,N,N")]
    epochs: Vec<u32>,
    /// Learning rate at the beginning of each phase.
    #[arg(long, default_value = "0.1,0.03,0.04,0.08", value_delimiter = ',', value_name = "R,R,R,R")]
    rates: Vec<f64>,
    /// Images of a step.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(2..), value_name = "N")]
    batch: u16,
    /// Of convolution and classifier weights.
    #[arg(long, default_value_t = 1e-4, value_name = "X")]
    weight_decay: f64,
    /// Probability that goes to all classes alike.
    #[arg(long, default_value_t = 0.05, value_name = "P")]
    label_smoothing: f64,
    /// Pixels by which training images are shifted at most.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=16), value_name = "N")]
    shift: u8,
    /// Training images are not mirrored.
    #[arg(long)]
    no_mirror: bool,
    /// Training images that are held out: the validation split of everything that follows.
    #[arg(long, default_value_t = 5000, value_name = "N")]
    validation: usize,
    /// Preprocessing: a JSON file with `mean` and `std` of raw values [default: those of the training images].
    #[arg(long, value_name = "FILE.json")]
    preprocess: Option<PathBuf>,
    /// Random subnets whose accuracy is reported at the end.
    #[arg(long, default_value_t = 20, value_name = "N")]
    subnets: usize,
    /// Folder of the checkpoint and of the curves.
    #[arg(short, long, default_value = "supernet", value_name = "DIR")]
    output: PathBuf,
    /// Starts over where another training was in the folder.
    #[arg(long)]
    force: bool,
}

/// What a finished training comes to.
#[derive(Debug, Serialize)]
struct Summary {
    checkpoint: PathBuf,
    epochs: u32,
    accuracy_largest: f64,
    accuracy_smallest: f64,
    accuracy_subnets: Vec<f64>,
    accuracy_subnets_mean: Option<f64>,
    images: usize,
}

pub(crate) fn run(context: &Context, args: &SupernetArgs) -> anyhow::Result<()> {
    let space = read_space(&args.space)?.space;
    let all = Images::read(&args.data, "train")?;
    check_images(&all, &space, &args.data)?;
    let test = read_test(&args.data, args.test.as_deref(), &space)?;
    if args.validation < 2 {
        return Err(input("--validation must be at least 2: some of the held-out images calibrate, the others measure"));
    }
    if args.validation.saturating_add(args.batch.into()) > all.len() {
        return Err(input_with_hint(
            format!("--validation {} and --batch {} do not fit in {} images", args.validation, args.batch, all.len()),
            "hold out fewer images",
        ));
    }
    let (train, held_out) = all.split(args.validation, context.seed);
    let preprocess = match &args.preprocess {
        Some(path) => read_preprocess(path)?,
        None => preprocess_of(&train),
    };
    let recipe = recipe(args, context.seed)?;
    std::fs::create_dir_all(&args.output).with_context(|| format!("cannot make the folder {}", args.output.display()))?;
    let path = args.output.join("checkpoint.safetensors");
    let curves = args.output.join("curves.csv");
    let state = State { space, recipe, preprocess, images: all.sha256(), validation: args.validation, epochs_done: 0 };
    let mut training = start(context, args, &path, state)?;

    let total: u32 = training.state.recipe.epochs.iter().sum();
    // An epoch of two passes takes about twice as long.
    let bar = context.console.bar("train", passes_left(&training.state) * train.len() as u64);
    while let Some((phase, _)) = training.next() {
        let epoch = training.state.epochs_done + 1;
        bar.say(|| format!("{} {epoch}/{total}", phase.name()));
        let advance = |images: usize| bar.advance(u64::from(phase.passes()) * images as u64);
        let Some(record) = training.epoch(&train, &held_out, advance) else { break };
        if !(record.loss_full.is_finite() && record.loss_subnets.is_finite() && training.is_finite()) {
            return Err(diverged(phase, record.epoch));
        }
        // The curve first: an epoch that is done again replaces its line, one that is not there would be lost. The epoch is worth more than its line.
        let curve = append(&curves, &record);
        checkpoint::write(&path, &training.state, &training.supernet.parameters, &training.moments)?;
        curve?;
        bar.note(|| describe(&record, total));
    }
    drop(bar);
    report(context, args, &training, &train, test.as_ref().unwrap_or(&held_out), path)
}

/// Passes over the training images that are to come.
fn passes_left(state: &State) -> u64 {
    let (mut done, mut passes) = (state.epochs_done, 0);
    for (phase, epochs) in Phase::ALL.into_iter().zip(state.recipe.epochs) {
        let before = done.min(epochs);
        done -= before;
        passes += u64::from(epochs - before) * u64::from(phase.passes());
    }
    passes
}

fn diverged(phase: Phase, epoch: u32) -> anyhow::Error {
    let (kept, next) = match epoch - 1 {
        0 => ("there is no checkpoint".to_owned(), "start"),
        before => (format!("the checkpoint holds epoch {before}"), "go on"),
    };
    input_with_hint(
        format!("the training has diverged in epoch {epoch}; {kept}"),
        format!("lower the rate of phase `{}` in --rates and {next} with the same flags otherwise", phase.name()),
    )
}

fn report(
    context: &Context,
    args: &SupernetArgs,
    training: &Training,
    train: &Images,
    images: &Images,
    checkpoint: PathBuf,
) -> anyhow::Result<()> {
    let space = &training.state.space;
    let of = |architecture: &_| accuracy(&training.supernet, architecture, train, images, &training.state);
    let random = random_subnets(&training.supernet, args.subnets, context.seed);
    let subnets: Vec<f64> = random.iter().map(of).collect();
    let mean = (!subnets.is_empty()).then(|| subnets.iter().sum::<f64>() / subnets.len() as f64);
    let summary = Summary {
        checkpoint,
        epochs: training.state.epochs_done,
        accuracy_largest: of(&space.largest()),
        accuracy_smallest: of(&space.smallest()),
        accuracy_subnets: subnets,
        accuracy_subnets_mean: mean,
        images: images.len(),
    };
    context.console.result(&summary, || {
        let mut text = format!("accuracy on {} images\n", summary.images);
        let mut line = |name: &str, value: f64| {
            let _ = writeln!(text, "  {name:<28} {:.2} %", 100.0 * value);
        };
        line("largest", summary.accuracy_largest);
        line("smallest", summary.accuracy_smallest);
        if let Some(mean) = mean {
            line(&format!("{} random subnets, mean", summary.accuracy_subnets.len()), mean);
        }
        let _ = write!(text, "checkpoint: {}", summary.checkpoint.display());
        text
    })
}

/// A new training, or the one in the folder where it is the same.
fn start(context: &Context, args: &SupernetArgs, path: &Path, state: State) -> anyhow::Result<Training> {
    if !path.exists() || args.force {
        return Ok(Training::new(state, context.device));
    }
    let found: Checkpoint<State> = checkpoint::read(path)?;
    let state = found.state.continued(&state).map_err(|difference| {
        input_with_hint(
            format!("{} belongs to a training with {difference}", path.display()),
            "give the flags it was started with (epochs and rates of phases that are not finished may change), another --output, or --force to start over",
        )
    })?;
    let mut training = Training::new(state.clone(), context.device);
    training.restore(found.parameters, found.moments, state).with_context(|| path.display().to_string())?;
    context.console.note(|| format!("going on after epoch {} of {}", training.state.epochs_done, path.display()));
    Ok(training)
}

fn recipe(args: &SupernetArgs, seed: u64) -> anyhow::Result<Recipe> {
    let four = |what: &str| input(format!("--{what} takes four values: full network, kernel, depth, width"));
    let epochs: [u32; 4] = args.epochs.as_slice().try_into().map_err(|_| four("epochs"))?;
    let rates: [f64; 4] = args.rates.as_slice().try_into().map_err(|_| four("rates"))?;
    if epochs.iter().try_fold(0u32, |sum, &epochs| sum.checked_add(epochs)).is_none_or(|sum| sum == 0 || sum > 100_000) {
        return Err(input("--epochs must come to 1..=100000 in all"));
    }
    let positive = |value: f64| value.is_finite() && value >= 0.0;
    if !rates.iter().chain([&args.weight_decay]).all(|&value| positive(value)) || !(0.0..1.0).contains(&args.label_smoothing) {
        return Err(input("learning rates and weight decay must not be negative, label smoothing lies in 0..1"));
    }
    Ok(Recipe {
        epochs,
        rates,
        batch: args.batch.into(),
        momentum: 0.9,
        weight_decay: args.weight_decay,
        label_smoothing: args.label_smoothing,
        shift: args.shift.into(),
        mirror: !args.no_mirror,
        seed,
    })
}

pub(super) fn read_preprocess(path: &Path) -> anyhow::Result<Preprocess> {
    let json = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let found: Preprocess =
        serde_json::from_str(&json).with_context(|| format!("{} must hold one `mean` and one `std`", path.display()))?;
    if !(found.mean.is_finite() && found.std.is_finite() && found.std > 0.0) {
        return Err(input(format!("{}: `std` must be positive, and both finite", path.display())));
    }
    Ok(found)
}

/// Mean and standard deviation of all raw values.
fn preprocess_of(images: &Images) -> Preprocess {
    let mut counts = [0u64; 256];
    images.pixels.iter().for_each(|&value| counts[usize::from(value)] += 1);
    let count = images.pixels.len().max(1) as f64;
    let mean = (0..256).map(|value| value as f64 * counts[value] as f64).sum::<f64>() / count;
    let variance = (0..256).map(|value| (value as f64 - mean).powi(2) * counts[value] as f64).sum::<f64>() / count;
    Preprocess { mean: mean as f32, std: variance.sqrt().max(1.0) as f32 }
}

/// Adds the epoch's line to the curves, after the lines of the epochs before it. What else is there was left by a kill, or by a training that starts over.
fn append(path: &Path, record: &EpochRecord) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let found = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        found => found.with_context(failed)?,
    };
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.serialize(record)?;
    let fresh = String::from_utf8(rows.into_inner()?)?;
    let (header, line) = fresh.split_once('\n').unwrap_or((&fresh, ""));
    let mut text = format!("{header}\n");
    let epoch = |line: &str| line.split(',').next().and_then(|epoch| epoch.parse::<u32>().ok());
    for kept in String::from_utf8_lossy(&found).lines().filter(|line| epoch(line).is_some_and(|epoch| epoch < record.epoch)) {
        let _ = writeln!(text, "{kept}");
    }
    text.push_str(line);
    write_whole(path, text.as_bytes()).with_context(failed)
}

fn describe(record: &EpochRecord, total: u32) -> String {
    format!(
        "epoch {}/{total} {:<6} loss {:.4} subnets {:.4}  held out: largest {:.2} % smallest {:.2} %  {:.0} s",
        record.epoch,
        record.phase,
        record.loss_full,
        record.loss_subnets,
        100.0 * record.accuracy_largest,
        100.0 * record.accuracy_smallest,
        record.seconds
    )
}
