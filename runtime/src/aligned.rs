//! Bytes at an aligned address, for hosts.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Bytes that start at a multiple of [`ALIGNMENT`](crate::ALIGNMENT): for a file that was read from disk, or an arena.
///
/// 64-bit hosts only: 32-bit targets may align 16-byte words to 8. Firmware places its model and its arena with
/// `repr(align(16))` instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlignedBytes {
    words: Vec<u128>,
    length: usize,
}

impl AlignedBytes {
    /// `length` bytes, all zero.
    pub fn zeroed(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(size_of::<u128>())], length }
    }
}

impl From<&[u8]> for AlignedBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut aligned = Self::zeroed(bytes.len());
        aligned.copy_from_slice(bytes);
        aligned
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words).get(..self.length).unwrap_or(&[])
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words).get_mut(..self.length).unwrap_or(&mut [])
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
