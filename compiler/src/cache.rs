//! Sensitivity lists on disk, each under the hash of everything that it depends on, and while it grows the pieces of it.
//!
//! A list or a piece that is damaged, or cannot be read or written, is as good as none: it is measured again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use apq_search::{Candidate, Sensitivity};
use apqc::compile::ListStore;
use apqc::quant::sensitivity::{ListFile, Pieces};
use serde::{Deserialize, Serialize};

use crate::commands::{InputFile, sha256};

/// Lists in one folder.
pub(crate) struct DiskLists {
    folder: Option<PathBuf>,
    /// Of the program: a build of other code does not find this one's lists.
    build: String,
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
        DiskLists { folder: cache.map(|cache| cache.join("sensitivity")), build: build_identity() }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let name = sha256(&[self.build.as_bytes(), key.as_bytes()]);
        self.folder.as_ref().map(|folder| folder.join(format!("{name}.json")))
    }

    /// The pieces of a list that is not whole yet.
    pub(crate) fn disk_pieces(&self, key: &str) -> DiskPieces {
        DiskPieces { folder: self.path(key).map(|path| path.with_extension("pieces")), key: key.into() }
    }

    fn try_load(&self, key: &str) -> Option<Vec<Sensitivity>> {
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

    fn try_store(&self, key: &str, list: &[Sensitivity]) -> Option<()> {
        let (folder, path) = (self.folder.as_ref()?, self.path(key)?);
        let entry = |item: &Sensitivity| Entry {
            group: item.group,
            candidate: item.candidate,
            sqnr_bits: item.sqnr_db.to_bits(),
            sqnr_db: Some(item.sqnr_db).filter(|db| db.is_finite()),
        };
        let file = File { schema: SCHEMA, key: key.into(), entries: list.iter().map(entry).collect() };
        write_whole(folder, &path, &serde_json::to_vec(&file).ok()?)?;
        // What a killed run left of a piece goes too.
        if let Some(pieces) = self.disk_pieces(key).folder {
            let _ = fs::remove_dir_all(pieces);
        }
        Some(())
    }
}

/// Writes a file that appears whole or not at all.
fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> Option<()> {
    fs::create_dir_all(folder).ok()?;
    let mut fresh = tempfile::NamedTempFile::new_in(folder).ok()?;
    fresh.write_all(bytes).ok()?;
    fresh.persist(path).ok().map(drop)
}

/// Version, size and time of the program.
fn build_identity() -> String {
    let program = std::env::current_exe().and_then(fs::metadata).ok();
    let changed = program.as_ref().and_then(|meta| meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{} {:?} {changed:?} ", env!("CARGO_PKG_VERSION"), program.map(|meta| meta.len()))
}

/// Pieces of a list in a folder of their own.
pub(crate) struct DiskPieces {
    folder: Option<PathBuf>,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    schema: u32,
    key: String,
    piece: usize,
    /// The bits of each number.
    records: Vec<u64>,
}

impl DiskPieces {
    /// Pieces that an earlier run left.
    pub(crate) fn count(&self) -> usize {
        let entries = self.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok());
        entries.map_or(0, |entries| entries.filter(|entry| entry.as_ref().is_ok_and(|e| is_piece(&e.path()))).count())
    }

    fn path(&self, piece: usize) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{piece:06}.json")))
    }
}

fn is_piece(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

impl Pieces for DiskPieces {
    fn load(&self, piece: usize) -> Option<Vec<f64>> {
        let stored: Piece = serde_json::from_slice(&fs::read(self.path(piece)?).ok()?).ok()?;
        let known = stored.schema == SCHEMA && stored.key == self.key && stored.piece == piece;
        known.then(|| stored.records.into_iter().map(f64::from_bits).collect())
    }

    fn store(&self, piece: usize, records: &[f64]) {
        let stored = Piece { schema: SCHEMA, key: self.key.clone(), piece, records: records.iter().map(|v| v.to_bits()).collect() };
        // Without its piece a run that is stopped only has more to do again.
        if let (Some(folder), Some(path), Ok(bytes)) = (&self.folder, self.path(piece), serde_json::to_vec(&stored)) {
            let _ = write_whole(folder, &path, &bytes);
        }
    }
}

/// One list that the user gave, in place of a measurement.
pub(crate) struct GivenList {
    /// The file's name.
    pub(crate) name: String,
    /// Its values.
    pub(crate) list: Vec<Sensitivity>,
    /// What it says about itself.
    pub(crate) file: ListFile,
    /// The file among the inputs.
    pub(crate) file_facts: InputFile,
}

impl ListStore for &GivenList {
    fn load(&self, key: &str) -> Result<Option<Vec<Sensitivity>>, String> {
        if key == self.file.key {
            return Ok(Some(self.list.clone()));
        }
        let (name, own) = (&self.name, &self.file.key);
        Err(format!("{name}: the list (hash {own}) was measured with other quantizers than this compilation has (hash {key})"))
    }

    fn store(&self, _: &str, _: &[Sensitivity]) {}
}

impl ListStore for DiskLists {
    fn load(&self, key: &str) -> Result<Option<Vec<Sensitivity>>, String> {
        Ok(self.try_load(key))
    }

    fn pieces(&self, key: &str) -> Box<dyn Pieces + '_> {
        Box::new(self.disk_pieces(key))
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
        assert!(lists.try_load("k").is_none());
        lists.store("k", &list);
        assert_eq!(lists.try_load("k").unwrap(), list);
        let path = lists.path("k").unwrap();
        fs::copy(&path, lists.path("other").unwrap()).unwrap();
        assert!(lists.try_load("other").is_none());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(lists.try_load("k").is_none());
        let pieces = lists.disk_pieces("k");
        pieces.store(7, &[0.1, f64::NEG_INFINITY]);
        assert_eq!((pieces.load(7), pieces.load(6), pieces.count()), (Some(vec![0.1, f64::NEG_INFINITY]), None, 1));
        // A piece of another list, or of another place, is not believed.
        fs::copy(pieces.path(7).unwrap(), pieces.path(6).unwrap()).unwrap();
        assert_eq!(pieces.load(6), None);
        fs::write(pieces.path(7).unwrap(), "{").unwrap();
        assert_eq!(pieces.load(7), None);
        lists.store("k", &list);
        assert_eq!(pieces.count(), 0);
        let nowhere = DiskLists::new(None);
        nowhere.store("k", &list);
        assert!(nowhere.try_load("k").is_none());
    }
}
