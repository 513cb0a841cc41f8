//! Supernets and search spaces as files.

use std::path::Path;

use anyhow::Context as _;
use apq_onnx::supernet::Supernet;
use apq_search::space::Space;
use apq_supernet::checkpoint;
use apq_supernet::files::hexadecimal;
use apq_supernet::recipe::State;
use sha2::{Digest, Sha256};

use super::failure::{input, input_with_hint};

/// Largest file that is read as a supernet or a space.
const BYTES_MAX: u64 = 1 << 30;

/// A search space, and where it came from a supernet's ONNX file, the SHA-256 of that file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) space: Space,
    pub(super) supernet: Option<String>,
}

/// The space of that name; or in a file: one in JSON, that of a supernet's ONNX file, or that of a checkpoint.
pub(super) fn read_space(path: &Path) -> anyhow::Result<Found> {
    if let Some(space) = path.to_str().and_then(Space::preset) {
        return Ok(Found { space, supernet: None });
    }
    let shown = path.display();
    if !path.exists() {
        return Err(input(format!("`{shown}` is neither a file nor a search space that is built in ({})", Space::PRESETS.join(", "))));
    }
    let (space, supernet) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => (serde_json::from_slice(&read(path)?).with_context(|| format!("{shown} is no search space"))?, None),
        Some("onnx") => {
            let (supernet, sha256) = read_supernet(path)?;
            (supernet.space().clone(), Some(sha256))
        }
        _ => {
            check_size(path)?;
            (checkpoint::read::<State>(path)?.state.space, None)
        }
    };
    space.check().with_context(|| shown.to_string())?;
    Ok(Found { space, supernet })
}

/// A supernet's ONNX file, and its SHA-256.
pub(super) fn read_supernet(path: &Path) -> anyhow::Result<(Supernet, String)> {
    let bytes = read(path)?;
    let found = apq_onnx::supernet::read(&bytes).with_context(|| path.display().to_string())?;
    let ordinary =
        || input_with_hint(format!("{} is an ordinary network, not a supernet", path.display()), "`apqc-train export` writes one");
    Ok((found.ok_or_else(ordinary)?, hexadecimal(&Sha256::digest(&bytes))))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    check_size(path)?;
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn check_size(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    if size > BYTES_MAX {
        return Err(input(format!("{shown} has {size} bytes; a supernet has at most {BYTES_MAX}")));
    }
    Ok(())
}
