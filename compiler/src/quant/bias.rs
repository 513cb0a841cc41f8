//! Bias correction: what rounding adds to the mean of a channel is taken out of its bias.
//!
//! Layer by layer in execution order, b += mean(float output - quantized output), so that each layer also corrects what the layers before it did.

use std::sync::Arc;

use rayon::prelude::*;

use crate::float::{Executor, Simulation, Values};
use crate::graph::NodeId;

/// Means over samples and positions of each output channel of each weighted node, before its clamp, in floats.
pub fn float_means(executor: &Executor<'_>, samples: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let graph = executor.graph();
    let float = Simulation::float(graph);
    let per_sample: Vec<Vec<Vec<f64>>> = samples
        .par_iter()
        .map(|sample| {
            let mut sums = vec![Vec::new(); graph.nodes.len()];
            executor.run_visiting(&float, sample, |node, unclamped| {
                if let Some(weights) = graph.nodes[node.0].op.weights() {
                    sums[node.0] = channel_means(unclamped, weights.outputs());
                }
            });
            sums
        })
        .collect();
    mean_over_samples(per_sample)
}

fn channel_means(values: &[f32], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for pixel in values.chunks_exact(channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    let pixels = (values.len() / channels.max(1)).max(1) as f64;
    sums.iter_mut().for_each(|sum| *sum /= pixels);
    sums
}

/// Adds in the order of the samples, so that the result does not depend on the number of threads.
fn mean_over_samples(per_sample: Vec<Vec<Vec<f64>>>) -> Vec<Vec<f64>> {
    let count = per_sample.len().max(1) as f64;
    let mut iter = per_sample.into_iter();
    let mut total = iter.next().unwrap_or_default();
    for sample in iter {
        for (to, from) in total.iter_mut().flatten().zip(sample.iter().flatten()) {
            *to += from;
        }
    }
    total.iter_mut().flatten().for_each(|v| *v /= count);
    total
}

/// The simulation with corrected biases. Holds the live tensors of all samples at once.
pub fn corrected(executor: &Executor<'_>, simulation: &Simulation, samples: &[Vec<f32>], float_means: &[Vec<f64>]) -> Simulation {
    let graph = executor.graph();
    let mut simulation = simulation.clone();
    let mut states: Vec<Values> = samples.par_iter().map(|sample| executor.start(&simulation, sample)).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let id = NodeId(index);
        let mut outputs: Vec<Vec<f32>> = states.par_iter().map(|values| executor.unclamped(&simulation, values, id)).collect();
        if let (Some(weights), Some(layer)) = (node.op.weights(), simulation.layers[index].clone()) {
            let channels = weights.outputs();
            let means = mean_over_samples(outputs.par_iter().map(|values| vec![channel_means(values, channels)]).collect());
            let shift: Vec<f32> =
                float_means[index].iter().zip(means.iter().flatten()).map(|(float, quantized)| (float - quantized) as f32).collect();
            let bias = layer.bias().iter().zip(&shift).map(|(b, s)| b + s).collect();
            simulation.layers[index] = Some(Arc::new(layer.with_bias(bias)));
            outputs.par_iter_mut().for_each(|values| {
                for pixel in values.chunks_exact_mut(channels) {
                    pixel.iter_mut().zip(&shift).for_each(|(v, s)| *v += s);
                }
            });
        }
        states.par_iter_mut().zip(outputs).for_each(|(values, output)| executor.finish(&simulation, values, id, output));
    }
    simulation
}
