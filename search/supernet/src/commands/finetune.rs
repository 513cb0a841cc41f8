//! `apqc-train finetune`.

use clap::Args;

use super::Context;
use super::failure::unsupported;

/// Finetune.
#[derive(Debug, Args)]
pub(crate) struct FinetuneArgs {}

pub(crate) fn run(_context: &Context, _args: &FinetuneArgs) -> anyhow::Result<()> {
    Err(unsupported("this build does not have `apqc-train finetune`", ""))
}
