//! Where the published table is.

use std::path::PathBuf;

use apq_lut::{Table, import_published};

/// The published table, or `None` and a line that says so where it is absent; with `CI=true` that fails. `APQ_DATA` names the
/// folder; without it, `../shared/data` beside the workspace.
pub(crate) fn published() -> Option<Table> {
    let folder =
        std::env::var_os("APQ_DATA").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join("apq_bitfusion_b1.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is not there", path.display());
        println!("skipped: {} is not there", path.display());
        return None;
    };
    Some(import_published(&text).expect("the published table is legal"))
}
