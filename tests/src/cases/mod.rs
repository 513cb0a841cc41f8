//! One small network for each form of each operator, as ONNX files.
//!
//! Weights are random but fixed by the case's name. Sizes are odd and channels no multiples of what packs into a byte, so that every tail is met.

mod activation;
mod arithmetic;
mod attention;
mod cut;
mod drawn;
mod elementwise;
mod linear;
mod pool;
mod refused;
mod resize;
mod shape;
mod whole;

pub use refused::{Refused, refused};

use apq_examples::onnx::{Attribute, Dim, GraphBuilder, Tensor};
use rand_chacha::ChaCha8Rng;

use crate::random;

/// A network to be read, run and compiled.
pub struct Case {
    /// Name of the case and of the model.
    pub name: &'static str,
    /// The ONNX file.
    pub model: Vec<u8>,
    /// Shape of the input in ONNX order, batch 1.
    pub input: Vec<usize>,
}

/// All cases.
pub fn all() -> Vec<Case> {
    let cases = [
        linear::cases(),
        elementwise::cases(),
        activation::cases(),
        arithmetic::cases(),
        attention::cases(),
        pool::cases(),
        shape::cases(),
        cut::cases(),
        resize::cases(),
        whole::cases(),
        drawn::cases(),
    ];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "two cases are called {twice:?}");
    cases
}

/// The case of that name.
pub fn find(name: &str) -> Case {
    all().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("there is no case {name}"))
}

type Attributes<'a> = &'a [(&'a str, Attribute)];

/// A graph under construction.
struct Sketch {
    builder: GraphBuilder,
    random: ChaCha8Rng,
    names: usize,
}

impl Sketch {
    fn new(name: &str, opset: i64) -> Sketch {
        Sketch { builder: GraphBuilder::new(opset), random: random::seeded(name), names: 0 }
    }

    /// A name that is not taken, such as `conv3`.
    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    /// Random values of about `size`.
    fn values(&mut self, len: usize, size: f32) -> Vec<f32> {
        random::normal(&mut self.random, len).into_iter().map(|v| v * size).collect()
    }

    /// Random weights, of such a size that a sum over all axes but the first stays near 1.
    fn weights(&mut self, shape: &[usize]) -> String {
        let taps: usize = shape.iter().skip(1).product();
        self.vector(shape, 1.0 / (taps as f32).sqrt())
    }

    /// A random constant of about `size`.
    fn vector(&mut self, shape: &[usize], size: f32) -> String {
        let values = self.values(shape.iter().product(), size);
        self.constant(shape, &values)
    }

    /// A constant.
    fn constant(&mut self, shape: &[usize], values: &[f32]) -> String {
        let name = self.name("w");
        self.builder.initializer(&name, shape, values);
        name
    }

    /// A constant of whole numbers.
    fn integers(&mut self, values: &[i64]) -> String {
        let name = self.name("i");
        self.builder.initializer_i64(&name, &[values.len()], values);
        name
    }

    /// A whole number without axes.
    fn scalar(&mut self, value: i64) -> String {
        let name = self.name("i");
        self.builder.initializer_i64(&name, &[], &[value]);
        name
    }

    /// A constant of any type.
    fn tensor(&mut self, tensor: Tensor) -> String {
        let name = self.name("t");
        self.builder.initializer_of(&name, tensor);
        name
    }

    /// One node; the name of its output.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: Attributes) -> String {
        let name = self.name(&op.to_lowercase());
        let output = format!("{name}_out");
        self.builder.node(op, &name, inputs, &[&output], attributes);
        output
    }

    /// A convolution with padding 1, 3x3, and a bias.
    fn conv(&mut self, input: &str, inputs: usize, outputs: usize) -> String {
        let weights = self.weights(&[outputs, inputs, 3, 3]);
        let bias = self.vector(&[outputs], 0.3);
        self.node("Conv", &[input, &weights, &bias], &[("pads", [1, 1, 1, 1].into())])
    }

    /// Batch normalisation with random statistics.
    fn norm(&mut self, input: &str, channels: usize) -> String {
        let near = |values: Vec<f32>| -> Vec<f32> { values.into_iter().map(|v| 1.0 + 0.3 * v.clamp(-2.0, 2.0)).collect() };
        let scale = near(self.values(channels, 1.0));
        let variance = near(self.values(channels, 1.0));
        let scale = self.constant(&[channels], &scale);
        let offset = self.vector(&[channels], 0.4);
        let mean = self.vector(&[channels], 0.4);
        let variance = self.constant(&[channels], &variance);
        self.node("BatchNormalization", &[input, &scale, &offset, &mean, &variance], &[("epsilon", 1e-3.into())])
    }
}

/// A case with a dynamic batch; `build` gets the sketch, whose input is called `input`, and returns the name of the output.
fn case(name: &'static str, opset: i64, input: &[usize], build: impl FnOnce(&mut Sketch) -> String) -> Case {
    with_batch(name, opset, input, Dim::Symbol("N"), build)
}

/// As [`case`], with the batch fixed at 1.
fn fixed(name: &'static str, opset: i64, input: &[usize], build: impl FnOnce(&mut Sketch) -> String) -> Case {
    with_batch(name, opset, input, Dim::Fixed(1), build)
}

fn with_batch(name: &'static str, opset: i64, input: &[usize], batch: Dim, build: impl FnOnce(&mut Sketch) -> String) -> Case {
    let mut sketch = Sketch::new(name, opset);
    let mut dims: Vec<Dim> = input.iter().map(|size| Dim::Fixed(*size)).collect();
    dims[0] = batch;
    sketch.builder.input("input", &dims);
    let output = build(&mut sketch);
    sketch.builder.output_of_any_shape(&output);
    Case { name, model: sketch.builder.to_bytes(), input: input.to_vec() }
}
