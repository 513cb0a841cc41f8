//! A dataset as a file of JSON lines that grows: a header, then one finished point a line, each written at once.
//!
//! What a kill or a full disk leaves of a line is dropped when the file is opened again. Lines stand in the order in which points were finished;
//! [`DatasetFile::close`] puts a complete file in the order of the points, so that its bytes do not depend on threads, kills or machines.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use apq_search::space::record::{Header, Point};
use serde::Serialize;

use super::error::DatasetError;

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// Its first line.
    pub header: Header,
    /// Points by their index.
    pub points: BTreeMap<u64, Point>,
    /// Bytes of whole lines.
    whole_bytes: usize,
    /// Whether lines stand in the order of the points, each once.
    sorted: bool,
}

/// Reads a dataset; half a line at the end is not part of it.
///
/// # Errors
/// The file cannot be read, is no dataset, or holds a point twice with different values.
pub fn read(path: &Path) -> Result<Contents, DatasetError> {
    let cannot = |source| DatasetError::Read { path: path.into(), source };
    let text = std::fs::read(path).map_err(cannot)?;
    contents(path, &text)?.ok_or_else(|| DatasetError::NotADataset { path: path.into(), reason: "it has no complete first line".into() })
}

/// `None` where not even the header is whole.
fn contents(path: &Path, text: &[u8]) -> Result<Option<Contents>, DatasetError> {
    let whole_bytes = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let Some((whole, _)) = text.split_at_checked(whole_bytes).filter(|(whole, _)| !whole.is_empty()) else { return Ok(None) };
    let mut lines = whole.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let first = lines.next().map_or(&[][..], |(_, line)| line);
    let not = |reason: String| DatasetError::NotADataset { path: path.into(), reason };
    let header: Header = serde_json::from_slice(first).map_err(|error| not(error.to_string()))?;
    header.check_form().map_err(|error| not(error.to_string()))?;
    let mut found = Contents { header, points: BTreeMap::new(), whole_bytes, sorted: true };
    for (line, text) in lines {
        let bad = |reason: String| DatasetError::Line { path: path.into(), line: line + 1, reason };
        let point: Point = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
        point.check_form(&found.header).map_err(|error| bad(error.to_string()))?;
        found.sorted &= found.points.last_key_value().is_none_or(|(last, _)| *last < point.index);
        let name = path.display().to_string();
        insert(&mut found.points, point, (&name, &name))?;
    }
    Ok(Some(found))
}

/// Adds a point that may be there already, if it is the same.
pub(super) fn insert(points: &mut BTreeMap<u64, Point>, point: Point, (first, second): (&str, &str)) -> Result<(), DatasetError> {
    match points.get(&point.index) {
        Some(known) if *known != point => {
            let accuracies = known.accuracy.to_bits() != point.accuracy.to_bits();
            let shown = |record: &Point| if accuracies { record.accuracy.to_string() } else { "of another design".into() };
            Err(DatasetError::Differs {
                index: point.index,
                first: first.into(),
                second: second.into(),
                a: if accuracies { known.accuracy.to_string() } else { "of one design".into() },
                b: shown(&point),
            })
        }
        _ => {
            points.insert(point.index, point);
            Ok(())
        }
    }
}

/// The first field in which two headers differ; that of shards only where `shards` says so.
pub(super) fn compare(first: (&str, &Header), second: (&str, &Header), shards: bool) -> Result<(), DatasetError> {
    let fields = |header: &Header| -> BTreeMap<String, String> {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(header) else { return BTreeMap::new() };
        fields.into_iter().map(|(field, value)| (field, value.to_string())).collect()
    };
    let (a, b) = (fields(first.1), fields(second.1));
    let differs = a.into_iter().find(|(field, value)| b.get(field) != Some(value) && (shards || field != "shard"));
    match differs {
        None => Ok(()),
        Some((field, a)) => {
            let b = b.get(&field).cloned().unwrap_or_default();
            Err(DatasetError::Header { first: first.0.into(), second: second.0.into(), field, a, b })
        }
    }
}

/// A file that grows.
#[derive(Debug)]
pub struct DatasetFile {
    path: PathBuf,
    file: File,
    contents: Contents,
    /// Bytes of whole lines.
    end: u64,
}

impl DatasetFile {
    /// Opens a file, or begins it, for the points of `header`. It stays locked until it is dropped.
    ///
    /// # Errors
    /// It cannot be written; it holds something else; another process writes it.
    pub fn open(path: &Path, header: &Header) -> Result<DatasetFile, DatasetError> {
        let failed = |source| DatasetError::Write { path: path.into(), kept: 0, source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(DatasetError::NotADataset { path: path.into(), reason: "it is no regular file".into() });
        }
        // A file system without locks has to do without.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(DatasetError::Locked { path: path.into() });
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|source| DatasetError::Read { path: path.into(), source })?;
        let begun = line(header).map_err(failed)?;
        let name = path.display().to_string();
        let found = match contents(path, &text)? {
            Some(found) => {
                compare(("what is asked for", header), (&name, &found.header), true)?;
                found
            }
            // A kill left a part of the first line, or nothing.
            None if begun.starts_with(&text) => Contents { header: header.clone(), points: BTreeMap::new(), whole_bytes: 0, sorted: true },
            None => return Err(DatasetError::NotADataset { path: path.into(), reason: "it holds something else".into() }),
        };
        let end = found.whole_bytes as u64;
        let mut opened = DatasetFile { path: path.into(), file, contents: found, end };
        opened.file.set_len(end).and_then(|()| opened.file.seek(SeekFrom::Start(end))).map_err(failed)?;
        if end == 0 {
            opened.write(&begun)?;
        }
        Ok(opened)
    }

    /// Its first line.
    pub fn header(&self) -> &Header {
        &self.contents.header
    }

    /// The points that are there.
    pub fn points(&self) -> &BTreeMap<u64, Point> {
        &self.contents.points
    }

    /// Writes a finished point.
    ///
    /// # Errors
    /// The line cannot be written; then the file ends with the line before it.
    pub fn append(&mut self, point: Point) -> Result<(), DatasetError> {
        let text =
            line(&point).map_err(|source| DatasetError::Write { path: self.path.clone(), kept: self.contents.points.len(), source })?;
        self.write(&text)?;
        let last = self.contents.points.last_key_value().map(|(last, _)| *last);
        self.contents.sorted &= last.is_none_or(|last| last < point.index);
        self.contents.points.insert(point.index, point);
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> Result<(), DatasetError> {
        let written = self.file.write_all(text);
        if let Err(source) = written {
            // What cannot be undone is dropped when the file is opened again.
            let _ = self.file.set_len(self.end).and_then(|()| self.file.seek(SeekFrom::Start(self.end)));
            return Err(DatasetError::Write { path: self.path.clone(), kept: self.contents.points.len(), source });
        }
        self.end += text.len() as u64;
        Ok(())
    }

    /// Puts the lines in the order of the points, and everything on the disk.
    ///
    /// # Errors
    /// The file cannot be written; then it stays as it is.
    pub fn close(self) -> Result<Contents, DatasetError> {
        let kept = self.contents.points.len();
        let failed = |source| DatasetError::Write { path: self.path.clone(), kept, source };
        if self.contents.sorted {
            self.file.sync_all().map_err(failed)?;
        } else {
            replace(&self.path, &self.contents.header, self.contents.points.values()).map_err(failed)?;
        }
        Ok(self.contents)
    }
}

/// Writes a whole dataset, which appears whole or not at all.
pub(super) fn replace<'r>(path: &Path, header: &Header, points: impl Iterator<Item = &'r Point>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file in a sibling folder gets the user's permissions, which a temporary file would not.
    let workshop = tempfile::Builder::new().prefix(".apqc-").tempdir_in(folder)?;
    let fresh = workshop.path().join("dataset");
    let mut file = io::BufWriter::new(File::create(&fresh)?);
    file.write_all(&line(header)?)?;
    for point in points {
        file.write_all(&line(point)?)?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&fresh, path)
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(text)
}
