//! `apqc compile` and `apqc pareto` on a supernet, from outside: one with random weights, whose predictor is random too.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use apq_examples::supernet::{SIZE, images, tiny};
use apq_onnx::proto::ModelProto;
use apq_onnx::supernet::{Supernet, read};
use apq_search::Quantity;
use apq_search::evolution::{Domain, cheapest};
use apq_search::space::{Design, DesignCosts, Encoding};
use apq_targets::Target;
use apqc::assign::SearchOptions;
use apqc::compile::{Data, Options};
use apqc::data::{self, Dataset, Preprocess, Raw};
use apqc::evaluate::top1;
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;
use apqc::supernet::{Bench, FloatSubnet, Images};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use prost::Message;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A supernet with its files in a folder of its own.
struct Sandbox {
    folder: TempDir,
    supernet: Supernet,
}

/// How a run ended.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Numbers from -1 to 1, the same in each run.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let number =
        |index: u32| (index.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    (0..count as u32).map(number).collect()
}

/// A predictor that likes channels and bits, and a little of chance.
fn predictor(supernet: &Supernet, fingerprint: &str, seed: u32) -> Vec<u8> {
    const WIDTH: usize = 16;
    let dimensions = Encoding::new(supernet.space()).unwrap().dimensions();
    let scaled = |count: usize, layer: u32, scale: f32| numbers(count, layer + seed).into_iter().map(move |v| v * scale);
    let tensors: Vec<(&str, Vec<usize>, Vec<f32>)> = vec![
        ("layers.0.weight", vec![dimensions, WIDTH], scaled(dimensions * WIDTH, 1, 0.5).collect()),
        ("layers.0.bias", vec![WIDTH], vec![0.5; WIDTH]),
        ("layers.1.weight", vec![WIDTH, WIDTH], scaled(WIDTH * WIDTH, 2, 0.4).collect()),
        ("layers.1.bias", vec![WIDTH], vec![0.1; WIDTH]),
        ("layers.2.weight", vec![WIDTH, WIDTH], scaled(WIDTH * WIDTH, 3, 0.4).collect()),
        ("layers.2.bias", vec![WIDTH], vec![0.1; WIDTH]),
        ("output.weight", vec![WIDTH], scaled(WIDTH, 4, 0.5).collect()),
        ("output.bias", vec![1], vec![0.0]),
    ];
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views =
        tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let facts = json!({
        "version": 1, "space": fingerprint, "mean": 0.6, "std": 0.1, "float_points": 10, "quantized_points": 20, "pairwise": 0.5, "seed": 0,
        "supernet": "0".repeat(64)
    });
    safetensors::serialize(views, Some(HashMap::from([("apq.predictor".to_string(), facts.to_string())]))).unwrap()
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap(), supernet: read(&tiny(1).unwrap()).unwrap().unwrap() };
        fs::write(sandbox.path("supernet.onnx"), tiny(1).unwrap()).unwrap();
        fs::write(sandbox.path("supernet.json"), r#"{"mean": 40, "std": 60}"#).unwrap();
        let fingerprint = sandbox.supernet.space().fingerprint_text();
        fs::write(sandbox.path("supernet.predictor"), predictor(&sandbox.supernet, &fingerprint, 0)).unwrap();
        sandbox.npz("supernet.calib.npz", 1, 64);
        sandbox.npz("supernet.test.npz", 2, 50);
        sandbox.npz("valid.npz", 3, 40);
        sandbox
    }

    /// Images, labelled by the largest network.
    fn npz(&self, name: &str, seed: u64, count: usize) {
        let pixels = images(seed, count);
        let data = Dataset::new(vec![SIZE, SIZE, 1], Raw::U8(pixels.clone()), None, name.into()).unwrap();
        let largest = self.supernet.extract(&self.supernet.space().largest()).unwrap();
        let preprocess = Preprocess::new(vec![40.0], vec![60.0], 1).unwrap();
        let outputs = FloatSubnet::new(&largest).outputs(&Images::new(&data, &preprocess));
        let labels: Vec<i64> = outputs.iter().map(|output| top1(output) as i64).collect();
        let mut file = NpzWriter::new(File::create(self.path(name)).unwrap());
        file.add_array("x", &Array4::from_shape_vec((count, SIZE, SIZE, 1), pixels).unwrap()).unwrap();
        file.add_array("y", &Array1::from_vec(labels)).unwrap();
        file.finish().unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, line: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc"));
        command.current_dir(self.folder.path()).env("XDG_CACHE_HOME", self.path("cache")).args(line.split_whitespace());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a line that must end with `code`, and reads the JSON that it prints.
    fn json(&self, line: &str, code: i32) -> Value {
        let run = self.run(&format!("{line} --force --format json"));
        assert_eq!(run.code, code, "{line}\n{}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// Runs a line that must fail with `code`, say all of `texts` and leave nothing behind.
    fn fails(&self, line: &str, code: i32, texts: &[&str]) {
        let run = self.run(&format!("{line} -o none"));
        assert_eq!(run.code, code, "{line}\n{}", run.stderr);
        assert!(run.stdout.is_empty() && !self.path("none").exists(), "{line}\n{}", run.stdout);
        for text in texts {
            assert!(run.stderr.contains(text), "{line}: no {text:?} in\n{}", run.stderr);
        }
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn costs(&self, target: &Target) -> DesignCosts {
        let table = target.builtin_table().transpose().unwrap();
        let model = target.cost_model(table.as_ref());
        DesignCosts::new(self.supernet.space(), target, model.as_deref()).unwrap()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn chosen(report: &Value) -> &Value {
    let candidates = report["supernet"]["candidates"].as_array().unwrap();
    let mut chosen = candidates.iter().filter(|one| one["chosen"] == true);
    let (first, None) = (chosen.next().unwrap(), chosen.next()) else { panic!("several are chosen: {report}") };
    first
}

#[test]
fn the_best_design_under_a_budget_is_lowered() {
    let sandbox = Sandbox::new();
    let target = Target::builtin("bitfusion").unwrap();
    let costs = sandbox.costs(&target);
    let limit = least_latency(&costs) * 3 / 2;
    let line = format!("compile --target bitfusion --latency {limit}ns supernet.onnx --search-data valid.npz --iterations 60");
    let report = sandbox.json(&format!("{line} -o a"), 0);
    let (section, result, chosen) = (&report["supernet"], &report["result"], chosen(&report));
    assert_eq!((&section["space"], &section["validation"]["source"]), (&"tiny".into(), &"valid.npz".into()));
    assert_eq!(report["feasible"], true);
    assert_eq!(chosen["design"], section["design"]);

    // What the search believed is what the lowered file costs.
    for name in ["latency_ms", "energy_mj", "bops_relative", "flash_bytes", "arena_bytes"] {
        assert_eq!(chosen[name], result[name], "{name}");
    }
    let design: Design = serde_json::from_value(section["design"].clone()).unwrap();
    let cost = costs.cost(&design).unwrap();
    assert_eq!(result["bops"], cost.totals.bops);
    assert_eq!((&result["macs"], &result["weights_bytes"]), (&cost.macs.into(), &cost.weights_bytes.into()));
    assert!(number(&result["flash_bytes"]) <= cost.totals.flash_bytes as f64);
    // r is relative to the largest network.
    let r = cost.totals.bops as f64 / (128.0 * largest_macs(&costs) as f64);
    assert!((number(&result["bops_relative"]) - r).abs() < 1e-12, "{r}");

    // The best by measured accuracy, and no candidate is over the budget.
    let candidates = section["candidates"].as_array().unwrap();
    let best = candidates.iter().map(|one| number(&one["accuracy"])).fold(0.0, f64::max);
    assert_eq!(number(&chosen["accuracy"]), best);
    assert!(candidates.len() > 2 && candidates.iter().all(|one| number(&one["latency_ms"]) * 1e6 <= limit as f64 + 0.5));

    // The files beside it are an ordinary network with its widths.
    let again =
        "compile --target bitfusion a/subnet.onnx --calib supernet.calib.npz --preprocess supernet.json --assign a/assignment.toml -o b";
    let plain = sandbox.json(again, 0);
    assert!(plain["supernet"].is_null());
    assert_eq!(sandbox.bytes("a/model.apq"), sandbox.bytes("b/model.apq"));
    let file: Value = serde_json::from_slice(&sandbox.bytes("a/design.json")).unwrap();
    assert_eq!((&file["architecture"], &file["policy"]), (&section["design"]["architecture"], &section["design"]["policy"]));
    assert_eq!(file["fingerprint"], sandbox.supernet.space().fingerprint_text());
    let manifest: Value = serde_json::from_slice(&sandbox.bytes("a/manifest.json")).unwrap();
    assert!(manifest["inputs"].as_array().unwrap().iter().any(|file| file["role"] == "predictor"), "{manifest}");

    // Neither threads nor a second run change anything.
    sandbox.json(&format!("{line} -o c --threads 3"), 0);
    for name in ["model.apq", "subnet.onnx", "design.json", "assignment.toml", "manifest.json"] {
        assert_eq!(sandbox.bytes(&format!("a/{name}")), sandbox.bytes(&format!("c/{name}")), "{name}");
    }
}

/// Of the cheapest design, in ns.
fn least_latency(costs: &DesignCosts) -> u64 {
    cheapest(&Domain::new(costs.space(), costs.choices()).unwrap(), costs, Quantity::Latency).unwrap().1
}

fn largest_macs(costs: &DesignCosts) -> u64 {
    let architecture = costs.space().largest();
    let pair = costs.space().fixed;
    let policy = apq_search::space::uniform_policy(costs.choices(), &architecture, pair).unwrap();
    costs.cost(&Design { architecture, policy }).unwrap().macs
}

#[test]
fn a_budget_below_the_smallest_subnet_says_what_the_smallest_costs() {
    let sandbox = Sandbox::new();
    let costs = sandbox.costs(&Target::builtin("bitfusion").unwrap());
    let least_ns = least_latency(&costs);
    let report = sandbox.json(&format!("compile --target bitfusion --latency {}ns supernet.onnx --iterations 60 -o a", least_ns - 1), 1);
    let budget = &report["budgets"][0];
    assert_eq!((&budget["met"], &budget["smallest_found"]), (&false.into(), &budget["value"]));
    assert!((number(&budget["value"]) * 1e6 - least_ns as f64).abs() < 0.5, "{budget}");
    assert!(report["notes"].to_string().contains("no design of the supernet meets the budgets"), "{report}");
    assert_eq!(chosen(&report)["origin"], "nearest");
    assert!(sandbox.path("a/model.apq").is_file());
    // At the smallest it is met.
    let report =
        sandbox.json(&format!("compile --target bitfusion --latency {least_ns}ns supernet.onnx --iterations 60 --designs 1 -o a"), 0);
    assert_eq!(report["budgets"][0]["met"], true);
}

#[test]
fn bit_widths_are_refined_under_the_same_budgets() {
    let sandbox = Sandbox::new();
    let report = sandbox
        .json("compile --target cortex-m4 --bops 0.2 supernet.onnx --search-data valid.npz --refine --designs 2 --iterations 60 -o a", 0);
    assert_eq!(report["feasible"], true);
    let (refined, searched) = (&report["supernet"]["refined"], number(&chosen(&report)["accuracy"]));
    assert_eq!(refined["kept"], number(&refined["accuracy"]) >= searched);
    let file: Value = serde_json::from_slice(&sandbox.bytes("a/design.json")).unwrap();
    assert_eq!(file["policy"].is_null(), refined["kept"].as_bool().unwrap());
    assert!(number(&report["result"]["bops_relative"]) <= 0.2);
}

#[test]
fn what_is_wrong_is_named() {
    let sandbox = Sandbox::new();
    let compile = "compile --target bitfusion --latency 1ms supernet.onnx";
    sandbox.fails(&format!("{compile} --min-sqnr 20dB"), 2, &["--min-sqnr", "supernet", "subnet.onnx"]);
    sandbox.fails(&format!("{compile} --candidates w8a8"), 2, &["--candidates", "supernet"]);
    sandbox.fails(&format!("{compile} --predictor none.predictor"), 2, &["none.predictor"]);
    fs::write(sandbox.path("widths.toml"), "").unwrap();
    sandbox.fails(&format!("{compile} --assign widths.toml"), 2, &["--assign", "supernet", "subnet.onnx"]);
    fs::write(sandbox.path("other.predictor"), predictor(&sandbox.supernet, "0123456789abcdef", 0)).unwrap();
    sandbox.fails(&format!("{compile} --predictor other.predictor"), 2, &["other.predictor", "0123456789abcdef", "belongs to"]);
    fs::write(sandbox.path("broken.predictor"), "{}").unwrap();
    sandbox.fails(&format!("{compile} --predictor broken.predictor"), 2, &["broken.predictor", "safetensors"]);
    fs::remove_file(sandbox.path("supernet.predictor")).unwrap();
    sandbox.fails(compile, 2, &["supernet.predictor", "--predictor", "apqc-train predictor"]);

    // A supernet whose metadata are broken, and one whose nodes are of something else.
    let changed = |change: fn(&mut ModelProto)| {
        let mut model = ModelProto::decode(&tiny(1).unwrap()[..]).unwrap();
        change(&mut model);
        model.encode_to_vec()
    };
    fs::write(sandbox.path("broken.onnx"), changed(|model| model.metadata_props[0].value = Some("{\"version\":1}".into()))).unwrap();
    sandbox.fails("compile --target bitfusion broken.onnx", 2, &["broken.onnx", "apq.supernet", "space"]);
    let clipped_at_three = |model: &mut ModelProto| {
        let list = &mut model.graph.as_mut().unwrap().initializer;
        let constant = list.iter_mut().find(|tensor| tensor.name.as_deref() == Some("clip.max")).unwrap();
        constant.raw_data = Some(3.0_f32.to_le_bytes().into());
    };
    fs::write(sandbox.path("nodes.onnx"), changed(clipped_at_three)).unwrap();
    fs::write(sandbox.path("nodes.predictor"), predictor(&sandbox.supernet, &sandbox.supernet.space().fingerprint_text(), 0)).unwrap();
    sandbox.fails("compile --target bitfusion nodes.onnx", 2, &["nodes.onnx", "measured", "nodes.calib.npz"]);
    let calib = "--calib supernet.calib.npz --preprocess supernet.json";
    sandbox.fails(&format!("compile --target bitfusion nodes.onnx {calib}"), 2, &["nodes.onnx", "largest network", "docs/supernet.md"]);

    // An ordinary network has no use for these flags.
    fs::write(sandbox.path("plain.onnx"), sandbox.supernet.extract(&sandbox.supernet.space().smallest()).unwrap().to_onnx()).unwrap();
    sandbox.fails("compile --target bitfusion plain.onnx --refine", 2, &["--refine", "supernets"]);
}

#[test]
fn the_front_of_accuracy_and_costs_comes_in_one_run() {
    let sandbox = Sandbox::new();
    let report = sandbox
        .json("pareto --target bitfusion supernet.onnx --cost latency --points 3 --search-data valid.npz --iterations 60 -o front", 0);
    let points = report["points"].as_array().unwrap();
    assert!(points.len() > 10, "{}", points.len());
    let checked = points.iter().filter(|point| point["accuracy_top1"].is_number()).count();
    assert!((2..=3).contains(&checked), "{checked}");
    let values = |point: &Value| ["latency_ms", "energy_mj", "flash_bytes"].map(|name| number(&point[name]));
    let predicted = |point: &Value| number(&point["accuracy_predicted"]);
    for (index, a) in points.iter().enumerate() {
        let beaten = |b: &Value| predicted(b) >= predicted(a) && values(b).iter().zip(values(a)).all(|(b, a)| *b <= a);
        assert!(!points.iter().enumerate().any(|(other, b)| other != index && beaten(b)), "{a}");
    }
    let table = String::from_utf8(sandbox.bytes("front/pareto.csv")).unwrap();
    assert_eq!(table.lines().count(), points.len() + 1);
    assert!(sandbox.path("front/pareto.svg").is_file());
    let missed = sandbox.json("pareto --target bitfusion supernet.onnx --points 2 --latency 1ns --iterations 10 -o missed", 1);
    assert_eq!(missed["cost"], "latency");
    assert!(missed["points"].as_array().unwrap().iter().all(|point| point["feasible"] == false));
}

#[test]
fn a_front_says_what_it_does_not_know() {
    let sandbox = Sandbox::new();
    // RAM is known of what was lowered.
    let line = "pareto --target cortex-m4 supernet.onnx --points 3 --iterations 5 -o front";
    for (ram, code) in [("1B", 1), ("1MiB", 0)] {
        let report = sandbox.json(&format!("{line} --ram {ram}"), code);
        assert_eq!(report["feasible"], code == 0);
        let points = report["points"].as_array().unwrap();
        let (checked, others): (Vec<&Value>, Vec<&Value>) = points.iter().partition(|point| point["arena_bytes"].is_number());
        assert!(checked.len() > 1 && !others.is_empty(), "{} {}", checked.len(), others.len());
        assert!(checked.iter().all(|point| point["feasible"] == (code == 0)) && others.iter().all(|point| point["feasible"].is_null()));
        assert!(report["notes"].to_string().contains("RAM"), "{}", report["notes"]);
    }
    // Points are drawn along a cost that the front is about.
    let report = sandbox.json("pareto --target host supernet.onnx --points 3 --iterations 5 -o front", 0);
    assert_eq!(report["cost"], "bops");
    assert!(report["points"].as_array().unwrap().iter().filter(|point| point["arena_bytes"].is_number()).count() > 1);
    sandbox.fails("pareto --target cortex-m4 supernet.onnx --cost ram", 3, &["--cost ram", "lowered"]);
    sandbox.fails("pareto --target host supernet.onnx --cost latency", 3, &["--cost latency", "host", "--lut"]);
    sandbox.fails("pareto --target bitfusion supernet.onnx --quality accuracy", 2, &["--quality", "supernet"]);
}

#[test]
fn searches_are_compared_at_several_budgets() {
    let sandbox = Sandbox::new();
    let line = "search compare supernet.onnx --target bitfusion --search-data valid.npz --scratch scratch.predictor --seeds 2 --finalists 3 \
                --iterations 6 --samples 16 --rounding nearest";
    // One that knows nothing of this supernet.
    let other = predictor(&sandbox.supernet, &sandbox.supernet.space().fingerprint_text(), 8);
    fs::write(sandbox.path("scratch.predictor"), other).unwrap();
    let report = sandbox.json(&format!("{line} --budgets latency:auto bops:0.05,0.1 -o a --threads 1"), 0);
    let rows = report["budgets"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    let costs = sandbox.costs(&Target::builtin("bitfusion").unwrap());
    let (reference, mut found, mut ahead, mut transferred) = (128.0 * largest_macs(&costs) as f64, 0, 0, 0);
    for row in rows {
        let (name, limit) = (row["budget"]["name"].as_str().unwrap(), number(&row["budget"]["limit"]));
        for method in ["joint", "joint_alone", "joint_scratch", "sequential", "fixed_architecture", "random", "fixed8", "fixed6", "fixed4"]
        {
            assert!(row.as_object().unwrap().contains_key(method), "{method}");
            for seed in row[method]["seeds"].as_array().into_iter().flatten() {
                found += 1;
                assert!(number(&seed[name]) <= limit * (1.0 + 1e-9), "{method} {name} {limit}: {seed}");
                let accuracies = [&seed["accuracy_validation"], &seed["accuracy_test"]].map(number);
                assert!(accuracies.iter().all(|accuracy| (0.0..=1.0).contains(accuracy)));
                if let Ok(design) = serde_json::from_value::<Design>(seed["design"].clone()) {
                    assert_eq!(seed["bops"], costs.cost(&design).unwrap().totals.bops, "{method}");
                }
            }
        }
        let of_seed = |method: &str, seed: usize| &row[method]["seeds"][seed];
        // The sequential search's winner is among the joint search's designs.
        for seed in 0..2 {
            let accuracy = |method: &str| number(&of_seed(method, seed)["accuracy_validation"]);
            assert_eq!(accuracy("joint"), accuracy("joint_alone").max(accuracy("sequential")));
            let from_sequential = accuracy("sequential") > accuracy("joint_alone");
            assert_eq!(of_seed("joint", seed)["from_sequential"], from_sequential);
            let source = if from_sequential { "sequential" } else { "joint_alone" };
            assert_eq!(of_seed("joint", seed)["design"], of_seed(source, seed)["design"]);
            ahead += usize::from(!from_sequential);
            transferred += usize::from(of_seed("joint_alone", seed)["design"] != of_seed("joint_scratch", seed)["design"]);
        }
        assert!((number(&row["joint"]["bops_relative"]) - number(&row["joint"]["bops"]) / reference).abs() < 1e-6);
    }
    assert!(found > 7 * 8 && ahead > 0 && transferred > 0, "{found} {ahead} {transferred}");
    assert_eq!(report["ahead_of_sequential"]["latency_ms"]["pairs"], 10);

    // What counts is what a design is worth to compilation.
    let options = Options {
        candidates: sandbox.supernet.space().candidates.clone(),
        budgets: Vec::new(),
        weight_ranges: RangeRule::Mse,
        activation_ranges: RangeRule::Mse,
        estimator: apq_search::Estimator::Pooled,
        output_bits: 8,
        rounding: Rounding::Nearest,
        bias_correction: true,
        seed: 0,
        layer_cache: None,
        keep_softmax: false,
        search: SearchOptions::default(),
    };
    let load = |name: &str, limit| data::load_at_most(&sandbox.path(name), &[SIZE, SIZE, 1], limit).unwrap();
    let (calibration, validation, test) = (load("supernet.calib.npz", 16), load("valid.npz", 40), load("supernet.test.npz", 50));
    let (preprocess, target) = (Preprocess::new(vec![40.0], vec![60.0], 1).unwrap(), Target::builtin("bitfusion").unwrap());
    let of = |samples: &Dataset, design: &Design| {
        let data = Data { calibration: &calibration, test: None, preprocess: &preprocess };
        Bench::new(&sandbox.supernet, &target, data, Some(samples), &options, 1).try_out(design).unwrap().accuracy
    };
    // The target's search exclusions hold for whatever is cut out: no 4-bit activations at 7x7.
    let data = Data { calibration: &calibration, test: None, preprocess: &preprocess };
    let bench = Bench::new(&sandbox.supernet, &target, data, None, &options, 1);
    let largest = bench.extract(&sandbox.supernet.space().largest()).unwrap();
    let grouping = largest.network.group(&target, &options.candidates).unwrap();
    for group in &grouping.groups {
        let four = group.candidates.iter().any(|pair| pair.activation_bits == 4);
        assert_eq!(four, !group.name.ends_with(".depthwise"), "{}", group.name);
    }
    for seed in [&rows[1]["joint"]["seeds"][0], &rows[4]["sequential"]["seeds"][1]] {
        let design: Design = serde_json::from_value(seed["design"].clone()).unwrap();
        assert_eq!(of(&validation, &design), seed["accuracy_validation"].as_f64());
        assert_eq!(of(&test, &design), seed["accuracy_test"].as_f64());
    }

    // Files, and no influence of threads.
    let lines = String::from_utf8(sandbox.bytes("a/compare.csv")).unwrap().lines().count();
    assert_eq!(lines, found + 1);
    for name in ["compare-latency.svg", "compare-bops.svg"] {
        assert!(String::from_utf8(sandbox.bytes(&format!("a/{name}"))).unwrap().contains("</svg>"), "{name}");
    }
    sandbox.json(&format!("{line} --budgets latency:auto bops:0.05,0.1 -o b --threads 3"), 0);
    assert_eq!(sandbox.bytes("a/compare.csv"), sandbox.bytes("b/compare.csv"));

    // Nothing meets the first budget.
    let report = sandbox.json(&format!("{} --budgets latency:1ns,1s -o d", line.replace("--seeds 2", "--seeds 1")), 0);
    assert!(report["budgets"][0]["joint"].is_null() && !report["budgets"][1]["joint"].is_null());
    assert!(report["notes"].to_string().contains("the smallest is"), "{}", report["notes"]);
    assert!(report["notes"].to_string().contains("another supernet"), "{}", report["notes"]);
    sandbox.fails(&format!("{line} --budgets latency:auto --ram 1MiB"), 2, &["--ram", "apqc compile"]);
    let leak = line.replace("valid.npz", "supernet.test.npz");
    sandbox.fails(&format!("{leak} --budgets latency:auto"), 2, &["test samples", "--search-data"]);
    sandbox.fails(&format!("{line} --budgets latency:5"), 2, &["--budgets", "unit"]);
    sandbox.fails(&format!("{line} --budgets speed:5"), 2, &["--budgets", "latency:auto"]);
    sandbox.fails(&format!("{} --budgets latency:auto", line.replace("bitfusion", "host")), 3, &["latency is not modelled"]);
    fs::write(sandbox.path("plain.onnx"), sandbox.supernet.extract(&sandbox.supernet.space().smallest()).unwrap().to_onnx()).unwrap();
    sandbox.fails("search compare plain.onnx --target bitfusion", 2, &["ordinary network", "docs/supernet.md"]);
}

#[test]
fn a_budget_for_ram_is_searched() {
    let sandbox = Sandbox::new();
    let line = "compile --target cortex-m4 supernet.onnx --search-data valid.npz --designs 2 --iterations 40 -o a";
    let arena = |report: &Value| number(&report["result"]["arena_bytes"]);
    let free = arena(&sandbox.json(line, 0));
    let limit = (free * 0.6) as u64;
    let report = sandbox.json(&format!("{line} --ram {limit}B"), 0);
    assert!(arena(&report) <= limit as f64 && report["feasible"] == true, "{} of {limit}, without a budget {free}", arena(&report));
    let not_proven = |report: &Value| !report["notes"].to_string().contains("no design of the supernet");
    let missed = sandbox.json(&format!("{line} --ram 64B"), 1);
    let least = arena(&missed);
    assert_eq!((&missed["budgets"][0]["met"], number(&missed["budgets"][0]["smallest_found"])), (&false.into(), least));
    assert!(not_proven(&missed) && missed["notes"].to_string().contains("their smallest arena"), "{}", missed["notes"]);
    // Whatever was found once is found again, and is not called the nearest to what it meets.
    for limit in [free - 1.0, (free + least) / 2.0, (free + 7.0 * least) / 8.0, least] {
        let report = sandbox.json(&format!("{line} --ram {}B", limit as u64), 0);
        assert!(arena(&report) <= limit && not_proven(&report), "{limit}: {}", report["notes"]);
        let met = report["supernet"]["candidates"].as_array().unwrap().iter().filter(|one| one["feasible"] == true);
        let best = met.map(|one| number(&one["accuracy"])).fold(0.0, f64::max);
        assert_eq!(number(&chosen(&report)["accuracy"]), best);
    }
}
