//! Costs, and who answers for them.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{KeyError, LayerKey};

/// Largest number of cycles of one layer: integers up to here are exact as `f64`, and so in JSON.
pub const CYCLES_MAX: u64 = 1 << 53;

/// What one inference of one layer, or of several, costs. A field is `None` where its source has
/// no figure for it; that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Clock cycles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// Latency in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<f64>,
    /// Energy in nanojoules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_nj: Option<f64>,
}

/// A cost that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CostValueError {
    /// More than [`CYCLES_MAX`] cycles.
    #[error("{0} cycles are more than {CYCLES_MAX}")]
    Cycles(u64),
    /// Negative, infinite or not a number.
    #[error("a latency of {0} ns is negative or not finite")]
    Latency(f64),
    /// Negative, infinite or not a number.
    #[error("an energy of {0} nJ is negative or not finite")]
    Energy(f64),
}

/// Figures with their units, as `120 cycles, 240 ns, 3.5 nJ`.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut figure = |figure: Option<&dyn fmt::Display>, unit: &str| -> fmt::Result {
            if let Some(figure) = figure {
                write!(f, "{separator}{figure} {unit}")?;
                separator = ", ";
            }
            Ok(())
        };
        figure(self.cycles.as_ref().map(|value| value as _), "cycles")?;
        figure(self.latency_ns.as_ref().map(|value| value as _), "ns")?;
        figure(self.energy_nj.as_ref().map(|value| value as _), "nJ")?;
        if separator.is_empty() { f.write_str("no figures") } else { Ok(()) }
    }
}

impl Cost {
    /// No cost at all: the neutral element of [`Cost::plus`].
    pub const ZERO: Cost = Cost { cycles: Some(0), latency_ns: Some(0.0), energy_nj: Some(0.0) };

    /// The sum. A field that one side does not have is missing in the sum.
    #[must_use]
    pub fn plus(self, other: Cost) -> Cost {
        let real = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        Cost {
            cycles: self.cycles.zip(other.cycles).map(|(a, b)| a.saturating_add(b)),
            latency_ns: real(self.latency_ns, other.latency_ns),
            energy_nj: real(self.energy_nj, other.energy_nj),
        }
    }

    /// Checks that latency and energy are finite and not negative, and cycles in range.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), CostValueError> {
        let legal = |value: f64| value.is_finite() && value >= 0.0;
        match *self {
            Cost { cycles: Some(cycles), .. } if cycles > CYCLES_MAX => Err(CostValueError::Cycles(cycles)),
            Cost { latency_ns: Some(latency), .. } if !legal(latency) => Err(CostValueError::Latency(latency)),
            Cost { energy_nj: Some(energy), .. } if !legal(energy) => Err(CostValueError::Energy(energy)),
            _ => Ok(()),
        }
    }
}

/// Why a model has no cost for a layer. Every variant names the layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// The table has no such entry.
    #[error("{model} has no entry for {key}")]
    Missing {
        /// The layer.
        key: Box<LayerKey>,
        /// [`CostModel::name`].
        model: String,
    },
    /// The model does not cover this kind of layer. Reports count it as 0 and list it.
    #[error("{key} is not modelled by {model}: {reason}")]
    NotModelled {
        /// The layer.
        key: Box<LayerKey>,
        /// [`CostModel::name`].
        model: String,
        /// What the model does not cover.
        reason: Cow<'static, str>,
    },
    /// The key describes no layer.
    #[error("{key} is not a layer: {reason}")]
    Invalid {
        /// The layer.
        key: Box<LayerKey>,
        /// Which rule it breaks.
        reason: KeyError,
    },
}

impl CostError {
    /// The layer that has no cost.
    #[must_use]
    pub fn key(&self) -> &LayerKey {
        match self {
            CostError::Missing { key, .. } | CostError::NotModelled { key, .. } | CostError::Invalid { key, .. } => key,
        }
    }
}

/// Anything that knows what a layer costs. Equal keys give equal answers.
pub trait CostModel {
    /// Name in messages and files.
    fn name(&self) -> &str;

    /// The cost of one inference of the layer.
    ///
    /// # Errors
    /// The layer is missing, not modelled or not a layer.
    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError>;

    /// Whether the cost of the layer is inferred from those of other layers.
    fn estimates(&self, key: &LayerKey) -> bool {
        let _ = key;
        false
    }
}

impl<M: CostModel + ?Sized> CostModel for &M {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError> {
        (**self).cost(key)
    }

    fn estimates(&self, key: &LayerKey) -> bool {
        (**self).estimates(key)
    }
}

impl<M: CostModel + ?Sized> CostModel for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError> {
        (**self).cost(key)
    }

    fn estimates(&self, key: &LayerKey) -> bool {
        (**self).estimates(key)
    }
}

/// The cost of several layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// Sum over the layers that the model covers, in their order.
    pub cost: Cost,
    /// Layers that the model does not cover, in their order. They count as 0.
    pub not_modelled: Vec<LayerKey>,
}

/// Adds up the costs of `keys` in their order, so that the sum is the same in every run.
///
/// # Errors
/// A layer is missing or invalid.
pub fn total<'a>(model: &(impl CostModel + ?Sized), keys: impl IntoIterator<Item = &'a LayerKey>) -> Result<Total, CostError> {
    let mut sum = Total { cost: Cost::ZERO, not_modelled: Vec::new() };
    for key in keys {
        match model.cost(key) {
            Ok(cost) => sum.cost = sum.cost.plus(cost),
            Err(CostError::NotModelled { key, .. }) => sum.not_modelled.push(*key),
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_one_side_lacks_is_missing_in_the_sum() {
        let cycles_only = Cost { cycles: Some(7), ..Cost::default() };
        assert_eq!(Cost::ZERO.plus(cycles_only), cycles_only);
        let all = Cost { cycles: Some(1), latency_ns: Some(2.0), energy_nj: Some(3.0) };
        assert_eq!(all.plus(Cost::ZERO), all);
        assert_eq!(all.plus(cycles_only).cycles, Some(8));
        assert_eq!(all.plus(cycles_only).latency_ns, None);
    }

    #[test]
    fn impossible_costs_are_refused() {
        let check = |cycles, latency_ns, energy_nj| Cost { cycles, latency_ns, energy_nj }.check();
        assert_eq!(check(Some(1), Some(0.0), Some(1e9)), Ok(()));
        assert_eq!(check(None, None, None), Ok(()));
        assert!(check(Some(CYCLES_MAX + 1), None, None).is_err());
        for bad in [-1.0, -1e-300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(check(None, Some(bad), None), Err(CostValueError::Latency(_))));
            assert!(matches!(check(None, None, Some(bad)), Err(CostValueError::Energy(_))));
        }
    }
}
