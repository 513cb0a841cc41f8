//! The lowered integers of every operator form: kernels among each other, each node against exact arithmetic, and against the float simulation.

use std::collections::BTreeMap;

use apq_lut::{Candidate, CostModel};
use apq_runtime::build::{Accumulator, OperatorSpec, write};
use apq_runtime::{Arithmetic, Model};
use apq_search::{Budget, Estimator, Quantity};
use apq_targets::{BitFusion, Target};
use apq_tests::compiled::{Prepared, lowered, tensor_codes, trace};
use apq_tests::data::drawn;
use apq_tests::{arena, cases, exact, random};
use apqc::compile::{Data, Options, compile};
use apqc::data::{Dataset, Preprocess};
use apqc::float::{Executor, Simulation};
use apqc::graph::{Graph, NodeId, Op, TensorId};
use apqc::lower::Lowered;
use apqc::network::{Network, NetworkError};
use apqc::quant::QuantizedNetwork;
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;
use rand::Rng;
use rayon::prelude::*;

/// Bit widths at which every network is compiled as a whole.
const CANDIDATES: [&str; 7] = ["w2a2", "w2a8", "w4a4", "w4a8", "w6a6", "w8a8", "w8a16"];

/// Calibration samples of each network.
const SAMPLES: usize = 6;

fn candidates() -> Vec<Candidate> {
    CANDIDATES.iter().map(|text| text.parse().expect("a candidate")).collect()
}

/// One network at one assignment.
struct Trial<'a> {
    label: String,
    network: &'a QuantizedNetwork<'a>,
    lowered: &'a Lowered,
    samples: &'a [Vec<f32>],
}

/// Every network at every candidate, and at widths drawn for each group. `visit` returns what is wrong.
fn for_every_network(rule: RangeRule, visit: impl Fn(&Trial<'_>) -> Vec<String> + Sync) {
    let target = Target::builtin("host").expect("a built-in target");
    let trials = |case: &cases::Case| -> Vec<String> {
        let network = Network::load(&case.model, case.name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let samples = random::samples(case.name, case.input.iter().product(), SAMPLES);
        let mut wrong = Vec::new();
        let mut run = |label: String, prepared: &Prepared<'_>, assignment: Vec<Candidate>| {
            let network = prepared.assigned(assignment);
            let lowered = lowered(&network);
            let trial = Trial { label: format!("{} {label}", case.name), network: &network, lowered: &lowered, samples: &samples };
            wrong.extend(visit(&trial).into_iter().map(|problem| format!("{}: {problem}", trial.label)));
        };
        for candidate in candidates() {
            let prepared = match Prepared::new(&network, &target, &[candidate], &samples, rule) {
                Ok(prepared) => prepared,
                // A softmax writes 8 or 16 bits.
                Err(NetworkError::NoKernel(error)) if error.operator == "softmax" && candidate.activation_bits < 8 => continue,
                Err(error) => panic!("{} {candidate}: {error}", case.name),
            };
            run(candidate.to_string(), &prepared, vec![candidate; prepared.grouping.groups.len()]);
        }
        let prepared =
            Prepared::new(&network, &target, &candidates(), &samples, rule).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let mut drawn = random::seeded(case.name);
        for round in 0..3 {
            let any = |group: &apqc::quant::groups::QuantizerGroup, drawn: &mut rand_chacha::ChaCha8Rng| {
                group.candidates[drawn.random_range(0..group.candidates.len())]
            };
            let assignment = prepared.grouping.groups.iter().map(|group| any(group, &mut drawn)).collect();
            run(format!("mixed {round}"), &prepared, assignment);
        }
        wrong
    };
    let wrong: Vec<String> = cases::all().par_iter().flat_map_iter(trials).collect();
    assert!(wrong.is_empty(), "{} problems:\n{}", wrong.len(), wrong.iter().take(60).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn all_arithmetics_write_the_same_bytes_and_the_plan_holds() {
    for_every_network(RangeRule::MinMax, |trial| {
        let model = Model::new_checked(&trial.lowered.file).unwrap_or_else(|error| panic!("{}: {error}", trial.label));
        let mut wrong = Vec::new();
        let native = trace(&model, Arithmetic::Native, &trial.samples[0]);
        for arithmetic in [Arithmetic::Reference, Arithmetic::BitFused] {
            let other = trace(&model, arithmetic, &trial.samples[0]);
            for (index, node) in model.nodes().enumerate() {
                if other.bytes[index] != native.bytes[index] {
                    wrong.push(format!("{arithmetic:?} differs at node \"{}\" ({})", node.name, node.operator.name()));
                    break;
                }
            }
            if other.output != native.output {
                wrong.push(format!("{arithmetic:?} differs at the output"));
            }
        }
        wrong.extend(arena::check(&model).err());
        wrong
    });
}

#[test]
fn every_node_computes_what_the_specification_says() {
    for rule in [RangeRule::MinMax, RangeRule::Mse] {
        for_every_network(rule, |trial| {
            let (network, graph) = (trial.network, trial.network.graph);
            let model = Model::new_checked(&trial.lowered.file).unwrap_or_else(|error| panic!("{}: {error}", trial.label));
            let mut wrong = Vec::new();
            for sample in &trial.samples[..2] {
                let run = trace(&model, Arithmetic::Native, sample);
                let codes = tensor_codes(graph, trial.lowered, &run);
                wrong.extend(wrong_input(network, sample, &run.input));
                for (index, node) in graph.nodes.iter().enumerate() {
                    let inputs: Vec<Vec<i32>> = node.inputs.iter().map(|id| codes[id.0].clone()).collect();
                    let raised = trial.lowered.raised.iter().find(|(id, _)| id.0 == index).map_or(&[][..], |(_, channels)| channels);
                    let expected = exact::evaluate(network, NodeId(index), &inputs, raised);
                    let written = &codes[node.output.0];
                    assert_eq!(expected.len(), written.len(), "{}", trial.label);
                    let first =
                        expected.iter().zip(written).position(|(expected, code)| expected.is_some_and(|expected| !expected.admits(*code)));
                    if let Some(at) = first {
                        let expected = expected[at].map(|e| (e.code, e.slack));
                        wrong.push(format!(
                            "node \"{}\" ({}): element {at} is {}, expected {expected:?}",
                            node.name,
                            node.op.name(),
                            written[at]
                        ));
                    }
                }
            }
            wrong
        });
    }
}

/// q(x) = clamp(round(x/s) + z, lo, hi), half away from zero.
fn wrong_input(network: &QuantizedNetwork<'_>, sample: &[f32], codes: &[i32]) -> Option<String> {
    let quantizer = network.quantizer(network.graph.input).expect("the input has a quantizer");
    let (lo, hi) = quantizer.code_range();
    let exact = |x: f32| (f64::from(x) / f64::from(quantizer.scale) + f64::from(quantizer.zero_point)).clamp(f64::from(lo), f64::from(hi));
    // The division is made in f32.
    let admits = |x: f32, code: i32| (f64::from(code) - exact(x)).abs() <= 0.5 + 4e-7 * f64::from((x / quantizer.scale).abs());
    let at = sample.iter().zip(codes).position(|(x, code)| !admits(*x, *code))?;
    Some(format!("input element {at} is {}, expected {}", codes[at], exact(sample[at])))
}

/// Deviations of one operator's codes from the simulation.
#[derive(Default, Clone, Copy)]
struct Deviations {
    elements: usize,
    by_one: usize,
    by_more: usize,
}

/// Share of codes that may differ by one: sums in f32 end on the other side of a rounding now and then.
const DEVIATING_SHARE_MAX: f64 = 0.005;

/// Codes by which a table or a resize with 16-bit codes may miss the exact function: a thousandth of their range. What they compute exactly is in
/// `every_node_computes_what_the_specification_says`, how far that is from the function in the documentation of the kernels.
const INTERPOLATED_MAX: i32 = 64;

#[test]
fn every_node_computes_what_the_simulation_computes() {
    let counts = std::sync::Mutex::new(BTreeMap::<(&str, u8), Deviations>::new());
    for_every_network(RangeRule::MinMax, |trial| {
        let (network, graph) = (trial.network, trial.network.graph);
        let model = Model::new_checked(&trial.lowered.file).unwrap_or_else(|error| panic!("{}: {error}", trial.label));
        let simulation = network.simulation();
        let run = trace(&model, Arithmetic::Native, &trial.samples[0]);
        let codes = tensor_codes(graph, trial.lowered, &run);
        let mut wrong = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            if trial.lowered.raised.iter().any(|(id, _)| id.0 == index) {
                continue;
            }
            let simulated = simulated_codes(network, &simulation, NodeId(index), &codes);
            let written = &codes[node.output.0];
            let bits = network.bits(node.output);
            let interpolated = match node.op {
                Op::Table { .. } => network.bits(node.inputs[0]) == 16,
                Op::Resize { .. } => network.bits(node.inputs[0]).max(bits) == 16,
                _ => false,
            };
            let mut count = Deviations { elements: written.len(), ..Deviations::default() };
            for ((a, tie), b) in simulated.iter().zip(written) {
                match (a - b).abs() {
                    0 => {}
                    distance if interpolated && distance <= INTERPOLATED_MAX => {}
                    // A mean of few codes is often a tie, which floats round away from zero and integers up.
                    1 if *tie => {}
                    1 => count.by_one += 1,
                    _ => count.by_more += 1,
                }
            }
            if count.by_more > 0 {
                wrong.push(format!(
                    "node \"{}\" ({}): {} of {} codes differ by more than one",
                    node.name,
                    node.op.name(),
                    count.by_more,
                    count.elements
                ));
            }
            let mut counts = counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let sum = counts.entry((node.op.name(), bits)).or_default();
            sum.elements += count.elements;
            sum.by_one += count.by_one;
        }
        wrong
    });
    let counts = counts.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    assert!(counts.len() > 30, "{} kinds of operators and widths", counts.len());
    for ((operator, bits), count) in counts {
        let share = count.by_one as f64 / count.elements as f64;
        println!("{operator} a{bits}: {:.3} % of {} codes differ by one", 100.0 * share, count.elements);
        let most = match operator {
            // The integer softmax is documented to be off by up to 0.04 of a 16-bit code beside its rounding, layer normalisation by 0.011.
            "softmax" | "layer_norm" if bits == 16 => 0.08,
            // Points of a table for 16-bit codes are rounded before they are interpolated, and lie on chords; `exact` knows them.
            "table" if bits == 16 => 0.5,
            "table" => 0.08,
            _ => DEVIATING_SHARE_MAX,
        };
        assert!(share <= most, "{operator} at {bits} bits: {} of {} codes", count.by_one, count.elements);
    }
}

/// What the simulation makes of one node when its inputs are exactly those that the integer runtime gave it: codes, and whether each was a tie.
fn simulated_codes(network: &QuantizedNetwork<'_>, simulation: &Simulation, id: NodeId, codes: &[Vec<i32>]) -> Vec<(i32, bool)> {
    let graph = network.graph;
    let node = &graph.nodes[id.0];
    let real = |tensor: TensorId| -> Vec<f32> {
        let quantizer = network.quantizer(tensor).expect("every tensor has a quantizer");
        codes[tensor.0].iter().map(|code| (code - quantizer.zero_point) as f32 * quantizer.scale).collect()
    };
    let mut values = vec![None; graph.tensors.len()];
    node.inputs.iter().for_each(|tensor| values[tensor.0] = Some(real(*tensor)));
    let alone = Graph { nodes: vec![node.clone()], input: node.inputs[0], output: node.output, ..graph.clone() };
    let mut one = Simulation { layers: vec![simulation.layers[id.0].clone()], quantizers: simulation.quantizers.clone() };
    // Without a quantizer on its input the node would count as unchanged.
    one.quantizers[alone.input.0] = network.quantizer(alone.input);
    let output = network.quantizer(node.output).expect("every tensor has a quantizer");
    let executor = Executor::new(&alone);
    let rounded = executor.run_changed(&one, &values);
    one.quantizers[alone.output.0] = None;
    let exact = executor.run_changed(&one, &values);
    let (lo, hi) = output.code_range();
    let code = |(rounded, exact): (&f32, &f32)| {
        let tie = ((exact / output.scale).fract().abs() - 0.5).abs() < 1e-4;
        (((rounded / output.scale).round() as i32 + output.zero_point).clamp(lo, hi), tie)
    };
    rounded.iter().zip(&exact).map(code).collect()
}

#[test]
fn a_channel_whose_scale_was_raised_passes_its_bias() {
    let (case, target) = (cases::find("gemm-small-weights-large-bias"), Target::builtin("host").expect("a built-in target"));
    let network = Network::load(&case.model, case.name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
    let samples = random::samples(case.name, 9, SAMPLES);
    for candidate in candidates() {
        let prepared =
            Prepared::new(&network, &target, &[candidate], &samples, RangeRule::MinMax).unwrap_or_else(|error| panic!("{error}"));
        let quantized = prepared.widest();
        let lowered = lowered(&quantized);
        assert_eq!(lowered.raised, [(NodeId(0), vec![0])], "{candidate}");
        let model = Model::new_checked(&lowered.file).unwrap_or_else(|error| panic!("{error}"));
        let output = quantized.quantizer(network.graph.output).expect("the output has a quantizer");
        for sample in &samples {
            let code = trace(&model, Arithmetic::Native, sample).nodes[0][0];
            let expected = f64::from(output.zero_point) + 0.8 / f64::from(output.scale);
            assert!((f64::from(code) - expected).abs() <= 0.501, "{candidate}: {code}, expected {expected}");
        }
    }
}

#[test]
fn wide_sums_take_a_wide_accumulator() {
    let (case, target) = (cases::find("gemm-wide"), Target::builtin("host").expect("a built-in target"));
    let network = Network::load(&case.model, case.name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
    let samples = random::samples(case.name, 3000, SAMPLES);
    for (candidate, expected) in [("w8a8", Accumulator::I32), ("w8a16", Accumulator::I64)] {
        let candidate = candidate.parse().expect("a candidate");
        let prepared =
            Prepared::new(&network, &target, &[candidate], &samples, RangeRule::MinMax).unwrap_or_else(|error| panic!("{error}"));
        let lowered = lowered(&prepared.widest());
        let OperatorSpec::FullyConnected { weighted } = &lowered.spec.nodes[0].operator else { panic!("{:?}", lowered.spec.nodes[0]) };
        assert_eq!(weighted.accumulator, expected, "{candidate}");
    }
}

#[test]
fn a_softmax_at_the_end_can_stay() {
    let (case, target) = (cases::find("opset-13"), Target::builtin("host").expect("a built-in target"));
    let network = Network::load(&case.model, case.name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(network.graph.softmax_classes, Some(4));
    let samples = random::samples(case.name, case.input.iter().product(), SAMPLES);
    let candidate = "w8a8".parse().expect("a candidate");
    let prepared = Prepared::new(&network, &target, &[candidate], &samples, RangeRule::MinMax).unwrap_or_else(|error| panic!("{error}"));
    let mut quantized = prepared.widest();
    let logits = lowered(&quantized);
    quantized.keep_softmax = true;
    let kept = lowered(&quantized);
    assert!(logits.spec.output.softmax_removed && !kept.spec.output.softmax_removed);
    assert_eq!(kept.spec.output.classes, 4);
    let [logits, kept] = [&logits, &kept].map(|lowered| Model::new_checked(&lowered.file).unwrap_or_else(|error| panic!("{error}")));
    let output = quantized.quantizer(network.graph.output).expect("the output has a quantizer");
    for sample in &samples {
        let codes = trace(&logits, Arithmetic::Native, sample).nodes.pop().unwrap_or_default();
        let real: Vec<f64> = codes.iter().map(|code| f64::from(code - output.zero_point) * f64::from(output.scale)).collect();
        let written = trace(&kept, Arithmetic::Native, sample).nodes.pop().unwrap_or_default();
        assert_eq!(written.len(), 4);
        for (code, share) in written.iter().zip(exact::softmax(4, &real)) {
            assert!((f64::from(*code) - 255.0 * share).abs() < 0.51, "{code} {share}");
        }
    }
}

/// Changes one constant of a node a little; false where the operator has none.
fn disturb(operator: &mut OperatorSpec) -> bool {
    let more = |multiplier: &mut i32| *multiplier -= *multiplier / 16;
    match operator {
        OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted } => weighted.multiplier.iter_mut().for_each(more),
        OperatorSpec::Add(add) => add.multipliers.iter_mut().for_each(more),
        OperatorSpec::AveragePool { divisors, .. } => divisors.iter_mut().for_each(|divisor| more(&mut divisor.multiplier)),
        OperatorSpec::Requantize(rescale) | OperatorSpec::Softmax(rescale) => more(&mut rescale.multiplier),
        OperatorSpec::Concat { rescales, .. } => match rescales.iter_mut().flatten().next() {
            Some(rescale) => more(&mut rescale.multiplier),
            None => return false,
        },
        OperatorSpec::MatMul(product) => more(&mut product.rescale.multiplier),
        OperatorSpec::Mul(rescale) => more(&mut rescale.multiplier),
        OperatorSpec::LayerNorm { gamma, .. } => gamma.iter_mut().for_each(more),
        OperatorSpec::Table { entries } => {
            let eighth = entries.len() / 8;
            entries.rotate_left(eighth);
        }
        OperatorSpec::Pad(pad) => pad.code ^= 1,
        OperatorSpec::Prelu { slope_multiplier, .. } => slope_multiplier.iter_mut().for_each(more),
        OperatorSpec::Resize { rows, columns, .. } => {
            rows.reverse();
            columns.reverse();
        }
        OperatorSpec::Slice(slice) => slice.begin = slice.begin.map(|begin| begin.saturating_sub(1)),
        OperatorSpec::MaxPool(window) if window.pad[0] > 0 => window.pad.swap(0, 1),
        _ => return false,
    }
    true
}

#[test]
fn a_wrong_constant_is_noticed() {
    let noticed = std::sync::Mutex::new(BTreeMap::<&str, [usize; 2]>::new());
    for_every_network(RangeRule::MinMax, |trial| {
        let (network, graph) = (trial.network, trial.network.graph);
        if !trial.label.ends_with(" w8a8") {
            return Vec::new();
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            let mut spec = trial.lowered.spec.clone();
            let Some(true) = trial.lowered.node_of[index].map(|place| disturb(&mut spec.nodes[place].operator)) else { continue };
            let Ok(file) = write(&spec) else { continue };
            let Ok(model) = Model::new_checked(&file) else { continue };
            let codes = tensor_codes(graph, trial.lowered, &trace(&model, Arithmetic::Native, &trial.samples[0]));
            let inputs: Vec<Vec<i32>> = node.inputs.iter().map(|id| codes[id.0].clone()).collect();
            let expected = exact::evaluate(network, NodeId(index), &inputs, &[]);
            let wrong =
                expected.iter().zip(&codes[node.output.0]).any(|(expected, code)| expected.is_some_and(|expected| !expected.admits(*code)));
            let mut noticed = noticed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let count = noticed.entry(node.op.name()).or_default();
            count[0] += 1;
            count[1] += usize::from(wrong);
        }
        Vec::new()
    });
    let noticed = noticed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let operators = [
        "conv",
        "depthwise",
        "fully_connected",
        "add",
        "sub",
        "mul",
        "table",
        "prelu",
        "resize",
        "slice",
        "matmul",
        "layer_norm",
        "average_pool",
        "requantize",
        "softmax",
        "concat",
        "pad",
    ];
    for operator in operators {
        let [disturbed, noticed] = noticed.get(operator).copied().unwrap_or_default();
        assert!(disturbed > 0 && 3 * noticed >= 2 * disturbed, "{operator}: {noticed} of {disturbed} wrong constants were noticed");
    }
}

/// Samples as the compiler takes them.
fn data_set(network: &Network, name: &str) -> Dataset {
    drawn(name, network.sample_shape(), 8)
}

#[test]
fn the_whole_pipeline_takes_every_form() {
    let compile_one = |case: &cases::Case| -> Vec<String> {
        let network = Network::load(&case.model, case.name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let samples = data_set(&network, case.name);
        let preprocess = Preprocess::identity(samples.channels());
        let data = Data { calibration: &samples, test: Some(&samples), preprocess: &preprocess };
        let mut wrong = Vec::new();
        for (name, list) in [("host", ["w4a8", "w8a8", "w8a16"]), ("bitfusion", ["w4a8", "w6a8", "w8a8"])] {
            let target = Target::builtin(name).expect("a built-in target");
            let model: Option<&dyn CostModel> = (name == "bitfusion").then_some(&BitFusion as &dyn CostModel);
            let options = Options {
                candidates: list.map(|text| text.parse().expect("a candidate")).to_vec(),
                budgets: vec![
                    Budget { quantity: Quantity::Bops, limit: 48 * network.macs },
                    Budget { quantity: Quantity::Ram, limit: 1 << 20 },
                    Budget { quantity: Quantity::Flash, limit: 1 << 20 },
                ],
                weight_ranges: RangeRule::Mse,
                activation_ranges: RangeRule::Mse,
                estimator: Estimator::Pooled,
                output_bits: 8,
                rounding: Rounding::Nearest,
                bias_correction: true,
                keep_softmax: false,
                seed: 0,
                layer_cache: None,
                search: apqc::assign::SearchOptions::default(),
            };
            match compile(&network, &target, model, &data, &options, (&(), ""), &()) {
                Err(error) => wrong.push(format!("{} for {name}: {error}", case.name)),
                Ok(compiled) => {
                    let sqnr = compiled.calibration_sqnr_db;
                    let model = Model::new_checked(&compiled.lowered.file).unwrap_or_else(|error| panic!("{}: {error}", case.name));
                    let modelled = name == "host" || compiled.totals.latency_ns.is_some();
                    if !compiled.feasible || sqnr < 12.0 || !modelled || compiled.totals.bops > 48 * network.macs {
                        wrong
                            .push(format!("{} for {name}: {sqnr:.1} dB, {:?}, feasible {}", case.name, compiled.totals, compiled.feasible));
                    }
                    wrong.extend(arena::check(&model).err().map(|problem| format!("{} for {name}: {problem}", case.name)));
                }
            }
        }
        wrong
    };
    let wrong: Vec<String> = cases::all().par_iter().flat_map_iter(compile_one).collect();
    assert!(wrong.is_empty(), "{} problems:\n{}", wrong.len(), wrong.join("\n"));
}
