//! The predictor's file: safetensors, with what it belongs to as metadata.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Network;
use crate::files::write_tensors;

/// Metadata entry of a predictor.
pub const METADATA_KEY: &str = "apq.predictor";
/// Version of the metadata.
pub const VERSION: u32 = 1;

/// What a predictor belongs to and comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// [`VERSION`].
    pub version: u32,
    /// Fingerprint of the space, 16 hexadecimal digits.
    pub space: String,
    /// SHA-256 of the supernet that the data sets are of.
    pub supernet: String,
    /// Accuracy = mean + std * output.
    pub mean: f32,
    /// See `mean`.
    pub std: f32,
    /// Float points it was trained on, 0 without transfer.
    pub float_points: usize,
    /// Quantized points it was trained on.
    pub quantized_points: usize,
    /// Pairwise accuracy on points it was not trained on.
    pub pairwise: Option<f64>,
    /// Of weights, order and pairs.
    pub seed: u64,
}

/// Why a predictor could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}")]
pub struct FileError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes a predictor. The file appears whole or not at all.
///
/// # Errors
/// The file system.
pub fn write(path: &Path, network: &Network, provenance: &Provenance) -> Result<(), FileError> {
    let failed = |source| FileError { path: path.to_owned(), source };
    let text = serde_json::to_string(provenance).map_err(|error| failed(error.into()))?;
    let tensors = network.tensors();
    write_tensors(path, tensors.iter().map(|(name, tensor)| (name.clone(), tensor)), METADATA_KEY, text).map_err(failed)
}
