//! onnxruntime as the reference, in one Python process for many models.

use std::path::{Path, PathBuf};
use std::process::Command;

use apqc::graph::Graph;
use serde_json::{Value, json};

use crate::layout;

/// One model and one input.
pub struct Run {
    /// The ONNX file.
    pub model: Vec<u8>,
    /// Values in ONNX order.
    pub input: Vec<f32>,
    /// Shape in ONNX order.
    pub shape: Vec<usize>,
}

/// What onnxruntime says: values and shape in ONNX order, or its error.
pub type Answer = Result<(Vec<f32>, Vec<usize>), String>;

/// The interpreter: `APQ_PYTHON`, or that of the environment which `cargo xtask setup` makes in `target/venv`.
fn interpreter() -> PathBuf {
    match std::env::var_os("APQ_PYTHON") {
        Some(python) => python.into(),
        None => {
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
            target.join("venv/bin/python")
        }
    }
}

/// The interpreter where it has onnxruntime. Where it has not, prints why the test is skipped; with `CI=true` that fails.
pub fn available() -> Option<PathBuf> {
    let python = interpreter();
    let found = Command::new(&python).args(["-c", "import numpy, onnx, onnxruntime"]).output();
    let reason = match found {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("no onnxruntime with {} ({reason}); run `cargo xtask setup` or set APQ_PYTHON", python.display());
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
    println!("skipped: {message}");
    None
}

/// Runs every model on its input. The script is `tests/python/onnx_reference.py`.
pub fn onnxruntime(python: &Path, runs: &[Run]) -> Vec<Answer> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |index: usize, ending: &str| folder.path().join(format!("{index}.{ending}"));
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut list = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let bytes: Vec<u8> = run.input.iter().flat_map(|value| value.to_le_bytes()).collect();
        write(&file(index, "onnx"), &run.model);
        write(&file(index, "in"), &bytes);
        list.push(json!({ "model": file(index, "onnx"), "input": file(index, "in"), "shape": run.shape, "output": file(index, "out") }));
    }
    let manifest = folder.path().join("runs.json");
    write(&manifest, Value::from(list).to_string().as_bytes());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/onnx_reference.py");
    let output = Command::new(python)
        .arg(&script)
        .arg("--batch")
        .arg(&manifest)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert_eq!(answers.len(), runs.len(), "{} answered for another number of models", script.display());
    answers.iter().enumerate().map(|(index, answer)| read(answer, &file(index, "out"))).collect()
}

/// One model over samples that are stored as `graph`, its import, stores its input; outputs as it stores its output.
pub fn onnxruntime_channel_last(python: &Path, model: &[u8], graph: &Graph, samples: &[Vec<f32>]) -> Vec<Result<Vec<f32>, String>> {
    let shape = layout::onnx_shape(&graph.tensor(graph.input).shape, &graph.input_axes);
    let run = |sample: &Vec<f32>| Run {
        model: model.to_vec(),
        input: layout::in_onnx_order(sample, &shape, &graph.input_axes),
        shape: shape.clone(),
    };
    let runs: Vec<Run> = samples.iter().map(run).collect();
    let expected = layout::onnx_shape(&graph.tensor(graph.output).shape, &graph.output_axes);
    let arrange = |answer: Answer| {
        let (values, shape) = answer?;
        if shape != expected {
            return Err(format!("output of shape {shape:?}, ours has {expected:?}"));
        }
        Ok(layout::stored(&values, &shape, &graph.output_axes))
    };
    onnxruntime(python, &runs).into_iter().map(arrange).collect()
}

fn read(answer: &Value, path: &Path) -> Answer {
    if let Some(error) = answer["error"].as_str() {
        return Err(error.into());
    }
    let shape = answer["shape"].as_array().map(|shape| shape.iter().filter_map(Value::as_u64).map(|size| size as usize).collect());
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let (values, _) = bytes.as_chunks::<4>();
    Ok((values.iter().map(|value| f32::from_le_bytes(*value)).collect(), shape.ok_or("no shape")?))
}
