//! Why list files are refused.

/// Why list files are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// No list at all.
    #[error("{file}: not a sensitivity list: {reason}")]
    NotAList {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A whole list among parts.
    #[error("{0} is a whole list, not a part of one")]
    Whole(String),
    /// A part where a whole list is needed.
    #[error("{file} is part {index} of {count}, not a whole list")]
    Part {
        /// The file.
        file: String,
        /// Its index.
        index: usize,
        /// The number of parts.
        count: usize,
    },
    /// Files that do not belong together.
    #[error("{second} does not belong to {first}: they differ in their {what}")]
    Different {
        /// A file.
        first: String,
        /// Another.
        second: String,
        /// What differs.
        what: String,
    },
    /// The same part twice.
    #[error("{first} and {second} are both part {index} of {count}")]
    Twice {
        /// A file.
        first: String,
        /// Another.
        second: String,
        /// Their index.
        index: usize,
        /// The number of parts.
        count: usize,
    },
    /// Parts are missing.
    #[error("part {missing} of {count} is missing")]
    Missing {
        /// The indices.
        missing: String,
        /// The number of parts.
        count: usize,
    },
    /// Lists without two entries in common.
    #[error("{first} and {second} have {common} entries in common, too few to compare")]
    Disjoint {
        /// A file.
        first: String,
        /// Another.
        second: String,
        /// Common entries.
        common: usize,
    },
}
