//! `apqc eval`: what a model is worth on data.

use std::path::PathBuf;
use std::time::Instant;

use apq_runtime::Arithmetic;
use apqc::compile::run_reference;
use apqc::data::{Dataset, Preprocess};
use apqc::evaluate::{Quality, quality, run_integer};
use clap::Args;
use serde::Serialize;

use super::failure::{Exit, input};
use super::run::Kernels;
use super::{Context, inputs};
use crate::report::tables;

/// Accuracy of a compiled or a float model; with --float also SQNR and agreement.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The model: compiled, or ONNX in floats.
    #[arg(value_name = "MODEL.apq|MODEL.onnx")]
    model: PathBuf,
    /// Labelled samples: .npz or a folder of images with labels.csv.
    #[arg(long, value_name = "D")]
    data: PathBuf,
    /// Float model to compare with; it gets the same preprocessing.
    #[arg(long, value_name = "MODEL.onnx")]
    float: Option<PathBuf>,
    /// Samples used, at most [default: all].
    #[arg(long, value_name = "N", value_parser = super::choices::at_least_one)]
    samples: Option<usize>,
    /// Mean and standard deviation of the input of an ONNX model [default: MODEL.json]; a compiled model has its own.
    #[arg(long, value_name = "FILE.json")]
    preprocess: Option<PathBuf>,
    /// Which kernels run a compiled model; all give the same codes [default: native].
    #[arg(long, value_enum)]
    arithmetic: Option<Kernels>,
}

/// Accuracies and agreement are fractions.
#[derive(Debug, Serialize)]
struct EvalReport {
    samples: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_top1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_top5: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqnr_db: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<f64>,
    seconds: f64,
}

/// The command.
pub(crate) fn eval(context: &Context, args: &EvalArgs) -> anyhow::Result<Exit> {
    let limit = args.samples.unwrap_or(usize::MAX);
    let bytes = inputs::read(&args.model)?;
    let drawer = context.console.progress();
    let begin = |data: &Dataset| drawer.start("evaluate", data.len());
    let (outputs, data, preprocess, seconds) = if inputs::is_apq(&args.model, &bytes) {
        if args.preprocess.is_some() {
            return Err(input("--preprocess is for ONNX models: a compiled model has its own preprocessing"));
        }
        let file = apq_runtime::build::AlignedBytes::from(&*bytes);
        let model = inputs::checked(&args.model, &file)?;
        let (sample_shape, preprocess) = inputs::apq_input(&model)?;
        let data = inputs::samples("data", &args.data, &sample_shape, limit)?.data;
        begin(&data);
        let start = Instant::now();
        let arithmetic: Arithmetic = args.arithmetic.unwrap_or(Kernels::Native).into();
        let outputs = run_integer(&model, arithmetic, &data, || drawer.advance())?;
        (outputs, data, preprocess, start.elapsed())
    } else {
        if args.arithmetic.is_some() {
            return Err(input("--arithmetic is for compiled models: an ONNX model runs in floats"));
        }
        let network = inputs::onnx(&args.model)?.network;
        let channels = network.graph.tensor(network.graph.input).channels();
        let (preprocess, _) = inputs::preprocess(args.preprocess.as_deref(), &args.model, channels)?;
        let data = inputs::samples("data", &args.data, network.sample_shape(), limit)?.data;
        begin(&data);
        let start = Instant::now();
        let outputs = run_reference(&network, &data, &preprocess, || drawer.advance())?;
        (outputs, data, preprocess, start.elapsed())
    };
    if data.labels().is_none() && args.float.is_none() {
        let from = data.source();
        return Err(input(format!("{from} has no labels (array `y`, or labels.csv), and there is no --float MODEL.onnx to compare with")));
    }
    let reference = match &args.float {
        Some(path) => Some(float_outputs(path, &data, &preprocess, outputs.first().map_or(0, Vec::len))?),
        None => None,
    };
    drawer.finish();
    let classes = outputs.first().map_or(0, Vec::len);
    if let Some(label) = data.labels().and_then(|labels| labels.iter().find(|label| **label as usize >= classes)) {
        return Err(input(format!("{} has label {label}, the model has {classes} classes", data.source())));
    }
    let Quality { samples, accuracy_top1, accuracy_top5, sqnr_db, agreement } = quality(&outputs, data.labels(), reference.as_deref());
    let report = EvalReport { samples, accuracy_top1, accuracy_top5, sqnr_db, agreement, seconds: seconds.as_secs_f64() };
    context.console.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

fn float_outputs(path: &std::path::Path, data: &Dataset, preprocess: &Preprocess, outputs: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let network = inputs::onnx(path)?.network;
    if network.sample_shape() != data.sample_shape() {
        return Err(input(format!(
            "{} takes samples of shape {:?}, the evaluated model {:?}",
            path.display(),
            network.sample_shape(),
            data.sample_shape()
        )));
    }
    let own = network.graph.tensor(network.graph.output).len();
    if own != outputs {
        return Err(input(format!("{} has {own} outputs, the evaluated model {outputs}", path.display())));
    }
    Ok(run_reference(&network, data, preprocess, || ())?)
}

fn text(report: &EvalReport) -> String {
    let mut rows = tables::table(&["", &format!("{} samples", report.samples)], 1);
    if report.accuracy_top1.is_some() {
        rows.add_row(["accuracy".to_string(), tables::percent(report.accuracy_top1)]);
    }
    if report.accuracy_top5.is_some() {
        rows.add_row(["accuracy, top 5".to_string(), tables::percent(report.accuracy_top5)]);
    }
    if let Some(sqnr_db) = report.sqnr_db {
        rows.add_row(["SQNR against float".to_string(), format!("{sqnr_db:.2} dB")]);
    }
    if report.agreement.is_some() {
        rows.add_row(["agreement with float".to_string(), tables::percent(report.agreement)]);
    }
    rows.add_row(["time".to_string(), format!("{:.3} s", report.seconds)]);
    rows.to_string()
}
