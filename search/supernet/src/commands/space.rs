//! The search space that a file is of.

use std::path::Path;

use anyhow::Context as _;
use apq_search::space::Space;
use apq_supernet::checkpoint;
use apq_supernet::shrinking::State;

use super::failure::{input, input_with_hint};

/// Largest file that is read as a supernet or a space.
const BYTES_MAX: u64 = 1 << 30;

/// The space of a supernet's ONNX file or of a checkpoint; or one in JSON; or that of a name.
pub(super) fn read_space(path: &Path) -> anyhow::Result<Space> {
    if !path.exists()
        && let Some(space) = path.to_str().and_then(Space::preset)
    {
        return Ok(space);
    }
    let shown = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    if size > BYTES_MAX {
        return Err(input(format!("{shown} has {size} bytes; a supernet has at most {BYTES_MAX}")));
    }
    let bytes = || std::fs::read(path).with_context(|| format!("cannot read {shown}"));
    let space = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => serde_json::from_slice(&bytes()?).with_context(|| format!("{shown} is no search space"))?,
        Some("onnx") => {
            let supernet = apq_onnx::supernet::read(&bytes()?).with_context(|| shown.to_string())?;
            let ordinary = || input_with_hint(format!("{shown} is an ordinary network, not a supernet"), "`apqc-train export` writes one");
            supernet.ok_or_else(ordinary)?.space().clone()
        }
        _ => checkpoint::read::<State>(path)?.state.space,
    };
    space.check().with_context(|| shown.to_string())?;
    Ok(space)
}
