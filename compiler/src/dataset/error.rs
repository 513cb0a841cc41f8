//! Why a dataset cannot be written, read or joined.

use std::io;
use std::path::PathBuf;

/// Why a dataset cannot be written, read or joined.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line could not be written; what was written before it is whole.
    #[error("cannot write {}: {source}; its {kept} finished points are kept, and the same command goes on from there", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Points in the file.
        kept: usize,
        /// Why: a full disk, for example.
        source: io::Error,
    },
    /// Another process writes to the file.
    #[error("{} is being written by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No dataset at all.
    #[error("{}: not a dataset: {reason}", path.display())]
    NotADataset {
        /// The file.
        path: PathBuf,
        /// What is wrong with its first line.
        reason: String,
    },
    /// A line that is no point.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Headers that differ.
    #[error("{second} does not belong to {first}: they differ in {field} ({a} against {b})")]
    Header {
        /// A file, or what was asked for.
        first: String,
        /// Another file.
        second: String,
        /// The field of the header.
        field: String,
        /// Its value in the first.
        a: String,
        /// Its value in the second.
        b: String,
    },
    /// The same point with two values.
    #[error("point {index} is {a} in {first} and {b} in {second}")]
    Differs {
        /// The point.
        index: u64,
        /// A file.
        first: String,
        /// Another, or the same.
        second: String,
        /// Its accuracy in the first, or what else differs.
        a: String,
        /// The same in the second.
        b: String,
    },
}
