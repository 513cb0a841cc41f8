//! The network: three layers of 400 and one output.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// Outputs of each hidden layer.
pub const WIDTH: usize = 400;
/// Layers with a ReLU.
const LAYERS: usize = 3;

/// Weights as they are stored: `[inputs, outputs]`, so that a layer is `y = x W + b`.
#[derive(Debug)]
pub struct Network {
    store: VarStore,
    layers: Vec<(Tensor, Tensor)>,
    output: (Tensor, Tensor),
    dimensions: usize,
}

impl Network {
    /// New weights for inputs of `dimensions`, uniform with variance 2 / inputs; of the first layer's inputs only `ones` are ones at a time.
    #[must_use]
    pub fn new(dimensions: usize, ones: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let store = VarStore::new(Device::Cpu);
        let root = store.root();
        let mut linear = |path: tch::nn::Path<'_>, shape: &[usize], inputs: usize, gain: f32| {
            let bound = (3.0 * gain / inputs.max(1) as f32).sqrt();
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..=bound)).collect();
            let dims: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
            let weight = path.var_copy("weight", &Tensor::from_slice(&values).reshape(&dims));
            (weight, path.zeros("bias", &[dims.get(1).copied().unwrap_or(1)]))
        };
        let mut layers = Vec::new();
        for layer in 0..LAYERS {
            let (inputs, ones) = if layer == 0 { (dimensions, ones) } else { (WIDTH, WIDTH) };
            layers.push(linear(&root / "layers" / layer, &[inputs, WIDTH], ones, 2.0));
        }
        let output = linear(&root / "output", &[WIDTH], WIDTH, 1.0);
        Self { store, layers, output, dimensions }
    }

    /// Length of the inputs.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Where the optimizer finds the weights.
    #[must_use]
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// Standardised accuracy `[N]` for inputs `[N, dimensions]`, f32.
    pub fn forward(&self, inputs: &Tensor) -> Tensor {
        let mut x = inputs.shallow_clone();
        for (weight, bias) in &self.layers {
            x = (x.matmul(weight) + bias).relu();
        }
        x.matmul(&self.output.0) + &self.output.1
    }

    /// Standardised accuracies of many inputs, any element type.
    #[must_use]
    pub fn predict(&self, inputs: &Tensor) -> Vec<f32> {
        const BATCH: i64 = 1024;
        let outputs: Vec<Tensor> =
            tch::no_grad(|| inputs.split(BATCH, 0).iter().map(|part| self.forward(&part.to_kind(Kind::Float))).collect());
        outputs.iter().flat_map(crate::files::values).collect()
    }

    /// Sets the rows of the first layer at these inputs to zero: they change nothing until they have learned something.
    pub fn clear_inputs(&mut self, inputs: &[usize]) {
        let rows: Vec<i64> = inputs.iter().map(|&row| row as i64).collect();
        if let Some((weight, _)) = self.layers.first_mut() {
            tch::no_grad(|| {
                let _ = weight.index_fill_(0, &Tensor::from_slice(&rows), 0.0);
            });
        }
    }

    /// Makes the output `factor` times what it was, up to a constant.
    pub fn scale_output(&mut self, factor: f64) {
        tch::no_grad(|| {
            let _ = self.output.0.g_mul_scalar_(factor);
        });
    }

    /// A copy that does not change.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Tensor> {
        self.tensors().into_iter().map(|(_, tensor)| tensor.detach().copy()).collect()
    }

    /// Takes the weights of a [`Network::snapshot`] back.
    pub fn restore(&mut self, snapshot: &[Tensor]) {
        tch::no_grad(|| {
            for ((_, mut own), from) in self.tensors().into_iter().zip(snapshot) {
                own.copy_(from);
            }
        });
    }

    /// Names as in the file, and tensors.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = Vec::new();
        let layers = self.layers.iter().enumerate().map(|(index, layer)| (format!("layers.{index}"), layer));
        for (name, (weight, bias)) in layers.chain([("output".to_owned(), &self.output)]) {
            tensors.push((format!("{name}.weight"), weight.shallow_clone()));
            tensors.push((format!("{name}.bias"), bias.shallow_clone()));
        }
        tensors
    }
}
