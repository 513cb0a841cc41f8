//! The committed files of the example are what the program writes, and what the rest of the project relies on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use apq_examples::onnx;
use apq_examples::textures::{CLASSES, SIZE, generate};
use ndarray::{Array1, Array4};
use ndarray_npy::NpzReader;

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("textures").join(name)
}

/// `x` `[N, H, W, C]` and `y` `[N]`.
fn arrays(npz: impl Read + Seek) -> (Array4<u8>, Array1<i64>) {
    let mut npz = NpzReader::new(npz).unwrap();
    (npz.by_name("x").unwrap(), npz.by_name("y").unwrap())
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(committed(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_network_has_the_operators_that_an_importer_meets_first() {
    let summary = onnx::summary(&bytes("textures.onnx")).unwrap();
    assert_eq!(summary.opset, 13);
    assert_eq!((summary.inputs, summary.outputs), (vec!["input".to_owned()], vec!["output".to_owned()]));
    let mut counts = BTreeMap::new();
    summary.ops.iter().for_each(|op| *counts.entry(op.as_str()).or_insert(0) += 1);
    let expected = [
        ("Add", 1),
        ("AveragePool", 1),
        ("BatchNormalization", 7),
        ("Clip", 4),
        ("Conv", 7),
        ("Flatten", 1),
        ("Gemm", 1),
        ("GlobalAveragePool", 1),
        ("MaxPool", 1),
        ("Relu", 3),
        ("Softmax", 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    assert!((10_000..30_000).contains(&summary.parameters), "{}", summary.parameters);
}

#[test]
fn the_data_has_every_class_equally_often() {
    for (name, count) in [("textures.calib.npz", 256), ("textures.test.npz", 1000)] {
        let (x, y) = arrays(File::open(committed(name)).unwrap());
        assert_eq!((x.shape(), y.len()), (&[count, SIZE, SIZE, 3][..], count), "{name}");
        for class in 0..CLASSES.len() {
            let samples = y.iter().filter(|&&label| label == class as i64).count();
            assert!(samples.abs_diff(count / CLASSES.len()) <= 1, "{name}: {samples} of class {class}");
        }
    }
}

#[test]
fn the_preprocessing_names_every_colour() {
    let json: serde_json::Value = serde_json::from_slice(&bytes("textures.json")).unwrap();
    for key in ["mean", "std"] {
        let values: Vec<f64> = json[key].as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).collect();
        assert_eq!(values.len(), 3, "{key}");
        assert!(values.iter().all(|value| (20.0..200.0).contains(value)), "{key}: {values:?}");
    }
    assert_eq!(json["classes"].as_array().unwrap().len(), CLASSES.len());
}

#[test]
fn the_program_writes_the_committed_files() {
    let files = generate().unwrap();
    for (name, expected) in files.named() {
        // How an array is compressed may depend on the processor, what it holds may not.
        let same = match name.ends_with(".npz") {
            true => arrays(Cursor::new(bytes(name))) == arrays(Cursor::new(expected)),
            false => bytes(name) == expected,
        };
        assert!(same, "{name} differs: run `cargo run -p apq-examples --bin make-textures`");
    }
    // Good enough to be worth quantizing, and not so easy that two bits would do.
    assert!((0.93..0.98).contains(&files.accuracy_test), "{}", files.accuracy_test);
}
