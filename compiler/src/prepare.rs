//! A network measured and ready for the search: groups, quantizers, the sensitivity list and what assignments cost.
//!
//! `compile`, `pareto` and `sensitivity` start here; ranges are found once, whatever is evaluated afterwards.

use apq_lut::{Candidate, CostModel};
use apq_runtime::build::RawType;
use apq_search::{Budget, Estimator, Group, Quantity, Sensitivity};
use apq_targets::{ROW_MAJOR, Target};

use crate::compile::{CompileError, Data, Options, Progress, Stage};
use crate::cost::NetworkCosts;
use crate::data::{Dataset, Raw};
use crate::float::{Executor, Simulation};
use crate::graph::Op;
use crate::lower::{LowerError, Lowered, MemoryGoal, RawInput, lower};
use crate::network::Network;
use crate::plan::Effort;
use crate::quant::QuantizedNetwork;
use crate::quant::bank::{Bank, nearest};
use crate::quant::calibration::Calibration;
use crate::quant::correction::{self, Verdict};
use crate::quant::groups::Grouping;
use crate::quant::rounding::{Rounder, Rounding};
use crate::quant::sensitivity::{Measurement, Pieces, expanded, key, measured, quantizers_sha256};

/// Where finished sensitivity lists are kept.
pub trait ListStore {
    /// The list stored under `key`, in the order of groups and candidates.
    ///
    /// # Errors
    /// The user gave a list, and it is of something else: the text says what.
    fn load(&self, key: &str) -> Result<Option<Vec<Sensitivity>>, String>;
    /// Stores a list; its pieces are not needed any more.
    fn store(&self, key: &str, list: &[Sensitivity]);
    /// Where a list under `key` is kept while it grows.
    fn pieces(&self, key: &str) -> Box<dyn Pieces + '_> {
        let _ = key;
        Box::new(())
    }
}

impl ListStore for () {
    fn load(&self, _: &str) -> Result<Option<Vec<Sensitivity>>, String> {
        Ok(None)
    }
    fn store(&self, _: &str, _: &[Sensitivity]) {}
}

/// A calibrated network with every quantizer that an assignment may choose.
pub struct Prepared<'a> {
    /// What it is compiled for.
    pub target: &'a Target,
    /// The model.
    pub network: &'a Network,
    /// Its quantizer groups.
    pub grouping: Grouping,
    /// The same groups as the search sees them.
    pub groups: Vec<Group>,
    /// The widest candidate of each group.
    pub widest: Vec<Candidate>,
    /// The network in floats.
    pub executor: Executor<'a>,
    /// Calibration samples as the network takes them.
    pub samples: Vec<Vec<f32>>,
    /// The output of the float network as imported for each of them.
    pub reference_outputs: Vec<Vec<f32>>,
    /// Quantizers of every tensor and layer at every width.
    pub bank: Bank,
    /// The raw input that the lowered file takes.
    pub raw_input: RawInput,
    /// Width of the network's output.
    pub output_bits: u8,
    /// Whether a softmax at the end stays in the file.
    pub keep_softmax: bool,
    /// The budget for the arena: where a network passes it, its rows are streamed.
    pub arena_bytes_max: Option<usize>,
}

/// A sensitivity list and what it took.
pub struct MeasuredList {
    /// One entry for each candidate of each group except the widest.
    pub list: Vec<Sensitivity>,
    /// Samples run through the network, partly or wholly; 0 where the list came from the store.
    pub forward_passes: usize,
}

/// Largest relative difference between tract and our executor that rounding explains.
const IMPORT_TOLERANCE: f32 = 1e-3;

/// Samples on which the importer is checked against tract in every compilation.
const IMPORT_CHECKS: usize = 4;

impl<'a> Prepared<'a> {
    /// Checks the data, runs the calibration samples in floats, and finds all quantizers.
    ///
    /// # Errors
    /// The data do not fit, the target lacks a kernel, or the network is not what the float reference computes.
    pub fn new(
        network: &'a Network,
        target: &'a Target,
        data: &Data<'_>,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<Self, CompileError> {
        check_shape(network, data.calibration)?;
        if let Some(test) = data.test {
            check_samples(network, test)?;
        }
        let graph = &network.graph;
        let mut grouping = network.group(target, &options.candidates)?;
        if let Some(given) = options.search.assignment.as_ref().filter(|given| given.len() == grouping.groups.len()) {
            // No quantizer is needed at any other width.
            grouping.groups.iter_mut().zip(given).for_each(|(group, width)| group.candidates = vec![*width]);
        }
        let executor = Executor::new(graph);
        let samples: Vec<Vec<f32>> = (0..data.calibration.len()).map(|index| data.calibration.to_f32(index, data.preprocess)).collect();
        let reference_outputs = match &network.unpruned {
            None => check_import(network, &executor, &samples)?,
            Some(unpruned) => check_import(network, &Executor::new(unpruned), &samples)?,
        };
        progress.begin(Stage::Calibrate, 2 * samples.len());
        let calibration = Calibration::new(&executor, &samples, || progress.step());
        let layers = match options.rounding {
            // Widths that are known are rounded in order, once.
            method if method == Rounding::Nearest || options.search.assignment.is_some() => {
                nearest(graph, &grouping, options.weight_ranges)
            }
            method => {
                progress.begin(Stage::Round, graph.nodes.len());
                rounder(&executor, &grouping, &samples, method, options).alone(|| progress.step())
            }
        };
        let bank = Bank::new(graph, &grouping, options.output_bits, layers, |tensor, bits| {
            calibration.quantizer(tensor, bits, options.activation_ranges)
        });
        let group = |group: &crate::quant::groups::QuantizerGroup| Group { name: group.name.clone(), candidates: group.candidates.clone() };
        let groups: Vec<Group> = grouping.groups.iter().map(group).collect();
        Ok(Prepared {
            target,
            network,
            widest: groups.iter().filter_map(Group::widest).collect(),
            groups,
            grouping,
            executor,
            samples,
            reference_outputs,
            bank,
            raw_input: RawInput { raw: raw_type(data.calibration), preprocess: data.preprocess.clone() },
            output_bits: options.output_bits,
            keep_softmax: options.keep_softmax,
            arena_bytes_max: arena_bytes_max(&options.budgets),
        })
    }

    /// The sensitivity list by SQNR: from the store where it has a complete one, or measured and stored. `store` has the hash of everything that is
    /// known before calibration ([`Basis::prefix`](crate::quant::sensitivity::Basis::prefix)).
    ///
    /// # Errors
    /// The store refuses.
    pub fn sensitivity(
        &self,
        estimator: Estimator,
        store: (&dyn ListStore, &str),
        progress: &dyn Progress,
    ) -> Result<MeasuredList, CompileError> {
        let key = key(store.1, &quantizers_sha256(&self.bank));
        if let Some(list) = store.0.load(&key).map_err(CompileError::List)?.filter(|list| complete(&self.grouping, &self.widest, list)) {
            return Ok(MeasuredList { list, forward_passes: 0 });
        }
        progress.begin(Stage::Sensitivity, self.samples.len());
        let measured = measured(&self.grouping, &self.widest);
        let measurement = Measurement::sqnr(&self.executor, &self.grouping, &self.bank, estimator, &measured);
        let values = measurement.run(&self.samples, &*store.0.pieces(&key), &|| progress.step());
        let list = expanded(&self.grouping, &measured, &values);
        store.0.store(&key, &list);
        Ok(MeasuredList { list, forward_passes: self.samples.len() * (1 + measured.len()) })
    }

    /// What assignments cost. RAM is planned for each assignment only where `plan_ram` says so, and 0 otherwise.
    ///
    /// # Errors
    /// The cost model lacks an entry, or the widest assignment cannot be lowered.
    pub fn costs(&self, model: Option<&dyn CostModel>, plan_ram: bool) -> Result<NetworkCosts<'_>, CompileError> {
        let overhead = self.overhead_bytes()?;
        Ok(NetworkCosts::new(&self.network.graph, &self.grouping, &self.bank, self.output_bits, (self.target, model), overhead, plan_ram)?
            .streaming_below(self.arena_bytes_max))
    }

    /// The network with that width for each group as it is shipped: layers rounded once more with the inputs that they really get, or, where weights
    /// are rounded to nearest, with its biases corrected where held-out samples say so.
    pub fn finished(
        &self,
        assignment: Vec<Candidate>,
        options: &Options,
        progress: &dyn Progress,
    ) -> (QuantizedNetwork<'_>, Option<Verdict>) {
        let mut network = self.quantized(assignment);
        let verdict = match options.rounding {
            // Biases that the model rounded are taken as they are.
            Rounding::Nearest if options.bias_correction && !network.graph.is_quantized() => {
                progress.begin(Stage::Correct, 0);
                correction::correct(&self.executor, &mut network, &self.samples)
            }
            Rounding::Nearest => None,
            method => {
                progress.begin(Stage::Round, network.graph.nodes.len());
                rounder(&self.executor, &self.grouping, &self.samples, method, options).in_order(&mut network, || progress.step());
                None
            }
        };
        (network, verdict)
    }

    /// The network with that width for each group, layers as in the bank.
    pub fn quantized(&self, assignment: Vec<Candidate>) -> QuantizedNetwork<'_> {
        QuantizedNetwork::new(&self.network.graph, &self.grouping, &self.bank, assignment, self.output_bits)
    }

    /// The files of a network: the one that ends at the logits with weights for this machine, on which everything is measured, and the one that is
    /// shipped, where that is another: with the softmax, or with weights arranged for the target's kernels.
    ///
    /// # Errors
    /// The network cannot be lowered.
    pub fn lowered<'n>(&'n self, network: &mut QuantizedNetwork<'n>) -> Result<(Lowered, Option<Lowered>), LowerError> {
        let shipped_goal = MemoryGoal { effort: Effort::default(), arena_bytes_max: self.arena_bytes_max };
        if !self.keep_softmax && self.target.kernels().iter().all(|row| row.arrangement == ROW_MAJOR) {
            return Ok((lower(network, &self.raw_input, shipped_goal)?, None));
        }
        let logits = lower(network, &self.raw_input, Effort::default())?;
        (network.keep_softmax, network.layout) = (self.keep_softmax, Some(self.target));
        let shipped = lower(network, &self.raw_input, shipped_goal)?;
        (network.keep_softmax, network.layout) = (false, None);
        Ok((logits, Some(shipped)))
    }

    /// Bytes of the file beside packed weights, at most: those of the network at its widest, and room for nodes that only narrow widths need.
    fn overhead_bytes(&self) -> Result<u64, CompileError> {
        const REPACKING_NODE_BYTES: usize = 128;
        let mut network = self.quantized(self.widest.clone());
        (network.keep_softmax, network.layout) = (self.keep_softmax, Some(self.target));
        let lowered = lower(&network, &self.raw_input, Effort::quick())?;
        let reshapes = self.network.graph.nodes.iter().filter(|node| matches!(node.op, Op::Reshape)).count();
        Ok((lowered.file.len() - lowered.weights_bytes + reshapes * REPACKING_NODE_BYTES) as u64)
    }
}

/// The smallest budget for the arena.
fn arena_bytes_max(budgets: &[Budget]) -> Option<usize> {
    let limits = budgets.iter().filter(|budget| budget.quantity == Quantity::Ram).map(|budget| budget.limit);
    limits.min().map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

fn rounder<'a>(
    executor: &'a Executor<'a>,
    grouping: &'a Grouping,
    samples: &'a [Vec<f32>],
    method: Rounding,
    options: &'a Options,
) -> Rounder<'a> {
    Rounder { executor, grouping, samples, method, rule: options.weight_ranges, seed: options.seed, cache: options.layer_cache.as_ref() }
}

/// The element type of raw samples, for which the file gets its input table.
pub fn raw_type(data: &Dataset) -> RawType {
    match data.raw() {
        Raw::U8(_) => RawType::U8,
        Raw::I8(_) => RawType::I8,
        Raw::F32(_) => RawType::F32,
    }
}

/// Checks that samples and their labels fit a network.
///
/// # Errors
/// They do not.
pub fn check_samples(network: &Network, data: &Dataset) -> Result<(), CompileError> {
    check_shape(network, data)?;
    check_labels(network, data)
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
    let float = Simulation::float(executor.graph());
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
