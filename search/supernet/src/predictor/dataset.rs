//! Reading data sets of evaluated designs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use apq_search::space::record::{Header, Kind, POINTS_MAX, Point, RecordError};
use apq_search::space::{Architecture, Encoding, SpaceError};

use super::Samples;

/// Bytes of a line.
const LINE_MAX: usize = 1 << 20;

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system.
    #[error("cannot read {path}: {source}")]
    Io {
        /// What was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line that is no record.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A record that does not belong there.
    #[error("{path}, line {line}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        source: RecordError,
    },
    /// The file holds the other kind of points.
    #[error("{path} holds {found:?} points; {expected:?} ones are needed here")]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: Kind,
        /// What is needed.
        expected: Kind,
    },
    /// Files whose points cannot be compared.
    #[error("{path} is not of the same data set as {first}: it may differ in the shard only")]
    Mixed {
        /// The file.
        path: PathBuf,
        /// The first of the files.
        first: PathBuf,
    },
    /// A point that is there twice.
    #[error("{path}, line {line}: point {index} is there twice")]
    Twice {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Index of the point.
        index: u64,
    },
    /// Only a header, or less.
    #[error("{path} has no points")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The encoding.
    #[error(transparent)]
    Space(#[from] SpaceError),
}

/// Evaluated designs of one data set, by index, so that the order of shards is all one.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Of the first file.
    pub header: Header,
    /// Ascending indices.
    pub points: Vec<Point>,
}

impl Dataset {
    /// Reads one data set from its file or from its shards, checking each line against the space.
    ///
    /// # Errors
    /// What is wrong, by file and line. A last line that a kill cut short is left out.
    pub fn read(paths: &[PathBuf], kind: Kind, encoding: &Encoding) -> Result<Self, DatasetError> {
        let mut first: Option<(Header, &PathBuf)> = None;
        let mut points = BTreeMap::new();
        for path in paths {
            let header = read_file(path, kind, encoding, &mut points)?;
            match &first {
                None => first = Some((header, path)),
                Some((own, _)) if own.is_sibling(&header) => {}
                Some((_, from)) => return Err(DatasetError::Mixed { path: path.clone(), first: (*from).clone() }),
            }
        }
        match first {
            Some((header, _)) if !points.is_empty() => Ok(Self { header, points: points.into_values().collect() }),
            _ => Err(DatasetError::Empty { path: paths.first().cloned().unwrap_or_default() }),
        }
    }

    /// The points as inputs of a predictor.
    ///
    /// # Errors
    /// A design that the space does not have.
    pub fn samples(&self, encoding: &Encoding) -> Result<Samples, DatasetError> {
        let ones = self.points.iter().map(|point| encoding.encode(&point.architecture, point.policy.as_ref()));
        let accuracies = self.points.iter().map(|point| point.accuracy as f32).collect();
        Ok(Samples::new(&ones.collect::<Result<Vec<_>, _>>()?, accuracies, encoding.dimensions()))
    }

    /// The points' indices in groups that share an architecture, in the order in which the architectures come first.
    #[must_use]
    pub fn by_architecture(&self) -> Vec<Vec<usize>> {
        let mut places: BTreeMap<&Architecture, usize> = BTreeMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (index, point) in self.points.iter().enumerate() {
            let place = *places.entry(&point.architecture).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups[place].push(index);
        }
        groups
    }
}

fn read_file(path: &Path, kind: Kind, encoding: &Encoding, points: &mut BTreeMap<u64, Point>) -> Result<Header, DatasetError> {
    let io = |source| DatasetError::Io { path: path.to_owned(), source };
    let wrong = |line: usize, reason: String| DatasetError::Line { path: path.to_owned(), line, reason };
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let mut header: Option<Header> = None;
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = std::io::Read::take(&mut reader, LINE_MAX as u64).read_until(b'\n', &mut text).map_err(io)?;
        if read == 0 {
            break;
        }
        let whole = text.ends_with(b"\n");
        if !whole && read == LINE_MAX {
            return Err(wrong(line, format!("longer than {LINE_MAX} bytes")));
        }
        let record = |source| DatasetError::Record { path: path.to_owned(), line, source };
        let Some(header) = &header else {
            let parsed: Header = serde_json::from_slice(&text).map_err(|error| wrong(line, format!("no header of a data set: {error}")))?;
            parsed.check(encoding.space()).map_err(record)?;
            if parsed.kind != kind {
                return Err(DatasetError::Kind { path: path.to_owned(), found: parsed.kind, expected: kind });
            }
            header = Some(parsed);
            continue;
        };
        let point: Point = match serde_json::from_slice(&text) {
            Ok(point) => point,
            Err(_) if !whole => break,
            Err(error) => return Err(wrong(line, error.to_string())),
        };
        point.check(encoding.space(), header).map_err(record)?;
        let index = point.index;
        if points.insert(index, point).is_some() {
            return Err(DatasetError::Twice { path: path.to_owned(), line, index });
        }
        if points.len() as u64 > POINTS_MAX {
            return Err(wrong(line, format!("more than {POINTS_MAX} points")));
        }
    }
    header.ok_or_else(|| DatasetError::Empty { path: path.to_owned() })
}
