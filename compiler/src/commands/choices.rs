//! Values of flags that several commands take.

use apq_search::Estimator;
use apqc::assign::AssignBy;
use apqc::quant::ranges::RangeRule;
use apqc::quant::rounding::Rounding;
use clap::ValueEnum;

/// A rule for ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Ranges {
    /// Smallest mean squared error.
    Mse,
    /// Smallest divergence of the distributions.
    Kl,
    /// Percentile of the magnitudes.
    Percentile,
    /// Everything.
    Minmax,
}

impl From<Ranges> for RangeRule {
    fn from(ranges: Ranges) -> RangeRule {
        match ranges {
            Ranges::Mse => RangeRule::Mse,
            Ranges::Kl => RangeRule::Kl,
            Ranges::Percentile => RangeRule::Percentile,
            Ranges::Minmax => RangeRule::MinMax,
        }
    }
}

/// An estimator of SQNR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sqnr {
    /// Ratio of the means.
    Pooled,
    /// Mean of the ratios, each capped (equation 3).
    Paper,
    /// Mean of the samples' dB.
    Db,
}

impl From<Sqnr> for Estimator {
    fn from(sqnr: Sqnr) -> Estimator {
        match sqnr {
            Sqnr::Pooled => Estimator::Pooled,
            Sqnr::Paper => Estimator::Paper,
            Sqnr::Db => Estimator::Db,
        }
    }
}

/// How a curve is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scheme {
    /// Point after point: the reference.
    Sequential,
    /// Halving.
    Binary,
    /// Two halvings, then interpolation.
    Interpolation,
}

impl From<Scheme> for apq_search::Scheme {
    fn from(scheme: Scheme) -> apq_search::Scheme {
        match scheme {
            Scheme::Sequential => apq_search::Scheme::Sequential,
            Scheme::Binary => apq_search::Scheme::Binary,
            Scheme::Interpolation => apq_search::Scheme::Interpolation,
        }
    }
}

/// How weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RoundingBy {
    /// To the nearest code; biases corrected where held-out samples improve.
    Nearest,
    /// Learned by gradient descent on each layer's output.
    Adaround,
    /// Solved: least squares, error feedback, coordinate descent.
    Descent,
}

impl From<RoundingBy> for Rounding {
    fn from(rounding: RoundingBy) -> Rounding {
        match rounding {
            RoundingBy::Nearest => Rounding::Nearest,
            RoundingBy::Adaround => Rounding::AdaRound,
            RoundingBy::Descent => Rounding::Descent,
        }
    }
}

/// How bit widths are assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// Down the sensitivity list.
    Greedy,
    /// The least sum of the groups' noises.
    Exact,
}

impl From<By> for AssignBy {
    fn from(by: By) -> AssignBy {
        match by {
            By::Greedy => AssignBy::Greedy,
            By::Exact => AssignBy::Exact,
        }
    }
}

/// A number of samples.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number of 1 or more".into())
}

/// A number of points.
pub(crate) fn at_least_two(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 1).ok_or_else(|| "a whole number of 2 or more".into())
}

pub(super) fn output_bits(text: &str) -> Result<u8, String> {
    match text {
        "8" => Ok(8),
        "16" => Ok(16),
        _ => Err("8 or 16".into()),
    }
}
