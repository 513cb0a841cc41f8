//! QEMU.

use std::path::Path;
use std::process::{Command, Stdio};

use super::cores::Core;
use crate::packages::apt_install;
use crate::{Failure, process};

const ARM: (&str, &str) = ("qemu-system-arm", "qemu-system-arm");
const RISCV: (&str, &str) = ("qemu-system-riscv32", "qemu-system-misc");

fn program_and_package(core: &Core) -> (&'static str, &'static str) {
    if core.is_riscv() { RISCV } else { ARM }
}

/// Sees to it that QEMU is there for the cores.
pub(super) fn install(cores: &[&'static Core]) -> Result<(), Failure> {
    for core in cores {
        let (program, package) = program_and_package(core);
        if !process::succeeds(Command::new(program).arg("--version")) {
            apt_install(&[package], &format!("the emulator of {}", core.name))?;
        }
    }
    Ok(())
}

/// Sees to it that there is a linker for the compiler that brings none.
pub(super) fn install_linker() -> Result<(), Failure> {
    if process::succeeds(Command::new("ld.lld").arg("--version")) { Ok(()) } else { apt_install(&["lld"], "a linker for microcontrollers") }
}

/// The emulator with a program and its arguments. The program's end is the emulator's.
pub(super) fn command(core: &Core, program: &Path, arguments: &[&str]) -> Command {
    let (emulator, _) = program_and_package(core);
    let mut command = Command::new(emulator);
    command.args(["-machine", core.machine, "-nographic", "-monitor", "none", "-serial", "none"]);
    if core.is_riscv() {
        command.args(["-bios", "none"]);
    }
    let arguments: String = arguments.iter().map(|argument| format!(",arg={argument}")).collect();
    command.arg("-semihosting-config").arg(format!("enable=on,target=native,arg=program{arguments}"));
    command.arg("-kernel").arg(program).stdin(Stdio::null());
    command
}
