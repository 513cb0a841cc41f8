//! What can go wrong while a model is read.

/// An operator, or a form of it, that the importer does not support.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node \"{node}\": operator {operator}{}: {detail}; nearest supported form: {nearest}", attribute.as_ref().map(|a| format!(", attribute {a}")).unwrap_or_default())]
pub struct Unsupported {
    /// Name of the ONNX node.
    pub node: String,
    /// Type of the ONNX operator.
    pub operator: String,
    /// Attribute or input at fault, where it is one.
    pub attribute: Option<String>,
    /// What is not supported.
    pub detail: String,
    /// What would be.
    pub nearest: String,
}

/// Why a model could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {0}")]
    NotOnnx(String),
    /// The model contradicts itself or the ONNX specification.
    #[error("node \"{node}\" ({operator}): {detail}")]
    Invalid {
        /// Name of the ONNX node.
        node: String,
        /// Type of the ONNX operator.
        operator: String,
        /// What is wrong.
        detail: String,
    },
    /// The model as a whole is unusable.
    #[error("{0}")]
    Model(String),
    /// Correct, but outside what `apqc` supports.
    #[error(transparent)]
    Unsupported(#[from] Box<Unsupported>),
    /// Correct, but its inputs or outputs are outside what `apqc` supports.
    #[error("{0}")]
    UnsupportedModel(String),
    /// A bug of the importer.
    #[error(transparent)]
    Inconsistent(#[from] crate::graph::GraphError),
}
