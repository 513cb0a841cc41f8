//! What may be wrong with a supernet.

/// Why a supernet cannot be written, read or cut.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SupernetError {
    /// Not a protobuf of the ONNX schema.
    #[error("not an ONNX file: {0}")]
    NotOnnx(String),
    /// The metadata are there, and are not what the format says.
    #[error("metadata `apq.supernet`: {0}")]
    Metadata(String),
    /// Written by a newer tool.
    #[error("metadata `apq.supernet`: version {0}, this reads version 1")]
    Version(u64),
    /// The space is none, or an architecture is not of the space.
    #[error(transparent)]
    Space(#[from] apq_search::space::SpaceError),
    /// An initializer that the space needs.
    #[error("initializer `{name}` is missing; this space needs it, with shape {shape:?}")]
    Missing {
        /// Of the initializer.
        name: String,
        /// What it should have.
        shape: Vec<usize>,
    },
    /// Two initializers of one name.
    #[error("initializer `{0}` is there twice")]
    Twice(String),
    /// Elements that are not float32 values within the file.
    #[error("initializer `{name}`: {what}; supernets hold float32 values within the file")]
    Elements {
        /// Of the initializer.
        name: String,
        /// What was found.
        what: String,
    },
    /// An initializer's shape is not the one that the space says.
    #[error("initializer `{name}` has shape {found:?}; the search space says {expected:?}")]
    Shape {
        /// Of the initializer.
        name: String,
        /// By the space.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<i64>,
    },
    /// Too many values, or too few, for a shape.
    #[error("initializer `{name}` holds {found} values; its shape {shape:?} has {expected}")]
    Length {
        /// Of the initializer.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Of the shape.
        expected: usize,
        /// In the file.
        found: usize,
    },
    /// An infinity, or not a number.
    #[error("initializer `{name}` holds {value} at index {index}; values have to be finite")]
    NotFinite {
        /// Of the initializer.
        name: String,
        /// Of the first such value.
        index: usize,
        /// It.
        value: f32,
    },
    /// A variance below zero.
    #[error("initializer `{name}` holds {value} at index {index}; a variance is not negative")]
    NegativeVariance {
        /// Of the initializer.
        name: String,
        /// Of the first such value.
        index: usize,
        /// It.
        value: f32,
    },
}
