//! `apqc-train export`.

use clap::Args;

use super::Context;
use super::failure::unsupported;

/// Export.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {}

pub(crate) fn run(_context: &Context, _args: &ExportArgs) -> anyhow::Result<()> {
    Err(unsupported("this build does not have `apqc-train export`", ""))
}
