//! Every supported operator form: the imported graph, the simplified graph and tract against onnxruntime; and what unsupported forms are told.

use apq_tests::cases::{self, Case};
use apq_tests::exact::softmax;
use apq_tests::layout::{in_onnx_order, stored};
use apq_tests::python::{self, Run};
use apq_tests::random;
use apqc::float::{Executor, Simulation};
use apqc::graph::Graph;
use apqc::import;
use apqc::network::{Network, NetworkError};

/// Inputs of each network.
const SAMPLES: usize = 2;

/// Largest difference to onnxruntime, relative to the largest output, or absolute where that is below 1.
const TOLERANCE: f32 = 1e-4;

/// Output of a graph in ONNX order, with the softmax that the passes left out.
fn output(graph: &Graph, values: Vec<f32>) -> (Vec<f32>, Vec<usize>) {
    let tensor = graph.tensor(graph.output);
    let values = if graph.softmax_dropped {
        let logits: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        softmax(tensor.channels(), &logits).into_iter().map(|v| v as f32).collect()
    } else {
        values
    };
    let shape: Vec<usize> = graph.output_axes.iter().map(|axis| tensor.shape[*axis]).collect();
    (in_onnx_order(&values, &shape, &graph.output_axes), shape)
}

fn difference(ours: &(Vec<f32>, Vec<usize>), theirs: &(Vec<f32>, Vec<usize>)) -> Result<(), String> {
    if ours.1 != theirs.1 {
        return Err(format!("shape {:?}, onnxruntime says {:?}", ours.1, theirs.1));
    }
    let largest = theirs.0.iter().fold(1.0f32, |largest, v| largest.max(v.abs()));
    match ours.0.iter().zip(&theirs.0).position(|(a, b)| (a - b).is_nan() || (a - b).abs() > TOLERANCE * largest) {
        None => Ok(()),
        Some(at) => Err(format!("element {at} is {}, onnxruntime says {}", ours.0[at], theirs.0[at])),
    }
}

fn inputs(case: &Case) -> Vec<Vec<f32>> {
    random::samples(case.name, case.input.iter().product(), SAMPLES)
}

/// Everything that disagrees about one sample of a case.
fn compare(case: &Case, sample: &[f32], answer: &python::Answer) -> Vec<String> {
    let expected = match answer {
        Ok(expected) => expected,
        Err(error) => return vec![format!("onnxruntime: {error}")],
    };
    let mut wrong = Vec::new();
    let mut note = |who: &str, result: Result<(), String>| {
        if let Err(problem) = result {
            wrong.push(format!("{who}: {problem}"));
        }
    };
    let run = |graph: &Graph| {
        let input = stored(sample, &case.input, &graph.input_axes);
        output(graph, Executor::new(graph).run(&Simulation::float(graph), &input))
    };
    match import::import(&case.model, case.name, None) {
        Ok(graph) => note("imported", difference(&run(&graph), expected)),
        Err(error) => note("import", Err(error.to_string())),
    }
    match Network::load(&case.model, case.name, None, |_, _, _| {}) {
        Ok(network) => {
            note("simplified", difference(&run(&network.graph), expected));
            let input = stored(sample, &case.input, &network.graph.input_axes);
            let reference = network.reference().and_then(|reference| reference.run(&input));
            match reference {
                Ok(values) => note("tract", difference(&output(&network.graph, values), expected)),
                Err(error) => note("tract", Err(error.to_string())),
            }
        }
        Err(error) => note("passes", Err(error.to_string())),
    }
    wrong
}

#[test]
fn supported_forms_compute_what_onnxruntime_computes() {
    let Some(python) = python::available() else { return };
    let cases = cases::all();
    let mut runs = Vec::new();
    for case in &cases {
        runs.extend(inputs(case).into_iter().map(|input| Run { model: case.model.clone(), input, shape: case.input.clone() }));
    }
    let answers = python::onnxruntime(&python, &runs);
    let mut wrong = Vec::new();
    for (case, answers) in cases.iter().zip(answers.chunks(SAMPLES)) {
        for (sample, answer) in inputs(case).iter().zip(answers) {
            wrong.extend(compare(case, sample, answer).into_iter().map(|problem| format!("{}: {problem}", case.name)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} networks:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn unsupported_forms_are_named_with_the_nearest_supported_one() {
    let mut wrong = Vec::new();
    for refused in cases::refused() {
        let name = refused.case.name;
        let message = match Network::load(&refused.case.model, name, None, |_, _, _| {}) {
            Ok(network) => format!("accepted:\n{}", network.graph),
            Err(NetworkError::Inconsistent(error)) => format!("accepted, and then {error}"),
            Err(error) => error.to_string(),
        };
        let missing: Vec<&&str> = refused.says.iter().filter(|text| !message.contains(**text)).collect();
        if !missing.is_empty() || message.starts_with("accepted") || message.contains("internal") {
            wrong.push(format!("{name}: {message}\n    lacks {missing:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_model_is_refused() {
    let whole = cases::find("conv").model;
    for bytes in [&b""[..], b"not a model", &whole[..whole.len() / 2], &[0xff; 64]] {
        let error = Network::load(bytes, "broken", None, |_, _, _| {}).err().expect("it is no model");
        assert!(!error.to_string().contains("internal"), "{error}");
    }
}
