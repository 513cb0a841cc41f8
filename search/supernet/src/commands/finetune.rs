//! `apqc-train finetune`: a designed subnet, trained with its quantizers.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_onnx::supernet::Supernet;
use apq_search::space::{Architecture, Design, Policy};
use apq_supernet::data::{Augment, Images, Preprocess};
use apq_supernet::files::write_whole;
use apq_supernet::finetune::{Bits, Course, Quantized, accuracy, train};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::Context;
use super::destination;
use super::export::npz;
use super::failure::{input, input_with_hint, unsupported};

/// Fine-tunes a subnet with its bit widths, and writes it as ONNX for `apqc compile --assign`.
#[derive(Debug, Args)]
pub(crate) struct FinetuneArgs {
    /// The supernet that the design is of, as ONNX.
    #[arg(long, default_value = "supernet.onnx", value_name = "FILE.onnx")]
    supernet: PathBuf,
    /// Architecture and bit widths: `design.json`, which `apqc compile` writes for a supernet.
    #[arg(long, value_name = "FILE.json")]
    design: PathBuf,
    /// Training images: a folder of IDX files (gzipped or not), or a `.npz` with `x` (u8 [N, H, W, C]) and `y`.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Preprocessing: a JSON file with `mean` and `std` of raw values [default: SUPERNET.json].
    #[arg(long, value_name = "FILE.json")]
    preprocess: Option<PathBuf>,
    /// Steps of training.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=10_000_000), value_name = "N")]
    steps: u32,
    /// Images of a step.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    batch: u16,
    /// Learning rate at the beginning.
    #[arg(long, default_value_t = 5e-4, value_name = "R")]
    rate: f64,
    /// Pixels by which training images are shifted at most.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=16), value_name = "N")]
    shift: u8,
    /// Training images are not mirrored.
    #[arg(long)]
    no_mirror: bool,
    /// Training images that are held out, as for `apqc-train supernet`; the seed has to be the same for them to be the same.
    #[arg(long, default_value_t = 5000, value_name = "N")]
    validation: usize,
    /// Held-out images to which ranges are fitted; they go into OUTPUT.calib.npz.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    calibration_images: u16,
    /// The fine-tuned network; .json and .calib.npz are written beside it.
    #[arg(short, long, default_value = "finetuned.onnx", value_name = "FILE.onnx")]
    output: PathBuf,
    /// Writes over what is there.
    #[arg(long)]
    force: bool,
}

/// `design.json`, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct DesignFile {
    fingerprint: Option<String>,
    architecture: Architecture,
    policy: Option<Policy>,
}

/// What fine-tuning brought, on the held-out images.
#[derive(Debug, Serialize)]
struct Summary {
    files: Vec<PathBuf>,
    steps: u32,
    images: usize,
    accuracy_float: f64,
    /// With quantizers, before training.
    accuracy_before: f64,
    /// With quantizers, after training.
    accuracy_after: f64,
    /// Mean over the first and over the last steps.
    loss: Option<[f64; 2]>,
}

/// Steps between two fittings of the ranges.
const REFIT: usize = 50;
/// Largest file that is read as a supernet.
const BYTES_MAX: u64 = 1 << 30;

pub(crate) fn run(context: &Context, args: &FinetuneArgs) -> anyhow::Result<()> {
    let outputs = ["onnx", "json", "calib.npz"].map(|extension| args.output.with_extension(extension));
    for path in &outputs {
        destination::check(path, args.force)?;
    }
    if !(args.rate.is_finite() && args.rate > 0.0) {
        return Err(input("--rate must be positive"));
    }
    let supernet = read_supernet(&args.supernet)?;
    let design = read_design(&args.design, &supernet)?;
    let preprocess = args.preprocess.clone().unwrap_or_else(|| args.supernet.with_extension("json"));
    let preprocess = super::supernet::read_preprocess(&preprocess)?;
    let (train_images, held_out) = read_images(args, &supernet, context.seed)?;

    let subnet = supernet.extract(&design.architecture)?;
    let bits = Bits::new(supernet.space(), &design, subnet.convolutions());
    let bits = bits.map_err(|error| unsupported(error.to_string(), "a policy of at most 8 bits"))?;
    let calibration_count = usize::from(args.calibration_images).min(held_out.len());
    let calibration_images = held_out.select(&(0..calibration_count).collect::<Vec<_>>());
    let (calibration, _) = calibration_images.all(preprocess);
    let mut network = Quantized::new(subnet, bits, &calibration, context.device)?;
    let evaluate = |network: &Quantized, codes| accuracy(network, &held_out, preprocess, codes);
    let (accuracy_float, accuracy_before) = (evaluate(&network, false), evaluate(&network, true));

    let course = Course { steps: args.steps as usize, batch: args.batch.into(), rate: args.rate, refit: REFIT, seed: context.seed };
    let augment = Augment { shift: args.shift.into(), mirror: !args.no_mirror };
    let bar = context.console.bar("finetune", args.steps.into());
    let mut losses = Vec::with_capacity(course.steps);
    train(&mut network, &course, (&train_images, preprocess, augment), &calibration, |record| {
        losses.push(record.loss);
        bar.advance(1);
        bar.say(|| format!("loss {:.3}", record.loss));
    })?;
    drop(bar);

    let tuned = network.subnet().context("the training has diverged; a smaller --rate may help")?;
    write_outputs(&outputs, &tuned.to_onnx(), preprocess, &calibration_images)?;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let window = losses.len().min(REFIT);
    let summary = Summary {
        files: outputs.to_vec(),
        steps: args.steps,
        images: held_out.len(),
        accuracy_float,
        accuracy_before,
        accuracy_after: evaluate(&network, true),
        loss: (window > 0).then(|| [mean(&losses[..window]), mean(&losses[losses.len() - window..])]),
    };
    context.console.result(&summary, || {
        let percent = |share: f64| 100.0 * share;
        format!(
            "{}: accuracy on {} held-out images: float {:.2} %, quantized {:.2} %, fine-tuned {:.2} %\nnext: apqc compile {} --assign assignment.toml",
            args.output.display(),
            summary.images,
            percent(accuracy_float),
            percent(accuracy_before),
            percent(summary.accuracy_after),
            args.output.display()
        )
    })
}

fn write_outputs(outputs: &[PathBuf; 3], onnx: &[u8], preprocess: Preprocess, calibration: &Images) -> anyhow::Result<()> {
    let contents = [onnx.to_vec(), serde_json::to_vec_pretty(&preprocess)?, npz(calibration)?];
    for (path, bytes) in outputs.iter().zip(&contents) {
        write_whole(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn read_supernet(path: &Path) -> anyhow::Result<Supernet> {
    let shown = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    if size > BYTES_MAX {
        return Err(input(format!("{shown} has {size} bytes; a supernet has at most {BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let found = apq_onnx::supernet::read(&bytes).with_context(|| shown.to_string())?;
    found.ok_or_else(|| input_with_hint(format!("{shown} is an ordinary network, not a supernet"), "`apqc-train export` writes one"))
}

fn read_design(path: &Path, supernet: &Supernet) -> anyhow::Result<Design> {
    let shown = path.display();
    let space = supernet.space();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let file: DesignFile = serde_json::from_str(&text).with_context(|| format!("{shown} is not a design"))?;
    let own = space.fingerprint_text();
    if let Some(found) = file.fingerprint.filter(|found| *found != own) {
        return Err(input(format!("{shown} is of search space {found}, the supernet has {own}")));
    }
    let Some(policy) = file.policy else {
        return Err(input_with_hint(
            format!("{shown} has no bit widths: its assignment was refined group by group"),
            "compile the supernet without --refine",
        ));
    };
    let design = Design { architecture: file.architecture, policy };
    space.check_design(&design).with_context(|| shown.to_string())?;
    Ok(design)
}

/// Training images and held-out ones.
fn read_images(args: &FinetuneArgs, supernet: &Supernet, seed: u64) -> anyhow::Result<(Images, Images)> {
    let (all, space) = (Images::read(&args.data, "train")?, supernet.space());
    let (shown, expected) = (args.data.display(), space.input.map(|side| side as usize));
    if all.shape != expected {
        return Err(input(format!("{shown} has images of {:?}, the supernet takes {expected:?}", all.shape)));
    }
    if let Some(label) = all.labels.iter().find(|&&label| u32::from(label) >= space.classes) {
        return Err(input(format!("{shown}: label {label}, and the supernet has {} classes", space.classes)));
    }
    if args.validation == 0 || args.validation.saturating_add(args.batch.into()) > all.len() {
        return Err(input(format!("--validation {} and --batch {} do not fit in {} images", args.validation, args.batch, all.len())));
    }
    Ok(all.split(args.validation, seed))
}
