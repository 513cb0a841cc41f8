//! Finished sensitivity lists on disk, each under the hash of everything that it depends on.
//!
//! A list that is damaged, or cannot be read or written, is as good as none: it is measured again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use apq_search::{Candidate, Sensitivity};
use apqc::compile::ListStore;
use serde::{Deserialize, Serialize};

/// Lists in one folder.
pub(crate) struct DiskLists {
    folder: Option<PathBuf>,
}

/// Raised when the meaning of a stored list changes.
const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    /// The key again: a file that was renamed is not believed.
    key: String,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    group: usize,
    candidate: Candidate,
    /// The bits of the SQNR: minus infinity has no JSON number, and every bit counts.
    sqnr_bits: u64,
    /// The same in dB, for people.
    sqnr_db: Option<f64>,
}

impl DiskLists {
    /// Lists below `cache`; without a folder nothing is kept.
    pub(crate) fn new(cache: Option<&Path>) -> DiskLists {
        DiskLists { folder: cache.map(|cache| cache.join("sensitivity")) }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{key}.json")))
    }

    fn try_store(&self, key: &str, list: &[Sensitivity]) -> Option<()> {
        let (folder, path) = (self.folder.as_ref()?, self.path(key)?);
        fs::create_dir_all(folder).ok()?;
        let entry = |item: &Sensitivity| Entry {
            group: item.group,
            candidate: item.candidate,
            sqnr_bits: item.sqnr_db.to_bits(),
            sqnr_db: Some(item.sqnr_db).filter(|db| db.is_finite()),
        };
        let file = File { schema: SCHEMA, key: key.into(), entries: list.iter().map(entry).collect() };
        let mut fresh = tempfile::NamedTempFile::new_in(folder).ok()?;
        fresh.write_all(&serde_json::to_vec(&file).ok()?).ok()?;
        fresh.persist(path).ok().map(drop)
    }
}

impl ListStore for DiskLists {
    fn load(&self, key: &str) -> Option<Vec<Sensitivity>> {
        let bytes = fs::read(self.path(key)?).ok()?;
        let file: File = serde_json::from_slice(&bytes).ok()?;
        if file.schema != SCHEMA || file.key != key {
            return None;
        }
        let entry = |item: &Entry| {
            let sqnr_db = f64::from_bits(item.sqnr_bits);
            (!sqnr_db.is_nan()).then_some(Sensitivity { group: item.group, candidate: item.candidate, sqnr_db })
        };
        file.entries.iter().map(entry).collect()
    }

    fn store(&self, key: &str, list: &[Sensitivity]) {
        // A cache that cannot be written only costs time.
        if self.try_store(key, list).is_none()
            && let Some(path) = self.path(key)
        {
            crate::commands::eprint_lossy(&format!("note: the sensitivity list cannot be kept in {}", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_bit_for_bit_and_damaged_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let lists = DiskLists::new(Some(folder.path()));
        let candidate = Candidate { weight_bits: 4, activation_bits: 8 };
        let list = [0.1 + 0.2, f64::NEG_INFINITY].map(|sqnr_db| Sensitivity { group: 3, candidate, sqnr_db });
        assert!(lists.load("k").is_none());
        lists.store("k", &list);
        assert_eq!(lists.load("k").unwrap(), list);
        let path = lists.path("k").unwrap();
        fs::copy(&path, lists.path("other").unwrap()).unwrap();
        assert!(lists.load("other").is_none());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(lists.load("k").is_none());
        let nowhere = DiskLists::new(None);
        nowhere.store("k", &list);
        assert!(nowhere.load("k").is_none());
    }
}
