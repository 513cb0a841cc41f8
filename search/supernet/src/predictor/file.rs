//! The predictor's file: safetensors, with what it belongs to as metadata.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::Network;
use super::network::values;

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
#[error("cannot write {path}: {reason}")]
pub struct FileError {
    path: PathBuf,
    reason: String,
}

/// Writes a predictor. The file appears whole or not at all.
///
/// # Errors
/// The file system.
pub fn write(path: &Path, network: &Network, provenance: &Provenance) -> Result<(), FileError> {
    let failed = |reason: String| FileError { path: path.to_owned(), reason };
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = network
        .tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let shape = tensor.size().iter().map(|&side| side as usize).collect();
            (name, shape, values(&tensor).iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = data.iter().map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>().map_err(|error| failed(error.to_string()))?;
    let text = serde_json::to_string(provenance).map_err(|error| failed(error.to_string()))?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| failed(error.to_string()))?;
    whole(path, &bytes).map_err(|error| failed(error.to_string()))
}

/// Writes a file that appears whole or not at all, with the user's permissions.
pub(crate) fn whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file in a sibling folder gets the user's permissions, which a temporary file would not.
    let workshop = tempfile::Builder::new().prefix(".apqc-").tempdir_in(folder)?;
    let fresh = workshop.path().join("file");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}
