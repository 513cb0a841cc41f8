//! A subnet with quantizers, in libtorch.

use std::collections::BTreeMap;

use apq_lut::Candidate;
use apq_onnx::supernet::{Convolution, Role, Subnet, SupernetError};
use apq_search::space::{Design, Space};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::quantizer::{Quantizer, fitted_shares, quantized_weight};
use crate::depthwise::{Pending, channels_last};
use crate::files::values;
use crate::network::EPSILON;

/// Bit widths of each convolution by name, and of the classifier: weights, and the activations that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    convolutions: BTreeMap<String, Candidate>,
    fixed: Candidate,
}

/// Bit widths that a network cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: activations of {bits} bits; fine-tuning simulates up to 8")]
pub struct BitsError {
    /// Of the convolution.
    pub name: String,
    /// Of its activations.
    pub bits: u8,
}

impl Bits {
    /// The widths of a design: of its policy in blocks, those that the space fixes elsewhere.
    ///
    /// # Errors
    /// Activations of 16 bits.
    pub fn new(space: &Space, design: &Design, convolutions: &[Convolution]) -> Result<Self, BitsError> {
        let mut bits: BTreeMap<String, Candidate> =
            convolutions.iter().map(|convolution| (convolution.name.clone(), space.fixed)).collect();
        for (block, of) in space.blocks().iter().zip(&design.policy.0) {
            let Some(of) = of else { continue };
            for (layer, candidate) in [("expand", of.pointwise), ("depthwise", of.depthwise), ("project", of.pointwise)] {
                bits.insert(format!("{}.{layer}", block.name()), candidate);
            }
        }
        match bits.iter().find(|(_, candidate)| candidate.activation_bits > 8 || candidate.weight_bits > 8) {
            Some((name, candidate)) => Err(BitsError { name: name.clone(), bits: candidate.activation_bits }),
            None => Ok(Self { convolutions: bits, fixed: space.fixed }),
        }
    }

    fn of(&self, convolution: &str) -> Candidate {
        self.convolutions.get(convolution).copied().unwrap_or(self.fixed)
    }
}

/// What a forward pass simulates.
pub(super) enum Pass<'a> {
    /// Floats; means and variances are those of the batch and are kept.
    Statistics(&'a mut BTreeMap<String, (Tensor, Tensor)>),
    /// Floats, with the parameters as they came.
    Float,
    /// The same; the mean of each channel behind a norm is written down.
    Means(&'a mut BTreeMap<String, Tensor>),
    /// Weights as codes, activations in floats, to which the quantizers are fitted: what the compiler sees of the result.
    Fit(&'a mut BTreeMap<String, Quantizer>),
    /// Codes; biases are corrected on the way, so that these means hold again.
    Correct(&'a BTreeMap<String, Tensor>),
    /// Codes.
    Codes,
    /// Codes, in training.
    Train(&'a mut Pending),
}

/// A subnet in training.
pub struct Quantized {
    subnet: Subnet,
    bits: Bits,
    /// Weights of convolutions, biases of norms, weight and bias of the classifier.
    parameters: BTreeMap<String, Tensor>,
    /// The same before training.
    originals: BTreeMap<String, Tensor>,
    store: VarStore,
    /// Scale / sqrt(variance + epsilon) and mean of each norm.
    norms: BTreeMap<String, (Tensor, Tensor)>,
    /// Clipping thresholds of weights, by layer.
    shares: BTreeMap<String, Tensor>,
    /// Of activations, by the name of the tensor.
    quantizers: BTreeMap<String, Quantizer>,
}

const CLASSIFIER: &str = "classifier";

impl Quantized {
    /// The subnet with the statistics of `images` `[N, C, H, W]` in its norms, and quantizers fitted to them.
    ///
    /// # Errors
    /// Statistics that are not finite.
    pub fn new(subnet: Subnet, bits: Bits, images: &Tensor, device: Device) -> Result<Self, SupernetError> {
        let store = VarStore::new(device);
        let (mut parameters, mut originals) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in subnet.tensors() {
            let Some((layer, part @ ("weight" | "bias"))) = name.rsplit_once('.') else { continue };
            let dims: Vec<i64> = tensor.shape.iter().map(|&side| side as i64).collect();
            let original = Tensor::from_slice(&tensor.values).reshape(&dims).to_device(device);
            let path = layer.split('.').fold(store.root(), |path, part| path / part);
            parameters.insert(name.clone(), path.var_copy(part, &original));
            originals.insert(name.clone(), original);
        }
        let (norms, shares, quantizers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut network = Self { subnet, bits, parameters, originals, store, norms, shares, quantizers };
        let images = images.to_device(device);
        let mut statistics = BTreeMap::new();
        let _ = tch::no_grad(|| network.forward(&images, &mut Pass::Statistics(&mut statistics)));
        for (name, (mean, variance)) in statistics {
            network.subnet.set(&format!("{name}.norm.mean"), values(&mean))?;
            network.subnet.set(&format!("{name}.norm.variance"), values(&variance))?;
            let factor = network.scale(&name) / (variance + EPSILON).sqrt();
            network.norms.insert(name, (factor, mean));
        }
        let mut means = BTreeMap::new();
        let _ = tch::no_grad(|| network.forward(&images, &mut Pass::Means(&mut means)));
        network.fit(&images);
        let _ = tch::no_grad(|| network.forward(&images, &mut Pass::Correct(&means)));
        Ok(network)
    }

    /// Fits all ranges to the weights as they are now and to `images`.
    pub fn fit(&mut self, images: &Tensor) {
        tch::no_grad(|| {
            let names: Vec<String> = self.subnet.convolutions().iter().map(|convolution| convolution.name.clone()).collect();
            for name in names.iter().map(String::as_str).chain([CLASSIFIER]) {
                let shares = fitted_shares(&self.folded(name, &Pass::Codes), self.bits.of(name).weight_bits);
                self.shares.insert(name.to_owned(), shares);
            }
            let mut quantizers = BTreeMap::new();
            let _ = self.forward(&images.to_device(self.device()), &mut Pass::Fit(&mut quantizers));
            self.quantizers = quantizers;
        });
    }

    /// The subnet with the parameters as they are now: weights as their codes stand for, with the norms folded in. Other weights of the same codes would have
    /// other ranges and, in floats, other means, to which a compiler would correct.
    ///
    /// # Errors
    /// Parameters that are not finite.
    pub fn subnet(&self) -> Result<Subnet, SupernetError> {
        let mut subnet = self.subnet.clone();
        for convolution in self.subnet.convolutions() {
            let Some((factor, mean)) = self.norms.get(&convolution.name) else { continue };
            let [scale, bias, means, variance] = convolution.norm();
            let folded = self.parameter(&bias, &Pass::Codes) - mean * factor;
            let each = |value: f32| vec![value; convolution.outputs];
            subnet.set(&convolution.weight(), values(&self.weight(&convolution.name, &Pass::Codes)))?;
            subnet.set(&bias, values(&folded))?;
            subnet.set(&scale, each(1.0))?;
            subnet.set(&means, each(0.0))?;
            subnet.set(&variance, each(1.0 - EPSILON as f32))?;
        }
        subnet.set("classifier.weight", values(&self.weight(CLASSIFIER, &Pass::Codes)))?;
        subnet.set("classifier.bias", values(self.parameter("classifier.bias", &Pass::Codes)))?;
        Ok(subnet)
    }

    /// Where the optimizer finds what is trained.
    pub(super) fn store(&self) -> &VarStore {
        &self.store
    }

    /// Where the parameters are.
    pub(super) fn device(&self) -> Device {
        self.store.device()
    }

    /// Logits `[N, classes]`.
    pub(super) fn forward(&self, images: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mut x = images.shallow_clone();
        let mut block_input = x.shallow_clone();
        for convolution in self.subnet.convolutions() {
            let name = &convolution.name;
            if convolution.role != Role::Stem {
                // Raw images are codes already.
                x = self.activation(&format!("{name}.input"), &x, self.bits.of(name), pass);
            }
            if convolution.role == Role::Expand {
                block_input = x.shallow_clone();
            }
            x = self.convolution(convolution, &x, pass);
            if convolution.role == Role::Stem {
                x = channels_last(x);
            }
            if convolution.is_clamped() {
                x = x.clamp(0.0, 6.0);
            }
            if convolution.role == (Role::Project { residual: true }) {
                x = self.activation(&format!("{name}.output"), &x, self.bits.of(name), pass) + &block_input;
            }
        }
        x = self.activation("pool.input", &x, self.bits.fixed, pass);
        x = x.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        x = self.activation("classifier.input", &x, self.bits.fixed, pass);
        x.linear(&self.weight(CLASSIFIER, pass), Some(self.parameter("classifier.bias", pass)))
    }

    fn convolution(&self, convolution: &Convolution, x: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let name = &convolution.name;
        let weight = self.weight(name, pass);
        let (stride, padding) = (convolution.stride as i64, (convolution.kernel / 2) as i64);
        let groups = if convolution.is_depthwise() { convolution.outputs as i64 } else { 1 };
        let y = match pass {
            Pass::Train(pending) if convolution.is_depthwise() => pending.convolve(x, &weight, stride),
            _ => x.conv2d(&weight, None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], groups),
        };
        let shift = |by: Tensor| by.reshape([1, -1, 1, 1]);
        let bias = self.parameter(&format!("{name}.norm.bias"), pass);
        match (pass, self.norms.get(name)) {
            (Pass::Statistics(statistics), _) => {
                let (variance, mean) = y.var_mean_dim([0i64, 2, 3].as_slice(), false, false);
                let factor = self.scale(name) / (&variance + EPSILON).sqrt();
                let normal = (y - shift(mean.shallow_clone())) * shift(factor) + shift(bias.shallow_clone());
                statistics.insert(name.clone(), (mean, variance));
                normal
            }
            (Pass::Means(means), Some((factor, mean))) => {
                let normal = y + shift(bias - mean * factor);
                means.insert(name.clone(), channel_means(&normal));
                normal
            }
            (Pass::Correct(means), Some((factor, mean))) => {
                let normal = y + shift(bias - mean * factor);
                let Some(wanted) = means.get(name) else { return normal };
                let correction = wanted - channel_means(&normal);
                let _ = bias.shallow_clone().g_add_(&correction);
                normal + shift(correction)
            }
            (_, Some((factor, mean))) => y + shift(bias - mean * factor),
            (_, None) => y,
        }
    }

    /// The weights of a layer as the pass has them: with the norm folded in, but for the pass that measures the norm.
    fn weight(&self, name: &str, pass: &Pass<'_>) -> Tensor {
        match pass {
            Pass::Statistics(_) => self.parameter(&format!("{name}.weight"), pass).shallow_clone(),
            Pass::Float | Pass::Means(_) => self.folded(name, pass),
            Pass::Fit(_) | Pass::Correct(_) | Pass::Codes | Pass::Train(_) => {
                let folded = self.folded(name, pass);
                match self.shares.get(name) {
                    Some(shares) => quantized_weight(&folded, shares, self.bits.of(name).weight_bits),
                    None => folded,
                }
            }
        }
    }

    fn folded(&self, name: &str, pass: &Pass<'_>) -> Tensor {
        let weight = self.parameter(&format!("{name}.weight"), pass);
        match self.norms.get(name) {
            Some((factor, _)) => weight * factor.reshape([-1, 1, 1, 1]),
            None => weight.shallow_clone(),
        }
    }

    fn activation(&self, tensor: &str, x: &Tensor, bits: Candidate, pass: &mut Pass<'_>) -> Tensor {
        match pass {
            Pass::Statistics(_) | Pass::Float | Pass::Means(_) => x.shallow_clone(),
            Pass::Fit(quantizers) => {
                quantizers.insert(tensor.to_owned(), Quantizer::fitted(x, bits.activation_bits));
                x.shallow_clone()
            }
            Pass::Correct(_) | Pass::Codes | Pass::Train(_) => {
                self.quantizers.get(tensor).map_or_else(|| x.shallow_clone(), |quantizer| quantizer.apply(x))
            }
        }
    }

    /// The scale of a norm, which stays as it is.
    fn scale(&self, name: &str) -> Tensor {
        Tensor::from_slice(self.subnet.values(&format!("{name}.norm.scale"))).to_device(self.device())
    }

    fn parameter(&self, name: &str, pass: &Pass<'_>) -> &Tensor {
        let set = if matches!(pass, Pass::Float | Pass::Means(_)) { &self.originals } else { &self.parameters };
        set.get(name).unwrap_or_else(|| panic!("no parameter `{name}`"))
    }
}

/// Mean of each channel of `[N, C, H, W]`.
fn channel_means(x: &Tensor) -> Tensor {
    x.mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float)
}
