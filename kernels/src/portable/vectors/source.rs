//! Where columns come from: the input itself, or scratch memory.

use super::{Blocks, COLUMNS, Rect};
use crate::arrange::vectors::LANES;
use crate::portable::columns::{Columns, rows_join, unpack_from};
use crate::{ActivationBits, Activations, Conv, pack};
use core::ops::Range;

/// Bytes that may be lost to alignment.
pub(super) const ALIGNMENT: usize = align_of::<i16>() - 1;

/// Bytes of a column, which is padded to whole vectors; codes of up to 8 bits take a byte each.
pub(super) fn column_bytes(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    conv.row_len().div_ceil(LANES) * LANES * code_bytes(bits)
}

fn code_bytes(bits: ActivationBits) -> usize {
    if bits == ActivationBits::A16 { 2 } else { 1 }
}

/// Whether each output pixel's column is an input pixel, in whole vectors.
pub(super) fn is_direct(conv: &Conv<'_>, bits: ActivationBits) -> bool {
    let bytes = matches!(bits, ActivationBits::A6 | ActivationBits::A8 | ActivationBits::A16);
    let point = conv.window.kernel == [1, 1] && conv.window.pad == [0, 0] && conv.groups == 1;
    // Past the last row or column there would be padding.
    let within = |axis: usize, input: usize, output: usize| output.saturating_sub(1).saturating_mul(conv.window.stride[axis]) < input;
    bytes
        && point
        && conv.input.channels.is_multiple_of(LANES)
        && within(0, conv.input.height, conv.output.height)
        && within(1, conv.input.width, conv.output.width)
}

/// Whether the columns have room, or need none.
pub(super) fn suffices(conv: &Conv<'_>, input: Activations<'_>, scratch: &[i16]) -> bool {
    let wanted = column_bytes(conv, input.bits).saturating_mul(COLUMNS.min(conv.output.pixels()));
    needs_none(conv, input) || size_of_val(scratch) >= wanted
}

/// As [`is_direct`], for codes of 16 bits that are aligned.
fn needs_none(conv: &Conv<'_>, input: Activations<'_>) -> bool {
    let aligned = input.bits != ActivationBits::A16 || bytemuck::try_cast_slice::<u8, i16>(input.codes).is_ok();
    aligned && is_direct(conv, input.bits)
}

/// The columns of one group, pixel after pixel.
pub(super) struct Source<'a> {
    conv: &'a Conv<'a>,
    input: Activations<'a>,
    columns: Columns<'a>,
    scratch: &'a mut [u8],
    column_bytes: usize,
    pixel_bytes: usize,
    /// See [`packed_from`].
    packed_from: usize,
    way: Way,
    /// Output columns whose windows lie between the input's left and right ends.
    inside: Range<usize>,
    row: Row,
    /// Output pixel that comes next.
    at: (usize, usize),
}

/// How columns are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Input pixels are columns.
    Direct,
    /// Rows of bytes are copied.
    Rows,
    /// Tap by tap.
    Taps,
}

/// What the windows of one output row have in common where a kernel's row is a row of bytes.
#[derive(Clone, Copy, Default)]
struct Row {
    /// First byte of the input row that the first tap within the input reads.
    from: usize,
    /// Rows of the kernel within the input, the first of them and their number.
    first: usize,
    count: usize,
    /// Whether that is the whole kernel, and then what a window within the input is.
    whole: bool,
    window: Rect,
}

impl<'a> Source<'a> {
    pub(super) fn new<B: Blocks>(conv: &'a Conv<'a>, input: Activations<'a>, group: usize, scratch: &'a mut [i16]) -> Self {
        let rows = conv.groups == 1 && conv.window.dilation[1] == 1 && rows_join(input.bits, conv.input.channels);
        let way = match (needs_none(conv, input), rows) {
            (true, _) => Way::Direct,
            (false, true) => Way::Rows,
            (false, false) => Way::Taps,
        };
        let scratch: &mut [u8] = bytemuck::cast_slice_mut(scratch);
        if !conv.row_len().is_multiple_of(LANES) {
            B::fill(scratch, [0; 2]);
        }
        let mut source = Self {
            conv,
            input,
            columns: Columns::new(conv, input, group),
            scratch,
            column_bytes: column_bytes(conv, input.bits),
            pixel_bytes: conv.input.pixel_bytes(input.bits),
            packed_from: packed_from(conv, input.bits),
            way,
            inside: inside(conv, 1, conv.input.width),
            row: Row::default(),
            at: (0, 0),
        };
        source.begin_row();
        source
    }

    /// The next `N` columns, and the sum of the codes of each.
    #[inline(never)]
    pub(super) fn next<B: Blocks, const N: usize>(&mut self) -> (super::Columns<'_, N>, [i32; N]) {
        let (mut at, mut totals) = ([0; N], [0; N]);
        let (bytes, wide) = (self.column_bytes, self.input.bits == ActivationBits::A16);
        if self.way == Way::Direct {
            for (at, total) in at.iter_mut().zip(&mut totals) {
                *at = self.row.from + self.at.1 * self.conv.window.stride[1] * self.pixel_bytes;
                *total = B::total(self.input.codes.get(*at..).and_then(|rest| rest.get(..bytes)).unwrap_or_default(), wide);
                self.advance(1);
            }
            return (super::Columns { codes: self.input.codes, at }, totals);
        }
        let (mut begin, mut left) = (0, &mut totals[..]);
        while !left.is_empty() {
            let made = self.run::<B>(begin, left, wide);
            begin += made * bytes;
            left = left.get_mut(made..).unwrap_or_default();
            self.advance(made);
        }
        begin = 0;
        for at in &mut at {
            *at = begin;
            begin += bytes;
        }
        (super::Columns { codes: self.scratch, at }, totals)
    }

    /// Writes columns from byte `begin` of the scratch memory on, as many as are neighbours within the input, at least one and no more
    /// than there are `totals`. What is past a column's end stays 0. Returns how many.
    #[inline(always)]
    fn run<B: Blocks>(&mut self, begin: usize, totals: &mut [i32], wide: bool) -> usize {
        let (conv, x) = (self.conv, self.at.1);
        let to = self.scratch.get_mut(begin..).unwrap_or_default();
        if self.row.whole && self.inside.contains(&x) {
            let count = (self.inside.end - x).min(totals.len());
            let from = self.row.from + (x * conv.window.stride[1] - conv.window.pad[1]) * self.pixel_bytes;
            let totals = totals.get_mut(..count).unwrap_or_default();
            let from = self.input.codes.get(from..).unwrap_or_default();
            B::gather(&self.row.window, from, to.get_mut(self.packed_from..).unwrap_or_default(), wide, totals);
            if self.packed_from != 0 {
                unpack::<B>(self.input.bits, to, self.column_bytes, conv.row_len(), totals);
            }
            return count;
        }
        let column = to.get_mut(..self.column_bytes).unwrap_or_default();
        let total = if self.way == Way::Taps {
            at_edge(&self.columns, self.at, self.input, column);
            B::total(column, wide)
        } else {
            partial::<B>(conv, self.input, self.row, x, column, wide)
        };
        if let Some(first) = totals.first_mut() {
            *first = total;
        }
        1
    }

    /// To the pixel `count` later, of the same row or the first of the next.
    #[inline(always)]
    fn advance(&mut self, count: usize) {
        self.at.1 += count;
        if self.at.1 >= self.conv.output.width {
            self.at = (self.at.0 + 1, 0);
            self.begin_row();
        }
    }

    fn begin_row(&mut self) {
        let (window, height, y) = (&self.conv.window, self.conv.input.height, self.at.0);
        // After the last row of the output nothing is read.
        if self.way == Way::Taps || y >= self.conv.output.height {
            return;
        }
        let taps = window.taps_inside(0, y, height);
        // `Range::len` may panic for all that the compiler knows.
        let count = taps.end.saturating_sub(taps.start);
        let from_y = window.position(0, y, taps.start, height).unwrap_or(0);
        let row_bytes = self.conv.input.width * self.pixel_bytes;
        let len = window.kernel[1] * self.pixel_bytes;
        // The dilation of a kernel of one row is bounded by nothing, and not used.
        let stride = window.dilation[0].wrapping_mul(row_bytes);
        let steps = (window.stride[1].wrapping_mul(self.pixel_bytes), self.column_bytes);
        let rect = Rect::new(count, len, (stride, len), steps);
        self.row = Row {
            from: from_y * row_bytes,
            first: taps.start,
            count,
            whole: self.way == Way::Rows && count == window.kernel[0] && rect.is_some(),
            window: rect.unwrap_or_default(),
        };
    }
}

/// Unpacks columns of `len` codes, which lie `step` bytes apart, and adds them up.
#[inline(never)]
fn unpack<B: Blocks>(bits: ActivationBits, columns: &mut [u8], step: usize, len: usize, totals: &mut [i32]) {
    for (total, column) in totals.iter_mut().zip(columns.chunks_mut(step.max(1))) {
        *total = B::unpack(bits, column.get_mut(..len).unwrap_or_default());
    }
}

/// A column of which a part is padding.
#[inline(never)]
fn partial<B: Blocks>(conv: &Conv<'_>, input: Activations<'_>, row: Row, x: usize, column: &mut [u8], wide: bool) -> i32 {
    let (pixel_bytes, taps_x) = (conv.input.pixel_bytes(input.bits), conv.window.kernel[1]);
    let whole = column.get_mut(..conv.row_len() * code_bytes(input.bits)).unwrap_or_default();
    let codes = whole.get_mut(packed_from(conv, input.bits)..).unwrap_or_default();
    B::fill(codes, zeros(input));
    let taps = conv.window.taps_inside(1, x, conv.input.width);
    if row.count != 0 && !taps.is_empty() {
        let from_x = conv.window.position(1, x, taps.start, conv.input.width).unwrap_or(0);
        let stride = conv.window.dilation[0].wrapping_mul(conv.input.width * pixel_bytes);
        if let Some(rect) = Rect::new(row.count, taps.len() * pixel_bytes, (stride, taps_x * pixel_bytes), (0, 0)) {
            let from = input.codes.get(row.from + from_x * pixel_bytes..).unwrap_or_default();
            let to = codes.get_mut((row.first * taps_x + taps.start) * pixel_bytes..).unwrap_or_default();
            B::gather(&rect, from, to, wide, &mut [0]);
        }
    }
    if is_packed(input.bits) { B::unpack(input.bits, whole) } else { B::total(whole, wide) }
}

/// Two bytes of zero points.
pub(super) fn zeros(input: Activations<'_>) -> [u8; 2] {
    let zero_point = input.zero_point as u8;
    match input.bits {
        ActivationBits::A2 => [zero_point.wrapping_mul(0x55); 2],
        ActivationBits::A4 => [zero_point.wrapping_mul(0x11); 2],
        ActivationBits::A6 | ActivationBits::A8 => [zero_point; 2],
        ActivationBits::A16 => (input.zero_point as i16).to_le_bytes(),
    }
}

/// Whether codes share bytes.
pub(super) fn is_packed(bits: ActivationBits) -> bool {
    matches!(bits, ActivationBits::A2 | ActivationBits::A4)
}

/// Where the packed codes of a column begin that is to be unpacked: they fill its end. Pixels are whole bytes.
fn packed_from(conv: &Conv<'_>, bits: ActivationBits) -> usize {
    let len = conv.row_len();
    match bits {
        ActivationBits::A2 => len - len / 4,
        ActivationBits::A4 => len - len / 2,
        _ => 0,
    }
}

/// A column of any window.
#[inline(never)]
fn at_edge(columns: &Columns<'_>, at: (usize, usize), input: Activations<'_>, column: &mut [u8]) {
    let bits = input.bits;
    if bits == ActivationBits::A16 {
        if let Ok(column) = bytemuck::try_cast_slice_mut::<u8, i16>(column) {
            columns.fill(at, 0, column, input.zero_point as i16, |row, first, codes| unpack_from(bits, row, first, codes));
        }
    } else {
        columns.fill(at, 0, column, input.zero_point as u8, |row, first, codes| unpack_bytes(bits, row, first, codes));
    }
}

/// Codes of a packed row of at most 8 bits, beginning at code `first`, a byte each.
fn unpack_bytes(bits: ActivationBits, row: &[u8], first: usize, codes: &mut [u8]) {
    if matches!(bits, ActivationBits::A6 | ActivationBits::A8) {
        if let Some(from) = row.get(first..).and_then(|rest| rest.get(..codes.len())) {
            crate::pack::copy(codes, from);
        }
        return;
    }
    for (index, code) in codes.iter_mut().enumerate() {
        *code = pack::code(row, bits, first + index) as u8;
    }
}

/// Output positions along an axis whose taps all read the input.
pub(super) fn inside(conv: &Conv<'_>, axis: usize, extent: usize) -> Range<usize> {
    let (window, stride) = (&conv.window, conv.window.stride[axis].max(1));
    let span = (window.kernel[axis] - 1).saturating_mul(window.dilation[axis]);
    let first = window.pad[axis].div_ceil(stride);
    let outputs = if axis == 0 { conv.output.height } else { conv.output.width };
    match (extent + window.pad[axis]).checked_sub(span.saturating_add(1)) {
        Some(last) => first..outputs.min(last / stride + 1),
        None => 0..0,
    }
}
