//! Why a job has no outcome.

use std::path::PathBuf;

use apq_protocol::{Class, Fault, FrameError, JobError};

/// Why a job has no outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// QEMU is not installed.
    #[error("the emulator `{program}` is missing; install QEMU (on Debian: apt-get install {package})")]
    EmulatorMissing {
        /// The program.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// The runner's command is not there.
    #[error("there is no program `{program}` to run the firmware with")]
    RunnerMissing {
        /// The program.
        program: String,
    },
    /// A file, a pipe or a process has failed.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        error: std::io::Error,
    },
    /// The board's program is missing, or is not one that takes a job.
    #[error("{}: {problem}; `cargo xtask firmware build` makes one", .path.display())]
    Firmware {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The job does not fit its place in the board's memory.
    #[error("the job has {needed} bytes, the board has room for {given}")]
    Room {
        /// Bytes of the job.
        needed: u64,
        /// Bytes of its place.
        given: u64,
    },
    /// The job's inputs are not a whole number of inputs, or it would pass 4 GiB.
    #[error("the job cannot be written: its inputs do not make a whole number of inputs, or it is too large")]
    Job,
    /// The serial port cannot be opened or set.
    #[error("the serial port {}: {error}", .port.display())]
    Port {
        /// The port.
        port: PathBuf,
        /// How it failed.
        error: serialport::Error,
    },
    /// No message came in time.
    #[error("the board has not answered for {seconds} s{}", last(.console))]
    Silent {
        /// How long was waited.
        seconds: u64,
        /// The end of what came that is no message.
        console: String,
    },
    /// The runner's command has ended before the board was done.
    #[error("`{runner}` ended before the board had answered ({status}){}", last(.console))]
    Ended {
        /// The command.
        runner: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        console: String,
    },
    /// A message has not come through.
    #[error("the board's answer cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// The board's program speaks another version of the protocol.
    #[error("the board's program speaks version {version} of the protocol, this tool version {}; build it again", apq_protocol::VERSION)]
    Version {
        /// The board's version.
        version: u16,
    },
    /// The messages contradict each other.
    #[error("the board's answer is not complete: {what}")]
    Answer {
        /// What is missing or wrong.
        what: String,
    },
    /// The board refuses the job.
    #[error("the board refuses the job: {0}")]
    Refused(Refusal),
}

/// Why a board refuses a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The job is missing or damaged.
    #[error("{0}")]
    Job(JobError),
    /// The runtime refuses the model.
    #[error("{text}")]
    Load {
        /// What that says about its cause.
        class: Class,
        /// The runtime's words.
        text: String,
    },
    /// The arena is too small.
    #[error("the model needs an arena of {needed} bytes, there are {given}")]
    Arena {
        /// Bytes that the model needs.
        needed: u32,
        /// Bytes that there are.
        given: u32,
    },
    /// The inputs do not suit the model.
    #[error("the model's input has {needed} bytes of packed codes, the job's have {given}")]
    Input {
        /// Bytes of the model's input.
        needed: u32,
        /// Bytes of each input of the job.
        given: u32,
    },
    /// The model has too many layers to count.
    #[error("the model has {nodes} layers, the board's program counts at most {}", apq_protocol::LAYERS_MAX)]
    Layers {
        /// Layers of the model.
        nodes: u16,
    },
    /// A run has written behind its arena.
    #[error("a run wrote behind its arena: a bug of the kernels")]
    Overrun,
    /// The board's program has stopped.
    #[error("its program stopped: {text}")]
    Panicked {
        /// Where and why.
        text: String,
    },
    /// A request has not come through to the board.
    #[error("a request has not come through: {0}")]
    Frame(FrameError),
    /// A piece of the job came out of turn.
    #[error("a piece of the job starts at byte {given}, the next one has to start at {expected}")]
    Piece {
        /// Where the next piece has to start.
        expected: u32,
        /// Where it starts.
        given: u32,
    },
    /// The board has no room for the job.
    #[error("the job has {needed} bytes, the board has room for {given}")]
    Room {
        /// Bytes of the job.
        needed: u32,
        /// Bytes of memory.
        given: u32,
    },
}

impl From<Fault<'_>> for Refusal {
    fn from(fault: Fault<'_>) -> Self {
        match fault {
            Fault::Job(error) => Self::Job(error),
            Fault::Load { class, text } => Self::Load { class, text: text.into() },
            Fault::Arena { needed, given } => Self::Arena { needed, given },
            Fault::Input { needed, given } => Self::Input { needed, given },
            Fault::Layers { nodes } => Self::Layers { nodes },
            Fault::Overrun => Self::Overrun,
            Fault::Panicked { text } => Self::Panicked { text: text.into() },
            Fault::Frame(error) => Self::Frame(error),
            Fault::Piece { expected, given } => Self::Piece { expected, given },
            Fault::Room { needed, given } => Self::Room { needed, given },
        }
    }
}

/// Failure of a file, a pipe or a process.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DeviceError {
    let what = what.into();
    |error| DeviceError::Io { what, error }
}

fn last(console: &str) -> String {
    if console.is_empty() { String::new() } else { format!("; the last that it said:\n{console}") }
}
