//! Our own file format of a lookup table.
//!
//! JSON, one entry on each line, entries in the order of their keys, numbers in their shortest
//! form that reads back to the same bits: equal tables give equal bytes. Behind the entries stand
//! the layers that the source does not cover, and why, in the same order.
//!
//! ```text
//! {"format":"apq-lut","version":3,"name":"cortex-m4","entries":[
//! {"key":{"operator":"conv",...},"cost":{"latency_ns":172755.5},"provenance":{"kind":"emulated",...}},
//! ...
//! ],"not_modelled":[
//! {"key":{"operator":"add",...},"reason":"..."},
//! ...
//! ],"counter":{"board":"cortex-m4","unit":"instructions",...},"fits":[
//! {"operator":"conv","path":"window","weight_bits":8,...,"terms":{"call":310.5,"steps:2x4x4":26.0}},
//! ...
//! ]}
//! ```
//!
//! `counter` and `fits` stand in tables that `apqc profile` wrote: who counted, and what answers for layers that have no entry
//! ([`Profile`]).
//!
//! A reader takes exactly the version that it knows; any change of meaning or field raises it.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Cost, Counter, Entry, Fit, LayerKey, Profile, ProfileError, Provenance, Table, TableError};

/// Value of the field `format`.
pub const FORMAT_NAME: &str = "apq-lut";

/// Value of the field `version`.
pub const FORMAT_VERSION: u32 = 3;

/// Why a text is not a lookup table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not JSON, or not with the fields of a lookup table; the text has line and column.
    #[error("not a lookup table: {0}")]
    Json(String),
    /// The field `format` says something else.
    #[error("the file's format is `{0}`, not `{FORMAT_NAME}`")]
    Format(String),
    /// Written by another version.
    #[error("lookup table version {0}: this build reads version {FORMAT_VERSION}")]
    Version(u32),
    /// An entry that a table does not take.
    #[error(transparent)]
    Entry(#[from] TableError),
    /// Fits that are none.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Fits of nobody's counts.
    #[error("the table has `fits` and no `counter`: who counted is not known")]
    NoCounter,
}

/// Looked at first, so that another version is reported as such and not as a strange field.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow, rename = "format")]
    _format: Cow<'a, str>,
    #[serde(rename = "version")]
    _version: u32,
    name: String,
    entries: Vec<Line>,
    not_modelled: Vec<Outside>,
    #[serde(default)]
    counter: Option<Counter>,
    #[serde(default)]
    fits: Vec<Fit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: LayerKey,
    cost: Cost,
    provenance: Provenance,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outside {
    key: LayerKey,
    reason: String,
}

#[derive(Serialize)]
struct OutsideRef<'a> {
    key: &'a LayerKey,
    reason: &'a str,
}

#[derive(Serialize)]
struct LineRef<'a> {
    key: &'a LayerKey,
    cost: &'a Cost,
    provenance: &'a Provenance,
}

impl Table {
    /// Reads a table from its JSON text.
    ///
    /// # Errors
    /// The text is not JSON of this format and version, or an entry is not legal or there twice.
    pub fn from_json(text: &str) -> Result<Self, FormatError> {
        let json = |error: serde_json::Error| FormatError::Json(error.to_string());
        let header: Header<'_> = serde_json::from_str(text).map_err(json)?;
        if header.format != FORMAT_NAME {
            return Err(FormatError::Format(header.format.into_owned()));
        }
        if header.version != FORMAT_VERSION {
            return Err(FormatError::Version(header.version));
        }
        let file: File<'_> = serde_json::from_str(text).map_err(json)?;
        let mut table = Self::new(file.name);
        for line in file.entries {
            let entry = Entry { cost: line.cost, provenance: line.provenance };
            table.insert(line.key, entry)?;
        }
        for outside in file.not_modelled {
            table.insert_not_modelled(outside.key, outside.reason)?;
        }
        match file.counter {
            Some(counter) => Ok(table.with_profile(Profile::new(counter, file.fits)?)),
            None if !file.fits.is_empty() => Err(FormatError::NoCounter),
            None => Ok(table),
        }
    }

    /// The table as JSON text, ending with a newline. Equal tables give equal bytes.
    ///
    /// # Errors
    /// Only if the serializer fails, which no table makes it do.
    pub fn to_json(&self) -> Result<String, FormatError> {
        let json = |error: serde_json::Error| FormatError::Json(error.to_string());
        let mut text = String::from("{\"format\":");
        text += &serde_json::to_string(FORMAT_NAME).map_err(json)?;
        text += ",\"version\":";
        text += &FORMAT_VERSION.to_string();
        text += ",\"name\":";
        text += &serde_json::to_string(self.name()).map_err(json)?;
        text += ",\"entries\":[";
        let mut separator = "\n";
        for (key, Entry { cost, provenance }) in self.iter() {
            let line = LineRef { key, cost, provenance };
            text += separator;
            text += &serde_json::to_string(&line).map_err(json)?;
            separator = ",\n";
        }
        text += "\n],\"not_modelled\":[";
        separator = "\n";
        for (key, reason) in self.not_modelled() {
            text += separator;
            text += &serde_json::to_string(&OutsideRef { key, reason }).map_err(json)?;
            separator = ",\n";
        }
        text += "\n]";
        if let Some(profile) = self.profile() {
            text += ",\"counter\":";
            text += &serde_json::to_string(profile.counter()).map_err(json)?;
            text += ",\"fits\":[";
            separator = "\n";
            for fit in profile.fits() {
                text += separator;
                text += &serde_json::to_string(fit).map_err(json)?;
                separator = ",\n";
            }
            text += "\n]";
        }
        text += "}\n";
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Operator, Path, Term, Unit};

    fn table() -> Table {
        let bits = Candidate::new(4, 8).unwrap();
        let mut table = Table::new("a \"name\"");
        let provenances = [
            Provenance::Imported { source: "s".into() },
            Provenance::Analytic { model: "m".into() },
            Provenance::Measured {
                board: "nucleo".into(),
                runner: "probe".into(),
                samples: 10,
                mean_cycles: 1.0 / 3.0,
                spread_cycles: 2.0,
            },
            Provenance::Emulated {
                emulator: "qemu".into(),
                core: "cortex-m4".into(),
                samples: 3,
                mean_instructions: 1e15,
                spread_instructions: 0.0,
            },
            Provenance::Estimated { unit: Unit::Instructions, count: 12.5, layers: 7, error_max: 0.01 },
        ];
        for (outputs, provenance) in (1..).zip(provenances) {
            let cost = Cost {
                cycles: Some(u64::from(outputs)),
                latency_ns: (outputs != 2).then_some(0.1 + 0.2),
                energy_nj: (outputs == 3).then_some(5e-324),
            };
            let key = LayerKey::fully_connected(1, 3, outputs, bits);
            table.insert(key, Entry { cost, provenance }).unwrap();
        }
        let other: Operator = "GridSample".parse().unwrap();
        let entry = Entry { cost: Cost::default(), provenance: Provenance::Imported { source: "é".into() } };
        let key = LayerKey::plain(other, [3, 4], 5, bits);
        table.insert(key, entry).unwrap();
        for channels in [4, 3] {
            let key = LayerKey::plain(Operator::Add, [2, 2], channels, bits);
            table.insert_not_modelled(key, "not \"covered\"").unwrap();
        }
        table
    }

    fn profiled() -> Table {
        let counter = Counter {
            board: "cortex-m4".into(),
            runner: "qemu:mps2-an386".into(),
            kernels: "dsp".into(),
            unit: Unit::Instructions,
            clock_hz: 180_000_000,
        };
        let fit = |activation_bits| Fit {
            operator: Operator::Conv,
            path: Path::Window,
            weight_bits: 4,
            activation_bits,
            layers: 20,
            error_max: 0.02,
            error_mean: 0.1 + 0.2,
            terms: [(Term::Steps(2, 4, 4), 26.5), (Term::Call, 1.0 / 3.0)].into(),
        };
        let mut profile = Profile::new(counter.clone(), [fit(8), fit(16)].into()).unwrap();
        // In the order in which a reader has them.
        profile = Profile::new(
            counter,
            profile
                .fits()
                .iter()
                .cloned()
                .map(|mut fit| {
                    fit.terms.sort_by_key(|(term, _)| *term);
                    fit
                })
                .collect(),
        )
        .unwrap();
        table().with_profile(profile)
    }

    #[test]
    fn fits_survive_the_round_trip_and_bad_ones_are_named() {
        let table = profiled();
        let text = table.to_json().unwrap();
        let again = Table::from_json(&text).unwrap();
        assert_eq!((&again, again.to_json().unwrap()), (&table, text.clone()));
        let error = |text: &str| Table::from_json(text).unwrap_err().to_string();
        assert!(error(&text.replace("steps:2x4x4", "steps:7")).contains("`steps:7` is no term"), "{}", error(&text));
        assert!(error(&text.replace("\"activation_bits\":16,\"layers\"", "\"activation_bits\":8,\"layers\"")).contains("twice"));
        assert!(error(&text.replace("26.5", "-26.5")).contains("negative"));
        assert!(error(&text.replace("180000000", "0")).contains("clock_hz"));
        let (start, end) = (text.find("\"counter\"").unwrap(), text.find("\"fits\"").unwrap());
        assert_eq!(Table::from_json(&(text[..start].to_string() + &text[end..])), Err(FormatError::NoCounter));
    }

    #[test]
    fn a_table_survives_the_round_trip_to_the_bit() {
        let table = table();
        let text = table.to_json().unwrap();
        let again = Table::from_json(&text).unwrap();
        assert_eq!(again, table);
        assert_eq!(again.to_json().unwrap(), text);
        assert_eq!(text.lines().count(), table.len() + table.not_modelled().count() + 3);
        let empty = Table::new("empty");
        assert_eq!(Table::from_json(&empty.to_json().unwrap()), Ok(empty));
    }

    #[test]
    fn the_order_of_insertion_does_not_show() {
        let table = table();
        let mut reversed = Table::new(table.name());
        for (key, entry) in table.iter().collect::<Vec<_>>().into_iter().rev() {
            reversed.insert(key.clone(), entry.clone()).unwrap();
        }
        for (key, reason) in table.not_modelled().collect::<Vec<_>>().into_iter().rev() {
            reversed.insert_not_modelled(key.clone(), reason).unwrap();
        }
        assert_eq!(reversed.to_json(), table.to_json());
    }

    #[test]
    fn bad_files_are_named() {
        let text = table().to_json().unwrap();
        let error = |text: &str| Table::from_json(text).unwrap_err();
        assert!(matches!(error(""), FormatError::Json(_)));
        assert!(matches!(error("{}"), FormatError::Json(_)));
        assert!(matches!(error(&text[..text.len() / 2]), FormatError::Json(_)));
        assert_eq!(error(&text.replace("apq-lut", "other")), FormatError::Format("other".into()));
        assert_eq!(error(&text.replace("\"version\":3", "\"version\":1,\"old\":0")), FormatError::Version(1));
        assert!(matches!(error(&text.replace("\"rows\"", "\"lines\"")), FormatError::Json(_)));
        assert!(matches!(error(&text.replace("\"cycles\":1,", "\"cycles\":-1,")), FormatError::Json(_)));
        assert!(matches!(error(&text.replace("\"energy_nj\":5e-324", "\"energy_nj\":-1.0")), FormatError::Entry(TableError::Cost { .. })));
        assert!(matches!(error(&text.replace("\"groups\":1", "\"groups\":0")), FormatError::Entry(TableError::Key { .. })));
        assert!(matches!(error(&text.replace("\"operator\":\"GridSample\"", "\"operator\":\"a b\"")), FormatError::Json(_)));
        let second = text.lines().nth(2).unwrap();
        let twice = text.replacen(second, &alloc::format!("{second}\n{second}"), 1);
        assert!(matches!(error(&twice), FormatError::Entry(TableError::Duplicate(_))));
    }
}
