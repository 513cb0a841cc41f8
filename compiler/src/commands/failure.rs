//! From an error of the libraries to an exit code and a hint.

use apq_device::{Class, DeviceError, Refusal};
use apq_runtime::{ErrorClass, LoadError};
use apq_search::ProblemError;
use apq_search::evolution::SearchError;
use apq_search::space::{ChoicesError, CostsError};
use apq_targets::{Target, TargetError};
use apqc::assignment::AssignmentError;
use apqc::compare::CompareError;
use apqc::compile::CompileError;
use apqc::data::DataError;
use apqc::evaluate::RunError;
use apqc::graph::GraphError;
use apqc::import::{ImportError, Unsupported};
use apqc::lower::LowerError;
use apqc::quant::groups::NoKernel;
use apqc::supernet::{PredictorFileError, ProposeError, TrialError};

/// What a run of the tool comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// A stated budget or tolerance was not met; what came nearest is written.
    NotMet = 1,
    /// Bad input or usage.
    Input = 2,
    /// Correct, but not supported by the target, the importer or this build.
    Unsupported = 3,
    /// A bug of ours.
    Bug = 101,
}

/// An error of the tool itself.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Usage {
    /// Bad input or a wrong call.
    #[error("{message}")]
    Input {
        /// What is wrong.
        message: String,
        /// What to do about it; empty for nothing.
        hint: String,
    },
    /// Correct, but not supported.
    #[error("{message}")]
    Unsupported {
        /// What is not supported.
        message: String,
        /// What is; empty for nothing.
        hint: String,
    },
}

/// Bad input or a wrong call.
pub(crate) fn input(message: impl Into<String>) -> anyhow::Error {
    Usage::Input { message: message.into(), hint: String::new() }.into()
}

/// Bad input or a wrong call, with what to do about it.
pub(crate) fn input_with_hint(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Usage::Input { message: message.into(), hint: hint.into() }.into()
}

/// Correct, but not supported.
pub(crate) fn unsupported(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Usage::Unsupported { message: message.into(), hint: hint.into() }.into()
}

/// The exit code that an error asks for: that of the first cause that says something.
pub(crate) fn exit(error: &anyhow::Error) -> Exit {
    error.chain().find_map(class).unwrap_or(Exit::Input)
}

fn class(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(usage) = cause.downcast_ref::<Usage>() {
        return Some(match usage {
            Usage::Input { .. } => Exit::Input,
            Usage::Unsupported { .. } => Exit::Unsupported,
        });
    }
    if let Some(error) = cause.downcast_ref::<CompileError>() {
        return match error {
            CompileError::Network(inner) => class(inner),
            CompileError::Reference(inner) => class(inner),
            CompileError::Lower(inner) => class(inner),
            CompileError::Run(inner) => class(inner),
            CompileError::Assign(inner) => class(inner),
            CompileError::ImportDiffers { .. } | CompileError::Check(_) => Some(Exit::Bug),
            CompileError::Cost(_) => Some(Exit::Unsupported),
            _ => Some(Exit::Input),
        };
    }
    if let Some(error) = cause.downcast_ref::<apqc::network::NetworkError>() {
        use apqc::network::NetworkError;
        return match error {
            NetworkError::Import(inner) => class(inner),
            NetworkError::NoKernel(_) => Some(Exit::Unsupported),
            NetworkError::Inconsistent(_) => Some(Exit::Bug),
        };
    }
    if let Some(error) = cause.downcast_ref::<ImportError>() {
        return Some(match error {
            ImportError::Unsupported(_) | ImportError::UnsupportedModel(_) => Exit::Unsupported,
            ImportError::Inconsistent(_) => Exit::Bug,
            _ => Exit::Input,
        });
    }
    if let Some(error) = cause.downcast_ref::<LowerError>() {
        return Some(if matches!(error, LowerError::TooLarge(..) | LowerError::Node { .. }) { Exit::Unsupported } else { Exit::Bug });
    }
    if let Some(error) = cause.downcast_ref::<RunError>() {
        return match error {
            RunError::Load(inner) => class(inner),
            RunError::Session(_) => Some(Exit::Bug),
            _ => Some(Exit::Input),
        };
    }
    if let Some(error) = cause.downcast_ref::<LoadError>() {
        return Some(match error.class() {
            ErrorClass::BadFile => Exit::Input,
            ErrorClass::Unsupported => Exit::Unsupported,
            ErrorClass::Misuse => Exit::Bug,
        });
    }
    if let Some(error) = cause.downcast_ref::<DeviceError>() {
        return Some(match error {
            DeviceError::Refused(Refusal::Load { class: Class::Unsupported, .. } | Refusal::Layers { .. }) => Exit::Unsupported,
            DeviceError::Refused(Refusal::Overrun | Refusal::Panicked { .. }) => Exit::Bug,
            _ => Exit::Input,
        });
    }
    if let Some(error) = cause.downcast_ref::<TrialError>() {
        return match error {
            TrialError::Compile(inner) => class(inner),
            TrialError::Supernet(_) => Some(Exit::Input),
        };
    }
    if let Some(error) = cause.downcast_ref::<CompareError>() {
        return match error {
            CompareError::Search(inner) => class(inner),
            CompareError::Trial(inner) => class(inner),
            CompareError::Compile(inner) => class(inner),
            _ => Some(Exit::Input),
        };
    }
    if let Some(error) = cause.downcast_ref::<SearchError>() {
        return Some(if matches!(error, SearchError::NotModelled(_)) { Exit::Unsupported } else { Exit::Input });
    }
    if let Some(error) = cause.downcast_ref::<ChoicesError>() {
        return Some(if matches!(error, ChoicesError::Space(_)) { Exit::Input } else { Exit::Unsupported });
    }
    if let Some(error) = cause.downcast_ref::<CostsError>() {
        return Some(if matches!(error, CostsError::Choices(ChoicesError::Space(_))) { Exit::Input } else { Exit::Unsupported });
    }
    if let Some(error) = cause.downcast_ref::<ProposeError>() {
        return Some(if matches!(error, ProposeError::Search(SearchError::NotModelled(_))) { Exit::Unsupported } else { Exit::Input });
    }
    if let Some(error) = cause.downcast_ref::<ProblemError>() {
        return Some(if matches!(error, ProblemError::NotModelled { .. }) { Exit::Unsupported } else { Exit::Bug });
    }
    if cause.is::<Unsupported>() || cause.is::<NoKernel>() || cause.is::<apq_lut::CostError>() {
        return Some(Exit::Unsupported);
    }
    if let Some(error) = cause.downcast_ref::<AssignmentError>() {
        return Some(if matches!(error, AssignmentError::NotPossible { .. }) { Exit::Unsupported } else { Exit::Input });
    }
    if cause.is::<GraphError>() {
        return Some(Exit::Bug);
    }
    None
}

/// What the user can do about an error, where the tool knows it.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(hint_for)
}

fn hint_for(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(Usage::Input { hint, .. } | Usage::Unsupported { hint, .. }) = cause.downcast_ref::<Usage>() {
        return Some(hint.clone()).filter(|hint| !hint.is_empty());
    }
    if let Some(TargetError::Unknown { name, .. }) = cause.downcast_ref::<TargetError>() {
        return Some(match nearest(name, Target::builtin_names()) {
            Some(known) => format!("did you mean `{known}`? A target of your own is a TOML file: --target FILE.toml"),
            None => "a target of your own is a TOML file: --target FILE.toml".into(),
        });
    }
    if let Some(error) = cause.downcast_ref::<LoadError>() {
        return match error.class() {
            ErrorClass::Unsupported => Some("compile the model again with this build".into()),
            ErrorClass::BadFile if *error == LoadError::Magic => Some("`apqc compile MODEL.onnx` makes one".into()),
            ErrorClass::BadFile => Some("compile the model again, or copy the file again".into()),
            ErrorClass::Misuse => None,
        };
    }
    if let Some(TargetError::CandidateWithoutKernel { .. }) = cause.downcast_ref::<TargetError>() {
        return Some("give the target a kernel for it, or take it out of `candidates`".into());
    }
    if cause.is::<NoKernel>() || is_no_kernel(cause) {
        return Some("`apqc targets kernels NAME` lists what there is; --candidates names other bit widths".into());
    }
    if let Some(error) = cause.downcast_ref::<DataError>() {
        return match error {
            DataError::MissingArray { .. } => Some("samples belong into array `x` ([N, H, W, C] or [N, F]), labels into array `y`".into()),
            DataError::ElementType { .. } => Some("in NumPy: np.savez(path, x=x.astype(np.float32), y=y)".into()),
            DataError::NotFinite { .. } => Some("leave such samples out".into()),
            _ => None,
        };
    }
    if let Some(CompileError::Cost(apq_lut::CostError::Missing { .. })) = cause.downcast_ref::<CompileError>() {
        return Some("`apqc profile` measures layers; or add this one to the table, or leave its widths out with --candidates".into());
    }
    if let Some(AssignmentError::NotPossible { .. }) = cause.downcast_ref::<AssignmentError>() {
        return Some("`apqc targets kernels NAME` lists the widths that each operator has kernels for".into());
    }
    if let Some(AssignmentError::Missing(_)) = cause.downcast_ref::<AssignmentError>() {
        return Some("every group needs its widths; `apqc compile` writes a complete assignment.toml to begin with".into());
    }
    if let Some(PredictorFileError::OtherSpace { .. }) = cause.downcast_ref::<PredictorFileError>() {
        return Some("train a predictor for this supernet with `apqc-train predictor`, or give its own with --predictor FILE".into());
    }
    if let Some(CompileError::NotFinite(_)) = cause.downcast_ref::<CompileError>() {
        return Some("look for NaN or infinity among the model's weights, and at the preprocessing".into());
    }
    None
}

fn is_no_kernel(cause: &(dyn std::error::Error + 'static)) -> bool {
    use apqc::network::NetworkError;
    let network = match cause.downcast_ref::<CompileError>() {
        Some(CompileError::Network(network)) => Some(network),
        _ => cause.downcast_ref::<NetworkError>(),
    };
    matches!(network, Some(NetworkError::NoKernel(_)))
}

/// The text with all causes, each said once.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The name that differs from `name` by the fewest edits, if they are few.
pub(crate) fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    const EDITS_MAX: usize = 4;
    // Names longer than this are not mistyped ones.
    const LENGTH_MAX: usize = 64;
    if name.len() > LENGTH_MAX {
        return None;
    }
    let closest = names.iter().map(|known| (edits(&name.to_lowercase(), known), *known)).min()?;
    (closest.0 <= EDITS_MAX.min(closest.1.len() / 2)).then_some(closest.1)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        let names = ["bitfusion", "cortex-m4", "host"];
        assert_eq!(nearest("bitfuson", &names), Some("bitfusion"));
        assert_eq!(nearest("Cortex-M7", &names), Some("cortex-m4"));
        assert_eq!(nearest("esp32", &names), None);
        assert_eq!((edits("", "abc"), edits("abc", "abd"), edits("abc", "")), (3, 1, 3));
    }

    #[test]
    fn codes_follow_the_class() {
        let target: anyhow::Error = TargetError::Unknown { name: "hosst".into(), known: Vec::new() }.into();
        assert_eq!((exit(&target), hint(&target).unwrap().contains("`host`")), (Exit::Input, true));
        let bad: anyhow::Error = LoadError::Checksum.into();
        assert_eq!(exit(&bad), Exit::Input);
        let newer: anyhow::Error = RunError::Load(LoadError::Version { version: 9 }).into();
        assert_eq!(exit(&newer), Exit::Unsupported);
        let operator = ImportError::UnsupportedModel("opset 3".into());
        assert_eq!(exit(&CompileError::Reference(operator).into()), Exit::Unsupported);
        assert_eq!(exit(&CompileError::Check("x".into()).into()), Exit::Bug);
    }
}
