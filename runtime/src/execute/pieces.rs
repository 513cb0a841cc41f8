//! Nodes whose output lies over what they read, piece by piece: smaller calls of the same kernels.

use core::ops::Range;

use apq_kernels::{ActivationBits, Activations, CountPadding, Image, pack};

use super::{Arithmetic, activations, call};
use crate::built;
use crate::kernel::Kernel;
use crate::overlap::{Order, Rows, by_codes, copies, divide, order};
use crate::tensor::Tensor;

/// Bytes of a tensor that an elementwise operator reads before it writes.
const PIECE_BYTES: usize = 256;

/// A node of a checked model, and where its tensors are.
pub(super) struct Overlapping<'a> {
    pub(super) kernel: &'a Kernel<'a>,
    pub(super) first: &'a Tensor<'a>,
    pub(super) second: Option<&'a Tensor<'a>>,
    pub(super) output: &'a Tensor<'a>,
    pub(super) scratch: Range<usize>,
}

impl Overlapping<'_> {
    /// Runs the node; `None` cannot happen to a checked model.
    pub(super) fn run(&self, arena: &mut [u8], arithmetic: Arithmetic) -> Option<()> {
        if built::RESHAPE
            && let Kernel::Reshape = self.kernel
        {
            return copy(self.first, self.output, arena);
        }
        let order = order(self.kernel, self.first, self.second, self.output)?;
        if by_codes(self.kernel) {
            return self.codes(arena, arithmetic, order);
        }
        let rows = Rows::of(self.kernel, self.first, self.output)?;
        let (input, output) = (self.first.range().start, self.output.range().start);
        let mut from = if order == Order::Upwards { 0 } else { rows.outputs };
        loop {
            let piece = rows.piece(input, output, order, from);
            if piece.is_empty() {
                return Some(());
            }
            self.rows(arena, arithmetic, &rows, piece.clone())?;
            from = if order == Order::Upwards { piece.end } else { piece.start };
        }
    }

    /// Runs some rows of the output.
    fn rows(&self, arena: &mut [u8], arithmetic: Arithmetic, rows: &Rows, piece: Range<usize>) -> Option<()> {
        let read = rows.first(piece.start)..rows.end(piece.end.checked_sub(1)?);
        let kernel = of_rows(self.kernel, rows, &piece, &read)?;
        let at = |tensor: &Tensor<'_>, bytes: usize, rows: Range<usize>| {
            let begin = tensor.range().start;
            begin + rows.start * bytes..begin + rows.end * bytes
        };
        let input = at(self.first, rows.input_bytes, read);
        let output = at(self.output, rows.output_bytes, piece);
        let [input, output, scratch] = arena.get_disjoint_mut([input, output, self.scratch.clone()]).ok()?;
        let input = activations(input, self.first);
        call(&kernel, input, input, output, scratch, arithmetic);
        Some(())
    }

    /// Runs an elementwise operator: a few pixels at a time, or a part of one.
    fn codes(&self, arena: &mut [u8], arithmetic: Arithmetic, order: Order) -> Option<()> {
        let (pixels, channels) = (self.output.shape.pixels(), self.output.shape.channels());
        let longest = self.second.map_or(0, |second| code_bits(second.bits)).max(code_bits(self.first.bits));
        // Parts of a pixel begin at a byte at every width.
        let part = (divide(PIECE_BYTES, longest) * 8).min(channels).max(1);
        let together = if part == channels { divide(PIECE_BYTES, self.longest_pixel()).max(1) } else { 1 };
        for pixels in spans(pixels, together, order) {
            for channels in spans(channels, part, order) {
                self.part(arena, arithmetic, pixels.clone(), channels)?;
            }
        }
        Some(())
    }

    fn longest_pixel(&self) -> usize {
        self.second.map_or(0, Tensor::pixel_bytes).max(self.first.pixel_bytes()).max(1)
    }

    /// Runs an elementwise operator on these channels of these pixels: on all of them, or on one pixel.
    fn part(&self, arena: &mut [u8], arithmetic: Arithmetic, pixels: Range<usize>, channels: Range<usize>) -> Option<()> {
        let kernel = of_codes(self.kernel, pixels.len(), channels.clone())?;
        let (mut a, mut b) = ([0; PIECE_BYTES], [0; PIECE_BYTES]);
        let a = Activations { codes: load(self.first, arena, &mut a, &pixels, &channels)?, ..activations(&[], self.first) };
        let b = match self.second {
            Some(second) => Activations { codes: load(second, arena, &mut b, &pixels, &channels)?, ..activations(&[], second) },
            None => a,
        };
        let output = arena.get_mut(part_range(self.output, &pixels, &channels))?;
        call(&kernel, a, b, output, &mut [], arithmetic);
        Some(())
    }
}

/// `count` things in spans of at most `length`.
fn spans(count: usize, length: usize, order: Order) -> impl Iterator<Item = Range<usize>> {
    let number = divide(count + length - 1, length);
    (0..number).map(move |index| {
        let begin = if order == Order::Upwards { index } else { number - 1 - index } * length;
        begin..(begin + length).min(count)
    })
}

/// Copies a tensor into another of the same packing, wherever the two lie.
pub(super) fn copy(from: &Tensor<'_>, to: &Tensor<'_>, arena: &mut [u8]) -> Option<()> {
    if !copies(from, to) {
        return None;
    }
    let order = if to.range().start <= from.range().start { Order::Upwards } else { Order::Downwards };
    for span in spans(from.bytes(), PIECE_BYTES, order) {
        let at = |tensor: &Tensor<'_>| tensor.range().start + span.start..tensor.range().start + span.end;
        let mut bytes = [0; PIECE_BYTES];
        let bytes = bytes.get_mut(..span.len())?;
        pack::copy_bytes(bytes, arena.get(at(from))?);
        pack::copy_bytes(arena.get_mut(at(to))?, bytes);
    }
    Some(())
}

/// Bits from one code of a pixel to the next.
fn code_bits(bits: ActivationBits) -> usize {
    match bits {
        ActivationBits::A6 => 8,
        _ => bits.bits() as usize,
    }
}

/// Bytes of these channels of these pixels, which are all channels or those of one pixel.
fn part_range(tensor: &Tensor<'_>, pixels: &Range<usize>, channels: &Range<usize>) -> Range<usize> {
    let begin = tensor.range().start + pixels.start * tensor.pixel_bytes();
    if channels.len() == tensor.shape.channels() {
        return begin..begin + pixels.len() * tensor.pixel_bytes();
    }
    let bits = code_bits(tensor.bits);
    begin + channels.start * bits / 8..begin + (channels.end * bits).div_ceil(8)
}

/// Copies that part of a tensor out of the arena.
fn load<'b>(
    tensor: &Tensor<'_>,
    arena: &[u8],
    to: &'b mut [u8; PIECE_BYTES],
    pixels: &Range<usize>,
    channels: &Range<usize>,
) -> Option<&'b [u8]> {
    let from = arena.get(part_range(tensor, pixels, channels))?;
    let to = to.get_mut(..from.len())?;
    pack::copy_bytes(to, from);
    Some(to)
}

/// The kernel for rows `piece` of the output, whose input is rows `read` alone.
fn of_rows<'a>(kernel: &Kernel<'a>, rows: &Rows, piece: &Range<usize>, read: &Range<usize>) -> Option<Kernel<'a>> {
    let pad = rows.pad_from(piece.start);
    let (input, output) = (|image: Image| Image { height: read.len(), ..image }, |image: Image| Image { height: piece.len(), ..image });
    let window = |mut window: apq_kernels::Window| {
        window.pad[0] = pad;
        window
    };
    Some(match *kernel {
        Kernel::Conv(conv) if built::CONV => {
            Kernel::Conv(apq_kernels::Conv { input: input(conv.input), output: output(conv.output), window: window(conv.window), ..conv })
        }
        Kernel::FullyConnected(layer) if built::FULLY_CONNECTED => {
            Kernel::FullyConnected(apq_kernels::FullyConnected { rows: piece.len(), ..layer })
        }
        Kernel::MaxPool(pool) if built::MAX_POOL => {
            Kernel::MaxPool(apq_kernels::MaxPool { input: input(pool.input), output: output(pool.output), window: window(pool.window) })
        }
        Kernel::AveragePool(pool) if built::AVERAGE_POOL => Kernel::AveragePool(apq_kernels::AveragePool {
            padding: match pool.padding {
                CountPadding::Exclude => CountPadding::Exclude,
                // Counted positions end where they did.
                CountPadding::Include { end: [bottom, right] } => {
                    CountPadding::Include { end: [bottom + pool.input.height.saturating_sub(read.end), right] }
                }
            },
            input: input(pool.input),
            output: output(pool.output),
            window: window(pool.window),
            ..pool
        }),
        _ => return None,
    })
}

/// The kernel for that many pixels and these channels of each.
fn of_codes<'a>(kernel: &Kernel<'a>, rows: usize, part: Range<usize>) -> Option<Kernel<'a>> {
    let channels = part.len();
    Some(match *kernel {
        Kernel::Add(add) if built::ADD => Kernel::Add(apq_kernels::Add { rows, channels, ..add }),
        Kernel::Mul(mul) if built::MUL => Kernel::Mul(apq_kernels::Mul { rows, channels, ..mul }),
        Kernel::Requantize(requantize) if built::REQUANTIZE => Kernel::Requantize(apq_kernels::Requantize { rows, channels, ..requantize }),
        Kernel::Table(table) if built::TABLE => Kernel::Table(apq_kernels::Table { rows, channels, ..table }),
        Kernel::Prelu(prelu) if built::PRELU => Kernel::Prelu(apq_kernels::Prelu {
            rows,
            channels,
            slope_multiplier: prelu.slope_multiplier.get(part.clone())?,
            slope_shift: prelu.slope_shift.get(part)?,
            ..prelu
        }),
        _ => return None,
    })
}
