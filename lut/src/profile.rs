//! What a table knows beyond its entries: where its counts come from, and costs fitted to them.
//!
//! A table cannot hold every layer of every network. The work of a kernel is a sum over its loop nest: so much for each call, each block of
//! columns, each step of an inner loop. A [`Fit`] holds what these cost, found from the counts of many layers, with its largest error over
//! them. What it answers is an estimate and is called one everywhere; an entry of the table goes before it.

mod path;
mod sizes;
mod term;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use path::Path;
pub use term::Term;

use crate::{CYCLES_MAX, Cost, LayerKey, Operator};

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Instructions executed, by an emulator; it knows nothing of memory timing.
    Instructions,
    /// Clock cycles of a board.
    Cycles,
}

impl Unit {
    /// As reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unit::Instructions => "instructions",
            Unit::Cycles => "cycles",
        }
    }

    /// The cost of a count. An instruction counts as one cycle of the clock for the latency, and never as a cycle in `cycles`.
    #[must_use]
    pub fn cost(self, count: f64, clock_hz: u64) -> Cost {
        let cycles = (self == Unit::Cycles).then_some((count + 0.5) as u64);
        Cost { cycles, latency_ns: Some(count * 1e9 / clock_hz as f64), energy_nj: None }
    }
}

/// Who counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// The board, or the core that the emulator emulates.
    pub board: String,
    /// What ran the firmware.
    pub runner: String,
    /// The firmware's kernels, by its own account.
    pub kernels: String,
    /// What was counted.
    pub unit: Unit,
    /// Clock that makes counts times, in Hz.
    pub clock_hz: u64,
}

/// Fitted costs of the layers of one operator, path and pair of widths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The operator.
    pub operator: Operator,
    /// The way through its kernels.
    pub path: Path,
    /// As in [`LayerKey::weight_bits`].
    pub weight_bits: u8,
    /// As in [`LayerKey::activation_bits`].
    pub activation_bits: u8,
    /// Number of layers that it was fitted to.
    pub layers: u32,
    /// Largest relative error over layers, those left out of the fit included.
    pub error_max: f64,
    /// Mean relative error over the same.
    pub error_mean: f64,
    /// Counts for each occurrence of a term.
    #[serde(serialize_with = "terms_to_map", deserialize_with = "terms_from_map")]
    pub terms: Vec<(Term, f64)>,
}

/// Who counted, and the costs fitted to the counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    counter: Counter,
    /// In the order of [`order`], each at most once.
    fits: Vec<Fit>,
}

/// Why fits do not make a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The clock is zero.
    #[error("the profile's clock_hz is zero")]
    Clock,
    /// A coefficient or error is negative or not finite.
    #[error("the fit of {operator} ({path}) w{weight_bits}a{activation_bits}: a number is negative or not finite", path = path.name())]
    Number {
        /// The operator.
        operator: Operator,
        /// The path.
        path: Path,
        /// Its weight bits.
        weight_bits: u8,
        /// Its activation bits.
        activation_bits: u8,
    },
    /// A fit that is there already.
    #[error("the fit of {operator} ({path}) w{weight_bits}a{activation_bits} is there twice", path = path.name())]
    Duplicate {
        /// The operator.
        operator: Operator,
        /// The path.
        path: Path,
        /// Its weight bits.
        weight_bits: u8,
        /// Its activation bits.
        activation_bits: u8,
    },
}

fn order(fit: &Fit) -> (&Operator, Path, u8, u8) {
    (&fit.operator, fit.path, fit.weight_bits, fit.activation_bits)
}

impl Fit {
    /// The count that the fit expects of a layer of its kind.
    #[must_use]
    pub fn count(&self, key: &LayerKey) -> f64 {
        self.terms.iter().map(|(term, count)| count * term.value(key)).sum()
    }

    fn is_legal(&self) -> bool {
        let legal = |value: f64| value.is_finite() && value >= 0.0;
        legal(self.error_max) && legal(self.error_mean) && self.terms.iter().all(|(_, count)| legal(*count))
    }
}

impl Profile {
    /// Checks and sorts.
    ///
    /// # Errors
    /// A clock of zero, a fit there twice, or a number that cannot be one.
    pub fn new(counter: Counter, mut fits: Vec<Fit>) -> Result<Self, ProfileError> {
        if counter.clock_hz == 0 {
            return Err(ProfileError::Clock);
        }
        if let Some(Fit { operator, path, weight_bits, activation_bits, .. }) = fits.iter().find(|fit| !fit.is_legal()) {
            let (operator, path, weight_bits, activation_bits) = (operator.clone(), *path, *weight_bits, *activation_bits);
            return Err(ProfileError::Number { operator, path, weight_bits, activation_bits });
        }
        fits.sort_by(|a, b| order(a).cmp(&order(b)));
        if let Some(pair) = fits.windows(2).find(|pair| order(&pair[0]) == order(&pair[1])) {
            let Fit { operator, path, weight_bits, activation_bits, .. } = pair[0].clone();
            return Err(ProfileError::Duplicate { operator, path, weight_bits, activation_bits });
        }
        Ok(Self { counter, fits })
    }

    /// Who counted.
    #[must_use]
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// The fits, sorted.
    #[must_use]
    pub fn fits(&self) -> &[Fit] {
        &self.fits
    }

    /// The fit that answers for a layer.
    #[must_use]
    pub fn fit(&self, key: &LayerKey) -> Option<&Fit> {
        let wanted = (&key.operator, Path::of(key), key.weight_bits, key.activation_bits);
        let place = self.fits.binary_search_by(|fit| order(fit).cmp(&wanted)).ok()?;
        self.fits.get(place)
    }

    /// The estimated count of a layer; `None` where no fit answers for it, or the key is none.
    #[must_use]
    pub fn count(&self, key: &LayerKey) -> Option<f64> {
        key.check().ok()?;
        let count = self.fit(key)?.count(key);
        Some(count).filter(|count| *count <= CYCLES_MAX as f64)
    }

    /// The estimated cost of a layer.
    #[must_use]
    pub fn cost(&self, key: &LayerKey) -> Option<Cost> {
        Some(self.counter.unit.cost(self.count(key)?, self.counter.clock_hz))
    }
}

fn terms_to_map<S: Serializer>(terms: &[(Term, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(terms.iter().map(|(term, count)| (term.name(), count)))
}

fn terms_from_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(Term, f64)>, D::Error> {
    let map = alloc::collections::BTreeMap::<String, f64>::deserialize(deserializer)?;
    let term = |(name, count): (String, f64)| match Term::from_name(&name) {
        Some(term) => Ok((term, count)),
        None => Err(serde::de::Error::custom(format_args!("`{name}` is no term of a fit"))),
    };
    let mut terms = map.into_iter().map(term).collect::<Result<Vec<_>, _>>()?;
    terms.sort_by_key(|(term, _)| *term);
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Candidate;
    use alloc::string::ToString;
    use alloc::vec;

    fn counter(unit: Unit) -> Counter {
        Counter { board: "b".into(), runner: "r".into(), kernels: "k".into(), unit, clock_hz: 100_000_000 }
    }

    fn fit(weight_bits: u8) -> Fit {
        let terms = vec![(Term::Call, 100.0), (Term::Macs, 2.0)];
        let (layers, error_max, error_mean) = (9, 0.02, 0.01);
        Fit { operator: Operator::Conv, path: Path::Window, weight_bits, activation_bits: 8, layers, error_max, error_mean, terms }
    }

    #[test]
    fn a_fit_answers_for_its_layers_only() {
        let bits = |weight_bits| Candidate::new(weight_bits, 8).unwrap();
        let key = |weight_bits| LayerKey::conv([4, 4], 8, 3, [3, 3], [1, 1], [1; 4], bits(weight_bits)).unwrap();
        let profile = Profile::new(counter(Unit::Instructions), vec![fit(8), fit(2)]).unwrap();
        assert_eq!(profile.count(&key(8)), Some(100.0 + 2.0 * 16.0 * 3.0 * 72.0));
        let cost = profile.cost(&key(2)).unwrap();
        assert_eq!((cost.cycles, cost.latency_ns), (None, Some(70_120.0)), "instructions are not cycles");
        assert_eq!(profile.count(&key(4)), None);
        let mut first = key(8);
        first.input_channels = 3;
        assert_eq!(profile.count(&first), None, "another path");
        first.groups = 0;
        assert_eq!(profile.count(&first), None, "no layer");
        let profile = Profile::new(counter(Unit::Cycles), vec![fit(8)]).unwrap();
        assert_eq!(profile.cost(&key(8)).unwrap().cycles, Some(7012));
    }

    #[test]
    fn what_cannot_be_a_profile_is_refused() {
        let twice = Profile::new(counter(Unit::Cycles), vec![fit(8), fit(4), fit(8)]).unwrap_err();
        assert_eq!(twice.to_string(), "the fit of conv (window) w8a8 is there twice");
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            let mut broken = [fit(8), fit(8), fit(8)];
            (broken[0].error_max, broken[1].error_mean, broken[2].terms[1].1) = (bad, bad, bad);
            for fit in broken {
                assert!(matches!(Profile::new(counter(Unit::Cycles), vec![fit]), Err(ProfileError::Number { .. })));
            }
        }
        let stopped = Counter { clock_hz: 0, ..counter(Unit::Cycles) };
        assert_eq!(Profile::new(stopped, Vec::new()), Err(ProfileError::Clock));
    }
}
