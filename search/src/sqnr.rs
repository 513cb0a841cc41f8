//! SQNR from per-sample energies: the three estimators of equation 3.
//!
//! Equation 3 of "A Practical Mixed Precision Algorithm for Post-Training Quantization" (section 3.2) is the mean over
//! samples of a ratio. One sample without error makes that mean infinite, and the best samples dominate it, so two
//! other estimators stand beside it and the ratio of the means is the default.

use thiserror::Error;

/// Largest ratio of signal to noise that is told apart from no noise at all: 100 dB.
pub const RATIO_MAX: f64 = 1e10;

/// Smallest ratio whose logarithm is taken: -100 dB. It keeps an output that is zero in float, but
/// not when quantized, finite in the list.
pub const RATIO_MIN: f64 = 1e-10;

/// Energies of one sample: means (or sums) of squares over all elements of all outputs.
///
/// Both are means or both are sums, in the same way for every sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleEnergy {
    /// E[F(x)^2], finite and not negative.
    pub signal: f64,
    /// E[(F(x) - Q(F(x)))^2], finite and not negative.
    pub noise: f64,
}

/// How the samples' energies become one SQNR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Estimator {
    /// Ratio of the means: 10 log10(sum of signals / sum of noises).
    #[default]
    Pooled,
    /// Equation 3: 10 log10 of the mean of the ratios, each capped at [`RATIO_MAX`].
    Paper,
    /// Mean of the samples' dB values.
    Db,
}

/// Why there is no SQNR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SqnrError {
    /// No sample was given.
    #[error("SQNR of no samples")]
    NoSamples,
    /// An energy is negative, infinite or not a number.
    #[error("sample {sample}: an energy is negative or not finite")]
    InvalidEnergy {
        /// Position of the sample.
        sample: usize,
    },
    /// The energies' sum is not finite.
    #[error("the sum of the energies is not finite")]
    Overflow,
}

impl Estimator {
    /// All estimators, in the order in which the tools list them.
    pub const ALL: [Self; 3] = [Self::Pooled, Self::Paper, Self::Db];

    /// The name that the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::Paper => "paper",
            Self::Db => "db",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.name() == name)
    }

    /// SQNR in dB over `samples`, between -100 and 100.
    ///
    /// Sums run in the order of `samples`, so equal input gives equal bits, however the samples
    /// were batched.
    ///
    /// # Errors
    /// See [`SqnrError`].
    pub fn sqnr_db(self, samples: &[SampleEnergy]) -> Result<f64, SqnrError> {
        if samples.is_empty() {
            return Err(SqnrError::NoSamples);
        }
        let valid = |energy: f64| energy.is_finite() && energy >= 0.0;
        if let Some(sample) = samples.iter().position(|s| !valid(s.signal) || !valid(s.noise)) {
            return Err(SqnrError::InvalidEnergy { sample });
        }
        // Exact for every count of samples that fits in memory.
        let count = samples.len() as f64;
        match self {
            Self::Pooled => {
                let signal: f64 = samples.iter().map(|s| s.signal).sum();
                let noise: f64 = samples.iter().map(|s| s.noise).sum();
                if signal.is_finite() && noise.is_finite() { Ok(decibels(capped_ratio(signal, noise))) } else { Err(SqnrError::Overflow) }
            }
            Self::Paper => {
                let ratios: f64 = samples.iter().map(|s| capped_ratio(s.signal, s.noise)).sum();
                Ok(decibels(ratios / count))
            }
            Self::Db => {
                let sum: f64 = samples.iter().map(|s| decibels(capped_ratio(s.signal, s.noise))).sum();
                Ok(sum / count)
            }
        }
    }
}

/// signal / noise, at most [`RATIO_MAX`]; 0/0 counts as the cap.
fn capped_ratio(signal: f64, noise: f64) -> f64 {
    if noise == 0.0 { RATIO_MAX } else { (signal / noise).min(RATIO_MAX) }
}

fn decibels(ratio: f64) -> f64 {
    10.0 * libm::log10(ratio.max(RATIO_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn energies(pairs: &[(f64, f64)]) -> alloc::vec::Vec<SampleEnergy> {
        pairs.iter().map(|&(signal, noise)| SampleEnergy { signal, noise }).collect()
    }

    fn close(estimator: Estimator, pairs: &[(f64, f64)], expected_db: f64) {
        let got = estimator.sqnr_db(&energies(pairs)).unwrap();
        assert!((got - expected_db).abs() < 1e-9, "{estimator:?}: {got} against {expected_db}");
    }

    #[test]
    fn estimators_differ_as_specified() {
        // Ratios 100 and 10000: pooled 202/0.04, mean of ratios 5050, mean of dB 30.
        let pairs = [(2.0, 0.02), (200.0, 0.02)];
        close(Estimator::Pooled, &pairs, 10.0 * (202.0f64 / 0.04).log10());
        close(Estimator::Paper, &pairs, 10.0 * 5050f64.log10());
        close(Estimator::Db, &pairs, 30.0);
    }

    #[test]
    fn a_sample_without_error_is_capped() {
        close(Estimator::Paper, &[(1.0, 0.0), (1.0, 1.0)], 10.0 * ((1e10 + 1.0) / 2.0f64).log10());
        close(Estimator::Db, &[(1.0, 0.0), (1.0, 1.0)], 50.0);
        close(Estimator::Pooled, &[(1.0, 0.0), (1.0, 1.0)], 10.0 * 2f64.log10());
        for estimator in Estimator::ALL {
            close(estimator, &[(0.0, 0.0), (0.0, 0.0)], 100.0);
            close(estimator, &[(1.0, 1e-30)], 100.0);
            close(estimator, &[(0.0, 1.0)], -100.0);
        }
    }

    #[test]
    fn invalid_energies_are_errors() {
        for estimator in Estimator::ALL {
            assert_eq!(estimator.sqnr_db(&[]), Err(SqnrError::NoSamples));
            for bad in [f64::NAN, f64::INFINITY, -1.0] {
                let invalid = Err(SqnrError::InvalidEnergy { sample: 1 });
                assert_eq!(estimator.sqnr_db(&energies(&[(1.0, 1.0), (bad, 1.0)])), invalid);
                assert_eq!(estimator.sqnr_db(&energies(&[(1.0, 1.0), (1.0, bad)])), invalid);
            }
            assert_eq!(Estimator::from_name(estimator.name()), Some(estimator));
        }
        let huge = energies(&[(f64::MAX, 1.0), (f64::MAX, 1.0)]);
        assert_eq!(Estimator::Pooled.sqnr_db(&huge), Err(SqnrError::Overflow));
    }
}
