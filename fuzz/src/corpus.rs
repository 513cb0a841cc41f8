//! The good files, and their making.
//!
//! Compiled models are made from the ONNX files by the tool: `apqc compile NET.onnx --target host --calib normal:0,1`,
//! with `--candidates w8a8` and `w4a4,w2a2`.

use std::fs;
use std::path::Path;

use apq_examples::onnx::{Dim, GraphBuilder};
use apq_lut::{Candidate, Table};
use apq_targets::{BitFusion, Target};

use crate::Failure;

/// The files of a folder, in the order of their names.
pub(crate) fn read(folder: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut paths: Vec<_> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect()).map_err(cannot)?;
    paths.sort();
    let files = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>().map_err(cannot)?;
    if files.is_empty() { Err(format!("{} is empty", folder.display())) } else { Ok(files) }
}

/// Writes the files that this repository's own writers make.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    let mut files: Vec<(String, Vec<u8>)> =
        vec![("onnx/plain.onnx".into(), plain()), ("onnx/branches.onnx".into(), branches()), ("onnx/layout.onnx".into(), layout())];
    for name in Target::builtin_names() {
        let target = Target::builtin(name).map_err(|error| error.to_string())?;
        files.push((format!("target/{name}.toml"), target.to_toml().map_err(|error| error.to_string())?.into_bytes()));
    }
    let widths =
        "[groups.\"first\"]\nweight_bits = 4\nactivation_bits = 8\n\n[groups.\"classifier\"]\nweight_bits = 8\nactivation_bits = 16\n";
    files.push(("assignment/two-groups.toml".into(), widths.into()));
    let bits = Candidate::new(4, 8).ok_or("w4a8 is a candidate")?;
    let keys = [
        apq_lut::LayerKey::fully_connected(1, 16, 4, bits),
        apq_lut::LayerKey::depthwise([8, 8], 8, [3, 3], [1, 1], [1; 4], bits).map_err(|error| error.to_string())?,
        apq_lut::LayerKey::plain(apq_lut::Operator::Add, [8, 8], 8, bits),
    ];
    let table = Table::from_model(&BitFusion, &keys).map_err(|error| error.to_string())?;
    files.push(("lut/ours.json".into(), table.to_json().map_err(|error| error.to_string())?.into_bytes()));
    let published = r#"{"(16, 32, 8, 3, 1, 1, 1)-W4A8": {"latency": 0.5, "energy": 0.25}, "tail": {"latency": 1.0, "energy": 2.0}}"#;
    files.push(("lut/published.json".into(), published.into()));
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Weights that look random.
fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7919 + 13) % 101) as f32 / 101.0 - 0.5).collect()
}

fn start(side: usize) -> GraphBuilder {
    let mut graph = GraphBuilder::new(13);
    graph.input("x", &[Dim::Symbol("N"), 3.into(), side.into(), side.into()]);
    graph
}

/// Convolutions and a classifier.
fn plain() -> Vec<u8> {
    let mut graph = start(8);
    graph
        .initializer("w1", &[8, 3, 3, 3], &weights(216))
        .initializer("w2", &[8, 1, 3, 3], &weights(72))
        .initializer("w3", &[4, 8], &weights(32))
        .initializer("b3", &[4], &weights(4))
        .node("Conv", "first", &["x", "w1"], &["c1"], &[("pads", [1, 1, 1, 1].into()), ("strides", [2, 2].into())])
        .node("Relu", "relu", &["c1"], &["r1"], &[])
        .node("Conv", "depthwise", &["r1", "w2"], &["c2"], &[("pads", [1, 1, 1, 1].into()), ("group", 8.into())])
        .node("GlobalAveragePool", "pool", &["c2"], &["p"], &[])
        .node("Flatten", "flatten", &["p"], &["f"], &[])
        .node("Gemm", "classifier", &["f", "w3", "b3"], &["y"], &[("transB", 1.into())])
        .output("y", &[Dim::Symbol("N"), 4.into()]);
    graph.to_bytes()
}

/// Sum and concatenation of branches.
fn branches() -> Vec<u8> {
    let mut graph = start(6);
    graph
        .initializer("w1", &[4, 3, 1, 1], &weights(12))
        .initializer("w2", &[4, 3, 3, 3], &weights(108))
        .node("Conv", "left", &["x", "w1"], &["a"], &[])
        .node("Conv", "right", &["x", "w2"], &["b"], &[("pads", [1, 1, 1, 1].into())])
        .node("Add", "sum", &["a", "b"], &["s"], &[])
        .node("Relu", "relu", &["s"], &["m"], &[])
        .node("Concat", "concat", &["s", "m"], &["c"], &[("axis", 1.into())])
        .node("MaxPool", "max", &["c"], &["y"], &[("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())])
        .output("y", &[Dim::Symbol("N"), 8.into(), 3.into(), 3.into()]);
    graph.to_bytes()
}

/// Operators that move codes.
fn layout() -> Vec<u8> {
    let mut graph = start(4);
    graph
        .initializer("w1", &[4, 3, 1, 1], &weights(12))
        .initializer("w2", &[16, 3], &weights(48))
        .initializer_i64("shape", &[3], &[0, 4, 16])
        .node("Conv", "first", &["x", "w1"], &["a"], &[])
        .node("AveragePool", "average", &["a"], &["v"], &[("kernel_shape", [3, 3].into()), ("pads", [1, 1, 1, 1].into())])
        .node("Reshape", "reshape", &["v", "shape"], &["r"], &[])
        .node("MatMul", "last", &["r", "w2"], &["y"], &[])
        .output_of_any_shape("y");
    graph.to_bytes()
}
