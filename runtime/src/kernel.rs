//! From a node's record to the parameters of its kernel.
//!
//! Loading and running both come through [`bind`], so that what was checked is what runs.

use apq_kernels as kernels;
use apq_kernels::{Arrangement, CountPadding, Image, Invalid, Operand, OutputCodes, OutputStage, WeightShape};

use crate::built;
use crate::error::NodeProblem;
use crate::model::Model;
use crate::node::{AveragePool, Concat, MatMul, Node, Operator, Rescale, Weighted, Window};
use crate::raw::Cursor;
use crate::tensor::{RANK_MAX, Shape, Tensor};

/// Parameters of a node's kernel, with its data in the file.
#[derive(Clone, Copy, Debug)]
pub enum Kernel<'a> {
    /// Convolution.
    Conv(kernels::Conv<'a>),
    /// Fully connected layer.
    FullyConnected(kernels::FullyConnected<'a>),
    /// Sum or difference.
    Add(kernels::Add),
    /// Product.
    Mul(kernels::Mul),
    /// Average pool.
    AveragePool(kernels::AveragePool<'a>),
    /// Max pool.
    MaxPool(kernels::MaxPool),
    /// Requantisation.
    Requantize(kernels::Requantize),
    /// Padding.
    Pad(kernels::Pad),
    /// Slice.
    Slice(kernels::Slice),
    /// Concatenation: one kernel call for each input, made when it runs.
    Concat,
    /// Transposition.
    Transpose(kernels::Transpose),
    /// Table.
    Table(kernels::Table<'a>),
    /// Softmax.
    Softmax(kernels::Softmax),
    /// Copy into another shape.
    Reshape,
    /// Resize.
    Resize(kernels::Resize<'a>),
    /// Rectifier with slopes.
    Prelu(kernels::Prelu<'a>),
    /// Product of two activations.
    MatMul(kernels::MatMul),
    /// Layer normalisation.
    LayerNorm(kernels::LayerNorm<'a>),
    /// Copy of these bytes.
    Constant(&'a [u8]),
}

/// Parameters of the kernel of `node`, which reads `first` (and `second`) and writes `output`; for a node that reads nothing,
/// `first` is the output. The kernel's own check is still to be made.
pub(crate) fn bind<'a>(
    model: &Model<'a>,
    node: &Node<'_>,
    first: &Tensor<'_>,
    second: Option<&Tensor<'_>>,
    output: &Tensor<'_>,
) -> Result<Kernel<'a>, NodeProblem> {
    let codes = output_codes(node, output);
    let (rows, channels) = (output.shape.pixels(), output.shape.channels());
    let kernel = match &node.operator {
        Operator::Conv(conv) if built::CONV => {
            let groups = conv.groups as usize;
            let input = image(&first.shape)?;
            let window = kernels::Window::from(conv.window);
            let group_inputs = input.channels.checked_div(groups).ok_or(Invalid::Groups)?;
            let row_len = window.taps().checked_mul(group_inputs).ok_or(Invalid::TooLarge)?;
            let shape = WeightShape { groups, rows: channels, row_len };
            let (arrangement, weights, stage) = weighted(model, &conv.weighted, &shape, codes)?;
            Kernel::Conv(kernels::Conv {
                input,
                output: image(&output.shape)?,
                window,
                groups,
                weight_bits: conv.weighted.bits,
                arrangement,
                weights,
                accumulator: conv.weighted.accumulator,
                stage,
            })
        }
        Operator::FullyConnected(record) if built::FULLY_CONNECTED => {
            let inputs = first.shape.channels();
            if first.shape.pixels() != rows {
                return Err(NodeProblem::Shape);
            }
            let shape = WeightShape { groups: 1, rows: channels, row_len: inputs };
            let (arrangement, weights, stage) = weighted(model, record, &shape, codes)?;
            Kernel::FullyConnected(kernels::FullyConnected {
                rows,
                inputs,
                outputs: channels,
                weight_bits: record.bits,
                arrangement,
                weights,
                accumulator: record.accumulator,
                stage,
            })
        }
        Operator::Add(add) if built::ADD => Kernel::Add(kernels::Add {
            rows,
            channels,
            broadcast: broadcasts(first, second, output)?,
            subtract: add.subtract,
            multiplier_a: add.multipliers[0],
            multiplier_b: add.multipliers[1],
            shift: add.shift,
            codes,
        }),
        Operator::Mul(rescale) if built::MUL => Kernel::Mul(kernels::Mul {
            rows,
            channels,
            broadcast: broadcasts(first, second, output)?,
            multiplier: rescale.multiplier,
            shift: rescale.shift,
            codes,
        }),
        Operator::AveragePool(pool) if built::AVERAGE_POOL => Kernel::AveragePool(average_pool(model, pool, first, output, codes)?),
        Operator::MaxPool(window) if built::MAX_POOL => Kernel::MaxPool(kernels::MaxPool {
            input: image(&first.shape)?,
            output: image(&output.shape)?,
            window: pooling_window(window, first)?,
        }),
        Operator::Requantize(rescale) if built::REQUANTIZE => {
            Kernel::Requantize(kernels::Requantize { rows, channels, multiplier: rescale.multiplier, shift: rescale.shift, codes })
        }
        Operator::Pad(pad) if built::PAD => Kernel::Pad(kernels::Pad {
            input: image(&first.shape)?,
            output: image(&output.shape)?,
            before: pad.before.map(|codes| codes as usize),
            code: pad.code,
        }),
        Operator::Slice(slice) if built::SLICE => Kernel::Slice(kernels::Slice {
            input: image(&first.shape)?,
            output: image(&output.shape)?,
            begin: slice.begin.map(|position| position as usize),
            step: slice.step.map(|distance| distance as usize),
        }),
        Operator::Concat(_) if built::CONCAT => Kernel::Concat,
        Operator::Transpose { axes } if built::TRANSPOSE => Kernel::Transpose(transpose(axes, first, output)?),
        Operator::Table { raw } if built::TABLE => {
            let bytes = kernels::Table::entries_bytes(first.bits, output.bits);
            let entries = Cursor::at(model.raw(), *raw).and_then(|mut cursor| cursor.take(bytes));
            let entries = entries.ok_or(NodeProblem::Raw)?;
            Kernel::Table(kernels::Table { rows, channels, entries, bits: output.bits })
        }
        Operator::Softmax(rescale) if built::SOFTMAX => {
            // The file says it by the output's scale, which is 1 / one. A scale beyond the kernel's range saturates and is refused.
            let one = libm::roundf(1.0 / output.scale) as u32;
            let Rescale { multiplier, shift } = *rescale;
            Kernel::Softmax(kernels::Softmax { rows, channels, multiplier, shift, bits: output.bits, one })
        }
        Operator::Reshape if built::RESHAPE => Kernel::Reshape,
        Operator::Resize(resize) if built::RESIZE => {
            let (input, output) = (image(&first.shape)?, image(&output.shape)?);
            let read = || {
                let mut cursor = Cursor::at(model.raw(), resize.raw)?;
                Some((cursor.take(output.height)?, cursor.take(output.width)?))
            };
            let (rows, columns) = read().ok_or(NodeProblem::Raw)?;
            let rescale = resize.rescale.map(|Rescale { multiplier, shift }| kernels::Rescale { multiplier, shift });
            Kernel::Resize(kernels::Resize { input, output, rows, columns, rescale, codes })
        }
        Operator::Prelu(prelu) if built::PRELU => {
            let read = || {
                let mut cursor = Cursor::at(model.raw(), prelu.raw)?;
                Some((cursor.take(channels)?, cursor.take(channels)?))
            };
            let (slope_multiplier, slope_shift) = read().ok_or(NodeProblem::Raw)?;
            let Rescale { multiplier, shift } = prelu.rescale;
            Kernel::Prelu(kernels::Prelu { rows, channels, multiplier, shift, slope_multiplier, slope_shift, codes })
        }
        Operator::MatMul(record) if built::MATMUL => Kernel::MatMul(matmul(record, first, second, output, codes)?),
        Operator::LayerNorm(record) if built::LAYER_NORM => {
            let read = || {
                let mut cursor = Cursor::at(model.raw(), record.raw)?;
                Some((cursor.take(channels)?, cursor.take(channels)?))
            };
            let (gamma, beta) = read().ok_or(NodeProblem::Raw)?;
            Kernel::LayerNorm(kernels::LayerNorm { rows, channels, epsilon: record.epsilon, gamma, beta, shift: record.shift, codes })
        }
        Operator::Constant { raw } if built::CONSTANT => {
            let bytes = Cursor::at(model.raw(), *raw).and_then(|mut cursor| cursor.take(output.bytes()));
            Kernel::Constant(bytes.ok_or(NodeProblem::Raw)?)
        }
        // The file's list of operators does not hold it, since this build does not.
        _ => return Err(NodeProblem::OperatorList),
    };
    Ok(kernel)
}

/// Parameters of one call of a concatenation, whose input starts at position `offset` of the axis in the output, and the
/// position where the next input starts.
pub(crate) fn concat_part(
    concat: &Concat,
    place: usize,
    offset: usize,
    codes: OutputCodes,
    input: &Tensor<'_>,
    output: &Tensor<'_>,
) -> Result<(kernels::ConcatPart, usize), NodeProblem> {
    let axis = usize::from(concat.axis);
    let rank = output.shape.rank();
    let agree = |other: usize| other == axis || input.shape.size(other) == output.shape.size(other);
    if axis >= rank || input.shape.rank() != rank || !(0..rank).all(agree) {
        return Err(NodeProblem::Shape);
    }
    let rescale = concat.rescales.get(place).copied().ok_or(NodeProblem::InputCount)?;
    let product = |axes: core::ops::Range<usize>| axes.map(|axis| output.shape.size(axis)).product::<usize>();
    let (input_size, output_size) = (input.shape.size(axis), output.shape.size(axis));
    let next = offset.checked_add(input_size).ok_or(NodeProblem::Shape)?;
    let rescale = rescale.map(|Rescale { multiplier, shift }| kernels::Rescale { multiplier, shift });
    let part = if axis + 1 == rank {
        let rows = product(0..axis);
        kernels::ConcatPart {
            outer: 1,
            input_rows: rows,
            output_rows: rows,
            row_offset: 0,
            input_channels: input_size,
            output_channels: output_size,
            channel_offset: offset,
            rescale,
            codes,
        }
    } else {
        // A position of the axis is this many pixels.
        let inner = product(axis + 1..rank - 1);
        let channels = output.shape.channels();
        kernels::ConcatPart {
            outer: product(0..axis),
            input_rows: input_size.saturating_mul(inner),
            output_rows: output_size.saturating_mul(inner),
            row_offset: offset.saturating_mul(inner),
            input_channels: channels,
            output_channels: channels,
            channel_offset: 0,
            rescale,
            codes,
        }
    };
    Ok((part, next))
}

/// What a kernel may write into `output`.
pub(crate) fn output_codes(node: &Node<'_>, output: &Tensor<'_>) -> OutputCodes {
    let [lo, hi] = node.clamp.unwrap_or([output.bits.lo(), output.bits.hi()]);
    OutputCodes { zero_point: output.zero_point, lo, hi, bits: output.bits }
}

/// What a kernel is told of a tensor before it runs.
pub(crate) fn operand(tensor: &Tensor<'_>) -> Operand {
    Operand { bytes: tensor.bytes(), bits: tensor.bits, zero_point: tensor.zero_point }
}

/// Shape of rank 1 to 4 as an image: missing axes in front are 1, and the batch must be.
pub(crate) fn image(shape: &Shape) -> Result<Image, NodeProblem> {
    let lead = shape.rank().saturating_sub(3);
    if lead > 1 || (lead == 1 && shape.size(0) != 1) {
        return Err(NodeProblem::Shape);
    }
    let from_end = |back: usize| shape.rank().checked_sub(back).map_or(1, |axis| shape.size(axis));
    Ok(Image { height: from_end(3), width: from_end(2), channels: from_end(1) })
}

/// Whether the second input is one row for every row of the first. The first has the output's shape.
fn broadcasts(first: &Tensor<'_>, second: Option<&Tensor<'_>>, output: &Tensor<'_>) -> Result<bool, NodeProblem> {
    let second = second.ok_or(NodeProblem::InputCount)?;
    if first.shape != output.shape || second.shape.channels() != output.shape.channels() {
        return Err(NodeProblem::Shape);
    }
    if second.shape == output.shape {
        return Ok(false);
    }
    if second.shape.pixels() == 1 { Ok(true) } else { Err(NodeProblem::Shape) }
}

/// Window of a pool. No weights bound its taps, so that this does: it has few of them, or reaches at most twice across
/// its input. A file could otherwise ask for hours of work.
fn pooling_window(window: &Window, input: &Tensor<'_>) -> Result<kernels::Window, NodeProblem> {
    const TAPS_FEW: usize = 16;
    let image = image(&input.shape)?;
    let window = kernels::Window::from(*window);
    for (taps, extent) in window.kernel.into_iter().zip([image.height, image.width]) {
        if taps > TAPS_FEW.max(2 * extent) {
            return Err(NodeProblem::Parameters(Invalid::Window));
        }
    }
    Ok(window)
}

fn average_pool<'a>(
    model: &Model<'a>,
    pool: &AveragePool,
    first: &Tensor<'_>,
    output: &Tensor<'_>,
    codes: OutputCodes,
) -> Result<kernels::AveragePool<'a>, NodeProblem> {
    let divisors = usize::from(pool.divisors);
    let read = || {
        let mut cursor = Cursor::at(model.raw(), pool.raw)?;
        Some((cursor.take(divisors)?, cursor.take(divisors)?, cursor.take(divisors)?))
    };
    let (counts, multiplier, shift) = read().ok_or(NodeProblem::Raw)?;
    Ok(kernels::AveragePool {
        input: image(&first.shape)?,
        output: image(&output.shape)?,
        window: pooling_window(&pool.window, first)?,
        padding: match pool.counted_end {
            None => CountPadding::Exclude,
            Some(end) => CountPadding::Include { end: end.map(usize::from) },
        },
        counts,
        multiplier,
        shift,
        codes,
    })
}

fn transpose(axes: &[u8], first: &Tensor<'_>, output: &Tensor<'_>) -> Result<kernels::Transpose, NodeProblem> {
    let rank = first.shape.rank();
    if axes.len() != rank || output.shape.rank() != rank {
        return Err(NodeProblem::Shape);
    }
    let (mut sizes, mut order) = ([1; RANK_MAX], [0; RANK_MAX]);
    for (to, size) in sizes.iter_mut().zip(first.shape.sizes()) {
        *to = size;
    }
    for (to, &axis) in order.iter_mut().zip(axes) {
        *to = usize::from(axis);
    }
    let sizes = sizes.get(..rank).ok_or(NodeProblem::Shape)?;
    let order = order.get(..rank).ok_or(NodeProblem::Shape)?;
    if !order.iter().zip(output.shape.sizes()).all(|(&axis, size)| axis < rank && first.shape.size(axis) == size) {
        return Err(NodeProblem::Shape);
    }
    Ok(kernels::Transpose::new(sizes, order)?)
}

/// Product of the last two axes, for each position of the axes before them.
fn matmul(
    record: &MatMul,
    first: &Tensor<'_>,
    second: Option<&Tensor<'_>>,
    output: &Tensor<'_>,
    codes: OutputCodes,
) -> Result<kernels::MatMul, NodeProblem> {
    let second = second.ok_or(NodeProblem::InputCount)?;
    let rank = output.shape.rank();
    if rank < 2 || [first.shape.rank(), second.shape.rank()] != [rank; 2] {
        return Err(NodeProblem::Shape);
    }
    let (rows, inner, columns) = (first.shape.size(rank - 2), first.shape.size(rank - 1), output.shape.size(rank - 1));
    let right = if record.transposed { [columns, inner] } else { [inner, columns] };
    let agree = |axis: usize| [first.shape.size(axis), second.shape.size(axis)] == [output.shape.size(axis); 2];
    let fits = output.shape.size(rank - 2) == rows && [second.shape.size(rank - 2), second.shape.size(rank - 1)] == right;
    if !fits || !(0..rank - 2).all(agree) {
        return Err(NodeProblem::Shape);
    }
    Ok(kernels::MatMul {
        batches: (0..rank - 2).map(|axis| output.shape.size(axis)).product(),
        rows,
        inner,
        columns,
        transposed: record.transposed,
        multiplier: record.rescale.multiplier,
        shift: record.rescale.shift,
        codes,
    })
}

/// Weights and output stage of a layer.
fn weighted<'a>(
    model: &Model<'a>,
    record: &Weighted,
    shape: &WeightShape,
    codes: OutputCodes,
) -> Result<(Arrangement, &'a [u8], OutputStage<'a>), NodeProblem> {
    if !record.bits.is_built() {
        return Err(NodeProblem::Width);
    }
    let arrangement = model.arrangement(record.arrangement).ok_or(NodeProblem::Reference)?;
    let bytes = arrangement.bytes(record.bits, shape).ok_or(NodeProblem::Parameters(Invalid::TooLarge))?;
    let outputs = shape.rows;
    let read = || {
        let weights = Cursor::at(model.raw(), record.weights)?.take(bytes)?;
        let mut cursor = Cursor::at(model.raw(), record.stage)?;
        Some((weights, cursor.take(outputs)?, cursor.take(outputs)?, cursor.take(outputs)?))
    };
    let (weights, bias, multiplier, shift) = read().ok_or(NodeProblem::Raw)?;
    let OutputCodes { zero_point, lo, hi, bits } = codes;
    Ok((arrangement, weights, OutputStage { bias, multiplier, shift, zero_point, lo, hi, bits }))
}
