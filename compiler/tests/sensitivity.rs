//! `apqc sensitivity` from outside: shards, merging, refusals, and a run that is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use apq_examples::onnx::{Dim, GraphBuilder};
use serde_json::Value;
use tempfile::TempDir;

struct Sandbox {
    folder: TempDir,
}

const CLASSES: usize = 4;

/// Weights that look random, the same everywhere.
fn weights(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

/// Three convolutions, a sum and a classifier over `[3, side, side]`.
fn model(side: usize, seed: u32) -> Vec<u8> {
    let mut graph = GraphBuilder::new(13);
    let pads = || ("pads", [1, 1, 1, 1].into());
    graph
        .input("image", &[Dim::Symbol("N"), 3.into(), side.into(), side.into()])
        .initializer("w1", &[8, 3, 3, 3], &weights(8 * 3 * 9, seed))
        .initializer("w2", &[8, 8, 3, 3], &weights(8 * 8 * 9, 2))
        .initializer("w3", &[8, 8, 3, 3], &weights(8 * 8 * 9, 3))
        .initializer("w4", &[CLASSES, 8], &weights(CLASSES * 8, 4))
        .node("Conv", "first", &["image", "w1"], &["c1"], &[pads()])
        .node("Relu", "relu1", &["c1"], &["r1"], &[])
        .node("Conv", "second", &["r1", "w2"], &["c2"], &[pads()])
        .node("Add", "sum", &["c2", "r1"], &["s"], &[])
        .node("Conv", "third", &["s", "w3"], &["c3"], &[pads()])
        .node("GlobalAveragePool", "pool", &["c3"], &["p"], &[])
        .node("Flatten", "flatten", &["p"], &["f"], &[])
        .node("Gemm", "classifier", &["f", "w4"], &["logits"], &[("transB", 1.into())])
        .output("logits", &[Dim::Symbol("N"), CLASSES.into()]);
    graph.to_bytes()
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        fs::write(sandbox.path("net.onnx"), model(8, 1)).unwrap();
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc"));
        command.current_dir(self.folder.path()).env("XDG_CACHE_HOME", self.path("cache")).args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a line that must succeed.
    fn done(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a line that must fail with `code` and say all of `texts`.
    fn fails(&self, line: &str, code: i32, texts: &[&str]) {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}\n{said}");
        texts.iter().for_each(|text| assert!(said.contains(text), "{line}: no {text:?} in\n{said}"));
    }
}

const LIST: &str = "sensitivity net.onnx --target host --candidates w4a8,w8a8,w8a16 --samples 24 -q";

#[test]
fn four_shards_give_the_bytes_of_one_run() {
    let sandbox = Sandbox::new();
    sandbox.done(&format!("{LIST} -o whole.json --threads 1"));
    for index in 1..=4 {
        sandbox.done(&format!("{LIST} -o part{index}.json --shard {index}/4 --threads 2"));
    }
    // The cache has the whole list, so that merging is not what is compared with itself.
    sandbox.done(&format!("{LIST} -o again.json --cache other"));
    sandbox.done("sensitivity merge part3.json part1.json part4.json part2.json -o merged.json -q");
    assert_eq!(sandbox.read("merged.json"), sandbox.read("whole.json"));
    assert_eq!(sandbox.read("again.json"), sandbox.read("whole.json"));
    // Nothing is written over unless that is asked for.
    fs::write(sandbox.path("kept.json"), "mine").unwrap();
    let merge = "sensitivity merge part1.json part2.json part3.json part4.json -q -o kept.json";
    for line in [merge, &format!("{LIST} -o kept.json")] {
        sandbox.fails(line, 2, &["kept.json is there already", "--force"]);
        assert_eq!(sandbox.read("kept.json"), b"mine");
        sandbox.done(&format!("{line} --force"));
        assert_eq!(sandbox.read("kept.json"), sandbox.read("whole.json"));
        fs::write(sandbox.path("kept.json"), "mine").unwrap();
    }
    let list: Value = serde_json::from_slice(&sandbox.read("whole.json")).unwrap();
    assert_eq!(list["entries"].as_array().unwrap().len() as u64, list["total"].as_u64().unwrap());
    // Each part has entries of its own.
    let part: Value = serde_json::from_slice(&sandbox.read("part2.json")).unwrap();
    assert!(!part["entries"].as_array().unwrap().is_empty() && part["shard"]["index"] == 2);

    // A part that is missing, twice, or of another list is named.
    sandbox.fails("sensitivity merge part1.json part2.json part4.json", 2, &["part 3 of 4 is missing"]);
    sandbox.fails("sensitivity merge part1.json part2.json part2.json", 2, &["part2.json and part2.json are both part 2 of 4"]);
    sandbox.fails("sensitivity merge part1.json whole.json", 2, &["whole.json is a whole list"]);
    sandbox.fails("sensitivity merge net.onnx", 2, &["net.onnx", "not a sensitivity list"]);
    let text = String::from_utf8(sandbox.read("part4.json")).unwrap();
    let total = format!("\"total\": {}", list["total"]);
    let own_name = format!("\"model\": {}", list["model"]);
    for (old, new, said) in [
        (own_name.as_str(), "\"model\": \"other\"", "their model's name"),
        ("\"samples\": 24", "\"samples\": 23", "their number of samples (24 against 23)"),
        (&total, "\"total\": 99", "their number of entries"),
        ("\"count\": 4", "\"count\": 5", "their number of parts (4 against 5)"),
    ] {
        assert!(text.contains(old), "{text}");
        fs::write(sandbox.path("changed.json"), text.replacen(old, new, 1)).unwrap();
        sandbox.fails("sensitivity merge part1.json part2.json part3.json changed.json", 2, &["changed.json does not belong", said]);
    }
    let damaged = String::from_utf8(sandbox.read("part3.json")).unwrap().replacen("\"place\": 2", "\"place\": 1", 1);
    fs::write(sandbox.path("damaged.json"), &damaged).unwrap();
    sandbox.fails("sensitivity merge part1.json part2.json damaged.json part4.json", 2, &["its parts have", "entries"]);
    sandbox.done("sensitivity net.onnx --target host --candidates w4a8,w8a8,w8a16 --samples 20 -q --shard 4/4 -o other.json");
    sandbox.fails(
        "sensitivity merge part1.json part2.json part3.json other.json",
        2,
        &["other.json does not belong to part1.json", "calibration samples"],
    );
    fs::write(sandbox.path("net.onnx"), model(8, 9)).unwrap();
    sandbox.done(&format!("{LIST} -o foreign.json --shard 4/4"));
    sandbox.fails("sensitivity merge part1.json part2.json part3.json foreign.json", 2, &["foreign.json does not belong", "model"]);
    for wrong in ["0/4", "5/4", "1", "a/b", "1/0"] {
        sandbox.fails(&format!("{LIST} --shard {wrong}"), 2, &["--shard", "1/4"]);
    }
}

#[test]
fn a_given_list_is_taken_and_another_models_is_refused() {
    let sandbox = Sandbox::new();
    let flags = "--target host --candidates w4a8,w8a8,w8a16 --samples 24 -q";
    sandbox.done(&format!("{LIST} -o list.json"));
    sandbox.done(&format!("compile net.onnx {flags} --bops 0.4 -o own --cache none"));
    sandbox.done(&format!("compile net.onnx {flags} --bops 0.4 -o given --cache nothing --list list.json"));
    assert_eq!(sandbox.read("own/model.apq"), sandbox.read("given/model.apq"));
    let report: Value = serde_json::from_slice(&sandbox.read("given/report.json")).unwrap();
    assert!(!sandbox.path("nothing").exists(), "nothing was measured");
    assert!(report["notes"].to_string().contains("list.json"));
    sandbox.fails("compile net.onnx --target host --list list.json --assign own/assignment.toml", 2, &["--assign", "--list"]);

    let refused = |flags: &str, texts: &[&str]| {
        sandbox.fails(&format!("compile net.onnx --target host --candidates w4a8,w8a8,w8a16 -o x --list {flags}"), 2, texts);
        assert!(!sandbox.path("x").exists());
    };
    refused("list.json --samples 20", &["list.json", "calibration samples"]);
    refused("list.json --samples 24 --weight-ranges kl", &["list.json", "range rules"]);
    refused("none.json --samples 24", &["none.json"]);
    sandbox.done(&format!("{LIST} -o part.json --shard 1/2"));
    refused("part.json --samples 24", &["part 1 of 2"]);
    // One digit of a value, and one of what the list depends on.
    let text = String::from_utf8(sandbox.read("list.json")).unwrap();
    let bits = text.find("\"bits\": \"40").unwrap() + "\"bits\": \"40".len();
    fs::write(
        sandbox.path("changed.json"),
        format!("{}{}{}", &text[..bits], if &text[bits..=bits] == "3" { "4" } else { "3" }, &text[bits + 1..]),
    )
    .unwrap();
    refused("changed.json --samples 24", &["changed.json", "damaged"]);
    fs::write(sandbox.path("changed.json"), text.replacen("\"seed\": 0", "\"seed\": 1", 1)).unwrap();
    refused("changed.json --samples 24", &["changed.json", "hash"]);
    fs::write(sandbox.path("net.onnx"), model(8, 9)).unwrap();
    refused("list.json --samples 24", &["list.json", "model"]);
    sandbox.fails(&format!("{LIST} --list list.json"), 2, &["--list"]);
}

/// Labelled samples.
fn labelled(sandbox: &Sandbox, name: &str, count: usize, classes: usize) {
    let pixels = weights(count * 8 * 8 * 3, 11);
    let x = ndarray::Array4::from_shape_fn((count, 8, 8, 3), |(n, h, w, c)| pixels[((n * 8 + h) * 8 + w) * 3 + c] * 4.0);
    let mut npz = ndarray_npy::NpzWriter::new(fs::File::create(sandbox.path(name)).unwrap());
    npz.add_array("x", &x).unwrap();
    if classes > 0 {
        npz.add_array("y", &ndarray::Array1::from_shape_fn(count, |n| (n % classes) as i64)).unwrap();
    }
    npz.finish().unwrap();
}

#[test]
fn metrics_and_their_agreement() {
    let sandbox = Sandbox::new();
    labelled(&sandbox, "calib.npz", 32, 0);
    labelled(&sandbox, "labelled.npz", 32, CLASSES);
    labelled(&sandbox, "wrong.npz", 32, CLASSES + 1);
    let list = |flags: &str, name: &str| sandbox.done(&format!("{LIST} --calib calib.npz {flags} -o {name}"));
    for estimator in ["pooled", "paper", "db"] {
        list(&format!("--sqnr {estimator}"), &format!("{estimator}.json"));
    }
    list("--metric accuracy --data labelled.npz", "accuracy.json");
    list("--metric fit", "fit.json");
    let table = list("--metric fit --data labelled.npz", "labelled-fit.json");
    assert!(table.contains("FIT") && table.contains("first"), "{table}");
    sandbox.fails(&format!("{LIST} --calib calib.npz --metric accuracy"), 2, &["calib.npz", "labels", "--data"]);
    sandbox.fails(&format!("{LIST} --calib calib.npz --metric accuracy --data wrong.npz"), 2, &["wrong.npz", "label 4"]);
    // Missing labels are said before the network runs, which here is said to overflow.
    let mut npz = ndarray_npy::NpzWriter::new(fs::File::create(sandbox.path("huge.npz")).unwrap());
    npz.add_array("x", &ndarray::Array4::from_elem((24, 8, 8, 3), f32::MAX)).unwrap();
    npz.finish().unwrap();
    sandbox.fails(&format!("{LIST} --calib huge.npz"), 2, &["not finite"]);
    sandbox.fails(&format!("{LIST} --calib huge.npz --metric accuracy"), 2, &["huge.npz", "labels"]);

    let compared: Value =
        serde_json::from_str(&sandbox.done(
            "sensitivity compare pooled.json pooled.json paper.json db.json fit.json labelled-fit.json accuracy.json --format json -q",
        ))
        .unwrap();
    // Accuracies may all be equal, which has no order.
    let tau: Vec<f64> = compared["lists"].as_array().unwrap().iter().map(|list| list["tau_b"].as_f64().unwrap_or(0.0)).collect();
    assert_eq!(tau[0], 1.0);
    assert!(tau[1..4].iter().all(|tau| *tau > 0.5), "{tau:?}");
    assert_eq!(compared["lists"][5]["metric"], "accuracy");
    assert!(sandbox.done("sensitivity compare pooled.json fit.json").contains("tau-b"));
    sandbox.fails("sensitivity compare pooled.json", 2, &["2 values"]);

    // Fractions of 32 samples.
    let accuracy: Value = serde_json::from_slice(&sandbox.read("accuracy.json")).unwrap();
    for entry in accuracy["entries"].as_array().unwrap() {
        let hits = entry["value"].as_f64().unwrap() * 32.0;
        assert!(hits.fract() == 0.0 && (0.0..=32.0).contains(&hits), "{entry}");
    }
    // What a list holds is what the report names. Accuracies do not add up.
    let compile = "compile net.onnx --target host --candidates w4a8,w8a8,w8a16 --samples 24 --calib calib.npz --bops 0.4 --list";
    sandbox.fails(
        &format!("{compile} accuracy.json --assign-by exact -o x"),
        2,
        &["--assign-by exact", "accuracy.json", "--assign-by greedy"],
    );
    for (metric, name, others) in [("accuracy", "accuracy_top1", ["sqnr_db", "fit_db"]), ("fit", "fit_db", ["sqnr_db", "accuracy_top1"])] {
        let text = sandbox.done(&format!("{compile} {metric}.json -o {metric}"));
        assert!(text.to_lowercase().contains(&format!("most sensitive groups ({metric} ")), "{text}");
        let report: Value = serde_json::from_slice(&sandbox.read(&format!("{metric}/report.json"))).unwrap();
        for group in report["groups"].as_array().unwrap() {
            assert!(!group[name].as_object().unwrap().is_empty() && others.iter().all(|other| group.get(other).is_none()), "{group}");
        }
        let search = &report["search"];
        assert_eq!(search.get("exact").is_some(), metric == "fit", "{search}");
        assert_eq!(search["greedy"].get("noise_db").is_some(), metric == "fit", "{search}");
        assert_eq!(search["greedy"]["feasible"], true);
    }
    list("--sqnr pooled", "list.csv");
    let csv = String::from_utf8(sandbox.read("list.csv")).unwrap();
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows[0], "group,candidate,sqnr_db");
    let values: Vec<f64> = rows[1..].iter().map(|row| row.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert!(values.len() > 4 && values.is_sorted_by(|a, b| a >= b), "{csv}");
}

#[test]
fn a_killed_run_goes_on_where_it_stopped() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("net.onnx"), model(64, 1)).unwrap();
    let line = "sensitivity net.onnx --target host --candidates w4a4,w4a8,w6a6,w6a8,w8a8,w8a16 --samples 160 --threads 1";
    let pieces = || -> usize {
        let lists = fs::read_dir(sandbox.path("mine/sensitivity")).into_iter().flatten().flatten();
        lists.filter_map(|entry| fs::read_dir(entry.path()).ok()).map(|folder| folder.count()).sum()
    };
    let mut child =
        sandbox.command(&format!("{line} --cache mine -o killed.json")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while pieces() < 3 {
        assert!(start.elapsed() < Duration::from_secs(120), "no pieces");
        assert!(child.try_wait().unwrap().is_none(), "the run was over before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let kept = pieces();
    assert!(kept >= 3 && !sandbox.path("killed.json").exists());
    let resumed = sandbox.run(&format!("{line} --cache mine -o killed.json"));
    let said = String::from_utf8(resumed.stderr).unwrap();
    assert!(resumed.status.success() && said.contains("from a run that was stopped"), "{said}");
    assert_eq!(pieces(), 0, "a whole list needs no pieces");
    sandbox.done(&format!("{line} --cache fresh -o whole.json -q"));
    assert_eq!(sandbox.read("killed.json"), sandbox.read("whole.json"));
}

/// A Slurm cluster of this machine; its daemons end with it.
struct Cluster<'s> {
    script: PathBuf,
    sandbox: &'s Sandbox,
}

impl Cluster<'_> {
    fn call(&self, action: &str) -> Output {
        Command::new("sh").arg(&self.script).args([action, "cluster"]).current_dir(self.sandbox.folder.path()).output().unwrap()
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        self.call("stop");
    }
}

#[test]
fn the_example_for_slurm_gives_the_list_of_one_run() {
    let there = |program: &str| Command::new(program).arg("-V").output().is_ok();
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root || !["sbatch", "slurmctld", "slurmd", "munged"].into_iter().all(there) {
        println!("skipped: needs root, and slurm-wlm and munge of Debian");
        return;
    }
    let sandbox = Sandbox::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slurm");
    let cluster = Cluster { script: examples.join("local-slurm.sh"), sandbox: &sandbox };
    let started = cluster.call("start");
    if !started.status.success() {
        println!("skipped: Slurm does not start here: {}", String::from_utf8_lossy(&started.stderr));
        return;
    }
    let submitted = Command::new("sbatch")
        .arg("--wait")
        .arg(examples.join("sensitivity.sbatch"))
        .args("net.onnx --target host --candidates w4a8,w8a8,w8a16 --samples 24".split(' '))
        .current_dir(sandbox.folder.path())
        .env("SLURM_CONF", sandbox.path("cluster/slurm.conf"))
        .env("APQC", env!("CARGO_BIN_EXE_apqc"))
        .env("XDG_CACHE_HOME", sandbox.path("cache"))
        .output()
        .unwrap();
    let log = || fs::read_to_string(sandbox.path("sensitivity-1.log")).unwrap_or_default();
    assert!(submitted.status.success(), "{}\n{}", String::from_utf8_lossy(&submitted.stderr), log());
    sandbox.done("sensitivity merge part-1.json part-2.json part-3.json part-4.json -o merged.json -q");
    sandbox.done(&format!("{LIST} -o whole.json --cache other"));
    assert_eq!(sandbox.read("merged.json"), sandbox.read("whole.json"));
}
