//! One node: its bytes in the arena and the call of its kernel.
//!
//! Whatever a checked model cannot contain is left undone, without a word: no panic is linked into firmware for it.

use core::ops::Range;

use apq_kernels::{Activations, native, pack};
#[cfg(feature = "oracle")]
use apq_kernels::{bitfused::BitFused, reference};

use crate::built;
use crate::kernel::{Kernel, bind, concat_part, output_codes};
use crate::model::Model;
use crate::node::{Concat, Node, Operator};
use crate::overlap::{bytes_of, copies, overlap};
use crate::tensor::Tensor;

mod pieces;

use pieces::Overlapping;

/// Which kernels run. All give the same codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arithmetic {
    /// The fast kernels.
    #[default]
    Native,
    /// The obvious kernels.
    #[cfg(feature = "oracle")]
    Reference,
    /// The obvious kernels, multiplying as BitFusion does, with 2-bit BitBricks.
    #[cfg(feature = "oracle")]
    BitFused,
}

/// Where a node without scratch memory has it: an empty range overlaps nothing at the very start.
const NOWHERE: Range<usize> = 0..0;

/// Runs one node of a checked model.
pub(crate) fn node(model: &Model<'_>, node: &Node<'_>, arena: &mut [u8], arithmetic: Arithmetic) {
    // `None` cannot happen to a checked model.
    let _ = try_node(model, node, arena, arithmetic);
}

fn try_node(model: &Model<'_>, node: &Node<'_>, arena: &mut [u8], arithmetic: Arithmetic) -> Option<()> {
    let output = model.tensor(node.output)?;
    if built::CONCAT
        && let Operator::Concat(record) = &node.operator
    {
        return concat(model, node, record, &output, arena, arithmetic);
    }
    if built::CONSTANT
        && let Operator::Constant { .. } = &node.operator
    {
        let Kernel::Constant(codes) = bind(model, node, &output, None, &output).ok()? else { return None };
        pack::copy_bytes(arena.get_mut(output.range())?, codes.get(..output.bytes())?);
        return Some(());
    }
    let first = model.tensor(*node.inputs.first()?)?;
    let second = match node.inputs.get(1) {
        Some(&index) => Some(model.tensor(index)?),
        None => None,
    };
    let kernel = bind(model, node, &first, second.as_ref(), &output).ok()?;
    // An input that is read twice is one range: ranges must not overlap.
    let second_range = second.as_ref().map(Tensor::range).filter(|range| *range != first.range());
    let scratch_begin = node.scratch.offset as usize;
    let scratch_range = match node.scratch.length as usize {
        0 => NOWHERE,
        length => scratch_begin..scratch_begin.checked_add(length)?,
    };
    let covers = |input: &Tensor<'_>| overlap(bytes_of(input), bytes_of(&output));
    if covers(&first) || second.as_ref().is_some_and(covers) {
        let (first, second, output) = (&first, second.as_ref(), &output);
        return Overlapping { kernel: &kernel, first, second, output, scratch: scratch_range }.run(arena, arithmetic);
    }
    let shared = second_range.is_none();
    let ranges = [first.range(), second_range.unwrap_or(NOWHERE), output.range(), scratch_range];
    let [first_bytes, second_bytes, output_bytes, scratch] = arena.get_disjoint_mut(ranges).ok()?;
    let a = activations(first_bytes, &first);
    let b = second.as_ref().map(|second| activations(if shared { a.codes } else { second_bytes }, second));
    if built::RESHAPE
        && let Kernel::Reshape = kernel
    {
        if copies(&first, &output) {
            pack::copy_bytes(output_bytes, a.codes);
            return Some(());
        }
        reshape(&first, a.codes, &output, output_bytes);
        return Some(());
    }
    call(&kernel, a, b.unwrap_or(a), output_bytes, scratch, arithmetic);
    Some(())
}

fn activations<'a>(codes: &'a [u8], tensor: &Tensor<'_>) -> Activations<'a> {
    Activations { codes, bits: tensor.bits, zero_point: tensor.zero_point }
}

fn concat(
    model: &Model<'_>,
    node: &Node<'_>,
    record: &Concat,
    output: &Tensor<'_>,
    arena: &mut [u8],
    arithmetic: Arithmetic,
) -> Option<()> {
    let codes = output_codes(node, output);
    let mut offset = 0;
    for (place, &index) in node.inputs.iter().enumerate() {
        let input = model.tensor(index)?;
        let (part, next) = concat_part(record, place, offset, codes, &input, output).ok()?;
        let [input_bytes, output_bytes] = arena.get_disjoint_mut([input.range(), output.range()]).ok()?;
        let input = activations(input_bytes, &input);
        match arithmetic {
            Arithmetic::Native => native::concat_part(&part, input, output_bytes),
            #[cfg(feature = "oracle")]
            Arithmetic::Reference | Arithmetic::BitFused => reference::concat_part(&part, input, output_bytes),
        }
        offset = next;
    }
    Some(())
}

/// Copies codes into a shape with another last axis.
fn reshape(input: &Tensor<'_>, codes: &[u8], output: &Tensor<'_>, output_bytes: &mut [u8]) {
    let mut codes = crate::view::Codes::new(input, codes);
    crate::view::fill(output, output_bytes, |_, _| codes.next().unwrap_or(0));
}

fn call(kernel: &Kernel<'_>, a: Activations<'_>, b: Activations<'_>, output: &mut [u8], scratch: &mut [u8], arithmetic: Arithmetic) {
    match arithmetic {
        Arithmetic::Native => fastest(kernel, a, b, output, scratch),
        #[cfg(feature = "oracle")]
        Arithmetic::Reference => obvious::<reference::Native>(kernel, a, b, output),
        #[cfg(feature = "oracle")]
        Arithmetic::BitFused => obvious::<BitFused>(kernel, a, b, output),
    }
}

fn fastest(kernel: &Kernel<'_>, a: Activations<'_>, b: Activations<'_>, output: &mut [u8], scratch: &mut [u8]) {
    match kernel {
        Kernel::Conv(conv) if built::CONV => native::conv(conv, a, output, scratch),
        Kernel::FullyConnected(layer) if built::FULLY_CONNECTED => native::fully_connected(layer, a, output, scratch),
        Kernel::Add(add) if built::ADD => native::add(add, a, b, output),
        Kernel::Mul(mul) if built::MUL => native::mul(mul, a, b, output),
        Kernel::AveragePool(pool) if built::AVERAGE_POOL => native::average_pool(pool, a, output),
        Kernel::MaxPool(pool) if built::MAX_POOL => native::max_pool(pool, a, output),
        Kernel::Requantize(requantize) if built::REQUANTIZE => native::requantize(requantize, a, output),
        Kernel::Pad(pad) if built::PAD => native::pad(pad, a, output),
        Kernel::Slice(slice) if built::SLICE => native::slice(slice, a, output),
        Kernel::Transpose(transpose) if built::TRANSPOSE => native::transpose(transpose, a, output),
        Kernel::Table(table) if built::TABLE => native::table(table, a, output),
        Kernel::Softmax(softmax) if built::SOFTMAX => native::softmax(softmax, a, output),
        Kernel::Resize(resize) if built::RESIZE => native::resize(resize, a, output),
        Kernel::Prelu(prelu) if built::PRELU => native::prelu(prelu, a, output),
        Kernel::MatMul(product) if built::MATMUL => native::matmul(product, a, b, output, scratch),
        Kernel::LayerNorm(norm) if built::LAYER_NORM => native::layer_norm(norm, a, output),
        // No kernel, or one that this build lacks.
        _ => {}
    }
}

#[cfg(feature = "oracle")]
fn obvious<P: reference::Product>(kernel: &Kernel<'_>, a: Activations<'_>, b: Activations<'_>, output: &mut [u8]) {
    match kernel {
        Kernel::Conv(conv) if built::CONV => reference::conv::<P>(conv, a, output),
        Kernel::FullyConnected(layer) if built::FULLY_CONNECTED => reference::fully_connected::<P>(layer, a, output),
        Kernel::Add(add) if built::ADD => reference::add(add, a, b, output),
        Kernel::Mul(mul) if built::MUL => reference::mul(mul, a, b, output),
        Kernel::AveragePool(pool) if built::AVERAGE_POOL => reference::average_pool(pool, a, output),
        Kernel::MaxPool(pool) if built::MAX_POOL => reference::max_pool(pool, a, output),
        Kernel::Requantize(requantize) if built::REQUANTIZE => reference::requantize(requantize, a, output),
        Kernel::Pad(pad) if built::PAD => reference::pad(pad, a, output),
        Kernel::Slice(slice) if built::SLICE => reference::slice(slice, a, output),
        Kernel::Transpose(transpose) if built::TRANSPOSE => reference::transpose(transpose, a, output),
        Kernel::Table(table) if built::TABLE => reference::table(table, a, output),
        Kernel::Softmax(softmax) if built::SOFTMAX => reference::softmax(softmax, a, output),
        Kernel::Resize(resize) if built::RESIZE => reference::resize(resize, a, output),
        Kernel::Prelu(prelu) if built::PRELU => reference::prelu(prelu, a, output),
        Kernel::MatMul(product) if built::MATMUL => reference::matmul::<P>(product, a, b, output),
        Kernel::LayerNorm(norm) if built::LAYER_NORM => reference::layer_norm(norm, a, output),
        // No kernel, or one that this build lacks.
        _ => {}
    }
}
