//! Transformers in the shapes of BERT and ViT blocks with random weights: their import against onnxruntime, their integers against the simulation on
//! codes, and what their widths cost.

use std::path::Path;
use std::process::Command;

use apq_lut::Candidate;
use apq_runtime::{Arithmetic, Model};
use apq_targets::Target;
use apq_tests::compiled::{Prepared, lowered, trace};
use apq_tests::layout::stored;
use apq_tests::{arena, python, random};
use apqc::evaluate::sqnr_db;
use apqc::float::{CodeSimulation, Executor, Simulation};
use apqc::network::Network;
use apqc::quant::ranges::RangeRule;
use serde_json::Value;

/// Inputs of each network.
const SAMPLES: usize = 8;

/// Largest difference to onnxruntime, relative to the largest output.
const TOLERANCE: f32 = 1e-3;

/// SQNR at the output that each width must reach, in dB.
const LEAST: [(&str, f64); 2] = [("w8a8", 20.0), ("w8a16", 35.0)];

#[test]
fn generated_transformers() {
    let Some(python) = python::available() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/networks_transformer.py");
    let output =
        Command::new(&python).arg(&script).arg(folder.path()).output().unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let networks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}"));
    assert!(networks.len() >= 4);
    for network in &networks {
        let text = |key: &str| network[key].as_str().unwrap_or_else(|| panic!("no {key}")).to_owned();
        let shape: Vec<usize> =
            network["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).map(|size| size as usize).collect();
        let model = std::fs::read(text("model")).unwrap_or_else(|error| panic!("{error}"));
        check(&python, &text("name"), &model, &shape);
    }
}

fn check(python: &Path, name: &str, model: &[u8], shape: &[usize]) {
    let network = Network::load(model, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
    let graph = &network.graph;
    let drawn = random::samples(name, shape.iter().product(), SAMPLES);
    let samples: Vec<Vec<f32>> = drawn.iter().map(|sample| stored(sample, shape, &graph.input_axes)).collect();
    let executor = Executor::new(graph);
    let float: Vec<Vec<f32>> = samples.iter().map(|sample| executor.run(&Simulation::float(graph), sample)).collect();
    let reference = network.reference().unwrap_or_else(|error| panic!("{name}: {error}"));
    for (index, answer) in python::onnxruntime_channel_last(python, model, graph, &samples).into_iter().enumerate() {
        let expected = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let tract = reference.run(&samples[index]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let largest = expected.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
        for (who, values) in [("imported", &float[index]), ("tract", &tract)] {
            let difference = values.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= TOLERANCE * largest, "{name} {who}: differs from onnxruntime by {difference} of {largest}");
        }
    }
    let target = Target::builtin("host").expect("a built-in target");
    for (candidate, least) in LEAST {
        let candidate: Candidate = candidate.parse().expect("a candidate");
        let prepared =
            Prepared::new(&network, &target, &[candidate], &samples, RangeRule::Mse).unwrap_or_else(|error| panic!("{name}: {error}"));
        let quantized = prepared.widest();
        let lowered = lowered(&quantized);
        let file = Model::new_checked(&lowered.file).unwrap_or_else(|error| panic!("{name}: {error}"));
        arena::check(&file).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let simulation = CodeSimulation::new(&quantized).expect("every tensor has a quantizer");
        let output = quantized.quantizer(graph.output).expect("the output has a quantizer");
        let real = |sample: &Vec<f32>| -> Vec<f32> {
            let codes = trace(&file, Arithmetic::Native, sample).nodes.pop().unwrap_or_default();
            codes.iter().map(|code| (code - output.zero_point) as f32 * output.scale).collect()
        };
        let integers: Vec<Vec<f32>> = samples.iter().map(real).collect();
        let simulated: Vec<Vec<f32>> = samples.iter().map(|sample| simulation.run(sample)).collect();
        let agreement = if simulated == integers { f64::INFINITY } else { sqnr_db(&simulated, &integers).unwrap_or(0.0) };
        let sqnr = sqnr_db(&float, &integers).unwrap_or(0.0);
        println!(
            "{name} {candidate}: {sqnr:.1} dB, integers against their simulation {agreement:.1} dB, {} groups",
            prepared.grouping.groups.len()
        );
        assert!(sqnr >= least, "{name} {candidate}: {sqnr:.1} dB");
        assert!(agreement >= 50.0, "{name} {candidate}: the integers are {agreement:.1} dB from their simulation");
    }
}
