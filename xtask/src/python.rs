//! onnxruntime, which the tests compare with, in a Python environment of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::apt_install;
use crate::{Failure, process};

/// Pinned packages, one for each line.
const REQUIREMENTS: &str = include_str!("../requirements.txt");
/// Oldest Python that the pinned packages have wheels for.
const PYTHON_MIN: (u32, u32) = (3, 11);
/// Interpreters of the system.
const NAMES: [&str; 5] = ["python3", "/usr/bin/python3", "python3.13", "python3.12", "python3.11"];

/// Makes the environment where it is missing or has other versions, and returns its interpreter. `APQ_PYTHON` is taken as it is.
pub(crate) fn install() -> Result<PathBuf, Failure> {
    if let Some(python) = std::env::var_os("APQ_PYTHON") {
        let python = PathBuf::from(python);
        return if imports(&python) {
            Ok(python)
        } else {
            Err(format!("APQ_PYTHON={}: cannot import numpy, onnx and onnxruntime", python.display()))
        };
    }
    let folder = process::target_folder().join("venv");
    let python = folder.join("bin/python");
    // Written last, so that an installation that was interrupted is made again.
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == REQUIREMENTS) && imports(&python) {
        return Ok(python);
    }
    let failed = |failure: Failure| {
        let packages = REQUIREMENTS.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{failure}\n  the tests need a Python with {packages}; where that exists already, set APQ_PYTHON to its interpreter")
    };
    make(&folder).map_err(failed)?;
    if !imports(&python) {
        return Err(failed(format!("{} cannot import numpy, onnx and onnxruntime", python.display())));
    }
    std::fs::write(&stamp, REQUIREMENTS).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

fn make(folder: &Path) -> Result<(), Failure> {
    let packages = REQUIREMENTS.split_whitespace().collect::<Vec<_>>().join(" ");
    println!("installing {packages} with pip into {}", folder.display());
    let base = base_installed("Python with venv, for onnxruntime")?;
    let requirements = process::root().join("xtask/requirements.txt");
    process::run(Command::new(base).args(["-m", "venv", "--clear"]).arg(folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--requirement"];
    process::run(Command::new(folder.join("bin/python")).args(pip).arg(requirements))
}

/// An interpreter that has pip: one of the system, or that of a new environment in `folder`.
pub(crate) fn with_pip(folder: &Path) -> Result<PathBuf, Failure> {
    let has_pip = |python: &Path| process::succeeds(Command::new(python).args(["-m", "pip", "--version"]));
    let environment = folder.join("bin/python");
    let there = NAMES.into_iter().map(PathBuf::from).chain([environment.clone()]).find(|python| has_pip(python));
    if let Some(python) = there {
        return Ok(python);
    }
    let base = base_installed("Python with venv, for pip")?;
    process::run(Command::new(base).args(["-m", "venv", "--clear"]).arg(folder))?;
    if has_pip(&environment) { Ok(environment) } else { Err("no Python with pip was found".into()) }
}

fn base_installed(purpose: &str) -> Result<&'static str, Failure> {
    if let Some(base) = base() {
        return Ok(base);
    }
    apt_install(&["python3", "python3-venv"], purpose)?;
    base().ok_or(format!("no Python {}.{} or later with venv was found", PYTHON_MIN.0, PYTHON_MIN.1))
}

/// An interpreter of the system that is new enough and can make environments.
fn base() -> Option<&'static str> {
    let (major, minor) = PYTHON_MIN;
    let script = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < ({major}, {minor}))");
    NAMES.into_iter().find(|name| process::succeeds(Command::new(name).args(["-c", &script])))
}

fn imports(python: &Path) -> bool {
    process::succeeds(Command::new(python).args(["-c", "import numpy, onnx, onnxruntime"]))
}
