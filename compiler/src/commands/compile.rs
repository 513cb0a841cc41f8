//! `apqc compile`: from an ONNX model to an output directory.

use std::path::PathBuf;

use apqc::compile::compile as compile_network;
use clap::Args;

use super::Context;
use super::choices::at_least_one;
use super::failure::{Exit, input_with_hint};
use super::inputs::beside;
use super::later::{AFTER_COMPILE_HELP, LaterFlags};
use super::request::RequestArgs;
use super::supernet::{self, SupernetFlags};
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
    #[command(flatten)]
    later: LaterFlags,
}

/// The command.
pub(crate) fn compile(context: &Context, args: &CompileArgs) -> anyhow::Result<Exit> {
    args.later.refuse()?;
    let directory = args.output.clone().unwrap_or_else(|| beside(&args.request.model, ".apq.d"));
    files::check_destination(&directory, args.force)?;
    if let Some(supernet) = supernet::supernet(&args.request.model)? {
        if args.assign.is_some() {
            return Err(input_with_hint(
                "--assign takes the groups of one network; this is a supernet",
                "compile the subnet.onnx that `apqc compile` writes, with --assign",
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
    let (network, target, options) = (&request.network, &request.choice.target, &request.options);
    let compiled = compile_network(network, target, model.as_deref(), &request.data(), options, (&*lists, &request.list_prefix()), &drawer)
        .map_err(|error| request.explain(error))?;
    drawer.finish();

    let facts = Facts {
        network,
        target,
        calibration_source: request.calibration.data.source(),
        calibration_samples: request.calibration.data.len(),
        budgets: &options.budgets,
        metric: request.list_metric(),
        output_bits: options.output_bits,
        notes: request.notes(),
    };
    let report = report::build(&compiled, facts);
    files::write(&directory, args.force, (&compiled, &report), Vec::new(), &request.manifest(context, &args.request))?;
    let from_cache = compiled.forward_passes == 0;
    context.console.result(&report, || tables::summary(&report, target, &directory, from_cache, context.console.quiet))?;
    Ok(if compiled.feasible { Exit::Done } else { Exit::NotMet })
}
