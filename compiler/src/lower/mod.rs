//! From the quantized network to the bytes of an `.apq` file.

mod arena;
mod layer;
mod memory;
pub(crate) mod norm;
mod operators;
mod overlap;
mod replay;
pub mod requant;
mod stream;
mod table;

pub use memory::{MemoryGoal, StreamedStretch};
pub use operators::{COORDINATE_STEP, on_grid};
pub use table::{look_up, table_entries};

use std::collections::BTreeSet;

use apq_kernels::{ActivationBits, Arrangement};
use apq_lut::Operator;
use apq_runtime::Model;
use apq_runtime::build::{
    Add, AlignedBytes, DivisorSpec, InputSpec, MatMul, ModelSpec, NodeSpec, OperatorSpec, OutputSpec, Pad, RawType, Region, Rescale,
    TensorSpec, Window, write,
};
use apq_targets::Target;

use crate::data::Preprocess;
use crate::graph::{Clamp, Graph, Node, NodeId, Op, TensorId};
use crate::plan::Effort;
use crate::quant::QuantizedNetwork;
use crate::quant::ranges::ActivationQuantizer;
use requant::{mantissa, shared_mantissas};

/// Why a network could not be lowered.
#[derive(Debug, thiserror::Error)]
pub enum LowerError {
    /// A width without codes.
    #[error("internal: no codes of {0} bits")]
    Bits(u8),
    /// A factor that no mantissa and shift can hold: a range is absurdly wide or narrow.
    #[error("a requantisation factor of {0:e} is beyond 31 bits and a shift of 62: weights or activations are far out of proportion")]
    Factor(f64),
    /// A bias that does not fit.
    #[error("a bias of {0} steps is beyond 32 bits: it is far out of proportion to the weights")]
    Bias(i64),
    /// One of these in a node.
    #[error("node \"{node}\": {reason}")]
    Node {
        /// Name of the node.
        node: String,
        /// What is wrong.
        reason: Box<LowerError>,
    },
    /// A size that the file cannot hold.
    #[error("node \"{0}\" is too large for the file format: {1}")]
    TooLarge(String, String),
    /// A tensor or layer without a quantizer.
    #[error("internal: \"{0}\" has no quantizer")]
    NoQuantizer(String),
    /// More weights than this machine can address.
    #[error("a layer's weights are beyond the address space")]
    Weights,
    /// The plan of the arena.
    #[error("internal: memory plan: {0}")]
    Plan(String),
    /// The file could not be written.
    #[error("internal: {0}")]
    Write(#[from] apq_runtime::build::WriteError),
    /// The runtime refuses what the compiler wrote.
    #[error("internal: the runtime refuses the lowered model: {0}")]
    Refused(apq_runtime::LoadError),
}

impl LowerError {
    /// Names the node, where the network's numbers and not the compiler are at fault.
    fn at(self, node: &str) -> LowerError {
        match self {
            LowerError::Factor(_) | LowerError::Bias(_) => LowerError::Node { node: node.into(), reason: Box::new(self) },
            other => other,
        }
    }
}

/// The lowered network.
pub struct Lowered {
    /// The `.apq` file.
    pub file: AlignedBytes,
    /// What it was written from.
    pub spec: ModelSpec,
    /// Bytes of packed weights.
    pub weights_bytes: usize,
    /// Weighted layers and the output channels whose weight scale was raised.
    pub raised: Vec<(NodeId, Vec<usize>)>,
    /// For each node of the graph, its place among the file's nodes; views have none. Of a layer that runs in strips, the first of them.
    pub node_of: Vec<Option<usize>>,
    /// What runs in strips.
    pub streamed: Vec<StreamedStretch>,
}

/// The raw data that the caller will have.
#[derive(Debug, Clone)]
pub struct RawInput {
    /// Element type.
    pub raw: RawType,
    /// Applied before quantization.
    pub preprocess: Preprocess,
}

/// Lowers a quantized network and proves the file with the runtime's own check.
pub fn lower(network: &QuantizedNetwork<'_>, input: &RawInput, goal: impl Into<MemoryGoal>) -> Result<Lowered, LowerError> {
    let Description { spec, raised, node_of } = describe(network, input, Detail::Whole)?;
    let weights = |node: &NodeSpec| match &node.operator {
        OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted } => weighted.weights.len(),
        _ => 0,
    };
    let weights_bytes = spec.nodes.iter().map(weights).sum();
    let memory::Planned { spec, origin, stretches } = memory::plan(spec, goal.into())?;
    replay::replay(&spec).map_err(|fault| LowerError::Plan(fault.to_string()))?;
    let node_of = node_of.into_iter().map(|place| origin.iter().position(|origin| place.is_some() && *origin == place)).collect();
    let file = write(&spec)?;
    Model::new_checked(&file).map_err(LowerError::Refused)?;
    Ok(Lowered { file, spec, weights_bytes, raised, node_of, streamed: stretches })
}

/// Bytes of arena that a network needs, planned quickly: at most `limit`, if that can be reached without changing a result.
pub fn arena_bytes(network: &QuantizedNetwork<'_>, limit: Option<usize>) -> Result<usize, LowerError> {
    let input = RawInput { raw: RawType::F32, preprocess: Preprocess::identity(1) };
    let spec = describe(network, &input, Detail::Outline)?.spec;
    let goal = MemoryGoal { effort: Effort::quick(), arena_bytes_max: limit };
    Ok(memory::plan(spec, goal)?.spec.arena_bytes)
}

/// Whether weights are lowered too, or only what memory planning needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Whole,
    Outline,
}

/// A network ready for the memory plan.
struct Description {
    spec: ModelSpec,
    raised: Vec<(NodeId, Vec<usize>)>,
    node_of: Vec<Option<usize>>,
}

fn describe(network: &QuantizedNetwork<'_>, input: &RawInput, detail: Detail) -> Result<Description, LowerError> {
    let graph = network.graph;
    let aliases = aliases(network);
    let mut tensors = Vec::with_capacity(graph.tensors.len());
    for (index, tensor) in graph.tensors.iter().enumerate() {
        let quantizer = network.quantizer(TensorId(index)).ok_or_else(|| LowerError::NoQuantizer(tensor.name.clone()))?;
        tensors.push(TensorSpec {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            bits: activation_bits(network.stored_bits(quantizer.bits))?,
            scale: quantizer.scale,
            zero_point: quantizer.zero_point,
            offset: 0,
            alias: aliases[index],
        });
    }
    let mut nodes = Vec::new();
    let mut node_of = vec![None; graph.nodes.len()];
    let mut raised = Vec::new();
    let mut written = vec![false; graph.tensors.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        if aliases[node.output.0].is_some() {
            continue;
        }
        // A constant is written right before it is first read.
        for id in &node.inputs {
            if let Some(constant) = &graph.tensor(*id).constant
                && !std::mem::replace(&mut written[id.0], true)
            {
                nodes.push(constant_node(network, *id, constant)?);
            }
        }
        let (operator, raised_channels) = operator(network, NodeId(index), detail).map_err(|error| error.at(&node.name))?;
        if !raised_channels.is_empty() {
            raised.push((NodeId(index), raised_channels));
        }
        let output = network.quantizer(node.output).ok_or_else(|| LowerError::NoQuantizer(node.name.clone()))?;
        node_of[index] = Some(nodes.len());
        nodes.push(NodeSpec {
            name: node.name.clone(),
            operator,
            inputs: node.inputs.iter().map(|id| id.0).collect(),
            output: node.output.0,
            group: network.grouping.of_node[index],
            // The entries of a table are clamped already.
            clamp: if matches!(node.op, Op::Table { .. }) { None } else { clamp_codes(node.clamp, &output).or(wide(network, &output)) },
            scratch: Region::default(),
        });
    }
    let mut last = graph.output.0;
    let kept = network.keep_softmax && graph.softmax_classes.is_some();
    if kept {
        last = tensors.len();
        let logits = network.quantizer(graph.output).ok_or_else(|| LowerError::NoQuantizer(graph.name.clone()))?;
        let bits = if logits.bits == 16 { ActivationBits::A16 } else { ActivationBits::A8 };
        let (name, shape, scale) = ("softmax".to_string(), graph.tensor(graph.output).shape.clone(), 1.0 / bits.hi() as f32);
        tensors.push(TensorSpec { name: name.clone(), shape, bits, scale, zero_point: 0, offset: 0, alias: None });
        let (operator, inputs) = (OperatorSpec::Softmax(exponents(&logits)?), vec![graph.output.0]);
        nodes.push(NodeSpec { name, operator, inputs, output: last, group: None, clamp: None, scratch: Region::default() });
    }
    let preprocess = &input.preprocess;
    let channels = graph.tensor(graph.input).channels();
    let output = graph.tensor(graph.output);
    let spec = ModelSpec {
        name: graph.name.clone(),
        tensors,
        nodes,
        groups: network.grouping.groups.iter().map(|group| group.name.clone()).collect(),
        input: InputSpec {
            tensor: graph.input.0,
            raw: input.raw,
            mean: broadcast(preprocess.mean(), channels),
            std: broadcast(preprocess.std(), channels),
        },
        output: OutputSpec {
            tensor: last,
            classes: if output.len() == output.channels() { output.len() } else { 0 },
            softmax_removed: graph.softmax_dropped && !kept,
        },
        arena_bytes: 0,
    };
    Ok(Description { spec, raised, node_of })
}

/// The codes of a narrow tensor whose codes lie in bytes.
fn wide(network: &QuantizedNetwork<'_>, output: &ActivationQuantizer) -> Option<[i32; 2]> {
    (network.stored_bits(output.bits) > output.bits).then(|| output.code_range().into())
}

/// The node that writes a tensor of the model into the arena.
fn constant_node(network: &QuantizedNetwork<'_>, id: TensorId, values: &[f32]) -> Result<NodeSpec, LowerError> {
    let tensor = network.graph.tensor(id);
    let quantizer = network.quantizer(id).ok_or_else(|| LowerError::NoQuantizer(tensor.name.clone()))?;
    let codes = quantizer.centred_codes(values).into_iter().map(|code| (code as i32 + quantizer.zero_point) as i16).collect();
    Ok(NodeSpec {
        name: tensor.name.clone(),
        operator: OperatorSpec::Constant { codes },
        inputs: Vec::new(),
        output: id.0,
        group: network.grouping.of_tensor[id.0],
        clamp: None,
        scratch: Region::default(),
    })
}

fn broadcast(values: &[f32], channels: usize) -> Vec<f32> {
    let uniform = values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
    if uniform { values.iter().copied().take(1).collect() } else { (0..channels).filter_map(|c| values.get(c).copied()).collect() }
}

fn activation_bits(bits: u8) -> Result<ActivationBits, LowerError> {
    ActivationBits::try_from(bits).map_err(|_| LowerError::Bits(bits))
}

/// For each tensor that is another one under another shape with the same bytes, that other one.
pub(crate) fn aliases(network: &QuantizedNetwork<'_>) -> Vec<Option<usize>> {
    let graph = network.graph;
    let mut aliases: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    // A requantisation from a quantizer to the same one changes nothing.
    let same = |node: &Node| node.clamp.is_none() && network.quantizer(node.inputs[0]) == network.quantizer(node.output);
    let shows = |node: &&Node| matches!(node.op, Op::Reshape) || (matches!(node.op, Op::Clamp) && same(node));
    for node in graph.nodes.iter().filter(shows) {
        let source = node.inputs[0];
        let root = aliases[source.0].unwrap_or(source.0);
        let bits = usize::from(network.stored_bits(network.bits(source)));
        let (from, to) = (graph.tensors[root].channels(), graph.tensor(node.output).channels());
        // Sub-byte pixels start at a byte: the bytes are the same where no pixel of either shape is padded.
        if bits >= 6 || from == to || (from * bits % 8 == 0 && to * bits % 8 == 0) {
            aliases[node.output.0] = Some(root);
        }
    }
    aliases
}

/// The codes that a fused clamp leaves; `None` for all of them.
pub(crate) fn clamp_codes(clamp: Clamp, output: &ActivationQuantizer) -> Option<[i32; 2]> {
    if clamp.is_none() {
        return None;
    }
    let (lo, hi) = output.code_range();
    let code = |bound: f32, infinite: i32| {
        if bound.is_infinite() {
            return infinite;
        }
        let steps = (f64::from(bound) / f64::from(output.scale)).round();
        (steps.clamp(-1e6, 1e6) as i32 + output.zero_point).clamp(lo, hi)
    };
    Some([code(clamp.lo, lo), code(clamp.hi, hi)])
}

fn operator(network: &QuantizedNetwork<'_>, id: NodeId, detail: Detail) -> Result<(OperatorSpec, Vec<usize>), LowerError> {
    let graph = network.graph;
    let node = &graph.nodes[id.0];
    let quantizer = |tensor: TensorId| network.quantizer(tensor).ok_or_else(|| LowerError::NoQuantizer(graph.tensor(tensor).name.clone()));
    let (input, output) = (quantizer(node.inputs[0])?, quantizer(node.output)?);
    let plain = |operator| Ok((operator, Vec::new()));
    match &node.op {
        Op::Conv { weights, .. } | Op::FullyConnected { weights } => {
            let shape = node.op.weight_shape().ok_or(LowerError::Weights)?;
            let rounded = network.layer(id).ok_or_else(|| LowerError::NoQuantizer(node.name.clone()))?;
            let arranged = |target| arrangement(target, node, rounded.weights.bits, input.bits);
            let arrangement = network.layout.map_or(Arrangement::RowMajor, arranged);
            let (weighted, raised) = match detail {
                Detail::Whole => {
                    let stored = network.stored_bits(rounded.weights.bits);
                    let lowered = layer::lower_layer(weights, (&shape, stored, arrangement), rounded, &input, &output)?;
                    (lowered.spec, lowered.raised)
                }
                Detail::Outline => (layer::outline(rounded.weights.bits, arrangement)?, Vec::new()),
            };
            let operator = match &node.op {
                Op::Conv { window, groups, .. } => OperatorSpec::Conv { window: window_spec(node, window)?, groups: *groups, weighted },
                _ => OperatorSpec::FullyConnected { weighted },
            };
            Ok((operator, raised))
        }
        Op::Add | Op::Sub => {
            let second = quantizer(node.inputs[1])?;
            let bits = if input.bits <= 8 && second.bits <= 8 { 21 } else { 31 };
            let (a, b) = (f64::from(input.scale) / f64::from(output.scale), f64::from(second.scale) / f64::from(output.scale));
            let (multipliers, shift) = shared_mantissas(a, b, bits).ok_or(LowerError::Factor(a.max(b)))?;
            plain(OperatorSpec::Add(Add { multipliers, shift, subtract: node.op == Op::Sub }))
        }
        Op::Table { function } => plain(OperatorSpec::Table { entries: table_entries(function, node.clamp, &input, &output) }),
        Op::Resize { rows, columns, interpolate } => plain(operators::resize(rows, columns, *interpolate, &input, &output)?),
        Op::Prelu { slopes } => plain(operators::prelu(slopes, &input, &output)?),
        Op::Slice { begin, step } => plain(operators::slice(node, begin, step)?),
        Op::AveragePool { window, count_include_pad } => {
            let counted_end = if *count_include_pad { Some(small_pair(node, window.pad_end)?) } else { None };
            let mut divisors = Vec::new();
            for count in counts(graph, node, window, *count_include_pad) {
                let factor = f64::from(input.scale) / (f64::from(output.scale) * count as f64);
                let (multiplier, shift) = mantissa(factor, 31).ok_or(LowerError::Factor(factor))?;
                divisors.push(DivisorSpec { count: count as u32, multiplier, shift });
            }
            plain(OperatorSpec::AveragePool { window: window_spec(node, window)?, counted_end, divisors })
        }
        Op::MaxPool { window } => plain(OperatorSpec::MaxPool(window_spec(node, window)?)),
        Op::Clamp => plain(OperatorSpec::Requantize(rescale(&input, &output)?)),
        Op::Concat { axis } => {
            let mut rescales = Vec::new();
            for tensor in &node.inputs {
                let from = quantizer(*tensor)?;
                let same = from == output && node.clamp.is_none();
                rescales.push(if same { None } else { Some(rescale(&from, &output)?) });
            }
            plain(OperatorSpec::Concat { axis: *axis, rescales })
        }
        Op::Pad { pads, value } => {
            let mut before = [0; 3];
            for (to, (pad, _)) in before.iter_mut().rev().zip(pads.iter().rev()) {
                *to = u32::try_from(*pad).map_err(|_| LowerError::TooLarge(node.name.clone(), "padding".into()))?;
            }
            let mut code = [*value];
            output.fake_quantize(&mut code);
            let code = (f64::from(code[0]) / f64::from(output.scale)).round() as i32 + output.zero_point;
            plain(OperatorSpec::Pad(Pad { before, code }))
        }
        Op::Transpose { perm } => plain(OperatorSpec::Transpose { axes: perm.clone() }),
        Op::Softmax => plain(OperatorSpec::Softmax(exponents(&input)?)),
        Op::Reshape => plain(OperatorSpec::Reshape),
        Op::Mul => plain(OperatorSpec::Mul(product_rescale(&input, &quantizer(node.inputs[1])?, 1.0, &output)?)),
        Op::MatMul { transposed, scale } => {
            let rescale = product_rescale(&input, &quantizer(node.inputs[1])?, *scale, &output)?;
            plain(OperatorSpec::MatMul(MatMul { transposed: *transposed, rescale }))
        }
        Op::LayerNorm { gamma, beta, epsilon } => plain(norm::lower(gamma, beta, *epsilon, &input, &output)?),
        Op::ChannelAffine { .. } => Err(LowerError::NoQuantizer(format!("{} (channel_affine)", node.name))),
    }
}

/// The first arrangement of the target's kernel table that this build knows.
pub(crate) fn arrangement(target: &Target, node: &Node, weight_bits: u8, activation_bits: u8) -> Arrangement {
    let Ok(operator) = node.op.name().parse::<Operator>() else {
        return Arrangement::RowMajor;
    };
    target.arrangements(&operator, weight_bits, activation_bits).find_map(Arrangement::from_name).unwrap_or_default()
}

/// From the codes of a softmax's input to exponents of two in units of 2^-16.
pub(crate) fn exponents(input: &ActivationQuantizer) -> Result<Rescale, LowerError> {
    let factor = f64::from(input.scale) * std::f64::consts::LOG2_E * 65536.0;
    let (multiplier, shift) = mantissa(factor, 31).ok_or(LowerError::Factor(factor))?;
    Ok(Rescale { multiplier, shift })
}

fn rescale(from: &ActivationQuantizer, to: &ActivationQuantizer) -> Result<Rescale, LowerError> {
    let factor = f64::from(from.scale) / f64::from(to.scale);
    let (multiplier, shift) = mantissa(factor, 31).ok_or(LowerError::Factor(factor))?;
    Ok(Rescale { multiplier, shift })
}

/// From products of two quantizers' codes to a third one's.
fn product_rescale(a: &ActivationQuantizer, b: &ActivationQuantizer, scale: f32, to: &ActivationQuantizer) -> Result<Rescale, LowerError> {
    let factor = f64::from(a.scale) * f64::from(b.scale) * f64::from(scale) / f64::from(to.scale);
    let (multiplier, shift) = mantissa(factor, 31).ok_or(LowerError::Factor(factor))?;
    Ok(Rescale { multiplier, shift })
}

fn small_pair(node: &Node, pair: [usize; 2]) -> Result<[u16; 2], LowerError> {
    let small = |v: usize| u16::try_from(v).map_err(|_| LowerError::TooLarge(node.name.clone(), format!("{v} in its window")));
    Ok([small(pair[0])?, small(pair[1])?])
}

fn window_spec(node: &Node, window: &crate::graph::Window) -> Result<Window, LowerError> {
    Ok(Window {
        kernel: small_pair(node, window.kernel)?,
        stride: small_pair(node, window.stride)?,
        dilation: small_pair(node, window.dilation)?,
        pad: small_pair(node, window.pad_begin)?,
    })
}

/// The distinct numbers of elements that the windows of an average pool count.
fn counts(graph: &Graph, node: &Node, window: &crate::graph::Window, include_pad: bool) -> BTreeSet<usize> {
    let (input, output) = (&graph.tensor(node.inputs[0]).shape, &graph.tensor(node.output).shape);
    let along = |axis: usize| -> BTreeSet<usize> {
        (0..output[axis + 1])
            .map(|place| {
                let counted = |tap: &usize| {
                    let at = place * window.stride[axis] + tap * window.dilation[axis];
                    let inside = at >= window.pad_begin[axis] && at - window.pad_begin[axis] < input[axis + 1];
                    inside || include_pad
                };
                (0..window.kernel[axis]).filter(counted).count()
            })
            .collect()
    };
    let (vertical, horizontal) = (along(0), along(1));
    vertical.iter().flat_map(|v| horizontal.iter().map(move |h| v * h)).collect()
}
