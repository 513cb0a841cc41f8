//! rustfmt and clippy.

use std::process::Command;

use crate::packages::apt_install;
use crate::{Failure, process};

/// Sees to it that `cargo fmt` and `cargo clippy` are there.
pub(crate) fn install() -> Result<(), Failure> {
    // Subcommand, component of rustup, package of Debian.
    let tools = [("fmt", "rustfmt", "rustfmt-web"), ("clippy", "clippy", "rust-web-clippy")];
    let there = |subcommand: &str| process::succeeds(process::cargo().args([subcommand, "--version"]));
    for (subcommand, component, package) in tools {
        if there(subcommand) {
            continue;
        }
        if process::succeeds(Command::new("rustup").arg("--version")) {
            println!("installing {component} with rustup");
            process::run(Command::new("rustup").args(["component", "add", component]))?;
        } else {
            apt_install(&[package], &format!("`cargo {subcommand}`"))?;
        }
        if !there(subcommand) {
            return Err(format!("`cargo {subcommand}` is missing: add the component {component} to your Rust toolchain"));
        }
    }
    Ok(())
}
