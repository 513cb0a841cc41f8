//! The tool from outside: exit codes, messages and files, above all for bad input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use apq_examples::onnx::{Dim, GraphBuilder};
use ndarray::Array4;
use ndarray_npy::NpzWriter;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a small model, and the tool run in it with a cache of its own.
struct Sandbox {
    folder: TempDir,
}

/// How a run ended.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

const SIDE: usize = 8;
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

/// Two convolutions and a classifier over `[3, SIDE, SIDE]`; `extra` follows the first convolution.
fn model(first: &[f32], extra: &str) -> Vec<u8> {
    let mut graph = GraphBuilder::new(13);
    graph
        .input("image", &[Dim::Symbol("N"), 3.into(), SIDE.into(), SIDE.into()])
        .initializer("w1", &[8, 3, 3, 3], first)
        .initializer("w2", &[8, 8, 3, 3], &weights(8 * 8 * 9, 2))
        .initializer("w3", &[CLASSES, 8], &weights(CLASSES * 8, 3))
        .initializer("b3", &[CLASSES], &weights(CLASSES, 4))
        .node("Conv", "first", &["image", "w1"], &["c1"], &[("pads", [1, 1, 1, 1].into())])
        .node(extra, "between", &["c1"], &["r1"], &[])
        .node("Conv", "second", &["r1", "w2"], &["c2"], &[("pads", [1, 1, 1, 1].into())])
        .node("Relu", "relu", &["c2"], &["r2"], &[])
        .node("GlobalAveragePool", "pool", &["r2"], &["p"], &[])
        .node("Flatten", "flatten", &["p"], &["f"], &[])
        .node("Gemm", "classifier", &["f", "w3", "b3"], &["logits"], &[("transB", 1.into())])
        .output("logits", &[Dim::Symbol("N"), CLASSES.into()]);
    graph.to_bytes()
}

/// A fully connected layer over `inputs` features.
fn features_model(inputs: usize) -> Vec<u8> {
    let mut graph = GraphBuilder::new(13);
    graph
        .input("x", &[Dim::Symbol("N"), inputs.into()])
        .initializer("w", &[2, inputs], &weights(2 * inputs, 5))
        .initializer("b", &[2], &[0.1, -0.1])
        .node("Gemm", "layer", &["x", "w", "b"], &["y"], &[("transB", 1.into())])
        .output("y", &[Dim::Symbol("N"), 2.into()]);
    graph.to_bytes()
}

/// A classifier of the same images into two classes.
fn two_classes() -> Vec<u8> {
    let mut graph = GraphBuilder::new(13);
    graph
        .input("image", &[Dim::Symbol("N"), 3.into(), SIDE.into(), SIDE.into()])
        .initializer("w", &[2, 3], &weights(6, 3))
        .node("GlobalAveragePool", "pool", &["image"], &["p"], &[])
        .node("Flatten", "flatten", &["p"], &["f"], &[])
        .node("Gemm", "classifier", &["f", "w"], &["logits"], &[("transB", 1.into())])
        .output("logits", &[Dim::Symbol("N"), 2.into()]);
    graph.to_bytes()
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        fs::write(sandbox.path("net.onnx"), model(&weights(8 * 3 * 9, 1), "Relu")).unwrap();
        fs::write(sandbox.path("net.json"), r#"{"mean": 128, "std": [64, 64, 64]}"#).unwrap();
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc"));
        command.current_dir(self.folder.path()).env("XDG_CACHE_HOME", self.path("cache")).args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Run {
        let output = self.command(line).output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a line that must fail with `code`, say all of `texts`, print nothing on stdout and leave nothing behind.
    fn fails(&self, line: &str, code: i32, texts: &[&str]) {
        let before = names(self.folder.path());
        let run = self.run(line);
        assert_eq!(run.code, code, "{line}\n{}", run.stderr);
        assert!(run.stdout.is_empty(), "{line}\n{}", run.stdout);
        assert!(run.stderr.contains("error: "), "{line}\n{}", run.stderr);
        for text in texts {
            assert!(run.stderr.contains(text), "{line}: no {text:?} in\n{}", run.stderr);
        }
        assert_eq!(names(self.folder.path()), before, "{line}");
    }

    /// Runs a line that must succeed.
    fn json(&self, line: &str) -> Value {
        let run = self.run(&format!("{line} --format json"));
        assert_eq!(run.code, 0, "{line}\n{}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }

    fn samples(&self, name: &str, shape: [usize; 4], labels: bool) {
        let pixels = weights(shape.iter().product(), 9);
        let x =
            Array4::from_shape_fn(shape, |(n, h, w, c)| ((pixels[((n * shape[1] + h) * shape[2] + w) * shape[3] + c] + 0.5) * 255.0) as u8);
        let mut npz = NpzWriter::new(fs::File::create(self.path(name)).unwrap());
        npz.add_array("x", &x).unwrap();
        if labels {
            let y = ndarray::Array1::from_shape_fn(shape[0], |n| (n % CLASSES) as i64);
            npz.add_array("y", &y).unwrap();
        }
        npz.finish().unwrap();
    }
}

/// Names in a folder, without the cache.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).filter(|name| name != "cache").collect();
    names.sort();
    names
}

/// `report.json` without its times.
fn report(folder: &Path) -> Value {
    let mut report: Value = serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    report["search"]["seconds"] = Value::Null;
    report
}

#[test]
fn files_that_are_no_models_are_refused() {
    let sandbox = Sandbox::new();
    let whole = fs::read(sandbox.path("net.onnx")).unwrap();
    for (length, name) in [(0, "empty"), (1, "one"), (60, "head"), (whole.len() / 2, "half"), (whole.len() - 1, "tail")] {
        fs::write(sandbox.path("cut.onnx"), &whole[..length]).unwrap();
        let run = sandbox.run("compile cut.onnx --target host");
        assert!(matches!(run.code, 2 | 3), "{name}: {} {}", run.code, run.stderr);
        assert!(!sandbox.path("cut.apq.d").exists(), "{name}");
    }
    fs::write(sandbox.path("text.onnx"), "this is a text and no model\n").unwrap();
    sandbox.fails("compile text.onnx --target host", 2, &["text.onnx"]);
    sandbox.fails("compile missing.onnx --target host", 2, &["cannot read missing.onnx"]);
    sandbox.fails("compile . --target host", 2, &["folder"]);
}

#[test]
fn wrong_calls_say_what_is_right() {
    let sandbox = Sandbox::new();
    sandbox.fails(
        "compile net.onnx",
        2,
        &["--target", "bitfusion, cortex-m0, cortex-m3, cortex-m33, cortex-m4, cortex-m55, cortex-m7, host, rv32"],
    );
    sandbox.fails(
        "compile net.onnx --target bitfuson",
        2,
        &["bitfusion, cortex-m0, cortex-m3, cortex-m33, cortex-m4, cortex-m55, cortex-m7, host, rv32", "did you mean `bitfusion`?"],
    );
    sandbox.fails("compile net.onnx --target none.toml", 2, &["cannot read none.toml"]);
    sandbox.fails("compile net.onnx --target bitfusion --latency 9", 2, &["--latency", "9ms"]);
    sandbox.fails("compile net.onnx --target bitfusion --energy 9.5", 2, &["--energy", "9.5mJ"]);
    sandbox.fails("compile net.onnx --target bitfusion --flash 256KB", 2, &["`KB`", "KiB"]);
    sandbox.fails("compile net.onnx --target bitfusion --bops 19.2X", 2, &["`X`", "19.2G"]);
    sandbox.fails("compile net.onnx --target host --candidates w4a5", 2, &["w4a5", "w4a8"]);
    sandbox.fails("compile net.onnx --target host --candidates w8a8,w8a8", 2, &["twice"]);
    sandbox.fails("compile net.onnx --target host --output-bits 12", 2, &["8 or 16"]);
    sandbox.fails("compile net.onnx --target host --samples 0", 2, &["--samples"]);
    sandbox.fails("compile net.onnx --target host --latency 9ms", 3, &["host", "latency"]);
    sandbox.fails("compile net.onnx --target host --candidates w16a16", 3, &["\"first\"", "conv", "w16a16"]);
    sandbox.fails("lut show host", 3, &["host"]);
    sandbox.fails("lut show bitfusion", 2, &["--model"]);
    sandbox.fails("lut diff bitfusion bitfusion", 2, &["two targets"]);
    sandbox.fails("nonsense", 2, &["nonsense"]);
}

#[test]
fn published_tables_are_imported() {
    let sandbox = Sandbox::new();
    let published = r#"{"(16, 32, 8, 3, 1, 1, 1)-W4A8": {"latency": 0.5, "energy": 0.25}, "tail": {"latency": 1.0, "energy": 2.0}}"#;
    fs::write(sandbox.path("published.json"), published).unwrap();
    let imported = sandbox.json("lut import published.json -o table.json");
    assert_eq!((&imported["entries"], &imported["name"]), (&2.into(), &"bitfusion".into()));
    let same = sandbox.json("lut diff published.json table.json");
    assert_eq!((&same["compared"], &same["missing"], &same["latency_rel_max"]), (&2.into(), &0.into(), &0.0.into()));
    sandbox.fails("lut import table.json -o again.json", 2, &["table.json", "apq-lut", "already"]);
    sandbox.fails("lut import none.json -o again.json", 2, &["none.json"]);
    sandbox.fails("lut import published.json -o table.json", 2, &["table.json", "--force"]);
    sandbox.fails("lut import published.json -o no/such/table.json", 2, &["no/such"]);
    sandbox.fails("lut import published.json", 2, &["--output"]);
    sandbox.fails("lut merge table.json -o again.json", 2, &["TABLE"]);
    fs::write(sandbox.path("bad.json"), published.replace("W4A8", "W4")).unwrap();
    sandbox.fails("lut import bad.json -o again.json", 2, &["bad.json", "W4"]);
}

#[test]
fn data_that_do_not_fit_are_refused_with_both_shapes() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("features.onnx"), features_model(6)).unwrap();
    sandbox.samples("wrong.npz", [4, 9, SIDE, 3], false);
    sandbox.fails("compile net.onnx --target host --calib wrong.npz", 2, &["[4, 9, 8, 3]", "[N, 8, 8, 3]"]);
    sandbox.samples("none.npz", [0, SIDE, SIDE, 3], false);
    sandbox.fails("compile net.onnx --target host --calib none.npz", 2, &["none.npz"]);
    fs::write(sandbox.path("torn.npz"), b"PK\x03\x04torn").unwrap();
    sandbox.fails("compile net.onnx --target host --calib torn.npz", 2, &["torn.npz"]);
    sandbox.fails("compile net.onnx --target host --calib nothing.npz", 2, &["nothing.npz"]);
    fs::create_dir(sandbox.path("images")).unwrap();
    fs::write(sandbox.path("images/a.png"), b"\x89PNG\r\n\x1a\nand then nothing").unwrap();
    sandbox.fails("compile net.onnx --target host --calib images", 2, &["a.png", "image"]);
    fs::write(sandbox.path("images/labels.csv"), "file,label\nmissing.png,1\n").unwrap();
    sandbox.fails("compile net.onnx --target host --calib images", 2, &["missing.png"]);
    sandbox.samples("good.npz", [6, SIDE, SIDE, 3], true);
    sandbox.fails("eval net.onnx --data good.npz --float features.onnx", 2, &["features.onnx"]);
    fs::write(sandbox.path("two.onnx"), two_classes()).unwrap();
    sandbox.fails("compile two.onnx --target host --data good.npz --samples 8", 2, &["good.npz", "label 2", "2 classes"]);
    sandbox.fails("eval two.onnx --data good.npz", 2, &["good.npz", "label 2", "2 classes"]);
    fs::write(sandbox.path("bad.json"), r#"{"mean": 0, "std": 0}"#).unwrap();
    sandbox.fails("compile net.onnx --target host --preprocess bad.json", 2, &["std of channel 0 is 0"]);
    sandbox.fails("compile features.onnx --target host", 2, &["--calib", "normal:MEAN,STD"]);
    sandbox.fails("compile features.onnx --target host --calib normal:0", 2, &["normal:MEAN,STD"]);
    let run = sandbox.run("compile features.onnx --target host --calib normal:0,1 --samples 16");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(report(&sandbox.path("features.apq.d"))["calibration"]["source"].as_str().unwrap().starts_with("normal:0,1"));
}

#[test]
fn broken_and_unsupported_models_are_told_apart() {
    let sandbox = Sandbox::new();
    let mut broken = weights(8 * 3 * 9, 1);
    broken[5] = f32::NAN;
    fs::write(sandbox.path("nan.onnx"), model(&broken, "Relu")).unwrap();
    sandbox.fails("compile nan.onnx --target host --samples 8", 2, &["node \"", "holds NaN at element 5"]);
    // Inputs that are all zero say nothing about ranges, and 1e30 is nothing that 31 bits can make of them.
    fs::write(sandbox.path("huge.onnx"), model(&[1e30; 8 * 3 * 9], "Relu")).unwrap();
    sandbox.fails("compile huge.onnx --target host --samples 8 --calib normal:0,0", 3, &["node \"", "out of proportion"]);
    // Named before data are looked for.
    fs::write(sandbox.path("sin.onnx"), model(&weights(8 * 3 * 9, 1), "Sin")).unwrap();
    sandbox.fails("compile sin.onnx --target host --calib nothing.npz", 3, &["between", "Sin"]);
}

#[test]
fn an_output_directory_is_replaced_only_by_force() {
    let sandbox = Sandbox::new();
    let line = "compile net.onnx --target cortex-m4 --samples 16 -o out";
    assert_eq!(sandbox.run(line).code, 0);
    let files = ["assignment.toml", "layers.csv", "manifest.json", "model.apq", "report.json"];
    assert_eq!(names(&sandbox.path("out")), files);
    fs::write(sandbox.path("out/mine"), "x").unwrap();
    sandbox.fails(line, 2, &["out exists", "--force"]);
    assert!(sandbox.path("out/mine").exists());
    assert_eq!(sandbox.run(&format!("{line} --force")).code, 0);
    assert_eq!(names(&sandbox.path("out")), files);
    fs::create_dir(sandbox.path("home")).unwrap();
    fs::write(sandbox.path("home/mine"), "x").unwrap();
    sandbox.fails("compile net.onnx --target host --samples 16 -o home --force", 2, &["not an output directory"]);
    assert!(sandbox.path("home/mine").exists());
}

#[test]
fn an_infeasible_budget_writes_the_nearest_and_exits_1() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("compile net.onnx --target bitfusion --samples 16 --latency 1ns --flash 1MiB");
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.contains("nearest"), "{}", run.stdout);
    let report = report(&sandbox.path("net.apq.d"));
    assert_eq!(report["feasible"], false);
    assert!(sandbox.path("net.apq.d/model.apq").exists());
    let budgets = report["budgets"].as_array().unwrap();
    assert_eq!((&budgets[0]["name"], &budgets[0]["met"]), (&"latency_ms".into(), &false.into()));
    assert_eq!((&budgets[1]["name"], &budgets[1]["met"]), (&"flash_bytes".into(), &true.into()));
    assert!(budgets[0]["smallest_found"].as_f64().unwrap() > 1e-6);
    assert!(report["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().starts_with("infeasible")));
}

#[test]
fn a_compiled_model_runs_and_is_described() {
    let sandbox = Sandbox::new();
    sandbox.samples("net.calib.npz", [16, SIDE, SIDE, 3], false);
    sandbox.samples("net.test.npz", [12, SIDE, SIDE, 3], true);
    let printed = sandbox.json("compile net.onnx --target bitfusion --bops 0.3");
    let folder = sandbox.path("net.apq.d");
    let written = report(&folder);
    assert_eq!(printed["result"], written["result"]);
    let result = &written["result"];
    assert!(result["accuracy_top1"].is_f64() && written["fp32"]["accuracy_top1"].is_f64());
    assert!(result["bops_relative"].as_f64().unwrap() <= 0.3);
    let layers = written["layers"].as_array().unwrap();
    let bops =
        |layer: &Value| ["weight_bits", "activation_bits", "macs"].iter().map(|field| layer[field].as_u64().unwrap()).product::<u64>();
    assert_eq!(layers.iter().map(bops).sum::<u64>(), result["bops"].as_u64().unwrap());
    assert_eq!(written["calibration"]["samples"], 16);
    let size = fs::metadata(folder.join("model.apq")).unwrap().len();
    assert_eq!(result["flash_bytes"], size);

    let evaluated = sandbox.json("eval net.apq.d/model.apq --data net.test.npz --float net.onnx");
    assert_eq!(evaluated["samples"], 12);
    assert_eq!(evaluated["accuracy_top1"], result["accuracy_top1"]);
    assert_eq!(evaluated["agreement"], result["agreement"]);
    let float = sandbox.json("eval net.onnx --data net.test.npz");
    assert_eq!(float["accuracy_top1"], written["fp32"]["accuracy_top1"]);

    for arithmetic in ["native", "reference", "bitfused"] {
        let ran = sandbox
            .json(&format!("run net.apq.d/model.apq --input net.test.npz --output {arithmetic}.npy --raw --arithmetic {arithmetic}"));
        assert_eq!((&ran["shape"], &ran["element_type"]), (&serde_json::json!([12, CLASSES]), &"u8".into()));
    }
    let codes = |name: &str| fs::read(sandbox.path(name)).unwrap();
    assert_eq!(codes("native.npy"), codes("reference.npy"));
    assert_eq!(codes("native.npy"), codes("bitfused.npy"));
    let real = sandbox.json("run net.apq.d/model.apq --input net.test.npz --output real.npy");
    assert_eq!(real["element_type"], "f32");

    let inspected = sandbox.json("inspect net.apq.d/model.apq");
    assert_eq!(inspected["arena_bytes"], result["arena_bytes"]);
    assert_eq!(inspected["weights_bytes"], result["weights_bytes"]);
    assert_eq!(inspected["groups"].as_array().unwrap().len(), written["groups"].as_array().unwrap().len());
    let kernels = inspected["kernels"].as_array().unwrap();
    assert!(kernels.iter().any(|kernel| kernel["operator"] == "conv" && kernel["arrangement"] == "row-major"));
    let human = sandbox.run("inspect net.apq.d/model.apq").stdout;
    assert!(human.contains("Memory map") && human.contains("classifier"));

    // Whoever stops reading is not answered with a panic.
    let mut child = sandbox.command("inspect net.apq.d/model.apq").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A budget for RAM is met by streaming rows, with the same outputs; one that nothing meets ends with the smallest arena.
#[test]
fn ram_budgets_stream_rows() {
    let sandbox = Sandbox::new();
    for file in ["textures.onnx", "textures.json", "textures.calib.npz"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/textures").join(file);
        std::fs::copy(&from, sandbox.folder.path().join(file)).unwrap();
    }
    let compile = |extra: &str, directory: &str| {
        sandbox.run(&format!("compile textures.onnx --target host --candidates w8a8 --samples 4 -q --format json -o {directory} {extra}"))
    };
    let parsed = |run: &Run| -> Value { serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr)) };
    let plain = compile("", "plain");
    assert_eq!(plain.code, 0, "{}", plain.stderr);
    let arena = parsed(&plain)["result"]["arena_bytes"].as_u64().unwrap();
    let least = compile("--ram 1B", "least");
    assert_eq!(least.code, 1, "{}", least.stderr);
    let report = parsed(&least);
    let smallest = report["result"]["arena_bytes"].as_u64().unwrap();
    assert!(smallest < arena && report["feasible"] == false, "{smallest} of {arena}");
    assert!(report["budgets"][0]["smallest_found"].as_u64() >= Some(smallest), "{report}");
    let enough = compile(&format!("--ram {smallest}B"), "enough");
    assert_eq!(enough.code, 0, "{}", enough.stderr);
    let stretch = &parsed(&enough)["streamed"][0];
    assert!(stretch["strips"].as_u64() > Some(1) && stretch["recomputed_macs"] == 0, "{stretch}");
    assert_eq!(parsed(&enough)["result"]["bops"], parsed(&plain)["result"]["bops"]);
    assert_eq!(parsed(&enough)["result"]["sqnr_db"], parsed(&plain)["result"]["sqnr_db"]);
}

#[test]
fn results_depend_on_inputs_and_seed_alone() {
    let sandbox = Sandbox::new();
    let line = "compile net.onnx --target host --bops 0.4 --samples 24 -q";
    assert_eq!(sandbox.run(&format!("{line} -o a --threads 1")).code, 0);
    // The second finds the list in the cache, the third does not.
    assert_eq!(sandbox.run(&format!("{line} -o b --threads 3")).code, 0);
    assert_eq!(sandbox.run(&format!("{line} -o c --threads 2 --cache other")).code, 0);
    assert_eq!(sandbox.run(&format!("{line} -o d --seed 1")).code, 0);
    for other in ["b", "c"] {
        for file in ["model.apq", "layers.csv", "assignment.toml", "manifest.json"] {
            assert_eq!(
                fs::read(sandbox.path("a").join(file)).unwrap(),
                fs::read(sandbox.path(other).join(file)).unwrap(),
                "{other}/{file}"
            );
        }
        assert_eq!(report(&sandbox.path("a")), report(&sandbox.path(other)));
    }
    let drawn = report(&sandbox.path("a"));
    assert!(drawn["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("no calibration data")));
    assert!(drawn["calibration"]["source"].as_str().unwrap().contains("dead leaves, seed 0"));
    assert_ne!(fs::read(sandbox.path("a/model.apq")).unwrap(), fs::read(sandbox.path("d/model.apq")).unwrap());
    let lists: Vec<PathBuf> = fs::read_dir(sandbox.path("cache/apqc/sensitivity")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(lists.len(), 2);
    // A damaged list is measured again.
    for list in &lists {
        fs::write(list, "{").unwrap();
    }
    assert_eq!(sandbox.run(&format!("{line} -o e")).code, 0);
    assert_eq!(report(&sandbox.path("a")), report(&sandbox.path("e")));
}

#[test]
fn damaged_and_newer_files_are_told_apart() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("compile net.onnx --target host --samples 16 -o out").code, 0);
    let good = fs::read(sandbox.path("out/model.apq")).unwrap();
    for place in [0, 9, 20, 60, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        fs::write(sandbox.path("bad.apq"), bad).unwrap();
        sandbox.fails("inspect bad.apq", 2, &["bad.apq"]);
    }
    fs::write(sandbox.path("bad.apq"), &good[..good.len() - 4]).unwrap();
    sandbox.fails("inspect bad.apq", 2, &["bad.apq"]);
    sandbox.samples("x.npz", [2, SIDE, SIDE, 3], false);
    sandbox.fails("run bad.apq --input x.npz --output y.npy", 2, &["bad.apq"]);
    sandbox.fails("eval bad.apq --data x.npz", 2, &["bad.apq"]);
    let mut newer = good.clone();
    newer[12] = 9;
    apq_runtime::build::seal(&mut newer);
    fs::write(sandbox.path("newer.apq"), newer).unwrap();
    sandbox.fails("inspect newer.apq", 3, &["version 9"]);
    sandbox.samples("wrong.npz", [2, 5, 5, 3], false);
    sandbox.fails("run out/model.apq --input wrong.npz --output y.npy", 2, &["[2, 5, 5, 3]", "[N, 8, 8, 3]"]);
    sandbox.fails("run out/model.apq --input x.npz --output none/y.npy", 2, &["none/y.npy"]);
    sandbox.fails("inspect net.onnx", 2, &["not an .apq file"]);
    sandbox.fails("compile out/model.apq --target host", 2, &["compiled .apq"]);
}

#[test]
fn targets_and_tables_are_shown() {
    let sandbox = Sandbox::new();
    let listed = sandbox.json("targets list");
    assert_eq!(
        listed.as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["bitfusion", "cortex-m0", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7", "host", "rv32"]
    );
    let toml = sandbox.run("targets show cortex-m4").stdout;
    fs::write(sandbox.path("mine.toml"), toml.replace("\"cortex-m4\"", "\"mine\"")).unwrap();
    assert_eq!(sandbox.json("targets show mine.toml")["name"], "mine");
    assert!(!sandbox.json("targets kernels mine.toml")["not_supported"].as_array().unwrap().is_empty());
    let run = sandbox.run("compile net.onnx --target mine.toml --samples 16 -o out");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let manifest: Value = serde_json::from_slice(&fs::read(sandbox.path("out/manifest.json")).unwrap()).unwrap();
    let roles: Vec<&str> = manifest["inputs"].as_array().unwrap().iter().map(|file| file["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["model", "target", "preprocessing"]);

    let shown = sandbox.run("lut show bitfusion --model net.onnx --format json -q");
    fs::write(sandbox.path("table.json"), &shown.stdout).unwrap();
    let same = sandbox.json("lut diff table.json bitfusion");
    assert_eq!((&same["missing"], &same["cycles_mismatched"], &same["latency_rel_max"]), (&0.into(), &0.into(), &0.0.into()));
    let changed = shown.stdout.replacen("\"cycles\": ", "\"cycles\": 1", 1);
    assert_ne!(changed, shown.stdout);
    fs::write(sandbox.path("changed.json"), changed).unwrap();
    let run = sandbox.run("lut diff changed.json table.json");
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(sandbox.run("lut diff changed.json table.json --tolerance 0.1").code, 0);
    // Together they are one table, once it is said whose costs are meant.
    sandbox.fails("lut merge table.json changed.json -o both.json", 2, &["table.json", "changed.json", "differ", "--prefer"]);
    let both = sandbox.json("lut merge table.json changed.json --prefer last -o both.json");
    assert_eq!((&both["tables"], &both["preferred"]), (&2.into(), &1.into()));
    assert_eq!(sandbox.run("lut diff changed.json both.json").code, 0);
    sandbox.fails("lut merge table.json table.json -o both.json", 2, &["both.json", "--force"]);
    assert_eq!(sandbox.json("lut merge table.json table.json -o both.json --force")["preferred"], 0);
    let lines = both["entries"].as_u64().unwrap() + both["not_modelled"].as_u64().unwrap() + 3;
    assert_eq!(fs::read_to_string(sandbox.path("both.json")).unwrap().lines().count() as u64, lines);
    // A target whose costs come from that table, which has no activations of 16 bits.
    let mine = fs::read_to_string(sandbox.path("mine.toml")).unwrap();
    let from_table = mine.replace("builtin:cortex-m4", "table.json");
    fs::write(sandbox.path("table.toml"), from_table).unwrap();
    sandbox.fails("compile net.onnx --target table.toml --samples 16 -o t", 3, &["target `mine`", "no entry"]);
    let run = sandbox.run("compile net.onnx --target table.toml --candidates w4a8,w6a6,w8a8 --samples 16 -o t");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(report(&sandbox.path("t"))["result"]["latency_ms"].as_f64().unwrap() > 0.0);
}
