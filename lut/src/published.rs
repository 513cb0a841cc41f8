//! Import of the lookup table that APQ published for BitFusion.
//!
//! Wang et al., "APQ: Joint Search for Network Architecture, Pruning and Quantization Policy",
//! CVPR 2020; batch 1. One JSON object; keys
//! `(IC, OC, in_size, K, stride, pad, groups)-WwAa` with square shapes, and the two keys `head`
//! and `tail` for the fixed first and last convolution; values `{"latency": ms, "energy": mJ}`.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::{Candidate, Cost, Entry, KeyError, LayerKey, Operator, Provenance, Table, TableError};

/// Clock of the published latencies, in Hz.
pub const PUBLISHED_CLOCK_HZ: u64 = 500_000_000;

const CYCLES_PER_MS: f64 = 500_000.0;
const NS_PER_MS: f64 = 1e6;
const NJ_PER_MJ: f64 = 1e6;

/// Distance from a whole number of cycles that still is rounding, in cycles.
const CYCLES_TOLERANCE: f64 = 1e-9;

/// Why a text is not the published table. Every variant but the first names the entry.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Not a JSON object of `{"latency": number, "energy": number}`; the text has the place.
    #[error("not a published lookup table: {0}")]
    Json(String),
    /// The key does not have the form `(IC, OC, in_size, K, stride, pad, groups)-WwAa`.
    #[error("`{key}`: {reason}")]
    Key {
        /// The key as written.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key has the right form but describes no layer.
    #[error("`{key}` is not a layer: {reason}")]
    Layer {
        /// The key as written.
        key: String,
        /// Which rule it breaks.
        reason: KeyError,
    },
    /// The latency is not a whole number of cycles at [`PUBLISHED_CLOCK_HZ`].
    #[error("`{key}`: {latency_ms} ms is not a whole number of cycles at 500 MHz")]
    Cycles {
        /// The key as written.
        key: String,
        /// The latency as written.
        latency_ms: f64,
    },
    /// The value is negative or not finite, or the layer is there twice.
    #[error("`{key}`: {reason}")]
    Entry {
        /// The key as written.
        key: String,
        /// Why the table does not take it.
        reason: Box<TableError>,
    },
}

/// Reads the published table. Latency becomes cycles and nanoseconds, energy nanojoules.
///
/// # Errors
/// The first entry that is not legal.
pub fn import_published(text: &str) -> Result<Table, ImportError> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|error| ImportError::Json(error.to_string()))?;
    let mut table = Table::new("bitfusion");
    for (name, value) in pairs {
        let key = layer_key(&name)?;
        let entry = Entry { cost: cost(&name, value)?, provenance: Provenance::Imported { source: "APQ, BitFusion, batch 1".to_string() } };
        table.insert(key, entry).map_err(|reason| ImportError::Entry { key: name, reason: Box::new(reason) })?;
    }
    Ok(table)
}

fn cost(name: &str, value: Value) -> Result<Cost, ImportError> {
    let cycles = value.latency * CYCLES_PER_MS;
    // Adding a half and cutting rounds to the nearest; what is negative or too large saturates
    // and then fails the comparison or the table's own check.
    let whole = (cycles + 0.5) as u64;
    let error = (cycles - whole as f64).abs();
    if value.latency >= 0.0 && error > CYCLES_TOLERANCE.max(4.0 * f64::EPSILON * cycles) {
        return Err(ImportError::Cycles { key: name.to_string(), latency_ms: value.latency });
    }
    Ok(Cost { cycles: Some(whole), latency_ns: Some(value.latency * NS_PER_MS), energy_nj: Some(value.energy * NJ_PER_MJ) })
}

fn layer_key(name: &str) -> Result<LayerKey, ImportError> {
    let built = match name {
        "head" => head(),
        "tail" => tail(),
        _ => square(&parse(name)?),
    };
    built.map_err(|reason| ImportError::Layer { key: name.to_string(), reason })
}

const W8A8: Candidate = Candidate { weight_bits: 8, activation_bits: 8 };

/// The first convolution, on the image.
fn head() -> Result<LayerKey, KeyError> {
    let mut key = LayerKey::conv([224; 2], 3, 32, [3; 2], [2; 2], [1; 4], W8A8)?;
    key.reads_network_input = true;
    Ok(key)
}

/// The last convolution.
fn tail() -> Result<LayerKey, KeyError> {
    LayerKey::conv([7; 2], 320, 1280, [1; 2], [1; 2], [0; 4], W8A8)
}

/// The numbers of a key, `[IC, OC, in_size, K, stride, pad, groups]`.
struct Parsed {
    numbers: [u32; 7],
    bits: Candidate,
}

fn square(parsed: &Parsed) -> Result<LayerKey, KeyError> {
    let [input_channels, output_channels, size, kernel, stride, pad, groups] = parsed.numbers;
    let mut key = LayerKey::conv([size; 2], input_channels, output_channels, [kernel; 2], [stride; 2], [pad; 4], parsed.bits)?;
    key.groups = groups;
    if groups > 1 && groups == input_channels {
        key.operator = Operator::Depthwise;
    }
    key.check()?;
    Ok(key)
}

fn parse(name: &str) -> Result<Parsed, ImportError> {
    let fail = |reason| ImportError::Key { key: name.to_string(), reason };
    let (shape, bits) =
        name.strip_prefix('(').and_then(|rest| rest.split_once(")-")).ok_or_else(|| fail("a key is `head`, `tail` or (7 numbers)-WwAa"))?;
    let mut numbers = [0; 7];
    let mut parts = shape.split(',');
    for number in &mut numbers {
        *number =
            parts.next().and_then(|part| part.trim().parse().ok()).ok_or_else(|| fail("the shape needs 7 whole numbers below 2^32"))?;
    }
    if parts.next().is_some() {
        return Err(fail("the shape has more than 7 numbers"));
    }
    let bits = bits.parse().map_err(|_| fail("the bit widths need the form W4A8"))?;
    Ok(Parsed { numbers, bits })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Value {
    latency: f64,
    energy: f64,
}

/// All pairs in file order, repeated keys included, which a map would swallow.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one entry for each layer")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value().map_err(|error| A::Error::custom(format_args!("`{key}`: {error}")))?;
                    pairs.push((key, value));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn one(key: &str, latency: &str, energy: &str) -> Result<Table, ImportError> {
        import_published(&format!("{{\"{key}\": {{\"latency\": {latency}, \"energy\": {energy}}}}}"))
    }

    const GOOD: &str = "(96, 456, 14, 1, 1, 0, 1)-W4A4";

    #[test]
    fn keys_become_layers() {
        let table = one(GOOD, "0.062192", "0.10688").unwrap();
        let (key, entry) = table.iter().next().unwrap();
        assert_eq!(key.to_string(), "conv 14x14x96 -> 14x14x456 kernel 1x1 stride 1x1 w4a4");
        assert_eq!(entry.cost.cycles, Some(31096));
        assert_eq!(entry.cost.energy_nj, Some(106_880.0));
        let depthwise = one("(400, 400, 14, 5, 2, 2, 400)-W8A6", "1", "1").unwrap();
        assert_eq!(
            depthwise.keys().next().unwrap().to_string(),
            "depthwise 14x14x400 -> 7x7x400 kernel 5x5 stride 2x2 padding 2,2,2,2 groups 400 w8a6"
        );
        let head = one("head", "0.295904", "0.506").unwrap();
        assert_eq!(
            head.keys().next().unwrap().to_string(),
            "conv 224x224x3 -> 112x112x32 kernel 3x3 stride 2x2 padding 1,1,1,1 \
             from the network's input w8a8"
        );
    }

    #[test]
    fn malformed_keys_are_named() {
        for bad in [
            "",
            "neck",
            "96, 456, 14, 1, 1, 0, 1-W4A4",
            "(96, 456, 14, 1, 1, 0)-W4A4",
            "(96, 456, 14, 1, 1, 0, 1, 1)-W4A4",
            "(96, 456, 14, 1, 1, -1, 1)-W4A4",
            "(96, 456, 14.0, 1, 1, 0, 1)-W4A4",
            "(96, 456, 14, 1, 1, 0, 4294967296)-W4A4",
            "(96, 456, 14, 1, 1, 0, x)-W4A4",
            "(96, 456, 14, 1, 1, 0, 1)-W4",
            "(96, 456, 14, 1, 1, 0, 1)-W5A4",
            "(96, 456, 14, 1, 1, 0, 1)W4A4",
        ] {
            let error = one(bad, "1", "1").unwrap_err();
            assert!(matches!(error, ImportError::Key { .. }), "{error}");
            assert!(error.to_string().contains(&format!("`{bad}`")), "{error}");
        }
    }

    #[test]
    fn keys_of_no_layer_are_named() {
        for bad in [
            "(96, 456, 14, 1, 0, 0, 1)-W4A4",
            "(96, 456, 14, 0, 1, 0, 1)-W4A4",
            "(0, 456, 14, 1, 1, 0, 1)-W4A4",
            "(96, 456, 14, 1, 1, 0, 0)-W4A4",
            "(96, 456, 14, 1, 1, 0, 5)-W4A4",
            "(96, 456, 2, 5, 1, 0, 1)-W4A4",
            "(4294967295, 4294967295, 4294967295, 1, 1, 0, 1)-W4A4",
        ] {
            let error = one(bad, "1", "1").unwrap_err();
            assert!(matches!(error, ImportError::Layer { .. }), "{error}");
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn impossible_values_are_named() {
        for (latency, energy) in [("-1", "1"), ("1", "-0.5"), ("1e12", "1"), ("1", "1e303")] {
            let error = one(GOOD, latency, energy).unwrap_err();
            assert!(matches!(error, ImportError::Entry { .. }), "{error}");
            assert!(error.to_string().contains(GOOD), "{error}");
        }
        let fraction = one(GOOD, "0.0621921", "1").unwrap_err();
        assert!(matches!(fraction, ImportError::Cycles { .. }), "{fraction}");
        let huge = one(GOOD, "1e300", "1").unwrap_err();
        assert!(matches!(huge, ImportError::Cycles { .. }), "{huge}");
        for (latency, energy) in [("NaN", "1"), ("null", "1"), ("\"1\"", "1"), ("1e999", "1")] {
            let error = one(GOOD, latency, energy).unwrap_err();
            assert!(matches!(error, ImportError::Json(_)), "{error}");
            assert!(error.to_string().contains(GOOD), "{error}");
        }
    }

    #[test]
    fn other_json_is_refused() {
        for bad in
            ["", "[]", "{", "{\"head\": 1}", "{\"head\": {\"latency\": 1}}", "{\"head\": {\"latency\": 1, \"energy\": 1, \"area\": 1}}"]
        {
            let error = import_published(bad).unwrap_err();
            assert!(matches!(error, ImportError::Json(_)), "{error}");
        }
        let value = "{\"latency\": 1, \"energy\": 1}";
        let twice = format!("{{\"head\": {value}, \"head\": {value}}}");
        assert!(matches!(import_published(&twice), Err(ImportError::Entry { .. })));
    }
}
