//! The pipeline: calibrate, measure sensitivity, assign bit widths under the budgets, correct biases, lower, and check the result on the integer
//! runtime.

use std::time::Instant;

use apq_lut::{Candidate, CostError, CostModel};
use apq_runtime::build::RawType;
use apq_runtime::{Arithmetic, Model};
use apq_search::{Budget, Estimator, Group, NetworkCost, Outcome, Problem, Quantity, Sensitivity, Totals, checker};
use apq_targets::Target;

use crate::cost::NetworkCosts;
use crate::data::{Dataset, Preprocess, Raw};
use crate::evaluate::{Quality, RunError, quality, run_integer, sqnr_db};
use crate::float::{CodeSimulation, Executor};
use crate::import::ImportError;
use crate::lower::{LowerError, Lowered, RawInput, lower};
use crate::network::{Network, NetworkError};
use crate::plan::Effort;
use crate::quant::bank::{Bank, nearest};
use crate::quant::calibration::Calibration;
use crate::quant::groups::Grouping;
use crate::quant::ranges::RangeRule;
use crate::quant::sensitivity::{measured, sensitivity};
use crate::quant::{QuantizedNetwork, correction};

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
    /// Whether biases may be corrected.
    pub bias_correction: bool,
}

/// Samples and what turns them into the network's input.
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
    /// Ranges of all tensors.
    Calibrate,
    /// The sensitivity list.
    Sensitivity,
    /// Bit widths under the budgets.
    Assign,
    /// Bias correction.
    Correct,
    /// Integers, memory plan, file.
    Lower,
    /// The integer runtime over calibration and test data.
    Evaluate,
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

/// Where finished sensitivity lists are kept.
pub trait ListStore {
    /// The list stored under `key`, in the order of groups and candidates.
    fn load(&self, key: &str) -> Option<Vec<Sensitivity>>;
    /// Stores a list.
    fn store(&self, key: &str, list: &[Sensitivity]);
}

impl ListStore for () {
    fn load(&self, _: &str) -> Option<Vec<Sensitivity>> {
        None
    }
    fn store(&self, _: &str, _: &[Sensitivity]) {}
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
    /// Whether every budget is met by the lowered file.
    pub feasible: bool,
    /// The file and its parts.
    pub lowered: Lowered,
    /// Cost of each node at its width.
    pub node_costs: Vec<Option<crate::cost::NodeCost>>,
    /// Costs of the lowered network: sizes are those of the file.
    pub totals: Totals,
    /// The sensitivity list.
    pub list: Vec<Sensitivity>,
    /// The search, with its whole path.
    pub outcome: Outcome,
    /// Operators that the cost model does not cover.
    pub not_modelled: Vec<String>,
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
    /// Evaluations of the whole quantized network.
    pub evaluations: usize,
    /// Times.
    pub seconds: Seconds,
    /// The raw input that the file takes.
    pub raw_input: RawInput,
}

/// Largest relative difference between tract and our executor that rounding explains.
const IMPORT_TOLERANCE: f32 = 1e-3;

/// Samples on which the importer is checked against tract in every compilation.
const IMPORT_CHECKS: usize = 4;

/// Compiles a prepared network. `model` is the target's cost model, where it has one; `key` identifies everything that the sensitivity list depends
/// on.
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
    let graph = &network.graph;
    check_shape(network, data.calibration)?;
    if let Some(test) = data.test {
        check_shape(network, test)?;
        check_labels(network, test)?;
    }
    let grouping = network.group(target, &options.candidates)?;
    let executor = Executor::new(graph);
    let samples: Vec<Vec<f32>> = (0..data.calibration.len()).map(|index| data.calibration.to_f32(index, data.preprocess)).collect();
    let reference_outputs = check_import(network, &executor, &samples)?;

    progress.begin(Stage::Calibrate, 2 * samples.len());
    let calibration = Calibration::new(&executor, &samples, || progress.step());
    let layers = nearest(graph, &grouping, options.weight_ranges);
    let bank = Bank::new(graph, &grouping, options.output_bits, layers, |tensor, bits| {
        calibration.quantizer(tensor, bits, options.activation_ranges)
    });
    let mut seconds = Seconds { calibrate: start.elapsed().as_secs_f64(), ..Seconds::default() };

    let raw_input = RawInput { raw: raw_type(data.calibration), preprocess: data.preprocess.clone() };
    let groups: Vec<Group> =
        grouping.groups.iter().map(|group| Group { name: group.name.clone(), candidates: group.candidates.clone() }).collect();
    let widest: Vec<Candidate> = groups.iter().filter_map(Group::widest).collect();
    let at = Instant::now();
    let (list, forward_passes) = match store.0.load(store.1).filter(|list| complete(&grouping, &widest, list)) {
        Some(list) => (list, 0),
        None => {
            progress.begin(Stage::Sensitivity, samples.len());
            let list = sensitivity(&executor, &grouping, &bank, &samples, &widest, options.estimator, || progress.step());
            store.0.store(store.1, &list);
            (list, samples.len() * (1 + measured(&grouping, &widest).len()))
        }
    };
    seconds.sensitivity = at.elapsed().as_secs_f64();

    let at = Instant::now();
    progress.begin(Stage::Assign, 0);
    let overhead = overhead_bytes(graph, &grouping, &bank, &widest, options.output_bits, &raw_input)?;
    let plan_ram = options.budgets.iter().any(|budget| budget.quantity == Quantity::Ram);
    let costs = NetworkCosts::new(graph, &grouping, &bank, options.output_bits, model, overhead, plan_ram)?;
    let outcome = Problem::new(&groups, &list, &costs)?.assign(&options.budgets)?;
    checker::check(&groups, &list, &costs, &options.budgets, &outcome).map_err(|fault| CompileError::Check(fault.to_string()))?;
    let mut quantized = QuantizedNetwork::new(graph, &grouping, &bank, outcome.assignment.clone(), options.output_bits);
    let mut correction = None;
    if options.bias_correction {
        progress.begin(Stage::Correct, 0);
        correction = correction::correct(&executor, &mut quantized, &samples);
    }
    seconds.assign = at.elapsed().as_secs_f64();

    let at = Instant::now();
    progress.begin(Stage::Lower, 0);
    let lowered = lower(&quantized, &raw_input, Effort::default())?;
    seconds.lower = at.elapsed().as_secs_f64();

    let mut totals = costs.totals(&outcome.assignment);
    totals.flash_bytes = lowered.file.len() as u64;
    totals.ram_bytes = lowered.spec.arena_bytes as u64;
    let feasible = options.budgets.iter().all(|budget| budget.met(&totals));

    let file = Model::new_checked(&lowered.file).map_err(LowerError::Refused)?;
    progress.begin(Stage::Evaluate, data.calibration.len() + data.test.map_or(0, |test| 2 * test.len()));
    let outputs = run_integer(&file, Arithmetic::Native, data.calibration, || progress.step())?;
    let calibration_sqnr_db = sqnr_db(&reference_outputs, &outputs).unwrap_or(f64::NEG_INFINITY);
    let (mut float_quality, mut integer_quality) = (None, None);
    if let Some(test) = data.test {
        let float = run_reference(network, test, data.preprocess, || progress.step())?;
        let integer = run_integer(&file, Arithmetic::Native, test, || progress.step())?;
        float_quality = Some(quality(&float, test.labels(), None));
        integer_quality = Some(quality(&integer, test.labels(), Some(&float)));
    }
    seconds.total = start.elapsed().as_secs_f64();
    let node_costs = (0..graph.nodes.len()).map(|node| costs.node(crate::graph::NodeId(node), &outcome.assignment)).collect();
    let not_modelled = costs.not_modelled().into_iter().map(String::from).collect();
    drop(costs);
    Ok(Compiled {
        simulation: CodeSimulation::new(&quantized).ok_or_else(|| LowerError::NoQuantizer(graph.name.clone()))?,
        assignment: outcome.assignment.clone(),
        feasible,
        lowered,
        node_costs,
        totals,
        list,
        outcome,
        not_modelled,
        correction,
        calibration_sqnr_db,
        float_quality,
        integer_quality,
        forward_passes,
        evaluations: 1 + 2 * usize::from(options.bias_correction),
        seconds,
        raw_input,
        grouping,
    })
}

/// The element type of raw samples, for which the file gets its input table.
pub fn raw_type(data: &Dataset) -> RawType {
    match data.raw() {
        Raw::U8(_) => RawType::U8,
        Raw::I8(_) => RawType::I8,
        Raw::F32(_) => RawType::F32,
    }
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

fn check_shape(network: &Network, data: &Dataset) -> Result<(), CompileError> {
    if data.sample_shape() == network.sample_shape() {
        return Ok(());
    }
    Err(CompileError::Shape {
        expected: network.sample_shape().to_vec(),
        found: data.sample_shape().to_vec(),
        origin: data.source().into(),
    })
}

fn check_labels(network: &Network, data: &Dataset) -> Result<(), CompileError> {
    let classes = network.graph.tensor(network.graph.output).len();
    let wrong =
        data.labels().and_then(|labels| labels.iter().position(|label| *label as usize >= classes).map(|sample| (sample, labels[sample])));
    match wrong {
        None => Ok(()),
        Some((sample, label)) => Err(CompileError::Label { origin: data.source().into(), sample, label, classes }),
    }
}

/// Runs every sample in floats, and the first ones on tract too.
fn check_import(network: &Network, executor: &Executor<'_>, samples: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, CompileError> {
    use rayon::prelude::*;
    let float = crate::float::Simulation::float(&network.graph);
    let outputs: Vec<Vec<f32>> = samples.par_iter().map(|sample| executor.run(&float, sample)).collect();
    if let Some(sample) = outputs.iter().position(|output| output.iter().any(|v| !v.is_finite())) {
        return Err(CompileError::NotFinite(sample));
    }
    let reference = network.reference()?;
    for (sample, output) in samples.iter().zip(&outputs).take(IMPORT_CHECKS) {
        let expected = reference.run(sample)?;
        let difference = expected.iter().zip(output).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = expected.iter().map(|v| v.abs()).fold(0.0, f32::max);
        if difference.is_nan() || difference > IMPORT_TOLERANCE * largest.max(1.0) {
            return Err(CompileError::ImportDiffers { difference, largest });
        }
    }
    Ok(outputs)
}

/// A list from the store holds exactly what would be measured.
fn complete(grouping: &Grouping, widest: &[Candidate], list: &[Sensitivity]) -> bool {
    let expected =
        grouping.groups.iter().enumerate().flat_map(|(index, group)| group.candidates.iter().map(move |candidate| (index, *candidate)));
    let missing = |(group, candidate): (usize, Candidate)| {
        widest[group] != candidate && !list.iter().any(|entry| entry.group == group && entry.candidate == candidate)
    };
    !expected.into_iter().any(missing) && list.iter().all(|entry| entry.group < grouping.groups.len())
}

/// Bytes of the file beside packed weights, at most: those of the network at its widest, and room for nodes that only narrow widths need.
fn overhead_bytes(
    graph: &crate::graph::Graph,
    grouping: &Grouping,
    bank: &Bank,
    widest: &[Candidate],
    output_bits: u8,
    input: &RawInput,
) -> Result<u64, CompileError> {
    const REPACKING_NODE_BYTES: usize = 128;
    let network = QuantizedNetwork::new(graph, grouping, bank, widest.to_vec(), output_bits);
    let lowered = lower(&network, input, Effort::quick())?;
    let reshapes = graph.nodes.iter().filter(|node| matches!(node.op, crate::graph::Op::Reshape)).count();
    Ok((lowered.file.len() - lowered.weights_bytes + reshapes * REPACKING_NODE_BYTES) as u64)
}
