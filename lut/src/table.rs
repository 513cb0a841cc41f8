//! Lookup tables: a cost for each key, and where it came from; or why there is none.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use crate::{Cost, CostError, CostModel, CostValueError, Counter, KeyError, LayerKey, Profile, Provenance};

/// Most entries of one table.
pub const ENTRIES_MAX: usize = 1 << 20;

/// What a table knows about one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The cost.
    pub cost: Cost,
    /// Where it came from.
    pub provenance: Provenance,
}

/// Costs by layer, in the order of the keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    name: String,
    entries: BTreeMap<LayerKey, Entry>,
    /// Layers that the table's source does not cover, and why. Never also in `entries`.
    not_modelled: BTreeMap<LayerKey, String>,
    /// Answers for what is in neither.
    profile: Option<Profile>,
}

/// An entry that a table does not take. Every variant names the layer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The key is there already, with a cost or without.
    #[error("{0} is in the table twice")]
    Duplicate(Box<LayerKey>),
    /// The key describes no layer.
    #[error("{key} is not a layer: {reason}")]
    Key {
        /// The layer.
        key: Box<LayerKey>,
        /// Which rule it breaks.
        reason: KeyError,
    },
    /// The cost is negative or not finite.
    #[error("{key}: {reason}")]
    Cost {
        /// The layer.
        key: Box<LayerKey>,
        /// What is wrong.
        reason: CostValueError,
    },
    /// The statistics of a measurement are negative or not finite, or have no samples.
    #[error("{0}: the samples, mean or spread of its counts is negative, zero or not finite")]
    Measurement(Box<LayerKey>),
    /// More than [`ENTRIES_MAX`] entries.
    #[error("{0} would be entry number {number} of at most {ENTRIES_MAX}", number = ENTRIES_MAX + 1)]
    Full(Box<LayerKey>),
}

impl Table {
    /// An empty table. `name`: what it describes, usually a target.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), entries: BTreeMap::new(), not_modelled: BTreeMap::new(), profile: None }
    }

    /// The table with who counted its entries, and fits that answer for the layers that it does not hold.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Who counted its entries, and the fits; `None` for a table that was not profiled.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// A profiled table for another clock: what was counted stays, the times follow. Any other table as it is.
    #[must_use]
    pub fn at_clock(mut self, clock_hz: u64) -> Self {
        let Some(profile) = self.profile.take() else { return self };
        let counter = Counter { clock_hz, ..profile.counter().clone() };
        if counter == *profile.counter() || clock_hz == 0 {
            return self.with_profile(profile);
        }
        for entry in self.entries.values_mut() {
            if let Some((unit, _, mean, _)) = entry.provenance.counts() {
                entry.cost = unit.cost(mean, clock_hz);
            }
        }
        // Only a clock of zero is refused, and that one is not.
        self.profile = Profile::new(counter, profile.fits().to_vec()).ok();
        self
    }

    /// The entry that answers for a layer: its own, or the estimate of the table's fits.
    ///
    /// On a machine that was profiled it does not matter whether a layer reads the network's input, nor what padding no window reaches;
    /// such a table holds its layers without either ([`LayerKey::with_needed_padding`]).
    #[must_use]
    pub fn answer(&self, key: &LayerKey) -> Option<Entry> {
        if let Some(entry) = self.entries.get(key) {
            return Some(entry.clone());
        }
        let profile = self.profile.as_ref().filter(|_| !self.not_modelled.contains_key(key))?;
        let same = LayerKey { reads_network_input: false, ..key.clone() }.with_needed_padding();
        if let Some(entry) = self.entries.get(&same) {
            return Some(entry.clone());
        }
        let (count, fit) = (profile.count(key)?, profile.fit(key)?);
        let counter = profile.counter();
        let provenance = Provenance::Estimated { unit: counter.unit, count, layers: fit.layers, error_max: fit.error_max };
        Some(Entry { cost: counter.unit.cost(count, counter.clock_hz), provenance })
    }

    /// The answers of `model` for `keys`, as analytic entries: for these keys the table answers as the model does, also
    /// that a layer is not modelled. Repeated keys are asked once.
    ///
    /// # Errors
    /// A key is invalid or missing in `model`, or the model gives an impossible cost.
    pub fn from_model<'a>(model: &(impl CostModel + ?Sized), keys: impl IntoIterator<Item = &'a LayerKey>) -> Result<Self, EvaluateError> {
        let mut table = Self::new(model.name());
        for key in keys {
            if table.contains(key) {
                continue;
            }
            match model.cost(key) {
                Ok(cost) => {
                    let provenance = Provenance::Analytic { model: model.name().to_string() };
                    table.insert(key.clone(), Entry { cost, provenance })?;
                }
                Err(CostError::NotModelled { reason, .. }) => table.insert_not_modelled(key.clone(), reason)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(table)
    }

    /// What the table describes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of entries; layers that are not modelled have none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of a layer.
    #[must_use]
    pub fn get(&self, key: &LayerKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&LayerKey, &Entry)> {
        self.entries.iter()
    }

    /// All keys in their order.
    pub fn keys(&self) -> impl Iterator<Item = &LayerKey> {
        self.entries.keys()
    }

    /// Layers that the source of the table does not cover, in the order of their keys, and why.
    pub fn not_modelled(&self) -> impl Iterator<Item = (&LayerKey, &str)> {
        self.not_modelled.iter().map(|(key, reason)| (key, reason.as_str()))
    }

    /// Whether the table has an answer for a layer, be it that it is not modelled.
    fn contains(&self, key: &LayerKey) -> bool {
        self.entries.contains_key(key) || self.not_modelled.contains_key(key)
    }

    /// Whether the table can take this key.
    fn check_key(&self, key: &LayerKey) -> Result<(), TableError> {
        let boxed = || Box::new(key.clone());
        key.check().map_err(|reason| TableError::Key { key: boxed(), reason })?;
        if self.contains(key) {
            return Err(TableError::Duplicate(boxed()));
        }
        if self.entries.len() + self.not_modelled.len() >= ENTRIES_MAX { Err(TableError::Full(boxed())) } else { Ok(()) }
    }

    /// Adds a layer that the source of the table does not cover: [`CostModel::cost`] answers [`CostError::NotModelled`].
    ///
    /// # Errors
    /// The key is there already or no layer, or the table is full.
    pub fn insert_not_modelled(&mut self, key: LayerKey, reason: impl Into<String>) -> Result<(), TableError> {
        self.check_key(&key)?;
        self.not_modelled.insert(key, reason.into());
        Ok(())
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The key is there already or no layer, the cost or measurement is impossible, or the table
    /// is full.
    pub fn insert(&mut self, key: LayerKey, entry: Entry) -> Result<(), TableError> {
        self.check_key(&key)?;
        if let Err(reason) = entry.cost.check() {
            let key = Box::new(key);
            return Err(TableError::Cost { key, reason });
        }
        let legal = |value: f64| value.is_finite() && value >= 0.0;
        if let Some((_, samples, mean, spread)) = entry.provenance.counts()
            && (samples == 0 || !legal(mean) || !legal(spread))
        {
            return Err(TableError::Measurement(Box::new(key)));
        }
        if let Provenance::Estimated { count, error_max, .. } = entry.provenance
            && (!legal(count) || !legal(error_max))
        {
            return Err(TableError::Measurement(Box::new(key)));
        }
        self.entries.insert(key, entry);
        Ok(())
    }
}

/// Why [`Table::from_model`] stopped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The model has no answer.
    #[error(transparent)]
    Model(#[from] CostError),
    /// The model's answer cannot be a table entry.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl CostModel for Table {
    fn name(&self) -> &str {
        &self.name
    }

    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError> {
        if let Some(entry) = self.answer(key) {
            return Ok(entry.cost);
        }
        let (boxed, model) = (Box::new(key.clone()), self.name.clone());
        match self.not_modelled.get(key) {
            Some(reason) => Err(CostError::NotModelled { key: boxed, model, reason: reason.clone().into() }),
            None => Err(match key.check() {
                Err(reason) => CostError::Invalid { key: boxed, reason },
                Ok(()) => CostError::Missing { key: boxed, model },
            }),
        }
    }

    fn estimates(&self, key: &LayerKey) -> bool {
        self.answer(key).is_some_and(|entry| entry.provenance.is_estimate())
    }
}

#[cfg(test)]
mod tests;
