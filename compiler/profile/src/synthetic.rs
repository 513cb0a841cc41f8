//! Compiled models that hold given layers and nothing else.
//!
//! The network's input is a row of bytes. Before each layer its operands are cut from it and brought to their width; the layer's output is
//! read by nobody. Weights are random, and the requantisation is the usual one, so that a layer costs what it costs in a real network.

mod operators;

use apq_kernels::{ActivationBits, Arrangement, pack};
use apq_lut::{Candidate, LayerKey, Operator};
use apq_runtime::build::{
    AlignedBytes, InputSpec, ModelSpec, NodeSpec, OperatorSpec, OutputSpec, RawType, Region, Rescale, Slice, TensorSpec, WriteError,
    scratch_bytes, write,
};
use apq_runtime::{ALIGNMENT, LoadError, Model};
use apq_targets::Target;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What one file may take of the machine that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub file_bytes: usize,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Layers; a machine checks a file in a time that grows with their square.
    pub layers: usize,
}

/// A file and the layers in it.
#[derive(Debug)]
pub struct Batch {
    /// The `.apq` file.
    pub file: AlignedBytes,
    /// Each layer with its node's number.
    pub layers: Vec<(usize, LayerKey)>,
    /// Bytes of arena.
    pub arena_bytes: usize,
}

impl Batch {
    /// Multiply-accumulates of all layers; of operators without any, codes.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|(_, key)| key.macs().unwrap_or(0).max(elements(key))).sum()
    }
}

/// Why a layer is in no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Skipped {
    /// The key has a width, operator or shape that a file cannot hold.
    #[error("the runtime has no such layer")]
    NoLayer,
    /// The layer alone passes the limits.
    #[error("it needs {needed_bytes} bytes of {what}; there are {given_bytes}")]
    TooLarge {
        /// Flash or RAM.
        what: &'static str,
        /// What the layer takes.
        needed_bytes: usize,
        /// What there is.
        given_bytes: usize,
    },
    /// The runtime refuses the file.
    #[error("the runtime refuses the layer: {0}")]
    Refused(LoadError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Files with all layers of `keys` that can be run, and the others with the reason.
///
/// Equal layers are there once. Layers of about equal size come together, so that the arena of a file is used. Equal arguments give equal files.
#[must_use]
pub fn batches(target: &Target, keys: &[LayerKey], limits: &Limits, seed: u64) -> (Vec<Batch>, Vec<(LayerKey, Skipped)>) {
    let same = |key: &LayerKey| LayerKey { reads_network_input: false, ..key.clone() }.with_needed_padding();
    let mut keys: Vec<LayerKey> = keys.iter().map(same).collect();
    keys.sort_by_cached_key(|key| (elements(key), key.input, key.activation_bits, key.clone()));
    keys.dedup();
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    let mut current = Maker::new(target, seed);
    for key in keys {
        let mut with = current.clone();
        let added = with.add(&key).and_then(|()| with.check(limits));
        match added {
            Ok(()) => current = with,
            Err(_) => {
                // Alone in a new file, or in one that has no room for another, or not at all.
                let alone = [false, true].map(|whole_input| {
                    let mut alone = Maker { whole_input, ..Maker::new(target, seed) };
                    alone.add(&key).and_then(|()| alone.check(limits)).and_then(|()| alone.finish()).map(|_| alone)
                });
                match alone {
                    [Ok(alone), _] => files.push(std::mem::replace(&mut current, alone)),
                    [_, Ok(alone)] => files.push(alone),
                    [_, Err(reason)] => skipped.push((key, reason)),
                }
            }
        }
    }
    files.push(current);
    let mut batches = Vec::new();
    for file in files.into_iter().filter(|file| !file.layers.is_empty()) {
        match file.finish() {
            Ok(batch) => batches.push(batch),
            Err(reason) => skipped.extend(file.layers.into_iter().map(|(_, key)| (key, reason.clone()))),
        }
    }
    (batches, skipped)
}

/// Codes of the larger operand.
fn elements(key: &LayerKey) -> u64 {
    let read = u64::from(key.input[0]) * u64::from(key.input[1]) * u64::from(key.rows);
    read.saturating_mul(u64::from(key.input_channels))
}

/// A model that grows layer by layer.
#[derive(Clone)]
struct Maker<'t> {
    target: &'t Target,
    spec: ModelSpec,
    layers: Vec<(usize, LayerKey)>,
    random: ChaCha8Rng,
    /// Codes of the network's input.
    codes: usize,
    /// The largest operand is the network's input itself: for one layer that is large.
    whole_input: bool,
    /// What the last layer was given, for the next one: shape, width and tensor.
    given: Option<(Vec<usize>, ActivationBits, usize)>,
    /// Where the arena is free while one layer runs.
    free: usize,
    /// Bytes of the file, about.
    file_bytes: usize,
}

/// The network's input.
const INPUT: usize = 0;

/// A factor of nearly 1.
const UNIT: Rescale = Rescale { multiplier: i32::MAX, shift: 31 };

/// Bytes of a file for each layer beside its weights: records of its nodes and tensors.
const RECORD_BYTES: usize = 256;

impl<'t> Maker<'t> {
    fn new(target: &'t Target, seed: u64) -> Self {
        let spec = ModelSpec {
            name: "profile".into(),
            tensors: vec![tensor_spec(&[1, 1], ActivationBits::A8)],
            nodes: Vec::new(),
            groups: Vec::new(),
            input: InputSpec { tensor: INPUT, raw: RawType::F32, mean: vec![0.0], std: vec![1.0] },
            output: OutputSpec { tensor: INPUT, classes: 0, softmax_removed: false },
            arena_bytes: ALIGNMENT,
        };
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { target, spec, layers: Vec::new(), random, codes: 1, whole_input: false, given: None, free: 0, file_bytes: RECORD_BYTES }
    }

    /// Adds a layer behind the others.
    fn add(&mut self, key: &LayerKey) -> Result<(), Skipped> {
        key.check().map_err(|_| Skipped::NoLayer)?;
        let bits = ActivationBits::try_from(key.activation_bits).map_err(|_| Skipped::NoLayer)?;
        let layer = operators::layer(self, key, bits)?;
        let wanted = layer.operands.iter().map(|shape| shape.iter().product()).max().unwrap_or(1);
        self.grow_input(wanted);
        self.free = self.codes.next_multiple_of(ALIGNMENT);
        let mut inputs = Vec::new();
        for shape in &layer.operands {
            inputs.push(self.operand(shape, bits));
        }
        if let (2, &[only]) = (layer.reads, inputs.as_slice()) {
            inputs.push(self.view(only, &self.spec.tensors[only].shape.clone()));
        }
        let output = self.place(TensorSpec {
            scale: layer.output_scale,
            zero_point: layer.output_zero_point,
            ..tensor_spec(&layer.output, layer.output_bits)
        });
        self.file_bytes += RECORD_BYTES + layer.raw_bytes;
        self.node(layer.operator, inputs, output);
        let index = self.spec.nodes.len() - 1;
        let length = scratch_bytes(&self.spec, index);
        if length > 0 {
            let region = |value: usize| u32::try_from(value).map_err(|_| Skipped::NoLayer);
            self.spec.nodes[index].scratch = Region { offset: region(self.free)?, length: region(length)? };
            self.use_arena(length);
        }
        self.spec.output.tensor = output;
        self.layers.push((index, key.clone()));
        Ok(())
    }

    /// Makes the network's input as long as the largest operand; what lies behind it moves.
    fn grow_input(&mut self, codes: usize) {
        let (before, after) = (self.codes.next_multiple_of(ALIGNMENT), self.codes.max(codes).next_multiple_of(ALIGNMENT));
        if codes <= self.codes {
            return;
        }
        self.codes = codes;
        self.spec.tensors[INPUT].shape = vec![1, codes];
        let moved = after - before;
        for tensor in self.spec.tensors.iter_mut().skip(1).filter(|tensor| tensor.offset >= before) {
            tensor.offset += moved;
        }
        for node in self.spec.nodes.iter_mut().filter(|node| node.scratch.length > 0) {
            node.scratch.offset += moved as u32;
        }
        self.spec.arena_bytes += moved;
    }

    /// A tensor of that shape and width with codes in it.
    fn operand(&mut self, shape: &[usize], bits: ActivationBits) -> usize {
        if let Some((known, width, tensor)) = &self.given
            && known == shape
            && *width == bits
        {
            let tensor = *tensor;
            let spec = &self.spec.tensors[tensor];
            self.free = self.free.max((spec.offset + bytes(&spec.shape, spec.bits)).next_multiple_of(ALIGNMENT));
            return tensor;
        }
        let codes: usize = shape.iter().product();
        let cut = if self.whole_input && codes == self.codes {
            INPUT
        } else {
            let cut = self.place(tensor_spec(&[1, codes], ActivationBits::A8));
            self.node(OperatorSpec::Slice(Slice { begin: [0; 3], step: [1; 3] }), vec![INPUT], cut);
            cut
        };
        let mut tensor = self.view(cut, shape);
        if bits != ActivationBits::A8 {
            let converted = self.place(tensor_spec(shape, bits));
            self.node(OperatorSpec::Requantize(UNIT), vec![tensor], converted);
            tensor = converted;
        }
        self.given = Some((shape.to_vec(), bits, tensor));
        tensor
    }

    fn view(&mut self, of: usize, shape: &[usize]) -> usize {
        let mut view = self.spec.tensors[of].clone();
        view.shape = shape.to_vec();
        view.alias = Some(view.alias.unwrap_or(of));
        self.spec.tensors.push(view);
        self.spec.tensors.len() - 1
    }

    /// A tensor at the first free place.
    fn place(&mut self, mut tensor: TensorSpec) -> usize {
        tensor.offset = self.free;
        self.use_arena(bytes(&tensor.shape, tensor.bits));
        self.spec.tensors.push(tensor);
        self.spec.tensors.len() - 1
    }

    fn use_arena(&mut self, bytes: usize) {
        self.free = (self.free + bytes).next_multiple_of(ALIGNMENT);
        self.spec.arena_bytes = self.spec.arena_bytes.max(self.free);
    }

    fn node(&mut self, operator: OperatorSpec, inputs: Vec<usize>, output: usize) {
        let scratch = Region::default();
        self.spec.nodes.push(NodeSpec { name: String::new(), operator, inputs, output, group: None, clamp: None, scratch });
    }

    /// The arrangement that the compiler would choose.
    fn arrangement(&self, operator: &Operator, bits: Candidate) -> Arrangement {
        let names = self.target.arrangements(operator, bits.weight_bits, bits.activation_bits);
        names.into_iter().find_map(Arrangement::from_name).unwrap_or_default()
    }

    fn check(&self, limits: &Limits) -> Result<(), Skipped> {
        let over = |what, needed_bytes, given_bytes| Skipped::TooLarge { what, needed_bytes, given_bytes };
        if self.file_bytes > limits.file_bytes {
            return Err(over("flash", self.file_bytes, limits.file_bytes));
        }
        if self.spec.arena_bytes > limits.arena_bytes {
            return Err(over("RAM", self.spec.arena_bytes, limits.arena_bytes));
        }
        if self.layers.len() > limits.layers.max(1) { Err(over("layers", self.layers.len(), limits.layers)) } else { Ok(()) }
    }

    fn finish(&self) -> Result<Batch, Skipped> {
        let file = write(&self.spec)?;
        Model::new_checked(&file).map_err(Skipped::Refused)?;
        Ok(Batch { file, layers: self.layers.clone(), arena_bytes: self.spec.arena_bytes })
    }
}

/// A tensor without a place; all of one width share a quantizer.
fn tensor_spec(shape: &[usize], bits: ActivationBits) -> TensorSpec {
    let zero_point = if bits.signed() { 0 } else { (bits.hi() + 1) / 2 };
    TensorSpec { name: String::new(), shape: shape.to_vec(), bits, scale: 0.0625, zero_point, offset: 0, alias: None }
}

/// Bytes of a tensor's packed codes.
fn bytes(shape: &[usize], bits: ActivationBits) -> usize {
    let (channels, pixels) = (shape.last().copied().unwrap_or(1), shape.iter().rev().skip(1).product::<usize>());
    pixels * pack::row_bytes(bits, channels)
}
