//! Inference of an accuracy predictor: from the one-hot encoding of a design to the accuracy that it is expected to have.
//!
//! Source: "APQ: Joint Search for Network Architecture, Pruning and Quantization Policy", section 3.2: three layers of 400. ReLU follows each of them,
//! and one output the last. The input is one-hot, so that the first layer is a sum of rows of its weights. The other products are a
//! [`MatrixProduct`]: [`Portable`], or a faster one of the caller's.

mod layers;
mod product;

use alloc::vec;
use alloc::vec::Vec;

use layers::Gather;
pub use product::{MatrixProduct, Portable, Sizes};

/// Candidates that go through the layers together.
const BATCH: usize = 512;

/// One layer, `y = x W + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// `[inputs, outputs]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// From the output of the last layer to an accuracy: `mean + deviation * output`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Mean accuracy of the points that the predictor was trained on.
    pub mean: f32,
    /// Their standard deviation.
    pub deviation: f32,
}

/// Why weights are no predictor, or an encoding no input of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictorError {
    /// A tensor does not have the size that the others ask for.
    #[error("the predictor's {tensor} has {actual} values where {expected} are needed")]
    Size {
        /// Name of the tensor in the file.
        tensor: &'static str,
        /// Values that it should have.
        expected: usize,
        /// Values that it has.
        actual: usize,
    },
    /// A layer without outputs, or an input without dimensions.
    #[error("the predictor's {tensor} is empty")]
    Empty {
        /// Name of the tensor in the file.
        tensor: &'static str,
    },
    /// A value is infinite or not a number.
    #[error("value {index} of the predictor's {tensor} is not finite")]
    NotFinite {
        /// Name of the tensor in the file.
        tensor: &'static str,
        /// Place in the tensor.
        index: usize,
    },
    /// An encoding names an input that the predictor does not have.
    #[error("input {index} does not exist: the predictor has {dimensions}; it belongs to another search space")]
    Index {
        /// The input.
        index: u32,
        /// Inputs of the predictor.
        dimensions: usize,
    },
    /// The predictor was made for another encoding.
    #[error("the predictor has {actual} inputs where the search space has {expected}; it belongs to another search space")]
    Dimensions {
        /// Dimensions of the encoding.
        expected: usize,
        /// Inputs of the predictor.
        actual: usize,
    },
}

/// An accuracy predictor, checked: every size fits and every weight is finite.
///
/// The accuracy of a candidate does not depend on the candidates beside it: the same encoding gives the same bits in any batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    first: Gather,
    layers: [Dense; 2],
    output: Vec<f32>,
    output_bias: f32,
    scale: Scale,
}

/// Names of weight and bias of each layer in the file, the output last.
const NAMES: [[&str; 2]; 4] = [
    ["layers.0.weight", "layers.0.bias"],
    ["layers.1.weight", "layers.1.bias"],
    ["layers.2.weight", "layers.2.bias"],
    ["output.weight", "output.bias"],
];

impl Predictor {
    /// A predictor of `dimensions` inputs. The layers' widths are those of their biases; `output` has one output.
    ///
    /// # Errors
    /// A tensor that is empty or of another size, or a value that is not finite; the first one in the order of the layers.
    pub fn new(dimensions: usize, layers: [Dense; 3], output: Dense, scale: Scale) -> Result<Self, PredictorError> {
        let mut inputs = dimensions;
        for ([weight, bias], layer) in NAMES.iter().zip(layers.iter().chain([&output])) {
            let outputs = layer.bias.len();
            if inputs == 0 || outputs == 0 {
                return Err(PredictorError::Empty { tensor: if outputs == 0 { bias } else { weight } });
            }
            let expected = inputs.saturating_mul(outputs);
            if layer.weight.len() != expected {
                return Err(PredictorError::Size { tensor: weight, expected, actual: layer.weight.len() });
            }
            finite(weight, &layer.weight)?;
            finite(bias, &layer.bias)?;
            inputs = outputs;
        }
        finite("mean", &[scale.mean])?;
        finite("deviation", &[scale.deviation])?;
        let [first, second, third] = layers;
        match *output.bias {
            [output_bias] => {
                Ok(Self { first: Gather::new(dimensions, first), layers: [second, third], output: output.weight, output_bias, scale })
            }
            _ => Err(PredictorError::Size { tensor: "output.bias", expected: 1, actual: output.bias.len() }),
        }
    }

    /// Inputs: dimensions of the encoding.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.first.dimensions()
    }

    /// The accuracy of each candidate, from the indices of the ones of its encoding.
    ///
    /// A predictor of huge weights may give infinities or no number.
    ///
    /// # Errors
    /// An index of [`Self::dimensions`] or more.
    pub fn predict(&self, candidates: &[Vec<u32>], product: &mut (impl MatrixProduct + ?Sized)) -> Result<Vec<f32>, PredictorError> {
        let mut accuracies = Vec::with_capacity(candidates.len());
        let multiple = product.row_multiple().max(1);
        let mut values = [vec![], vec![]];
        for batch in candidates.chunks(BATCH) {
            let rows = batch.len().next_multiple_of(multiple);
            let [first, second] = &mut values;
            let unknown = |index: &&u32| **index as usize >= self.dimensions();
            if let Some(&index) = batch.iter().flatten().find(unknown) {
                return Err(PredictorError::Index { index, dimensions: self.dimensions() });
            }
            let mut inner = self.first.width();
            first.clear();
            first.resize(rows * inner, 0.0);
            self.first.run(batch, first);
            for layer in &self.layers {
                let sizes = Sizes { rows, inner, columns: layer.bias.len() };
                second.resize(rows * sizes.columns, 0.0);
                product.multiply(sizes, first, &layer.weight, second);
                layers::bias_relu(second, &layer.bias);
                core::mem::swap(first, second);
                inner = sizes.columns;
            }
            let outputs = first.chunks_exact(self.output.len()).take(batch.len());
            let Scale { mean, deviation } = self.scale;
            accuracies.extend(outputs.map(|row| mean + deviation * (layers::dot(row, &self.output) + self.output_bias)));
        }
        Ok(accuracies)
    }
}

fn finite(tensor: &'static str, values: &[f32]) -> Result<(), PredictorError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(PredictorError::NotFinite { tensor, index }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
