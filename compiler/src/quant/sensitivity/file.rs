//! Lists as files: whole ones and the parts of a list that was measured in shards, each with the hash of everything that it depends on.

use std::collections::BTreeSet;
use std::fmt::Display;

use apq_lut::Candidate;
use apq_search::Sensitivity;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::FileError;
use super::measure::Metric;
use super::{expanded, hexadecimal};
use crate::quant::groups::Grouping;

/// Raised when the form of the file changes.
const SCHEMA: u32 = 1;

/// Raised when the same inputs give other values.
const ALGORITHM: u32 = 1;

/// Everything that a list depends on beside its metric; hashes are SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// Version of the tool.
    pub version: String,
    /// Version of the measurement.
    pub algorithm: u32,
    /// Of the model's files.
    pub model: String,
    /// Of the network after all passes.
    pub graph: String,
    /// Of the groups' names and candidates.
    pub groups: String,
    /// Of the calibration samples.
    pub calibration: String,
    /// Of the samples that were measured, labels included.
    pub samples: String,
    /// Of the preprocessing.
    pub preprocess: String,
    /// Rules for the ranges of weights and activations.
    pub ranges: String,
    /// How weights are rounded.
    pub rounding: String,
    /// Width of the network's output.
    pub output_bits: u8,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Of every quantizer and every rounded weight.
    pub quantizers: String,
}

impl Basis {
    /// The version of the measurement that this build makes.
    pub const ALGORITHM: u32 = ALGORITHM;

    /// What differs first from another basis, for people, with both values.
    pub fn difference(&self, other: &Basis) -> Option<String> {
        let differs = |what: &str, own: &str, its: &str| (own != its).then(|| format!("{what} ({} against {})", short(own), short(its)));
        differs("model", &self.model, &other.model)
            .or_else(|| differs("network", &self.graph, &other.graph))
            .or_else(|| differs("calibration samples", &self.calibration, &other.calibration))
            .or_else(|| differs("measured samples", &self.samples, &other.samples))
            .or_else(|| differs("preprocessing", &self.preprocess, &other.preprocess))
            .or_else(|| differs("groups or candidates", &self.groups, &other.groups))
            .or_else(|| differs("range rules", &self.ranges, &other.ranges))
            .or_else(|| differs("rounding", &self.rounding, &other.rounding))
            .or_else(|| differs("output width", &self.output_bits.to_string(), &other.output_bits.to_string()))
            .or_else(|| differs("seed", &self.seed.to_string(), &other.seed.to_string()))
            .or_else(|| differs("tool version", &self.version, &other.version))
            .or_else(|| differs("measurement version", &self.algorithm.to_string(), &other.algorithm.to_string()))
            .or_else(|| differs("quantizers", &self.quantizers, &other.quantizers))
    }

    /// The hash of the metric and of everything that is known before the network is calibrated.
    pub fn prefix(&self, metric: &str) -> String {
        let before = Basis { quantizers: String::new(), ..self.clone() };
        let text = serde_json::to_string(&(before, metric)).unwrap_or_default();
        hexadecimal(&Sha256::digest(text.as_bytes()))
    }

    /// The hash of everything.
    pub fn key(&self, metric: &str) -> String {
        key(&self.prefix(metric), &self.quantizers)
    }
}

/// The hash of a list: of what [`Basis::prefix`] covers, and of the quantizers ([`quantizers_sha256`](super::quantizers_sha256)).
pub fn key(prefix: &str, quantizers: &str) -> String {
    hexadecimal(&Sha256::digest(format!("{prefix} {quantizers}").as_bytes()))
}

/// The first digits of a hash.
fn short(text: &str) -> &str {
    if text.len() == 64 { text.get(..12).unwrap_or(text) } else { text }
}

/// Which part of a list a file holds: every `count`-th measurement from `index` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// From 1 to `count`.
    pub index: usize,
    /// Number of parts.
    pub count: usize,
}

impl Shard {
    /// Whether the measurement at a place belongs to this part.
    pub fn holds(&self, place: usize) -> bool {
        place % self.count.max(1) == self.index.saturating_sub(1)
    }
}

/// One value of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Place in the whole list.
    pub place: usize,
    /// Name of the group.
    pub group: String,
    /// Position of the group in graph order.
    pub group_index: usize,
    /// Bit widths of the group.
    pub candidate: Candidate,
    /// The value for people: dB, a fraction, or dB of FIT; absent where it is not finite.
    pub value: Option<f64>,
    /// The bits of the value in hexadecimal digits, which count.
    pub bits: String,
}

impl Entry {
    /// The value, bit for bit.
    pub fn value(&self) -> f64 {
        u64::from_str_radix(&self.bits, 16).map_or(f64::NAN, f64::from_bits)
    }
}

/// A list, or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    schema: u32,
    /// Hash of the metric and the basis.
    pub key: String,
    /// Name of the model.
    pub model: String,
    /// `sqnr`, `accuracy` or `fit`.
    pub metric: String,
    /// The estimator of SQNR.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub estimator: Option<String>,
    /// Samples measured.
    pub samples: usize,
    /// Entries of the whole list.
    pub total: usize,
    /// The part; absent in a whole list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<Shard>,
    /// What the list depends on.
    pub basis: Basis,
    /// Values in the order of groups and candidates.
    pub entries: Vec<Entry>,
}

impl ListFile {
    /// A list or a part; `values` belong to `measured`, `None` for what another part holds.
    pub fn new(
        (model, basis, samples): (String, Basis, usize),
        metric: Metric,
        grouping: &Grouping,
        measured: &[(usize, Candidate)],
        values: &[Option<f64>],
        shard: Option<Shard>,
    ) -> ListFile {
        let places: Vec<f64> = (0..measured.len()).map(|place| place as f64).collect();
        let whole = expanded(grouping, measured, &places);
        let entry = |(place, of): (usize, &Sensitivity)| {
            let value = values[of.sqnr_db as usize]?;
            Some(Entry {
                place,
                group: grouping.groups[of.group].name.clone(),
                group_index: of.group,
                candidate: of.candidate,
                value: Some(value).filter(|value| value.is_finite()),
                bits: format!("{:016x}", value.to_bits()),
            })
        };
        let estimator = if let Metric::Sqnr(estimator) = metric { Some(estimator.name().to_string()) } else { None };
        ListFile {
            schema: SCHEMA,
            key: basis.key(&metric.full_name()),
            model,
            metric: metric.name().into(),
            estimator,
            samples,
            total: whole.len(),
            shard,
            basis,
            entries: whole.iter().enumerate().filter_map(entry).collect(),
        }
    }

    /// Reads a file; `name` is for messages.
    ///
    /// # Errors
    /// See [`FileError::NotAList`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<ListFile, FileError> {
        let damaged = |reason: String| FileError::NotAList { file: name.into(), reason };
        let file: ListFile = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if file.schema != SCHEMA {
            return Err(damaged(format!("its schema is {}, this build reads {SCHEMA}", file.schema)));
        }
        if file.key != file.basis.key(&file.metric_name()) {
            return Err(damaged("its hash is not that of what it says it depends on".into()));
        }
        if file.shard.is_some_and(|shard| shard.index == 0 || shard.index > shard.count) {
            return Err(damaged("its part has an impossible number".into()));
        }
        let mut places = BTreeSet::new();
        for entry in &file.entries {
            let place = (entry.place < file.total && places.insert(entry.place)) && !entry.value().is_nan();
            let agrees =
                entry.value == Some(entry.value()) || entry.value.is_none() || entry.value.is_some_and(|v| close(v, entry.value()));
            if !place || !agrees {
                return Err(damaged(format!("the entry of group \"{}\" at {} is damaged", entry.group, entry.candidate)));
            }
        }
        if file.shard.is_none() && file.entries.len() != file.total {
            return Err(damaged(format!("it has {} of {} entries", file.entries.len(), file.total)));
        }
        Ok(file)
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Metric and estimator, as hashed.
    pub fn metric_name(&self) -> String {
        match &self.estimator {
            Some(estimator) => format!("{} {estimator}", self.metric),
            None => self.metric.clone(),
        }
    }

    /// The values as the search takes them.
    ///
    /// # Errors
    /// See [`FileError::Part`].
    pub fn whole(&self, name: &str) -> Result<Vec<Sensitivity>, FileError> {
        if let Some(Shard { index, count }) = self.shard {
            return Err(FileError::Part { file: name.into(), index, count });
        }
        let entry = |entry: &Entry| Sensitivity { group: entry.group_index, candidate: entry.candidate, sqnr_db: entry.value() };
        Ok(self.entries.iter().map(entry).collect())
    }
}

/// Decimal digits may come back a last bit off.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs()
}

/// The whole list from all of its parts, in any order.
///
/// # Errors
/// Parts that do not belong together, come twice or are missing.
pub fn merge(parts: &[(String, ListFile)]) -> Result<ListFile, FileError> {
    let Some((first_name, first)) = parts.first() else { return Err(FileError::Missing { missing: "1".into(), count: 1 }) };
    let count = first.shard.ok_or_else(|| FileError::Whole(first_name.clone()))?.count;
    let mut of_index: Vec<Option<&(String, ListFile)>> = vec![None; count.min(first.total.max(1))];
    for part in parts {
        let (name, file) = part;
        let shard = file.shard.ok_or_else(|| FileError::Whole(name.clone()))?;
        let different = |what: String| FileError::Different { first: first_name.clone(), second: name.clone(), what };
        if file.key != first.key {
            let metric = || format!("metric ({} against {})", first.metric_name(), file.metric_name());
            return Err(different(first.basis.difference(&file.basis).unwrap_or_else(metric)));
        }
        let differs = |what: &str, own: &dyn Display, other: &dyn Display| different(format!("{what} ({own} against {other})"));
        if file.model != first.model {
            return Err(differs("model's name", &first.model, &file.model));
        }
        if file.samples != first.samples {
            return Err(differs("number of samples", &first.samples, &file.samples));
        }
        if file.total != first.total {
            return Err(differs("number of entries", &first.total, &file.total));
        }
        if shard.count != count {
            return Err(differs("number of parts", &count, &shard.count));
        }
        let Some(slot) = of_index.get_mut(shard.index - 1) else { continue };
        if let Some((other, _)) = slot {
            return Err(FileError::Twice { first: other.clone(), second: name.clone(), index: shard.index, count });
        }
        *slot = Some(part);
    }
    let missing: Vec<String> = (1..=of_index.len()).filter(|index| of_index[index - 1].is_none()).map(|index| index.to_string()).collect();
    if !missing.is_empty() {
        return Err(FileError::Missing { missing: missing.join(", "), count });
    }
    let mut entries: Vec<Entry> = parts.iter().flat_map(|(_, file)| file.entries.iter().cloned()).collect();
    entries.sort_by_key(|entry| entry.place);
    if entries.len() != first.total || entries.iter().enumerate().any(|(place, entry)| entry.place != place) {
        let reason = format!("its parts have {} entries, the list has {}", entries.len(), first.total);
        return Err(FileError::NotAList { file: first_name.clone(), reason });
    }
    Ok(ListFile { shard: None, entries, ..first.clone() })
}

/// The values that two lists have for the same groups and candidates.
///
/// # Errors
/// See [`FileError::Disjoint`].
pub fn paired(a: (&str, &ListFile), b: (&str, &ListFile)) -> Result<(Vec<f64>, Vec<f64>), FileError> {
    let mut pairs = (Vec::new(), Vec::new());
    for entry in &a.1.entries {
        if let Some(other) = b.1.entries.iter().find(|other| other.group == entry.group && other.candidate == entry.candidate) {
            pairs.0.push(entry.value());
            pairs.1.push(other.value());
        }
    }
    let common = pairs.0.len();
    if common < 2 {
        return Err(FileError::Disjoint { first: a.0.into(), second: b.0.into(), common });
    }
    Ok(pairs)
}
