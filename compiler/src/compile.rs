//! The pipeline: calibrate, measure sensitivity, assign bit widths under the budgets, correct biases, lower, and check the result on the integer
//! runtime.

use std::time::Instant;

use apq_lut::{Candidate, CostError, CostModel};
use apq_runtime::{Arithmetic, Model};
use apq_search::{Budget, Estimator, NetworkCost, Quantity, Sensitivity, Totals};
use apq_targets::Target;

use crate::assign::{SearchOptions, Searched, assign};
use crate::data::{Dataset, Preprocess};
use crate::evaluate::{Quality, RunError, quality, run_integer, sqnr_db};
use crate::float::CodeSimulation;
use crate::import::ImportError;
use crate::lower::{LowerError, Lowered, RawInput};
use crate::network::{Network, NetworkError};
pub use crate::prepare::{ListStore, raw_type};
use crate::prepare::{MeasuredList, Prepared};
use crate::quant::correction;
use crate::quant::groups::Grouping;
use crate::quant::ranges::RangeRule;
use crate::quant::rounding::{LayerCache, Rounding};
use crate::task::TaskSearch;

/// What the user asks for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bit widths to choose from.
    pub candidates: Vec<Candidate>,
    /// Budgets, all of which the result must meet.
    pub budgets: Vec<Budget>,
    /// Rule for the ranges of weights.
    pub weight_ranges: RangeRule,
    /// Rule for the ranges of activations.
    pub activation_ranges: RangeRule,
    /// How per-sample SQNR is averaged.
    pub estimator: Estimator,
    /// Width of the network's output: 8 or 16.
    pub output_bits: u8,
    /// How weights are rounded.
    pub rounding: Rounding,
    /// Whether biases may be corrected where weights are rounded to nearest; other roundings bring theirs.
    pub bias_correction: bool,
    /// Of everything that is drawn at random.
    pub seed: u64,
    /// Where layers whose rounding was learned are kept.
    pub layer_cache: Option<LayerCache>,
    /// How widths are found.
    pub search: SearchOptions,
    /// Whether a softmax at the end stays in the file. What is measured is measured at the logits all the same.
    pub keep_softmax: bool,
}

/// Samples and what turns them into the network's input.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// Unlabelled samples from which ranges and sensitivities are measured.
    pub calibration: &'a Dataset,
    /// Samples that only report.
    pub test: Option<&'a Dataset>,
    /// Applied to raw values.
    pub preprocess: &'a Preprocess,
}

/// A stage of the pipeline, for progress bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Channels that can go, and what they are worth.
    Prune,
    /// Ranges of all tensors.
    Calibrate,
    /// The sensitivity list.
    Sensitivity,
    /// Bit widths under the budgets.
    Assign,
    /// Weights, layer by layer.
    Round,
    /// Bias correction.
    Correct,
    /// Integers, memory plan, file.
    Lower,
    /// The integer runtime over calibration and test data.
    Evaluate,
    /// Points of a dataset.
    Sample,
    /// Designs of a supernet, by what is predicted of them.
    Search,
    /// The best of them, for real.
    Check,
}

/// Receives progress; the library itself prints nothing.
pub trait Progress: Sync {
    /// A stage begins; `steps` calls of [`Progress::step`] follow.
    fn begin(&self, stage: Stage, steps: usize);
    /// One step of the stage is done.
    fn step(&self);
}

impl Progress for () {
    fn begin(&self, _: Stage, _: usize) {}
    fn step(&self) {}
}

/// Why a compilation failed.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The model or the target.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The float reference.
    #[error(transparent)]
    Reference(#[from] ImportError),
    /// tract and our executor disagree.
    #[error("internal: the imported network differs from the float reference by {difference} at the output (largest value {largest})")]
    ImportDiffers {
        /// Largest absolute difference.
        difference: f32,
        /// Largest absolute output.
        largest: f32,
    },
    /// The network computes a value that is not a number.
    #[error("the network's output is not finite for calibration sample {0}")]
    NotFinite(usize),
    /// The data do not fit the model.
    #[error("the model takes samples of shape {expected:?}, {origin} has {found:?}")]
    Shape {
        /// The model's input without the batch.
        expected: Vec<usize>,
        /// The samples.
        found: Vec<usize>,
        /// Where the samples come from.
        origin: String,
    },
    /// A label that is no class.
    #[error("{origin} has label {label} for sample {sample}, the model has {classes} classes")]
    Label {
        /// Where the labels come from.
        origin: String,
        /// The sample.
        sample: usize,
        /// Its label.
        label: u32,
        /// Outputs of the model.
        classes: usize,
    },
    /// A cost that the target's model should know.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The assignment.
    #[error(transparent)]
    Assign(#[from] apq_search::ProblemError),
    /// The assignment's independent checker.
    #[error("internal: the assignment fails its check: {0}")]
    Check(String),
    /// Lowering.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The integer runtime.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A sensitivity list that was given is of something else.
    #[error("{0}")]
    List(String),
}

/// Seconds of each part.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seconds {
    /// Ranges and quantizers.
    pub calibrate: f64,
    /// The list.
    pub sensitivity: f64,
    /// The assignment with bias correction.
    pub assign: f64,
    /// Lowering.
    pub lower: f64,
    /// Everything, evaluation included.
    pub total: f64,
}

/// A compiled network and how it was found.
pub struct Compiled {
    /// The groups.
    pub grouping: Grouping,
    /// Width of each group.
    pub assignment: Vec<Candidate>,
    /// The widest candidate of each group.
    pub widest: Vec<Candidate>,
    /// Whether every budget is met by the lowered file.
    pub feasible: bool,
    /// The file and its parts.
    pub lowered: Lowered,
    /// Cost of each node at its width.
    pub node_costs: Vec<Option<crate::cost::NodeCost>>,
    /// Costs of the lowered network: sizes are those of the file.
    pub totals: Totals,
    /// The sensitivity list; empty where the widths were given.
    pub list: Vec<Sensitivity>,
    /// The search under efficiency budgets; `None` where the widths were given.
    pub searched: Option<Searched>,
    /// The search under task budgets, where there are any.
    pub task: Option<TaskSearch>,
    /// Whether the test samples decided about accuracy, so that they do not judge independently.
    pub decided_on_test: bool,
    /// Operators that the cost model does not cover.
    pub not_modelled: Vec<String>,
    /// How weights were rounded.
    pub rounding: Rounding,
    /// Whether corrected biases were kept, and the SQNR on held-out samples in dB without and with them.
    pub correction: Option<correction::Verdict>,
    /// The integer runtime against the float network, over the calibration samples.
    pub calibration_sqnr_db: f64,
    /// The float network over the test samples.
    pub float_quality: Option<Quality>,
    /// The integer runtime over the test samples.
    pub integer_quality: Option<Quality>,
    /// The same network in floats with its quantizers simulated.
    pub simulation: CodeSimulation,
    /// Samples run through the network, partly or wholly, while the list was measured.
    pub forward_passes: usize,
    /// Assignments that were evaluated as whole quantized networks, each once; the result is one of them.
    pub evaluations: usize,
    /// Times.
    pub seconds: Seconds,
    /// The raw input that the file takes.
    pub raw_input: RawInput,
}

/// Compiles a network. `model` is the target's cost model, where it has one; `key` identifies everything that the sensitivity list depends on.
pub fn compile(
    network: &Network,
    target: &Target,
    model: Option<&dyn CostModel>,
    data: &Data<'_>,
    options: &Options,
    store: (&dyn ListStore, &str),
    progress: &dyn Progress,
) -> Result<Compiled, CompileError> {
    let start = Instant::now();
    let mut unjudged = unjudged(network, target, model, data, options, store, progress)?;
    unjudged.judge(network, data, progress)?;
    unjudged.compiled.seconds.total = start.elapsed().as_secs_f64();
    Ok(unjudged.compiled)
}

/// A compiled network before the test samples have been run.
pub(crate) struct Unjudged {
    /// Without what the test samples say.
    pub(crate) compiled: Compiled,
    /// The file that ends at the logits, where the shipped one is another.
    logits: Option<Lowered>,
}

impl Unjudged {
    /// Runs the test samples, where there are any.
    pub(crate) fn judge(&mut self, network: &Network, data: &Data<'_>, progress: &dyn Progress) -> Result<(), CompileError> {
        let Some(test) = data.test else { return Ok(()) };
        progress.begin(Stage::Evaluate, 2 * test.len());
        let lowered = self.logits.as_ref().unwrap_or(&self.compiled.lowered);
        let file = Model::new_checked(&lowered.file).map_err(LowerError::Refused)?;
        let float = run_reference(network, test, data.preprocess, || progress.step())?;
        let integer = run_integer(&file, Arithmetic::Native, test, || progress.step())?;
        self.compiled.float_quality = Some(quality(&float, test.labels(), None));
        self.compiled.integer_quality = Some(quality(&integer, test.labels(), Some(&float)));
        Ok(())
    }
}

/// Everything but the test samples.
pub(crate) fn unjudged(
    network: &Network,
    target: &Target,
    model: Option<&dyn CostModel>,
    data: &Data<'_>,
    options: &Options,
    store: (&dyn ListStore, &str),
    progress: &dyn Progress,
) -> Result<Unjudged, CompileError> {
    let start = Instant::now();
    let prepared = Prepared::new(network, target, data, options, progress)?;
    let mut seconds = Seconds { calibrate: start.elapsed().as_secs_f64(), ..Seconds::default() };
    let at = Instant::now();
    let MeasuredList { list, forward_passes } = match options.search.assignment {
        Some(_) => MeasuredList { list: Vec::new(), forward_passes: 0 },
        None => prepared.sensitivity(options.estimator, store, progress)?,
    };
    seconds.sensitivity = at.elapsed().as_secs_f64();

    let at = Instant::now();
    let plan_ram = options.budgets.iter().any(|budget| budget.quantity == Quantity::Ram);
    let costs = prepared.costs(model, plan_ram)?;
    let assigned = assign(&prepared, &list, &costs, data, options, progress)?;
    let (mut quantized, correction) = prepared.finished(assigned.assignment.clone(), options, progress);
    seconds.assign = at.elapsed().as_secs_f64();

    let at = Instant::now();
    progress.begin(Stage::Lower, 0);
    let (logits, kept) = prepared.lowered(&mut quantized)?;
    let lowered = kept.as_ref().unwrap_or(&logits);
    seconds.lower = at.elapsed().as_secs_f64();

    let mut totals = costs.totals(&assigned.assignment);
    totals.flash_bytes = lowered.file.len() as u64;
    totals.ram_bytes = lowered.spec.arena_bytes as u64;
    let feasible = options.budgets.iter().all(|budget| budget.met(&totals)) && assigned.task.as_ref().is_none_or(|task| task.met);

    let file = Model::new_checked(&logits.file).map_err(LowerError::Refused)?;
    progress.begin(Stage::Evaluate, data.calibration.len());
    let outputs = run_integer(&file, Arithmetic::Native, data.calibration, || progress.step())?;
    let calibration_sqnr_db = sqnr_db(&prepared.reference_outputs, &outputs).unwrap_or(f64::NEG_INFINITY);
    seconds.total = start.elapsed().as_secs_f64();
    let nodes = (0..network.graph.nodes.len()).map(crate::graph::NodeId);
    let node_costs = nodes.map(|node| costs.node(node, &assigned.assignment)).collect();
    let not_modelled = costs.not_modelled().into_iter().map(String::from).collect();
    let simulation = CodeSimulation::new(&quantized).ok_or_else(|| LowerError::NoQuantizer(network.graph.name.clone()))?;
    drop(costs);
    let (lowered, logits) = match kept {
        Some(kept) => (kept, Some(logits)),
        None => (logits, None),
    };
    let compiled = Compiled {
        simulation,
        evaluations: assigned.task.as_ref().map_or(1, |task| task.evaluated.len()),
        assignment: assigned.assignment,
        feasible,
        lowered,
        node_costs,
        totals,
        list,
        searched: assigned.searched,
        decided_on_test: options.search.task.labelled.is_none() && options.search.task.budgets.accuracy_drop.is_some(),
        task: assigned.task,
        widest: prepared.widest,
        not_modelled,
        rounding: options.rounding,
        correction,
        calibration_sqnr_db,
        float_quality: None,
        integer_quality: None,
        forward_passes,
        seconds,
        raw_input: prepared.raw_input,
        grouping: prepared.grouping,
    };
    Ok(Unjudged { compiled, logits })
}

/// Outputs of the float reference for every sample, in order.
pub fn run_reference(
    network: &Network,
    data: &Dataset,
    preprocess: &Preprocess,
    progress: impl Fn() + Sync,
) -> Result<Vec<Vec<f32>>, CompileError> {
    use rayon::prelude::*;
    let reference = network.reference()?;
    let outputs: Result<Vec<Vec<f32>>, ImportError> = (0..data.len())
        .into_par_iter()
        .map(|index| {
            let output = reference.run(&data.to_f32(index, preprocess));
            progress();
            output
        })
        .collect();
    Ok(outputs?)
}
