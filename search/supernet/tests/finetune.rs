//! `apqc-train finetune` from the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use apq_onnx::supernet::{Tensor, tensor_shapes, write};
use apq_search::space::{Choices, Design, Space, uniform_policy};
use ndarray::{Array1, Array4};

struct Folder(tempfile::TempDir);

impl Folder {
    /// A supernet of regular weights, its preprocessing, images of two classes and a design.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let space = Space::fashion();
        let mut tensors = BTreeMap::new();
        for (name, shape) in tensor_shapes(&space) {
            let fan = (shape.iter().product::<usize>() / shape[0]).max(1) as f32;
            let plain = name.ends_with("scale") || name.ends_with("variance");
            let wave = |at: usize| if plain { 1.0 } else { (at as f32 * 0.7 + name.len() as f32).sin() / fan.sqrt() };
            let values = (0..shape.iter().product()).map(wave).collect();
            tensors.insert(name, Tensor { shape, values });
        }
        std::fs::write(folder.path("supernet.onnx"), write(&space, &tensors).unwrap()).unwrap();
        std::fs::write(folder.path("supernet.json"), r#"{"mean": 73, "std": 90}"#).unwrap();
        let mut arrays = ndarray_npy::NpzWriter::new(std::fs::File::create(folder.path("data.npz")).unwrap());
        let pixel = |(image, row, column, _): (usize, usize, usize, usize)| (image % 2 * 99 + row * column % 60) as u8;
        arrays.add_array("x", &Array4::from_shape_fn((60, 28, 28, 1), pixel)).unwrap();
        arrays.add_array("y", &Array1::from_shape_fn(60, |image| (image % 2) as u8)).unwrap();
        arrays.finish().unwrap();
        let architecture = space.smallest();
        let policy = uniform_policy(&Choices::new(&space, None).unwrap(), &architecture, "w4a4".parse().unwrap()).unwrap();
        folder.design("design.json", &serde_json::to_value(Design { architecture, policy }).unwrap());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn design(&self, name: &str, value: &serde_json::Value) {
        std::fs::write(self.path(name), value.to_string()).unwrap();
    }

    fn run(&self, design: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc-train"));
        command.current_dir(self.0.path()).args(["finetune", "--design", design, "--data", "data.npz", "--steps", "2"]);
        command.args(["--validation", "20", "--batch", "8", "--threads", "1"]).args(more).output().unwrap()
    }
}

#[test]
fn a_design_becomes_a_network_with_what_the_compiler_needs() {
    let folder = Folder::new();
    let output = folder.run("design.json", &["--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["images"], 20);
    let bytes = std::fs::read(folder.path("finetuned.onnx")).unwrap();
    assert_eq!(apq_onnx::summary(&bytes).unwrap().outputs, ["output"]);
    // An ordinary network.
    assert!(apq_onnx::supernet::read(&bytes).unwrap().is_none());
    assert!(folder.path("finetuned.json").exists() && folder.path("finetuned.calib.npz").exists());
    let again = folder.run("design.json", &["--output", "again.onnx"]);
    assert!(again.status.success());
    assert_eq!(bytes, std::fs::read(folder.path("again.onnx")).unwrap());
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
}
