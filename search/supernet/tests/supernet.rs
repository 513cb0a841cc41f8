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
        folder.images("data.npz", 28, 0);
        folder
    }

    fn images(&self, name: &str, side: usize, label: u8) {
        let mut arrays = ndarray_npy::NpzWriter::new(std::fs::File::create(self.path(name)).unwrap());
        let pixel = |(image, row, column, _): (usize, usize, usize, usize)| {
            let bright = (row < 14) == (image % 2 == 0);
            (image * 7 + row * 5 + column * 3) as u8 % 50 + if bright { 150 } else { 0 }
        };
        arrays.add_array("x", &Array4::from_shape_fn((112, side, side, 1), pixel)).unwrap();
        arrays.add_array("y", &Array1::from_shape_fn(112, |image| (image % 2) as u8 + label)).unwrap();
        arrays.finish().unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_apqc-train")).current_dir(self.0.path()).args(args).args(["--threads", "1"]).output().unwrap()
    }

    fn train(&self, folder: &str, epochs: &str, more: &[&str]) -> Output {
        let fixed = ["supernet", "--batch", "16", "--subnets", "3", "--no-mirror", "--shift", "1"];
        let unless = |flag, value| if more.contains(&flag) { vec![] } else { vec![flag, value] };
        let data = [unless("--data", "data.npz"), unless("--validation", "16")].concat();
        self.run(&[&fixed[..], &data, &["-o", folder, "--epochs", epochs], more].concat())
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
        // What a full disk may leave costs no epoch.
        let path = folder.path("parts/curves.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        if epochs != "2,1,1,2" {
            std::fs::write(&path, text + "half\n7,\"a line that is not whole").unwrap();
        }
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
    folder.images("other.npz", 28, 1);
    let refused = |epochs: &str, more: &[&str], word: &str| {
        let changed = folder.train("parts", epochs, more);
        let stderr = String::from_utf8_lossy(&changed.stderr);
        assert_eq!(changed.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("--force") && stderr.contains(word), "{stderr}");
    };
    refused("2,1,1,3", &[], "another recipe");
    refused("2,1,1,2", &["--data", "other.npz"], "other training images");
    refused("2,1,1,2", &["--validation", "17"], "16 held-out images");
    assert_eq!(bytes("whole/checkpoint.safetensors"), bytes("parts/checkpoint.safetensors"));

    let export = |data: &str, more: &[&str]| {
        let fixed = ["export", "--checkpoint", "parts/checkpoint.safetensors", "-o", "supernet.onnx", "--data", data];
        folder.run(&[&fixed, more].concat())
    };
    for (data, more, word) in
        [("other.npz", &["--calibration-images", "8"], "other.npz"), ("data.npz", &["--calibration-images", "16"], "1 to 15")]
    {
        let output = export(data, more);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(word), "{stderr}");
        assert!(!folder.path("supernet.onnx").exists());
    }
    let output = export("data.npz", &["--calibration-images", "8"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let supernet = read(&bytes("supernet.onnx")).unwrap().unwrap();
    assert!(supernet.extract(&supernet.space().smallest()).is_ok());
    for beside in ["supernet.json", "supernet.calib.npz", "supernet.valid.npz"] {
        assert!(folder.path(beside).exists(), "{beside}");
    }
    assert_eq!(export("data.npz", &["--calibration-images", "8"]).status.code(), Some(2));
}

#[test]
fn a_training_that_diverges_leaves_its_checkpoint() {
    let folder = Folder::new();
    let diverged = |epochs: &str, rates: &str, words: &[&str]| {
        let output = folder.train("net", epochs, &["--rates", rates]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    };
    diverged("1,0,0,0", "1e38,0,0,0", &["diverged in epoch 1", "no checkpoint", "--rates"]);
    assert!(!folder.path("net/checkpoint.safetensors").exists() && !folder.path("net/curves.csv").exists());
    folder.trained("net", "1,0,0,0");
    let read = || ["checkpoint.safetensors", "curves.csv"].map(|name| std::fs::read(folder.path("net").join(name)).unwrap());
    let before = read();
    diverged("1,1,0,0", "0.1,1e38,0,0", &["diverged in epoch 2", "holds epoch 1", "`kernel`"]);
    assert_eq!(read(), before);
    assert_eq!(folder.trained("net", "1,1,0,0")["epochs"], 2);
    // A curve that cannot be written costs no epoch.
    std::fs::remove_file(folder.path("net/curves.csv")).unwrap();
    std::fs::create_dir(folder.path("net/curves.csv")).unwrap();
    let output = folder.train("net", "1,1,1,0", &[]);
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("curves.csv"));
    assert_eq!(folder.trained("net", "1,1,1,0")["epochs"], 3);
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
    folder.images("small.npz", 14, 0);
    folder.images("labels.npz", 28, 9);
    for (file, word) in [("small.npz", "[14, 14, 1]"), ("labels.npz", "label 10")] {
        refused(&["--data", file, "--validation", "16"], word);
        refused(&["--data", "data.npz", "--validation", "16", "--test", file], word);
    }
    refused(&["--data", "data.npz", "--validation", "18446744073709551615"], "--validation");
    refused(&["--data", "data.npz", "--validation", "1"], "at least 2");
    refused(&["--data", "nowhere"], "nowhere");
    refused(&["--data", "noise"], "noise");
    refused(&["--data", "data.npz", "--validation", "100"], "--validation");
    refused(&["--data", "data.npz", "--validation", "16", "--epochs", "1,2"], "--epochs");
    refused(&["--data", "data.npz", "--validation", "16", "--space", "imagenet"], "imagenet");
    refused(&["--data", "data.npz", "--validation", "16", "--space", "missing.json"], "missing.json");
    refused(&["--data", "data.npz", "--validation", "16", "--rates", "1,1,1,-1"], "rates");
}
