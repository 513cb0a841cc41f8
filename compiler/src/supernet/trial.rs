//! Designs tried for real: cut out of the supernet, measured anew, quantized, lowered, and run as integers.

use std::cmp::Ordering;

use apq_lut::Candidate;
use apq_onnx::supernet::{Subnet, Supernet, SupernetError};
use apq_runtime::{Arithmetic, Model};
use apq_search::space::{Architecture, BlockBits, Design, Policy, Space};
use apq_search::{Excess, Totals};
use apq_targets::Target;

use super::search::Proposal;
use super::{FloatSubnet, Images, calibrate};
use crate::compile::{CompileError, Data, Options, Progress, Stage};
use crate::data::Dataset;
use crate::evaluate::{quality, run_integer};
use crate::lower::LowerError;
use crate::network::Network;
use crate::prepare::Prepared;
use crate::quant::groups::Grouping;

/// Why a design could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The architecture, or statistics that are not finite.
    #[error(transparent)]
    Supernet(#[from] SupernetError),
    /// Quantizing, lowering or running it.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// What every trial needs.
pub struct Bench<'a> {
    supernet: &'a Supernet,
    target: &'a Target,
    data: Data<'a>,
    calibration: Images,
    /// Labelled samples, as they are and as images, on which designs are compared.
    validation: Option<(&'a Dataset, Images)>,
    options: &'a Options,
    /// Multiply-accumulates to which relative bit operations refer: those of the largest network.
    macs: u64,
}

/// A subnet whose norms have been measured, ready to be compiled.
pub struct Extracted {
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// What it computes; relative bit operations refer to the largest network of the space.
    pub network: Network,
    subnet: Subnet,
}

/// What a design was worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Accuracy of the subnet in floats on the validation samples, where there are labels.
    pub float_accuracy: Option<f64>,
    /// Accuracy as integers.
    pub accuracy: Option<f64>,
    /// Bytes of the file.
    pub flash_bytes: u64,
    /// Bytes of the arena.
    pub ram_bytes: u64,
}

impl<'a> Bench<'a> {
    /// `validation` are labelled samples; without labels nothing is measured on them. `macs` are those of the largest network.
    pub fn new(
        supernet: &'a Supernet,
        target: &'a Target,
        data: Data<'a>,
        validation: Option<&'a Dataset>,
        options: &'a Options,
        macs: u64,
    ) -> Bench<'a> {
        let images = |samples: &Dataset| Images::new(samples, data.preprocess);
        let calibration = images(data.calibration);
        let validation = validation.filter(|samples| samples.labels().is_some()).map(|samples| (samples, images(samples)));
        Bench { supernet, target, data, calibration, validation, options, macs }
    }

    /// Cuts a subnet and measures its norms.
    ///
    /// # Errors
    /// The architecture is not of the space, or a statistic is not finite.
    pub fn extract(&self, architecture: &Architecture) -> Result<Extracted, TrialError> {
        let mut subnet = self.supernet.extract(architecture)?;
        calibrate(&mut subnet, &self.calibration)?;
        let onnx = subnet.to_onnx();
        let mut network = Network::load(&onnx, "subnet", None, |_, _, _| ()).map_err(CompileError::from)?;
        network.macs = self.macs;
        network.searched = true;
        Ok(Extracted { onnx, network, subnet })
    }

    /// The options by which a subnet is compiled at the widths of a policy.
    ///
    /// # Errors
    /// The target lacks a kernel.
    pub fn options(&self, network: &Network, policy: &Policy) -> Result<Options, TrialError> {
        let space = self.supernet.space();
        let mut options = self.options.clone();
        options.candidates = widths(space, policy);
        let grouping = network.group(self.target, &options.candidates).map_err(CompileError::from)?;
        options.search.assignment = Some(assignment(&grouping, space, policy));
        Ok(options)
    }

    /// Tries a design.
    ///
    /// # Errors
    /// The design is not of the space, or cannot be lowered.
    pub fn try_out(&self, design: &Design) -> Result<Trial, TrialError> {
        let extracted = self.extract(&design.architecture)?;
        self.try_extracted(&extracted, &design.policy)
    }

    /// Tries the widths of a policy on its subnet.
    ///
    /// # Errors
    /// The network cannot be lowered.
    pub fn try_extracted(&self, extracted: &Extracted, policy: &Policy) -> Result<Trial, TrialError> {
        let options = self.options(&extracted.network, policy)?;
        self.try_assigned(extracted, &options)
    }

    /// Tries the widths that the options give.
    ///
    /// # Errors
    /// The network cannot be lowered.
    pub fn try_assigned(&self, extracted: &Extracted, options: &Options) -> Result<Trial, TrialError> {
        let data = Data { test: None, ..self.data };
        let prepared = Prepared::new(&extracted.network, self.target, &data, options, &())?;
        let assignment = options.search.assignment.clone().unwrap_or_else(|| prepared.widest.clone());
        let (mut quantized, _) = prepared.finished(assignment, options, &());
        let (logits, kept) = prepared.lowered(&mut quantized).map_err(CompileError::from)?;
        let shipped = kept.as_ref().unwrap_or(&logits);
        let mut trial = Trial {
            float_accuracy: None,
            accuracy: None,
            flash_bytes: shipped.file.len() as u64,
            ram_bytes: shipped.spec.arena_bytes as u64,
        };
        if let Some((samples, images)) = &self.validation {
            let file = Model::new_checked(&logits.file).map_err(LowerError::Refused).map_err(CompileError::from)?;
            let outputs = run_integer(&file, Arithmetic::Native, samples, || ()).map_err(CompileError::from)?;
            trial.accuracy = quality(&outputs, samples.labels(), None).accuracy_top1;
            trial.float_accuracy = samples.labels().map(|labels| FloatSubnet::new(&extracted.subnet).accuracy(images, labels));
        }
        Ok(trial)
    }
}

/// All widths of a policy and those of the layers around the blocks, each once.
fn widths(space: &Space, policy: &Policy) -> Vec<Candidate> {
    let of_blocks = policy.0.iter().flatten().flat_map(|bits| [bits.pointwise, bits.depthwise]);
    let mut widths: Vec<Candidate> = of_blocks.chain([space.fixed]).collect();
    widths.sort_unstable();
    widths.dedup();
    widths
}

/// The width of each group of a subnet under a policy, in graph order.
pub fn assignment(grouping: &Grouping, space: &Space, policy: &Policy) -> Vec<Candidate> {
    let blocks = space.blocks();
    let of_group = |name: &str| {
        let (block, part) = name.rsplit_once('.')?;
        let index = blocks.iter().position(|of| of.name() == block)?;
        let BlockBits { pointwise, depthwise } = policy.0.get(index).copied().flatten()?;
        Some(if part == "depthwise" { depthwise } else { pointwise })
    };
    grouping.groups.iter().map(|group| of_group(&group.name).unwrap_or(space.fixed)).collect()
}

/// A design that was tried.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What was proposed.
    pub proposal: Proposal,
    /// What it was worth.
    pub trial: Trial,
    /// Whether its lowered network meets every budget.
    pub feasible: bool,
    /// How far its lowered network is from meeting them.
    pub excess: Excess,
}

impl Bench<'_> {
    /// Tries every proposal.
    ///
    /// # Errors
    /// As [`Bench::try_out`].
    pub fn check(&self, proposals: &[Proposal], progress: &dyn Progress) -> Result<Vec<Checked>, TrialError> {
        progress.begin(Stage::Check, proposals.len());
        let check = |proposal: &Proposal| {
            let trial = self.try_out(&proposal.design)?;
            progress.step();
            let totals = Totals { flash_bytes: trial.flash_bytes, ram_bytes: trial.ram_bytes, ..proposal.totals };
            let feasible = self.options.budgets.iter().all(|budget| budget.met(&totals));
            Ok(Checked { proposal: proposal.clone(), trial, feasible, excess: Excess::of(&self.options.budgets, &totals) })
        };
        proposals.iter().map(check).collect()
    }
}

/// The place of the best: of those that meet the budgets, the one with the highest measured accuracy; of equal ones, the one with the highest prediction. Where
/// none meets them, the one that comes nearest.
pub fn best(checked: &[Checked]) -> Option<usize> {
    let better = |a: &Checked, b: &Checked| {
        let nearer = if a.feasible || b.feasible { Ordering::Equal } else { b.excess.cmp(&a.excess) };
        let accuracy = |one: &Checked| one.trial.accuracy.unwrap_or(0.0);
        let merit = nearer.then(accuracy(a).total_cmp(&accuracy(b))).then(a.proposal.predicted.total_cmp(&b.proposal.predicted));
        a.feasible.cmp(&b.feasible).then(merit).is_gt()
    };
    (0..checked.len()).reduce(|best, index| if better(&checked[index], &checked[best]) { index } else { best })
}

/// Largest relative difference between a supernet's nodes and its space that rounding explains.
const TOLERANCE: f32 = 1e-3;

/// Images on which they are compared.
const IMAGES: usize = 2;

/// Whether the nodes of a supernet's file compute the largest network of its space; where not, the largest difference between their outputs.
///
/// # Errors
/// The file cannot be run.
pub fn check_nodes(supernet: &Supernet, nodes: &Network, data: &Data<'_>) -> Result<Option<f32>, TrialError> {
    let subnet = supernet.extract(&supernet.space().largest())?;
    let images = data.calibration.clone().take(IMAGES);
    let ours = FloatSubnet::new(&subnet).outputs(&Images::new(&images, data.preprocess));
    let reference = nodes.reference().map_err(CompileError::from)?;
    for (index, ours) in ours.iter().enumerate() {
        let theirs = reference.run(&images.to_f32(index, data.preprocess)).map_err(CompileError::from)?;
        let largest = theirs.iter().fold(1.0_f32, |largest, v| largest.max(v.abs()));
        let difference = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if ours.len() != theirs.len() || difference.is_nan() || difference > TOLERANCE * largest {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}
