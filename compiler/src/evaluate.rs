//! Running models over data: the integer runtime on this machine, and what its outputs are worth.

use apq_runtime::build::AlignedBytes;
use apq_runtime::{Arithmetic, LoadError, Model, Session};
use rayon::prelude::*;

use crate::data::{Dataset, Sample};
use crate::quant::sensitivity::energy;
use apq_search::{Estimator, SampleEnergy};

/// Why a model could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file.
    #[error("{0}")]
    Load(LoadError),
    /// The arena; cannot happen with an arena that the caller made for this model.
    #[error("internal: {0}")]
    Session(String),
    /// The data.
    #[error("the model takes samples of shape {expected:?}, the data have {found:?}")]
    Shape {
        /// The model's input without the batch.
        expected: Vec<usize>,
        /// The samples.
        found: Vec<usize>,
    },
}

/// Outputs of the integer runtime for all samples, in order: real values, channel last. `progress` is called after each.
pub fn run_integer(
    model: &Model<'_>,
    arithmetic: Arithmetic,
    data: &Dataset,
    progress: impl Fn() + Sync,
) -> Result<Vec<Vec<f32>>, RunError> {
    let read = |session: &Session<'_, '_>| {
        let mut output = vec![0.0; session.output().shape.elements()];
        session.read_output_f32(&mut output).map_err(|e| RunError::Session(e.to_string()))?;
        Ok(output)
    };
    run_each(model, arithmetic, data, read, progress)
}

/// Codes of the integer runtime for all samples, in order, channel last. `progress` is called after each.
pub fn run_codes(model: &Model<'_>, arithmetic: Arithmetic, data: &Dataset, progress: impl Fn() + Sync) -> Result<Vec<Vec<i32>>, RunError> {
    run_each(model, arithmetic, data, |session| Ok(session.output_codes().collect()), progress)
}

/// Runs every sample and reads its output.
fn run_each<T: Send>(
    model: &Model<'_>,
    arithmetic: Arithmetic,
    data: &Dataset,
    read: impl Fn(&Session<'_, '_>) -> Result<T, RunError> + Sync,
    progress: impl Fn() + Sync,
) -> Result<Vec<T>, RunError> {
    let input = model.input().ok_or_else(|| RunError::Session("the model has no input".into()))?;
    let expected: Vec<usize> = input.tensor.shape.sizes().skip(1).collect();
    if expected != data.sample_shape() {
        return Err(RunError::Shape { expected, found: data.sample_shape().to_vec() });
    }
    (0..data.len())
        .into_par_iter()
        .map_init(
            || AlignedBytes::zeroed(model.arena_bytes()),
            |arena, index| {
                let mut session = Session::with_arithmetic(model, arena, arithmetic).map_err(|e| RunError::Session(e.to_string()))?;
                let written = match data.sample(index) {
                    Sample::U8(raw) => session.write_input_u8(raw),
                    Sample::I8(raw) => session.write_input_i8(raw),
                    Sample::F32(raw) => session.write_input_f32(raw),
                };
                written.map_err(|e| RunError::Session(e.to_string()))?;
                session.run(&mut ());
                let output = read(&session)?;
                progress();
                Ok(output)
            },
        )
        .collect()
}

/// The place of the largest value; the first of equal ones.
pub fn top1(values: &[f32]) -> usize {
    values.iter().enumerate().fold(0, |best, (index, v)| if *v > values[best] { index } else { best })
}

/// True where `label` is among the `k` largest values; of equal ones those with lower indices count first.
pub fn in_top(values: &[f32], label: usize, k: usize) -> bool {
    let Some(own) = values.get(label) else { return false };
    let ahead = values.iter().enumerate().filter(|(index, v)| *v > own || (*v == own && *index < label)).count();
    ahead < k
}

/// What outputs are worth; absent where it was not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quality {
    /// Samples evaluated.
    pub samples: usize,
    /// Share of samples whose label is the top class.
    pub accuracy_top1: Option<f64>,
    /// Share of samples whose label is among the top five.
    pub accuracy_top5: Option<f64>,
    /// Pooled SQNR against the reference outputs, in dB.
    pub sqnr_db: Option<f64>,
    /// Share of samples with the reference's top class.
    pub agreement: Option<f64>,
}

/// Compares outputs with labels and with the outputs of a reference.
pub fn quality(outputs: &[Vec<f32>], labels: Option<&[u32]>, reference: Option<&[Vec<f32>]>) -> Quality {
    let share = |hits: usize| (!outputs.is_empty()).then(|| hits as f64 / outputs.len() as f64);
    let hits = |k: usize| {
        labels.and_then(|labels| share(outputs.iter().zip(labels).filter(|(values, label)| in_top(values, **label as usize, k)).count()))
    };
    let agreement = reference.and_then(|reference| share(outputs.iter().zip(reference).filter(|(a, b)| top1(a) == top1(b)).count()));
    Quality {
        samples: outputs.len(),
        accuracy_top1: hits(1),
        accuracy_top5: outputs.first().filter(|o| o.len() > 5).and_then(|_| hits(5)),
        sqnr_db: reference.and_then(|reference| sqnr_db(reference, outputs)),
        agreement,
    }
}

/// Pooled SQNR of outputs against a reference, in dB.
pub fn sqnr_db(reference: &[Vec<f32>], outputs: &[Vec<f32>]) -> Option<f64> {
    let energies: Vec<SampleEnergy> = reference.iter().zip(outputs).map(|(r, o)| energy(r, o)).collect();
    Estimator::Pooled.sqnr_db(&energies).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_index() {
        assert_eq!(top1(&[1.0, 3.0, 3.0]), 1);
        assert!(in_top(&[1.0, 3.0, 3.0], 1, 1));
        assert!(!in_top(&[1.0, 3.0, 3.0], 2, 1));
        assert!(in_top(&[1.0, 3.0, 3.0], 2, 2));
        assert!(!in_top(&[1.0], 7, 1));
    }
}
