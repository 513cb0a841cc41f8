//! The good files, and their making.
//!
//! Compiled models are made from the ONNX files by the tool: `apqc compile NET.onnx --target host --calib normal:0,1`,
//! with `--candidates w8a8` and `w4a4,w2a2`.

use std::fs;
use std::path::Path;

use apq_examples::onnx::supernet::{self, Tensor, tensor_shapes};
use apq_examples::onnx::{Dim, GraphBuilder};
use apq_lut::{Candidate, Table};
use apq_search::space::{Encoding, Space, Stage, Stem};
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
    let space = small_space();
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = weights(shape.iter().product()).into_iter().map(f32::abs).collect();
        (name, Tensor { shape, values })
    };
    let tensors = tensor_shapes(&space).into_iter().map(tensor).collect();
    files.push(("supernet/small.onnx".into(), supernet::write(&space, &tensors).map_err(|error| error.to_string())?));
    files.push(("predictor/small.safetensors".into(), predictor(&space)?));
    for (name, bytes) in files {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
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

/// The search space of the supernet and the predictor.
pub(crate) fn small_space() -> Space {
    let pair = Candidate { weight_bits: 4, activation_bits: 8 };
    let stage = |channels, depths: &[u8]| Stage { channels, stride: 1, depths: depths.to_vec() };
    Space {
        name: "small".into(),
        input: [6, 6, 1],
        classes: 2,
        stem: Stem { channels: 2, kernel: 3, stride: 2 },
        first: Some(2),
        stages: vec![stage(2, &[1, 2]), stage(3, &[1])],
        head: 3,
        kernels: vec![3, 5],
        expansion: [1, 2],
        channel_step: 1,
        candidates: vec![pair],
        fixed: pair,
    }
}

/// A predictor with layers of two, as safetensors: the length of the header, the header, the values.
fn predictor(space: &Space) -> Result<Vec<u8>, Failure> {
    let dimensions = Encoding::new(space).map_err(|error| error.to_string())?.dimensions();
    let facts = format!(r#"{{\"version\":1,\"space\":\"{}\",\"mean\":0.5,\"std\":0.1}}"#, space.fingerprint_text());
    let mut header = format!(r#"{{"__metadata__":{{"apq.predictor":"{facts}"}}"#);
    let mut values: Vec<f32> = Vec::new();
    let shapes: [(&str, &[usize]); 8] = [
        ("layers.0.weight", &[dimensions, 2]),
        ("layers.0.bias", &[2]),
        ("layers.1.weight", &[2, 2]),
        ("layers.1.bias", &[2]),
        ("layers.2.weight", &[2, 2]),
        ("layers.2.bias", &[2]),
        ("output.weight", &[2]),
        ("output.bias", &[1]),
    ];
    for (name, shape) in shapes {
        let begin = 4 * values.len();
        values.extend(weights(shape.iter().product()));
        header += &format!(r#","{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{}]}}"#, 4 * values.len());
    }
    header.push('}');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    Ok(bytes)
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
