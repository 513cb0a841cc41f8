//! `apqc-train export`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use apq_onnx::supernet::{Tensor, tensor_shapes, write};
use apq_supernet::checkpoint;
use apq_supernet::data::Images;
use apq_supernet::files::{values, write_whole};
use apq_supernet::network::Supernet;
use apq_supernet::recipe::State;
use apq_supernet::shrinking::{CALIBRATION_IMAGES, Training};
use clap::Args;
use ndarray::{Array1, Array4};
use serde::Serialize;

use super::Context;
use super::destination;
use super::failure::{input, input_with_hint};
use super::images::{check_images, read_test};

/// Writes a trained supernet as ONNX, with its preprocessing and the images that the compiler needs beside it.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The checkpoint that `apqc-train supernet` wrote.
    #[arg(long, default_value = "supernet/checkpoint.safetensors", value_name = "FILE")]
    checkpoint: PathBuf,
    /// The data it was trained on, as for `apqc-train supernet`.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Images that only report, where --data is a `.npz`.
    #[arg(long, value_name = "FILE.npz")]
    test: Option<PathBuf>,
    /// Held-out images that go into FILE.calib.npz.
    #[arg(long, default_value_t = 256, value_name = "N")]
    calibration_images: usize,
    /// Test images, the first ones, that go into FILE.test.npz.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    test_images: usize,
    /// The supernet; .json, .calib.npz, .valid.npz (the rest of the held-out images) and .test.npz are written beside it.
    #[arg(short, long, default_value = "supernet.onnx", value_name = "FILE.onnx")]
    output: PathBuf,
    /// Writes over what is there.
    #[arg(long)]
    force: bool,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    files: Vec<PathBuf>,
    parameters: usize,
}

pub(crate) fn run(context: &Context, args: &ExportArgs) -> anyhow::Result<()> {
    let found = checkpoint::read::<State>(&args.checkpoint)?;
    let state = found.state;
    state.space.check().with_context(|| format!("the space of {}", args.checkpoint.display()))?;
    let all = Images::read(&args.data, "train")?;
    check_images(&all, &state.space, &args.data)?;
    if all.sha256() != state.images {
        return Err(input_with_hint(
            format!("{} is not what {} was trained on", args.data.display(), args.checkpoint.display()),
            "give the --data of `apqc-train supernet`: images that were held out then must not be others now",
        ));
    }
    if args.calibration_images == 0 || state.validation <= args.calibration_images || state.validation >= all.len() {
        return Err(input(format!(
            "--calibration-images must be 1 to {}: {} images were held out",
            state.validation.saturating_sub(1),
            state.validation
        )));
    }
    let test = read_test(&args.data, args.test.as_deref(), &state.space)?;
    let mut outputs = vec![args.output.clone()];
    outputs.extend(["json", "calib.npz", "valid.npz"].map(|extension| args.output.with_extension(extension)));
    outputs.extend(test.as_ref().map(|_| args.output.with_extension("test.npz")));
    for path in &outputs {
        destination::check(path, args.force)?;
    }
    let (train, held_out) = all.split(state.validation, state.recipe.seed);

    let mut training = Training::new(state.clone(), context.device);
    training.restore(found.parameters, found.moments, state.clone()).with_context(|| args.checkpoint.display().to_string())?;
    if !training.has_sorted_channels() {
        training.supernet.sort_channels();
    }
    let first: Vec<usize> = (0..train.len().min(CALIBRATION_IMAGES)).collect();
    let (images, _) = train.batch(&first, state.preprocess, None);
    let tensors = tensors(&training.supernet, &images.to_device(context.device))?;
    let bytes = write(&state.space, &tensors)?;

    let calibration: Vec<usize> = (0..args.calibration_images).collect();
    let validation: Vec<usize> = (args.calibration_images..held_out.len()).collect();
    let mut contents = vec![
        bytes,
        serde_json::to_vec_pretty(&state.preprocess)?,
        npz(&held_out.select(&calibration))?,
        npz(&held_out.select(&validation))?,
    ];
    if let Some(test) = test {
        let first: Vec<usize> = (0..test.len().min(args.test_images)).collect();
        contents.push(npz(&test.select(&first))?);
    }
    for (path, bytes) in outputs.iter().zip(&contents) {
        write_whole(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let parameters = tensors.values().map(|tensor| tensor.values.len()).sum();
    let written = Written { files: outputs, parameters };
    context.console.result(&written, || written.files.iter().map(|path| format!("{}\n", path.display())).collect())
}

/// Every tensor of the file, the norms' statistics measured on `images`.
fn tensors(supernet: &Supernet, images: &tch::Tensor) -> anyhow::Result<BTreeMap<String, Tensor>> {
    let statistics = supernet.calibrate(&supernet.space.largest(), images);
    let value = |name: &str| {
        let of = |norm: &str| statistics.get(norm);
        let statistic = name.strip_suffix(".norm.mean").and_then(of).map(|(mean, _)| mean);
        let statistic = statistic.or_else(|| name.strip_suffix(".norm.variance").and_then(of).map(|(_, variance)| variance));
        statistic.or_else(|| supernet.parameters.get(name)).map(values)
    };
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = value(&name).with_context(|| format!("no parameter `{name}`"))?;
        Ok((name, Tensor { shape, values }))
    };
    tensor_shapes(&supernet.space).into_iter().map(tensor).collect()
}

/// Images as `x` and `y`.
fn npz(images: &Images) -> anyhow::Result<Vec<u8>> {
    let [height, width, channels] = images.shape;
    let x = Array4::from_shape_vec((images.len(), height, width, channels), images.pixels.clone())?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut arrays = ndarray_npy::NpzWriter::new_compressed(&mut bytes);
    arrays.add_array("x", &x)?;
    arrays.add_array("y", &Array1::from_vec(images.labels.clone()))?;
    arrays.finish()?;
    Ok(bytes.into_inner())
}
