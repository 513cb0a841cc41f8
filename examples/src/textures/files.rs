//! The files of the example, in memory.

use super::draw::{self, CLASSES, SIZE};
use super::network::{Network, Preprocess};
use ndarray::{Array1, Array4};
use ndarray_npy::{NpzWriter, WriteNpzError};
use std::io::{Cursor, Write};
use std::path::Path;

const TRAINING_IMAGES: usize = 4000;
const CALIBRATION_IMAGES: usize = 256;
const TEST_IMAGES: usize = 1000;
const SAMPLE_IMAGES: usize = 10;

/// Every file of the example, as bytes.
pub struct Files {
    /// `textures.onnx`: opset 13, input `input` `[N, 3, 16, 16]`, output `output` `[N, 10]`.
    pub onnx: Vec<u8>,
    /// `textures.json`: mean and standard deviation for each colour, and the names of the classes.
    pub json: Vec<u8>,
    /// `textures.calib.npz`: `x` u8 `[256, 16, 16, 3]`, `y` i64 `[256]`.
    pub calibration: Vec<u8>,
    /// `textures.test.npz`: `x` u8 `[1000, 16, 16, 3]`, `y` i64 `[1000]`.
    pub test: Vec<u8>,
    /// `textures.samples.bin`: the first test images as they are, u8 `[10, 16, 16, 3]`, for programs that read no archive.
    pub samples: Vec<u8>,
    /// Top-1 of the f64 network on the training images, a fraction.
    pub accuracy_training: f64,
    /// Top-1 of the f64 network on the test images, a fraction.
    pub accuracy_test: f64,
}

/// Why the files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An array could not be stored.
    #[error("cannot write an npz archive")]
    Npz(#[from] WriteNpzError),
    /// An array does not have its shape: a bug here.
    #[error("array shape")]
    Shape(#[from] ndarray::ShapeError),
    /// A file could not be written.
    #[error("cannot write a file")]
    Io(#[from] std::io::Error),
    /// The preprocessing could not be printed.
    #[error("cannot print JSON")]
    Json(#[from] serde_json::Error),
}

/// Draws the images, fits the network and writes everything to memory.
///
/// # Errors
/// Only bugs and a lack of memory.
pub fn generate() -> Result<Files, Error> {
    let (training, training_labels) = draw::images(TRAINING_IMAGES, 0);
    let (calibration, calibration_labels) = draw::images(CALIBRATION_IMAGES, 1);
    let (test, test_labels) = draw::images(TEST_IMAGES, 2);
    let preprocess = measure(&training);
    let input = preprocess.apply(&training);
    let network = Network::fit(&input, &training_labels);
    Ok(Files {
        onnx: network.to_onnx(),
        json: json(&preprocess)?,
        calibration: npz(calibration, calibration_labels)?,
        samples: test.iter().copied().take(SAMPLE_IMAGES * SIZE * SIZE * 3).collect(),
        test: npz(test.clone(), test_labels.clone())?,
        accuracy_training: network.accuracy(&input, &training_labels),
        accuracy_test: network.accuracy(&preprocess.apply(&test), &test_labels),
    })
}

impl Files {
    /// The file names, with their bytes.
    pub fn named(&self) -> [(&'static str, &[u8]); 5] {
        [
            ("textures.onnx", &self.onnx),
            ("textures.json", &self.json),
            ("textures.calib.npz", &self.calibration),
            ("textures.test.npz", &self.test),
            ("textures.samples.bin", &self.samples),
        ]
    }

    /// Writes all files into `folder`, which is created.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(folder)?;
        for (name, bytes) in self.named() {
            std::fs::write(folder.join(name), bytes)?;
        }
        Ok(())
    }
}

/// Mean and standard deviation of each colour, rounded so that the JSON holds exactly what was used.
fn measure(pixels: &[u8]) -> Preprocess {
    let count = (pixels.len() / 3) as f64;
    let colour = |channel: usize| pixels.iter().skip(channel).step_by(3).map(|&raw| f64::from(raw));
    let rounded = |value: f64| libm::round(value * 100.0) / 100.0;
    let mean = [0, 1, 2].map(|channel| rounded(colour(channel).sum::<f64>() / count));
    let variance = |channel: usize| colour(channel).map(|raw| (raw - mean[channel]) * (raw - mean[channel])).sum::<f64>();
    let std = [0, 1, 2].map(|channel| rounded(libm::sqrt(variance(channel) / count)));
    Preprocess { mean, std }
}

fn json(preprocess: &Preprocess) -> Result<Vec<u8>, Error> {
    let value = serde_json::json!({ "classes": CLASSES, "mean": preprocess.mean, "std": preprocess.std });
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    Ok(text)
}

fn npz(pixels: Vec<u8>, labels: Vec<i64>) -> Result<Vec<u8>, Error> {
    let x = Array4::from_shape_vec((labels.len(), SIZE, SIZE, 3), pixels)?;
    let y = Array1::from_vec(labels);
    let mut writer = NpzWriter::new_compressed(Cursor::new(Vec::new()));
    writer.add_array("x", &x)?;
    writer.add_array("y", &y)?;
    let mut cursor = writer.finish()?;
    cursor.flush()?;
    Ok(cursor.into_inner())
}
