//! Checkpoints: safetensors with parameters, moments of the optimizer, and how far training has come.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::files::write_tensors;

/// Metadata entry of a checkpoint.
const KEY: &str = "apq.checkpoint";
/// Before the name of a moment.
const MOMENT: &str = "moment.";

/// Why a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system.
    #[error("cannot {doing} the checkpoint {path}: {source}")]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else or damaged.
    #[error("{path} is not a checkpoint of this program: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A point of a training run from which it goes on as if it had never stopped.
#[derive(Debug)]
pub struct Checkpoint<State> {
    /// How far the run has come.
    pub state: State,
    /// Parameters by name.
    pub parameters: BTreeMap<String, Tensor>,
    /// Moments of the optimizer by parameter.
    pub moments: BTreeMap<String, Tensor>,
}

/// Writes a checkpoint. The file appears whole or not at all.
///
/// # Errors
/// The file system.
pub fn write<State: Serialize>(
    path: &Path,
    state: &State,
    parameters: &BTreeMap<String, Tensor>,
    moments: &BTreeMap<String, Tensor>,
) -> Result<(), CheckpointError> {
    let failed = |source| CheckpointError::Io { doing: "write", path: path.to_owned(), source };
    let named = parameters.iter().map(|(name, tensor)| (name.clone(), tensor));
    let named = named.chain(moments.iter().map(|(name, tensor)| (format!("{MOMENT}{name}"), tensor)));
    let state = serde_json::to_string(state).map_err(|error| failed(error.into()))?;
    write_tensors(path, named, KEY, state).map_err(failed)
}

/// Reads a checkpoint onto the CPU.
///
/// # Errors
/// The file system, or a file that is something else.
pub fn read<State: for<'a> Deserialize<'a>>(path: &Path) -> Result<Checkpoint<State>, CheckpointError> {
    let bytes = std::fs::read(path).map_err(|source| CheckpointError::Io { doing: "read", path: path.to_owned(), source })?;
    let wrong = |reason: String| CheckpointError::Format { path: path.to_owned(), reason };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| wrong(error.to_string()))?;
    let state = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY)).ok_or_else(|| wrong(format!("no entry `{KEY}`")))?;
    let state = serde_json::from_str(state).map_err(|error| wrong(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
    let (mut parameters, mut moments) = (BTreeMap::new(), BTreeMap::new());
    for (name, view) in tensors.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(wrong(format!("`{name}` is {:?}, not f32", view.dtype())));
        }
        let values: Vec<f32> = view.data().chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        let dims: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        let tensor = Tensor::from_slice(&values).reshape(&dims);
        match name.strip_prefix(MOMENT) {
            Some(name) => moments.insert(name.to_owned(), tensor),
            None => parameters.insert(name, tensor.set_requires_grad(true)),
        };
    }
    Ok(Checkpoint { state, parameters, moments })
}
