//! `apqc compile`: from an ONNX model to an output directory.

use std::path::PathBuf;

use apqc::compile::compile as compile_network;
use apqc::prune::Outcome;
use clap::Args;

use super::Context;
use super::choices::at_least_one;
use super::failure::{Exit, input_with_hint};
use super::inputs::beside;
use super::prune;
use super::request::RequestArgs;
use super::supernet::{self, SupernetFlags};
use crate::report::pruning::PruningReport;
use crate::report::{self, Facts, files, tables};

/// Finds the best bit widths under the budgets, lowers the network, and writes the output directory.
#[derive(Debug, Args)]
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
    /// Of a supernet: let the sensitivity list find the bit widths of the chosen subnet, and keep them where they are no worse.
    #[arg(long, help_heading = "Supernets")]
    refine: bool,
    /// Of a supernet: designs that are checked for real.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one, help_heading = "Supernets")]
    designs: usize,
    #[command(flatten)]
    supernet: SupernetFlags,
}

/// The command.
pub(crate) fn compile(context: &Context, args: &CompileArgs) -> anyhow::Result<Exit> {
    let directory = args.output.clone().unwrap_or_else(|| beside(&args.request.model, ".apq.d"));
    files::check_destination(&directory, args.force)?;
    if let Some(supernet) = supernet::supernet(&args.request.model)? {
        if args.assign.is_some() {
            return Err(input_with_hint(
                "--assign takes the groups of one network; this is a supernet",
                "compile the subnet.onnx that `apqc compile` writes, with --assign",
            ));
        }
        if args.prune {
            return Err(input_with_hint(
                "--prune takes channels out of an ordinary network; the widths of a supernet are searched anyway",
                "leave --prune out",
            ));
        }
        let CompileArgs { request, refine, designs, supernet: flags, force, .. } = args;
        let asked = supernet::Asked { request, flags, refine: *refine, designs: *designs, directory: &directory, force: *force };
        return supernet::compile(context, &asked, &supernet);
    }
    args.supernet.refuse(args.refine)?;
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
        target,
        calibration_source: request.calibration.data.source(),
        calibration_samples: request.calibration.data.len(),
        budgets: &options.budgets,
        metric: request.list_metric(),
        output_bits: options.output_bits,
        notes: request.notes(),
    };
    let mut report = report::build(&compiled, facts);
    if let Some((_, pruning)) = &pruned {
        report.prunes(PruningReport::new(pruning, request.network.macs));
    }
    let mut manifest = request.manifest(context, &args.request);
    manifest.flags.insert("prune".into(), args.prune.into());
    files::write(&directory, args.force, (&compiled, &report), Vec::new(), &manifest)?;
    let from_cache = compiled.forward_passes == 0;
    context.console.result(&report, || tables::summary(&report, target, &directory, from_cache, context.console.quiet))?;
    Ok(if compiled.feasible { Exit::Done } else { Exit::NotMet })
}
