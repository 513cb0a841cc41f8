//! Small networks in the shapes of well-known vision networks, written by `tests/python/networks_vision.py`: import against onnxruntime, integers
//! against the simulation on codes and against the float network.

use std::path::Path;
use std::process::Command;

use apq_runtime::build::AlignedBytes;
use apq_runtime::{Arithmetic, Model, Session};
use apq_targets::Target;
use apq_tests::compiled::{Prepared, lowered};
use apq_tests::{python, random};
use apqc::evaluate::sqnr_db;
use apqc::float::{CodeSimulation, Executor, Simulation};
use apqc::graph::{Graph, Op};
use apqc::network::Network;
use apqc::quant::ranges::RangeRule;
use rayon::prelude::*;

/// Samples for calibration, and samples that are compared.
const SAMPLES: (usize, usize) = (8, 4);

/// Largest difference to onnxruntime, relative to the largest output.
const TOLERANCE: f32 = 1e-3;

/// One network and what it must reach.
struct Expected {
    name: &'static str,
    /// Operators that the simplified graph must have.
    operators: &'static [&'static str],
    /// SQNR of the integers at W8A8 and W8A16 against the float network, in dB.
    to_float_db: [f64; 2],
}

const NETWORKS: [Expected; 5] = [
    Expected { name: "mobilenet_v3_small", operators: &["table", "mul", "depthwise", "average_pool", "add"], to_float_db: [13.5, 20.0] },
    Expected { name: "mobilenet_v3_older", operators: &["table", "mul", "depthwise", "average_pool", "add"], to_float_db: [21.0, 34.0] },
    Expected { name: "efficientnet_b0", operators: &["table", "mul", "depthwise", "average_pool", "add"], to_float_db: [12.0, 16.0] },
    Expected { name: "deeplab_v3", operators: &["resize", "concat", "max_pool", "average_pool", "add"], to_float_db: [31.0, 34.0] },
    Expected { name: "u_net", operators: &["resize", "prelu", "slice", "table", "mul", "transpose", "concat"], to_float_db: [27.0, 33.0] },
];

/// Writes the networks into a folder.
fn write(python: &Path, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/networks_vision.py");
    let output = Command::new(python).arg(&script).arg("--out").arg(folder).output().unwrap_or_else(|error| panic!("{error}"));
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
}

fn load(folder: &Path, name: &str) -> (Vec<u8>, Network) {
    let path = folder.join(format!("{name}.onnx"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let network = Network::load(&bytes, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
    (bytes, network)
}

/// Outputs of the integer runtime.
fn run_integers(file: &[u8], samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let model = Model::new_checked(file).unwrap_or_else(|error| panic!("{error}"));
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::with_arithmetic(&model, &mut arena, Arithmetic::Native).unwrap_or_else(|error| panic!("{error}"));
    let mut run = |sample: &Vec<f32>| {
        session.write_input_f32(sample).unwrap_or_else(|error| panic!("{error}"));
        session.run(&mut ());
        let mut output = vec![0.0; session.output().shape.elements()];
        session.read_output_f32(&mut output).unwrap_or_else(|error| panic!("{error}"));
        output
    };
    samples.iter().map(&mut run).collect()
}

fn db(expected: &[Vec<f32>], actual: &[Vec<f32>]) -> f64 {
    sqnr_db(expected, actual).unwrap_or(f64::NEG_INFINITY)
}

/// Whether the graph has been simplified as far as these networks allow.
fn check_operators(graph: &Graph, expected: &Expected) {
    for operator in expected.operators {
        assert!(graph.nodes.iter().any(|node| node.op.name() == *operator), "{} has no {operator}:\n{graph}", expected.name);
    }
    // Every swish is one table: products are left for squeeze-and-excite and gates alone.
    for node in graph.nodes.iter().filter(|node| node.op == Op::Mul) {
        let [a, b] = node.inputs[..] else { panic!("{}", node.name) };
        let gated = graph.tensor(a).shape != graph.tensor(b).shape || expected.name == "u_net";
        assert!(gated, "{}: product \"{}\" should be a table", expected.name, node.name);
    }
}

/// Everything that is wrong with one network.
fn compare(python: &Path, folder: &Path, expected: &Expected) -> Vec<String> {
    let target = Target::builtin("host").expect("a built-in target");
    let mut wrong = Vec::new();
    let name = expected.name;
    let (bytes, network) = load(folder, name);
    let graph = &network.graph;
    check_operators(graph, expected);
    let samples = random::samples(name, graph.tensor(graph.input).len(), SAMPLES.0);
    let compared = &samples[..SAMPLES.1];
    let executor = Executor::new(graph);
    let float: Vec<Vec<f32>> = compared.iter().map(|sample| executor.run(&Simulation::float(graph), sample)).collect();
    let reference = network.reference().unwrap_or_else(|error| panic!("{name}: {error}"));
    for (sample, (ours, theirs)) in compared.iter().zip(float.iter().zip(python::onnxruntime_channel_last(python, &bytes, graph, compared)))
    {
        let theirs = theirs.unwrap_or_else(|error| panic!("{name}: onnxruntime: {error}"));
        let tract = reference.run(sample).unwrap_or_else(|error| panic!("{name}: tract: {error}"));
        let largest = theirs.iter().fold(0f32, |largest, v| largest.max(v.abs()));
        for (who, values) in [("ours", ours), ("tract", &tract)] {
            let distance = values.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            if distance.is_nan() || distance > TOLERANCE * largest || values.len() != theirs.len() {
                wrong.push(format!("{name}: {who} differs from onnxruntime by {distance} of {largest}"));
            }
        }
    }
    for (candidate, to_float_least) in ["w8a8", "w8a16"].into_iter().zip(expected.to_float_db) {
        let candidate = candidate.parse().expect("a candidate");
        let prepared =
            Prepared::new(&network, &target, &[candidate], &samples, RangeRule::Mse).unwrap_or_else(|error| panic!("{name}: {error}"));
        let quantized = prepared.widest();
        let integers = run_integers(&lowered(&quantized).file, compared);
        let simulation = CodeSimulation::new(&quantized).unwrap_or_else(|| panic!("{name}: a tensor has no quantizer"));
        let simulated: Vec<Vec<f32>> = compared.iter().map(|sample| simulation.run(sample)).collect();
        let (to_simulation, to_float) = (db(&simulated, &integers), db(&float, &integers));
        println!("{name} {candidate}: {to_simulation:.1} dB to the simulation, {to_float:.1} dB to float");
        if to_simulation < TO_SIMULATION_DB || to_float < to_float_least {
            wrong.push(format!("{name} {candidate}: {to_simulation:.1} dB to the simulation, {to_float:.1} dB to float"));
        }
    }
    wrong
}

#[test]
fn generated_vision_networks_run_in_integers() {
    let Some(python) = python::available() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(&python, folder.path());
    let wrong: Vec<String> = NETWORKS.par_iter().flat_map_iter(|expected| compare(&python, folder.path(), expected)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// SQNR of the integers against the simulation on codes: all but a few roundings are the same.
const TO_SIMULATION_DB: f64 = 60.0;
