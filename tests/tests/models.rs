//! Real models on real data, where they are: import against onnxruntime, integers against the simulation and against published figures.

use std::path::Path;
use std::sync::OnceLock;

use apq_lut::Candidate;
use apq_runtime::{Arithmetic, Model};
use apq_search::{Budget, Estimator, NetworkCost, Problem, Quantity, Scheme, Sensitivity};
use apq_targets::{BitFusion, Target};
use apq_tests::compiled::{OUTPUT_BITS, Prepared, tensor_codes, trace};
use apq_tests::data::{self, AUTOENCODER, DSCNN, IMPORTABLE, KWT1, MOBILENET, RESNET8, RESNET20, RealModel};
use apq_tests::python;
use apq_tests::{arena, data::drawn, exact};
use apqc::assign::AssignBy;
use apqc::compile::{Compiled, Data, Options, compile, raw_type};
use apqc::cost::NetworkCosts;
use apqc::data::{Dataset, Preprocess, Raw};
use apqc::evaluate::{quality, run_integer, sqnr_db, top1};
use apqc::float::{CodeSimulation, Executor, Simulation};
use apqc::graph::NodeId;
use apqc::lower::{Lowered, RawInput, lower};
use apqc::network::Network;
use apqc::plan::Effort;
use apqc::quant::QuantizedNetwork;
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;
use apqc::task::{Evaluator, TaskBudgets};
use rayon::prelude::*;

fn candidate(text: &str) -> Candidate {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn target(name: &str) -> Target {
    Target::builtin(name).unwrap_or_else(|error| panic!("{error}"))
}

/// A model at W8A8 with squared-error ranges.
struct Uniform {
    network: &'static Network,
    preprocess: Preprocess,
    quantized: QuantizedNetwork<'static>,
    lowered: Lowered,
}

impl Uniform {
    fn new(model: &RealModel, folder: &Path, samples: usize) -> Uniform {
        let network: &'static Network = Box::leak(Box::new(model.load(folder)));
        let preprocess = model.preprocess(folder, network);
        let calibration = model.samples(folder, network, "calib", samples);
        let values: Vec<Vec<f32>> = (0..calibration.len()).map(|index| calibration.to_f32(index, &preprocess)).collect();
        let prepared = Prepared::new(network, &target("host"), &[candidate("w8a8")], &values, RangeRule::Mse)
            .unwrap_or_else(|error| panic!("{error}"));
        let prepared: &'static Prepared<'static> = Box::leak(Box::new(prepared));
        let quantized = prepared.widest();
        let input = RawInput { raw: raw_type(&calibration), preprocess: preprocess.clone() };
        let lowered = lower(&quantized, &input, Effort::default()).unwrap_or_else(|error| panic!("{}: {error}", model.name));
        Uniform { network, preprocess, quantized, lowered }
    }

    fn model(&self) -> Model<'_> {
        Model::new_checked(&self.lowered.file).unwrap_or_else(|error| panic!("{}: {error}", self.network.graph.name))
    }

    fn integers(&self, data: &Dataset, arithmetic: Arithmetic) -> Vec<Vec<f32>> {
        run_integer(&self.model(), arithmetic, data, || {}).unwrap_or_else(|error| panic!("{error}"))
    }

    fn floats(&self, data: &Dataset, simulation: &Simulation) -> Vec<Vec<f32>> {
        let executor = Executor::new(&self.network.graph);
        (0..data.len()).into_par_iter().map(|index| executor.run(simulation, &data.to_f32(index, &self.preprocess))).collect()
    }
}

/// The models at W8A8, made once for all tests of this file. `None` where the data are absent.
fn uniform(model: &RealModel) -> Option<(&'static Uniform, std::path::PathBuf)> {
    static UNIFORM: [OnceLock<Uniform>; IMPORTABLE.len()] = [const { OnceLock::new() }; IMPORTABLE.len()];
    let folder = data::folder()?;
    let place = IMPORTABLE.iter().position(|other| other.name == model.name)?;
    // Large images need few of them: each has many pixels.
    let samples = if model.name == MOBILENET.name { 16 } else { 256 };
    Some((UNIFORM[place].get_or_init(|| Uniform::new(model, &folder, samples)), folder))
}

#[test]
fn imports_compute_what_onnxruntime_computes() {
    let (Some(folder), Some(python)) = (data::folder(), python::available()) else { return };
    for model in IMPORTABLE {
        let network = model.load(&folder);
        assert_eq!(network.macs, model.macs, "{}", model.name);
        let preprocess = model.preprocess(&folder, &network);
        let samples = model.samples(&folder, &network, "test", 4);
        let graph = &network.graph;
        let inputs: Vec<Vec<f32>> = (0..samples.len()).map(|index| samples.to_f32(index, &preprocess)).collect();
        let bytes = model.bytes(&folder);
        let answers = python::onnxruntime_channel_last(&python, &bytes, graph, &inputs);
        let reference = network.reference().unwrap_or_else(|error| panic!("{error}"));
        let executor = Executor::new(graph);
        for (input, answer) in inputs.iter().zip(answers) {
            let expected = answer.unwrap_or_else(|error| panic!("{}: {error}", model.name));
            let largest = expected.iter().fold(1.0f32, |largest, v| largest.max(v.abs()));
            let ours = executor.run(&Simulation::float(graph), input);
            let tract = reference.run(input).unwrap_or_else(|error| panic!("{error}"));
            for (who, values) in [("ours", with_softmax(graph, ours)), ("tract", with_softmax(graph, tract))] {
                assert_eq!(values.len(), expected.len(), "{} {who}", model.name);
                let worst = values.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst <= 1e-3 * largest, "{} {who}: {worst} of {largest}", model.name);
            }
        }
    }
}

/// The output of the whole ONNX model, where our graph leaves out its softmax.
fn with_softmax(graph: &apqc::graph::Graph, values: Vec<f32>) -> Vec<f32> {
    if !graph.softmax_dropped {
        return values;
    }
    let logits: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    apq_tests::exact::softmax(graph.tensor(graph.output).channels(), &logits).into_iter().map(|v| v as f32).collect()
}

/// Inputs are independent standard normal values.
#[test]
fn the_transformer_wins_ten_decibels_from_mixed_widths() {
    let Some(folder) = data::folder() else { return };
    let network = KWT1.load(&folder);
    let samples = drawn("kwt1", network.sample_shape(), 6);
    let preprocess = Preprocess::identity(samples.channels());
    let data = Data { calibration: &samples, test: None, preprocess: &preprocess };
    let run = |candidates: &[&str], budgets: Vec<Budget>| {
        let compiled = compile(&network, &target("host"), None, &data, &options(candidates, budgets), (&(), ""), &());
        compiled.unwrap_or_else(|error| panic!("{error}"))
    };
    let limit = network.macs * 128 * 6 / 10;
    let uniform = run(&["w8a8"], Vec::new());
    let mixed = run(&["w8a8", "w8a16"], vec![Budget { quantity: Quantity::Bops, limit }]);
    let [a, b] = [&uniform, &mixed].map(|compiled| compiled.calibration_sqnr_db);
    println!("kwt1: {a:.2} dB at w8a8, {b:.2} dB mixed at r = {:.4}", mixed.totals.bops as f64 / (network.macs * 128) as f64);
    assert!(mixed.feasible && mixed.totals.bops <= limit);
    assert!(a > 15.0 && b >= a + 10.0, "{b:.2} dB mixed, {a:.2} dB at w8a8");
}

#[test]
fn bops_are_those_of_the_imported_network() {
    for model in [RESNET8, DSCNN, RESNET20, AUTOENCODER] {
        let Some((uniform, _)) = uniform(&model) else { return };
        let (network, target) = (uniform.network, target("host"));
        assert_eq!(network.macs, model.macs, "{}", model.name);
        let costs =
            NetworkCosts::new(&network.graph, uniform.quantized.grouping, uniform.quantized.bank, OUTPUT_BITS, (&target, None), 0, false);
        let totals = costs.unwrap_or_else(|error| panic!("{error}")).totals(&uniform.quantized.assignment);
        assert_eq!(totals.bops, 64 * model.macs, "{}", model.name);
        assert_eq!(totals.latency_ns, None);
    }
}

#[test]
fn mobilenet_costs_on_bitfusion_what_the_paper_says() {
    let Some(folder) = data::folder() else { return };
    let network = MOBILENET.load(&folder);
    let zeros = vec![vec![0.5; network.sample_shape().iter().product()]];
    let target = target("bitfusion");
    let prepared = Prepared::new(&network, &target, &[candidate("w8a8"), candidate("w6a8")], &zeros, RangeRule::MinMax)
        .unwrap_or_else(|error| panic!("{error}"));
    let costs = NetworkCosts::new(&network.graph, &prepared.grouping, &prepared.bank, OUTPUT_BITS, (&target, Some(&BitFusion)), 0, false)
        .unwrap_or_else(|error| panic!("{error}"));
    let at = |text: &str| costs.totals(&vec![candidate(text); prepared.grouping.groups.len()]);
    let ms = |text: &str| at(text).latency_ns.map(|ns| format!("{:.3}", ns as f64 / 1e6));
    assert_eq!(ms("w8a8").as_deref(), Some("9.099"));
    assert_eq!(ms("w6a8").as_deref(), Some("9.028"));
    let totals = at("w8a8");
    assert_eq!(totals.energy_pj.map(|pj| format!("{:.3}", pj as f64 / 1e9)).as_deref(), Some("12.456"));
    assert_eq!(totals.cycles.map(|cycles| format!("{:.3}", cycles as f64 / 500_000.0)).as_deref(), Some("9.099"));
    assert_eq!(totals.bops, 64 * MOBILENET.macs);
    // Ten sums and the pool.
    assert_eq!(costs.not_modelled().len(), 11);
}

/// What the integers of a model must reach.
struct Wanted {
    /// Top-1 on the test samples.
    accuracy: Option<f64>,
    /// SQNR against the simulation, in dB.
    to_simulation_db: f64,
    /// SQNR against the float network, in dB.
    to_float_db: f64,
}

/// Accuracy of the integers on `samples` test samples, and how they follow simulation and float network on `compared` of them.
fn w8a8(model: &RealModel, samples: usize, compared: usize, wanted: &Wanted) {
    let Some((uniform, folder)) = uniform(model) else { return };
    let test = model.samples(&folder, uniform.network, "test", samples);
    let integers = uniform.integers(&test, Arithmetic::Native);
    if let Some(least) = wanted.accuracy {
        let accuracy = quality(&integers, test.labels(), None).accuracy_top1.expect("the data are labelled");
        println!("{}: {:.2} % top-1 on {} samples", model.name, 100.0 * accuracy, test.len());
        assert!(accuracy >= least, "{}: {accuracy}", model.name);
    }
    let few = test.take(compared);
    let simulation = CodeSimulation::new(&uniform.quantized).expect("every tensor has a quantizer");
    let simulated: Vec<Vec<f32>> =
        (0..few.len()).into_par_iter().map(|index| simulation.run(&few.to_f32(index, &uniform.preprocess))).collect();
    let float = uniform.floats(&few, &Simulation::float(&uniform.network.graph));
    let agree = integers.iter().zip(&simulated).filter(|(a, b)| top1(a) == top1(b)).count();
    let sqnr = |reference: &[Vec<f32>]| sqnr_db(reference, &integers[..few.len()]).expect("samples");
    let (to_simulation, to_float) = (sqnr(&simulated), sqnr(&float));
    println!(
        "{}: {to_simulation:.1} dB to the simulation, {to_float:.1} dB to float, {agree} of {} top-1 as simulated",
        model.name,
        few.len()
    );
    assert!(model.data.is_none() || agree * 100 >= few.len() * 99, "{}: {agree} of {}", model.name, few.len());
    assert!(to_simulation >= wanted.to_simulation_db, "{}: {to_simulation} dB", model.name);
    assert!(to_float >= wanted.to_float_db, "{}: {to_float} dB", model.name);
}

#[test]
fn resnet8_w8a8() {
    w8a8(&RESNET8, usize::MAX, 200, &Wanted { accuracy: Some(0.876), to_simulation_db: 40.0, to_float_db: 28.0 });
}

#[test]
fn dscnn_w8a8() {
    w8a8(&DSCNN, usize::MAX, 200, &Wanted { accuracy: Some(0.913), to_simulation_db: 40.0, to_float_db: 28.0 });
}

#[test]
fn resnet20_w8a8() {
    w8a8(&RESNET20, usize::MAX, 100, &Wanted { accuracy: Some(0.910), to_simulation_db: 35.0, to_float_db: 25.0 });
}

#[test]
fn mobilenet_w8a8() {
    w8a8(&MOBILENET, 32, 32, &Wanted { accuracy: None, to_simulation_db: 35.0, to_float_db: 10.0 });
}

#[test]
fn autoencoder_w8a8() {
    w8a8(&AUTOENCODER, 32, 32, &Wanted { accuracy: None, to_simulation_db: 60.0, to_float_db: 20.0 });
}

#[test]
fn every_node_of_a_real_model_is_exact() {
    for model in IMPORTABLE {
        let Some((uniform, folder)) = uniform(&model) else { return };
        let (network, graph) = (&uniform.quantized, &uniform.network.graph);
        let data = model.samples(&folder, uniform.network, "test", 1);
        // The file has a table for raw bytes; its codes are those of the formula, which takes the same values.
        let raw: Vec<f32> = data.to_f32(0, &Preprocess::identity(data.channels()));
        let run = trace(&uniform.model(), Arithmetic::Native, &raw);
        let codes = tensor_codes(graph, &uniform.lowered, &run);
        let wrong: Vec<String> = (0..graph.nodes.len())
            .into_par_iter()
            .filter_map(|index| {
                let node = &graph.nodes[index];
                let inputs: Vec<Vec<i32>> = node.inputs.iter().map(|id| codes[id.0].clone()).collect();
                let raised = uniform.lowered.raised.iter().find(|(id, _)| id.0 == index).map_or(&[][..], |(_, channels)| channels);
                let expected = exact::evaluate(network, NodeId(index), &inputs, raised);
                let written = &codes[node.output.0];
                let at =
                    expected.iter().zip(written).position(|(expected, code)| expected.is_some_and(|expected| !expected.admits(*code)))?;
                Some(format!("{}: node \"{}\": element {at} is {}, expected {:?}", model.name, node.name, written[at], expected[at]))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Raw bytes go through the table in the file, and become the codes that the formula gives for their real values.
#[test]
fn tables_for_raw_bytes_are_the_formula() {
    for model in [RESNET8, DSCNN] {
        let Some((uniform, folder)) = uniform(&model) else { return };
        let data = model.samples(&folder, uniform.network, "test", 8);
        let real: Vec<f32> = (0..data.len()).flat_map(|index| data.to_f32(index, &Preprocess::identity(data.channels()))).collect();
        let real = Dataset::new(data.sample_shape().to_vec(), Raw::F32(real), None, "real values".into())
            .unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(std::mem::discriminant(data.raw()), std::mem::discriminant(real.raw()));
        assert_eq!(uniform.integers(&data, Arithmetic::Native), uniform.integers(&real, Arithmetic::Native), "{}", model.name);
    }
}

#[test]
fn bit_bricks_compute_whole_models() {
    for (model, samples) in [(RESNET8, 2), (DSCNN, 2), (MOBILENET, 1)] {
        let Some((uniform, folder)) = uniform(&model) else { return };
        let test = model.samples(&folder, uniform.network, "test", samples);
        assert_eq!(uniform.integers(&test, Arithmetic::BitFused), uniform.integers(&test, Arithmetic::Native), "{}", model.name);
    }
}

#[test]
fn files_are_hardly_larger_than_their_weights() {
    for model in IMPORTABLE {
        let Some((uniform, _)) = uniform(&model) else { return };
        let weighted: Vec<_> = uniform.network.graph.nodes.iter().filter_map(|node| node.op.weights()).collect();
        let weights: usize = weighted.iter().map(|weights| weights.values.len()).sum();
        let outputs: usize = weighted.iter().map(|weights| weights.outputs()).sum();
        let limit = (weights + 9 * outputs) as f64 * 1.03 + 4096.0;
        let size = uniform.lowered.file.len();
        println!("{}: {size} bytes, {weights} of them weights, limit {limit:.0}", model.name);
        assert!(size >= weights && size as f64 <= limit, "{}: {size} bytes, at most {limit}", model.name);
    }
}

#[test]
fn memory_plans_hold() {
    for model in IMPORTABLE {
        let Some((uniform, _)) = uniform(&model) else { return };
        arena::check(&uniform.model()).unwrap_or_else(|problem| panic!("{}: {problem}", model.name));
        assert_eq!(uniform.model().arena_bytes(), uniform.lowered.spec.arena_bytes);
    }
}

fn options(candidates: &[&str], budgets: Vec<Budget>) -> Options {
    Options {
        candidates: candidates.iter().map(|text| candidate(text)).collect(),
        budgets,
        weight_ranges: RangeRule::Mse,
        activation_ranges: RangeRule::Mse,
        estimator: Estimator::Pooled,
        output_bits: OUTPUT_BITS,
        rounding: Rounding::Nearest,
        bias_correction: true,
        keep_softmax: false,
        seed: 0,
        layer_cache: None,
        search: apqc::assign::SearchOptions::default(),
    }
}

/// The whole pipeline at W4A8, W8A8 and W8A16 with half the BOPs of the widest.
fn mixed(model: &RealModel, folder: &Path, samples: usize, threads: usize) -> (Network, Compiled, u64) {
    let network = model.load(folder);
    let preprocess = model.preprocess(folder, &network);
    let calibration = model.samples(folder, &network, "calib", samples);
    let limit = network.macs * 64;
    let options = options(&["w4a8", "w8a8", "w8a16"], vec![Budget { quantity: Quantity::Bops, limit }]);
    let data = Data { calibration: &calibration, test: None, preprocess: &preprocess };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap_or_else(|error| panic!("{error}"));
    let compiled = pool.install(|| compile(&network, &target("host"), None, &data, &options, (&(), ""), &()));
    (network, compiled.unwrap_or_else(|error| panic!("{error}")), limit)
}

/// w * a * MAC over the nodes of a file: nothing but the file is asked.
fn bops_of_file(model: &Model<'_>) -> u64 {
    let mut bops = 0;
    for node in model.nodes() {
        let Some(weighted) = node.weighted() else { continue };
        let input = model.tensor(node.inputs[0]).expect("a checked model");
        let output = model.tensor(node.output).expect("a checked model");
        let row = match model.kernel(&node).expect("a checked model") {
            apq_runtime::Kernel::Conv(conv) => conv.window.kernel[0] * conv.window.kernel[1] * conv.input.channels / conv.groups,
            apq_runtime::Kernel::FullyConnected(layer) => layer.inputs,
            other => panic!("{other:?} has weights"),
        };
        bops += u64::from(weighted.bits.bits() * input.bits.bits()) * (output.shape.elements() * row) as u64;
    }
    bops
}

#[test]
fn half_the_bops_are_met_in_integers() {
    let Some(folder) = data::folder() else { return };
    let (network, compiled, limit) = mixed(&RESNET8, &folder, 64, 2);
    let model = Model::new_checked(&compiled.lowered.file).unwrap_or_else(|error| panic!("{error}"));
    assert!(compiled.feasible && compiled.totals.bops <= limit, "{:?}", compiled.totals);
    assert_eq!(bops_of_file(&model), compiled.totals.bops);
    assert_eq!(compiled.totals.flash_bytes, compiled.lowered.file.len() as u64);
    assert_eq!(compiled.totals.ram_bytes, model.arena_bytes() as u64);
    arena::check(&model).unwrap_or_else(|problem| panic!("{problem}"));
    // Mixed, and no worse than everything at W8A8, which costs the same.
    assert!(compiled.assignment.iter().any(|candidate| candidate.product() != 64), "{:?}", compiled.assignment);
    assert!(compiled.calibration_sqnr_db >= 20.0, "{} dB", compiled.calibration_sqnr_db);
    let test = RESNET8.samples(&folder, &network, "test", usize::MAX);
    let outputs = run_integer(&model, Arithmetic::Native, &test, || {}).unwrap_or_else(|error| panic!("{error}"));
    let accuracy = quality(&outputs, test.labels(), None).accuracy_top1.expect("the data are labelled");
    println!("mixed ResNet8: {:.2} % top-1, {:.1} dB", 100.0 * accuracy, compiled.calibration_sqnr_db);
    assert!(accuracy >= 0.865, "{accuracy}");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let Some(folder) = data::folder() else { return };
    let run = |threads: usize| -> (Vec<u8>, Vec<Sensitivity>, u64) {
        let (_, compiled, _) = mixed(&DSCNN, &folder, 24, threads);
        (compiled.lowered.file.to_vec(), compiled.list, compiled.calibration_sqnr_db.to_bits())
    };
    let first = run(1);
    assert_eq!(run(2), first, "one thread and two");
    assert_eq!(run(2), run(2), "twice on two threads");
    assert!(first.1.iter().all(|entry| entry.sqnr_db.is_finite()));
}

/// ResNet8 under budgets of SQNR: the three schemes end where the sequential one does, within the evaluations that halving allows.
#[test]
fn task_budgets_are_located_on_resnet8() {
    let Some(folder) = data::folder() else { return };
    let network = RESNET8.load(&folder);
    let preprocess = RESNET8.preprocess(&folder, &network);
    let calibration = RESNET8.samples(&folder, &network, "calib", 16);
    let data = Data { calibration: &calibration, test: None, preprocess: &preprocess };
    let options = options(&["w4a8", "w8a8", "w8a16"], Vec::new());
    let host = target("host");
    let prepared = apqc::prepare::Prepared::new(&network, &host, &data, &options, &()).unwrap_or_else(|error| panic!("{error}"));
    let list = prepared.sensitivity(options.estimator, (&(), ""), &()).unwrap_or_else(|error| panic!("{error}")).list;
    let costs = prepared.costs(None, false).unwrap_or_else(|error| panic!("{error}"));
    let problem = Problem::new(&prepared.groups, &list, &costs).unwrap_or_else(|error| panic!("{error}"));
    let curve =
        apqc::assign::curve(&problem, &costs, problem.widest(), &[], AssignBy::Greedy, &()).unwrap_or_else(|error| panic!("{error}"));
    let evaluator = Evaluator::new(&prepared, &data, true, None, &options, &()).unwrap_or_else(|error| panic!("{error}"));
    for limit in [30.0, 20.0] {
        let budgets = TaskBudgets { sqnr_db_min: Some(limit), ..TaskBudgets::default() };
        let [sequential, binary, interpolation] =
            Scheme::ALL.map(|scheme| apqc::task::search(&curve, &evaluator, &budgets, scheme).unwrap_or_else(|error| panic!("{error}")));
        let counts = [&sequential, &binary, &interpolation].map(|found| found.evaluated.len());
        println!("ResNet8, {} points, {limit} dB: point {}, evaluations {counts:?}", curve.len(), sequential.point);
        assert!(sequential.met && (1..curve.len() - 1).contains(&sequential.point));
        assert_eq!((binary.point, interpolation.point), (sequential.point, sequential.point), "{limit} dB");
        let halvings = curve.len().next_power_of_two().trailing_zeros() as usize;
        assert!(counts[1] <= halvings + 2 && counts[2] <= counts[1] && counts[0] == sequential.point + 3, "{counts:?}");
    }
}

/// A network whose every group is one that keeps codes has nothing to assign.
#[test]
fn a_network_without_groups_compiles() {
    for name in ["max-pool-alone", "transpose-last", "reshape-last"] {
        let case = apq_tests::cases::find(name);
        let network = Network::load(&case.model, name, None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
        let samples = drawn(name, network.sample_shape(), 4);
        let preprocess = Preprocess::identity(samples.channels());
        let data = Data { calibration: &samples, test: Some(&samples), preprocess: &preprocess };
        let compiled = compile(&network, &target("host"), None, &data, &options(&["w8a8", "w4a8"], Vec::new()), (&(), ""), &());
        let compiled = compiled.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(compiled.feasible && compiled.calibration_sqnr_db > 30.0, "{name}: {} dB", compiled.calibration_sqnr_db);
    }
}
