//! The fixed header of an `.apq` file and the checksum over it.
//!
//! The layout is in [`format`](crate::format). Only [`Header::read`] looks at bytes that nothing has vouched for yet.

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use crate::error::LoadError;

/// First eight bytes of every `.apq` file. The high bit and the two kinds of line end show a file that a text-mode
/// transfer has damaged.
pub const MAGIC: [u8; 8] = *b"\x89APQ\r\n\x1a\n";

/// Format version that this crate reads and writes.
pub const FORMAT_VERSION: u16 = 1;

/// Length of the fixed header in bytes; the graph section starts here.
pub const HEADER_BYTES: usize = 40;

/// Alignment in bytes of the raw section within the file, and of the file and the arena in memory.
pub const ALIGNMENT: usize = 16;

const CRC_AT: usize = 8;
const CRC_BYTES: usize = 4;
const VERSION_AT: usize = 12;
const RESERVED_AT: usize = 14;
const LENGTH_AT: usize = 16;
const GRAPH_AT: usize = 20;
const RAW_AT: usize = 28;
const PADDING_AT: usize = 36;

/// One table of 1 KiB: it lies in the flash of every firmware that loads a model.
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// Where the sections lie, in bytes from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) graph_offset: usize,
    pub(crate) graph_length: usize,
    pub(crate) raw_offset: usize,
    pub(crate) raw_length: usize,
}

impl Header {
    /// Checks, in this order, the magic, the length and the checksum of a file, then its format version, and reads where
    /// its sections lie. The sections may still be anywhere.
    pub(crate) fn read(file: &[u8]) -> Result<Self, LoadError> {
        let magic_present = file.len().min(MAGIC.len());
        if file.get(..magic_present) != MAGIC.get(..magic_present) || magic_present == 0 {
            return Err(LoadError::Magic);
        }
        let stored = word(file, LENGTH_AT).unwrap_or(0);
        if file.len() < HEADER_BYTES || stored as usize != file.len() {
            let actual = u32::try_from(file.len()).unwrap_or(u32::MAX);
            return Err(LoadError::Length { stored, actual });
        }
        if word(file, CRC_AT) != Some(checksum(file)) {
            return Err(LoadError::Checksum);
        }
        let version = half(file, VERSION_AT).unwrap_or(0);
        if version != FORMAT_VERSION {
            return Err(LoadError::Version { version });
        }
        if half(file, RESERVED_AT) != Some(0) || word(file, PADDING_AT) != Some(0) {
            return Err(LoadError::Header);
        }
        let at = |offset| word(file, offset).map(|value| value as usize).ok_or(LoadError::Header);
        Ok(Self { graph_offset: at(GRAPH_AT)?, graph_length: at(GRAPH_AT + 4)?, raw_offset: at(RAW_AT)?, raw_length: at(RAW_AT + 4)? })
    }

    /// The graph section and the raw section, if they fill the file in this order with nothing but zero padding between.
    pub(crate) fn sections<'a>(&self, file: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), LoadError> {
        let graph_end = self.graph_offset.checked_add(self.graph_length).ok_or(LoadError::Header)?;
        let raw_end = self.raw_offset.checked_add(self.raw_length).ok_or(LoadError::Header)?;
        let padding = file.get(graph_end..self.raw_offset).ok_or(LoadError::Header)?;
        let in_order = self.graph_offset == HEADER_BYTES
            && self.raw_offset.is_multiple_of(ALIGNMENT)
            && raw_end == file.len()
            && padding.len() < ALIGNMENT
            && padding.iter().all(|&byte| byte == 0);
        let graph = file.get(self.graph_offset..graph_end).ok_or(LoadError::Header)?;
        let raw = file.get(self.raw_offset..).ok_or(LoadError::Header)?;
        if in_order { Ok((graph, raw)) } else { Err(LoadError::Header) }
    }

    /// Writes this header over the first [`HEADER_BYTES`] of a file that is otherwise complete, with its checksum.
    #[cfg(feature = "build")]
    pub(crate) fn write(&self, file: &mut [u8]) {
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(target) = file.get_mut(at..at + bytes.len()) {
                target.copy_from_slice(bytes);
            }
        };
        put(0, &MAGIC);
        put(VERSION_AT, &FORMAT_VERSION.to_le_bytes());
        put(RESERVED_AT, &[0, 0]);
        put(GRAPH_AT, &(self.graph_offset as u32).to_le_bytes());
        put(GRAPH_AT + 4, &(self.graph_length as u32).to_le_bytes());
        put(RAW_AT, &(self.raw_offset as u32).to_le_bytes());
        put(RAW_AT + 4, &(self.raw_length as u32).to_le_bytes());
        put(PADDING_AT, &[0; 4]);
        seal(file);
    }
}

/// Writes the length and the checksum of `file` into its header. Does nothing to a slice shorter than a header.
///
/// Tools that edit a file in place, and tests that damage one on purpose, make it whole again with this.
#[cfg(feature = "build")]
pub fn seal(file: &mut [u8]) {
    let length = u32::try_from(file.len()).unwrap_or(u32::MAX);
    if let Some(target) = file.get_mut(LENGTH_AT..LENGTH_AT + 4) {
        target.copy_from_slice(&length.to_le_bytes());
    }
    let checksum = checksum(file);
    if let Some(target) = file.get_mut(CRC_AT..CRC_AT + CRC_BYTES) {
        target.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// CRC-32 (ISO HDLC) over all bytes of the file but the four that hold it.
fn checksum(file: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(file.get(..CRC_AT).unwrap_or(&[]));
    digest.update(file.get(CRC_AT + CRC_BYTES..).unwrap_or(&[]));
    digest.finalize()
}

/// The little-endian 32-bit word at `at`, if the bytes are there.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word))
}

/// The little-endian 16-bit word at `at`, if the bytes are there.
fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let half = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*half))
}
