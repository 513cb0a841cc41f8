//! `apqc-train supernet` and `export` from the command line.

use std::path::PathBuf;
use std::process::{Command, Output};

use apq_onnx::supernet::read;
use ndarray::{Array1, Array4};

struct Folder(tempfile::TempDir);

impl Folder {
    /// Images of two classes that a few steps tell apart.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let mut arrays = ndarray_npy::NpzWriter::new(std::fs::File::create(folder.path("data.npz")).unwrap());
        let pixel = |(image, row, column, _): (usize, usize, usize, usize)| {
            let bright = (row < 14) == (image % 2 == 0);
            (image * 7 + row * 5 + column * 3) as u8 % 50 + if bright { 150 } else { 0 }
        };
        arrays.add_array("x", &Array4::from_shape_fn((112, 28, 28, 1), pixel)).unwrap();
        arrays.add_array("y", &Array1::from_shape_fn(112, |image| (image % 2) as u8)).unwrap();
        arrays.finish().unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_apqc-train")).current_dir(self.0.path()).args(args).args(["--threads", "1"]).output().unwrap()
    }

    fn train(&self, folder: &str, epochs: &str, more: &[&str]) -> Output {
        let fixed =
            ["supernet", "--data", "data.npz", "--validation", "16", "--batch", "16", "--subnets", "3", "--no-mirror", "--shift", "1"];
        self.run(&[&fixed[..], &["-o", folder, "--epochs", epochs], more].concat())
    }

    fn trained(&self, folder: &str, epochs: &str) -> serde_json::Value {
        let output = self.train(folder, epochs, &["--format", "json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn a_training_that_was_stopped_goes_on_as_if_it_had_not_been() {
    let folder = Folder::new();
    let whole = folder.trained("whole", "2,1,1,2");
    assert_eq!(whole["epochs"], 6);
    assert_eq!(whole["accuracy_subnets"].as_array().unwrap().len(), 3);
    assert!(whole["accuracy_largest"].as_f64().unwrap() > 0.9, "{whole}");
    // Phases that have not begun may be changed, and so be left for later.
    for epochs in ["2,0,0,0", "2,1,0,0", "2,1,1,2"] {
        folder.trained("parts", epochs);
    }
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(bytes("whole/checkpoint.safetensors"), bytes("parts/checkpoint.safetensors"));
    let curve = |name: &str| {
        let text = String::from_utf8(bytes(name)).unwrap();
        // Without the seconds.
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(curve("whole/curves.csv").len(), 7);
    assert_eq!(curve("whole/curves.csv"), curve("parts/curves.csv"));
    let changed = folder.train("parts", "2,1,1,3", &[]);
    assert_eq!(changed.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&changed.stderr).contains("--force"));
    assert_eq!(bytes("whole/checkpoint.safetensors"), bytes("parts/checkpoint.safetensors"));

    let export = [
        "export",
        "--checkpoint",
        "parts/checkpoint.safetensors",
        "--data",
        "data.npz",
        "-o",
        "supernet.onnx",
        "--validation",
        "16",
        "--calibration-images",
        "8",
    ];
    let output = folder.run(&export);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let supernet = read(&bytes("supernet.onnx")).unwrap().unwrap();
    assert!(supernet.extract(&supernet.space().smallest()).is_ok());
    for beside in ["supernet.json", "supernet.calib.npz"] {
        assert!(folder.path(beside).exists(), "{beside}");
    }
    assert_eq!(folder.run(&export).status.code(), Some(2));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let folder = Folder::new();
    std::fs::write(folder.path("noise"), b"not images").unwrap();
    let refused = |args: &[&str], word: &str| {
        let output = folder.run(&[&["supernet", "--batch", "16"], args].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(word), "{stderr}");
        assert!(!folder.path("supernet").exists());
    };
    refused(&["--data", "nowhere"], "nowhere");
    refused(&["--data", "noise"], "noise");
    refused(&["--data", "data.npz", "--validation", "100"], "--validation");
    refused(&["--data", "data.npz", "--validation", "16", "--epochs", "1,2"], "--epochs");
    refused(&["--data", "data.npz", "--validation", "16", "--space", "imagenet"], "imagenet");
    refused(&["--data", "data.npz", "--validation", "16", "--space", "missing.json"], "missing.json");
    refused(&["--data", "data.npz", "--validation", "16", "--rates", "1,1,1,-1"], "rates");
}
