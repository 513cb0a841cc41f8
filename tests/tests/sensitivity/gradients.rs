//! Gradients against finite differences of the executor, and FIT against its definition.

use apq_search::Estimator;
use apq_tests::{cases, random};
use apqc::float::{Executor, Simulation, backward};
use apqc::graph::Graph;
use apqc::network::Network;
use apqc::quant::sensitivity::{Measurement, Metric, measured};

use super::for_each_network;

/// Networks whose operators between them have every gradient.
const CASES: [&str; 9] = [
    "net-residual",
    "net-inverted-residual",
    "net-dense",
    "net-branches",
    "net-tensorflow",
    "conv-chain",
    "conv1d-chain",
    "pad-before-padded-conv",
    "relu-behind-max-pool",
];

/// The loss is the sum of the outputs, each times a number of its own.
fn loss(graph: &Graph, input: &[f32], factors: &[f32]) -> f64 {
    let executor = Executor::new(graph);
    let output = executor.run(&Simulation::float(graph), input);
    output.iter().zip(factors).map(|(v, f)| f64::from(*v) * f64::from(*f)).sum()
}

/// The slope of the loss along the gradient must be the gradient's length; a gradient of the wrong direction or size has less or more.
fn check(what: &str, gradient: &[f32], scale: f32, at: impl Fn(&dyn Fn(usize, f32) -> f32) -> f64) {
    let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 {
        return;
    }
    // Steps small enough for few clamps and maxima to change sides, large enough for the digits of a float.
    let slope = |step: f64| {
        let moved = |sign: f64| at(&|place, v| v + (sign * step * f64::from(gradient[place]) / length) as f32);
        (moved(1.0) - moved(-1.0)) / (2.0 * step)
    };
    let errors: Vec<f64> = [0.03, 0.01, 0.003].iter().map(|part| (slope(part * f64::from(scale)) / length - 1.0).abs()).collect();
    let best = errors.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best < 0.02, "{what}: slope along the gradient is off by {errors:?}");
}

/// Root of the mean square.
fn size(values: &[f32]) -> f32 {
    (values.iter().map(|v| v * v).sum::<f32>() / values.len().max(1) as f32).sqrt()
}

#[test]
fn gradients_are_the_slopes_of_the_executor() {
    let (mut inputs, mut weights) = (0, 0);
    for name in CASES {
        let case = cases::find(name);
        let network = Network::load(&case.model, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        let graph = &network.graph;
        let factors = random::samples(name, graph.tensor(graph.output).len(), 1).concat();
        for input in random::samples(name, graph.tensor(graph.input).len(), 2) {
            let executor = Executor::new(graph);
            let values = executor.run_all(&Simulation::float(graph), &input);
            let gradients = backward(&executor, &values, factors.clone()).expect("every operator has a gradient");
            let of_input = gradients.tensors[graph.input.0].as_deref().expect("the output depends on the input");
            check(name, of_input, size(&input), |moved| {
                let input: Vec<f32> = input.iter().enumerate().map(|(place, v)| moved(place, *v)).collect();
                loss(graph, &input, &factors)
            });
            inputs += 1;
            for (index, node) in graph.nodes.iter().enumerate() {
                let Some(float) = node.op.weights() else { continue };
                let of_weights = gradients.weights[index].as_deref().expect("the output depends on the weights");
                assert_eq!(of_weights.len(), float.values.len());
                check(&format!("{name}, {}", node.name), of_weights, size(&float.values), |moved| {
                    let mut graph = graph.clone();
                    let values = float.values.iter().enumerate().map(|(place, v)| moved(place, *v)).collect();
                    if let Some(weights) = graph.nodes[index].op.weights_mut() {
                        weights.values = values;
                    }
                    loss(&graph, &input, &factors)
                });
                weights += 1;
            }
        }
    }
    assert!(inputs == 2 * CASES.len() && weights > 4 * CASES.len(), "{inputs} {weights}");
}

#[test]
fn fit_is_the_trace_times_the_noise() {
    for_each_network(|network, prepared, samples| {
        let (graph, grouping) = (&network.graph, &prepared.grouping);
        let executor = Executor::new(graph);
        let widest = prepared.widest().assignment.clone();
        let entries = measured(grouping, &widest);
        let classes = graph.tensor(graph.output).len();
        let labels: Vec<u32> = (0..samples.len()).map(|sample| (sample * 5 % classes) as u32).collect();
        let measurement = Measurement::new(&executor, grouping, &prepared.bank, Metric::Fit, &entries, Some(&labels));
        let list = measurement.unwrap_or_else(|error| panic!("{error}")).run(samples, &(), &|| {});
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let square = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        // Softmax less one-hot, in another way than the code has it.
        let runs: Vec<_> = samples
            .iter()
            .zip(&labels)
            .map(|(sample, label)| {
                let values = executor.run_all(&Simulation::float(graph), sample);
                let output = values[graph.output.0].clone().unwrap_or_default();
                let total: f64 = output.iter().map(|v| f64::from(*v).exp()).sum();
                let mut slope: Vec<f32> = output.iter().map(|v| (f64::from(*v).exp() / total) as f32).collect();
                slope[*label as usize] -= 1.0;
                let gradients = backward(&executor, &values, slope).expect("every operator has a gradient");
                (values, gradients)
            })
            .collect();
        for ((group, candidate), value) in entries.iter().zip(&list) {
            let mut fit = 0.0;
            for node in &grouping.groups[*group].nodes {
                let Some(float) = graph.nodes[node.0].op.weights() else { continue };
                let rounded = prepared.bank.layers[node.0][&candidate.weight_bits].weights.values();
                let noise: Vec<f32> = float.values.iter().zip(&rounded).map(|(a, b)| a - b).collect();
                let traces: Vec<f64> = runs.iter().map(|(_, g)| square(g.weights[node.0].as_deref().unwrap_or_default())).collect();
                fit += mean(&traces) * square(&noise) / noise.len() as f64;
            }
            for tensor in grouping.groups[*group].tensors.iter().filter(|tensor| grouping.quantizer[tensor.0] == **tensor) {
                let quantizer = prepared.bank.activations[tensor.0][&candidate.activation_bits];
                let noise = |values: &[f32]| {
                    let mut rounded = values.to_vec();
                    quantizer.fake_quantize(&mut rounded);
                    square(&values.iter().zip(&rounded).map(|(a, b)| a - b).collect::<Vec<f32>>()) / values.len() as f64
                };
                let traces: Vec<f64> = runs.iter().map(|(_, g)| square(g.tensors[tensor.0].as_deref().unwrap_or_default())).collect();
                let noises: Vec<f64> = runs.iter().map(|(v, _)| noise(v[tensor.0].as_deref().unwrap_or_default())).collect();
                fit += mean(&traces) * mean(&noises);
            }
            let expected = -10.0 * fit.log10();
            assert!((value - expected).abs() < 1e-3, "{} {candidate}: {value}, by hand {expected}", grouping.groups[*group].name);
        }
    });
}

#[test]
fn accuracy_counts_what_whole_runs_give() {
    for_each_network(|network, prepared, samples| {
        let (graph, grouping) = (&network.graph, &prepared.grouping);
        let executor = Executor::new(graph);
        let entries = measured(grouping, &prepared.widest().assignment);
        // Labels of the float network, so that accuracy is what quantization leaves of them.
        let top = |output: &[f32]| apqc::evaluate::top1(output) as u32;
        let labels: Vec<u32> = samples.iter().map(|sample| top(&executor.run(&Simulation::float(graph), sample))).collect();
        let measurement = Measurement::new(&executor, grouping, &prepared.bank, Metric::Accuracy, &entries, Some(&labels));
        let list = measurement.unwrap_or_else(|error| panic!("{error}")).run(samples, &(), &|| {});
        for ((group, candidate), value) in entries.iter().zip(&list) {
            let simulation = prepared.bank.one_group(graph, grouping, *group, *candidate);
            let hits = samples.iter().zip(&labels).filter(|(sample, label)| top(&executor.run(&simulation, sample)) == **label).count();
            assert_eq!(*value, hits as f64 / samples.len() as f64);
        }
        assert!(Measurement::new(&executor, grouping, &prepared.bank, Metric::Accuracy, &entries, None).is_err());
        assert!(Measurement::new(&executor, grouping, &prepared.bank, Metric::Sqnr(Estimator::Pooled), &entries, None).is_ok());
    });
}
