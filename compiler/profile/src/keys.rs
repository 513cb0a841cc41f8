//! The layers of a compiled model as keys of lookup tables.

use apq_lut::{Candidate, LayerKey, Operator};
use apq_runtime::{Model, Node, Operator as Record, Tensor, Window};

/// The key of a node of a compiled model; `None` where nothing is computed: reshapes and constants.
///
/// Equal to the key of the same layer in the compiler, but that padding at the end is what the output's size needs.
#[must_use]
pub fn layer_key(model: &Model<'_>, node: &Node<'_>) -> Option<LayerKey> {
    let first = model.tensor(*node.inputs.first()?)?;
    let output = model.tensor(node.output)?;
    let input_bits = first.bits.bits() as u8;
    let bits = |weight_bits: u8| Candidate::new(weight_bits, input_bits);
    let (channels, outputs) = (small(first.shape.channels()), small(output.shape.channels()));
    let operator = match &node.operator {
        Record::Reshape | Record::Constant { .. } => return None,
        Record::FullyConnected(weighted) => {
            return Some(LayerKey::fully_connected(small(first.shape.pixels()), channels, outputs, bits(weighted.bits.bits() as u8)?));
        }
        Record::MatMul(_) => return matrix_product(&first, outputs, bits(input_bits)?),
        Record::Conv(conv) => {
            let groups = conv.groups;
            let depthwise = groups > 1 && groups == channels;
            let operator = if depthwise { Operator::Depthwise } else { Operator::Conv };
            let mut key = LayerKey::plain(operator, sides(&first), channels, bits(conv.weighted.bits.bits() as u8)?);
            key.groups = groups;
            return Some(windowed(key, model, node, &output, &conv.window));
        }
        Record::AveragePool(pool) => {
            let key = LayerKey::plain(Operator::AveragePool, sides(&first), channels, bits(8)?);
            return Some(windowed(key, model, node, &output, &pool.window));
        }
        Record::MaxPool(window) => {
            let key = LayerKey::plain(Operator::MaxPool, sides(&first), channels, bits(8)?);
            return Some(windowed(key, model, node, &output, window));
        }
        Record::Add(add) if add.subtract => Operator::Sub,
        Record::Add(_) => Operator::Add,
        Record::Mul(_) => Operator::Mul,
        Record::Requantize(_) => Operator::Requantize,
        Record::Pad(_) => Operator::Pad,
        Record::Slice(_) => Operator::Slice,
        Record::Concat(_) => Operator::Concat,
        Record::Transpose { .. } => Operator::Transpose,
        Record::Table { .. } => Operator::Table,
        Record::Softmax(_) => Operator::Softmax,
        Record::Resize(_) => Operator::Resize,
        Record::Prelu(_) => Operator::Prelu,
        Record::LayerNorm(_) => Operator::LayerNorm,
    };
    let mut key = LayerKey::plain(operator, sides(&first), channels, bits(8)?);
    key.output = sides(&output);
    key.output_channels = outputs;
    key.reads_network_input = reads_input(model, node);
    Some(key)
}

/// All layers of a compiled model, in the order in which they run: the node's number and the key.
#[must_use]
pub fn model_keys(model: &Model<'_>) -> Vec<(usize, LayerKey)> {
    model.nodes().enumerate().filter_map(|(index, node)| Some((index, layer_key(model, &node)?))).collect()
}

fn small(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// `[height, width]` of an image; anything else is a column of pixels.
fn sides(tensor: &Tensor<'_>) -> [u32; 2] {
    if tensor.shape.rank() == 4 { [small(tensor.shape.size(1)), small(tensor.shape.size(2))] } else { [small(tensor.shape.pixels()), 1] }
}

fn reads_input(model: &Model<'_>, node: &Node<'_>) -> bool {
    let Some(input) = model.input() else { return false };
    node.inputs.iter().any(|&index| model.tensor(index).is_some_and(|tensor| tensor == input.tensor))
}

fn windowed(mut key: LayerKey, model: &Model<'_>, node: &Node<'_>, output: &Tensor<'_>, window: &Window) -> LayerKey {
    key.output = sides(output);
    key.output_channels = small(output.shape.channels());
    key.kernel = window.kernel.map(u32::from);
    key.stride = window.stride.map(u32::from);
    key.dilation = window.dilation.map(u32::from);
    key.padding = [u32::from(window.pad[0]), u32::from(window.pad[1]), 0, 0];
    key.reads_network_input = reads_input(model, node);
    key.with_needed_padding()
}

fn matrix_product(first: &Tensor<'_>, outputs: u32, bits: Candidate) -> Option<LayerKey> {
    let (rank, channels) = (first.shape.rank(), small(first.shape.channels()));
    let rows = small(first.shape.size(rank.checked_sub(2)?));
    let batches = small((0..rank - 2).map(|axis| first.shape.size(axis)).product());
    let mut key = LayerKey::fully_connected(rows, channels, outputs, bits);
    key.operator = Operator::MatMul;
    key.groups = batches;
    key.input_channels = channels.checked_mul(batches)?;
    key.output_channels = outputs.checked_mul(batches)?;
    Some(key)
}
