//! Models that onnxruntime quantized: their scales, zero points and widths are taken as they are, and the integers are onnxruntime's own.

use std::path::Path;
use std::process::Command;

use apq_lut::Candidate;
use apq_runtime::{Arithmetic, Model};
use apq_targets::Target;
use apq_tests::compiled::{Prepared, lowered, tensor_codes, trace};
use apq_tests::layout::{onnx_shape, stored};
use apq_tests::python::{self, Run};
use apq_tests::random;
use apqc::network::Network;
use apqc::quant::ranges::RangeRule;
use serde_json::Value;

/// Inputs of each network.
const SAMPLES: usize = 6;

/// onnxruntime computes on real values and rounds ties to even, we on integers and round them up: a code may differ by one, and where sums of such
/// codes are normalised, by two.
const CODES_MAX: f32 = 2.0;

#[test]
fn onnxruntimes_quantized_models_give_its_codes() {
    let Some(python) = python::available() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/networks_quantized.py");
    let output =
        Command::new(&python).arg(&script).arg(folder.path()).output().unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let networks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}"));
    assert!(networks.len() >= 7);
    let mut wrong = Vec::new();
    for network in &networks {
        let text = |key: &str| network[key].as_str().unwrap_or_else(|| panic!("no {key}")).to_owned();
        let shape: Vec<usize> =
            network["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).map(|size| size as usize).collect();
        let model = std::fs::read(text("model")).unwrap_or_else(|error| panic!("{error}"));
        wrong.extend(compare(&python, &text("name"), model, shape));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(python: &Path, name: &str, model: Vec<u8>, shape: Vec<usize>) -> Vec<String> {
    let network = Network::load(&model, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
    let graph = &network.graph;
    assert!(graph.is_quantized(), "{name}");
    let samples: Vec<Vec<f32>> = random::samples(name, shape.iter().product(), SAMPLES);
    let ours: Vec<Vec<f32>> = samples.iter().map(|sample| stored(sample, &shape, &graph.input_axes)).collect();
    let candidates: Vec<Candidate> = ["w4a8", "w8a8", "w8a16"].map(|text| text.parse().expect("a candidate")).to_vec();
    let target = Target::builtin("host").expect("a built-in target");
    let prepared = Prepared::new(&network, &target, &candidates, &ours, RangeRule::Mse).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut wrong = Vec::new();
    for group in &prepared.grouping.groups {
        let given = group.tensors.iter().any(|tensor| prepared.grouping.given[tensor.0].is_some());
        if given && group.candidates.len() != 1 {
            wrong.push(format!("{name}: group {} has the candidates {:?}", group.name, group.candidates));
        }
    }
    let quantized = prepared.widest();
    let lowered = lowered(&quantized);
    let file = Model::new_checked(&lowered.file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let output = quantized.quantizer(graph.output).expect("the output has a quantizer");
    let runs: Vec<Run> = samples.iter().map(|sample| Run { model: model.clone(), input: sample.clone(), shape: shape.clone() }).collect();
    let expected_shape = onnx_shape(&graph.tensor(graph.output).shape, &graph.output_axes);
    let (mut worst, mut differing, mut elements) = (0.0f32, 0, 0);
    for (sample, answer) in ours.iter().zip(python::onnxruntime(python, &runs)) {
        let (values, answered) = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answered, expected_shape, "{name}");
        let run = trace(&file, Arithmetic::Native, sample);
        let codes = &tensor_codes(graph, &lowered, &run)[graph.output.0];
        let values = stored(&values, &answered, &graph.output_axes);
        for (code, value) in codes.iter().zip(&values) {
            let difference = ((code - output.zero_point) as f32 - value / output.scale).abs();
            worst = worst.max(difference);
            differing += usize::from(difference > 0.01);
            elements += 1;
        }
    }
    println!("{name}: {differing} of {elements} output codes differ from onnxruntime's, by at most {worst:.2} ({} bits)", output.bits);
    // A 16-bit code is a 256th of an 8-bit one, and inner 8-bit roundings pass on.
    let most = if output.bits == 16 { 8.0 * CODES_MAX } else { CODES_MAX };
    if worst > most + 0.01 {
        wrong.push(format!("{name}: an output code differs by {worst}"));
    }
    wrong
}
