//! A compiled model in other tools' forms, one file for each: [`c`], [`rust`], [`encodings`].
//!
//! Every form is made from the `.apq` alone, and equal files give equal bytes.

pub mod c;
pub mod encodings;
pub mod rust;

use apq_runtime::{LoadError, Model, Tensor};

use crate::hash::hexadecimal;

/// Longest name of an export, in bytes.
pub const NAME_BYTES_MAX: usize = 48;

/// One file of an export.
pub type File = (String, Vec<u8>);

/// What an export is made from.
#[derive(Debug, Clone)]
pub struct Source<'m> {
    /// The `.apq` file.
    pub file: &'m [u8],
    /// The same, proved.
    pub model: Model<'m>,
    /// Snake-case identifier that files and symbols are called by.
    pub name: String,
    /// Names of the classes, or none.
    pub labels: Vec<String>,
}

/// Why a model cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The file is not right.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The name is no identifier.
    #[error("`{0}` is no name for files and symbols: lower-case letters, digits and underscores, a letter first, {NAME_BYTES_MAX} at most")]
    Name(String),
    /// A label for each output, or none.
    #[error("there are {given} labels; the model has {needed} outputs")]
    Labels {
        /// Labels given.
        given: usize,
        /// Codes of the output.
        needed: usize,
    },
    /// The model lacks what a checked one has.
    #[error("the model has no {0}")]
    Missing(&'static str),
}

impl<'m> Source<'m> {
    /// Checks the file, the name (by default one made from the model's) and the labels.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn new(file: &'m [u8], name: Option<&str>, labels: Vec<String>) -> Result<Self, ExportError> {
        let model = Model::new_checked(file)?;
        let name = match name {
            Some(name) if is_name(name) => name.to_owned(),
            Some(name) => return Err(ExportError::Name(name.into())),
            None => identifier(model.name()),
        };
        let needed = model.output().ok_or(ExportError::Missing("output"))?.tensor.shape.elements();
        if !labels.is_empty() && labels.len() != needed {
            return Err(ExportError::Labels { given: labels.len(), needed });
        }
        Ok(Self { file, model, name, labels })
    }

    /// SHA-256 of the file in hexadecimal digits.
    fn sha256(&self) -> String {
        use sha2::Digest as _;
        hexadecimal(&sha2::Sha256::digest(self.file))
    }

    /// Features of the runtime that the model needs: operators, arrangements and widths.
    fn features(&self) -> Vec<String> {
        let model = &self.model;
        let mut features: Vec<String> = model.operators().map(String::from).collect();
        features.extend(model.arrangements().map(|arrangement| arrangement.name().to_owned()));
        if model.arrangements().next().is_none() {
            features.push(apq_kernels::Arrangement::RowMajor.name().to_owned());
        }
        let mut weights: Vec<u32> = model.nodes().filter_map(|node| Some(node.weighted()?.bits.bits())).collect();
        let mut activations: Vec<u32> = model.tensors().map(|tensor| tensor.bits.bits()).collect();
        if weights.is_empty() {
            weights.push(8);
        }
        for (kind, widths) in [("weights", &mut weights), ("activations", &mut activations)] {
            widths.sort_unstable();
            widths.dedup();
            features.extend(widths.iter().map(|bits| format!("{kind}-{bits}")));
        }
        features
    }

    /// Names of the operators that run, in the format's order.
    fn operators(&self) -> Vec<&'static str> {
        self.model.operators().collect()
    }
}

/// A tensor at one end of the network.
struct Port<'m> {
    /// `input` or `output`.
    role: &'static str,
    tensor: Tensor<'m>,
}

/// Input and output.
fn ports<'m>(model: &Model<'m>) -> Result<[Port<'m>; 2], ExportError> {
    let input = model.input().ok_or(ExportError::Missing("input"))?.tensor;
    let output = model.output().ok_or(ExportError::Missing("output"))?.tensor;
    Ok([Port { role: "input", tensor: input }, Port { role: "output", tensor: output }])
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// An identifier that looks like `name`.
fn identifier(name: &str) -> String {
    let mut made: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if !made.starts_with(|first: char| first.is_ascii_lowercase()) {
        made.insert_str(0, "model_");
    }
    made.truncate(NAME_BYTES_MAX);
    made.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_model_gets_a_name() {
        let long = "x".repeat(100);
        for (name, made) in [("textures", "textures"), ("ResNet-8", "resnet_8"), ("8x8", "model_8x8"), ("", "model"), ("é/", "model")] {
            assert_eq!(identifier(name), made);
        }
        for name in ["textures", "ResNet-8", "8x8", "", "é/", "_a", &long] {
            assert!(is_name(&identifier(name)), "{name}");
        }
        for name in ["", "A", "a-b", "1a", "_a", "a b", &long] {
            assert!(!is_name(name), "{name}");
        }
    }
}
