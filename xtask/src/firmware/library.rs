//! The runtime as a static library for C, and cargo for other workspaces of one core.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cores::Core;
use super::{cores, emulator};
use crate::packages::apt_install;
use crate::toolchain::{self, Toolchain};
use crate::{Failure, process};

const FILE: &str = "libapq_runtime_c.a";
const COMPILER: (&str, &str) = ("arm-none-eabi-gcc", "gcc-arm-none-eabi");

/// Sees to it that C can be compiled for a Cortex-M, which the library itself does not need.
pub(super) fn install_compiler() -> Result<(), Failure> {
    let (program, package) = COMPILER;
    let there = process::succeeds(Command::new(program).arg("--version"));
    if there { Ok(()) } else { apt_install(&[package], "the C compiler for Cortex-M") }
}

/// Builds the library for a core into `folder`.
pub(super) fn build(core: &str, folder: &str) -> Result<(), Failure> {
    let cores = cores::named(&[core])?;
    cores.into_iter().try_for_each(|core| build_for(core, Path::new(folder)))
}

/// The toolchain for a core, and its cargo.
fn cargo(core: &Core) -> Result<(Toolchain, Command), Failure> {
    let toolchain = toolchain::install(&[core.target])?;
    if matches!(toolchain, Toolchain::Debian) {
        emulator::install_linker()?;
    }
    Ok((toolchain, toolchain.cargo()))
}

/// Runs cargo for a core in the folder of a workspace, with the flags that its programs are linked with.
pub(super) fn run_cargo(core: &str, folder: &str, arguments: &[&str]) -> Result<(), Failure> {
    let cores = cores::named(&[core])?;
    cores.into_iter().try_for_each(|core| {
        let (toolchain, mut command) = cargo(core)?;
        command.current_dir(process::root().join(folder)).args(arguments).args(["--target", core.target]);
        command.arg("--target-dir").arg(process::target_folder().join("firmware").join(core.name));
        command.env("RUSTFLAGS", core.compiler_flags(toolchain));
        toolchain.build_library(&mut command, false);
        process::run(&mut command)
    })
}

fn build_for(core: &Core, folder: &Path) -> Result<(), Failure> {
    let (toolchain, mut command) = cargo(core)?;
    let target_folder = process::target_folder().join("firmware").join(core.name);
    command.args(["build", "--quiet", "--release", "--package", "apq-runtime-c", "--target", core.target]);
    // One module from the functions of the header on: what they do not reach is gone, and calls across crates are inlined.
    command.env("CARGO_PROFILE_RELEASE_LTO", "fat").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    command.arg("--target-dir").arg(&target_folder).env("RUSTFLAGS", format!("-C target-cpu={}", core.cpu));
    toolchain.build_library(&mut command, false);
    process::run(&mut command)?;
    let built = target_folder.join(core.target).join("release").join(FILE);
    let cannot = |error: std::io::Error| format!("cannot copy {} to {}: {error}", built.display(), folder.display());
    fs::create_dir_all(folder).map_err(cannot)?;
    fs::copy(&built, folder.join(FILE)).map(|_| ()).map_err(cannot)
}
