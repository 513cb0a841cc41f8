//! `apqc compile`: from an ONNX model to an output directory.

use std::path::PathBuf;

use apqc::compile::compile as compile_network;
use apqc::prune::Outcome;
use clap::Args;

use super::Context;
use super::failure::Exit;
use super::inputs::beside;
use super::later::{AFTER_COMPILE_HELP, LaterFlags};
use super::prune;
use super::request::RequestArgs;
use crate::report::pruning::PruningReport;
use crate::report::{self, Facts, files, tables};

/// Finds the best bit widths under the budgets, lowers the network, and writes the output directory.
#[derive(Debug, Args)]
#[command(after_help = AFTER_COMPILE_HELP)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// Take these bit widths, as compile writes them, instead of searching.
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["candidates", "assign_by", "list"])]
    assign: Option<PathBuf>,
    /// Also take channels out, where that is worth more under the budgets than fewer bits alone.
    #[arg(long, conflicts_with_all = ["assign", "list"])]
    prune: bool,
    /// Output directory [default: MODEL.apq.d].
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace an output directory that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    later: LaterFlags,
}

/// The command.
pub(crate) fn compile(context: &Context, args: &CompileArgs) -> anyhow::Result<Exit> {
    args.later.refuse()?;
    let directory = args.output.clone().unwrap_or_else(|| beside(&args.request.model, ".apq.d"));
    files::check_destination(&directory, args.force)?;
    let request = args.request.load(context, args.assign.as_deref())?;

    let lists = request.lists(context);
    let drawer = context.console.progress();
    let model = request.choice.cost_model();
    let (target, options) = (&request.choice.target, &request.options);
    let (compiled, pruned) = if args.prune {
        let Outcome { compiled, network, pruning } = prune::compile(&request, &*lists, &drawer)?;
        (compiled, Some((network, pruning)))
    } else {
        let store = (&*lists, request.list_prefix());
        let compiled = compile_network(&request.network, target, model.as_deref(), &request.data(), options, (store.0, &store.1), &drawer)
            .map_err(|error| request.explain(error))?;
        (compiled, None)
    };
    drawer.finish();

    let facts = Facts {
        network: pruned.as_ref().and_then(|(network, _)| network.as_ref()).unwrap_or(&request.network),
        pruning: pruned.as_ref().map(|(_, pruning)| PruningReport::new(pruning, request.network.macs)),
        target,
        calibration_source: request.calibration.data.source(),
        calibration_samples: request.calibration.data.len(),
        budgets: &options.budgets,
        metric: request.list_metric(),
        output_bits: options.output_bits,
        notes: request.notes(),
    };
    let report = report::build(&compiled, facts);
    let mut manifest = request.manifest(context, &args.request);
    manifest.flags.insert("prune".into(), args.prune.into());
    files::write(&directory, args.force, &compiled, &report, &manifest)?;
    let from_cache = compiled.forward_passes == 0;
    context.console.result(&report, || tables::summary(&report, target, &directory, from_cache, context.console.quiet))?;
    Ok(if compiled.feasible { Exit::Done } else { Exit::NotMet })
}
