//! libtorch for the trainer: the processor's half of PyTorch, out of the wheels of the Python package index.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, process, python};

/// The version that the trainer's bindings ask for.
const VERSION: &str = "2.13.0";
/// The wheels of x86-64 Linux with the digests that pip checks. The library for the processor still loads two small ones of CUDA.
const REQUIREMENTS: &str = include_str!("requirements.txt");
/// The wheels' platforms. Their Python version is fixed, whatever the version of the Python that fetches them.
const PLATFORM: [&str; 12] = [
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_25_x86_64",
    "--platform=manylinux2014_x86_64",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--abi=none",
    "--only-binary=:all:",
    "--no-deps",
    "--no-cache-dir",
    "--require-hashes",
    "--disable-pip-version-check",
];
/// What is downloaded, what stays, and what both take while it is unpacked, in megabytes.
const DOWNLOAD_MB: u64 = 540;
const KEPT_MB: u64 = 490;
const DISK_MB: u64 = DOWNLOAD_MB + KEPT_MB + 20;
/// In place of the wheel's `libtorch.so`, which is empty and asks for the CUDA half: a script that linkers read like a library.
const LINKER_SCRIPT: &str = "INPUT(-ltorch_cpu -lc10)\n";
const OTHER_WAYS: &str = "a libtorch or PyTorch 2.13.0 that is already there serves too: LIBTORCH=FOLDER, or LIBTORCH_USE_PYTORCH=1";

/// Where the trainer finds libtorch.
pub(crate) enum Libtorch {
    /// The user said so by `LIBTORCH` or `LIBTORCH_USE_PYTORCH`.
    Given,
    /// Fetched into this folder.
    Fetched(PathBuf),
}

/// `cargo xtask libtorch [--yes]`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let agreed = match arguments {
        [] => false,
        ["--yes" | "-y"] => true,
        _ => return Err("usage: cargo xtask libtorch [--yes]".into()),
    };
    match provide(agreed)? {
        Libtorch::Given => println!("LIBTORCH or LIBTORCH_USE_PYTORCH is set: the trainer takes that one"),
        Libtorch::Fetched(folder) => println!("libtorch {VERSION} is in {}; next: cargo xtask train --help", folder.display()),
    }
    Ok(())
}

/// What is there, without fetching anything.
pub(crate) fn present() -> Option<Libtorch> {
    if ["LIBTORCH", "LIBTORCH_USE_PYTORCH"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Some(Libtorch::Given);
    }
    let folder = folder();
    let stamp = fs::read_to_string(folder.join("build-version")).unwrap_or_default();
    (stamp.trim() == VERSION).then_some(Libtorch::Fetched(folder))
}

/// What is there, or else fetches it. The folder appears whole; wheels that were complete when a run was ended are not fetched again.
///
/// # Errors
/// Says what is missing: agreement, disk, pip, the network.
pub(crate) fn provide(agreed: bool) -> Result<Libtorch, Failure> {
    if let Some(there) = present() {
        return Ok(there);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Err(format!("libtorch is fetched on x86-64 Linux with glibc only; {OTHER_WAYS}"));
    }
    let folder = folder();
    println!("libtorch {VERSION} for the processor: {DOWNLOAD_MB} MB to download with pip, {KEPT_MB} MB kept in {}", folder.display());
    if !agreed {
        ask()?;
    }
    let workshop = folder.with_extension("partial");
    fetch(&folder, &workshop).map_err(|failure| format!("{failure}\n  {OTHER_WAYS}"))?;
    Ok(Libtorch::Fetched(folder))
}

/// Also where `search/supernet/.cargo/config.toml` looks, so it does not follow `CARGO_TARGET_DIR`.
fn folder() -> PathBuf {
    process::root().join("target/libtorch")
}

fn ask() -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err("nobody to ask: agree with `cargo xtask libtorch --yes`".into());
    }
    print!("go on? [y/N] ");
    // The question is seen or not; the answer counts.
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| error.to_string())?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err("nothing was downloaded".into()) }
}

fn fetch(folder: &Path, workshop: &Path) -> Result<(), Failure> {
    let wheels = workshop.join("wheels");
    let unpacked = workshop.join("libtorch");
    // pip fills this before it moves a wheel to its place.
    let temporary = workshop.join("tmp");
    for left_over in [&unpacked, &unpacked.with_extension("old"), &temporary] {
        if left_over.exists() {
            fs::remove_dir_all(left_over).map_err(failed(left_over))?;
        }
    }
    for new in [&wheels, &temporary] {
        fs::create_dir_all(new).map_err(failed(new))?;
    }
    check_disk(workshop, megabytes(&wheels))?;

    let python = python::with_pip(&workshop.join("venv"))?;
    let requirements = workshop.join("requirements.txt");
    for requirement in REQUIREMENTS.lines() {
        fs::write(&requirements, requirement).map_err(failed(&requirements))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "download"]).args(PLATFORM).arg("--dest").arg(&wheels).arg("--requirement").arg(&requirements);
        // Versions of pip that can resume a broken download do so.
        pip.env("TMPDIR", &temporary).env("PIP_RESUME_RETRIES", "9");
        process::run(&mut pip).map_err(|failure| {
            format!("{failure}\n  pip says above why: is the package index reachable, and is there room? What came whole is kept for the next try")
        })?;
    }
    let mut files: Vec<PathBuf> = fs::read_dir(&wheels).map_err(failed(&wheels))?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    println!("unpacking");
    let script = workshop.join("extract.py");
    fs::write(&script, include_str!("extract.py")).map_err(failed(&script))?;
    process::run(Command::new(&python).arg(&script).arg(&unpacked).args(&files))?;
    let library = unpacked.join("lib/libtorch.so");
    fs::write(&library, LINKER_SCRIPT).map_err(failed(&library))?;
    let stamp = unpacked.join("build-version");
    fs::write(&stamp, VERSION).map_err(failed(&stamp))?;
    replace(&unpacked, folder)?;
    // All of it is a copy of what is now in place.
    let _ = fs::remove_dir_all(workshop);
    Ok(())
}

/// Moves `new` to `folder`, over an older version.
fn replace(new: &Path, folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        let old = new.with_extension("old");
        fs::rename(folder, &old).map_err(failed(folder))?;
    }
    fs::rename(new, folder).map_err(failed(folder))
}

/// The failure of a file operation at `path`.
fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let shown = path.display().to_string();
    move |error| format!("{shown}: {error}")
}

fn megabytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len() / 1_000_000).sum()
}

/// Refuses before the download what would break in the middle of it.
fn check_disk(folder: &Path, there_mb: u64) -> Result<(), Failure> {
    let listing = process::output(Command::new("df").args(["-P", "-k"]).arg(folder)).unwrap_or_default();
    let needed_mb = DISK_MB.saturating_sub(there_mb);
    match free_kib(&listing).map(|kib| kib * 1024 / 1_000_000) {
        Some(free_mb) if free_mb < needed_mb => {
            Err(format!("{}: {needed_mb} MB of disk are needed, {free_mb} MB are free", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The available kibibytes in the output of `df -P -k FOLDER`.
fn free_kib(listing: &str) -> Option<u64> {
    listing.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_disk_is_read() {
        let listing = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 263174212 64488980 31250000 68% /";
        assert_eq!(free_kib(listing), Some(31_250_000));
        assert_eq!(free_kib("df: no such folder"), None);
        assert!(check_disk(Path::new("/"), DISK_MB).is_ok());
    }

    #[test]
    fn every_wheel_is_pinned_by_digest() {
        assert!(
            REQUIREMENTS.lines().all(|line| line.contains("==") && line.split("--hash=sha256:").nth(1).is_some_and(|it| it.len() == 64))
        );
        assert!(REQUIREMENTS.starts_with(&format!("torch=={VERSION} ")));
    }

    #[test]
    fn a_new_version_replaces_an_old_one() {
        let workshop = std::env::temp_dir().join(format!("apq-libtorch-{}", std::process::id()));
        let (new, folder) = (workshop.join("partial/libtorch"), workshop.join("libtorch"));
        for (path, version) in [(&new, "new"), (&folder, "old")] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("build-version"), version).unwrap();
        }
        replace(&new, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("build-version")).unwrap(), "new");
        fs::remove_dir_all(&workshop).unwrap();
    }
}
