//! `apqc-train finetune`: a designed subnet, trained with its quantizers.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_onnx::supernet::Supernet;
use apq_search::space::{Architecture, Design, Policy};
use apq_supernet::data::{Augment, Images};
use apq_supernet::files::write_whole;
use apq_supernet::finetune::{Bits, Course, Quantized, accuracy, train};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::Context;
use super::destination;
use super::failure::{input, input_with_hint, unsupported};
use super::images::check_images;
use super::space::read_supernet;

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
    /// Images that measure and are not trained on, wherever they are in --data [default: SUPERNET.valid.npz].
    #[arg(long, value_name = "FILE.npz")]
    held_out: Option<PathBuf>,
    /// Images to which norms and ranges are fitted, not trained on either; OUTPUT.calib.npz is a copy [default: SUPERNET.calib.npz].
    #[arg(long, value_name = "FILE.npz")]
    calib: Option<PathBuf>,
    /// Without the accuracies before and after.
    #[arg(long)]
    no_report: bool,
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

/// What fine-tuning brought, on the held-out images; accuracies are null where nobody asks for them.
#[derive(Debug, Serialize)]
struct Summary {
    files: Vec<PathBuf>,
    steps: u32,
    /// Held-out images.
    images: usize,
    /// Those of --data that are neither held out nor for calibration.
    training_images: usize,
    accuracy_float: Option<f64>,
    /// With quantizers, before training.
    accuracy_before: Option<f64>,
    /// With quantizers, after training.
    accuracy_after: Option<f64>,
    /// Mean over the first and over the last steps.
    loss: Option<[f64; 2]>,
}

/// Steps between two fittings of the ranges.
const REFIT: usize = 50;

pub(crate) fn run(context: &Context, args: &FinetuneArgs) -> anyhow::Result<()> {
    let outputs = ["onnx", "json", "calib.npz"].map(|extension| args.output.with_extension(extension));
    for path in &outputs {
        destination::check(path, args.force)?;
    }
    if !(args.rate.is_finite() && args.rate > 0.0) {
        return Err(input("--rate must be positive"));
    }
    let (supernet, _) = read_supernet(&args.supernet)?;
    let design = read_design(&args.design, &supernet)?;
    let beside = |given: &Option<PathBuf>, extension| given.clone().unwrap_or_else(|| args.supernet.with_extension(extension));
    let preprocess = super::supernet::read_preprocess(&beside(&args.preprocess, "json"))?;
    let calib = beside(&args.calib, "calib.npz");
    let sets = read_images(args, &supernet, &beside(&args.held_out, "valid.npz"), &calib)?;
    let calib = std::fs::read(&calib).with_context(|| format!("cannot read {}", calib.display()))?;

    let subnet = supernet.extract(&design.architecture)?;
    let bits = Bits::new(supernet.space(), &design, subnet.convolutions());
    let bits = bits.map_err(|error| unsupported(error.to_string(), "a policy of at most 8 bits"))?;
    let (calibration, _) = sets.calibration.all(preprocess);
    let mut network = Quantized::new(subnet, bits, &calibration, context.device)?;
    let evaluate = |network: &Quantized, codes| (!args.no_report).then(|| accuracy(network, &sets.held_out, preprocess, codes));
    let (accuracy_float, accuracy_before) = (evaluate(&network, false), evaluate(&network, true));

    let course = Course { steps: args.steps as usize, batch: args.batch.into(), rate: args.rate, refit: REFIT, seed: context.seed };
    let augment = Augment { shift: args.shift.into(), mirror: !args.no_mirror };
    let bar = context.console.bar("finetune", args.steps.into());
    let mut losses = Vec::with_capacity(course.steps);
    train(&mut network, &course, (&sets.training, preprocess, augment), &calibration, |record| {
        losses.push(record.loss);
        bar.advance(1);
        bar.say(|| format!("loss {:.3}", record.loss));
    })?;
    drop(bar);

    let tuned = network.subnet().context("the training has diverged; a smaller --rate may help")?;
    let contents = [tuned.to_onnx(), serde_json::to_vec_pretty(&preprocess)?, calib];
    for (path, bytes) in outputs.iter().zip(&contents) {
        write_whole(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let window = losses.len().min(REFIT);
    let summary = Summary {
        files: outputs.to_vec(),
        steps: args.steps,
        images: sets.held_out.len(),
        training_images: sets.training.len(),
        accuracy_float,
        accuracy_before,
        accuracy_after: evaluate(&network, true),
        loss: (window > 0).then(|| [mean(&losses[..window]), mean(&losses[losses.len() - window..])]),
    };
    context.console.result(&summary, || text(&summary, args))
}

fn text(summary: &Summary, args: &FinetuneArgs) -> String {
    let output = args.output.display();
    let assignment = args.design.with_file_name("assignment.toml");
    let next = format!("next: apqc compile {output} --target TARGET --assign {}", assignment.display());
    let percent = |share: Option<f64>| 100.0 * share.unwrap_or(f64::NAN);
    if args.no_report {
        return format!("{output}: {} steps\n{next}", summary.steps);
    }
    format!(
        "{output}: accuracy on {} held-out images: float {:.2} %, quantized {:.2} %, fine-tuned {:.2} %\n{next}",
        summary.images,
        percent(summary.accuracy_float),
        percent(summary.accuracy_before),
        percent(summary.accuracy_after),
    )
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

/// The images of a run; no image is trained on that is in another set too.
struct Sets {
    training: Images,
    held_out: Images,
    calibration: Images,
}

fn read_images(args: &FinetuneArgs, supernet: &Supernet, held_out: &Path, calib: &Path) -> anyhow::Result<Sets> {
    let checked = |images: Images, path: &Path| check_images(&images, supernet.space(), path).map(|()| images);
    let all = checked(Images::read(&args.data, "train")?, &args.data)?;
    let beside = |path: &Path, flag: &str| {
        let hint = format!("`apqc-train export` writes {} beside the supernet; {flag} names another file", path.display());
        if path.exists() { Ok(()) } else { Err(input_with_hint(format!("cannot read {}: there is no such file", path.display()), hint)) }
    };
    beside(held_out, "--held-out")?;
    beside(calib, "--calib")?;
    let measured = checked(Images::read(held_out, "train")?, held_out)?;
    let calibration = checked(Images::read_unlabelled(calib)?, calib)?;
    let training = all.without(&[&measured, &calibration]);
    if training.len() < usize::from(args.batch) {
        return Err(input_with_hint(
            format!(
                "{} has {} images that are neither held out nor for calibration, fewer than --batch {}",
                args.data.display(),
                training.len(),
                args.batch
            ),
            "give the images that the supernet was trained on, or a smaller --batch",
        ));
    }
    Ok(Sets { training, held_out: measured, calibration })
}
