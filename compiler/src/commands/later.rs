//! Commands and flags of the contract that this build does not have: they are refused by name, never ignored.

use clap::{Args, Subcommand};

use super::failure::input_with_hint;

/// What stands under the help, so that nobody searches for it there.
pub(crate) const AFTER_HELP: &str = "Not in this build yet: search, dataset.\n\
    Exit codes: 0 done, 1 a budget or tolerance was not met, 2 bad input or usage, 3 not supported, 101 a bug.";

/// What stands under the help of `compile`.
pub(crate) const AFTER_COMPILE_HELP: &str = "Not in this build yet: report.html.";

/// What there is instead.
const THERE_IS: &str = "what is there: compile, pareto, sensitivity, run, eval, inspect, profile, export, lut show|import|merge|diff|check, targets list|show|kernels";

/// The rest of a command line that is not looked at.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Ignored {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LaterCommand {
    /// Not in this build.
    #[command(hide = true)]
    Search(Ignored),
    /// Not in this build.
    #[command(hide = true)]
    Dataset(Ignored),
}

/// The refusal of a command.
pub(crate) fn refuse(command: &LaterCommand) -> anyhow::Error {
    absent(match command {
        LaterCommand::Search(_) => "search",
        LaterCommand::Dataset(_) => "dataset",
    })
}

/// The refusal of the command `name`.
pub(crate) fn absent(name: &str) -> anyhow::Error {
    input_with_hint(format!("this build does not have `apqc {name}` yet"), THERE_IS)
}
