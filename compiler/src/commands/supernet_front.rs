//! `apqc pareto` on a supernet: accuracy against latency, energy and flash in one run.

use std::path::Path;

use apq_onnx::supernet::Supernet;
use apq_search::Quantity;
use apq_search::evolution::{Domain, Scored, cheapest};
use apqc::compile::{Progress, Stage};
use apqc::supernet::Trial;
use serde_json::json;

use super::Context;
use super::failure::{Exit, unsupported};
use super::request::RequestArgs;
use super::supernet::{Subject, SupernetFlags};
use crate::report::front::{self, FrontPoint, FrontReport};
use crate::report::{CalibrationReport, SCHEMA, files};

/// What `pareto` was asked.
pub(super) struct Asked<'a> {
    pub(super) request: &'a RequestArgs,
    pub(super) flags: &'a SupernetFlags,
    /// The cost of the plot, along which points are checked for real; latency where nothing is said and it is modelled.
    pub(super) cost: Option<Quantity>,
    /// Points that are checked for real, at most.
    pub(super) points: usize,
    pub(super) directory: &'a Path,
    pub(super) force: bool,
}

/// The command on a supernet.
pub(super) fn pareto(context: &Context, asked: &Asked<'_>, supernet: &Supernet) -> anyhow::Result<Exit> {
    if asked.cost == Some(Quantity::Ram) {
        return Err(unsupported(
            "--cost ram: the arena of a design is known once it is lowered, which is too late for a front",
            "use --cost latency, energy, flash or bops; a point that was checked for real says its arena",
        ));
    }
    let subject = Subject::load(context, asked.request, asked.flags, supernet)?;
    let request = &subject.request;
    let drawer = context.console.progress();
    drawer.begin(Stage::Search, 0);
    let objectives: &[Quantity] = match request.choice.cost_model() {
        Some(_) => &[Quantity::Latency, Quantity::Energy, Quantity::Flash],
        None => &[Quantity::Bops, Quantity::Flash],
    };
    let domain = Domain::new(subject.costs.space(), subject.costs.choices())?;
    let modelled = |quantity: &Quantity| cheapest(&domain, &subject.costs, *quantity).is_some();
    let mut objectives: Vec<Quantity> = objectives.iter().copied().filter(modelled).collect();
    let cost = asked.cost.unwrap_or(if modelled(&Quantity::Latency) { Quantity::Latency } else { Quantity::Bops });
    if !modelled(&cost) {
        return Err(unsupported(
            format!("--cost {cost}: target `{}` has no model of it", request.choice.target.name()),
            "use --cost bops or flash; or --target bitfusion; or give a lookup table with --lut FILE",
        ));
    }
    // What the points are drawn along is one of the things that the front is about.
    if !objectives.contains(&cost) {
        objectives.push(cost);
    }
    let found = subject.judges(context.seed, asked.flags.iterations).front(&objectives)?;

    let chosen = spread(&found.points, cost, asked.points);
    let bench = subject.bench(supernet);
    drawer.begin(Stage::Check, chosen.len());
    let mut trials: Vec<Option<Trial>> = vec![None; found.points.len()];
    for index in chosen {
        trials[index] = Some(bench.try_out(&found.points[index].design)?);
        drawer.step();
    }
    drawer.finish();

    let macs = request.network.macs;
    let budgets = &request.options.budgets;
    let points: Vec<FrontPoint> =
        found.points.iter().zip(&trials).map(|(scored, trial)| FrontPoint::new(scored, trial.as_ref(), budgets, macs)).collect();
    let mut notes = subject.notes();
    let checked = trials.iter().flatten().count();
    notes.push(format!("{checked} of {} points were checked for real; --points N checks more", points.len()));
    if budgets.iter().any(|budget| budget.quantity == Quantity::Ram) {
        notes.push("whether a point meets the budget for RAM is known where it was checked; `apqc compile` searches under it".into());
    }
    let samples = |samples: &apqc::data::Dataset| CalibrationReport { source: samples.source().into(), samples: samples.len() };
    let report = FrontReport {
        schema: SCHEMA,
        target: request.choice.target.name().into(),
        space: supernet.space().name.clone(),
        fingerprint: supernet.space().fingerprint_text(),
        cost,
        feasible: points.iter().any(|point| point.feasible == Some(true)),
        calibration: samples(&request.calibration.data),
        validation: subject.validation().map(samples),
        predictor: subject.facts.clone(),
        notes,
        evaluations: found.evaluations,
        points,
    };
    let mut manifest = request.manifest(context, asked.request);
    manifest.flags.insert("cost".into(), json!(cost.name()));
    manifest.flags.insert("points".into(), json!(asked.points));
    manifest.flags.insert("iterations".into(), json!(asked.flags.iterations));
    let written = [
        ("pareto.json", files::json(&report)?),
        ("pareto.csv", front::csv(&report)?),
        ("pareto.svg", front::plot(&report).svg().into_bytes()),
    ];
    files::write_all(asked.directory, asked.force, &written, &manifest)?;
    context.console.result(&report, || front::summary(&report, asked.directory, context.console.quiet))?;
    Ok(if report.feasible { Exit::Done } else { Exit::NotMet })
}

/// At most `count` points: for even steps of the cost, the one with the highest prediction of those that cost no more.
fn spread(points: &[Scored], cost: Quantity, count: usize) -> Vec<usize> {
    let costs: Vec<u64> = points.iter().map(|point| point.totals.get(cost).unwrap_or(0)).collect();
    let (Some(least), Some(most)) = (costs.iter().min(), costs.iter().max()) else { return Vec::new() };
    let limit = |step: usize| *least as f64 + (*most - *least) as f64 * step as f64 / count.saturating_sub(1).max(1) as f64;
    // Points come with the highest prediction first.
    let within = |step: usize| costs.iter().position(|cost| *cost as f64 <= limit(step) + 0.5);
    let mut chosen: Vec<usize> = (0..count).filter_map(within).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}
