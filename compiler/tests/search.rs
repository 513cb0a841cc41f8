//! Task budgets, exact and given assignments, lookup tables and the whole curve, from outside, on the example network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The example network in a folder of its own, with a cache that all its runs share.
struct Sandbox(TempDir);

/// How a run ended.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox(tempfile::tempdir().unwrap());
        let textures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/textures");
        for name in ["textures.onnx", "textures.json", "textures.calib.npz"] {
            fs::copy(textures.join(name), sandbox.path(name)).unwrap();
        }
        // Not beside the model under its name, so that only those who ask for it evaluate it.
        fs::copy(textures.join("textures.test.npz"), sandbox.path("test.npz")).unwrap();
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, line: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc"));
        let line = line.replace("MODEL", "textures.onnx --samples 32 --target");
        command.current_dir(self.0.path()).env("XDG_CACHE_HOME", self.path("cache")).args(line.split_whitespace());
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
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn whole(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number")) as usize
}

/// The budget of that name.
fn budget<'r>(report: &'r Value, name: &str) -> &'r Value {
    report["budgets"].as_array().unwrap().iter().find(|budget| budget["name"] == name).unwrap()
}

#[test]
fn schemes_end_at_the_same_point_within_their_evaluations() {
    let sandbox = Sandbox::new();
    for task in ["--accuracy-drop 2% --search-data textures.calib.npz", "--min-sqnr 18dB"] {
        let mut sequential = None;
        let mut evaluations = Vec::new();
        for scheme in ["sequential", "binary", "interpolation"] {
            let report = sandbox.json(&format!("compile MODEL host {task} --search {scheme} -o {scheme}"), 0);
            let found = &report["search"]["task"];
            assert_eq!((&report["search"]["scheme"], &found["scheme"]), (&scheme.into(), &scheme.into()));
            let evaluated = found["evaluated"].as_array().unwrap();
            assert_eq!(whole(&report["search"]["evaluations"]), evaluated.len());
            let halvings = whole(&found["points"]).next_power_of_two().trailing_zeros() as usize;
            assert!(scheme == "sequential" || evaluated.len() <= halvings + 2, "{task} {scheme}: {found}");
            // The result is met; what it costs is what its point says.
            let point = evaluated.iter().find(|point| point["point"] == found["point"]).unwrap();
            assert_eq!((&point["met"], &point["bops"]), (&true.into(), &report["result"]["bops"]));
            // Not the widest, and its neighbour on the curve misses the budget.
            assert!(whole(&found["point"]) > 0 && whole(&found["point"]) + 1 < whole(&found["points"]), "{found}");
            let next = evaluated.iter().find(|point| whole(&point["point"]) == whole(&found["point"]) + 1).unwrap();
            assert_eq!(next["met"], false);
            assert_eq!(*sequential.get_or_insert_with(|| found["point"].clone()), found["point"], "{task} {scheme}");
            evaluations.push(evaluated.len());
        }
        assert!(evaluations[2] <= evaluations[1] && evaluations[1] <= evaluations[0], "{task}: {evaluations:?}");
    }
}

#[test]
fn accuracy_is_decided_where_the_report_says() {
    let sandbox = Sandbox::new();
    let shared = sandbox.json("compile MODEL host --accuracy-drop 1% --data test.npz -o shared", 0);
    let on = &shared["search"]["task"]["decided_on"];
    assert_eq!((&on["source"], &on["samples"]), (&"test.npz".into(), &1000.into()));
    let drop = number(&shared["fp32"]["accuracy_top1"]) - number(&shared["result"]["accuracy_top1"]);
    assert!((number(&budget(&shared, "accuracy_drop")["value"]) - drop).abs() < 1e-9 && drop <= 0.01 + 1e-12, "{drop}");
    let noted = |report: &Value| report["notes"].to_string().contains("decided on test.npz");
    assert!(noted(&shared));
    let apart = sandbox.json("compile MODEL host --accuracy-drop 1% --data test.npz --search-data textures.calib.npz -o apart", 0);
    assert_eq!(apart["search"]["task"]["decided_on"]["source"], "textures.calib.npz");
    assert!(!noted(&apart));
    let manifest: Value = serde_json::from_slice(&sandbox.bytes("apart/manifest.json")).unwrap();
    assert!(manifest["inputs"].as_array().unwrap().iter().any(|file| file["role"] == "search data"), "{manifest}");
    assert_eq!((&manifest["flags"]["accuracy_drop"], &manifest["flags"]["search"]), (&0.01.into(), &"interpolation".into()));

    sandbox.fails("compile MODEL host --accuracy-drop 1%", 2, &["labelled samples", "--min-sqnr"]);
    sandbox.fails("compile MODEL host --accuracy-drop 1", 2, &["--accuracy-drop", "1%"]);
    sandbox.fails("compile MODEL host --min-sqnr much", 2, &["--min-sqnr", "30dB"]);
    sandbox.fails("compile MODEL host --search-data test.npz", 2, &["--search-data", "--accuracy-drop"]);
    sandbox.fails("compile MODEL host --min-agreement 90% --search random", 2, &["random", "sequential", "binary", "interpolation"]);
}

#[test]
fn all_budgets_hold_together_or_the_nearest_is_written() {
    let sandbox = Sandbox::new();
    let both = sandbox.json("compile MODEL host --bops 0.45 --min-sqnr 15 --min-agreement 90% -o both", 0);
    assert!(number(&both["result"]["bops_relative"]) <= 0.45 && number(&both["result"]["sqnr_db"]) >= 15.0);
    let agreement = budget(&both, "agreement_min");
    assert!(agreement["limit"] == 0.9 && number(&agreement["value"]) >= 0.9, "{agreement}");
    assert!(both["budgets"].as_array().unwrap().iter().all(|budget| budget["met"] == true));
    let run = sandbox.run("compile MODEL host --min-sqnr 99 -o far");
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.contains("NOT FEASIBLE") && run.stdout.contains("least SQNR"), "{}", run.stdout);
    let report: Value = serde_json::from_slice(&sandbox.bytes("far/report.json")).unwrap();
    assert_eq!((&report["feasible"], &budget(&report, "sqnr_db_min")["met"]), (&false.into(), &false.into()));
    assert!(sandbox.path("far/model.apq").is_file());
    // Each can be met, but not both.
    let torn = sandbox.json("compile MODEL host --bops 0.26 --min-sqnr 30 -o torn", 1);
    assert_eq!((&budget(&torn, "bops")["met"], &budget(&torn, "sqnr_db_min")["met"]), (&true.into(), &false.into()));
}

#[test]
fn the_exact_assignment_stands_beside_the_greedy_one() {
    let sandbox = Sandbox::new();
    for (by, budgets) in [("greedy", "--bops 0.35"), ("exact", "--bops 0.35"), ("exact", "--latency 26us --flash 18KiB --ram 8KiB")] {
        let report = sandbox.json(&format!("compile MODEL bitfusion {budgets} --assign-by {by} -o out"), 0);
        let search = &report["search"];
        assert_eq!((&search["assign_by"], &search["exact"]["proved"]), (&by.into(), &true.into()));
        assert!(number(&search["exact"]["noise_db"]) <= number(&search["greedy"]["noise_db"]), "{search}");
        assert_eq!(search[by]["bops"], report["result"]["bops"]);
        assert!(report["budgets"].as_array().unwrap().iter().all(|budget| budget["met"] == true), "{}", report["budgets"]);
    }
    let none = sandbox.json("compile MODEL bitfusion --latency 1ns --assign-by exact -o out", 1);
    assert_eq!((&none["search"]["exact"]["feasible"], &none["search"]["exact"]["proved"]), (&false.into(), &true.into()));
    let curve = sandbox.json("compile MODEL host --min-sqnr 15 --assign-by exact -o out", 0);
    assert!(number(&curve["result"]["sqnr_db"]) >= 15.0);
}

#[test]
fn pruning_is_searched_with_the_widths_and_reported() {
    let sandbox = Sandbox::new();
    sandbox.fails("compile MODEL host --prune", 2, &["--prune needs a budget", "--bops"]);
    sandbox.fails("compile MODEL host --prune --bops 0.2 --assign x.toml", 2, &["--prune", "--assign"]);
    let bits = sandbox.json("compile MODEL host --bops 0.4 -o bits", 0);
    let both = sandbox.json("compile MODEL host --prune --bops 0.4 -o both", 0);
    assert!(bits.get("pruning").is_none());
    let pruning = &both["pruning"];
    let tried = pruning["tried"].as_array().unwrap();
    assert_eq!(tried.iter().filter(|one| one["chosen"] == true).count(), 1, "{pruning}");
    assert_eq!((&tried[0]["sqnr_db"], &tried[0]["bops_relative"]), (&bits["result"]["sqnr_db"], &bits["result"]["bops_relative"]));
    assert!(number(&both["result"]["sqnr_db"]) >= number(&bits["result"]["sqnr_db"]));
    assert_eq!(pruning["pruned"] == true, tried[0]["chosen"] == false);
    // The classifier reaches the output, and the report says so.
    let sets = pruning["sets"].as_array().unwrap();
    assert!(sets.last().unwrap()["kept"].as_str().unwrap().contains("output"), "{pruning}");

    // Below what bits alone reach, channels go; the layers, their shapes and the file show it.
    let pruned = sandbox.json("compile MODEL host --prune --bops 0.06 -o pruned", 0);
    assert_eq!((&pruned["pruning"]["pruned"], &pruned["feasible"]), (&true.into(), &true.into()));
    assert!(whole(&pruned["result"]["macs"]) < whole(&both["result"]["macs"]) && number(&pruned["result"]["bops_relative"]) <= 0.06);
    let narrower = pruned["pruning"]["sets"].as_array().unwrap().iter().find(|set| set["width_after"] != set["width_before"]).unwrap();
    let layer = pruned["layers"].as_array().unwrap().iter().find(|layer| layer["name"] == narrower["name"]).unwrap();
    assert_eq!(layer["output_shape"].as_array().unwrap().last(), Some(&narrower["width_after"]));
    let run = sandbox.run("inspect pruned/model.apq");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let shape: Vec<String> = layer["output_shape"].as_array().unwrap().iter().skip(1).map(Value::to_string).collect();
    assert!(run.stdout.contains(&shape.join("x")), "{} in\n{}", shape.join("x"), run.stdout);
    let manifest: Value = serde_json::from_slice(&sandbox.bytes("pruned/manifest.json")).unwrap();
    assert_eq!(manifest["flags"]["prune"], true);
}

#[test]
fn given_assignments_are_taken_as_they_are() {
    let sandbox = Sandbox::new();
    let searched = sandbox.json("compile MODEL host --bops 0.4 -o first", 0);
    let given = sandbox.json("compile MODEL host --assign first/assignment.toml -o again", 0);
    assert_eq!(sandbox.bytes("first/model.apq"), sandbox.bytes("again/model.apq"));
    assert_eq!(sandbox.bytes("first/assignment.toml"), sandbox.bytes("again/assignment.toml"));
    assert_eq!((&given["search"]["assign_by"], &given["search"]["forward_passes"]), (&"file".into(), &0.into()));
    assert_eq!(searched["result"]["sqnr_db"], given["result"]["sqnr_db"]);
    sandbox.json("compile MODEL host --assign first/assignment.toml --bops 0.3 -o again", 1);
    let judged = sandbox.json("compile MODEL host --assign first/assignment.toml --min-sqnr 99 -o again", 1);
    assert_eq!(judged["search"]["evaluations"], 1);

    let text = fs::read_to_string(sandbox.path("first/assignment.toml")).unwrap();
    let name = searched["groups"][0]["name"].as_str().unwrap().to_string();
    let start = text.find("[groups").unwrap();
    let second = start + 1 + text[start + 1..].find("[groups").unwrap();
    let write = |text: &str| fs::write(sandbox.path("a.toml"), text).unwrap();
    write(&text[second..]);
    sandbox.fails("compile MODEL host --assign a.toml", 2, &["a.toml", "no entry", &name]);
    write(&format!("{text}\n[groups.stranger]\nweight_bits = 8\nactivation_bits = 8\n"));
    sandbox.fails("compile MODEL host --assign a.toml", 2, &["a.toml", "\"stranger\"", &name]);
    let changed = |from: &str, to: &str| text[..second].replace(from, to) + &text[second..];
    let weight_bits = format!("weight_bits = {}", searched["groups"][0]["weight_bits"]);
    write(&changed(&weight_bits, "weight_bits = 5"));
    sandbox.fails("compile MODEL host --assign a.toml", 2, &["a.toml", &name, "w5a"]);
    write(&changed(&weight_bits, "weight_bits = 16"));
    sandbox.fails("compile MODEL host --assign a.toml", 3, &[&name, "w16a"]);
    write(&changed(&weight_bits, "weight = 8"));
    sandbox.fails("compile MODEL host --assign a.toml", 2, &["a.toml", "unknown field", "line"]);
    write("not toml");
    sandbox.fails("compile MODEL host --assign a.toml", 2, &["a.toml", "not an assignment"]);
    sandbox.fails("compile MODEL host --assign missing.toml", 2, &["missing.toml"]);
    sandbox.fails("compile MODEL host --assign a.toml --candidates w8a8", 2, &["--candidates"]);
}

#[test]
fn costs_come_from_the_lookup_table_that_is_given() {
    let sandbox = Sandbox::new();
    let shown = sandbox.run("lut show bitfusion --model textures.onnx --format json -q");
    fs::write(sandbox.path("table.json"), &shown.stdout).unwrap();
    let own = sandbox.json("compile MODEL bitfusion --latency 26us -o own", 0);
    let table = sandbox.json("compile MODEL bitfusion --lut table.json --latency 26us -o table", 0);
    assert_eq!(own["result"]["latency_ms"], table["result"]["latency_ms"]);
    assert_eq!(sandbox.bytes("own/model.apq"), sandbox.bytes("table/model.apq"));
    // The host has no model of latency of its own.
    let host = sandbox.json("compile MODEL host --lut table.json --candidates w4a8,w8a8 -o host", 0);
    assert!(number(&host["result"]["latency_ms"]) > 0.0);
    let manifest: Value = serde_json::from_slice(&sandbox.bytes("host/manifest.json")).unwrap();
    assert!(manifest["inputs"].as_array().unwrap().iter().any(|file| file["path"] == "table.json"), "{manifest}");
    // No entries for activations of 16 bits: named, not guessed.
    sandbox.fails("compile MODEL host --lut table.json --candidates w8a16", 3, &["table", "no entry", "w8a16"]);
    fs::write(sandbox.path("torn.json"), &shown.stdout[..shown.stdout.len() / 2]).unwrap();
    sandbox.fails("compile MODEL host --lut torn.json", 2, &["torn.json"]);
    sandbox.fails("compile MODEL host --lut missing.json", 2, &["missing.json"]);
}

#[test]
fn the_whole_curve_is_written_in_four_forms() {
    let sandbox = Sandbox::new();
    let line =
        "pareto MODEL bitfusion --cost latency --quality accuracy --data test.npz --points 3 --assign-by exact --latency 26us -o curve";
    let report = sandbox.json(line, 0);
    let points = report["points"].as_array().unwrap();
    let of = |by: &str| points.iter().filter(|point| point["assign_by"] == by).collect::<Vec<_>>();
    assert_eq!(points.len(), whole(&report["evaluations"]));
    for by in ["greedy", "exact"] {
        let own = of(by);
        assert!((2..=3).contains(&own.len()), "{by}: {} points", own.len());
        assert!(own.windows(2).all(|pair| number(&pair[0]["latency_ms"]) >= number(&pair[1]["latency_ms"])), "{by}");
    }
    let mut front = 0;
    for point in points {
        let (cost, quality) = (number(&point["latency_ms"]), number(&point["accuracy_top1"]));
        let beaten = points.iter().any(|other| {
            let (c, q) = (number(&other["latency_ms"]), number(&other["accuracy_top1"]));
            c <= cost && q >= quality && (c < cost || q > quality)
        });
        assert_eq!(point["non_dominated"], !beaten, "{point}");
        assert_eq!(point["feasible"], cost <= 0.026, "{point}");
        assert!(number(&point["sqnr_db"]) > 0.0 && number(&point["agreement"]) <= 1.0 && number(&point["arena_bytes"]) > 0.0);
        front += usize::from(!beaten);
    }
    assert!(front > 0);
    // A point compiles to what the curve says of it.
    let narrow = of("greedy").pop().unwrap();
    let widths: Vec<String> = narrow["assignment"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(group, width)| {
            let (weights, activations) = width.as_str().unwrap()[1..].split_once('a').unwrap();
            format!("[groups.\"{group}\"]\nweight_bits = {weights}\nactivation_bits = {activations}\n")
        })
        .collect();
    fs::write(sandbox.path("narrow.toml"), widths.concat()).unwrap();
    let compiled = sandbox.json("compile MODEL bitfusion --assign narrow.toml --data test.npz -o narrow", 0);
    for (of_curve, of_result) in
        [("latency_ms", "latency_ms"), ("flash_bytes", "flash_bytes"), ("sqnr_db", "sqnr_db"), ("accuracy_top1", "accuracy_top1")]
    {
        assert_eq!(narrow[of_curve], compiled["result"][of_result], "{of_curve}");
    }

    let mut names: Vec<String> =
        fs::read_dir(sandbox.path("curve")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["manifest.json", "pareto.csv", "pareto.json", "pareto.svg"]);
    assert_eq!(serde_json::from_slice::<Value>(&sandbox.bytes("curve/pareto.json")).unwrap(), report);
    let csv = String::from_utf8(sandbox.bytes("curve/pareto.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + points.len());
    let svg = String::from_utf8(sandbox.bytes("curve/pareto.svg")).unwrap();
    for text in ["latency (ms)", "top-1 accuracy (%)", "textures on bitfusion", "greedy", "exact", "meets every budget"] {
        assert!(svg.contains(text), "{text}");
    }
    let files = ["pareto.json", "pareto.csv", "pareto.svg", "manifest.json"].map(|name| sandbox.bytes(&format!("curve/{name}")));
    sandbox.json(line, 0);
    let again = ["pareto.json", "pareto.csv", "pareto.svg", "manifest.json"].map(|name| sandbox.bytes(&format!("curve/{name}")));
    assert_eq!(files, again);
}

#[test]
fn curves_refuse_what_they_cannot_show() {
    let sandbox = Sandbox::new();
    let none = sandbox.json("pareto MODEL host --points 2 --flash 1B -o curve", 1);
    assert!(none["feasible"] == false && none["points"].as_array().unwrap().len() == 2);
    let again = sandbox.run("pareto MODEL host --points 2 -o curve");
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    sandbox.fails("pareto MODEL host --cost latency", 3, &["--cost latency", "host", "--lut"]);
    sandbox.fails("pareto MODEL host --quality accuracy", 2, &["--quality accuracy", "--data"]);
    sandbox.fails("pareto MODEL host --points 1", 2, &["--points", "2 or more"]);
    sandbox.fails("pareto MODEL host --assign a.toml", 2, &["--assign"]);
}
