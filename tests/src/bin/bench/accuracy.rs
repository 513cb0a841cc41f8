//! Float import, uniform and mixed precision through the integer runtime, and the integer runtime against simulation.

use std::path::Path;

use apq_runtime::{Arithmetic, Model};
use apq_search::{Budget, Quantity};
use apqc::compile::{Compiled, run_reference};
use apqc::evaluate::{quality, run_integer, sqnr_db, top1};
use apqc::float::Executor;
use apqc::graph::Graph;

use apq_tests::python::{Run, available, onnxruntime};

use crate::models::{Case, compiled, load, options};
use crate::table::Table;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// W8A8 on the full test set must reach this; what the vendors' own int8 files reach, where there is one.
const UNIFORM: [(&str, f64, &str); 4] =
    [("ResNet8", 0.876, "0.878"), ("DS-CNN", 0.913, "0.9126"), ("ResNet20", 0.910, "-"), ("MobileNetV2", 0.790, "0.797")];

/// Relative BOPs, the accuracy to reach under it, and what a float simulation reached.
const MIXED: [(&str, f64, f64, &str); 3] =
    [("ResNet8", 0.50, 0.878, "0.880"), ("ResNet8", 0.43, 0.870, "0.876"), ("MobileNetV2", 0.42, 0.780, "0.790")];

/// Prints the tables; returns how many figures are not reached.
pub(crate) fn run(data: &Path, names: &[&str]) -> usize {
    let mut table = Table::new("Accuracy through the integer runtime, 256 calibration samples, full test sets");
    for name in names {
        if let Err(error) = model(data, name, &mut table) {
            table.row(*name, format!("failed: {error}"), "runs", "", Some(false));
        }
    }
    table.print()
}

fn model(data: &Path, name: &str, table: &mut Table) -> Result<()> {
    let case = load(data, name)?;
    import(&case, table)?;
    let float = run_reference(&case.network, &case.test, &case.preprocess, || {})?;
    let float_accuracy = quality(&float, case.test.labels(), None).accuracy_top1.unwrap_or(0.0);
    table.row(format!("{name} float"), format!("{float_accuracy:.4}"), "", "", None);
    let uniform = compiled(&case, &case.calibration, "host", &options("w8a8", Vec::new()))?;
    let uniform_outputs = outputs(&case, &uniform)?;
    for (_, reach, vendor) in UNIFORM.iter().filter(|row| row.0 == name) {
        let accuracy = accuracy(&case, &uniform_outputs);
        table.row(
            format!("{name} W8A8"),
            with_interval(accuracy, &case, &uniform_outputs, &float),
            format!(">= {reach}"),
            *vendor,
            Some(accuracy >= *reach),
        );
    }
    sizes(name, "W8A8", &case, &uniform, table);
    simulation(name, "W8A8", &case, &uniform, &uniform_outputs, table)?;
    for (_, r, reach, simulated) in MIXED.iter().filter(|row| row.0 == name) {
        let limit = (r * 128.0 * case.network.macs as f64) as u64;
        let mixed =
            compiled(&case, &case.calibration, "host", &options("w4a8,w8a8,w8a16", vec![Budget { quantity: Quantity::Bops, limit }]))?;
        let mixed_outputs = outputs(&case, &mixed)?;
        let accuracy = accuracy(&case, &mixed_outputs);
        let reached = mixed.totals.bops as f64 / (128.0 * case.network.macs as f64);
        let what = format!("{name} W4A8/W8A8/W8A16, r = {reached:.4}");
        table.row(
            what,
            with_interval(accuracy, &case, &mixed_outputs, &float),
            format!(">= {reach} at r <= {r}"),
            *simulated,
            Some(mixed.feasible && accuracy >= *reach),
        );
        simulation(name, "mixed", &case, &mixed, &mixed_outputs, table)?;
        sizes(name, "mixed", &case, &mixed, table);
    }
    if name == "MobileNetV2" {
        let candidates = "w4a4,w4a6,w4a8,w6a6,w6a8,w8a8";
        let fast = compiled(
            &case,
            &case.calibration,
            "bitfusion",
            &options(candidates, vec![Budget { quantity: Quantity::Latency, limit: 9_000_000 }]),
        )?;
        let fast_outputs = outputs(&case, &fast)?;
        let loss = accuracy(&case, &uniform_outputs) - accuracy(&case, &fast_outputs);
        let latency_ms = fast.totals.latency_ns.unwrap_or(u64::MAX) as f64 / 1e6;
        table.row(
            "MobileNetV2 --latency 9ms on bitfusion",
            format!("{latency_ms:.3} ms, {:+.4} against W8A8", -loss),
            "met, within 0.005",
            "",
            Some(fast.feasible && loss <= 0.005 + 1e-9),
        );
    }
    threads(name, &case, table)
}

/// Our executor and tract against onnxruntime, where Python has it.
fn import(case: &Case, table: &mut Table) -> Result<()> {
    let executor = Executor::new(&case.network.graph);
    let float = apqc::float::Simulation::float(&case.network.graph);
    let samples: Vec<Vec<f32>> = (0..8).map(|index| case.test.to_f32(index, &case.preprocess)).collect();
    let ours: Vec<Vec<f32>> = samples.iter().map(|sample| executor.run(&float, sample)).collect();
    let Some(python) = available() else {
        table.row(format!("{} import", case.name), "not compared: no onnxruntime", "<= 1e-3", "onnxruntime", None);
        return Ok(());
    };
    let model = std::fs::read(&case.onnx)?;
    let graph = &case.network.graph;
    let runs: Vec<Run> = samples.iter().map(|sample| onnx_input(graph, model.clone(), sample)).collect();
    let mut difference: f32 = 0.0;
    for (answer, ours) in onnxruntime(&python, &runs).into_iter().zip(&ours) {
        // The outputs are vectors: one order. A softmax that the graph leaves out is left out of the comparison by taking logarithms up to a constant.
        let reference = answer?.0;
        let ours = if graph.softmax_dropped { log_softmax(ours) } else { ours.clone() };
        let reference: Vec<f32> =
            if graph.softmax_dropped { reference.iter().map(|p| p.max(f32::MIN_POSITIVE).ln()).collect() } else { reference };
        let shown = |log: f32| !graph.softmax_dropped || log > -20.0;
        difference = ours.iter().zip(&reference).filter(|(_, r)| shown(**r)).map(|(a, b)| (a - b).abs()).fold(difference, f32::max);
    }
    table.row(
        format!("{} import, largest difference at the logits", case.name),
        format!("{difference:.1e}"),
        "<= 1e-3",
        "onnxruntime",
        Some(difference <= 1e-3),
    );
    Ok(())
}

fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|v| (v - max).exp()).sum();
    logits.iter().map(|v| v - max - sum.ln()).collect()
}

/// A sample in ONNX order.
fn onnx_input(graph: &Graph, model: Vec<u8>, sample: &[f32]) -> Run {
    let stored = &graph.tensor(graph.input).shape;
    let shape: Vec<usize> = graph.input_axes.iter().map(|axis| stored[*axis]).collect();
    let stride = |axis: usize| stored[axis + 1..].iter().product::<usize>();
    let mut places = vec![0];
    for axis in &graph.input_axes {
        places = places.iter().flat_map(|place| (0..stored[*axis]).map(move |i| place + i * stride(*axis))).collect();
    }
    Run { model, input: places.into_iter().map(|place| sample[place]).collect(), shape }
}

fn outputs(case: &Case, compiled: &Compiled) -> Result<Vec<Vec<f32>>> {
    let model = Model::new_checked(&compiled.lowered.file).map_err(|error| error.to_string())?;
    Ok(run_integer(&model, Arithmetic::Native, &case.test, || {})?)
}

fn accuracy(case: &Case, outputs: &[Vec<f32>]) -> f64 {
    quality(outputs, case.test.labels(), None).accuracy_top1.unwrap_or(0.0)
}

/// The accuracy with the 95 % interval of its paired difference to the float network.
fn with_interval(accuracy: f64, case: &Case, outputs: &[Vec<f32>], float: &[Vec<f32>]) -> String {
    let labels = case.test.labels().unwrap_or_default();
    let right = |values: &[f32], label: &u32| f64::from(u8::from(top1(values) == *label as usize));
    let differences: Vec<f64> = outputs.iter().zip(float).zip(labels).map(|((q, f), label)| right(q, label) - right(f, label)).collect();
    let count = differences.len().max(1) as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / count;
    format!("{accuracy:.4} (float {mean:+.4} +- {:.4})", 1.96 * (variance / count).sqrt())
}

fn sizes(name: &str, what: &str, case: &Case, compiled: &Compiled, table: &mut Table) {
    let channels: usize = case.network.graph.nodes.iter().filter_map(|node| node.op.weights()).map(|weights| weights.outputs()).sum();
    let payload = compiled.lowered.weights_bytes + 9 * channels;
    let limit = payload + 4096 + payload * 3 / 100;
    let size = compiled.lowered.file.len();
    table.row(
        format!("{name} {what} .apq, bytes"),
        size.to_string(),
        format!("<= {limit}"),
        format!("{payload} payload"),
        Some(size <= limit),
    );
}

/// The integer runtime against the same network with simulated quantizers.
fn simulation(name: &str, what: &str, case: &Case, compiled: &Compiled, integer: &[Vec<f32>], table: &mut Table) -> Result<()> {
    use rayon::prelude::*;
    let simulated: Vec<Vec<f32>> =
        (0..case.test.len()).into_par_iter().map(|index| compiled.simulation.run(&case.test.to_f32(index, &case.preprocess))).collect();
    let agreement = quality(integer, None, Some(&simulated)).agreement.unwrap_or(0.0);
    let sqnr = sqnr_db(&simulated, integer).unwrap_or(f64::NEG_INFINITY);
    let met = agreement >= 0.99 && sqnr >= 35.0;
    table.row(
        format!("{name} {what}, integers against simulation"),
        format!("{agreement:.4} same top-1, {sqnr:.1} dB"),
        ">= 0.99, >= 35 dB",
        "",
        Some(met),
    );
    Ok(())
}

/// The same file at one and at two threads, on a part of the calibration data.
fn threads(name: &str, case: &Case, table: &mut Table) -> Result<()> {
    let options = options("w4a8,w8a8", vec![Budget { quantity: Quantity::Bops, limit: (0.4 * 128.0 * case.network.macs as f64) as u64 }]);
    let few = case.calibration.clone().take(16);
    let file = |threads: usize| -> Result<Vec<u8>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        Ok(pool.install(|| {
            compiled(case, &few, "host", &options).map(|compiled| compiled.lowered.file.to_vec()).map_err(|error| error.to_string())
        })?)
    };
    let same = file(1)? == file(2)? && file(2)? == file(2)?;
    table.row(format!("{name} at 1 and 2 threads, and twice"), if same { "same bytes" } else { "differ" }, "same bytes", "", Some(same));
    Ok(())
}
