//! Channel pruning of ordinary networks, without training.
//!
//! [`mod@classes`] and [`sets`] find which channels can only go together and rank them, [`mod@slice`] takes them out and [`checker`] proves on real inputs that
//! what is left computes what the network computes with those channels zeroed out. [`losses`] measures what the pruning of each set does at the output;
//! [`search`] chooses widths and bit widths together under the budgets, with the costs of [`costs`]. The remaining weights are fitted to the float
//! activations of the unpruned network, and the result goes through the pipeline like any network. What it is worth as integers decides, the unpruned
//! network being one of those that are compared: without training, narrower layers often lose to fewer bits.

pub mod checker;
pub mod classes;
pub mod costs;
pub mod losses;
pub mod search;
pub mod sets;
pub mod slice;
#[cfg(test)]
mod tests;

use std::time::Instant;

use apq_lut::{Candidate, CostModel};
use apq_search::{Budget, Excess, Quantity, Sensitivity, Totals};
use apq_targets::Target;
use rayon::prelude::*;

use crate::compile::{CompileError, Compiled, Data, ListStore, Options, Progress, Stage, Unjudged, unjudged};
use crate::evaluate::quality;
use crate::float::{Executor, Simulation};
use crate::graph::Graph;
use crate::network::{Network, NetworkError};
use crate::quant::groups::Grouping;
use crate::quant::rounding::{RIDGES, refitted};
use costs::PruningCosts;
use losses::{Losses, every_other};
use search::Joint;
use sets::Prunable;
use slice::Sliced;

/// What is compiled, as for [`compile`](crate::compile::compile).
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The network, not pruned.
    pub network: &'a Network,
    /// What for.
    pub target: &'a Target,
    /// The target's cost model, where it has one.
    pub model: Option<&'a dyn CostModel>,
    /// Samples.
    pub data: &'a Data<'a>,
    /// Budgets and the rest; at least one budget.
    pub options: &'a Options,
    /// Where sensitivity lists are kept, and the hash of what is known before calibration.
    pub store: (&'a dyn ListStore, &'a str),
    /// Told about progress.
    pub progress: &'a dyn Progress,
}

/// A compilation with pruning.
pub struct Outcome {
    /// The best of what was tried.
    pub compiled: Compiled,
    /// The network that was compiled, where channels were pruned.
    pub network: Option<Network>,
    /// What was pruned, and what else was tried.
    pub pruning: Pruning,
}

/// What was pruned.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruning {
    /// The sets of channels in graph order.
    pub sets: Vec<SetOutcome>,
    /// The unpruned network first, then the pruned ones in the order in which they were tried.
    pub tried: Vec<Tried>,
    /// Which of them is the result.
    pub chosen: usize,
    /// Whether the result meets every budget on the calibration samples, and a task budget not on those of them that judge the fit of its weights.
    pub misses_unfitted: bool,
}

/// One set of channels and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SetOutcome {
    /// Name of the first layer that makes its channels.
    pub name: String,
    /// Names of the layers that make its channels.
    pub layers: Vec<String>,
    /// Channels in the imported network.
    pub width_before: usize,
    /// Channels in the result.
    pub width_after: usize,
    /// Why it cannot be pruned, where it cannot.
    pub kept: Option<String>,
}

/// One network that was compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Channels of each set.
    pub widths: Vec<usize>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Weights and biases.
    pub parameters: usize,
    /// The pruned network in floats against the unpruned one; `None` for the unpruned one.
    pub float: Option<FloatWorth>,
    /// Costs of the lowered file.
    pub totals: Totals,
    /// SQNR of the integers against the unpruned float network over the calibration samples, in dB.
    pub sqnr_db: f64,
    /// The same, less what the fit flatters itself on the samples that it was made for: what decides.
    pub judged_sqnr_db: f64,
    /// Whether every budget is met; what a task budget asks of the calibration samples also on those that were not fitted.
    pub feasible: bool,
}

/// SQNR of a pruned network in floats against the unpruned one, in dB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloatWorth {
    /// On all calibration samples, before its weights were fitted.
    pub zeroed: f64,
    /// On all calibration samples, fitted to all of them.
    pub fitted: f64,
    /// Fitted to half of the samples, on the other half.
    pub held_out: f64,
    /// Share of that other half with the unpruned network's top class.
    pub held_out_agreement: f64,
}

/// The network as it is, compiled: where the joint search begins.
pub struct Unpruned {
    /// Its groups.
    pub grouping: Grouping,
    /// What narrowing them costs.
    pub list: Vec<Sensitivity>,
    /// Their widest candidates.
    pub widest: Vec<Candidate>,
    /// What was chosen for them.
    pub assignment: Vec<Candidate>,
    /// Costs of that.
    pub totals: Totals,
    /// Packed weights of that.
    pub weights_bytes: u64,
}

/// How much worse than measured pruning is taken to be, for the networks that are tried under efficiency budgets.
const CAUTIONS: [f64; 3] = [1.0, 4.0, 16.0];

/// Bit operations of the networks that are tried under task budgets, as parts of those of the unpruned result.
const SHARES: [f64; 5] = [0.85, 0.7, 0.55, 0.4, 0.3];

/// Networks in succession that bring nothing, before the task search ends.
const MISSES_MAX: usize = 2;

/// Calibration samples without which nothing is pruned: some are fitted, others judge.
const SAMPLES_MIN: usize = 2;

/// Inputs on which a pruned network is compared with the zeroed one.
const CHECKED: usize = 2;

/// Compiles a network with and without pruning, and keeps what is best: under task budgets, of those that meet all budgets, the one with the fewest bit
/// operations; else the one with the highest SQNR on the calibration samples, less what a fit flatters itself there.
///
/// # Errors
/// As [`compile`](crate::compile::compile).
pub fn compile(job: &Job<'_>) -> Result<Outcome, CompileError> {
    let start = Instant::now();
    let graph = &job.network.graph;
    let mut search = Search::new(job)?;
    if search.prunable.sets.iter().any(|set| set.kept.is_none()) && search.samples.len() >= SAMPLES_MIN {
        search.under_efficiency_budgets()?;
        search.under_task_budgets()?;
    }
    let Search { prunable, tried, mut best, .. } = search;
    let network = best.network.as_ref().unwrap_or(job.network);
    best.unjudged.judge(network, job.data, job.progress)?;
    let mut compiled = best.unjudged.compiled;
    // A task budget has to be met on samples that were not fitted, too.
    let holds = tried.get(best.index).is_none_or(|tried| tried.feasible);
    let misses_unfitted = compiled.feasible && !holds;
    compiled.feasible &= holds;
    compiled.evaluations += tried.len() - 1;
    compiled.seconds.total = start.elapsed().as_secs_f64();
    let widths = tried.get(best.index).map_or_else(Vec::new, |tried| tried.widths.clone());
    let name = |node: &crate::graph::NodeId| graph.nodes[node.0].name.clone();
    let outcome = |(set, width): (&sets::ChannelSet, usize)| SetOutcome {
        name: set.name.clone(),
        layers: set.makers.iter().map(name).collect(),
        width_before: set.width(),
        width_after: width,
        kept: set.kept.as_ref().map(ToString::to_string),
    };
    let sets = prunable.sets.iter().zip(widths).map(outcome).collect();
    Ok(Outcome { compiled, network: best.network, pruning: Pruning { sets, tried, chosen: best.index, misses_unfitted } })
}

/// A compiled network and its place among those tried.
struct Best {
    unjudged: Unjudged,
    network: Option<Network>,
    index: usize,
}

struct Search<'a> {
    job: &'a Job<'a>,
    executor: Executor<'a>,
    samples: Vec<Vec<f32>>,
    reference: Vec<Vec<f32>>,
    prunable: Prunable,
    unpruned: Unpruned,
    losses: Option<Losses>,
    tried: Vec<Tried>,
    best: Best,
}

impl<'a> Search<'a> {
    /// Compiles the network as it is.
    fn new(job: &'a Job<'a>) -> Result<Search<'a>, CompileError> {
        let graph = &job.network.graph;
        let unjudged = run(job, job.network)?;
        let prunable = Prunable::new(graph);
        let data = job.data.calibration;
        let samples: Vec<Vec<f32>> = (0..data.len()).map(|index| data.to_f32(index, job.data.preprocess)).collect();
        let executor = Executor::new(graph);
        let reference = outputs(&executor, &samples);
        let compiled = &unjudged.compiled;
        let tried = vec![tried(prunable.widths(), graph, (compiled, job.options), None)];
        let unpruned = Unpruned {
            grouping: compiled.grouping.clone(),
            list: compiled.list.clone(),
            widest: compiled.widest.clone(),
            assignment: compiled.assignment.clone(),
            totals: compiled.totals,
            weights_bytes: compiled.node_costs.iter().flatten().map(|cost| cost.weights_bytes).sum(),
        };
        let best = Best { unjudged, network: None, index: 0 };
        Ok(Search { job, executor, samples, reference, prunable, unpruned, losses: None, tried, best })
    }

    /// The widths that the joint search finds under some budgets at each of some cautions: those that prune and have not been tried.
    fn designs(&mut self, budgets: &[Budget], cautions: &[f64]) -> Result<Vec<Vec<usize>>, CompileError> {
        let Job { network, target, model, progress, .. } = *self.job;
        let (prunable, unpruned, samples) = (&self.prunable, &self.unpruned, self.samples.len());
        let losses = self.losses.get_or_insert_with(|| {
            progress.begin(Stage::Prune, Losses::judges(samples));
            Losses::measure(&self.executor, prunable, &self.samples, || progress.step())
        });
        let with_ram = budgets.iter().any(|budget| budget.quantity == Quantity::Ram);
        let mut costs = PruningCosts::new((&network.graph, prunable), unpruned, (target, model), with_ram);
        let mut found = Vec::new();
        for caution in cautions {
            let joint = Joint { prunable, losses, unpruned, budgets, caution: *caution };
            let (design, _) = joint.run(&mut costs)?;
            if !found.contains(&design.widths) && !self.tried.iter().any(|tried| tried.widths == design.widths) {
                found.push(design.widths);
            }
        }
        Ok(found)
    }

    fn under_efficiency_budgets(&mut self) -> Result<(), CompileError> {
        let budgets = &self.job.options.budgets;
        if budgets.is_empty() {
            return Ok(());
        }
        for widths in self.designs(budgets, &CAUTIONS)? {
            self.attempt(widths)?;
        }
        Ok(())
    }

    /// Fewer and fewer bit operations, as long as that brings something.
    fn under_task_budgets(&mut self) -> Result<(), CompileError> {
        let options = self.job.options;
        if options.search.task.budgets.is_empty() || !self.best.unjudged.compiled.feasible {
            return Ok(());
        }
        let bops = self.best.unjudged.compiled.totals.bops;
        let mut misses = 0;
        for share in SHARES {
            let limit = Budget { quantity: Quantity::Bops, limit: (bops as f64 * share) as u64 };
            let designs = self.designs(&[options.budgets.as_slice(), &[limit]].concat(), &CAUTIONS[..1])?;
            let mut better = false;
            for widths in designs {
                better |= self.attempt(widths)?;
            }
            misses = if better { 0 } else { misses + 1 };
            if misses == MISSES_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Prunes to these widths, compiles, and keeps the result if it is the best so far. Whether it is.
    fn attempt(&mut self, widths: Vec<usize>) -> Result<bool, CompileError> {
        let (job, graph) = (self.job, &self.job.network.graph);
        let gone = self.prunable.gone(&widths);
        let inconsistent = |error| CompileError::Network(NetworkError::Inconsistent(error));
        let sliced = slice::sliced(graph, &self.prunable.classes, &gone).map_err(inconsistent)?;
        for sample in self.samples.iter().take(CHECKED) {
            checker::check(graph, &sliced.graph, &sliced.left, sample).map_err(|fault| CompileError::Check(fault.to_string()))?;
        }
        let (fitted, worth) = self.fitted(&sliced);
        let network = job.network.pruned(fitted);
        let unjudged = run(job, &network)?;
        let tried = tried(widths, &network.graph, (&unjudged.compiled, job.options), Some(worth));
        let better = self.tried.get(self.best.index).is_none_or(|best| is_better(&tried, best, job.options));
        self.tried.push(tried);
        if better {
            self.best = Best { unjudged, network: Some(network), index: self.tried.len() - 1 };
        }
        Ok(better)
    }
}

impl Search<'_> {
    /// The weights that are left fitted to all samples, with the ridge that is best where half of them are fitted and the others judge.
    fn fitted(&self, sliced: &Sliced) -> (Graph, FloatWorth) {
        let pruned = (&sliced.graph, sliced.left.as_slice());
        let progress = self.job.progress;
        let fit = |samples: &[Vec<f32>], ridge: f64| {
            progress.begin(Stage::Prune, sliced.graph.nodes.len());
            refitted(&self.executor, pruned, samples, ridge, || progress.step())
        };
        let worth = |graph: &Graph, samples: &[Vec<f32>], reference: &[Vec<f32>]| {
            let quality = quality(&outputs(&Executor::new(graph), samples), None, Some(reference));
            (quality.sqnr_db.unwrap_or(f64::NEG_INFINITY), quality.agreement.unwrap_or(0.0))
        };
        let seen = every_other(&self.samples, 0);
        let (judges, judged) = (every_other(&self.samples, 1), every_other(&self.reference, 1));
        let mut best = (f64::NEG_INFINITY, 0.0, RIDGES[0]);
        for ridge in RIDGES {
            let (sqnr_db, agreement) = worth(&fit(&seen, ridge), &judges, &judged);
            if sqnr_db > best.0 {
                best = (sqnr_db, agreement, ridge);
            }
        }
        let fitted = fit(&self.samples, best.2);
        let worth = FloatWorth {
            zeroed: worth(&sliced.graph, &self.samples, &self.reference).0,
            fitted: worth(&fitted, &self.samples, &self.reference).0,
            held_out: best.0,
            held_out_agreement: best.1,
        };
        (fitted, worth)
    }
}

fn run(job: &Job<'_>, network: &Network) -> Result<Unjudged, CompileError> {
    unjudged(network, job.target, job.model, job.data, job.options, job.store, job.progress)
}

fn outputs(executor: &Executor<'_>, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let float = Simulation::float(executor.graph());
    samples.par_iter().map(|sample| executor.run(&float, sample)).collect()
}

fn tried(widths: Vec<usize>, graph: &Graph, (compiled, options): (&Compiled, &Options), float: Option<FloatWorth>) -> Tried {
    let weights = graph.nodes.iter().filter_map(|node| node.op.weights());
    let noise = |db: f64| 10f64.powf(-db / 10.0);
    let flattered = float.map_or(0.0, |worth| (noise(worth.held_out) - noise(worth.fitted)).max(0.0));
    let judged_sqnr_db = -10.0 * (noise(compiled.calibration_sqnr_db) + flattered).log10();
    let task = &options.search.task.budgets;
    let holds = task.sqnr_db_min.is_none_or(|least| judged_sqnr_db >= least)
        && task.agreement_min.zip(float).is_none_or(|(least, worth)| worth.held_out_agreement >= least);
    Tried {
        widths,
        macs: graph.total_macs(),
        parameters: weights.map(|weights| weights.values.len() + weights.outputs()).sum(),
        float,
        totals: compiled.totals,
        sqnr_db: compiled.calibration_sqnr_db,
        judged_sqnr_db: if float.is_some() { judged_sqnr_db } else { compiled.calibration_sqnr_db },
        feasible: compiled.feasible && (float.is_none() || holds),
    }
}

/// Whether `one` is better than `other`; an equal one is not.
fn is_better(one: &Tried, other: &Tried, options: &Options) -> bool {
    if one.feasible != other.feasible {
        return one.feasible;
    }
    let nearer = || {
        let [one, other] = [one, other].map(|tried| Excess::of(&options.budgets, &tried.totals));
        (one != other).then_some(one < other)
    };
    let fewer = || (one.totals.bops != other.totals.bops).then_some(one.totals.bops < other.totals.bops);
    let by_cost = match (one.feasible, options.search.task.budgets.is_empty()) {
        (false, _) => nearer(),
        (true, false) => fewer(),
        (true, true) => None,
    };
    by_cost.unwrap_or(one.judged_sqnr_db > other.judged_sqnr_db)
}
