//! Messages, and why a board could not do its job.

use core::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use crate::frame::FrameError;
use crate::job::JobError;

/// From the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<'a> {
    /// The first message: who speaks.
    Hello {
        /// [`VERSION`](crate::VERSION) of the board's program.
        version: u16,
        /// The board's name.
        board: &'a str,
        /// What its kernels are written for, such as `dsp`.
        kernels: &'a str,
        /// What its counts are.
        unit: Unit,
        /// Bytes of RAM for an arena, or for an arena and a job that is sent.
        arena_bytes_max: u32,
    },
    /// The board waits for a job on its serial port, or for the next piece of it.
    Ready {
        /// Bytes of the job that have come.
        received: u32,
    },
    /// The model has been proved right.
    Model {
        /// Its name.
        name: &'a str,
        /// Bytes of its arena.
        arena_bytes: u32,
        /// Number of nodes.
        nodes: u16,
        /// Bytes of the packed codes of its input.
        input_bytes: u32,
        /// Bytes of the packed codes of its output.
        output_bytes: u32,
    },
    /// A piece of an output's packed codes.
    Output {
        /// Number of the input.
        input: u32,
        /// Where the piece starts, in bytes.
        offset: u32,
        /// At most [`CHUNK_BYTES_MAX`](crate::CHUNK_BYTES_MAX) bytes.
        codes: &'a [u8],
    },
    /// What one layer cost.
    Layer {
        /// Number of the node.
        index: u16,
        /// Sum over `repeats` runs.
        count: u64,
        /// Runs that were counted.
        repeats: u32,
    },
    /// What whole runs cost, without looking at single layers.
    Run {
        /// Sum over `repeats` runs.
        count: u64,
        /// Runs that were counted.
        repeats: u32,
    },
    /// Most bytes of stack in use below the call of a run.
    Stack {
        /// Bytes.
        bytes: u32,
    },
    /// The job cannot be done; the last message.
    Failed(Fault<'a>),
    /// The job is done; the last message.
    Done,
}

/// To a board that waits on its serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Answered with `Hello` and `Ready`; forgets what came of an earlier job.
    Begin {
        /// Bytes of the job.
        length: u32,
    },
    /// The next piece of the job, answered with `Ready`.
    Piece {
        /// Where it starts: the bytes received so far.
        offset: u32,
        /// At most [`CHUNK_BYTES_MAX`](crate::CHUNK_BYTES_MAX) bytes.
        bytes: &'a [u8],
    },
    /// The job is complete. Answered as [`Message`] says, `Hello` left out.
    Run,
}

/// What a board counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Instructions: an emulator knows no cycles.
    Instructions,
    /// Clock cycles of the core.
    Cycles,
}

impl Unit {
    /// Its name, in the plural.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Cycles => "cycles",
        }
    }
}

/// Why a board could not do its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault<'a> {
    /// There is no job, or it is damaged.
    Job(JobError),
    /// The model is refused.
    Load {
        /// What the error says about its cause.
        class: Class,
        /// The runtime's words.
        text: &'a str,
    },
    /// The model needs a larger arena than there is, or than the job allows.
    Arena {
        /// Bytes that the model needs.
        needed: u32,
        /// Bytes that there are.
        given: u32,
    },
    /// The inputs are not as long as the model's.
    Input {
        /// Bytes of the model's input.
        needed: u32,
        /// Bytes of each input of the job.
        given: u32,
    },
    /// The model has more layers than the board can count.
    Layers {
        /// Layers of the model.
        nodes: u16,
    },
    /// A run has written behind its arena.
    Overrun,
    /// The board's program has stopped: a bug.
    Panicked {
        /// Where and why.
        text: &'a str,
    },
    /// What came over the serial port is no request.
    Frame(FrameError),
    /// A piece of a job came out of turn, or does not fit.
    Piece {
        /// Where the next piece has to start.
        expected: u32,
        /// Where it starts.
        given: u32,
    },
    /// The job is longer than the board's memory for jobs.
    Room {
        /// Bytes of the job.
        needed: u32,
        /// Bytes of memory.
        given: u32,
    },
}

/// What the refusal of a model says about its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// The bytes are no `.apq` file, are damaged, or contradict themselves.
    BadFile,
    /// The file may be right, but needs what this build of the runtime does not have.
    Unsupported,
    /// The file lies at an address that cannot work.
    Misuse,
}

/// Longest text in a message, in bytes.
pub const TEXT_BYTES_MAX: usize = 192;

/// Text made on the board; what does not fit is cut.
#[derive(Clone, Copy)]
pub struct Text {
    length: usize,
    bytes: [u8; TEXT_BYTES_MAX],
}

impl Text {
    /// The text of a value.
    pub fn of(value: &dyn fmt::Display) -> Self {
        let mut text = Self { length: 0, bytes: [0; TEXT_BYTES_MAX] };
        // Fails where the text is full, which leaves its beginning.
        let _ = write!(text, "{value}");
        text
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            let end = self.length.saturating_add(bytes.len());
            let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
            place.copy_from_slice(bytes);
            self.length = end;
        }
        Ok(())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
