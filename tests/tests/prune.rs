//! Channel pruning together with bit widths: what it reaches where bits alone do not, that it is never worse than bits alone on the calibration samples,
//! and that its costs are those of the network that is lowered.

use apq_examples::onnx::{Dim, GraphBuilder};
use apq_runtime::{Arithmetic, Model};
use apq_search::{Budget, Estimator, Quantity};
use apq_targets::Target;
use apq_tests::data::{self, RESNET20, drawn};
use apq_tests::random;
use apqc::assign::SearchOptions;
use apqc::compile::{Compiled, Data, Options, compile};
use apqc::cost::REFERENCE_BITS;
use apqc::data::{Dataset, Preprocess};
use apqc::evaluate::{quality, run_integer};
use apqc::network::Network;
use apqc::prune::costs::{PrunedDesign, PruningCosts};
use apqc::prune::sets::Prunable;
use apqc::prune::{self, Job, Outcome, Unpruned};
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;
use apqc::task::{TaskBudgets, TaskOptions};

const SIDE: usize = 8;
const WIDTH: usize = 32;

/// A residual network over `[3, SIDE, SIDE]` whose layers have [`WIDTH`] channels. All but the first `used` of each are heard at a twentieth of these.
fn network(used: usize) -> Network {
    let mut graph = GraphBuilder::new(13);
    let batch = Dim::Symbol("N");
    graph.input("input", &[batch, 3.into(), SIDE.into(), SIDE.into()]);
    let loud = |channel: usize| if channel < used { 1.0 } else { 0.05 };
    let layer = |graph: &mut GraphBuilder, name: &str, input: &str, inputs: usize, kernel: usize| {
        let (taps, output) = (kernel * kernel, format!("{name}.relu"));
        let mut weights = random::samples(name, WIDTH * inputs * taps, 1).concat();
        for (place, weight) in weights.iter_mut().enumerate() {
            let (row, column) = (place / (inputs * taps), place % (inputs * taps) / taps);
            *weight *= (2.0 / (inputs * taps) as f32).sqrt() * loud(row) * if inputs == 3 { 1.0 } else { loud(column) };
        }
        let weight = format!("{name}.w");
        let pad = (kernel / 2) as i64;
        graph.initializer(&weight, &[WIDTH, inputs, kernel, kernel], &weights);
        graph.node("Conv", name, &[input, &weight], &[name], &[("pads", [pad; 4].into())]);
        graph.node("Relu", &output, &[name], &[&output], &[]);
    };
    layer(&mut graph, "stem", "input", 3, 3);
    layer(&mut graph, "a", "stem.relu", WIDTH, 3);
    layer(&mut graph, "b", "a.relu", WIDTH, 3);
    graph.node("Add", "sum", &["b.relu", "stem.relu"], &["sum"], &[]);
    layer(&mut graph, "c", "sum", WIDTH, 1);
    let weights = random::samples("classifier", 5 * WIDTH, 1).concat();
    graph.node("GlobalAveragePool", "pool", &["c.relu"], &["pool"], &[]).node("Flatten", "flat", &["pool"], &["flat"], &[]);
    graph.initializer("classifier.w", &[5, WIDTH], &weights);
    graph.node("Gemm", "classifier", &["flat", "classifier.w"], &["output"], &[("transB", 1.into())]).output("output", &[batch, 5.into()]);
    Network::load(&graph.to_bytes(), "small", None, |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"))
}

fn options(budgets: Vec<Budget>, task: TaskBudgets) -> Options {
    Options {
        candidates: ["w4a8", "w8a8"].iter().filter_map(|text| text.parse().ok()).collect(),
        budgets,
        weight_ranges: RangeRule::Mse,
        activation_ranges: RangeRule::Mse,
        estimator: Estimator::Pooled,
        output_bits: 8,
        rounding: Rounding::Descent,
        bias_correction: true,
        keep_softmax: false,
        seed: 0,
        layer_cache: None,
        search: SearchOptions { task: TaskOptions { budgets: task, ..TaskOptions::default() }, ..SearchOptions::default() },
    }
}

fn bops(network: &Network, relative: f64) -> Budget {
    Budget { quantity: Quantity::Bops, limit: (relative * (network.macs * REFERENCE_BITS) as f64) as u64 }
}

fn target(name: &str) -> Target {
    Target::builtin(name).unwrap_or_else(|error| panic!("{error}"))
}

/// Compiles with pruning and without.
fn both(network: &Network, name: &str, calibration: &Dataset, preprocess: &Preprocess, options: &Options) -> (Outcome, Compiled) {
    let (target, data) = (target(name), Data { calibration, test: None, preprocess });
    let model = target.cost_model(None);
    let model = model.as_deref();
    let job = Job { network, target: &target, model, data: &data, options, store: (&(), ""), progress: &() };
    let outcome = prune::compile(&job).unwrap_or_else(|error| panic!("{error}"));
    let plain = compile(network, &target, model, &data, options, (&(), ""), &()).unwrap_or_else(|error| panic!("{error}"));
    (outcome, plain)
}

/// What holds of every outcome.
fn check(network: &Network, outcome: &Outcome, plain: &Compiled) {
    let (pruning, compiled) = (&outcome.pruning, &outcome.compiled);
    let first = &pruning.tried[0];
    assert_eq!((first.sqnr_db, first.totals, first.feasible), (plain.calibration_sqnr_db, plain.totals, plain.feasible));
    let chosen = &pruning.tried[pruning.chosen];
    assert_eq!((chosen.sqnr_db, chosen.totals, chosen.feasible), (compiled.calibration_sqnr_db, compiled.totals, compiled.feasible));
    assert!(compiled.feasible || !plain.feasible);
    for set in &pruning.sets {
        assert!(set.width_after == set.width_before || set.kept.is_none() && set.width_after.is_multiple_of(8), "{set:?}");
    }
    assert_eq!(outcome.network.is_some(), pruning.chosen != 0);
    let model = Model::new_checked(&compiled.lowered.file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(model.arena_bytes() as u64, compiled.totals.ram_bytes);
    match &outcome.network {
        None => assert_eq!(*compiled.lowered.file, *plain.lowered.file),
        Some(pruned) => {
            assert!(pruned.graph.total_macs() < network.macs && pruned.macs == network.macs);
            assert_eq!(pruned.imported(), &network.graph);
        }
    }
}

fn calibration(count: usize) -> (Dataset, Preprocess) {
    (drawn("calibration", &[SIDE, SIDE, 3], count), Preprocess::identity(3))
}

#[test]
fn pruning_meets_budgets_that_bits_alone_cannot() {
    let network = network(8);
    let (calibration, preprocess) = calibration(24);
    // W4A8 everywhere is 0.25.
    let (outcome, plain) = both(&network, "host", &calibration, &preprocess, &options(vec![bops(&network, 0.1)], TaskBudgets::default()));
    check(&network, &outcome, &plain);
    assert!(!plain.feasible && outcome.compiled.feasible);
    assert!(outcome.compiled.calibration_sqnr_db > 12.0, "{} dB", outcome.compiled.calibration_sqnr_db);
    let chosen = &outcome.pruning.tried[outcome.pruning.chosen];
    let worth = chosen.float.expect("the pruned network");
    assert!(worth.fitted > worth.zeroed && worth.held_out <= worth.fitted + 1.0, "{worth:?}");
}

#[test]
fn pruning_is_never_worse_than_bits_alone() {
    for (used, relative) in [(WIDTH, 0.4), (WIDTH, 0.26), (8, 0.26)] {
        let network = network(used);
        let (calibration, preprocess) = calibration(16);
        let budgets = vec![bops(&network, relative)];
        let (outcome, plain) = both(&network, "host", &calibration, &preprocess, &options(budgets, TaskBudgets::default()));
        check(&network, &outcome, &plain);
        assert!(outcome.compiled.calibration_sqnr_db >= plain.calibration_sqnr_db, "{used} channels, {relative}");
        // Where every channel matters, eight bits each are worth more than the channels beside them.
        assert!(used != WIDTH || relative < 0.4 || outcome.network.is_none());
    }
}

#[test]
fn costs_of_designs_are_those_of_the_lowered_network() {
    let network = network(8);
    let (calibration, preprocess) = calibration(12);
    let unlimited = options(vec![bops(&network, 1.0)], TaskBudgets::default());
    let widest = both(&network, "bitfusion", &calibration, &preprocess, &unlimited).1;
    let limit = widest.totals.latency_ns.expect("modelled") / 3;
    let budget = Budget { quantity: Quantity::Latency, limit };
    let (outcome, plain) = both(&network, "bitfusion", &calibration, &preprocess, &options(vec![budget], TaskBudgets::default()));
    check(&network, &outcome, &plain);
    let chosen = &outcome.pruning.tried[outcome.pruning.chosen];
    assert!(outcome.network.is_some(), "a third of the latency without pruning?");
    let prunable = Prunable::new(&network.graph);
    let unpruned = Unpruned {
        grouping: plain.grouping.clone(),
        list: plain.list.clone(),
        widest: plain.widest.clone(),
        assignment: plain.assignment.clone(),
        totals: plain.totals,
        weights_bytes: plain.node_costs.iter().flatten().map(|cost| cost.weights_bytes).sum(),
    };
    let target = target("bitfusion");
    let model = target.cost_model(None);
    let mut costs = PruningCosts::new((&network.graph, &prunable), &unpruned, (&target, model.as_deref()), false);
    let design = PrunedDesign { widths: chosen.widths.clone(), bits: outcome.compiled.assignment.clone() };
    let totals = costs.totals(&design).unwrap_or_else(|error| panic!("{error}"));
    let real = outcome.compiled.totals;
    assert_eq!((totals.bops, totals.latency_ns, totals.energy_pj), (real.bops, real.latency_ns, real.energy_pj));
    assert!(totals.flash_bytes >= real.flash_bytes);
}

#[test]
fn under_a_task_budget_channels_go_as_long_as_it_is_met() {
    let network = network(8);
    let (calibration, preprocess) = calibration(16);
    let task = TaskBudgets { sqnr_db_min: Some(12.0), ..TaskBudgets::default() };
    let (outcome, plain) = both(&network, "host", &calibration, &preprocess, &options(Vec::new(), task));
    check(&network, &outcome, &plain);
    assert!(plain.feasible && outcome.compiled.feasible && outcome.compiled.calibration_sqnr_db >= 12.0);
    assert!(2 * outcome.compiled.totals.bops < plain.totals.bops, "{} of {}", outcome.compiled.totals.bops, plain.totals.bops);
}

#[test]
fn a_fit_to_few_samples_is_not_believed() {
    // With two samples a fit can give their outputs whatever channels are left; bits alone must win where they meet the budget.
    let network = network(WIDTH);
    let (calibration, preprocess) = calibration(2);
    let budgets = vec![bops(&network, 0.26)];
    let (outcome, plain) = both(&network, "host", &calibration, &preprocess, &options(budgets, TaskBudgets::default()));
    check(&network, &outcome, &plain);
    for tried in outcome.pruning.tried.iter().skip(1) {
        let worth = tried.float.expect("a pruned network");
        assert!(tried.judged_sqnr_db <= tried.sqnr_db && tried.judged_sqnr_db <= worth.held_out.max(tried.sqnr_db), "{worth:?}");
    }
    assert!(outcome.network.is_none());
    let (outcome, _) =
        both(&network, "host", &self::calibration(1).0, &preprocess, &options(vec![bops(&network, 0.1)], TaskBudgets::default()));
    assert_eq!(outcome.pruning.tried.len(), 1);
}

#[test]
fn a_task_budget_that_unfitted_samples_miss_is_missed() {
    // No bits alone meet the first budget; of the pruned network that does, the second asks more than the samples say that judge its fit.
    let network = network(WIDTH);
    let (calibration, preprocess) = calibration(6);
    let budgets = vec![bops(&network, 0.1)];
    let (free, _) = both(&network, "host", &calibration, &preprocess, &options(budgets.clone(), TaskBudgets::default()));
    let chosen = &free.pruning.tried[free.pruning.chosen];
    assert!(free.compiled.feasible && chosen.judged_sqnr_db < chosen.sqnr_db, "{chosen:?}");
    let between = |part: f64| chosen.judged_sqnr_db + part * (chosen.sqnr_db - chosen.judged_sqnr_db);
    let task = TaskBudgets { sqnr_db_min: Some(between(0.5)), ..TaskBudgets::default() };
    let (outcome, plain) = both(&network, "host", &calibration, &preprocess, &options(budgets, task));
    check(&network, &outcome, &plain);
    let (pruning, compiled) = (&outcome.pruning, &outcome.compiled);
    assert!(pruning.misses_unfitted && !compiled.feasible, "{:?}", pruning.tried[pruning.chosen]);
    assert!(compiled.calibration_sqnr_db >= between(0.5) && !pruning.tried[pruning.chosen].feasible);
}

#[test]
fn resnet20() {
    let Some(folder) = data::folder() else { return };
    let network = RESNET20.load(&folder);
    let prunable = Prunable::new(&network.graph);
    let widths: Vec<(usize, usize, bool)> = prunable.sets.iter().map(|set| (set.width(), set.makers.len(), set.kept.is_none())).collect();
    println!("{widths:?}");
    let preprocess = RESNET20.preprocess(&folder, &network);
    let calibration = RESNET20.samples(&folder, &network, "calib", 16);
    let options = options(vec![bops(&network, 0.2)], TaskBudgets::default());
    let (outcome, plain) = both(&network, "host", &calibration, &preprocess, &options);
    check(&network, &outcome, &plain);
    assert!(outcome.compiled.feasible && !plain.feasible);
    let test = RESNET20.samples(&folder, &network, "test", 1000);
    let file = Model::new_checked(&outcome.compiled.lowered.file).unwrap_or_else(|error| panic!("{error}"));
    let outputs = run_integer(&file, Arithmetic::Native, &test, || ()).unwrap_or_else(|error| panic!("{error}"));
    let accuracy = quality(&outputs, test.labels(), None).accuracy_top1.expect("the data are labelled");
    println!("{:.2} % top-1 on {} samples", 100.0 * accuracy, test.len());
    assert!(accuracy >= 0.88, "{accuracy}");
    for tried in &outcome.pruning.tried {
        println!("{:?}: {:.2} dB, {:?}", tried.widths, tried.sqnr_db, tried.float);
    }
}
