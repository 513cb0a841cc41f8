//! `apqc-train export`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use apq_onnx::supernet::{Tensor, tensor_shapes, write};
use apq_supernet::checkpoint;
use apq_supernet::data::Images;
use apq_supernet::files::{values, write_whole};
use apq_supernet::network::Supernet;
use apq_supernet::shrinking::{CALIBRATION_IMAGES, State, Training};
use clap::Args;
use ndarray::{Array1, Array4};
use serde::Serialize;

use super::Context;
use super::failure::{input, input_with_hint};

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
    /// Training images that were held out.
    #[arg(long, default_value_t = 5000, value_name = "N")]
    validation: usize,
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
    if all.shape != state.space.input.map(|side| side as usize) {
        return Err(input(format!("{} has images of {:?}, the supernet takes {:?}", args.data.display(), all.shape, state.space.input)));
    }
    if args.validation <= args.calibration_images || args.validation >= all.len() {
        return Err(input("--validation must be more than --calibration-images, and less than there are images"));
    }
    let (train, held_out) = all.split(args.validation, state.recipe.seed);
    let test = match &args.test {
        Some(path) => Some(Images::read(path, "t10k")?),
        None if args.data.is_dir() => Some(Images::read(&args.data, "t10k")?),
        None => None,
    };

    let mut training = Training::new(state.space.clone(), state.recipe.clone(), state.preprocess, context.device);
    training.restore(found.parameters, found.moments, state.clone())?;
    if !training.has_sorted_channels() {
        training.supernet.sort_channels(&mut BTreeMap::new());
    }
    let first: Vec<usize> = (0..train.len().min(CALIBRATION_IMAGES)).collect();
    let (images, _) = train.batch(&first, state.preprocess, None);
    let tensors = tensors(&training.supernet, &images.to_device(context.device))?;
    let bytes = write(&state.space, &tensors)?;

    let calibration: Vec<usize> = (0..args.calibration_images).collect();
    let validation: Vec<usize> = (args.calibration_images..held_out.len()).collect();
    let mut files = vec![
        (args.output.clone(), bytes),
        (args.output.with_extension("json"), serde_json::to_string_pretty(&state.preprocess)?.into_bytes()),
        (args.output.with_extension("calib.npz"), npz(&held_out.select(&calibration))?),
        (args.output.with_extension("valid.npz"), npz(&held_out.select(&validation))?),
    ];
    if let Some(test) = test {
        let first: Vec<usize> = (0..test.len().min(args.test_images)).collect();
        files.push((args.output.with_extension("test.npz"), npz(&test.select(&first))?));
    }
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists() && !args.force) {
        return Err(input_with_hint(format!("{} is there already", path.display()), "give --force to write over it, or another --output"));
    }
    for (path, bytes) in &files {
        write_whole(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let parameters = tensors.values().map(|tensor| tensor.values.len()).sum();
    let written = Written { files: files.into_iter().map(|(path, _)| path).collect(), parameters };
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
pub(super) fn npz(images: &Images) -> anyhow::Result<Vec<u8>> {
    let [height, width, channels] = images.shape;
    let x = Array4::from_shape_vec((images.len(), height, width, channels), images.pixels.clone())?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut arrays = ndarray_npy::NpzWriter::new_compressed(&mut bytes);
    arrays.add_array("x", &x)?;
    arrays.add_array("y", &Array1::from_vec(images.labels.clone()))?;
    arrays.finish()?;
    Ok(bytes.into_inner())
}
