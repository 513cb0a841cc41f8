//! From an error to an exit code and a hint.

use tch::TchError;

/// What a run of the tool comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// Bad input or usage.
    Input = 2,
    /// Correct, but not supported.
    Unsupported = 3,
    /// A bug of ours.
    Bug = 101,
}

/// An error with its exit code and with what to do about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    exit: Exit,
}

/// Bad input or a wrong call.
pub(crate) fn input(message: impl Into<String>) -> anyhow::Error {
    Failure { message: message.into(), hint: None, exit: Exit::Input }.into()
}

/// Bad input or a wrong call, with what to do about it.
pub(crate) fn input_with_hint(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Failure { message: message.into(), hint: Some(hint.into()), exit: Exit::Input }.into()
}

/// Correct, but not supported, with what is.
pub(crate) fn unsupported(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Failure { message: message.into(), hint: Some(hint.into()), exit: Exit::Unsupported }.into()
}

/// The exit code that an error asks for.
pub(crate) fn exit(error: &anyhow::Error) -> Exit {
    let class = |cause: &(dyn std::error::Error + 'static)| {
        let ours = cause.downcast_ref::<Failure>().map(|failure| failure.exit);
        // Input is checked before it reaches libtorch.
        ours.or_else(|| matches!(cause.downcast_ref(), Some(TchError::Torch(_) | TchError::Shape(_))).then_some(Exit::Bug))
    };
    error.chain().find_map(class).unwrap_or(Exit::Input)
}

/// What the user can do about an error, where the tool knows it.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()?.hint.clone())
}

/// The text with all causes, each said once.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(|cause| without_backtrace(&cause.to_string())) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// libtorch appends the frames of its own stack. In a panic its line breaks are those of a Debug text.
pub(crate) fn without_backtrace(text: &str) -> String {
    text.split("Exception raised from").next().unwrap_or(text).trim_end().trim_end_matches("\\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn causes_are_said_once_and_keep_code_and_hint() {
        let error = Err::<(), _>(unsupported("no such width", "take 8")).context("a.json").unwrap_err();
        assert_eq!((exit(&error), message(&error)), (Exit::Unsupported, "a.json: no such width".to_owned()));
        assert_eq!(hint(&error).as_deref(), Some("take 8"));
        let missing: anyhow::Error = std::io::Error::from(std::io::ErrorKind::NotFound).into();
        assert_eq!((exit(&missing), hint(&missing)), (Exit::Input, None));
    }

    #[test]
    fn errors_of_libtorch_are_ours_and_short() {
        let wrong = tch::Tensor::zeros([2], tch::kind::FLOAT_CPU).f_reshape([3]);
        let error: anyhow::Error = wrong.unwrap_err().into();
        assert_eq!(exit(&error), Exit::Bug);
        assert!(!message(&error).contains("frame #"), "{}", message(&error));
    }

    #[test]
    fn panics_of_libtorch_are_short() {
        let panic = std::panic::catch_unwind(|| tch::Tensor::zeros([2], tch::kind::FLOAT_CPU).f_reshape([3]).unwrap()).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("Exception raised from") && !text.contains('\n'), "{text}");
        let short = without_backtrace(text);
        assert!(short.ends_with("invalid for input of size 2"), "{short}");
    }
}
