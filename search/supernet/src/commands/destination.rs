//! Output files, refused before the work.

use std::path::Path;

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
