//! The supernet in libtorch: shared weights, from which every subnet of the space takes its part.
//!
//! Names and shapes of the parameters are those of the supernet's ONNX file (`docs/supernet.md`). Activations are `[N, C, H, W]`, f32, on a CPU with the
//! channels of a pixel side by side in memory: pointwise convolutions are matrix products then, and depthwise ones run over channels.

use std::collections::BTreeMap;

use apq_onnx::supernet::tensor_shapes;
use apq_search::space::{Architecture, Block, BlockShape, Space};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::StandardNormal;
use tch::{Device, Kind, Tensor};

use crate::depthwise::{Pending, channels_last};

/// Added to every variance.
pub const EPSILON: f64 = 1e-5;

/// Mean and biased variance of each normalised tensor, by the norm's name.
pub type Statistics = BTreeMap<String, (Tensor, Tensor)>;

/// Where the norms of a forward pass take mean and variance from.
pub enum Norms<'a> {
    /// The batch itself, in training: what waits for its gradient is added.
    Train(&'a mut Pending),
    /// The batch itself; they are also written down.
    Record(&'a mut Statistics),
    /// What was recorded.
    Fixed(&'a Statistics),
}

/// The shared weights of a space.
pub struct Supernet {
    /// What it contains.
    pub space: Space,
    blocks: Vec<Block>,
    /// By name; a name's shape never changes.
    pub parameters: BTreeMap<String, Tensor>,
}

impl Supernet {
    /// New weights on `device`: normal with variance 2 / (outputs * kernel area) for convolutions, identities for the kernel transforms.
    pub fn new(space: Space, seed: u64, device: Device) -> Self {
        let blocks = space.blocks();
        let mut supernet = Self { space, blocks, parameters: BTreeMap::new() };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for (name, shape) in trained(&supernet.space) {
            let values = initial(&name, &shape, &mut rng);
            let dims: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
            let tensor = Tensor::from_slice(&values).reshape(&dims).to_device(device).set_requires_grad(true);
            supernet.parameters.insert(name, tensor);
        }
        supernet
    }

    /// Logits `[N, classes]` of a subnet for images `[N, C, H, W]`.
    pub fn forward(&self, architecture: &Architecture, images: &Tensor, norms: &mut Norms<'_>) -> Tensor {
        let (stem, space) = (&self.space.stem, &self.space);
        let mut x = convolve(images, self.parameter("stem.weight"), stem.stride.into(), 1);
        x = self.normalize("stem", &channels_last(x), norms).relu6();
        if space.first.is_some() {
            x = convolve(&x, self.parameter("first.depthwise.weight"), 1, space.stem.channels.into());
            x = self.normalize("first.depthwise", &x, norms).relu6();
            x = convolve(&x, self.parameter("first.project.weight"), 1, 1);
            x = self.normalize("first.project", &x, norms);
        }
        for (block, shape) in self.blocks.iter().zip(&architecture.0) {
            if let Some(shape) = shape {
                x = self.block(block, *shape, &x, norms);
            }
        }
        x = convolve(&x, self.parameter("head.weight"), 1, 1);
        x = self.normalize("head", &x, norms).relu6();
        let pooled = x.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        pooled.linear(self.parameter("classifier.weight"), Some(self.parameter("classifier.bias")))
    }

    fn block(&self, block: &Block, shape: BlockShape, input: &Tensor, norms: &mut Norms<'_>) -> Tensor {
        let (name, width) = (block.name(), i64::from(shape.channels));
        let expand = self.parameter(&format!("{name}.expand.weight")).narrow(0, 0, width);
        let mut x = convolve(input, &expand, 1, 1);
        x = self.normalize(&format!("{name}.expand"), &x, norms).relu6();
        let kernel = self.depthwise_kernel(&name, shape);
        x = match norms {
            Norms::Train(pending) => pending.convolve(&x, &kernel, block.stride.into()),
            _ => convolve(&x, &kernel, block.stride.into(), width),
        };
        x = self.normalize(&format!("{name}.depthwise"), &x, norms).relu6();
        let project = self.parameter(&format!("{name}.project.weight")).narrow(1, 0, width);
        x = convolve(&x, &project, 1, 1);
        x = self.normalize(&format!("{name}.project"), &x, norms);
        if block.is_residual() { x + input } else { x }
    }

    /// The kernel `[channels, 1, side, side]` of a block: the leading channels' centre, taken through the transforms on the way down.
    fn depthwise_kernel(&self, name: &str, shape: BlockShape) -> Tensor {
        let channels = i64::from(shape.channels);
        let mut kernel = self.parameter(&format!("{name}.depthwise.weight")).narrow(0, 0, channels);
        for pair in self.space.kernels.windows(2).rev() {
            let [to, from] = [pair[0], pair[1]].map(i64::from);
            if to < i64::from(shape.kernel) {
                break;
            }
            let edge = (from - to) / 2;
            let centre = kernel.narrow(2, edge, to).narrow(3, edge, to).reshape([channels, to * to]);
            let matrix = self.parameter(&format!("{name}.depthwise.transform.{from}to{to}"));
            kernel = centre.matmul(&matrix.tr()).reshape([channels, 1, to, to]);
        }
        kernel
    }

    /// Batch norm with the leading channels' scale and bias.
    fn normalize(&self, name: &str, x: &Tensor, norms: &mut Norms<'_>) -> Tensor {
        let channels = x.size()[1];
        let scale = self.parameter(&format!("{name}.norm.scale")).narrow(0, 0, channels);
        let bias = self.parameter(&format!("{name}.norm.bias")).narrow(0, 0, channels);
        let none = None::<&Tensor>;
        match norms {
            Norms::Train(_) => x.batch_norm(Some(&scale), Some(&bias), none, none, true, 0.0, EPSILON, false),
            Norms::Record(statistics) => {
                let (variance, mean) = x.var_mean_dim([0i64, 2, 3].as_slice(), false, false);
                let y = x.batch_norm(Some(&scale), Some(&bias), Some(&mean), Some(&variance), false, 0.0, EPSILON, false);
                statistics.insert(name.to_owned(), (mean, variance));
                y
            }
            Norms::Fixed(statistics) => {
                let (mean, variance) = statistics.get(name).unwrap_or_else(|| panic!("no statistics of `{name}`"));
                x.batch_norm(Some(&scale), Some(&bias), Some(mean), Some(variance), false, 0.0, EPSILON, false)
            }
        }
    }

    fn parameter(&self, name: &str) -> &Tensor {
        self.parameters.get(name).unwrap_or_else(|| panic!("no parameter `{name}`"))
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.parameters.values().next().map_or(Device::Cpu, Tensor::device)
    }

    /// Mean and variance of a subnet's norms over `images`, layer after layer.
    pub fn calibrate(&self, architecture: &Architecture, images: &Tensor) -> Statistics {
        let mut statistics = Statistics::new();
        let _ = tch::no_grad(|| self.forward(architecture, images, &mut Norms::Record(&mut statistics)));
        statistics
    }

    /// Sorts the channels of every expansion, the most important first, so that a narrower block keeps the best of them. What the largest network
    /// computes stays the same.
    ///
    /// Importance is the L1 norm of the weights through which the projection reads a channel.
    pub fn sort_channels(&mut self) {
        let names: Vec<String> = self.blocks.iter().map(Block::name).collect();
        for name in names {
            let importance =
                self.parameter(&format!("{name}.project.weight")).abs().sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Float);
            // A stable order keeps the result the same on every machine.
            let order = importance.argsort_stable(true, 0, true);
            let layers = [("expand", 0), ("depthwise", 0), ("project", 1)];
            for (layer, axis) in layers {
                let mut moved = vec![(format!("{name}.{layer}.weight"), axis)];
                if axis == 0 {
                    moved.extend(["scale", "bias"].map(|part| (format!("{name}.{layer}.norm.{part}"), 0)));
                }
                for (tensor, axis) in moved {
                    tch::no_grad(|| {
                        if let Some(values) = self.parameters.get_mut(&tensor) {
                            let sorted = values.index_select(axis, &order);
                            values.copy_(&sorted);
                        }
                    });
                }
            }
        }
    }

    /// A random architecture of the part of the space that is open.
    pub fn sample(&self, open: Elastic, rng: &mut ChaCha8Rng) -> Architecture {
        let space = &self.space;
        let depths: Vec<u8> = space
            .stages
            .iter()
            .map(|stage| {
                if open.depth {
                    stage.depths[rng.random_range(0..stage.depths.len())]
                } else {
                    stage.depths.iter().copied().max().unwrap_or(0)
                }
            })
            .collect();
        let shapes = self.blocks.iter().map(|block| {
            let largest = BlockShape {
                kernel: space.kernels.iter().copied().max().unwrap_or(1),
                channels: block.widths.last().copied().unwrap_or(0),
            };
            let kernel = space.kernels[rng.random_range(0..space.kernels.len())];
            let channels = block.widths[rng.random_range(0..block.widths.len())];
            (block.position < usize::from(depths[block.stage])).then_some(BlockShape {
                kernel: if open.kernel { kernel } else { largest.kernel },
                channels: if open.width { channels } else { largest.channels },
            })
        });
        Architecture(shapes.collect())
    }
}

/// What training opens, phase after phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Elastic {
    /// Depthwise kernels.
    pub kernel: bool,
    /// Blocks of a stage.
    pub depth: bool,
    /// Channels of an expansion.
    pub width: bool,
}

/// A convolution without bias whose padding keeps the size at stride 1.
fn convolve(x: &Tensor, weight: &Tensor, stride: i64, groups: i64) -> Tensor {
    let padding = weight.size()[2] / 2;
    x.conv2d(weight, None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], groups)
}

/// Name and shape of what is trained: everything but the statistics of the norms.
fn trained(space: &Space) -> impl Iterator<Item = (String, Vec<usize>)> {
    let statistic = |name: &str| name.ends_with(".norm.mean") || name.ends_with(".norm.variance");
    tensor_shapes(space).into_iter().filter(move |(name, _)| !statistic(name))
}

fn initial(name: &str, shape: &[usize], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let elements = shape.iter().product();
    if name.contains(".transform.") {
        return (0..elements).map(|at| if at / shape[1] == at % shape[1] { 1.0 } else { 0.0 }).collect();
    }
    match name.rsplit('.').next() {
        Some("scale") => vec![1.0; elements],
        Some("bias") => vec![0.0; elements],
        _ => {
            // Outputs that one input reaches: of a depthwise kernel, its area.
            let fan_out = if shape.len() == 4 && name.contains("depthwise") {
                shape[2] * shape[3]
            } else {
                shape[0] * shape[2..].iter().product::<usize>()
            };
            let deviation = if shape.len() == 2 { (1.0 / shape[1] as f32).sqrt() } else { (2.0 / fan_out as f32).sqrt() };
            rng.sample_iter(StandardNormal).take(elements).map(|value: f32| value * deviation).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A supernet whose norms and transforms are not what they are at the beginning.
    fn supernet() -> (Supernet, Tensor) {
        tch::manual_seed(3);
        let mut supernet = Supernet::new(Space::fashion(), 5, Device::Cpu);
        for (name, parameter) in &mut supernet.parameters {
            let noise = parameter.randn_like() * if name.contains("norm") { 0.2 } else { 0.02 };
            tch::no_grad(|| *parameter += noise);
        }
        (supernet, Tensor::randn([16, 1, 28, 28], (Kind::Float, Device::Cpu)))
    }

    fn logits(supernet: &Supernet, architecture: &Architecture, images: &Tensor) -> Tensor {
        let statistics = supernet.calibrate(architecture, images);
        tch::no_grad(|| supernet.forward(architecture, images, &mut Norms::Fixed(&statistics)))
    }

    #[test]
    fn sorted_channels_compute_the_same() {
        let (mut supernet, images) = supernet();
        let largest = supernet.space.largest();
        let before = logits(&supernet, &largest, &images);
        let project = |supernet: &Supernet| supernet.parameter(&format!("{}.project.weight", supernet.blocks[1].name())).copy();
        let weights = project(&supernet);
        supernet.sort_channels();
        assert!(project(&supernet) != weights);
        assert!(logits(&supernet, &largest, &images).allclose(&before, 1e-4, 1e-4, false));
        let importance = project(&supernet).abs().sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Float);
        assert!(importance.diff::<Tensor>(1, 0, None, None).max().double_value(&[]) <= 0.0);
    }

    #[test]
    fn a_training_step_computes_what_evaluation_does() {
        let (supernet, images) = supernet();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..4 {
            let architecture = supernet.sample(Elastic { kernel: true, depth: true, width: true }, &mut rng);
            let mut pending = Pending::default();
            let trained = supernet.forward(&architecture, &images, &mut Norms::Train(&mut pending));
            assert!(trained.allclose(&logits(&supernet, &architecture, &images), 1e-3, 1e-3, false));
        }
    }
}
