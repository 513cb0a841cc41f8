//! `apqc compile` on a supernet: the design that is best under the budgets, cut out, measured anew, quantized and lowered.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use apq_lut::CostModel;
use apq_onnx::supernet::Supernet;
use apq_search::Quantity;
use apq_search::evolution::Smallest;
use apq_search::predictor::Predictor;
use apq_search::space::DesignCosts;
use apqc::compile::{Compiled, Options, compile as compile_network};
use apqc::data::Dataset;
use apqc::supernet::{Bench, Checked, Extracted, Judges, PredictorFacts, best, check_nodes, read_predictor};
use clap::Args;
use serde_json::json;

use super::Context;
use super::choices::at_least_one;
use super::console::Drawer;
use super::failure::{Exit, input, input_with_hint};
use super::inputs::{self, InputFile, Origin, beside};
use super::request::{Request, RequestArgs};
use super::supernet_search::{Searched, search};
use crate::report::supernet::{DesignFile, RefinedReport, SupernetReport, build as build_section};
use crate::report::{self, CalibrationReport, Facts, budget_name, files, in_unit, tables};
use crate::units::human_bytes;

/// Flags that only a supernet has a use for.
#[derive(Debug, Args)]
pub(super) struct SupernetFlags {
    /// Of a supernet: its accuracy predictor [default: MODEL.predictor].
    #[arg(long, value_name = "FILE", help_heading = "Supernets")]
    predictor: Option<PathBuf>,
    /// Of a supernet: iterations of the evolution.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = at_least_one, help_heading = "Supernets")]
    pub(super) iterations: usize,
}

impl SupernetFlags {
    /// Refuses flags that an ordinary network has no use for.
    pub(super) fn refuse(&self, refine: bool) -> anyhow::Result<()> {
        match [("--predictor", self.predictor.is_some()), ("--refine", refine)].into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(input_with_hint(
                format!("{flag} is for supernets; this model is an ordinary network"),
                "a supernet has `apq.supernet` among its metadata: docs/supernet.md",
            )),
            None => Ok(()),
        }
    }
}

/// What `compile` was asked.
pub(super) struct Asked<'a> {
    pub(super) request: &'a RequestArgs,
    pub(super) flags: &'a SupernetFlags,
    pub(super) refine: bool,
    /// Designs that are checked for real.
    pub(super) designs: usize,
    pub(super) directory: &'a Path,
    pub(super) force: bool,
}

/// The supernet in a file, `None` where it is something else; what is no ONNX file is for others to refuse.
pub(super) fn supernet(path: &Path) -> anyhow::Result<Option<Supernet>> {
    match apq_onnx::supernet::read(&inputs::read(path)?) {
        Ok(found) => Ok(found),
        Err(apq_onnx::supernet::SupernetError::NotOnnx(_)) => Ok(None),
        Err(error) => Err(anyhow::Error::from(error).context(path.display().to_string())),
    }
}

/// A supernet with its costs and its predictor, read and checked.
pub(super) struct Subject {
    pub(super) request: Request,
    pub(super) costs: DesignCosts,
    pub(super) predictor: Predictor,
    pub(super) facts: PredictorFacts,
}

impl Subject {
    pub(super) fn load(context: &Context, args: &RequestArgs, flags: &SupernetFlags, supernet: &Supernet) -> anyhow::Result<Subject> {
        let mut request = args.load_supernet(context)?;
        if matches!(request.calibration.origin, Origin::Drawn) {
            return Err(input_with_hint(
                format!(
                    "{} is a supernet: the norms of its subnets have to be measured on images of its task, and there are none",
                    args.model.display()
                ),
                format!("give --calib PATH, or put {} beside it", beside(&args.model, ".calib.npz").display()),
            ));
        }
        let space = supernet.space();
        let path = flags.predictor.clone().unwrap_or_else(|| beside(&args.model, ".predictor"));
        if flags.predictor.is_none() && !path.is_file() {
            return Err(input_with_hint(
                format!("{} is a supernet without a predictor of accuracy: there is no {}", args.model.display(), path.display()),
                "give --predictor FILE; `apqc dataset sample` and `apqc-train predictor` make one",
            ));
        }
        let bytes = inputs::read(&path)?;
        let (predictor, facts) = read_predictor(&bytes, space).with_context(|| path.display().to_string())?;
        request.files.push(InputFile::new("predictor", &path, &bytes));
        let model = request.choice.cost_model();
        let costs = DesignCosts::new(space, &request.choice.target, model.as_deref())
            .with_context(|| format!("target `{}` cannot run this supernet", request.choice.target.name()))?;
        drop(model);
        if let Some(difference) = check_nodes(supernet, &request.network, &request.data())? {
            return Err(input_with_hint(
                format!(
                    "{}: its nodes do not compute the largest network of its search space: outputs differ by {difference}",
                    args.model.display()
                ),
                "docs/supernet.md says which nodes belong to a search space",
            ));
        }
        request.options.candidates = space.candidates.clone();
        if !request.options.candidates.contains(&space.fixed) {
            request.options.candidates.push(space.fixed);
        }
        let subject = Subject { request, costs, predictor, facts };
        if let Some(samples) = subject.validation() {
            apqc::prepare::check_samples(&subject.request.network, samples)?;
        }
        Ok(subject)
    }

    pub(super) fn judges(&self, seed: u64, iterations: usize) -> Judges<'_> {
        Judges {
            costs: &self.costs,
            predictor: &self.predictor,
            budgets: &self.request.options.budgets,
            seed,
            iterations,
            arena_scale: None,
        }
    }

    /// Samples on which designs are compared.
    pub(super) fn validation(&self) -> Option<&Dataset> {
        let labelled = self.request.options.search.task.labelled.as_deref().unwrap_or(&self.request.calibration.data);
        Some(labelled).filter(|samples| samples.labels().is_some())
    }

    /// What a reader should know about the data and the predictor.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.request.notes();
        if self.request.decides_on_test() {
            notes.push("designs were compared on the test samples, which so no longer tell how good the result is".into());
        }
        let own = self.request.files.iter().find(|file| file.role == "model").map(|file| &file.sha256);
        if self.facts.supernet.as_ref().is_some_and(|learned_from| Some(learned_from) != own) {
            notes.push("the predictor learned from another supernet of this space: its order of designs may not hold here".into());
        }
        notes
    }

    pub(super) fn bench<'a>(&'a self, supernet: &'a Supernet) -> Bench<'a> {
        let request = &self.request;
        Bench::new(supernet, &request.choice.target, request.data(), self.validation(), &request.options, request.network.macs)
    }
}

/// The command on a supernet.
pub(super) fn compile(context: &Context, asked: &Asked<'_>, supernet: &Supernet) -> anyhow::Result<Exit> {
    let subject = Subject::load(context, asked.request, asked.flags, supernet)?;
    let drawer = context.console.progress();
    let bench = subject.bench(supernet);
    let judges = subject.judges(context.seed, asked.flags.iterations);
    let ram = subject.request.options.budgets.iter().find(|budget| budget.quantity == Quantity::Ram);
    let searched = search(judges, &bench, asked.designs, ram, &drawer)?;
    let chosen = best(&searched.checked).ok_or_else(|| input("the search proposed no design"))?;

    let found = Found { subject: &subject, bench: &bench, searched: &searched, chosen };
    let mut section = found.section(supernet);
    (section.seconds.search, section.seconds.check) = searched.seconds;
    finish(context, asked, &found, section, &drawer)
}

/// The result of the search.
struct Found<'a> {
    subject: &'a Subject,
    bench: &'a Bench<'a>,
    searched: &'a Searched,
    chosen: usize,
}

impl Found<'_> {
    fn winner(&self) -> &Checked {
        &self.searched.checked[self.chosen]
    }

    /// The smallest arena of the designs that were lowered, where none of them meets the budgets.
    fn least_arena(&self) -> Option<u64> {
        let checked = &self.searched.checked;
        checked.iter().map(|one| one.trial.ram_bytes).min().filter(|_| checked.iter().all(|one| !one.feasible))
    }

    fn section(&self, supernet: &Supernet) -> SupernetReport {
        let validation =
            self.subject.validation().map(|samples| CalibrationReport { source: samples.source().into(), samples: samples.len() });
        build_section(
            supernet.space(),
            (self.searched.evaluations, self.searched.discarded),
            (&self.searched.checked, self.chosen),
            self.subject.facts.clone(),
            validation,
            self.subject.request.network.macs,
        )
    }

    fn compile(&self, extracted: &Extracted, options: &Options, drawer: &Drawer) -> anyhow::Result<Compiled> {
        let request = &self.subject.request;
        let model: Option<Box<dyn CostModel + '_>> = request.choice.cost_model();
        let (target, data) = (&request.choice.target, request.data());
        compile_network(&extracted.network, target, model.as_deref(), &data, options, (&(), ""), drawer)
            .map_err(|error| request.explain(error))
    }

    /// The subnet at the widths of the sensitivity list, where that is no worse.
    fn refined(&self, extracted: &Extracted, drawer: &Drawer) -> anyhow::Result<(RefinedReport, Option<(Compiled, Options)>)> {
        let compiled = self.compile(extracted, &self.subject.request.options, drawer)?;
        let mut options = self.subject.request.options.clone();
        options.search.assignment = Some(compiled.assignment.clone());
        let trial = self.bench.try_assigned(extracted, &options)?;
        let winner = self.winner();
        // Without labels nothing says that it is no worse.
        let no_worse = trial.accuracy.zip(winner.trial.accuracy).is_some_and(|(own, searched)| own >= searched);
        let kept = no_worse && (compiled.feasible || !winner.feasible);
        Ok((RefinedReport { accuracy: trial.accuracy, kept }, kept.then_some((compiled, options))))
    }

    /// What a reader should know.
    fn notes(&self, extracted: &Extracted) -> Vec<String> {
        let request = &self.subject.request;
        let mut notes = self.subject.notes();
        match self.subject.validation() {
            None => notes
                .push("no labels: the design with the highest prediction was taken; --search-data FILE compares designs for real".into()),
            Some(_) if request.options.search.task.labelled.is_none() => {
                notes.push("designs were compared on the calibration samples; --search-data FILE names other labelled samples".into());
            }
            Some(_) => {}
        }
        let checked = &self.searched.checked;
        if let Some(smallest) = &self.searched.smallest {
            notes.push(format!("no design of the supernet meets the budgets{}", listed(smallest)));
        } else if let Some(least) = self.least_arena() {
            notes.push(format!(
                "none of the {} designs that were lowered meets the budgets; their smallest arena: {}",
                checked.len(),
                human_bytes(least)
            ));
        }
        let (own, largest) = (extracted.network.graph.total_macs(), request.network.macs);
        notes.push(format!("r is relative to the largest network of the supernet: {own} of {largest} multiply-accumulates are left"));
        notes
    }
}

/// The least that designs cost, beside the budgets.
fn listed(smallest: &[Smallest]) -> String {
    let one = |Smallest { budget, value }: &Smallest| {
        let shown = |value| in_unit(budget.quantity, value);
        format!("{} {} (budget {})", budget_name(budget.quantity), shown(*value), shown(budget.limit))
    };
    let all = smallest.iter().map(one).collect::<Vec<_>>().join(", ");
    if all.is_empty() { all } else { format!("; the smallest for each alone: {all}") }
}

/// Compiles the chosen design and writes everything.
fn finish(context: &Context, asked: &Asked<'_>, found: &Found<'_>, mut section: SupernetReport, drawer: &Drawer) -> anyhow::Result<Exit> {
    let request = &found.subject.request;
    let design = &found.winner().proposal.design;
    let extracted = found.bench.extract(&design.architecture)?;
    let mut refined = None;
    if asked.refine {
        let start = Instant::now();
        let (report, result) = found.refined(&extracted, drawer)?;
        section.seconds.refine = start.elapsed().as_secs_f64();
        section.refined = Some(report);
        refined = result;
    }
    let is_refined = refined.is_some();
    let (compiled, options) = match refined {
        Some(result) => result,
        None => {
            let options = found.bench.options(&extracted.network, &design.policy)?;
            (found.compile(&extracted, &options, drawer)?, options)
        }
    };
    drawer.finish();

    let facts = Facts {
        network: &extracted.network,
        target: &request.choice.target,
        calibration_source: request.calibration.data.source(),
        calibration_samples: request.calibration.data.len(),
        budgets: &options.budgets,
        metric: request.list_metric(),
        output_bits: options.output_bits,
        notes: found.notes(&extracted),
    };
    let mut report = report::build(&compiled, facts);
    let of_arenas = found.least_arena().zip(options.budgets.iter().find(|budget| budget.quantity == Quantity::Ram));
    let of_arenas = of_arenas.map(|(value, budget)| Smallest { budget: *budget, value });
    for Smallest { budget, value } in found.searched.smallest.iter().flatten().chain(&of_arenas) {
        let of_budget = |one: &&mut crate::report::BudgetReport| one.name == budget_name(budget.quantity) && !one.met;
        if let Some(stated) = report.budgets.iter_mut().find(of_budget) {
            stated.smallest_found = Some(in_unit(budget.quantity, *value));
        }
    }
    let file = DesignFile {
        schema: "apq-design-1",
        space: &section.space,
        fingerprint: section.fingerprint.clone(),
        architecture: &design.architecture,
        policy: (!is_refined).then_some(&design.policy),
    };
    let more = vec![("subnet.onnx", extracted.onnx.clone()), ("design.json", files::json(&file)?)];
    report.supernet = Some(section);
    let mut manifest = request.manifest(context, asked.request);
    manifest.flags.insert("designs".into(), json!(asked.designs));
    manifest.flags.insert("iterations".into(), json!(asked.flags.iterations));
    manifest.flags.insert("refine".into(), json!(asked.refine));
    files::write(asked.directory, asked.force, (&compiled, &report), more, &manifest)?;
    context.console.result(&report, || tables::summary(&report, &request.choice.target, asked.directory, false, context.console.quiet))?;
    Ok(if compiled.feasible { Exit::Done } else { Exit::NotMet })
}
