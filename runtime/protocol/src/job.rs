//! A job: a model, its inputs, and what is wanted of them, as one block of bytes.
//!
//! ```text
//! 0   magic, 8 bytes
//! 8   version, u16
//! 10  zero, u16
//! 12  length of the job, u32
//! 16  CRC-32 over the bytes 20 to 64 and the inputs, u32
//! 20  lengths and wishes: u32 model bytes, number of inputs, bytes of an input (0: drawn), repeats, arena bytes (0: as the model needs),
//!     wishes (bit 0 outputs, 1 layers, 2 run, 3 stack); u64 seed; zeros
//! 64  the model
//!     zeros up to a multiple of 16, then the inputs, one behind the other
//! ```
//! All numbers are little-endian. A job lies at a multiple of 16 in memory. The model has its own checksum.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

use crate::VERSION;

/// First eight bytes of a job.
pub const MAGIC: [u8; 8] = *b"\x89APJ\r\n\x1a\n";

/// Where the model starts, in bytes.
pub const MODEL_AT: usize = 64;

/// Alignment of a job in memory, of the model in it and of the inputs.
pub const ALIGNMENT: usize = 16;

const VERSION_AT: usize = 8;
const LENGTH_AT: usize = 12;
const CRC_AT: usize = 16;
const FIELDS_AT: usize = 20;
const SEED_AT: usize = FIELDS_AT + 6 * 4;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What a board is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<'a> {
    /// An `.apq` file.
    pub model: &'a [u8],
    /// Inputs.
    pub inputs: Inputs<'a>,
    /// Runs that are counted, each with the first input.
    pub repeats: u32,
    /// Bytes of the arena, instead of what the model says that it needs.
    pub arena_bytes: Option<u32>,
    /// What is wanted.
    pub wants: Wants,
}

/// Packed codes, as they lie in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs<'a> {
    /// One input behind the other, each of that many bytes.
    Given {
        /// All of them.
        codes: &'a [u8],
        /// Bytes of one; not 0.
        each: u32,
    },
    /// As [`draw::fill`](crate::draw::fill) draws them, numbered from 0.
    Drawn {
        /// Seed.
        seed: u64,
        /// How many.
        count: u32,
    },
}

impl<'a> Inputs<'a> {
    /// How many there are.
    pub fn count(&self) -> u32 {
        match *self {
            Self::Given { codes, each } => (codes.len() as u32).checked_div(each).unwrap_or(0),
            Self::Drawn { count, .. } => count,
        }
    }

    /// Codes of input `index`, if it is given.
    pub fn given(&self, index: u32) -> Option<&'a [u8]> {
        match *self {
            Self::Given { codes, each } => codes.chunks_exact((each as usize).max(1)).nth(index as usize),
            Self::Drawn { .. } => None,
        }
    }
}

/// What a board is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The output of each input.
    pub outputs: bool,
    /// What each layer costs.
    pub layers: bool,
    /// What a whole run costs.
    pub run: bool,
    /// How much stack a run uses.
    pub stack: bool,
}

/// Why bytes are no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobError {
    /// The first bytes are not those of a job.
    Magic,
    /// The job is of another version.
    Version {
        /// Its version.
        version: u16,
    },
    /// The job is cut, or its lengths contradict each other.
    Length,
    /// The job is damaged.
    Checksum,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("there is no job"),
            Self::Version { version } => write!(f, "the job has version {version}, the board's program version {VERSION}"),
            Self::Length => f.write_str("the job is cut"),
            Self::Checksum => f.write_str("the job is damaged: its checksum does not fit its bytes"),
        }
    }
}

impl core::error::Error for JobError {}

impl<'a> Job<'a> {
    /// Bytes of the job as a block; `None` where it would pass 4 GiB, or where the inputs are not a whole number of inputs.
    pub fn bytes(&self) -> Option<usize> {
        let inputs = match self.inputs {
            Inputs::Given { codes, each } if codes.len().is_multiple_of(each as usize) => codes.len(),
            Inputs::Given { .. } => return None,
            Inputs::Drawn { .. } => 0,
        };
        let bytes = inputs_at(self.model.len())?.checked_add(inputs)?;
        u32::try_from(bytes).ok().map(|_| bytes)
    }

    /// Writes the job into a buffer of [`Job::bytes`] bytes; `None` where the lengths differ.
    pub fn write(&self, buffer: &mut [u8]) -> Option<()> {
        if self.bytes() != Some(buffer.len()) {
            return None;
        }
        let length = buffer.len() as u32;
        let (inputs, each, seed, count) = match self.inputs {
            Inputs::Given { codes, each } => (codes, each, 0, self.inputs.count()),
            Inputs::Drawn { seed, count } => (&[][..], 0, seed, count),
        };
        buffer.fill(0);
        buffer.get_mut(..MAGIC.len())?.copy_from_slice(&MAGIC);
        buffer.get_mut(VERSION_AT..VERSION_AT + 2)?.copy_from_slice(&VERSION.to_le_bytes());
        buffer.get_mut(LENGTH_AT..LENGTH_AT + 4)?.copy_from_slice(&length.to_le_bytes());
        let Wants { outputs, layers, run, stack } = self.wants;
        let wants = u32::from(outputs) | u32::from(layers) << 1 | u32::from(run) << 2 | u32::from(stack) << 3;
        let fields = [self.model.len() as u32, count, each, self.repeats, self.arena_bytes.unwrap_or(0), wants];
        for (to, field) in buffer.get_mut(FIELDS_AT..SEED_AT)?.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        buffer.get_mut(SEED_AT..SEED_AT + 8)?.copy_from_slice(&seed.to_le_bytes());
        buffer.get_mut(MODEL_AT..)?.get_mut(..self.model.len())?.copy_from_slice(self.model);
        let begin = inputs_at(self.model.len())?;
        buffer.get_mut(begin..)?.copy_from_slice(inputs);
        let checksum = checksum(buffer, begin)?;
        buffer.get_mut(CRC_AT..CRC_AT + 4)?.copy_from_slice(&checksum.to_le_bytes());
        Some(())
    }

    /// Finds the job at the start of `memory`, which may go on behind it.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn read(memory: &'a [u8]) -> Result<Self, JobError> {
        if memory.get(..MAGIC.len()) != Some(&MAGIC) {
            return Err(JobError::Magic);
        }
        let version = memory.get(VERSION_AT..).and_then(|bytes| bytes.first_chunk()).copied().map(u16::from_le_bytes);
        let version = version.ok_or(JobError::Length)?;
        if version != VERSION {
            return Err(JobError::Version { version });
        }
        let length = word(memory, LENGTH_AT).ok_or(JobError::Length)? as usize;
        let job = memory.get(..length).filter(|job| job.len() >= MODEL_AT).ok_or(JobError::Length)?;
        let field = |index: usize| word(job, FIELDS_AT + index * 4).ok_or(JobError::Length);
        let (model_bytes, count, each, repeats, arena, wants) = (field(0)?, field(1)?, field(2)?, field(3)?, field(4)?, field(5)?);
        let begin = inputs_at(model_bytes as usize).ok_or(JobError::Length)?;
        let inputs = job.get(begin..).ok_or(JobError::Length)?;
        if word(job, CRC_AT) != checksum(job, begin) {
            return Err(JobError::Checksum);
        }
        let seed = job.get(SEED_AT..).and_then(|bytes| bytes.first_chunk()).copied().map(u64::from_le_bytes).ok_or(JobError::Length)?;
        if (count as usize).checked_mul(each as usize) != Some(inputs.len()) {
            return Err(JobError::Length);
        }
        Ok(Self {
            model: job.get(MODEL_AT..).and_then(|bytes| bytes.get(..model_bytes as usize)).ok_or(JobError::Length)?,
            inputs: if each == 0 { Inputs::Drawn { seed, count } } else { Inputs::Given { codes: inputs, each } },
            repeats,
            arena_bytes: (arena != 0).then_some(arena),
            wants: Wants { outputs: wants & 1 != 0, layers: wants & 2 != 0, run: wants & 4 != 0, stack: wants & 8 != 0 },
        })
    }
}

/// Where the inputs start.
fn inputs_at(model_bytes: usize) -> Option<usize> {
    MODEL_AT.checked_add(model_bytes)?.checked_next_multiple_of(ALIGNMENT)
}

/// Checksum of all but the model and what stands before the checksum.
fn checksum(job: &[u8], inputs_begin: usize) -> Option<u32> {
    let mut digest = CRC.digest();
    digest.update(job.get(FIELDS_AT..MODEL_AT)?);
    digest.update(job.get(inputs_begin..)?);
    Some(digest.finalize())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}
