//! `apqc-train finetune` from the command line.

mod common;

use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Output};

use apq_search::space::{Choices, Design, Space, uniform_policy};
use ndarray::{Array1, Array4};

struct Folder(tempfile::TempDir);

impl Folder {
    /// A supernet of regular weights, its preprocessing, images of two classes and a design.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let space = Space::fashion();
        common::supernet(&folder.path("supernet.onnx"), &space, 0.0);
        std::fs::write(folder.path("supernet.json"), r#"{"mean": 73, "std": 90}"#).unwrap();
        folder.images("data.npz", 0..60, 28, true);
        folder.images("supernet.valid.npz", 40..60, 28, true);
        folder.images("supernet.calib.npz", 32..40, 28, true);
        let architecture = space.smallest();
        let policy = uniform_policy(&Choices::new(&space, None).unwrap(), &architecture, "w4a4".parse().unwrap()).unwrap();
        folder.design("design.json", &serde_json::to_value(Design { architecture, policy }).unwrap());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Images of these numbers, no two of which are alike.
    fn images(&self, name: &str, numbers: Range<usize>, side: usize, labelled: bool) {
        let mut arrays = ndarray_npy::NpzWriter::new(std::fs::File::create(self.path(name)).unwrap());
        let pixel = |(image, row, column, _): (usize, usize, usize, usize)| {
            let image = numbers.start + image;
            (image % 2 * 99 + (row * column + image) % 60) as u8
        };
        arrays.add_array("x", &Array4::from_shape_fn((numbers.len(), side, side, 1), pixel)).unwrap();
        if labelled {
            arrays.add_array("y", &Array1::from_shape_fn(numbers.len(), |image| ((numbers.start + image) % 2) as u8)).unwrap();
        }
        arrays.finish().unwrap();
    }

    fn design(&self, name: &str, value: &serde_json::Value) {
        std::fs::write(self.path(name), value.to_string()).unwrap();
    }

    fn run(&self, design: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc-train"));
        command.current_dir(self.0.path()).args(["finetune", "--design", design, "--data", "data.npz", "--steps", "2"]);
        command.args(["--batch", "8", "--threads", "1"]).args(more).output().unwrap()
    }
}

#[test]
fn a_design_becomes_a_network_with_what_the_compiler_needs() {
    let folder = Folder::new();
    let output = folder.run("design.json", &["--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Of 60 images, 20 measure and 8 calibrate.
    assert_eq!((&report["images"], &report["training_images"]), (&20.into(), &32.into()));
    assert!(["float", "before", "after"].iter().all(|name| report[format!("accuracy_{name}")].is_f64()), "{report}");
    let bytes = std::fs::read(folder.path("finetuned.onnx")).unwrap();
    assert_eq!(apq_onnx::summary(&bytes).unwrap().outputs, ["output"]);
    // An ordinary network.
    assert!(apq_onnx::supernet::read(&bytes).unwrap().is_none());
    assert!(folder.path("finetuned.json").exists());
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(read("finetuned.calib.npz"), read("supernet.calib.npz"));
    let again = folder.run("design.json", &["--output", "again.onnx"]);
    assert!(again.status.success());
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(text.contains("apqc compile again.onnx --target TARGET --assign assignment.toml"), "{text}");
    assert_eq!(bytes, read("again.onnx"));
    // Neither the report nor the labels of the calibration images change the network.
    folder.images("plain.npz", 32..40, 28, false);
    let plain = ["--no-report", "--calib", "plain.npz", "--held-out", "supernet.valid.npz", "--format", "json", "-o", "plain.onnx"];
    let quiet = folder.run("design.json", &plain);
    assert!(quiet.status.success(), "{}", String::from_utf8_lossy(&quiet.stderr));
    let report: serde_json::Value = serde_json::from_slice(&quiet.stdout).unwrap();
    assert!(["float", "before", "after"].iter().all(|name| report[format!("accuracy_{name}")].is_null()), "{report}");
    assert_eq!(bytes, read("plain.onnx"));
    // The seed orders the steps, and moves no image between the sets.
    let other = folder.run("design.json", &["--seed", "1", "--format", "json", "-o", "other.onnx"]);
    let report: serde_json::Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!((&report["images"], &report["training_images"]), (&20.into(), &32.into()));
    assert_ne!(bytes, read("other.onnx"));
}

#[test]
fn what_does_not_belong_is_refused() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(folder.path("design.json")).unwrap();
    let good: serde_json::Value = serde_json::from_str(&text).unwrap();
    let changed = |name: &str, key: &str, value: serde_json::Value| {
        let mut design = good.clone();
        design[key] = value;
        folder.design(name, &design);
    };
    changed("other.json", "fingerprint", "0123456789abcdef".into());
    changed("refined.json", "policy", serde_json::Value::Null);
    changed("short.json", "architecture", serde_json::json!([null]));
    let refused = |design: &str, more: &[&str], words: &[&str]| {
        let output = folder.run(design, more);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
        assert!(!folder.path("finetuned.onnx").exists());
    };
    refused("other.json", &[], &["0123456789abcdef"]);
    refused("refined.json", &[], &["--refine"]);
    refused("short.json", &[], &["short.json"]);
    refused("missing.json", &[], &["missing.json"]);
    refused("data.npz", &[], &["data.npz"]);
    refused("design.json", &["--supernet", "data.npz"], &["data.npz"]);
    refused("design.json", &["--preprocess", "design.json"], &["mean"]);
    refused("design.json", &["--rate", "0"], &["--rate"]);
    refused("design.json", &["--held-out", "none.npz"], &["none.npz", "--held-out"]);
    refused("design.json", &["--calib", "none.npz"], &["none.npz", "--calib"]);
    refused("design.json", &["--held-out", "data.npz"], &["data.npz", "0 images"]);
    folder.images("small.npz", 0..9, 5, true);
    refused("design.json", &["--held-out", "small.npz"], &["small.npz", "[5, 5, 1]"]);
    refused("design.json", &["--calib", "small.npz"], &["small.npz", "[5, 5, 1]"]);
}
