//! Quantizer groups against hand-written ones, and the sensitivity list against a direct computation.

mod gradients;

use apq_lut::{Candidate, Operator};
use apq_search::{Estimator, Sensitivity};
use apq_targets::{Target, TargetError};
use apq_tests::compiled::Prepared;
use apq_tests::{cases, random};
use apqc::float::{Executor, Simulation};
use apqc::graph::{Clamp, Graph, Node, Op, TensorId, Weights, Window, verify};
use apqc::network::{Network, NetworkError};
use apqc::quant::groups::{Grouping, group};
use apqc::quant::ranges::RangeRule;
use apqc::quant::sensitivity::{energy, measured, sensitivity};

fn candidates(list: &[&str]) -> Vec<Candidate> {
    list.iter().map(|text| text.parse().expect("a candidate")).collect()
}

fn host() -> Target {
    Target::builtin("host").expect("a built-in target")
}

/// A graph written by hand; every tensor is `[1, 4, 4, 2]` unless its node says otherwise.
struct Hand {
    graph: Graph,
}

const IMAGE: [usize; 4] = [1, 4, 4, 2];
const POINT: Window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad_begin: [0; 2], pad_end: [0; 2] };

impl Hand {
    fn new() -> Hand {
        let mut graph = Graph {
            name: "hand".into(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
            output_axes: vec![0, 1, 2, 3],
            input_axes: vec![0, 1, 2, 3],
            softmax_dropped: false,
            softmax_classes: None,
            given_weights: std::collections::BTreeMap::new(),
        };
        graph.add_tensor("in", IMAGE.to_vec());
        Hand { graph }
    }

    /// A node and its output, which both have that name.
    fn node(&mut self, name: &str, op: Op, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        let output = self.graph.add_tensor(name, shape.to_vec());
        self.graph.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), output, clamp: Clamp::NONE });
        self.graph.output = output;
        output
    }

    /// A pointwise convolution.
    fn conv(&mut self, name: &str, input: TensorId) -> TensorId {
        let inputs = self.graph.tensor(input).channels();
        let weights = Weights { values: vec![0.5; 2 * inputs].into(), bias: vec![0.1; 2].into() };
        let mut shape = self.graph.tensor(input).shape.clone();
        shape[3] = 2;
        self.node(name, Op::Conv { weights, window: POINT, groups: 1 }, &[input], &shape)
    }

    /// The groups as text: name, operations, tensors.
    fn groups(&self, list: &[&str], supports: impl Fn(&str, Candidate) -> bool) -> String {
        verify(&self.graph).unwrap_or_else(|error| panic!("{error}"));
        let supports = |op: &Op, candidate| supports(op.name(), candidate);
        let grouping = group(&self.graph, &candidates(list), supports).unwrap_or_else(|error| panic!("{error}"));
        text(&self.graph, &grouping)
    }
}

fn text(graph: &Graph, grouping: &Grouping) -> String {
    let mut lines: Vec<String> = Vec::new();
    for group in &grouping.groups {
        let nodes: Vec<&str> = group.nodes.iter().map(|node| graph.nodes[node.0].name.as_str()).collect();
        let tensors: Vec<&str> = group.tensors.iter().map(|tensor| graph.tensor(*tensor).name.as_str()).collect();
        let widths: Vec<String> = group.candidates.iter().map(Candidate::to_string).collect();
        lines.push(format!("{}: {} | {} | {}", group.name, nodes.join(" "), tensors.join(" "), widths.join(" ")));
    }
    lines.join("\n")
}

const INPUT: TensorId = TensorId(0);

#[test]
fn a_chain_has_a_group_for_each_operation() {
    let mut net = Hand::new();
    let a = net.conv("a", INPUT);
    net.conv("b", a);
    assert_eq!(net.groups(&["w8a8"], |_, _| true), "a: a | in | w8a8\nb: b | a | w8a8");
}

#[test]
fn a_residual_sum_ties_its_inputs_and_frees_its_output() {
    let mut net = Hand::new();
    let a = net.conv("a", INPUT);
    let b = net.conv("b", a);
    let c = net.conv("c", b);
    let sum = net.node("sum", Op::Add, &[c, a], &IMAGE);
    net.conv("d", sum);
    let expected = "a: a | in | w8a8\nb: b sum | a c | w8a8\nc: c | b | w8a8\nd: d | sum | w8a8";
    assert_eq!(net.groups(&["w8a8"], |_, _| true), expected);
}

#[test]
fn two_sums_over_one_tensor_are_one_group() {
    let mut net = Hand::new();
    let a = net.conv("a", INPUT);
    let b = net.conv("b", a);
    let first = net.node("first", Op::Add, &[a, b], &IMAGE);
    let c = net.conv("c", first);
    let second = net.node("second", Op::Add, &[c, b], &IMAGE);
    net.conv("d", second);
    let expected = "a: a | in | w8a8\nb: b first second | a b c | w8a8\nc: c | first | w8a8\nd: d | second | w8a8";
    assert_eq!(net.groups(&["w8a8"], |_, _| true), expected);
}

#[test]
fn a_concatenation_ties_its_inputs() {
    let mut net = Hand::new();
    let (a, b) = (net.conv("a", INPUT), net.conv("b", INPUT));
    let both = net.node("both", Op::Concat { axis: 3 }, &[a, b, INPUT], &[1, 4, 4, 6]);
    net.conv("c", both);
    assert_eq!(net.groups(&["w8a8"], |_, _| true), "a: a b both | in a b | w8a8\nc: c | both | w8a8");
}

#[test]
fn what_keeps_codes_ties_its_output_to_its_input() {
    let mut net = Hand::new();
    let a = net.conv("a", INPUT);
    let halves = Window { kernel: [2; 2], stride: [2; 2], ..POINT };
    let pool = net.node("pool", Op::MaxPool { window: halves }, &[a], &[1, 2, 2, 2]);
    let pad = net.node("pad", Op::Pad { pads: vec![(0, 0), (1, 0), (0, 1), (0, 0)], value: 0.0 }, &[pool], &[1, 3, 3, 2]);
    let turned = net.node("turned", Op::Transpose { perm: vec![0, 2, 1, 3] }, &[pad], &[1, 3, 3, 2]);
    let flat = net.node("flat", Op::Reshape, &[turned], &[1, 18]);
    let weights = Weights { values: vec![0.1; 36].into(), bias: vec![0.0; 2].into() };
    let full = net.node("full", Op::FullyConnected { weights }, &[flat], &[1, 2]);
    // Behind the last computation nothing is assigned.
    net.node("last", Op::Reshape, &[full], &[1, 1, 2]);
    let grouping = group(&net.graph, &candidates(&["w8a8"]), |_, _| true).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(text(&net.graph, &grouping), "a: a | in | w8a8\npool: pool pad turned flat full | a pool pad turned flat | w8a8");
    assert_eq!(grouping.of_tensor[full.0], None);
    assert_eq!(grouping.of_node[6], None);
    for tensor in [pool, pad, turned, flat] {
        assert_eq!(grouping.quantizer[tensor.0], a, "{}", net.graph.tensor(tensor).name);
    }
    assert_eq!(grouping.quantizer[net.graph.output.0], full);
}

#[test]
fn branches_that_read_one_tensor_share_its_width() {
    let mut net = Hand::new();
    let a = net.conv("a", INPUT);
    let all = Window { kernel: [4; 2], ..POINT };
    let mean = net.node("mean", Op::AveragePool { window: all, count_include_pad: false }, &[a], &[1, 1, 1, 2]);
    let largest = net.node("largest", Op::MaxPool { window: all }, &[a], &[1, 1, 1, 2]);
    let sum = net.node("sum", Op::Add, &[mean, largest], &[1, 1, 1, 2]);
    net.conv("b", sum);
    // The max pool ties `a` to `largest`, and the sum ties `largest` to `mean`.
    let expected = "a: a | in | w8a8\nmean: mean largest sum | a mean largest | w8a8\nb: b | sum | w8a8";
    assert_eq!(net.groups(&["w8a8"], |_, _| true), expected);
}

#[test]
fn candidates_are_those_that_every_operation_of_a_group_has() {
    let mut net = Hand::new();
    let a = net.conv("a", INPUT);
    let b = net.conv("b", a);
    let sum = net.node("sum", Op::Add, &[a, b], &IMAGE);
    net.conv("c", sum);
    let supports = |operator: &str, candidate: Candidate| operator != "add" || candidate.activation_bits == 8;
    let expected = "a: a | in | w4a4 w8a8 w8a16\nb: b sum | a b | w8a8\nc: c | sum | w4a4 w8a8 w8a16";
    assert_eq!(net.groups(&["w4a4", "w8a8", "w8a16"], supports), expected);
}

/// The built-in target `host` without the kernels that `keep` refuses.
fn reduced(keep: impl Fn(&Operator) -> bool) -> Result<Target, TargetError> {
    let mut description = host().description().clone();
    description.kernels.iter_mut().for_each(|row| row.operators.retain(&keep));
    description.kernels.retain(|row| !row.operators.is_empty());
    Target::new(description)
}

#[test]
fn a_missing_kernel_stops_with_the_node_and_what_it_needs() {
    let case = cases::find("net-residual");
    let network = Network::load(&case.model, case.name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
    let add =
        network.graph.nodes.iter().find(|node| matches!(node.op, Op::Add)).map(|node| node.name.clone()).expect("the network has a sum");
    let target = reduced(|operator| *operator != Operator::Add).unwrap_or_else(|error| panic!("{error}"));
    let Err(NetworkError::NoKernel(error)) = network.group(&target, &candidates(&["w4a8", "w8a8"])) else {
        panic!("the sum has no kernel")
    };
    assert_eq!((error.node.as_str(), error.operator.as_str()), (add.as_str(), "add"));
    let message = error.to_string();
    for part in [&format!("node \"{add}\""), "add kernel", "w4a8, w8a8", "all of \""] {
        assert!(message.contains(part), "{message}");
    }
    // A network that needs no such kernel compiles for the same target.
    let case = cases::find("conv-chain");
    let network = Network::load(&case.model, case.name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
    assert!(network.group(&target, &candidates(&["w4a8"])).is_ok());
}

/// Networks with sums, branches, pools and concatenations.
const NETWORKS: [&str; 5] = ["net-residual", "net-inverted-residual", "net-dense", "net-branches", "conv-chain"];

const LIST: [&str; 4] = ["w4a4", "w4a8", "w8a8", "w8a16"];

/// Runs `test` on each network with its quantizers and eight samples.
fn for_each_network(test: impl Fn(&Network, &Prepared<'_>, &[Vec<f32>])) {
    for name in NETWORKS {
        let case = cases::find(name);
        let network = Network::load(&case.model, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        let samples = random::samples(name, case.input.iter().product(), 8);
        let prepared = Prepared::new(&network, &host(), &candidates(&LIST), &samples, RangeRule::MinMax)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        test(&network, &prepared, &samples);
    }
}

#[test]
fn running_the_suffix_gives_what_running_everything_gives() {
    for_each_network(|network, prepared, samples| {
        let executor = Executor::new(&network.graph);
        let float = Simulation::float(&network.graph);
        let mut disturbed = 0;
        for sample in &samples[..2] {
            let values = executor.run_all(&float, sample);
            assert_eq!(executor.run_changed(&float, &values), executor.run(&float, sample));
            for (index, group) in prepared.grouping.groups.iter().enumerate() {
                for candidate in &group.candidates {
                    let simulation = prepared.bank.one_group(&network.graph, &prepared.grouping, index, *candidate);
                    let whole = executor.run(&simulation, sample);
                    assert_eq!(
                        executor.run_changed(&simulation, &values),
                        whole,
                        "{}: group {} at {candidate}",
                        network.graph.name,
                        group.name
                    );
                    disturbed += usize::from(whole != executor.run(&float, sample));
                }
            }
        }
        assert!(disturbed > 2 * prepared.grouping.groups.len(), "{}: quantizers change nothing", network.graph.name);
    });
}

/// Equation 3 and its two relatives, from whole runs of the network.
fn by_hand(estimator: Estimator, pairs: &[(Vec<f32>, Vec<f32>)]) -> f64 {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let signal = |float: &[f32]| mean(&mut float.iter().map(|v| f64::from(*v).powi(2)));
    let noise = |float: &[f32], other: &[f32]| mean(&mut float.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)));
    let ratios: Vec<f64> = pairs
        .iter()
        .map(|(float, other)| if noise(float, other) == 0.0 { 1e10 } else { (signal(float) / noise(float, other)).min(1e10) })
        .collect();
    match estimator {
        Estimator::Pooled => {
            10.0 * (mean(&mut pairs.iter().map(|(f, _)| signal(f))) / mean(&mut pairs.iter().map(|(f, q)| noise(f, q)))).log10()
        }
        Estimator::Paper => 10.0 * mean(&mut ratios.iter().copied()).log10(),
        _ => mean(&mut ratios.iter().map(|ratio| 10.0 * ratio.log10())),
    }
}

#[test]
fn the_list_holds_what_a_direct_computation_gives() {
    for_each_network(|network, prepared, samples| {
        let (graph, grouping) = (&network.graph, &prepared.grouping);
        let executor = Executor::new(graph);
        let float = Simulation::float(graph);
        let widest = prepared.widest().assignment.clone();
        for estimator in [Estimator::Pooled, Estimator::Paper, Estimator::Db] {
            let list = sensitivity(&executor, grouping, &prepared.bank, samples, &widest, estimator, || {});
            let expected: usize = grouping.groups.iter().map(|group| group.candidates.len() - 1).sum();
            assert_eq!(list.len(), expected, "{}", graph.name);
            for Sensitivity { group, candidate, sqnr_db } in &list {
                let simulation = prepared.bank.one_group(graph, grouping, *group, *candidate);
                let pairs: Vec<_> =
                    samples.iter().map(|sample| (executor.run(&float, sample), executor.run(&simulation, sample))).collect();
                let direct = by_hand(estimator, &pairs);
                assert!(
                    (direct - sqnr_db).abs() < 1e-9,
                    "{} {}: {} {candidate}: {sqnr_db}, directly {direct}",
                    graph.name,
                    estimator.name(),
                    grouping.groups[*group].name
                );
                assert!((0.0..100.0).contains(sqnr_db), "{} {}: {sqnr_db} dB", graph.name, grouping.groups[*group].name);
            }
        }
    });
}

#[test]
fn the_value_does_not_depend_on_how_samples_are_split() {
    for_each_network(|network, prepared, samples| {
        let executor = Executor::new(&network.graph);
        let widest = prepared.widest().assignment.clone();
        let list =
            |samples: &[Vec<f32>]| sensitivity(&executor, &prepared.grouping, &prepared.bank, samples, &widest, Estimator::Pooled, || {});
        let on =
            |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool").install(|| list(samples));
        assert_eq!(on(1), on(3));
        // Each sample twice has the same means.
        let twice: Vec<Vec<f32>> = samples.iter().chain(samples).cloned().collect();
        for (once, twice) in list(samples).iter().zip(list(&twice)) {
            assert!((once.sqnr_db - twice.sqnr_db).abs() < 1e-9, "{once:?} {twice:?}");
        }
    });
}

#[test]
fn candidates_that_are_the_same_for_a_group_are_measured_once() {
    for_each_network(|network, prepared, samples| {
        let grouping = &prepared.grouping;
        let widest = prepared.widest().assignment.clone();
        let measured = measured(grouping, &widest);
        let list = sensitivity(&Executor::new(&network.graph), grouping, &prepared.bank, samples, &widest, Estimator::Pooled, || {});
        for (index, group) in grouping.groups.iter().enumerate() {
            let weighted = group.nodes.iter().any(|node| network.graph.nodes[node.0].op.weights().is_some());
            assert_eq!(group.weighted, weighted);
            let times = measured.iter().filter(|(other, _)| *other == index).count();
            // Of w4a4, w4a8, w8a8 the last two differ in weights alone.
            assert_eq!(times, if weighted { 3 } else { 2 }, "{} {}", network.graph.name, group.name);
            let value = |text: &str| {
                list.iter().find(|entry| entry.group == index && entry.candidate.to_string() == text).map(|entry| entry.sqnr_db)
            };
            assert_eq!(value("w4a8") == value("w8a8"), !weighted, "{} {}", network.graph.name, group.name);
        }
    });
    let zero = energy(&[1.0, -2.0], &[1.0, -2.0]);
    assert_eq!((zero.signal, zero.noise), (5.0, 0.0));
}
