//! Several tables as one.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use crate::{Cost, Entry, LayerKey, Profile, Provenance, Table, TableError, Unit};

/// Which of two different costs of one layer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// That of the earlier table.
    First,
    /// That of the later table.
    Last,
    /// The one that was measured. Two measurements, or none, remain a conflict.
    Measured,
}

/// Why tables do not go together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Two tables have different costs for one layer.
    #[error("{key}: {first} ({}) and {second} ({}) differ", costs[0], costs[1])]
    Conflict {
        /// The layer.
        key: Box<LayerKey>,
        /// Label of the earlier table that has it.
        first: String,
        /// Label of the later table.
        second: String,
        /// The costs in the two.
        costs: Box<[Cost; 2]>,
    },
    /// Two tables have fits, and these differ.
    #[error("{first} and {second} both estimate layers from counts, of {} and of {}", boards[0], boards[1])]
    Profiles {
        /// Label of the earlier table that has them.
        first: String,
        /// Label of the later table.
        second: String,
        /// Their boards.
        boards: [String; 2],
    },
    /// The result has no room.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Result of [`merge`].
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// All layers of all tables. Its name is the tables' own, each once, with `+` between them.
    pub table: Table,
    /// Layers that two tables or more have, at one cost.
    pub agreed: usize,
    /// Layers whose costs differed, of which the preferred one was kept.
    pub preferred: usize,
}

/// Puts tables together, each with a label for messages. Of equal costs the first table's provenance stays, or the
/// first that was measured. A layer that one table has a cost for and another does not model has the cost. The fits of the
/// preferred table stay whole: two sets of them are never mixed.
///
/// # Errors
/// Two costs of a layer differ and `prefer` does not choose, or the result would be too large.
pub fn merge<'a>(tables: impl IntoIterator<Item = (&'a str, &'a Table)>, prefer: Option<Prefer>) -> Result<Merged, MergeError> {
    let mut name = String::new();
    // Each entry with the label of its table.
    let mut entries: alloc::collections::BTreeMap<&LayerKey, (&Entry, &str)> = Default::default();
    let mut outside: alloc::collections::BTreeMap<&LayerKey, &str> = Default::default();
    let mut profile: Option<(&Profile, &str)> = None;
    let mut counts = (alloc::collections::BTreeSet::new(), alloc::collections::BTreeSet::new());
    for (label, table) in tables {
        if !name.split('+').any(|known| known == table.name()) {
            name += if name.is_empty() { "" } else { "+" };
            name += table.name();
        }
        for (key, entry) in table.iter() {
            let Some(&(known, first)) = entries.get(key) else {
                entries.insert(key, (entry, label));
                continue;
            };
            let equal = known.cost == entry.cost;
            let measured = [known, entry].map(|entry| matches!(entry.provenance, Provenance::Measured { .. }));
            let later = match (prefer, measured) {
                (_, measured) if equal => measured == [false, true],
                (Some(Prefer::First), _) | (Some(Prefer::Measured), [true, false]) => false,
                (Some(Prefer::Last), _) | (Some(Prefer::Measured), [false, true]) => true,
                _ => {
                    return Err(MergeError::Conflict {
                        key: Box::new(key.clone()),
                        first: first.to_string(),
                        second: label.to_string(),
                        costs: Box::new([known.cost, entry.cost]),
                    });
                }
            };
            if later {
                entries.insert(key, (entry, label));
            }
            if equal {
                counts.0.insert(key)
            } else {
                counts.1.insert(key)
            };
        }
        if let Some(theirs) = table.profile() {
            profile = match (profile, prefer) {
                (None, _) | (_, Some(Prefer::Last)) => Some((theirs, label)),
                (Some((ours, _)), prefer) if ours == theirs || prefer == Some(Prefer::First) => profile,
                (Some((ours, first)), prefer) => {
                    let measured = [ours, theirs].map(|profile| profile.counter().unit == Unit::Cycles);
                    match (prefer, measured) {
                        (Some(Prefer::Measured), [true, false]) => profile,
                        (Some(Prefer::Measured), [false, true]) => Some((theirs, label)),
                        _ => {
                            let boards = [ours, theirs].map(|profile| profile.counter().board.clone());
                            return Err(MergeError::Profiles { first: first.to_string(), second: label.to_string(), boards });
                        }
                    }
                }
            };
        }
        for (key, reason) in table.not_modelled() {
            outside.entry(key).or_insert(reason);
        }
    }
    let mut table = Table::new(name);
    for (key, (entry, _)) in &entries {
        table.insert((*key).clone(), (*entry).clone())?;
    }
    for (key, reason) in outside.into_iter().filter(|(key, _)| !entries.contains_key(key)) {
        table.insert_not_modelled(key.clone(), reason)?;
    }
    if let Some((profile, _)) = profile {
        table = table.with_profile(profile.clone());
    }
    let agreed = counts.0.difference(&counts.1).count();
    Ok(Merged { table, agreed, preferred: counts.1.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Operator};

    fn key(outputs: u32) -> LayerKey {
        LayerKey::fully_connected(1, 1, outputs, Candidate::new(8, 8).unwrap())
    }

    fn table(name: &str, measured: bool, costs: &[(u32, u64)]) -> Table {
        let mut table = Table::new(name);
        for &(outputs, cycles) in costs {
            let provenance = if measured {
                Provenance::Measured { board: "b".into(), runner: "r".into(), samples: 3, mean_cycles: cycles as f64, spread_cycles: 0.0 }
            } else {
                Provenance::Analytic { model: name.into() }
            };
            table.insert(key(outputs), Entry { cost: Cost { cycles: Some(cycles), ..Cost::default() }, provenance }).unwrap();
        }
        table
    }

    fn cycles(merged: &Merged, outputs: u32) -> u64 {
        merged.table.get(&key(outputs)).unwrap().cost.cycles.unwrap()
    }

    #[test]
    fn tables_that_agree_are_put_together() {
        let (a, mut b) = (table("a", false, &[(1, 10), (2, 20)]), table("b", true, &[(2, 20), (3, 30)]));
        let add = LayerKey::plain(Operator::Add, [2, 2], 4, Candidate::new(8, 8).unwrap());
        b.insert_not_modelled(add.clone(), "no").unwrap();
        let merged = merge([("x", &a), ("y", &b)], None).unwrap();
        assert_eq!((merged.table.name(), merged.table.len(), merged.agreed, merged.preferred), ("a+b", 3, 1, 0));
        assert!(matches!(merged.table.get(&key(2)).unwrap().provenance, Provenance::Measured { .. }));
        assert_eq!(merged.table.not_modelled().collect::<alloc::vec::Vec<_>>(), [(&add, "no")]);
        // Whoever has a cost is right; the order does not matter.
        let mut c = Table::new("a");
        let entry = a.get(&key(1)).unwrap().clone();
        c.insert(add.clone(), entry).unwrap();
        for tables in [[("y", &b), ("z", &c)], [("z", &c), ("y", &b)]] {
            let merged = merge(tables, None).unwrap();
            assert!(merged.table.get(&add).is_some() && merged.table.not_modelled().next().is_none());
        }
        assert_eq!(merge([("x", &a), ("z", &c)], None).unwrap().table.name(), "a");
    }

    #[test]
    fn differences_are_refused_with_both_values_or_decided() {
        let (a, b) = (table("a", false, &[(1, 10), (2, 20)]), table("b", true, &[(2, 21)]));
        let error = merge([("x.json", &a), ("y.json", &b)], None).unwrap_err().to_string();
        for part in ["fully_connected 1x1 -> 1x2", "x.json", "20 cycles", "y.json", "21 cycles"] {
            assert!(error.contains(part), "{error}");
        }
        for (prefer, expected) in [(Prefer::First, 20), (Prefer::Last, 21), (Prefer::Measured, 21)] {
            let merged = merge([("x", &a), ("y", &b)], Some(prefer)).unwrap();
            assert_eq!((cycles(&merged, 2), merged.agreed, merged.preferred), (expected, 0, 1));
        }
        assert_eq!(cycles(&merge([("y", &b), ("x", &a)], Some(Prefer::Measured)).unwrap(), 2), 21);
        let c = table("c", true, &[(2, 22)]);
        assert!(matches!(merge([("y", &b), ("z", &c)], Some(Prefer::Measured)), Err(MergeError::Conflict { .. })));
        let model = table("d", false, &[(2, 19)]);
        assert!(matches!(merge([("x", &a), ("w", &model)], Some(Prefer::Measured)), Err(MergeError::Conflict { .. })));
    }

    #[test]
    fn fits_of_two_boards_are_not_mixed() {
        let profiled = |name: &str, unit: Unit| {
            let counter = crate::Counter { board: name.into(), runner: "r".into(), kernels: "k".into(), unit, clock_hz: 1 };
            table(name, false, &[]).with_profile(Profile::new(counter, alloc::vec::Vec::new()).unwrap())
        };
        let (plain, emulated, measured) = (table("p", false, &[]), profiled("e", Unit::Instructions), profiled("m", Unit::Cycles));
        let board = |tables: [(&str, &Table); 2], prefer| {
            merge(tables, prefer).map(|merged| merged.table.profile().map(|profile| profile.counter().board.clone()))
        };
        assert_eq!(board([("p", &plain), ("e", &emulated)], None), Ok(Some("e".into())));
        assert_eq!(board([("e", &emulated), ("e", &emulated)], None), Ok(Some("e".into())));
        let error = board([("e", &emulated), ("m", &measured)], None).unwrap_err();
        assert!(matches!(error, MergeError::Profiles { .. }), "{error}");
        for (prefer, expected) in [(Prefer::First, "e"), (Prefer::Last, "m"), (Prefer::Measured, "m")] {
            assert_eq!(board([("e", &emulated), ("m", &measured)], Some(prefer)), Ok(Some(expected.into())));
        }
    }
}
