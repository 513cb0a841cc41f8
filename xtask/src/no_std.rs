//! The device crates, built where there is no operating system.
//!
//! Compiling for a target without `std` is the proof that a crate needs none: on the host, a dependency's feature could bring it back unseen.

use std::process::Command;

use crate::toolchain::{self, Toolchain};
use crate::{Failure, process};

/// Cortex-M4F, and Cortex-M0, which has no atomic compare-and-swap.
const TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "thumbv6m-none-eabi"];

/// The workspace's crates without `std`; where `alloc` is false, they need `core` alone.
const BUILDS: [Build; 7] = [
    Build { package: "apq-kernels", alloc: false, flags: &[] },
    Build { package: "apq-runtime", alloc: false, flags: &[] },
    Build {
        package: "apq-runtime",
        alloc: false,
        flags: &["--no-default-features", "--features", "conv,row-major,weights-8,activations-8"],
    },
    Build { package: "apq-runtime-c", alloc: false, flags: &[] },
    Build { package: "apq-lut", alloc: true, flags: &[] },
    Build { package: "apq-targets", alloc: true, flags: &[] },
    Build { package: "apq-search", alloc: true, flags: &[] },
];

struct Build {
    package: &'static str,
    alloc: bool,
    flags: &'static [&'static str],
}

/// Builds every crate for every target.
pub(crate) fn run() -> Result<(), Failure> {
    let toolchain = install()?;
    for target in TARGETS {
        for build in &BUILDS {
            process::run(&mut command(toolchain, target, build))?;
        }
    }
    println!("no_std: {} builds for each of {}", BUILDS.len(), TARGETS.join(", "));
    Ok(())
}

/// Sees to it that something can compile for the targets.
pub(crate) fn install() -> Result<Toolchain, Failure> {
    toolchain::install(&TARGETS)
}

fn command(toolchain: Toolchain, target: &str, build: &Build) -> Command {
    let mut command = toolchain.cargo();
    // One package a time: together, the features that one of them needs would reach the dependencies of all.
    command.args(["build", "--quiet", "--lib", "--package", build.package, "--target", target]).args(build.flags);
    // What is proved is that the code compiles; optimising it takes most of the time.
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    if matches!(toolchain, Toolchain::Debian) {
        command.arg("--target-dir").arg(process::target_folder().join("bare-metal"));
    }
    toolchain.build_library(&mut command, build.alloc);
    command
}
