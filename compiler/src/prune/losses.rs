//! What pruning a set costs at the output: the network with that set alone pruned, the layers that read it fitted to what they gave, against the float
//! network. Like the sensitivity list, and in the same measure, so that both can be added.

use std::sync::Arc;

use rayon::prelude::*;

use super::sets::Prunable;
use crate::float::{Executor, Layer, Simulation};
use crate::graph::{Graph, NodeId, Op};
use crate::quant::rounding::InputMoments;
use crate::quant::sensitivity::energy;

/// Samples that judge, at most.
const JUDGES_MAX: usize = 64;

/// Noise at the output relative to the signal, for some widths of each set.
pub struct Losses {
    /// For each set, channels gone and the noise, both ascending.
    points: Vec<Vec<(usize, f64)>>,
}

/// Every other sample from `first` on: 0 for those that are fitted, 1 for those that judge.
pub(super) fn every_other<T: Clone>(samples: &[T], first: usize) -> Vec<T> {
    samples.iter().skip(first).step_by(2).cloned().collect()
}

/// One width of one set, to be measured.
struct Trial {
    set: usize,
    gone: usize,
    simulation: Simulation,
}

impl Losses {
    /// Measures the sets of `prunable`. `progress` is called after each judging sample.
    pub fn measure(executor: &Executor<'_>, prunable: &Prunable, samples: &[Vec<f32>], progress: impl Fn() + Sync) -> Losses {
        let graph = executor.graph();
        let (fitted, mut judges) = (every_other(samples, 0), every_other(samples, 1));
        judges.truncate(JUDGES_MAX);
        let mut trials: Vec<Trial> = (0..prunable.sets.len())
            .flat_map(|set| measured(prunable, set).into_iter().map(move |gone| (set, gone)))
            .map(|(set, gone)| Trial { set, gone, simulation: Simulation::float(graph) })
            .collect();
        fit(executor, prunable, &fitted, &mut trials);
        // For each sample, the signal and the noise of each trial.
        let records: Vec<Vec<f64>> = judges
            .par_iter()
            .map(|sample| {
                let values = executor.run_all(&Simulation::float(graph), sample);
                let float = values[graph.output.0].as_deref().unwrap_or_default();
                let noise = |trial: &Trial| energy(float, &executor.run_changed(&trial.simulation, &values)).noise;
                let record = std::iter::once(energy(float, float).signal).chain(trials.iter().map(noise)).collect();
                progress();
                record
            })
            .collect();
        let total = |place: usize| records.iter().map(|record| record[place]).sum::<f64>();
        let signal = total(0).max(f64::MIN_POSITIVE);
        let mut points: Vec<Vec<(usize, f64)>> = vec![Vec::new(); prunable.sets.len()];
        for (place, trial) in trials.iter().enumerate() {
            // What is measured at a narrower width is at least the noise of a wider one: luck of a sample is no reason to prune.
            let wider = points[trial.set].last().map_or(0.0, |(_, noise)| *noise);
            let noise = total(place + 1) / signal;
            points[trial.set].push((trial.gone, if noise.is_finite() { noise.max(wider) } else { f64::INFINITY }));
        }
        Losses { points }
    }

    /// Number of samples that judge, of this many.
    pub fn judges(samples: usize) -> usize {
        (samples / 2).min(JUDGES_MAX)
    }

    /// The noise where `gone` channels of a set are gone: between measured widths along a power law.
    pub fn noise(&self, set: usize, gone: usize) -> f64 {
        let points = &self.points[set];
        if gone == 0 {
            return 0.0;
        }
        match points.iter().position(|(at, _)| *at >= gone) {
            Some(place) => {
                let (at, noise) = points[place];
                match place.checked_sub(1).map(|before| points[before]) {
                    Some((first, less)) if at != gone && less > 0.0 => {
                        let along = (gone as f64 / first as f64).ln() / (at as f64 / first as f64).ln();
                        less * (noise / less).powf(along)
                    }
                    _ => noise,
                }
            }
            // Deeper than anything that was measured.
            None => f64::INFINITY,
        }
    }

    /// Losses as they are given, for tests of what uses them.
    #[cfg(test)]
    pub(super) fn given(points: Vec<Vec<(usize, f64)>>) -> Losses {
        Losses { points }
    }
}

/// Channels gone at the widths that are measured: one step, two, four, and so on, to a quarter of the set.
fn measured(prunable: &Prunable, set: usize) -> Vec<usize> {
    let width = prunable.sets[set].width();
    let steps: Vec<usize> =
        prunable.sets[set].widths().into_iter().skip(1).filter(|left| 4 * left >= width).map(|left| width - left).collect();
    let last = steps.len();
    let grid = |step: &usize| step.is_power_of_two() || *step == last;
    (1..=last).filter(grid).map(|step| steps[step - 1]).collect()
}

/// Gives each trial the layers that read its set, fitted.
fn fit(executor: &Executor<'_>, prunable: &Prunable, samples: &[Vec<f32>], trials: &mut [Trial]) {
    let graph = executor.graph();
    let tried = |set: usize| trials.iter().any(|trial| trial.set == set);
    let mut readers: Vec<NodeId> =
        (0..prunable.sets.len()).filter(|set| tried(*set)).flat_map(|set| prunable.sets[set].readers.clone()).collect();
    readers.sort_unstable();
    readers.dedup();
    InputMoments::each(executor, samples, &readers, |reader, moments| {
        let node = &graph.nodes[reader.0];
        let Some(weights) = node.op.weights() else { return };
        trials.par_iter_mut().filter(|trial| prunable.sets[trial.set].readers.contains(&reader)).for_each(|trial| {
            let mut widths = prunable.widths();
            widths[trial.set] -= trial.gone;
            let left = columns_left(graph, prunable, reader, &prunable.gone(&widths));
            if let Some(fitted) = moments.without(weights, &left) {
                trial.simulation.layers[reader.0] = Some(Arc::new(Layer::new(node, &fitted.values, &fitted.bias)));
            }
        });
    });
}

/// Columns of the weights `[O][K]` of a layer that are left.
fn columns_left(graph: &Graph, prunable: &Prunable, reader: NodeId, gone: &[bool]) -> Vec<usize> {
    let node = &graph.nodes[reader.0];
    let Some(input) = node.inputs.first() else { return Vec::new() };
    let channels = graph.tensor(*input).channels();
    let left = prunable.classes.left(*input, gone);
    let taps = match &node.op {
        Op::Conv { window, .. } => window.kernel[0] * window.kernel[1],
        _ => 1,
    };
    (0..taps).flat_map(|tap| left.iter().map(move |place| tap * channels + place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_measured_widths_noise_follows_a_power_law() {
        let losses = Losses::given(vec![vec![(8, 0.01), (32, 0.16)], vec![]]);
        assert_eq!((losses.noise(0, 0), losses.noise(0, 8), losses.noise(0, 32)), (0.0, 0.01, 0.16));
        assert!((losses.noise(0, 16) - 0.04).abs() < 1e-12);
        assert_eq!((losses.noise(0, 40), losses.noise(1, 8)), (f64::INFINITY, f64::INFINITY));
    }
}
