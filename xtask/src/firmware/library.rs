//! The runtime as a static library for C.

use std::fs;
use std::path::Path;

use super::cores::Core;
use super::{cores, emulator};
use crate::packages::apt_install;
use crate::toolchain;
use crate::{Failure, process};

const FILE: &str = "libapq_runtime_c.a";
const COMPILER: (&str, &str) = ("arm-none-eabi-gcc", "gcc-arm-none-eabi");

/// Sees to it that C can be compiled for a Cortex-M, which the library itself does not need.
pub(super) fn install_compiler() -> Result<(), Failure> {
    let (program, package) = COMPILER;
    let there = process::succeeds(std::process::Command::new(program).arg("--version"));
    if there { Ok(()) } else { apt_install(&[package], "the C compiler for Cortex-M") }
}

/// Builds the library for a core into `folder`.
pub(super) fn build(core: &str, folder: &str) -> Result<(), Failure> {
    let cores = cores::named(&[core])?;
    cores.into_iter().try_for_each(|core| build_for(core, Path::new(folder)))
}

fn build_for(core: &Core, folder: &Path) -> Result<(), Failure> {
    let toolchain = toolchain::install(&[core.target])?;
    if matches!(toolchain, toolchain::Toolchain::Debian) {
        emulator::install_linker()?;
    }
    let target_folder = process::target_folder().join("firmware").join(core.name);
    let mut command = toolchain.cargo();
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
