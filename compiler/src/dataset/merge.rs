//! Joins the parts of a dataset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apq_search::space::record::{Header, Point};

use super::error::DatasetError;
use super::file::{Contents, compare, insert, read, replace};

/// Parts as one dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// That of the parts, without their shard.
    pub header: Header,
    /// Points by their index.
    pub points: BTreeMap<u64, Point>,
    /// Points that more than one part had, each with the same value.
    pub repeated: usize,
}

impl Merged {
    /// Indices that no part has.
    pub fn missing(&self) -> Vec<u64> {
        (0..self.header.points).filter(|index| !self.points.contains_key(index)).collect()
    }

    /// Writes the dataset, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DatasetError> {
        let failed = |source| DatasetError::Write { path: path.into(), kept: 0, source };
        replace(path, &self.header, self.points.values()).map_err(failed)
    }
}

/// Reads parts and joins them; a point that several have must be the same in all of them.
///
/// # Errors
/// A part cannot be read, belongs to another dataset, or has another value for a point. No parts give `None`.
pub fn merge(parts: &[PathBuf]) -> Result<Option<Merged>, DatasetError> {
    let mut joined: Option<(String, Merged)> = None;
    let mut origin: BTreeMap<u64, String> = BTreeMap::new();
    for path in parts {
        let name = path.display().to_string();
        let Contents { header, points, .. } = read(path)?;
        let (first, merged) = joined.get_or_insert_with(|| {
            let header = Header { shard: None, ..header.clone() };
            (name.clone(), Merged { header, points: BTreeMap::new(), repeated: 0 })
        });
        compare((first, &merged.header), (&name, &header), false)?;
        for (index, point) in points {
            let before = origin.entry(index).or_insert_with(|| name.clone());
            merged.repeated += usize::from(merged.points.contains_key(&index));
            insert(&mut merged.points, point, (before, &name))?;
        }
    }
    Ok(joined.map(|(_, merged)| merged))
}

/// Indices for people: `3, 7-9, 12`, at most so many ranges.
pub fn ranges(indices: &[u64], most: usize) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => ranges.push((*index, *index)),
        }
    }
    let shown = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let mut text = ranges.iter().take(most).map(shown).collect::<Vec<_>>().join(", ");
    if ranges.len() > most {
        text.push_str(", ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbours_become_ranges() {
        assert_eq!(ranges(&[3, 7, 8, 9, 12], 8), "3, 7-9, 12");
        assert_eq!(ranges(&[0, 1, 2], 8), "0-2");
        assert_eq!(ranges(&[0, 2, 4, 6], 2), "0, 2, ...");
        assert_eq!(ranges(&[], 2), "");
    }
}
