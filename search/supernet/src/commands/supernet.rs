//! `apqc-train supernet`.

use clap::Args;

use super::Context;
use super::failure::unsupported;

/// Supernet.
#[derive(Debug, Args)]
pub(crate) struct SupernetArgs {}

pub(crate) fn run(_context: &Context, _args: &SupernetArgs) -> anyhow::Result<()> {
    Err(unsupported("this build does not have `apqc-train supernet`", ""))
}
