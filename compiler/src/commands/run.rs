//! `apqc run`: the integer runtime on this machine.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apq_runtime::Arithmetic;
use apqc::data::write_npy;
use apqc::evaluate::{run_codes, run_integer};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::Context;
use super::failure::Exit;
use super::inputs;

/// Runs a compiled model on raw data and writes its outputs as an array `[N, ...]`, channel last.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The compiled model.
    #[arg(value_name = "MODEL.apq")]
    model: PathBuf,
    /// Raw samples, as `compile` takes them: .npz, .npy, an image or a folder of images.
    #[arg(long, value_name = "X")]
    input: PathBuf,
    /// Where the outputs go.
    #[arg(long, value_name = "Y.npy")]
    output: PathBuf,
    /// Write codes (u8, or i16 at 16 bits) instead of real values (f32).
    #[arg(long)]
    raw: bool,
    /// Samples run, at most [default: all].
    #[arg(long, value_name = "N", value_parser = super::choices::at_least_one)]
    samples: Option<usize>,
    /// Which kernels run; all give the same codes.
    #[arg(long, value_enum, default_value_t = Kernels::Native)]
    arithmetic: Kernels,
}

/// Kernels of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernels {
    /// The fast ones.
    Native,
    /// The obvious ones.
    Reference,
    /// The obvious ones, multiplying as BitFusion does.
    Bitfused,
}

impl From<Kernels> for Arithmetic {
    fn from(kernels: Kernels) -> Arithmetic {
        match kernels {
            Kernels::Native => Arithmetic::Native,
            Kernels::Reference => Arithmetic::Reference,
            Kernels::Bitfused => Arithmetic::BitFused,
        }
    }
}

/// The command.
pub(crate) fn run(context: &Context, args: &RunArgs) -> anyhow::Result<Exit> {
    let file = inputs::apq(&args.model)?;
    let model = inputs::checked(&args.model, &file)?;
    let (sample_shape, _) = inputs::apq_input(&model)?;
    let data = inputs::samples("input", &args.input, &sample_shape, args.samples.unwrap_or(usize::MAX))?.data;
    let port = model.output().context("the model has no output")?;
    let mut shape = vec![data.len()];
    shape.extend(port.tensor.shape.sizes().skip(1));
    let wide = port.tensor.bits.signed();

    let drawer = context.console.progress();
    drawer.start("run", data.len());
    let (arithmetic, step) = (args.arithmetic.into(), || drawer.advance());
    let start = std::time::Instant::now();
    let element = if args.raw {
        let codes = run_codes(&model, arithmetic, &data, step)?.concat();
        if wide {
            write(&args.output, &shape, &codes.iter().map(|code| *code as i16).collect::<Vec<_>>())?;
            "i16"
        } else {
            write(&args.output, &shape, &codes.iter().map(|code| *code as u8).collect::<Vec<_>>())?;
            "u8"
        }
    } else {
        write(&args.output, &shape, &run_integer(&model, arithmetic, &data, step)?.concat())?;
        "f32"
    };
    let seconds = start.elapsed().as_secs_f64();
    drawer.finish();
    let result = json!({
        "samples": data.len(),
        "shape": shape,
        "element_type": element,
        "output": args.output.display().to_string(),
        "scale": port.tensor.scale,
        "zero_point": port.tensor.zero_point,
        "seconds": seconds,
    });
    let text = || format!("{} samples in {seconds:.3} s; {element} {shape:?} in {}", data.len(), args.output.display());
    context.console.result(&result, text)?;
    Ok(Exit::Done)
}

/// Writes the array beside its place first, so that a failure leaves nothing half written. A link is followed; a device or pipe is written to.
fn write<T: ndarray_npy::WritableElement>(path: &Path, shape: &[usize], values: &[T]) -> anyhow::Result<()> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let path = target.as_path();
    if path.exists() && !path.is_file() {
        return Ok(write_npy(path, shape, values)?);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", path.display());
    let workshop = tempfile::Builder::new().prefix(".apqc-").tempdir_in(folder).with_context(cannot)?;
    let fresh = workshop.path().join("output.npy");
    write_npy(&fresh, shape, values)?;
    std::fs::rename(&fresh, path).with_context(cannot)
}
