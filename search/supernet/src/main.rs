//! Trains once-for-all networks and accuracy predictors, and fine-tunes quantized networks. The only program of the project that needs libtorch.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
