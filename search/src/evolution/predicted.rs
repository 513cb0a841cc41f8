//! Predicted accuracy as the score of a design.

use alloc::vec::Vec;

use super::Scorer;
use crate::predictor::{MatrixProduct, Predictor, PredictorError};
use crate::space::{Design, Encoding};

/// Scores designs by a predictor of their accuracy.
#[derive(Debug)]
pub struct Predicted<'a, P> {
    encoding: &'a Encoding,
    predictor: &'a Predictor,
    product: P,
}

impl<'a, P: MatrixProduct> Predicted<'a, P> {
    /// Accuracy with the bit widths of the designs.
    ///
    /// # Errors
    /// The predictor has another number of inputs than the encoding.
    pub fn new(encoding: &'a Encoding, predictor: &'a Predictor, product: P) -> Result<Self, PredictorError> {
        let (expected, actual) = (encoding.dimensions(), predictor.dimensions());
        if expected == actual { Ok(Self { encoding, predictor, product }) } else { Err(PredictorError::Dimensions { expected, actual }) }
    }
}

impl<P: MatrixProduct> Scorer for Predicted<'_, P> {
    /// A design that is none of the encoding's space is no number.
    fn score(&mut self, designs: &[Design]) -> Vec<f32> {
        let mut known = Vec::with_capacity(designs.len());
        let mut is_known = Vec::with_capacity(designs.len());
        for Design { architecture, policy } in designs {
            let ones = self.encoding.encode(architecture, Some(policy));
            is_known.push(ones.is_ok());
            known.extend(ones);
        }
        let mut scores = self.predictor.predict(&known, &mut self.product).unwrap_or_default().into_iter();
        is_known.into_iter().map(|is_known| is_known.then(|| scores.next()).flatten().unwrap_or(f32::NAN)).collect()
    }
}
