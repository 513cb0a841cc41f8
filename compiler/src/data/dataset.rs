//! Samples in memory.

use super::{DataError, Preprocess};

/// The values of all samples, one sample after the other, channel last.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// Pixels as cameras give them.
    U8(Vec<u8>),
    /// Features that were quantized when they were made.
    I8(Vec<i8>),
    /// Real values, all finite.
    F32(Vec<f32>),
}

impl Raw {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Raw::U8(v) => v.len(),
            Raw::I8(v) => v.len(),
            Raw::F32(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of the element type: `u8`, `i8` or `f32`.
    pub fn element_type(&self) -> &'static str {
        match self {
            Raw::U8(_) => "u8",
            Raw::I8(_) => "i8",
            Raw::F32(_) => "f32",
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Raw::U8(v) => v.truncate(len),
            Raw::I8(v) => v.truncate(len),
            Raw::F32(v) => v.truncate(len),
        }
    }
}

/// One sample's raw values, channel last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample<'a> {
    /// Of [`Raw::U8`].
    U8(&'a [u8]),
    /// Of [`Raw::I8`].
    I8(&'a [i8]),
    /// Of [`Raw::F32`].
    F32(&'a [f32]),
}

/// Samples of one shape, with labels where they are known.
///
/// After [`Dataset::new`] every sample is whole and has its label; no accessor can fail for an index below [`len`](Self::len).
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    sample_shape: Vec<usize>,
    raw: Raw,
    labels: Option<Vec<u32>>,
    source: String,
}

impl Dataset {
    /// Puts samples together. `sample_shape` is `[H, W, C]` or `[F]`, without the batch; `source` says in the report where the samples came from.
    ///
    /// # Errors
    /// [`DataError::Inconsistent`] where the values are no whole number (at least one) of samples, or the labels are not as many.
    pub fn new(sample_shape: Vec<usize>, raw: Raw, labels: Option<Vec<u32>>, source: String) -> Result<Dataset, DataError> {
        let size = sample_shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).unwrap_or(0);
        let whole = size > 0 && !raw.is_empty() && raw.len().is_multiple_of(size);
        let labelled = labels.as_ref().is_none_or(|l| l.len().checked_mul(size) == Some(raw.len()));
        if whole && labelled {
            Ok(Dataset { sample_shape, raw, labels, source })
        } else {
            Err(DataError::Inconsistent { values: raw.len(), labels: labels.map(|l| l.len()), sample_shape })
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.raw.len() / self.sample_len()
    }

    /// Whether there is no sample: only after `take(0)`.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Number of values of one sample.
    pub fn sample_len(&self) -> usize {
        self.sample_shape.iter().product()
    }

    /// `[H, W, C]` or `[F]`.
    pub fn sample_shape(&self) -> &[usize] {
        &self.sample_shape
    }

    /// The last dimension, which preprocessing counts by.
    pub fn channels(&self) -> usize {
        self.sample_shape.last().copied().unwrap_or(1)
    }

    /// All values.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// Class indices, one for each sample.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// Where the samples came from: a path, or the description of what was drawn.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The raw values of one sample.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn sample(&self, index: usize) -> Sample<'_> {
        let n = self.sample_len();
        let range = index * n..(index + 1) * n;
        match &self.raw {
            Raw::U8(v) => Sample::U8(&v[range]),
            Raw::I8(v) => Sample::I8(&v[range]),
            Raw::F32(v) => Sample::F32(&v[range]),
        }
    }

    /// The first `n` samples, or all where there are fewer.
    #[must_use]
    pub fn take(mut self, n: usize) -> Dataset {
        let n = n.min(self.len());
        self.raw.truncate(n * self.sample_len());
        if let Some(labels) = &mut self.labels {
            labels.truncate(n);
        }
        self
    }

    /// The real values of one sample, as the float network takes them.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn to_f32(&self, index: usize, preprocess: &Preprocess) -> Vec<f32> {
        let mut values: Vec<f32> = match self.sample(index) {
            Sample::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Sample::I8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Sample::F32(v) => v.to_vec(),
        };
        preprocess.apply(&mut values, self.channels());
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(values: usize, labels: Option<usize>) -> Result<Dataset, DataError> {
        let raw = Raw::U8((0..values).map(|i| i as u8).collect());
        Dataset::new(vec![2, 3], raw, labels.map(|n| vec![7; n]), "test".into())
    }

    #[test]
    fn only_whole_labelled_samples_make_a_data_set() {
        assert_eq!(data(12, Some(2)).unwrap().len(), 2);
        assert!(data(11, None).is_err());
        assert!(data(0, None).is_err());
        assert!(data(12, Some(3)).is_err());
        assert!(Dataset::new(vec![usize::MAX, 2], Raw::U8(vec![1]), None, String::new()).is_err());
        assert!(Dataset::new(vec![0], Raw::U8(vec![]), Some(vec![]), String::new()).is_err());
    }

    #[test]
    fn take_keeps_the_first_samples_and_their_labels() {
        let two = data(18, Some(3)).unwrap().take(2);
        assert_eq!((two.len(), two.labels()), (2, Some(&[7, 7][..])));
        assert_eq!(two.sample(1), Sample::U8(&[6, 7, 8, 9, 10, 11]));
        assert_eq!(two.clone().take(9), two);
        assert!(two.take(0).is_empty());
    }

    #[test]
    fn preprocessing_goes_by_the_last_dimension() {
        let preprocess = Preprocess::new(vec![0.0, 1.0, 2.0], vec![1.0, 1.0, 2.0], 3).unwrap();
        assert_eq!(data(6, None).unwrap().to_f32(0, &preprocess), [0.0, 0.0, 0.0, 3.0, 3.0, 1.5]);
    }
}
