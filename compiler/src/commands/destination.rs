//! An output file: refused before the work, written whole or not at all.

use std::path::Path;

use anyhow::Context as _;

use super::failure::{input, input_with_hint};

/// Refuses a file that cannot be written, or that is there and may not be replaced.
pub(super) fn check(path: &Path, force: bool) -> anyhow::Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(input(format!("{shown} is a folder, not a file")));
    }
    if path.exists() && !force {
        return Err(input_with_hint(format!("{shown} is there already"), "to replace it: --force"));
    }
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => Err(input(format!("{shown}: there is no folder {}", folder.display()))),
        None => Ok(()),
    }
}

/// Writes a file that [`check`] still lets pass: others may have written it meanwhile.
pub(super) fn write(path: &Path, force: bool, text: &str) -> anyhow::Result<()> {
    check(path, force)?;
    let cannot = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file in a sibling folder gets the user's permissions, which a temporary file would not.
    let workshop = tempfile::Builder::new().prefix(".apqc-").tempdir_in(folder).with_context(cannot)?;
    let fresh = workshop.path().join("file");
    std::fs::write(&fresh, text).with_context(cannot)?;
    std::fs::rename(&fresh, path).with_context(cannot)
}
