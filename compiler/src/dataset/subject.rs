//! One architecture, ready to be quantized at the bit widths of many policies, without what only a report needs.
//!
//! Ranges and rounded weights are found once for each tensor, layer and width, and only for widths that a policy asks for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use apq_lut::Candidate;
use apq_onnx::supernet::Subnet;
use apq_runtime::{Arithmetic, Model};
use apq_search::space::{Policy, Space};

use super::graph::subnet_graph;
use crate::compile::CompileError;
use crate::data::Dataset;
use crate::evaluate::{run_integer, top1};
use crate::float::Executor;
use crate::graph::{Graph, Node};
use crate::lower::{LowerError, Lowered, RawInput, lower};
use crate::network::NetworkError;
use crate::plan::Effort;
use crate::quant::QuantizedNetwork;
use crate::quant::bank::{Bank, RoundedLayer};
use crate::quant::calibration::Calibration;
use crate::quant::correction::correct;
use crate::quant::groups::{Grouping, group};
use crate::quant::ranges::{ActivationQuantizer, RangeRule};
use crate::quant::rounding::{Rounder, Rounding};
use crate::supernet::assignment;

/// Width of a network's output.
const OUTPUT_BITS: u8 = 8;

/// How networks are quantized where many of them are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantization {
    /// Rule for the ranges of weights.
    pub weight_ranges: RangeRule,
    /// Rule for the ranges of activations.
    pub activation_ranges: RangeRule,
    /// How weights are rounded.
    pub rounding: Rounding,
    /// Whether biases are corrected where weights are rounded to nearest and held-out samples improve.
    pub bias_correction: bool,
    /// Of rounding that is learned.
    pub seed: u64,
}

/// An architecture with the distributions of its tensors.
pub struct Subject<'s> {
    space: Space,
    graph: Graph,
    grouping: Grouping,
    calibration: Calibration,
    samples: &'s [Vec<f32>],
    quantization: Quantization,
    activations: Memo<ActivationQuantizer>,
    layers: Memo<Arc<RoundedLayer>>,
}

impl<'s> Subject<'s> {
    /// Runs the calibration samples, as the network takes them, in floats. The subnet's norms have been calibrated.
    ///
    /// # Errors
    /// A bug: subnets are checked when they are made.
    pub fn new(subnet: &Subnet, samples: &'s [Vec<f32>], quantization: Quantization) -> Result<Subject<'s>, CompileError> {
        Subject::of_graph(subnet_graph(subnet).map_err(NetworkError::from)?, subnet.space(), samples, quantization)
    }

    /// The same for the graph of a subnet of `space`.
    ///
    /// # Errors
    /// A layer of the graph has no group.
    pub fn of_graph(graph: Graph, space: &Space, samples: &'s [Vec<f32>], quantization: Quantization) -> Result<Subject<'s>, CompileError> {
        let grouping = group(&graph, &[space.fixed], |_, _| true)?;
        let calibration = Calibration::new(&Executor::new(&graph), samples, || ());
        Ok(Subject {
            space: space.clone(),
            grouping,
            calibration,
            samples,
            quantization,
            activations: Memo::default(),
            layers: Memo::default(),
            graph,
        })
    }

    /// The width of each group, in the order of the graph, under a policy of this architecture.
    pub fn assignment(&self, policy: &Policy) -> Vec<Candidate> {
        assignment(&self.grouping, &self.space, policy)
    }

    /// The file of the network at a policy's widths.
    ///
    /// # Errors
    /// The network cannot be lowered.
    pub fn lowered(&self, policy: &Policy, input: &RawInput) -> Result<Lowered, CompileError> {
        let assignment = self.assignment(policy);
        let mut grouping = self.grouping.clone();
        for (group, candidate) in grouping.groups.iter_mut().zip(&assignment) {
            group.candidates = vec![*candidate];
        }
        let Quantization { weight_ranges, activation_ranges, rounding, bias_correction, seed } = self.quantization;
        let executor = Executor::new(&self.graph);
        let (graph, samples) = (&self.graph, self.samples);
        let rounder =
            Rounder { executor: &executor, grouping: &grouping, samples, method: rounding, rule: weight_ranges, seed, cache: None };
        let nearest = |(node, of): (usize, &Node)| {
            let Some(float) = of.op.weights() else { return BTreeMap::new() };
            let round = |bits| self.layers.get((node, bits), || Arc::new(RoundedLayer::nearest(float, bits, weight_ranges)));
            grouping.weight_bits(node).into_iter().map(|bits| (bits, round(bits))).collect()
        };
        let layers = match rounding {
            Rounding::Nearest => graph.nodes.iter().enumerate().map(nearest).collect(),
            _ => rounder.alone(|| ()),
        };
        let bank = Bank::new(graph, &grouping, OUTPUT_BITS, layers, |tensor, bits| {
            self.activations.get((tensor, bits), || self.calibration.quantizer(tensor, bits, activation_ranges))
        });
        let mut network = QuantizedNetwork::new(graph, &grouping, &bank, assignment, OUTPUT_BITS);
        // Inputs of the layers around the blocks are not among what a narrow width could be given to.
        network.in_bytes = self.space.fixed.activation_bits >= 8;
        match rounding {
            Rounding::Nearest if bias_correction => {
                correct(&executor, &mut network, samples);
            }
            Rounding::Nearest => {}
            _ => rounder.in_order(&mut network, || ()),
        }
        Ok(lower(&network, input, Effort::quick())?)
    }

    /// Share of the samples whose label is the network's top class, on the integer runtime.
    ///
    /// # Errors
    /// The network cannot be lowered, or does not take the samples.
    pub fn accuracy(&self, policy: &Policy, input: &RawInput, data: &Dataset) -> Result<f64, CompileError> {
        accuracy(&self.lowered(policy, input)?, data)
    }
}

/// Share of the samples whose label is the top class of a lowered network.
///
/// # Errors
/// The network does not take the samples.
pub fn accuracy(lowered: &Lowered, data: &Dataset) -> Result<f64, CompileError> {
    let file = Model::new_checked(&lowered.file).map_err(LowerError::Refused)?;
    let outputs = run_integer(&file, Arithmetic::Native, data, || ())?;
    let labels = data.labels().unwrap_or_default();
    let hits = outputs.iter().zip(labels).filter(|(output, label)| top1(output) == **label as usize).count();
    Ok(hits as f64 / outputs.len().max(1) as f64)
}

/// Values by tensor or node and width, each found once; where two threads ask at a time, both find the same.
struct Memo<T>(Mutex<BTreeMap<(usize, u8), T>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Memo(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    fn get(&self, key: (usize, u8), find: impl FnOnce() -> T) -> T {
        // A poisoned lock still holds right entries.
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known().get(&key) {
            return value.clone();
        }
        // Without the lock: finding may run other work of the thread pool.
        let value = find();
        known().entry(key).or_insert(value).clone()
    }
}
