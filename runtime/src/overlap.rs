//! Nodes whose output lies over what they read.
//!
//! Two kinds of operators may do so, because they can be run piece by piece with the same result:
//!
//! - *by rows*: a row of the output of a convolution, a pool or a fully connected layer depends on a few rows of the input.
//!   Rows run upwards or downwards, and no row may reach the input rows that it, or a row after it, reads;
//! - *by codes*: an elementwise operator reads the codes of a piece before it writes them, so that the output need
//!   only begin and end no later than the input (pieces run upwards), or no earlier (downwards).
//!
//! A copy may lie anywhere.

use apq_kernels::Image;

use crate::built;
use crate::kernel::Kernel;
use crate::tensor::Tensor;

/// First byte and end of a range in the arena.
pub(crate) type Bytes = (usize, usize);

/// Whether two ranges share a byte; an empty one shares none.
pub(crate) fn overlap(a: Bytes, b: Bytes) -> bool {
    a.0.max(b.0) < a.1.min(b.1)
}

/// Bytes of a tensor.
pub(crate) fn bytes_of(tensor: &Tensor<'_>) -> Bytes {
    let range = tensor.range();
    (range.start, range.end)
}

/// In which order the pieces of a node run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// From the first to the last.
    Upwards,
    /// From the last to the first.
    Downwards,
}

/// An order in which the node can run although its output lies over what it reads; `None` where there is none.
pub(crate) fn order(kernel: &Kernel<'_>, first: &Tensor<'_>, second: Option<&Tensor<'_>>, output: &Tensor<'_>) -> Option<Order> {
    let fits = |order: Order| {
        let first_fits = !overlap(bytes_of(first), bytes_of(output)) || fits(kernel, first, output, order);
        let apart = |second: &Tensor<'_>| !overlap(bytes_of(second), bytes_of(output));
        let second_fits = second.is_none_or(|second| apart(second) || (by_codes(kernel) && codes_fit(second, output, order)));
        first_fits && second_fits
    };
    [Order::Upwards, Order::Downwards].into_iter().find(|&order| fits(order))
}

fn fits(kernel: &Kernel<'_>, first: &Tensor<'_>, output: &Tensor<'_>, order: Order) -> bool {
    if by_codes(kernel) {
        return codes_fit(first, output, order);
    }
    match (kernel, Rows::of(kernel, first, output)) {
        (Kernel::Reshape, _) => copies(first, output),
        (_, Some(rows)) => rows.fit(bytes_of(first).0, bytes_of(output).0, order),
        _ => false,
    }
}

/// Whether equal codes in the same order are equal bytes.
pub(crate) fn copies(first: &Tensor<'_>, output: &Tensor<'_>) -> bool {
    first.shape.channels() == output.shape.channels() && first.bytes() == output.bytes()
}

/// Whether each code of the output depends on the same code of the inputs alone.
pub(crate) fn by_codes(kernel: &Kernel<'_>) -> bool {
    match kernel {
        Kernel::Add(add) if built::ADD => !add.broadcast,
        Kernel::Mul(mul) if built::MUL => !mul.broadcast,
        Kernel::Requantize(_) | Kernel::Table(_) | Kernel::Prelu(_) => true,
        _ => false,
    }
}

fn codes_fit(input: &Tensor<'_>, output: &Tensor<'_>, order: Order) -> bool {
    let (input, output) = (bytes_of(input), bytes_of(output));
    match order {
        Order::Upwards => output.0 <= input.0 && output.1 <= input.1,
        Order::Downwards => output.0 >= input.0 && output.1 >= input.1,
    }
}

/// Which rows of the input the rows of an output need, and their lengths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// Rows of the output.
    pub(crate) outputs: usize,
    inputs: usize,
    /// Rows from the first tap of a window to its last, both counted.
    span: usize,
    stride: usize,
    pad: usize,
    /// Bytes of a row of the input.
    pub(crate) input_bytes: usize,
    /// Bytes of a row of the output.
    pub(crate) output_bytes: usize,
}

impl Rows {
    /// `None` for an operator that does not run by rows, or a window of which some row reads padding alone.
    pub(crate) fn of(kernel: &Kernel<'_>, first: &Tensor<'_>, output: &Tensor<'_>) -> Option<Self> {
        let (input, to, window) = match kernel {
            Kernel::Conv(conv) if built::CONV => (conv.input, conv.output, conv.window),
            Kernel::AveragePool(pool) if built::AVERAGE_POOL => (pool.input, pool.output, pool.window),
            Kernel::MaxPool(pool) if built::MAX_POOL => (pool.input, pool.output, pool.window),
            Kernel::FullyConnected(layer) if built::FULLY_CONNECTED => {
                let vectors = |channels| Image { height: layer.rows, width: 1, channels };
                (vectors(layer.inputs), vectors(layer.outputs), apq_kernels::Window::POINT)
            }
            _ => return None,
        };
        let [(kernel, stride), (dilation, pad)] = [(window.kernel[0], window.stride[0]), (window.dilation[0], window.pad[0])];
        let rows = Self {
            outputs: to.height,
            inputs: input.height,
            span: kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?,
            stride,
            pad,
            input_bytes: input.width.checked_mul(first.pixel_bytes())?,
            output_bytes: to.width.checked_mul(output.pixel_bytes())?,
        };
        let last = to.height.checked_sub(1)?.checked_mul(stride)?;
        // Nothing below overflows: a checked window's positions do not.
        last.checked_add(rows.span)?;
        (pad < rows.span && last < input.height.checked_add(pad)? && rows.output_bytes > 0 && stride > 0).then_some(rows)
    }

    /// First row of the input that output row `row` reads.
    pub(crate) fn first(&self, row: usize) -> usize {
        (row * self.stride).saturating_sub(self.pad)
    }

    /// Behind the last row of the input that output row `row` reads.
    pub(crate) fn end(&self, row: usize) -> usize {
        (row * self.stride + self.span - self.pad).min(self.inputs)
    }

    /// Padding at the top of the rows from `row` on.
    pub(crate) fn pad_from(&self, row: usize) -> usize {
        self.pad.saturating_sub(row * self.stride)
    }

    /// Whether the rows can run in that order, where input and output begin at these bytes.
    fn fit(&self, input: usize, output: usize, order: Order) -> bool {
        let last = self.outputs - 1;
        // The room between a row and what is still to be read is a convex function of the row: it is least at a row
        // where the padding ends, or at an end.
        let bend = match order {
            Order::Upwards => divide(self.pad, self.stride),
            Order::Downwards => divide((self.inputs + self.pad).saturating_sub(self.span), self.stride),
        };
        [0, bend, bend + 1, last].into_iter().all(|row| {
            let row = row.min(last);
            match order {
                Order::Upwards => output + (row + 1) * self.output_bytes <= input + self.first(row) * self.input_bytes,
                Order::Downwards => output + row * self.output_bytes >= input + self.end(row) * self.input_bytes,
            }
        })
    }

    /// The rows that run together next, as many as there is room for, where those before them in the order have run: `from` is
    /// the first row upwards, and the row behind the last one downwards. Not empty where the rows [fit](Self::fit).
    pub(crate) fn piece(&self, input: usize, output: usize, order: Order, from: usize) -> core::ops::Range<usize> {
        match order {
            Order::Upwards => {
                let room = (input + self.first(from) * self.input_bytes).saturating_sub(output);
                from..divide(room, self.output_bytes).min(self.outputs)
            }
            Order::Downwards => {
                let taken = (input + self.end(from.saturating_sub(1)) * self.input_bytes).saturating_sub(output);
                divide(taken + self.output_bytes - 1, self.output_bytes)..from
            }
        }
    }
}

/// 0 and no panic where the divisor is 0, which it never is.
pub(crate) fn divide(value: usize, by: usize) -> usize {
    value.checked_div(by).unwrap_or(0)
}
