//! What `compile`, `pareto` and `sensitivity` are asked: model, target, budgets, data and how to quantize; and what is read for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use apq_lut::Candidate;
use apq_search::{Budget, Quantity};
use apqc::assign::SearchOptions;
use apqc::assignment::{self, Assignment};
use apqc::compile::{CompileError, Data, ListStore, Options};
use apqc::cost::REFERENCE_BITS;
use apqc::data::{Dataset, Preprocess};
use apqc::network::{Network, NetworkError};
use apqc::quant::rounding::LayerCache;
use apqc::quant::sensitivity::{Basis, Metric};
use apqc::task::{TaskBudgets, TaskOptions};
use clap::Args;

use super::Context;
use super::choices::{By, Ranges, RoundingBy, Scheme, Sqnr, at_least_one, output_bits};
use super::failure::{input, input_with_hint, unsupported};
use super::inputs::{self, InputFile, OnnxModel, Origin, Samples, TargetChoice, beside};
use super::provenance::{basis, flags, given_list};
use crate::cache::{DiskLists, GivenList};
use crate::report::files::Manifest;
use crate::units::{self, Bops};

/// Flags that several commands take.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// The model.
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// What to compile for: a name (`apqc targets list`) or a TOML file. Required.
    #[arg(long, value_name = "NAME|FILE.toml")]
    target: Option<String>,
    /// Longest time of one inference, with its unit: 9ms.
    #[arg(long, value_name = "TIME", value_parser = units::nanoseconds, allow_hyphen_values = true, help_heading = "Budgets")]
    latency: Option<u64>,
    /// Most energy of one inference, with its unit: 12mJ.
    #[arg(long, value_name = "ENERGY", value_parser = units::picojoules, allow_hyphen_values = true, help_heading = "Budgets")]
    energy: Option<u64>,
    /// Most bit operations: below 16 and without suffix a part R of w8a16 everywhere (limit R * 128 * MACs), else a number: 19.2G.
    #[arg(long, value_name = "R|NUMBER", value_parser = units::bops, allow_hyphen_values = true, help_heading = "Budgets")]
    bops: Option<Bops>,
    /// Largest file, with its unit: 256KiB.
    #[arg(long, value_name = "SIZE", value_parser = units::bytes, allow_hyphen_values = true, help_heading = "Budgets")]
    flash: Option<u64>,
    /// Largest arena, with its unit: 64KiB.
    #[arg(long, value_name = "SIZE", value_parser = units::bytes, allow_hyphen_values = true, help_heading = "Budgets")]
    ram: Option<u64>,
    /// Most accuracy lost against the float network, on labelled samples: 1% or 0.01.
    #[arg(long, value_name = "SHARE", value_parser = units::fraction, allow_hyphen_values = true, help_heading = "Task budgets")]
    accuracy_drop: Option<f64>,
    /// Least SQNR against the float network, on the calibration samples: 30dB.
    #[arg(long, value_name = "DB", value_parser = units::decibels, allow_hyphen_values = true, help_heading = "Task budgets")]
    min_sqnr: Option<f64>,
    /// Least share of calibration samples with the float network's top class: 99%.
    #[arg(long, value_name = "SHARE", value_parser = units::fraction, allow_hyphen_values = true, help_heading = "Task budgets")]
    min_agreement: Option<f64>,
    /// How the curve is searched under task budgets.
    #[arg(long, value_enum, default_value_t = Scheme::Interpolation, help_heading = "Task budgets")]
    search: Scheme,
    /// Labelled samples that decide about --accuracy-drop [default: those of --data, which then no longer judge independently], or between designs
    /// of a supernet [default: the calibration samples].
    #[arg(long, value_name = "PATH", help_heading = "Task budgets")]
    search_data: Option<PathBuf>,
    /// Calibration samples: .npz, .npy, a folder of images, or normal:MEAN,STD [default: MODEL.calib.npz; images are drawn without it].
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub(super) calib: Option<String>,
    /// Labelled samples on which accuracy is reported [default: MODEL.test.npz].
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    data: Option<PathBuf>,
    /// Calibration samples used, at most.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one, help_heading = "Data")]
    pub(super) samples: usize,
    /// Mean and standard deviation of the input [default: MODEL.json].
    #[arg(long, value_name = "FILE.json", help_heading = "Data")]
    preprocess: Option<PathBuf>,
    /// Bit widths to choose from, as w4a8,w8a8 [default: the target's].
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Quantization")]
    candidates: Vec<Candidate>,
    /// How the ranges of weights are found.
    #[arg(long, value_enum, default_value_t = Ranges::Mse, help_heading = "Quantization")]
    pub(super) weight_ranges: Ranges,
    /// How the ranges of activations are found.
    #[arg(long, value_enum, default_value_t = Ranges::Mse, help_heading = "Quantization")]
    pub(super) activation_ranges: Ranges,
    /// How the samples' SQNR is averaged.
    #[arg(long, value_enum, default_value_t = Sqnr::Pooled, help_heading = "Quantization")]
    sqnr: Sqnr,
    /// Take this sensitivity list (of `apqc sensitivity -o FILE`) instead of measuring one; it must be of this model, data and quantization.
    #[arg(long, value_name = "FILE.json", help_heading = "Quantization")]
    list: Option<PathBuf>,
    /// How weights are rounded.
    #[arg(long, value_enum, default_value_t = RoundingBy::Descent, help_heading = "Quantization")]
    rounding: RoundingBy,
    /// How bit widths are assigned under efficiency budgets.
    #[arg(long, value_enum, default_value_t = By::Greedy, help_heading = "Quantization")]
    assign_by: By,
    /// Lookup table with the layers' costs, in place of the target's own.
    #[arg(long, value_name = "FILE")]
    lut: Option<PathBuf>,
    /// Width of the network's output.
    #[arg(long, value_name = "8|16", default_value_t = 8, value_parser = output_bits, help_heading = "Quantization")]
    output_bits: u8,
    /// Keep a softmax at the end; accuracy and SQNR are measured before it all the same.
    #[arg(long, help_heading = "Quantization")]
    keep_softmax: bool,
}

/// Everything that was asked for, read and checked against each other.
pub(crate) struct Request {
    /// The model.
    pub(crate) network: Network,
    /// The target, with its costs.
    pub(crate) choice: TargetChoice,
    /// What to do.
    pub(crate) options: Options,
    /// Unlabelled samples.
    pub(crate) calibration: Samples,
    /// Samples that report.
    pub(crate) test: Option<Samples>,
    /// Applied to raw values.
    pub(crate) preprocess: Preprocess,
    /// What the sensitivity list depends on, as far as it is known before calibration.
    pub(crate) basis: Basis,
    list: Option<GivenList>,
    preprocessed: bool,
    pub(super) files: Vec<InputFile>,
}

impl RequestArgs {
    /// Whether the user named labelled samples.
    pub(crate) fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Whether the user gave a list.
    pub(crate) fn has_list(&self) -> bool {
        self.list.is_some()
    }

    /// Reads everything; whether the target has the kernels is known before data are read.
    ///
    /// `assignment` is a file whose widths are taken as they are.
    pub(crate) fn load(&self, context: &Context, assignment: Option<&Path>) -> anyhow::Result<Request> {
        self.read(context, assignment, false)
    }

    /// The same for a supernet, whose largest network is the network.
    pub(crate) fn load_supernet(&self, context: &Context) -> anyhow::Result<Request> {
        let given = [
            ("--accuracy-drop", self.accuracy_drop.is_some()),
            ("--min-sqnr", self.min_sqnr.is_some()),
            ("--min-agreement", self.min_agreement.is_some()),
            ("--candidates", !self.candidates.is_empty()),
            ("--list", self.list.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(input_with_hint(
                format!("{flag} is not for a supernet: its search looks for the highest accuracy, at the bit widths of its search space"),
                "give budgets such as --latency; `apqc compile` takes the subnet.onnx that it writes with this flag",
            )),
            None => self.read(context, None, true),
        }
    }

    fn read(&self, context: &Context, assignment: Option<&Path>, supernet: bool) -> anyhow::Result<Request> {
        let choice = inputs::required_target(self.target.as_deref(), self.lut.as_deref())?;
        let OnnxModel { network, mut files } = inputs::onnx(&self.model)?;
        let given = assignment.map(read_assignment).transpose()?;
        let mut options = options(self, &network, &choice, context)?;
        if let Some((widths, _)) = &given {
            options.candidates = widths.candidates();
        }
        let grouping = network.group(&choice.target, &options.candidates).map_err(|error| no_kernel(error, &choice))?;
        if let (Some((widths, file)), Some(path)) = (given, assignment) {
            options.search.assignment = Some(widths.resolve(&grouping).with_context(|| path.display().to_string())?);
            files.push(file);
        }
        let sample_shape = network.sample_shape().to_vec();
        let channels = network.graph.tensor(network.graph.input).channels();
        let (preprocess, preprocess_file) = inputs::preprocess(self.preprocess.as_deref(), &self.model, channels)?;
        let calibration = inputs::calibration(self.calib.as_deref(), &self.model, &sample_shape, self.samples, context.seed)?;
        let test = test_samples(self, &sample_shape)?;
        let deciding = self.deciding(&sample_shape, test.as_ref(), supernet)?;
        let mut basis = basis((&network, &files), &grouping, &calibration.data, &preprocess, &options, context.seed);
        let list = self.list.as_deref().map(|path| given_list(path, &mut basis)).transpose()?;
        if let Some(list) = list.as_ref().filter(|list| list.file.metric == Metric::Accuracy.name()) {
            if self.assign_by == By::Exact {
                return Err(input_with_hint(
                    format!("--assign-by exact adds up noises; {} holds accuracies, which do not add up", list.name),
                    "take a list by --metric sqnr or fit, or --assign-by greedy",
                ));
            }
            options.search.accuracies = true;
        }
        files.extend(list.as_ref().map(|list| list.file_facts.clone()));
        files.extend(choice.files.iter().cloned());
        let preprocessed = preprocess_file.is_some();
        files.extend(preprocess_file);
        files.extend(calibration.file.clone());
        files.extend(test.as_ref().and_then(|test| test.file.clone()));
        if let Some(deciding) = deciding {
            files.extend(deciding.file);
            options.search.task.labelled = Some(Arc::new(deciding.data));
        }
        Ok(Request { network, choice, options, calibration, test, preprocess, basis, list, preprocessed, files })
    }
}

impl RequestArgs {
    /// Labelled samples that decide about accuracy, where they are not the test samples.
    fn deciding(&self, sample_shape: &[usize], test: Option<&Samples>, supernet: bool) -> anyhow::Result<Option<Samples>> {
        let hint = "give --search-data or --data PATH with labels (array `y`, or labels.csv); without labels there are --min-sqnr and --min-agreement";
        let asking = if supernet { "--search-data" } else { "--accuracy-drop" };
        let unlabelled = |source: &str| input_with_hint(format!("{asking} needs labels; {source} has none"), hint);
        match (&self.search_data, self.accuracy_drop) {
            (Some(_), None) if !supernet => Err(input("--search-data decides about --accuracy-drop, which is not given")),
            (None, None) => Ok(None),
            (Some(path), _) => {
                let samples = inputs::samples("search data", path, sample_shape, usize::MAX)?;
                if samples.data.labels().is_none() {
                    return Err(unlabelled(samples.data.source()));
                }
                Ok(Some(samples))
            }
            (None, Some(_)) => match test {
                None => Err(input_with_hint("--accuracy-drop needs labelled samples, and there are none", hint)),
                Some(test) if test.data.labels().is_none() => Err(unlabelled(test.data.source())),
                Some(_) => Ok(None),
            },
        }
    }
}

/// An assignment that the user gives.
fn read_assignment(path: &Path) -> anyhow::Result<(Assignment, InputFile)> {
    let bytes = inputs::read(path)?;
    let file = InputFile::new("assignment", path, &bytes);
    let text = inputs::text(path, bytes)?;
    let widths = assignment::parse(&text).with_context(|| path.display().to_string())?;
    Ok((widths, file))
}

impl Request {
    /// What the list depends on, as far as it is known before calibration.
    pub(crate) fn list_prefix(&self) -> String {
        let measured = || Metric::Sqnr(self.options.estimator).full_name();
        self.basis.prefix(&self.list.as_ref().map_or_else(measured, |list| list.file.metric_name()))
    }

    /// What the list holds.
    pub(crate) fn list_metric(&self) -> &str {
        self.list.as_ref().map_or("sqnr", |list| &list.file.metric)
    }

    /// Where the list comes from: the user's file, or the cache.
    pub(crate) fn lists(&self, context: &Context) -> Box<dyn ListStore + '_> {
        match &self.list {
            Some(list) => Box::new(list),
            None => Box::new(DiskLists::new(context.cache.as_deref())),
        }
    }

    /// The samples.
    pub(crate) fn data(&self) -> Data<'_> {
        Data { calibration: &self.calibration.data, test: self.test.as_ref().map(|test| &test.data), preprocess: &self.preprocess }
    }

    /// Samples that decide about accuracy, with labels or without.
    pub(crate) fn labelled(&self) -> Option<&Dataset> {
        self.options.search.task.labelled.as_deref().or(self.test.as_ref().map(|test| &test.data))
    }

    /// An error of the library with what the tool knows about it.
    pub(crate) fn explain(&self, error: CompileError) -> anyhow::Error {
        match error {
            missing @ CompileError::Cost(_) => {
                let text = format!("target `{}`: its lookup table does not cover the model", self.choice.target.name());
                anyhow::Error::from(missing).context(text)
            }
            other => other.into(),
        }
    }

    /// Whether the labelled samples that decide between designs are the test samples, which then no longer tell how good the result is.
    pub(crate) fn decides_on_test(&self) -> bool {
        let sha256 = |role: &str| self.files.iter().find(|file| file.role == role).map(|file| &file.sha256);
        let deciding = sha256("search data").or_else(|| sha256("calibration"));
        deciding.is_some() && deciding == sha256("test")
    }

    /// What a reader should know about the data.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = data_notes(&self.calibration, self.test.as_ref(), self.preprocessed);
        notes.extend(self.choice.cost_note());
        if let Some(list) = &self.list {
            let greedy = if self.options.search.accuracies { "; accuracies do not add up, so there is no exact assignment" } else { "" };
            notes.push(format!("the sensitivity list is {}, by {}{greedy}", list.name, list.file.metric_name()));
        }
        notes
    }

    /// Everything that the result depends on.
    pub(crate) fn manifest(&self, context: &Context, args: &RequestArgs) -> Manifest {
        Manifest {
            tool: "apqc",
            version: env!("CARGO_PKG_VERSION"),
            seed: context.seed,
            flags: flags(args, &self.options, &self.choice),
            inputs: self.files.clone(),
        }
    }
}

fn options(args: &RequestArgs, network: &Network, choice: &TargetChoice, context: &Context) -> anyhow::Result<Options> {
    let candidates = if args.candidates.is_empty() { choice.target.candidates().to_vec() } else { args.candidates.clone() };
    if let Some(repeated) = candidates.iter().enumerate().find(|(index, candidate)| candidates[..*index].contains(candidate)) {
        return Err(input(format!("--candidates names {} twice", repeated.1)));
    }
    if args.keep_softmax && network.graph.softmax_dropped && network.graph.softmax_classes.is_none() {
        return Err(unsupported(
            "--keep-softmax: what follows the softmax regroups its classes",
            "without the flag the softmax is left out, and outputs are logits",
        ));
    }
    Ok(Options {
        candidates,
        budgets: budgets(args, network, choice)?,
        weight_ranges: args.weight_ranges.into(),
        activation_ranges: args.activation_ranges.into(),
        estimator: args.sqnr.into(),
        output_bits: args.output_bits,
        rounding: args.rounding.into(),
        bias_correction: true,
        seed: context.seed,
        layer_cache: context.cache.as_deref().map(|cache| LayerCache::new(cache.join("rounding"))),
        keep_softmax: args.keep_softmax,
        search: SearchOptions {
            by: args.assign_by.into(),
            accuracies: false,
            task: TaskOptions {
                budgets: TaskBudgets { accuracy_drop: args.accuracy_drop, sqnr_db_min: args.min_sqnr, agreement_min: args.min_agreement },
                scheme: args.search.into(),
                labelled: None,
            },
            assignment: None,
        },
    })
}

fn budgets(args: &RequestArgs, network: &Network, choice: &TargetChoice) -> anyhow::Result<Vec<Budget>> {
    let reference = network.macs.saturating_mul(REFERENCE_BITS);
    let limits = [
        (Quantity::Latency, args.latency),
        (Quantity::Energy, args.energy),
        (Quantity::Bops, args.bops.map(|bops| bops.limit(reference))),
        (Quantity::Flash, args.flash),
        (Quantity::Ram, args.ram),
    ];
    let budgets: Vec<Budget> = limits.into_iter().filter_map(|(quantity, limit)| Some(Budget { quantity, limit: limit? })).collect();
    let needs_model = budgets.iter().find(|budget| matches!(budget.quantity, Quantity::Latency | Quantity::Energy));
    match needs_model {
        Some(budget) if choice.cost_model().is_none() => Err(unsupported(
            format!(
                "--{}: target `{}` has no model of latency and energy, it counts bit operations only",
                budget.quantity,
                choice.target.name()
            ),
            "use --bops, --flash or --ram; or a target with costs (`apqc targets list`); or give a lookup table with --lut FILE",
        )),
        _ => Ok(budgets),
    }
}

/// A missing kernel with the target's name.
fn no_kernel(error: NetworkError, choice: &TargetChoice) -> anyhow::Error {
    let target = choice.target.name().to_string();
    anyhow::Error::from(error).context(format!("target `{target}` cannot run this model"))
}

fn test_samples(args: &RequestArgs, sample_shape: &[usize]) -> anyhow::Result<Option<Samples>> {
    let default = beside(&args.model, ".test.npz");
    let path: &Path = match &args.data {
        Some(path) => path,
        None if default.is_file() => &default,
        None => return Ok(None),
    };
    inputs::samples("test", path, sample_shape, usize::MAX).map(Some)
}

fn data_notes(calibration: &Samples, test: Option<&Samples>, preprocessed: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let source = calibration.data.source();
    match calibration.origin {
        Origin::File => {}
        Origin::Asked => notes.push(format!("calibration data are drawn: {source}")),
        Origin::Drawn => {
            notes
                .push(format!("no calibration data: ranges and sensitivities come from images {source}; give --calib for a better result"));
        }
    }
    if !preprocessed {
        notes.push("no preprocessing is known: the model gets raw values".into());
    }
    if test.is_some_and(|test| test.data.labels().is_none()) {
        notes.push("the test data have no labels: agreement with the float network is reported, accuracy is not".into());
    }
    notes
}
