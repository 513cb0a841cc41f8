//! Subnets in floats: statistics of their batch norms from images, and their outputs.

use apq_onnx::supernet::{Convolution, EPSILON, Role, Subnet, SupernetError};
use rayon::prelude::*;

use super::convolution::{Finish, Scratch, convolve};
use super::planes::{Batch, Images, LANES, Lane, Planes};
use crate::evaluate::top1;

/// Sums over a batch's values of one channel.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

/// Pixels whose values are summed in f32 before they go on in f64.
const BLOCK: usize = 64;

impl Moments {
    /// Of the first `lanes` images.
    fn of(channel: &[Lane], lanes: usize) -> Moments {
        let sum = |sums: Lane| sums.iter().take(lanes).map(|sum| f64::from(*sum)).sum::<f64>();
        let blocks = channel.chunks(BLOCK).map(|block| {
            let count = (block.len() * lanes) as f64;
            let mut sums = [0.0; LANES];
            block.iter().for_each(|lane| sums.iter_mut().zip(lane).for_each(|(sum, value)| *sum += value));
            let mean = (sum(sums) / count) as f32;
            // What rounding the mean leaves out of it.
            let (mut rest, mut squares) = ([0.0; LANES], [0.0; LANES]);
            for lane in block {
                for (value, (rest, square)) in lane.iter().zip(rest.iter_mut().zip(&mut squares)) {
                    let distance = value - mean;
                    *rest += distance;
                    *square += distance * distance;
                }
            }
            let rest = sum(rest) / count;
            Moments { count, mean: f64::from(mean) + rest, squares: (sum(squares) - rest * rest * count).max(0.0) }
        });
        blocks.fold(Moments::default(), Moments::with)
    }

    /// Of both sets together (Chan, Golub and LeVeque, 1979).
    fn with(self, other: Moments) -> Moments {
        let count = self.count + other.count;
        if other.count == 0.0 || self.count == 0.0 {
            return if self.count == 0.0 { other } else { self };
        }
        let distance = other.mean - self.mean;
        Moments {
            count,
            mean: self.mean + distance * other.count / count,
            squares: self.squares + other.squares + distance * distance * self.count * other.count / count,
        }
    }
}

/// A batch on its way through a network.
#[derive(Default)]
struct Flow {
    current: Planes,
    next: Planes,
    /// What the block that is being run reads.
    block: Planes,
    scratch: Scratch,
}

impl Flow {
    fn new(batch: &Batch) -> Flow {
        Flow { current: batch.input.clone(), ..Flow::default() }
    }

    /// Runs a convolution; what it gives is `current`.
    fn convolve(&mut self, convolution: &Convolution, weights: &[f32], finish: Finish<'_>) {
        if convolution.role == Role::Expand {
            self.block.shape = self.current.shape;
            self.block.values.clone_from(&self.current.values);
        }
        convolve(convolution, weights, finish, &self.current, &mut self.scratch, &mut self.next);
        std::mem::swap(&mut self.current, &mut self.next);
    }

    /// Gives back what the last layer read and what it was computed in.
    fn release(&mut self) {
        (self.next, self.scratch) = Default::default();
    }

    /// Adds the block's input where the block is residual.
    fn close(&mut self, convolution: &Convolution) {
        if convolution.role == (Role::Project { residual: true }) {
            let sums = self.current.values.as_flattened_mut().iter_mut().zip(self.block.values.as_flattened());
            sums.for_each(|(sum, value)| *sum += value);
        }
    }
}

/// Measures mean and variance of every convolution's output over the images, layer after layer with the layers before it already measured.
///
/// # Errors
/// A statistic is not finite.
pub fn calibrate(subnet: &mut Subnet, images: &Images) -> Result<(), SupernetError> {
    let mut flows: Vec<Flow> = images.batches.iter().map(Flow::new).collect();
    for convolution in subnet.convolutions().to_vec() {
        let weights = subnet.values(&convolution.weight());
        let zeros = vec![0.0; convolution.outputs];
        let plain = Finish { offset: &zeros, clamp: false };
        let moments: Vec<Vec<Moments>> = flows
            .par_iter_mut()
            .zip(&images.batches)
            .map(|(flow, batch)| {
                flow.convolve(&convolution, weights, plain);
                // All batches wait for each other here: what they need no more would be most of the memory.
                flow.release();
                flow.current.channels().map(|channel| Moments::of(channel, batch.count)).collect()
            })
            .collect();
        // Batch after batch, so that the number of threads changes nothing.
        let mut whole = vec![Moments::default(); convolution.outputs];
        for batch in &moments {
            whole.iter_mut().zip(batch).for_each(|(whole, part)| *whole = whole.with(*part));
        }
        let [_, _, mean, variance] = convolution.norm();
        subnet.set(&mean, whole.iter().map(|of| of.mean as f32).collect())?;
        subnet.set(&variance, whole.iter().map(|of| (of.squares / of.count.max(1.0)) as f32).collect())?;
        let (scale, offset) = folded(subnet, &convolution);
        flows.par_iter_mut().for_each(|flow| {
            for (channel, (scale, offset)) in flow.current.channels_mut().zip(scale.iter().zip(&offset)) {
                let values = channel.as_flattened_mut();
                values.iter_mut().for_each(|v| *v = *v * scale + offset);
                if convolution.is_clamped() {
                    values.iter_mut().for_each(|v| *v = v.clamp(0.0, 6.0));
                }
            }
            flow.close(&convolution);
            if matches!(convolution.role, Role::Project { .. }) {
                flow.block = Planes::default();
            }
        });
    }
    Ok(())
}

/// A convolution's norm as factor and offset of each channel.
fn folded(subnet: &Subnet, convolution: &Convolution) -> (Vec<f32>, Vec<f32>) {
    let [scale, bias, mean, variance] = subnet.norm(convolution);
    let factors: Vec<f32> = scale.iter().zip(variance).map(|(scale, variance)| scale / (variance + EPSILON).sqrt()).collect();
    let offsets = factors.iter().zip(bias.iter().zip(mean)).map(|(factor, (bias, mean))| bias - mean * factor).collect();
    (factors, offsets)
}

/// A subnet ready to run in floats.
pub struct FloatSubnet {
    layers: Vec<FoldedLayer>,
    /// `[classes][head]`.
    classifier: Vec<f32>,
    bias: Vec<f32>,
}

struct FoldedLayer {
    convolution: Convolution,
    weights: Vec<f32>,
    offset: Vec<f32>,
}

impl FloatSubnet {
    /// Norms become part of the weights.
    pub fn new(subnet: &Subnet) -> FloatSubnet {
        let layer = |convolution: &Convolution| {
            let (factors, offset) = folded(subnet, convolution);
            let weights = subnet.values(&convolution.weight());
            let row = (weights.len() / factors.len().max(1)).max(1);
            let weights = weights.chunks_exact(row).zip(&factors).flat_map(|(row, factor)| row.iter().map(move |w| w * factor)).collect();
            FoldedLayer { convolution: convolution.clone(), weights, offset }
        };
        let values = |name: &str| subnet.values(name).to_vec();
        FloatSubnet {
            layers: subnet.convolutions().iter().map(layer).collect(),
            classifier: values("classifier.weight"),
            bias: values("classifier.bias"),
        }
    }

    /// The outputs for every image, in order.
    pub fn outputs(&self, images: &Images) -> Vec<Vec<f32>> {
        let batches: Vec<Vec<Vec<f32>>> =
            images.batches.par_iter().map_init(Flow::default, |flow, batch| self.batch(flow, batch)).collect();
        batches.into_iter().flatten().collect()
    }

    /// Share of images whose label is the top class; 0 without images.
    pub fn accuracy(&self, images: &Images, labels: &[u32]) -> f64 {
        let outputs = self.outputs(images);
        let hits = outputs.iter().zip(labels).filter(|(output, label)| top1(output) == **label as usize).count();
        hits as f64 / outputs.len().max(1) as f64
    }

    fn batch(&self, flow: &mut Flow, batch: &Batch) -> Vec<Vec<f32>> {
        flow.current.shape = batch.input.shape;
        flow.current.values.clone_from(&batch.input.values);
        for FoldedLayer { convolution, weights, offset } in &self.layers {
            flow.convolve(convolution, weights, Finish { offset, clamp: convolution.is_clamped() });
            flow.close(convolution);
        }
        let means: Vec<Lane> = flow.current.channels().map(mean).collect();
        let sum = |row: &[f32], bias: f32, lane: usize| row.iter().zip(&means).fold(bias, |sum, (w, mean)| sum + w * mean[lane]);
        let rows = || self.classifier.chunks_exact(means.len().max(1)).zip(&self.bias);
        (0..batch.count).map(|lane| rows().map(|(row, bias)| sum(row, *bias, lane)).collect()).collect()
    }
}

/// Over a channel's positions.
fn mean(channel: &[Lane]) -> Lane {
    let mut sum = [0.0; LANES];
    channel.iter().for_each(|lane| sum.iter_mut().zip(lane).for_each(|(sum, value)| *sum += value));
    sum.map(|sum| sum / channel.len() as f32)
}
