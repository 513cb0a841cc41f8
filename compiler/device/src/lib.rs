//! Runs models on boards and in emulators, and reads what they answer.
//!
//! A board's program, `runner`, is in `examples/firmware`; `cargo xtask firmware build` makes it. [`run`] puts a [`Job`] into a copy of that
//! program, hands it to a [`Runner`] and collects the board's messages in an [`Outcome`]; a board that listens on a serial port gets the job
//! over the wire instead.
//!
//! ```no_run
//! use apq_device::{Inputs, Job, Runner, Wants, run};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runner: Runner = "qemu:mps2-an386".parse()?;
//! let model = std::fs::read("model.apq")?;
//! let wants = Wants { layers: true, run: true, ..Wants::default() };
//! let job = Job { model: &model, inputs: Inputs::Drawn { seed: 0, count: 1 }, repeats: 16, arena_bytes: None, wants };
//! let firmware = std::path::Path::new("target/firmware/cortex-m4.elf");
//! let outcome = run(&runner, firmware, &job, std::time::Duration::from_secs(60))?;
//! println!("{} {}", outcome.run.mean(), outcome.unit.name());
//! # Ok(())
//! # }
//! ```

mod board;
pub mod checkout;
mod error;
mod image;
mod outcome;
mod program;
mod runner;
mod serial;

use std::path::Path;
use std::time::Duration;

pub use apq_protocol::{Class, Fault, FrameError, Inputs, Job, JobError, LAYERS_MAX, Unit, Wants, draw};
pub use board::{BOARDS, Board};
pub use error::{DeviceError, Refusal};
pub use image::image;
pub use outcome::{Count, Outcome};
pub use runner::{Runner, RunnerError};

/// Runs a job.
///
/// `firmware` is the board's program, an ELF file, which a serial port does not need: the board has it already. `silence_max` is the longest
/// time between two messages of the board; whole runs of the model lie in between.
///
/// # Errors
/// See [`DeviceError`].
pub fn run(runner: &Runner, firmware: &Path, job: &Job<'_>, silence_max: Duration) -> Result<Outcome, DeviceError> {
    match runner {
        Runner::Serial { port, baud } => serial::run(port, *baud, job, silence_max),
        Runner::Emulator(machine) => program::run(runner, program::emulating(machine), firmware, job, silence_max),
        Runner::Command(words) => program::run(runner, program::external(words), firmware, job, silence_max),
    }
}
