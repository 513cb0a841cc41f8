//! The command line tool: files, tables, progress bars and exit codes around the library.

mod cache;
mod commands;
mod report;
mod units;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
