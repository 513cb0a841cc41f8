//! `apqc-train predictor`.

use clap::Args;

use super::Context;
use super::failure::unsupported;

/// Predictor.
#[derive(Debug, Args)]
pub(crate) struct PredictorArgs {}

pub(crate) fn run(_context: &Context, _args: &PredictorArgs) -> anyhow::Result<()> {
    Err(unsupported("this build does not have `apqc-train predictor`", ""))
}
