//! A Rust compiler for microcontrollers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::packages::apt_install;
use crate::{Failure, process};

/// Who compiles for the microcontrollers.
#[derive(Clone, Copy)]
pub(crate) enum Toolchain {
    /// The toolchain in use has the targets' libraries.
    InUse,
    /// Debian's, which has their source: cargo builds `core` and `alloc` first.
    Debian,
}

/// How long downloading a target's library may take before the other way is tried.
const DOWNLOAD_SECONDS_MAX: u64 = 180;
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";

/// Sees to it that something can compile for the targets.
///
/// # Errors
/// Names both ways where neither works.
pub(crate) fn install(targets: &[&str]) -> Result<Toolchain, Failure> {
    let all_there = || targets.iter().all(|target| has_library(target));
    if all_there() {
        return Ok(Toolchain::InUse);
    }
    let by_rustup = rustup_add(targets);
    if by_rustup.is_ok() && all_there() {
        return Ok(Toolchain::InUse);
    }
    if !debian_is_there() {
        let by_apt = apt_install(&DEBIAN_PACKAGES, "Rust with the source of its library, for bare-metal targets");
        if by_apt.is_err() || !debian_is_there() {
            return Err(format!(
                "no toolchain for {targets}\n  with rustup ({}): rustup target add {targets}\n  on Debian ({}): apt-get install {}",
                by_rustup.err().unwrap_or("it installed other targets".into()),
                by_apt.err().unwrap_or(format!("its Rust is older than {}", env!("CARGO_PKG_RUST_VERSION"))),
                DEBIAN_PACKAGES.join(" "),
                targets = targets.join(" "),
            ));
        }
    }
    Ok(Toolchain::Debian)
}

/// Whether the toolchain in use has `core` and `alloc` compiled for `target`.
fn has_library(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = process::output(Command::new(rustc).current_dir(process::root()).args(["--print", "target-libdir", "--target", target]));
    folder.is_some_and(|folder| std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some()))
}

fn rustup_add(targets: &[&str]) -> Result<(), Failure> {
    if !process::succeeds(Command::new("rustup").arg("--version")) {
        return Err("there is no rustup".into());
    }
    println!("installing the libraries of {} with rustup", targets.join(", "));
    let mut command = Command::new("rustup");
    command.current_dir(process::root()).args(["target", "add"]).args(targets);
    process::run_within(&mut command, Duration::from_secs(DOWNLOAD_SECONDS_MAX))
}

/// Whether Debian's Rust is there with its source, and new enough.
fn debian_is_there() -> bool {
    let version = process::output(Command::new("/usr/bin/rustc").arg("--version"));
    let new_enough =
        version.as_deref().and_then(minor).zip(minor_of(env!("CARGO_PKG_RUST_VERSION"))).is_some_and(|(is, least)| is >= least);
    new_enough && Path::new("/usr/bin/cargo").exists() && Path::new(DEBIAN_SOURCE).exists()
}

/// 96 of `rustc 1.96.0 (...)`.
fn minor(version: &str) -> Option<u32> {
    minor_of(version.strip_prefix("rustc ")?)
}

/// 96 of `1.96.0 ...` and of `1.96`.
fn minor_of(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Toolchain {
    /// The toolchain's cargo, in the folder of the workspace.
    pub(crate) fn cargo(self) -> Command {
        match self {
            Self::InUse => process::cargo(),
            Self::Debian => debian_cargo(),
        }
    }

    /// Has `command` compile `core`, and `alloc` where it is needed: without it in the list no crate can reach it even by accident.
    pub(crate) fn build_library(self, command: &mut Command, alloc: bool) {
        if matches!(self, Self::Debian) {
            command.arg(if alloc { "-Zbuild-std=core,alloc" } else { "-Zbuild-std=core" });
        }
    }
}

/// Debian's cargo, freed from what the cargo that runs this program has set for its own children.
fn debian_cargo() -> Command {
    let mut command = Command::new("/usr/bin/cargo");
    command.current_dir(process::root());
    for (name, _) in std::env::vars_os() {
        let of_cargo = name.to_str().is_some_and(|name| {
            matches!(name, "CARGO" | "RUSTC" | "RUSTDOC" | "RUSTFLAGS" | "LD_LIBRARY_PATH")
                || ["CARGO_PKG_", "CARGO_MANIFEST_", "RUSTUP_", "RUSTC_"].iter().any(|prefix| name.starts_with(prefix))
        });
        if of_cargo {
            command.env_remove(name);
        }
    }
    let mut folders = vec![PathBuf::from("/usr/bin")];
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    // -Zbuild-std is unstable; Debian has no nightly compiler.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some(96));
        assert_eq!(minor("rustc 1.63.0"), Some(63));
        assert_eq!(minor("cargo 1.63.0"), None);
        assert_eq!(minor_of("1.90"), Some(90));
        assert!(minor_of(env!("CARGO_PKG_RUST_VERSION")).is_some());
    }
}
