//! Models that onnxruntime quantized: their scales, zero points and widths are taken as they are, and the integers are onnxruntime's own.

use std::path::Path;
use std::process::Command;

use apq_examples::onnx::{Dim, GraphBuilder, Tensor};
use apq_lut::Candidate;
use apq_runtime::{Arithmetic, Model};
use apq_targets::Target;
use apq_tests::compiled::{Prepared, lowered, tensor_codes, trace};
use apq_tests::layout::{onnx_shape, stored};
use apq_tests::python::{self, Run};
use apq_tests::random;
use apqc::graph::Graph;
use apqc::import::ImportError;
use apqc::network::{Network, NetworkError};
use apqc::quant::bank::QuantizedWeights;
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
    assert!(networks.len() >= 11);
    let mut wrong = Vec::new();
    for network in &networks {
        let text = |key: &str| network[key].as_str().unwrap_or_else(|| panic!("no {key}")).to_owned();
        let shape: Vec<usize> =
            network["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).map(|size| size as usize).collect();
        let model = std::fs::read(text("model")).unwrap_or_else(|error| panic!("{error}"));
        let layers = network["layers"].as_u64().unwrap_or_else(|| panic!("no layers"));
        wrong.extend(compare(&python, &text("name"), model, shape, layers as usize));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(python: &Path, name: &str, model: Vec<u8>, shape: Vec<usize>, layers: usize) -> Vec<String> {
    let network = Network::load(&model, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
    let graph = &network.graph;
    assert!(graph.is_quantized(), "{name}");
    let samples: Vec<Vec<f32>> = random::samples(name, shape.iter().product(), SAMPLES);
    let ours: Vec<Vec<f32>> = samples.iter().map(|sample| stored(sample, &shape, &graph.input_axes)).collect();
    let candidates: Vec<Candidate> = ["w4a8", "w8a8", "w8a16"].map(|text| text.parse().expect("a candidate")).to_vec();
    let target = Target::builtin("host").expect("a built-in target");
    let prepared = Prepared::new(&network, &target, &candidates, &ours, RangeRule::Mse).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut wrong = untaken(name, graph, layers);
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

/// Layers whose weights are not the model's own codes.
fn untaken(name: &str, graph: &Graph, layers: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    if graph.given_weights.len() != layers {
        wrong.push(format!("{name}: {} layers of {layers} have the model's codes", graph.given_weights.len()));
    }
    for (node, given) in &graph.given_weights {
        let weights = graph.nodes.iter().find(|other| other.name == *node).and_then(|node| node.op.weights());
        let weights = weights.unwrap_or_else(|| panic!("{name}: there is no layer {node}"));
        let codes = QuantizedWeights::at(&weights.values, weights.row_len(), given.bits, &given.scales);
        if given.scales.len() != weights.outputs() || codes.values()[..] != weights.values[..] {
            wrong.push(format!("{name}: {node} has weights between the model's codes"));
        }
    }
    wrong
}

/// Two convolutions of quantized weights that read one quantized value, and their sum.
fn beside() -> Vec<u8> {
    let mut net = GraphBuilder::new(13);
    net.input("input", &[1, 2, 4, 4].map(Dim::Fixed));
    net.initializer("scale", &[], &[0.05]).initializer_of("middle", Tensor::u8(&[], &[128])).initializer_of("zero", Tensor::i8(&[], &[0]));
    let pair = |net: &mut GraphBuilder, value: &str| {
        let (codes, real) = (format!("{value}.codes"), format!("{value}.real"));
        net.node("QuantizeLinear", &codes, &[value, "scale", "middle"], &[&codes], &[]);
        net.node("DequantizeLinear", &real, &[&codes, "scale", "middle"], &[&real], &[]);
        real
    };
    let input = pair(&mut net, "input");
    let sides = ["left", "right"].map(|side| {
        let (codes, weights) = (format!("{side}.weights.codes"), format!("{side}.weights"));
        net.initializer_of(&codes, Tensor::i8(&[2, 2, 1, 1], &[127, -128, 5, -3]));
        net.node("DequantizeLinear", &weights, &[&codes, "scale", "zero"], &[&weights], &[]);
        net.node("Conv", side, &[&input, &weights], &[side], &[]);
        pair(&mut net, side)
    });
    net.node("Add", "sum", &[&sides[0], &sides[1]], &["sum"], &[]);
    let output = pair(&mut net, "sum");
    net.output_of_any_shape(&output);
    net.to_bytes()
}

#[test]
fn a_group_to_which_the_model_gives_two_widths_is_refused() {
    let target = Target::builtin("host").expect("a built-in target");
    let candidates: Vec<Candidate> = ["w4a8", "w8a8", "w8a16"].map(|text| text.parse().expect("a candidate")).to_vec();
    let load = || Network::load(&beside(), "beside", None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
    let refusal = |network: &Network| match network.group(&target, &candidates) {
        Err(NetworkError::Import(ImportError::UnsupportedModel(message))) => message,
        other => panic!("{:?}", other.map(|grouping| grouping.groups)),
    };
    let mut network = load();
    assert_eq!(untaken("beside", &network.graph, 2), Vec::<String>::new());
    assert!(network.group(&target, &candidates).is_ok());
    network.graph.given_weights.get_mut("right").expect("given weights").bits = 4;
    let message = refusal(&network);
    for said in ["group \"left\"", "weights of nodes \"left\" to 8 bits", "\"right\" to 4"] {
        assert!(message.contains(said), "{message}");
    }
    let mut network = load();
    let right = network.graph.tensors.iter_mut().find(|tensor| tensor.name == "right").expect("the tensor");
    right.quantizer.as_mut().expect("a quantizer").bits = 16;
    let message = refusal(&network);
    for said in ["group \"sum\"", "values \"left\" to 8 bits", "\"right\" to 16"] {
        assert!(message.contains(said), "{message}");
    }
}
