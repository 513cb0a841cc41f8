//! Accuracy predictors from their files: safetensors with `apq.predictor` among the metadata.

use apq_search::predictor::{Dense, Predictor, PredictorError, Scale};
use apq_search::space::{Encoding, Space, SpaceError};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

/// Key of the metadata.
const METADATA_KEY: &str = "apq.predictor";

/// Version of the metadata.
const VERSION: u64 = 1;

/// What a predictor's file says about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictorFacts {
    /// Of the metadata.
    version: u64,
    /// Fingerprint of the search space, 16 hexadecimal digits.
    pub space: String,
    /// Accuracy = mean + std * output.
    pub mean: f32,
    /// See [`PredictorFacts::mean`].
    pub std: f32,
    /// Points <architecture, accuracy> that it was trained on.
    pub float_points: Option<u64>,
    /// Points <architecture, policy, accuracy> that it was trained on.
    pub quantized_points: Option<u64>,
    /// SHA-256 of the supernet that its points were drawn from.
    pub supernet: Option<String>,
    /// Share of held-out pairs that it puts in order.
    pub pairwise: Option<f64>,
    /// Of its training.
    pub seed: Option<u64>,
}

/// Why a file is no predictor for a space.
#[derive(Debug, thiserror::Error)]
pub enum PredictorFileError {
    /// Not safetensors.
    #[error("not a safetensors file: {0}")]
    NotSafetensors(String),
    /// No metadata, or not those of a predictor.
    #[error("metadata `{METADATA_KEY}`: {0}")]
    Metadata(String),
    /// Trained for another space.
    #[error("the predictor belongs to the search space {found}, the supernet has {expected}")]
    OtherSpace {
        /// Fingerprint in the file.
        found: String,
        /// Fingerprint of the space.
        expected: String,
    },
    /// A tensor that a predictor has.
    #[error("tensor `{0}` is missing")]
    Missing(&'static str),
    /// Another element type.
    #[error("tensor `{name}` has elements of type {found}; predictors hold float32 values")]
    Element {
        /// Of the tensor.
        name: &'static str,
        /// Its type.
        found: String,
    },
    /// Sizes or values.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceError),
}

/// Reads a predictor of `space`.
///
/// # Errors
/// The file is no predictor, or one of another space.
pub fn read_predictor(bytes: &[u8], space: &Space) -> Result<(Predictor, PredictorFacts), PredictorFileError> {
    let broken = |error: safetensors::SafeTensorError| PredictorFileError::NotSafetensors(error.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    let text = text.ok_or_else(|| PredictorFileError::Metadata("is not there".into()))?;
    let facts: PredictorFacts = serde_json::from_str(text).map_err(|error| PredictorFileError::Metadata(error.to_string()))?;
    if facts.version != VERSION {
        return Err(PredictorFileError::Metadata(format!("version {}, this reads version {VERSION}", facts.version)));
    }
    let expected = space.fingerprint_text();
    if facts.space != expected {
        return Err(PredictorFileError::OtherSpace { found: facts.space, expected });
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
    let values = |name: &'static str| -> Result<Vec<f32>, PredictorFileError> {
        let tensor = tensors.tensor(name).map_err(|_| PredictorFileError::Missing(name))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(PredictorFileError::Element { name, found: format!("{:?}", tensor.dtype()) });
        }
        Ok(tensor.data().as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
    };
    let dense = |weight, bias| Ok::<Dense, PredictorFileError>(Dense { weight: values(weight)?, bias: values(bias)? });
    let layers = [
        dense("layers.0.weight", "layers.0.bias")?,
        dense("layers.1.weight", "layers.1.bias")?,
        dense("layers.2.weight", "layers.2.bias")?,
    ];
    let dimensions = Encoding::new(space)?.dimensions();
    let scale = Scale { mean: facts.mean, deviation: facts.std };
    let predictor = Predictor::new(dimensions, layers, dense("output.weight", "output.bias")?, scale)?;
    Ok((predictor, facts))
}
