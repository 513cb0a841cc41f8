//! `apqc search compare`: joint search against its baselines on one supernet, at several budgets.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use apq_onnx::supernet::Supernet;
use apq_search::evolution::{Domain, Options, SearchError, cheapest, widest_largest};
use apq_search::{Budget, Quantity};
use apqc::compare::{CompareError, Contest, FixedArchitectures, Method, Winner, Workbench, winners};
use apqc::cost::REFERENCE_BITS;
use apqc::data::Dataset;
use apqc::dataset::Quantization;
use apqc::lower::RawInput;
use apqc::prepare::raw_type;
use apqc::quant::rounding::Rounding;
use apqc::supernet::{Images, read_predictor};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Context;
use super::choices::at_least_one;
use super::console::Drawer;
use super::failure::{Exit, input, input_with_hint};
use super::inputs::{self, InputFile, beside};
use super::request::RequestArgs;
use super::supernet::{self, Subject, SupernetFlags};
use crate::report::compare::{CompareReport, Seconds, csv, plots, rows, summary};
use crate::report::{CalibrationReport, SCHEMA, files, in_unit};
use crate::units;

/// Searches on a supernet.
#[derive(Debug, Subcommand)]
pub(crate) enum SearchCommand {
    Compare(Box<CompareArgs>),
}

/// Compares joint search with sequential and random search, fixed architectures and fixed bit widths, at several budgets.
///
/// Every result is checked for real: cut out, measured anew, quantized, and run as integers on the samples of --search-data, or else the calibration
/// samples; the test samples only report. Budgets such as --latency hold beside each of those that are compared at.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    supernet: SupernetFlags,
    /// A predictor that was trained without transfer, to search with as well.
    #[arg(long, value_name = "FILE", help_heading = "Supernets")]
    scratch: Option<PathBuf>,
    /// Budgets to compare at: latency:0.1ms,0.2ms or energy:... or bops:..., or latency:auto for five between the cheapest design and the largest at
    /// 8 bits; several times for several quantities [default: latency:auto, or bops:auto where the target has no latencies].
    #[arg(long, value_name = "QUANTITY:LIST", value_parser = budgets, num_args = 1.., help_heading = "Comparison")]
    budgets: Vec<Budgets>,
    /// Searches of each kind, with seeds from --seed on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000), help_heading = "Comparison")]
    seeds: u64,
    /// Designs of each search that are checked for real, at most.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_one, help_heading = "Comparison")]
    finalists: usize,
    /// Output directory [default: MODEL.compare.d].
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace an output directory that is there.
    #[arg(long)]
    force: bool,
}

/// Budgets of one quantity.
#[derive(Debug, Clone, PartialEq)]
enum Budgets {
    /// To be chosen.
    Auto(Quantity),
    /// As stated.
    Stated(Quantity, Vec<units::Bops>),
}

fn budgets(text: &str) -> Result<Budgets, String> {
    const FORM: &str = "latency:0.1ms,0.2ms, energy:1mJ, bops:0.1,20M, or latency:auto";
    let (name, list) = text.split_once(':').ok_or(FORM)?;
    let known = [Quantity::Latency, Quantity::Energy, Quantity::Bops];
    let quantity = known.into_iter().find(|quantity| quantity.name() == name).ok_or(FORM)?;
    if list == "auto" {
        return Ok(Budgets::Auto(quantity));
    }
    let value = |text: &str| match quantity {
        Quantity::Latency => units::nanoseconds(text).map(units::Bops::Absolute),
        Quantity::Energy => units::picojoules(text).map(units::Bops::Absolute),
        _ => units::bops(text),
    };
    let values = list.split(',').map(value).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Budgets::Stated(quantity, values))
}

/// Where automatic budgets lie between the cheapest design, 0, and the largest one at 8 bits, 1, on a logarithmic scale.
const AUTOMATIC: [f64; 5] = [0.2, 0.35, 0.5, 0.65, 0.8];

/// The command.
pub(crate) fn search(context: &Context, command: &SearchCommand) -> anyhow::Result<Exit> {
    let SearchCommand::Compare(args) = command;
    let directory = args.output.clone().unwrap_or_else(|| beside(&args.request.model, ".compare.d"));
    files::check_destination(&directory, args.force)?;
    let supernet = supernet::supernet(&args.request.model)?.ok_or_else(|| {
        let text = format!("{} is an ordinary network: there is no search space in it", args.request.model.display());
        input_with_hint(text, "a supernet has `apq.supernet` among its metadata: docs/supernet.md")
    })?;
    let mut subject = Subject::load(context, &args.request, &args.supernet, &supernet)?;
    let budgets = chosen_budgets(args, &subject)?;
    let scratch = args.scratch.as_deref().map(|path| {
        let bytes = inputs::read(path)?;
        subject.request.files.push(InputFile::new("predictor without transfer", path, &bytes));
        read_predictor(&bytes, supernet.space()).with_context(|| path.display().to_string())
    });
    let scratch = scratch.transpose()?;
    let Some(validation) = subject.validation() else {
        return Err(input_with_hint("designs are compared on labelled samples, and there are none", "give --search-data PATH with labels"));
    };
    if subject.request.options.budgets.iter().any(|budget| budget.quantity == Quantity::Ram) {
        return Err(input_with_hint(
            "--ram is known of lowered networks only, and this compares what searches find by costs",
            "`apqc compile --ram` searches under it",
        ));
    }
    if subject.request.decides_on_test() {
        return Err(input_with_hint(
            "designs would be chosen on the test samples, which are there to report",
            "give --search-data other labelled samples than --data",
        ));
    }
    let compared =
        Compared { supernet: &supernet, subject: &subject, args, seeds: (0..args.seeds).map(|n| context.seed.wrapping_add(n)).collect() };
    if let Some(test) = compared.test() {
        apqc::prepare::check_samples(&subject.request.network, test)?;
    }
    let drawer = context.console.progress();
    let contest = Contest {
        costs: &subject.costs,
        predictor: &subject.predictor,
        scratch: scratch.as_ref().map(|(predictor, _)| predictor),
        common: &subject.request.options.budgets,
        options: Options { iterations: args.supernet.iterations, ..Options::default() },
        finalists: args.finalists,
    };
    let start = Instant::now();
    let proposed = contest.propose(&budgets, &compared.seeds, &drawer)?;
    let mut seconds = Seconds { search: start.elapsed().as_secs_f64(), check: 0.0 };
    let start = Instant::now();
    let mut winners = compared.checked(&proposed, validation, &drawer)?;
    winners.extend(compared.fixed(&budgets, validation, &drawer)?);
    seconds.check = start.elapsed().as_secs_f64();
    drawer.finish();

    let took_part = |method: &Method| !matches!(method, Method::JointAlone | Method::JointScratch) || scratch.is_some();
    let methods: Vec<Method> = Method::ALL.into_iter().filter(took_part).collect();
    let (rows, ahead_of_sequential) = rows(&winners, &budgets, &methods, subject.request.network.macs);
    let samples = |data: &Dataset| CalibrationReport { source: data.source().into(), samples: data.len() };
    let report = CompareReport {
        schema: SCHEMA,
        model: subject.request.network.graph.name.clone(),
        target: subject.request.choice.target.name().to_string(),
        validation: samples(validation),
        test: compared.test().map(samples),
        predictor: subject.facts.clone(),
        predictor_scratch: scratch.as_ref().map(|(_, facts)| facts.clone()),
        evaluations: contest.options.joint_evaluations(),
        finalists: args.finalists,
        notes: compared.notes(&budgets, &winners)?,
        seeds: compared.seeds.clone(),
        budgets: rows,
        ahead_of_sequential,
        seconds,
    };
    let mut manifest = subject.request.manifest(context, &args.request);
    for (flag, value) in
        [("seeds", json!(args.seeds)), ("finalists", json!(args.finalists)), ("iterations", json!(args.supernet.iterations))]
    {
        manifest.flags.insert(flag.into(), value);
    }
    manifest.flags.insert("budgets".into(), report.budgets.iter().map(|row| json!(row.budget)).collect());
    let plots: Vec<(String, Vec<u8>)> = plots(&report).into_iter().map(|(name, plot)| (name, plot.svg().into_bytes())).collect();
    let mut written = vec![("compare.json", files::json(&report)?), ("compare.csv", csv(&report)?)];
    written.extend(plots.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())));
    files::write_all(&directory, args.force, &written, &manifest)?;
    context.console.result(&report, || summary(&report, Some(&directory), context.console.quiet))?;
    Ok(Exit::Done)
}

/// The budgets that are compared at.
fn chosen_budgets(args: &CompareArgs, subject: &Subject) -> anyhow::Result<Vec<Budget>> {
    let reference = subject.request.network.macs.saturating_mul(REFERENCE_BITS);
    let has_model = subject.request.choice.cost_model().is_some();
    let usual = [Budgets::Auto(if has_model { Quantity::Latency } else { Quantity::Bops })];
    let mut budgets: Vec<Budget> = Vec::new();
    for of in if args.budgets.is_empty() { &usual[..] } else { &args.budgets } {
        match of {
            Budgets::Stated(quantity, limits) => {
                budgets.extend(limits.iter().map(|limit| Budget { quantity: *quantity, limit: limit.limit(reference) }));
            }
            Budgets::Auto(quantity) => budgets.extend(automatic(subject, *quantity)?),
        }
    }
    let mut seen = Vec::new();
    budgets.retain(|budget| {
        !seen.contains(budget) && {
            seen.push(*budget);
            true
        }
    });
    Ok(budgets)
}

fn automatic(subject: &Subject, quantity: Quantity) -> anyhow::Result<Vec<Budget>> {
    let space = subject.costs.space();
    let domain = Domain::new(space, subject.costs.choices())?;
    let (_, least) = cheapest(&domain, &subject.costs, quantity).ok_or(SearchError::NotModelled(quantity))?;
    let largest = widest_largest(&domain);
    let most = subject.costs.cost(&largest)?.totals.get(quantity).ok_or(SearchError::NotModelled(quantity))?;
    let at = |share: f64| (least as f64).powf(1.0 - share) * (most as f64).powf(share);
    Ok(AUTOMATIC.into_iter().map(|share| Budget { quantity, limit: at(share).ceil() as u64 }).collect())
}

/// What is compared.
struct Compared<'a> {
    supernet: &'a Supernet,
    subject: &'a Subject,
    args: &'a CompareArgs,
    seeds: Vec<u64>,
}

impl Compared<'_> {
    /// Labelled samples that report.
    fn test(&self) -> Option<&Dataset> {
        self.subject.request.test.as_ref().map(|test| &test.data).filter(|data| data.labels().is_some())
    }

    /// The winners of the searches, checked for real.
    fn checked(&self, proposed: &[apqc::compare::Proposed], validation: &Dataset, drawer: &Drawer) -> Result<Vec<Winner>, CompareError> {
        let request = &self.subject.request;
        let calibration = &request.calibration.data;
        let ranges: Vec<Vec<f32>> = (0..calibration.len()).map(|index| calibration.to_f32(index, &request.preprocess)).collect();
        let norms = Images::new(calibration, &request.preprocess);
        let input = RawInput { raw: raw_type(validation), preprocess: request.preprocess.clone() };
        let workbench = Workbench {
            supernet: self.supernet,
            norms: &norms,
            ranges: &ranges,
            quantization: Quantization {
                weight_ranges: request.options.weight_ranges,
                activation_ranges: request.options.activation_ranges,
                rounding: request.options.rounding,
                bias_correction: request.options.bias_correction && request.options.rounding == Rounding::Nearest,
                seed: request.options.seed,
            },
            input: &input,
        };
        let designs = proposed.iter().flat_map(|of| &of.designs).map(|scored| &scored.design);
        let measures = workbench.measure(designs, validation, drawer)?;
        let mut winners = winners(proposed, &measures);
        if let Some(test) = self.test() {
            let input = RawInput { raw: raw_type(test), preprocess: request.preprocess.clone() };
            let workbench = Workbench { input: &input, ..workbench };
            let measures = workbench.measure(winners.iter().filter_map(|winner| winner.design.as_ref()), test, drawer)?;
            for winner in &mut winners {
                winner.test = winner.design.as_ref().and_then(|design| measures.of(design));
            }
        }
        Ok(winners)
    }

    /// The best fixed architecture at each budget.
    fn fixed(&self, budgets: &[Budget], validation: &Dataset, drawer: &Drawer) -> Result<Vec<Winner>, CompareError> {
        let request = &self.subject.request;
        let model = request.choice.cost_model();
        let bench = self.subject.bench(self.supernet);
        let fixed = FixedArchitectures {
            bench: &bench,
            costs: &self.subject.costs,
            model: model.as_deref(),
            common: &request.options.budgets,
            data: request.data(),
            options: &request.options,
            target: &request.choice.target,
            validation,
            test: self.test(),
            finalists: self.args.finalists,
        };
        fixed.winners(budgets, drawer)
    }

    /// What a reader should know.
    fn notes(&self, budgets: &[Budget], winners: &[Winner]) -> anyhow::Result<Vec<String>> {
        let mut notes = self.subject.notes();
        if self.subject.request.options.search.task.labelled.is_none() {
            notes.push("designs were compared on the calibration samples; --search-data FILE names other labelled samples".into());
        }
        if self.test().is_none() {
            notes.push("there are no labelled test samples: accuracies are those of the samples that decided".into());
        }
        if self.args.scratch.is_some() {
            notes.push("the sequential search's winner joins the designs of `joint`; transfer is compared without it, in `joint_alone` and `joint_scratch`".into());
        }
        let domain = Domain::new(self.subject.costs.space(), self.subject.costs.choices())?;
        for (place, budget) in budgets.iter().enumerate() {
            if winners.iter().any(|winner| winner.method == Method::Joint && winner.budget == place) {
                continue;
            }
            let shown = |value| in_unit(budget.quantity, value);
            let name = crate::report::budget_name(budget.quantity);
            let least = cheapest(&domain, &self.subject.costs, budget.quantity).map(|(_, value)| value);
            let least = least.ok_or_else(|| input(format!("{name} is not modelled for this target")))?;
            notes.push(format!("no design meets {name} {}; the smallest is {}", shown(budget.limit), shown(least)));
        }
        Ok(notes)
    }
}
