//! The raw section as it grows.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::raw::BLOCK_ALIGNMENT;

/// Blocks one behind the other, each aligned. Equal blocks are one.
#[derive(Default)]
pub(super) struct RawSection {
    pub(super) bytes: Vec<u8>,
    /// Offset of each block.
    blocks: BTreeMap<Vec<u8>, u32>,
}

impl RawSection {
    /// Appends a block made of these parts and returns its offset; `None` past 4 GiB.
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> Option<u32> {
        let block = parts.concat();
        if let Some(&offset) = self.blocks.get(&block) {
            return Some(offset);
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_ALIGNMENT), 0);
        let offset = u32::try_from(self.bytes.len()).ok()?;
        self.bytes.extend_from_slice(&block);
        self.blocks.insert(block, offset);
        Some(offset)
    }
}

/// The bytes of 32-bit words.
pub(super) fn words<T: Copy>(values: &[T], to_bytes: impl Fn(T) -> [u8; 4]) -> Vec<u8> {
    values.iter().flat_map(|&value| to_bytes(value)).collect()
}
