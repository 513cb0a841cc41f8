//! One node: its references, its kernel's parameters, its data and its own places in the arena.

use apq_kernels::{Accumulator, ActivationBits, Conv, Invalid, pack};

use super::same_quantizer;
use crate::built;
use crate::error::NodeProblem;
use crate::header::ALIGNMENT;
use crate::kernel::{Kernel, bind, concat_part, operand, output_codes};
use crate::model::Model;
use crate::node::{Concat, Node, Operator};
use crate::tensor::Tensor;

/// Checks node `index` and returns the place of its operator in the list of operators.
///
/// `raw_left`: bytes that nodes may still read from the raw section; this node's are taken away.
pub(super) fn check(model: &Model<'_>, index: u16, raw_left: &mut usize) -> Result<usize, NodeProblem> {
    let node = model.node(index).ok_or(NodeProblem::Record)?;
    let operator = node.operator.index();
    if model.operator_set() >> operator & 1 == 0 {
        return Err(NodeProblem::OperatorList);
    }
    if node.group.is_some_and(|group| model.group(group).is_none()) {
        return Err(NodeProblem::Reference);
    }
    let inputs_expected = match &node.operator {
        Operator::Constant { .. } => 0,
        Operator::Add(_) | Operator::Mul(_) | Operator::MatMul(_) => 2,
        Operator::Concat(concat) => concat.rescales.len().max(1),
        _ => 1,
    };
    if node.inputs.len() != inputs_expected {
        return Err(NodeProblem::InputCount);
    }
    let output = model.tensor(node.output).ok_or(NodeProblem::Reference)?;
    let first = if inputs_expected == 0 { output.clone() } else { input(model, &node, 0)? };
    let second = if inputs_expected == 2 { Some(input(model, &node, 1)?) } else { None };
    clamp(&node, &output)?;
    let scratch = node.scratch.length as usize;
    let scratch_end = (node.scratch.offset as usize).checked_add(scratch);
    let scratch_aligned = (node.scratch.offset as usize).is_multiple_of(ALIGNMENT);
    if scratch > 0 && (!scratch_aligned || scratch_end.is_none_or(|end| end > model.arena_bytes())) {
        return Err(NodeProblem::Scratch);
    }
    let kernel = bind(model, &node, &first, second.as_ref(), &output)?;
    *raw_left = raw_left.checked_sub(raw_bytes(&kernel)).ok_or(NodeProblem::RawShared)?;
    parameters(model, &node, &kernel, &first, second.as_ref(), &output)?;
    Ok(operator)
}

/// Bytes that a kernel reads from the raw section.
fn raw_bytes(kernel: &Kernel<'_>) -> usize {
    // Two words and a byte for each channel or divisor.
    const ENTRY_BYTES: usize = 9;
    match kernel {
        Kernel::Conv(conv) => conv.weights.len().saturating_add(conv.stage.bias.len() * ENTRY_BYTES),
        Kernel::FullyConnected(layer) => layer.weights.len().saturating_add(layer.stage.bias.len() * ENTRY_BYTES),
        Kernel::AveragePool(pool) => pool.counts.len() * ENTRY_BYTES,
        Kernel::Table(table) => table.entries.len(),
        Kernel::Resize(resize) => (resize.rows.len() + resize.columns.len()) * size_of::<u32>(),
        Kernel::Prelu(prelu) => prelu.slope_shift.len() * (size_of::<i32>() + 1),
        Kernel::LayerNorm(norm) => size_of_val(norm.gamma).saturating_add(size_of_val(norm.beta)),
        Kernel::Constant(codes) => codes.len(),
        _ => 0,
    }
}

fn input<'a>(model: &Model<'a>, node: &Node<'_>, place: usize) -> Result<Tensor<'a>, NodeProblem> {
    let index = node.inputs.get(place).ok_or(NodeProblem::InputCount)?;
    model.tensor(*index).ok_or(NodeProblem::Reference)
}

fn clamp(node: &Node<'_>, output: &Tensor<'_>) -> Result<(), NodeProblem> {
    let Some([lo, hi]) = node.clamp else {
        return Ok(());
    };
    let clamps = match &node.operator {
        Operator::Conv(_)
        | Operator::FullyConnected(_)
        | Operator::Add(_)
        | Operator::Mul(_)
        | Operator::AveragePool(_)
        | Operator::Requantize(_)
        | Operator::Prelu(_) => true,
        Operator::Resize(resize) => resize.rescale.is_some(),
        Operator::MatMul(_) | Operator::LayerNorm(_) => true,
        Operator::Concat(concat) => concat.rescales.iter().all(Option::is_some),
        _ => false,
    };
    if clamps && lo <= hi && output.bits.contains(lo) && output.bits.contains(hi) { Ok(()) } else { Err(NodeProblem::Clamp) }
}

/// The kernel's own check, and what it leaves to its caller: shared quantizers and the accumulator's bound.
fn parameters(
    model: &Model<'_>,
    node: &Node<'_>,
    kernel: &Kernel<'_>,
    first: &Tensor<'_>,
    second: Option<&Tensor<'_>>,
    output: &Tensor<'_>,
) -> Result<(), NodeProblem> {
    let input = operand(first);
    let scratch = node.scratch.length as usize;
    let bytes = output.bytes();
    match kernel {
        Kernel::Conv(conv) if built::CONV => {
            conv.check(input, bytes, scratch)?;
            accumulator(conv, first.bits)
        }
        Kernel::FullyConnected(layer) if built::FULLY_CONNECTED => {
            layer.check(input, bytes, scratch)?;
            accumulator(&layer.as_conv(), first.bits)
        }
        Kernel::Add(add) if built::ADD => {
            let second = second.ok_or(NodeProblem::InputCount)?;
            Ok(add.check(input, operand(second), bytes)?)
        }
        Kernel::Mul(mul) if built::MUL => {
            let second = second.ok_or(NodeProblem::InputCount)?;
            Ok(mul.check(input, operand(second), bytes)?)
        }
        Kernel::AveragePool(pool) if built::AVERAGE_POOL => Ok(pool.check(input, bytes)?),
        Kernel::Requantize(requantize) if built::REQUANTIZE => {
            same_shape(first, output)?;
            Ok(requantize.check(input, bytes)?)
        }
        Kernel::Table(table) if built::TABLE => {
            same_shape(first, output)?;
            Ok(table.check(input, bytes)?)
        }
        Kernel::Resize(resize) if built::RESIZE => {
            if resize.rescale.is_none() {
                shared_quantizer(first, output)?;
            }
            Ok(resize.check(input, bytes)?)
        }
        Kernel::Prelu(prelu) if built::PRELU => {
            same_shape(first, output)?;
            Ok(prelu.check(input, bytes)?)
        }
        Kernel::Softmax(softmax) if built::SOFTMAX => {
            same_shape(first, output)?;
            if output.zero_point != 0 {
                return Err(NodeProblem::Quantizer);
            }
            Ok(softmax.check(input, bytes)?)
        }
        Kernel::MaxPool(pool) if built::MAX_POOL => {
            shared_quantizer(first, output)?;
            Ok(pool.check(input, bytes)?)
        }
        Kernel::Pad(pad) if built::PAD => {
            shared_quantizer(first, output)?;
            Ok(pad.check(input, bytes)?)
        }
        Kernel::Slice(slice) if built::SLICE => {
            shared_quantizer(first, output)?;
            Ok(slice.check(input, bytes)?)
        }
        Kernel::Transpose(transpose) if built::TRANSPOSE => {
            shared_quantizer(first, output)?;
            Ok(transpose.check(input, bytes)?)
        }
        Kernel::Reshape if built::RESHAPE => {
            shared_quantizer(first, output)?;
            if first.shape.elements() == output.shape.elements() { Ok(()) } else { Err(NodeProblem::Shape) }
        }
        Kernel::MatMul(product) if built::MATMUL => {
            let second = second.ok_or(NodeProblem::InputCount)?;
            Ok(product.check(input, operand(second), bytes, scratch)?)
        }
        Kernel::LayerNorm(norm) if built::LAYER_NORM => {
            same_shape(first, output)?;
            Ok(norm.check(input, bytes)?)
        }
        Kernel::Constant(codes) if built::CONSTANT => constant(codes, output),
        Kernel::Concat if built::CONCAT => match &node.operator {
            Operator::Concat(record) => concat(model, node, record, output),
            _ => Err(NodeProblem::Record),
        },
        _ => Err(NodeProblem::OperatorList),
    }
}

fn concat(model: &Model<'_>, node: &Node<'_>, record: &Concat, output: &Tensor<'_>) -> Result<(), NodeProblem> {
    let codes = output_codes(node, output);
    let mut offset = 0;
    for place in 0..node.inputs.len() {
        let tensor = input(model, node, place)?;
        let (part, next) = concat_part(record, place, offset, codes, &tensor, output)?;
        part.check(operand(&tensor), output.bytes())?;
        if part.rescale.is_none() {
            shared_quantizer(&tensor, output)?;
        }
        offset = next;
    }
    // A gap would leave codes that nothing wrote.
    if offset == output.shape.size(usize::from(record.axis)) { Ok(()) } else { Err(NodeProblem::Shape) }
}

/// Every code is one of the output's, and the bits that no code uses are 0.
fn constant(codes: &[u8], output: &Tensor<'_>) -> Result<(), NodeProblem> {
    let (bits, channels) = (output.bits, output.shape.channels());
    let legal = |row: &[u8]| {
        let used = |row: &[u8]| (0..channels).all(|channel| bits.contains(pack::code(row, bits, channel)));
        let unused = match bits {
            ActivationBits::A2 => channels % 4 * 2,
            ActivationBits::A4 => channels % 2 * 4,
            _ => 0,
        };
        used(row) && (unused == 0 || row.last().is_none_or(|last| last >> unused == 0))
    };
    if codes.chunks_exact(output.pixel_bytes().max(1)).all(legal) { Ok(()) } else { Err(NodeProblem::Parameters(Invalid::Code)) }
}

fn same_shape(first: &Tensor<'_>, output: &Tensor<'_>) -> Result<(), NodeProblem> {
    if first.shape == output.shape { Ok(()) } else { Err(NodeProblem::Shape) }
}

fn shared_quantizer(first: &Tensor<'_>, output: &Tensor<'_>) -> Result<(), NodeProblem> {
    if same_quantizer(first, output) { Ok(()) } else { Err(NodeProblem::Quantizer) }
}

/// Proves from the weights that no sum of any output channel, whole or partial, leaves the accumulator for any codes of
/// the input: `|bias| + sum |w| * max |a|` stays below 2^31 or 2^39.
fn accumulator(conv: &Conv<'_>, input: ActivationBits) -> Result<(), NodeProblem> {
    let limit: u64 = match conv.accumulator {
        Accumulator::I32 => 1 << 31,
        Accumulator::I64 => 1 << 39,
    };
    if !conv.arrangement.padding_is_clear(conv.weight_bits, &conv.weight_shape(), conv.weights) {
        return Err(NodeProblem::Padding);
    }
    let code_max = u64::from(input.lo().unsigned_abs().max(input.hi().unsigned_abs()));
    for (channel, bias) in conv.stage.bias.iter().enumerate() {
        let sum: u64 = (0..conv.row_len()).map(|index| u64::from(conv.weight(channel, index).unsigned_abs())).sum();
        let bound = sum.saturating_mul(code_max).saturating_add(u64::from(bias.unsigned_abs()));
        if bound >= limit {
            return Err(NodeProblem::Accumulator { channel: channel as u32 });
        }
    }
    Ok(())
}
