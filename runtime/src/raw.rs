//! Finding typed data in the raw section.
//!
//! Words are read where they lie, so that their alignment in memory must be right: blocks start at multiples of four
//! bytes, the raw section at a multiple of sixteen.

use apq_kernels::ActivationBits;
use bytemuck::AnyBitPattern;

use crate::input::{InputRecord, RawType};

#[cfg(target_endian = "big")]
compile_error!("the words of an .apq file are little-endian and are read in place");

/// Alignment of a block in the raw section, in bytes.
pub(crate) const BLOCK_ALIGNMENT: usize = 4;

/// Reads one block after another from the same place.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At a block that starts at `offset`; `None` where it is not aligned or outside.
    pub(crate) fn at(raw: &'a [u8], offset: u32) -> Option<Self> {
        let offset = offset as usize;
        if !offset.is_multiple_of(BLOCK_ALIGNMENT) {
            return None;
        }
        Some(Self { rest: raw.get(offset..)? })
    }

    /// The next `count` values of a type without invalid bit patterns.
    pub(crate) fn take<T: AnyBitPattern>(&mut self, count: usize) -> Option<&'a [T]> {
        let (head, rest) = self.rest.split_at_checked(count.checked_mul(size_of::<T>())?)?;
        self.rest = rest;
        bytemuck::try_cast_slice(head).ok()
    }
}

/// Means, standard deviations and table of the network's input.
pub(crate) fn input<'a>(raw: &'a [u8], record: &InputRecord, bits: ActivationBits) -> Option<(&'a [f32], &'a [f32], &'a [u8])> {
    let lists = record.lists as usize;
    let mut cursor = Cursor::at(raw, record.raw)?;
    let mean = cursor.take(lists)?;
    let std = cursor.take(lists)?;
    let entries = if record.raw_type.has_table() { lists.checked_mul(RawType::TABLE_ENTRIES)? } else { 0 };
    let entry_bytes = if bits.signed() { 2 } else { 1 };
    let table = cursor.take(entries.checked_mul(entry_bytes)?)?;
    Some((mean, std, table))
}
