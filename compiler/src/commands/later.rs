//! Flags of the contract that this build does not have: they are refused by name, never ignored.

use clap::Args;

use super::failure::input;

/// What stands under the help, so that nobody searches for it there.
pub(crate) const AFTER_HELP: &str = "Exit codes: 0 done, 1 a budget or tolerance was not met, 2 bad input or usage, 3 not supported, 101 a bug.";

/// What stands under the help of `compile`.
pub(crate) const AFTER_COMPILE_HELP: &str = "Not in this build yet: --prune, report.html.";

/// Flags of `compile` that this build refuses.
#[derive(Debug, Args)]
pub(crate) struct LaterFlags {
    #[arg(long, hide = true)]
    prune: bool,
}

impl LaterFlags {
    /// Refuses the first flag that was given.
    pub(crate) fn refuse(&self) -> anyhow::Result<()> {
        match [("--prune", self.prune)].into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(input(format!("this build does not have `{flag}` yet"))),
            None => Ok(()),
        }
    }
}
