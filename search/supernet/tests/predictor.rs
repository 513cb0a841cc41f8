//! `apqc-train predictor` from the command line.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use apq_search::space::record::{Header, Kind, Point, Quantization, SCHEMA};
use apq_search::space::{Choices, Space};
use sha2::{Digest, Sha256};

/// Writes a data set whose accuracy grows with width and bits.
fn dataset(path: &Path, kind: Kind, points: u64, shard: Option<[u32; 2]>) {
    let space = Space::fashion();
    let quantization = (kind == Kind::Quantized).then(|| Quantization {
        activation_ranges: "mse".into(),
        weight_ranges: "mse".into(),
        range_samples: 64,
        rounding: "nearest".into(),
        bias_correction: true,
        target: None,
        finetune: None,
    });
    let header = Header {
        schema: SCHEMA.into(),
        fingerprint: space.fingerprint_text(),
        kind,
        seed: 0,
        points,
        shard,
        samples: 1000,
        data: "0".repeat(64),
        supernet: "1".repeat(64),
        calibration: "3".repeat(64),
        norm_samples: 256,
        preprocess: "4".repeat(64),
        quantization,
    };
    let choices = Choices::new(&space, None).unwrap();
    let mut text = serde_json::to_string(&header).unwrap();
    for index in (0..points).filter(|&index| header.holds(index)) {
        let (architecture, policy) = header.design(&space, &choices, index);
        let channels: u32 = architecture.0.iter().flatten().map(|shape| shape.channels).sum();
        let bits: u32 = policy.iter().flat_map(|policy| policy.0.iter().flatten()).map(|bits| u32::from(bits.pointwise.weight_bits)).sum();
        let accuracy = 0.5 + f64::from(channels) / 10_000.0 + f64::from(bits) / 1000.0;
        text += &format!("\n{}", serde_json::to_string(&Point { index, architecture, policy, accuracy }).unwrap());
    }
    std::fs::write(path, text + "\n").unwrap();
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        dataset(&folder.path("float"), Kind::Float, 80, None);
        dataset(&folder.path("quantized"), Kind::Quantized, 80, None);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command on this folder's data sets, with few steps.
    fn run(&self, float: &str, quantized: &[&str], output: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc-train"));
        let supernet: &[&str] = if more.contains(&"--supernet") { &[] } else { &["--supernet", "fashion"] };
        command.current_dir(self.0.path()).arg("predictor").args(supernet).args(["--steps", "10", "--float", float, "--quantized"]);
        command.args(quantized).args(["--output", output]).args(more).output().unwrap()
    }
}

fn refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
}

#[test]
fn the_same_seed_writes_the_same_file_whatever_the_shards_and_threads() {
    let folder = Folder::new();
    for shard in [1, 2] {
        dataset(&folder.path(&format!("shard{shard}")), Kind::Quantized, 80, Some([shard, 2]));
    }
    let whole = folder.run("float", &["quantized"], "a", &["--format", "json", "--curve", "10,20", "--threads", "1"]);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let report: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!(report["float_points"], 64);
    assert_eq!(report["curve"].as_array().unwrap().len(), 2);
    let csv = std::fs::read_to_string(folder.path("a.curve.csv")).unwrap();
    assert!(csv.starts_with("points,transfer,scratch\n10,"), "{csv}");
    assert!(folder.path("a.curve.json").exists());
    assert!(folder.run("float", &["shard2", "shard1"], "b", &["--threads", "2"]).status.success());
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(read("a"), read("b"));
    assert!(folder.run("float", &["quantized"], "c", &["--seed", "1"]).status.success());
    assert_ne!(read("a"), read("c"));
    refused(&folder.run("float", &["quantized"], "a", &[]), &["there already", "--force"]);
}

#[test]
fn a_predictor_belongs_to_the_supernet_of_its_data_sets() {
    let folder = Folder::new();
    let (own, other) = (folder.path("supernet.onnx"), folder.path("other.onnx"));
    common::supernet(&own, &Space::fashion(), 0.0);
    common::supernet(&other, &Space::fashion(), 0.1);
    let sha256 = apq_supernet::files::hexadecimal(&Sha256::digest(std::fs::read(&own).unwrap()));
    for name in ["float", "quantized"] {
        let text = std::fs::read_to_string(folder.path(name)).unwrap();
        std::fs::write(folder.path(name), text.replacen(&"1".repeat(64), &sha256, 1)).unwrap();
    }
    refused(&folder.run("float", &["quantized"], "out", &["--supernet", "other.onnx"]), &["another supernet than other.onnx", "sample"]);
    let output = folder.run("float", &["quantized"], "out", &["--supernet", "supernet.onnx"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(folder.path("out")).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let entry = &metadata.metadata().as_ref().unwrap()["apq.predictor"];
    assert_eq!(serde_json::from_str::<serde_json::Value>(entry).unwrap()["supernet"], sha256);
}

#[test]
fn data_sets_that_do_not_belong_are_refused() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(folder.path("quantized")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path(name), text).unwrap();
    let refuse = |name: &str, words: &[&str]| {
        refused(&folder.run("float", &[name], "out", &[]), words);
        assert!(!folder.path("out").exists());
    };
    refuse("float", &["Float", "--quantized"]);
    refuse("missing", &["cannot read", "missing"]);
    write("space", &text.replacen(&Space::fashion().fingerprint_text(), "0123456789abcdef", 1));
    refuse("space", &["line 1", "another search space"]);
    write("supernet", &text.replacen(&"1".repeat(64), &"2".repeat(64), 1));
    refuse("supernet", &["different supernets"]);
    write("twice", &format!("{text}{}\n", text.lines().nth(3).unwrap()));
    refuse("twice", &["line 82", "twice"]);
    write("broken", &text.replacen("\"accuracy\":0.", "\"accuracy\":7.", 1));
    refuse("broken", &["line 2", "accuracy"]);
    write("garbage", &text.replacen("{\"index\":5", "{index", 1));
    refuse("garbage", &["line 7"]);
    write("short", &text.lines().take(8).collect::<Vec<_>>().join("\n"));
    refuse("short", &["too few"]);
    write("empty", "");
    refuse("empty", &["no points"]);
    // A kill in the middle of the last line loses that point alone.
    write("cut", &text[..text.len() - 20]);
    assert!(folder.run("float", &["cut"], "out", &[]).status.success());
}
