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
/// What the C example is built with: the program, and Debian's package of it.
const TOOLS: [(&str, &str); 2] = [("arm-none-eabi-gcc", "gcc-arm-none-eabi"), ("make", "make")];

/// Sees to it that C can be compiled for a Cortex-M, which the library itself does not need.
pub(super) fn install_compiler() -> Result<(), Failure> {
    let missing = |(program, _): &(&str, &str)| !process::succeeds(Command::new(program).arg("--version"));
    let packages: Vec<&str> = TOOLS.into_iter().filter(missing).map(|(_, package)| package).collect();
    if packages.is_empty() { Ok(()) } else { apt_install(&packages, "the C compiler for Cortex-M") }
}

/// Builds the library for a core into `folder`, with these of its features, or with all.
pub(super) fn build(core: &str, folder: &str, features: &[&str]) -> Result<(), Failure> {
    let cores = cores::named(&[core])?;
    cores.into_iter().try_for_each(|core| build_for(core, Path::new(folder), features))
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

fn build_for(core: &Core, folder: &Path, features: &[&str]) -> Result<(), Failure> {
    let (toolchain, mut command) = cargo(core)?;
    let target_folder = process::target_folder().join("firmware").join(core.name);
    command.args(["build", "--quiet", "--release", "--package", "apq-runtime-c", "--target", core.target]);
    if !features.is_empty() {
        command.args(["--no-default-features", "--features", "panic-handler", "--features", &features.join(",")]);
    }
    // One module from the functions of the header on: what they do not reach is gone, and calls across crates are inlined.
    command.envs([
        ("CARGO_PROFILE_RELEASE_LTO", "fat"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"),
    ]);
    command.arg("--target-dir").arg(&target_folder).env("RUSTFLAGS", format!("-C target-cpu={}", core.cpu));
    toolchain.build_library(&mut command, false);
    process::run(&mut command)?;
    let built = target_folder.join(core.target).join("release").join(FILE);
    let cannot = |error: std::io::Error| format!("cannot copy {} to {}: {error}", built.display(), folder.display());
    fs::create_dir_all(folder).map_err(cannot)?;
    fs::copy(&built, folder.join(FILE)).map(|_| ()).map_err(cannot)
}
