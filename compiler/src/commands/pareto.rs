//! `apqc pareto`: the whole trade-off curve as table, CSV, JSON and plot.

use std::path::PathBuf;

use apq_search::Quantity;
use apqc::pareto::{CurveOptions, Merit, pareto as trace};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::Context;
use super::choices::at_least_two;
use super::failure::{Exit, input_with_hint, unsupported};
use super::inputs::beside;
use super::request::RequestArgs;
use super::supernet::{self, SupernetFlags};
use super::supernet_front;
use crate::report::{curve, files};

/// Evaluates the whole trade-off curve and writes it as table, CSV, JSON and plot.
///
/// Of a supernet it is the front of predicted accuracy against latency, energy and flash; points along --cost are checked for real.
/// Budgets mark the points that meet them. With --assign-by exact the assignments of least noise at the same costs are evaluated too.
#[derive(Debug, Args)]
pub(crate) struct ParetoArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// What falls along the curve [default: bops; of a supernet latency, where it is modelled].
    #[arg(long, value_enum, help_heading = "Curve")]
    cost: Option<CostAxis>,
    /// What it is held against [default: sqnr]. Of a supernet it is accuracy.
    #[arg(long, value_enum, help_heading = "Curve")]
    quality: Option<MeritAxis>,
    /// Points evaluated on each curve, at most.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = at_least_two, help_heading = "Curve")]
    points: usize,
    #[command(flatten)]
    supernet: SupernetFlags,
    /// Output directory [default: MODEL.pareto.d].
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace an output directory that is there.
    #[arg(long)]
    force: bool,
}

/// A cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CostAxis {
    /// Bit operations, relative to w8a16.
    Bops,
    /// Of one inference.
    Latency,
    /// Of one inference.
    Energy,
    /// The file.
    Flash,
    /// The arena.
    Ram,
}

impl From<CostAxis> for Quantity {
    fn from(cost: CostAxis) -> Quantity {
        match cost {
            CostAxis::Bops => Quantity::Bops,
            CostAxis::Latency => Quantity::Latency,
            CostAxis::Energy => Quantity::Energy,
            CostAxis::Flash => Quantity::Flash,
            CostAxis::Ram => Quantity::Ram,
        }
    }
}

/// What a network is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MeritAxis {
    /// Against the float network over the calibration samples.
    Sqnr,
    /// On the labelled samples.
    Accuracy,
    /// Share of calibration samples with the float network's top class.
    Agreement,
}

impl From<MeritAxis> for Merit {
    fn from(quality: MeritAxis) -> Merit {
        match quality {
            MeritAxis::Sqnr => Merit::Sqnr,
            MeritAxis::Accuracy => Merit::Accuracy,
            MeritAxis::Agreement => Merit::Agreement,
        }
    }
}

/// The command.
pub(crate) fn pareto(context: &Context, args: &ParetoArgs) -> anyhow::Result<Exit> {
    let directory = args.output.clone().unwrap_or_else(|| beside(&args.request.model, ".pareto.d"));
    files::check_destination(&directory, args.force)?;
    if let Some(supernet) = supernet::supernet(&args.request.model)? {
        let ParetoArgs { request, supernet: flags, cost, quality, points, force, .. } = args;
        if quality.is_some() {
            return Err(input_with_hint(
                "--quality is for ordinary networks; the front of a supernet is of predicted accuracy",
                "leave --quality out",
            ));
        }
        let asked =
            supernet_front::Asked { request, flags, cost: cost.map(Quantity::from), points: *points, directory: &directory, force: *force };
        return supernet_front::pareto(context, &asked, &supernet);
    }
    args.supernet.refuse(false)?;
    let request = args.request.load(context, None)?;
    let (cost, quality) = (args.cost.unwrap_or(CostAxis::Bops), args.quality.unwrap_or(MeritAxis::Sqnr));
    let options = CurveOptions { cost: cost.into(), merit: quality.into(), points_max: args.points };
    let model = request.choice.cost_model();
    if model.is_none() && matches!(cost, CostAxis::Latency | CostAxis::Energy) {
        return Err(unsupported(
            format!("--cost {}: target `{}` has no model of it, it counts bit operations only", options.cost, request.choice.target.name()),
            "use --cost bops, flash or ram; or --target bitfusion; or give a lookup table with --lut FILE",
        ));
    }
    let has_labels = request.labelled().is_some_and(|samples| samples.labels().is_some());
    if quality == MeritAxis::Accuracy && !has_labels {
        return Err(input_with_hint("--quality accuracy needs labelled samples, and there are none", "give --data PATH with labels"));
    }
    let lists = request.lists(context);
    let drawer = context.console.progress();
    let found = trace(
        &request.network,
        &request.choice.target,
        model.as_deref(),
        &request.data(),
        &request.options,
        &options,
        (&*lists, &request.list_prefix()),
        &drawer,
    )
    .map_err(|error| request.explain(error))?;
    drawer.finish();

    let report = curve::build(&found, &request, &options);
    let mut manifest = request.manifest(context, &args.request);
    manifest.flags.insert("cost".into(), json!(options.cost.name()));
    manifest.flags.insert("quality".into(), json!(curve::merit_name(options.merit)));
    manifest.flags.insert("points".into(), json!(args.points));
    let written = [
        ("pareto.json", files::json(&report)?),
        ("pareto.csv", curve::csv(&report)?),
        ("pareto.svg", curve::plot(&report).svg().into_bytes()),
    ];
    files::write_all(&directory, args.force, &written, &manifest)?;
    context.console.result(&report, || curve::summary(&report, &directory, context.console.quiet))?;
    Ok(if report.feasible { Exit::Done } else { Exit::NotMet })
}
