//! Boards' programs out of a checkout of this project.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{DeviceError, io};

/// Builds the program for the emulated board with a core, such as `cortex-m4`, and returns its path.
///
/// # Errors
/// The build fails; what it printed is on standard error.
pub fn firmware(checkout: &Path, core: &str) -> Result<PathBuf, DeviceError> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout).args(["xtask", "firmware", "build", core]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(io("cannot start cargo"))?;
    // The last line is the program's path.
    let path = String::from_utf8_lossy(&output.stdout).lines().last().map(PathBuf::from);
    match path {
        Some(path) if output.status.success() => Ok(path),
        _ => Err(DeviceError::Firmware { path: checkout.into(), problem: format!("`cargo xtask firmware build {core}` failed") }),
    }
}
