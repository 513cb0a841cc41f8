//! The trainer: a workspace of its own, because it needs libtorch.

use std::process::{Command, ExitCode};

use crate::libtorch::{self, Libtorch};
use crate::packages::apt_install;
use crate::{Failure, process};

/// Builds the trainer and runs it with these arguments, in the folder of the user; its exit code is passed on.
pub(crate) fn run(arguments: &[&str]) -> Result<ExitCode, Failure> {
    let there = libtorch::present().ok_or("libtorch is missing: `cargo xtask libtorch` fetches it, and says first how large it is")?;
    compiler()?;
    process::run(cargo(&there).args(["build", "--release"]))?;
    let program = process::target_folder().join("supernet/release/apqc-train");
    let mut command = Command::new(&program);
    let status = command.args(arguments).status().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    // Ended by a signal: no code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Formatting, lints and tests; `each` sees every line of the tests.
pub(crate) fn check(each: impl FnMut(&str)) -> Result<(), Failure> {
    let there = libtorch::provide(true)?;
    compiler()?;
    process::run(cargo(&there).args(["fmt", "--check"]))?;
    process::run(cargo(&there).args(["clippy", "--all-targets", "--", "-D", "warnings"]))?;
    process::run_lines(cargo(&there).args(["test", "--no-fail-fast"]), each)
}

/// cargo in the trainer's workspace.
fn cargo(there: &Libtorch) -> Command {
    let mut command = process::cargo();
    command.current_dir(process::root().join("search/supernet"));
    command.env("CARGO_TARGET_DIR", process::target_folder().join("supernet"));
    if let Libtorch::Fetched(folder) = there {
        command.env("LIBTORCH", folder);
    }
    command
}

/// The bindings are C++; Rust itself needs a C compiler only.
fn compiler() -> Result<(), Failure> {
    let name = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if process::succeeds(Command::new(name).arg("--version")) {
        return Ok(());
    }
    apt_install(&["g++"], "a C++ compiler, for the bindings of libtorch")
}
