//! Which outputs of a strip are computed by which blocks.

use super::layout::{Layout, Order};
use crate::Conv;

/// Outputs of the larger block.
pub(crate) const BLOCK_MAX: usize = 6;

/// Outputs of the smaller block, which only the kernels that [`Layout::compact`] tells of have.
pub(crate) const BLOCK_MIN: usize = 4;

/// Columns of blocks beside each other, each of one block in every row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// First output of a row.
    pub(crate) start: usize,
    /// Outputs of a block.
    size: usize,
    columns: usize,
    rows: usize,
    /// Outputs of a row from `start` on.
    pub(crate) left: usize,
    pairs: Pairs,
}

/// What a plane has to do with it.
#[derive(Clone, Copy, Debug)]
struct Pairs {
    /// Words of a column of blocks.
    column: usize,
    /// Words of a row of outputs.
    row: usize,
    /// Words that are read, from the first block's first on.
    reach: usize,
}

impl Span {
    #[inline(never)]
    fn new(conv: &Conv<'_>, layout: &Layout, (start, size, columns): (usize, usize, usize), rows: usize) -> Self {
        let column = if layout.order == Order::Dense { size / 2 } else { size };
        // A block reads as far as the last block of a row: to the end of the last row of taps, less what other blocks begin with.
        let below = rows.saturating_sub(1) * layout.row_words + conv.window.kernel[0].saturating_sub(1) * layout.tap_words;
        let reach = below + layout.pitch - layout.offset(layout.extent) + column * columns;
        Self { start, size, columns, rows, left: conv.output.width - start, pairs: Pairs { column, row: layout.row_words, reach } }
    }

    /// Outputs of a block: [`BLOCK_MAX`], or [`BLOCK_MIN`] in a compact layout.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Words of a plane from a column of blocks to the next.
    pub(crate) fn column_words(&self) -> usize {
        self.pairs.column
    }

    /// Words of a plane from a row of outputs to the next.
    pub(crate) fn row_words(&self) -> usize {
        self.pairs.row
    }

    /// Words of a plane that are read, from the first block's first word on.
    pub(crate) fn reach(&self) -> usize {
        self.pairs.reach
    }

    /// One of the columns.
    pub(crate) fn column(self, index: usize) -> Self {
        let reach = self.pairs.reach - (self.columns - 1) * self.pairs.column;
        let first = index * self.size;
        Self { start: self.start + first, left: self.left - first, columns: 1, pairs: Pairs { reach, ..self.pairs }, ..self }
    }

    /// The same columns in that many rows.
    pub(crate) fn with_rows(self, rows: usize) -> Self {
        let reach = self.pairs.reach - self.rows.saturating_sub(1) * self.pairs.row + rows.saturating_sub(1) * self.pairs.row;
        Self { rows, pairs: Pairs { reach, ..self.pairs }, ..self }
    }
}

/// How a strip of rows is covered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    pub(crate) rows: usize,
    /// A column that passes the right border, and the rows at the end that would pass the strip with it. What it writes beyond the border
    /// belongs to the rows below; they and the other columns are written after it.
    pub(crate) beyond: Option<(Span, usize)>,
    pub(crate) inside: [Option<Span>; 2],
    /// In larger blocks only, any of which may pass the border.
    pub(crate) large: [Option<Span>; 2],
}

impl Spans {
    /// For strips of `rows` rows with `below` rows of the output below the strip, which are written after it.
    pub(crate) fn new(conv: &Conv<'_>, layout: &Layout, rows: usize, below: usize) -> Self {
        let width = conv.output.width;
        let even = width.next_multiple_of(2);
        let span = |start: usize, size: usize, columns: usize| (columns > 0).then(|| Span::new(conv, layout, (start, size, columns), rows));
        let rows_beyond = |span: &Span| {
            let beyond = (span.start + span.size).saturating_sub(width).div_ceil(width.max(1));
            beyond.saturating_sub(below).min(rows)
        };
        let larges = even / BLOCK_MAX;
        let rest = if even.is_multiple_of(BLOCK_MAX) { 0 } else { 1 };
        let large = [span(even.saturating_sub(BLOCK_MAX), BLOCK_MAX, rest), span(0, BLOCK_MAX, larges)];
        if !layout.compact {
            let [last, others] = large;
            let passes = |span: &Span| span.start + BLOCK_MAX > width;
            let (last, others) = match (last, others) {
                (None, Some(_)) => (span(even - BLOCK_MAX, BLOCK_MAX, 1), span(0, BLOCK_MAX, larges - 1)),
                both => both,
            };
            let beyond = last.filter(passes);
            let inside = [others, last.filter(|_| beyond.is_none())];
            return Self { rows, beyond: beyond.map(|span| (span, rows_beyond(&span))), inside, large };
        }
        // Blocks of six and at most two of four.
        let smalls = match even % BLOCK_MAX {
            0 => 0,
            2 if even > 2 => 2,
            _ => 1,
        };
        let larges = even.saturating_sub(smalls * BLOCK_MIN) / BLOCK_MAX;
        let (first_small, end) = (larges * BLOCK_MAX, larges * BLOCK_MAX + smalls * BLOCK_MIN);
        let passing = usize::from(end > width);
        let (beyond, smalls, larges) = match smalls {
            0 => (span(end - BLOCK_MAX, BLOCK_MAX, passing), 0, larges - passing),
            _ => (span(end - BLOCK_MIN, BLOCK_MIN, passing), smalls - passing, larges),
        };
        let inside = [span(0, BLOCK_MAX, larges), span(first_small, BLOCK_MIN, smalls)];
        Self { rows, beyond: beyond.map(|span| (span, rows_beyond(&span))), inside, large }
    }
}
