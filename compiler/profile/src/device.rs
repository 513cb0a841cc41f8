//! Boards and emulators as machines.

use std::path::PathBuf;
use std::time::Duration;

use apq_device::{DeviceError, Inputs, Job, Outcome, Runner, Wants, run};
use apq_lut::{Counter, Unit};

use crate::measure::{LayerCount, Machine, MachineError, Run};

/// Seed of the codes that the input holds; counts do not depend on them.
const SEED: u64 = 1;

/// Multiply-accumulates that a file does in all its runs in an emulator, whose counter is coarse, within these numbers of runs.
const EMULATED_MACS: u64 = 4_000_000;
const EMULATED_RUNS: [u64; 2] = [2, 32];

/// Jobs of a board where nobody says: their scatter is the spread.
const BOARD_JOBS: u32 = 3;

/// A board or an emulator, with its program.
#[derive(Debug, Clone)]
pub struct Device {
    /// What executes the program.
    pub runner: Runner,
    /// The program, an ELF file; a serial port needs none.
    pub firmware: PathBuf,
    /// The core, as built-in targets are named; an emulator is only that.
    pub core: String,
    /// What names the program's version in a table: kernels alone do not tell two builds apart. Empty where it is not known.
    pub build: String,
    /// Clock that makes counts times, in Hz.
    pub clock_hz: u64,
    /// Runs of each layer: of an emulator in one job, of a board in jobs of their own. `None`: as many as are needed.
    pub repeats: Option<u32>,
    /// Longest time between two messages of the board.
    pub silence_max: Duration,
    /// Files that may run at once in an emulator.
    pub threads: usize,
}

impl Device {
    fn emulated(&self) -> bool {
        matches!(self.runner, Runner::Emulator(_))
    }

    /// One job, as the device answers it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn job(&self, file: &[u8], repeats: u32, wants: Wants) -> Result<Outcome, DeviceError> {
        // Only the stack and outputs need a run that is not counted.
        let count = u32::from(wants.stack || wants.outputs);
        let job = Job { model: file, inputs: Inputs::Drawn { seed: SEED, count }, repeats, arena_bytes: None, wants };
        run(&self.runner, &self.firmware, &job, self.silence_max)
    }

    /// Who counted an outcome.
    #[must_use]
    pub fn counter(&self, outcome: &Outcome) -> Counter {
        let separator = if self.build.is_empty() { "" } else { ", " };
        Counter {
            board: if self.emulated() { self.core.clone() } else { outcome.board.clone() },
            runner: self.runner.to_string(),
            kernels: format!("{}{separator}{}", outcome.kernels, self.build),
            unit: match outcome.unit {
                apq_device::Unit::Instructions => Unit::Instructions,
                apq_device::Unit::Cycles => Unit::Cycles,
            },
            clock_hz: self.clock_hz,
        }
    }
}

impl Machine for Device {
    fn run(&self, file: &[u8], macs: u64, whole: bool) -> Result<Run, MachineError> {
        let needed = (EMULATED_MACS / macs.max(1)).clamp(EMULATED_RUNS[0], EMULATED_RUNS[1]) as u32;
        let (jobs, runs) = match (self.emulated(), self.repeats) {
            (true, repeats) => (1, repeats.unwrap_or(needed)),
            (false, repeats) => (repeats.unwrap_or(BOARD_JOBS), 1),
        };
        let wants = Wants { layers: true, run: whole, ..Wants::default() };
        let mut outcomes = Vec::new();
        for _ in 0..jobs.max(1) {
            outcomes.push(self.job(file, runs.max(1), wants)?);
        }
        let Some(first) = outcomes.first() else { return Err("no job was run".into()) };
        let mean = |counts: &[f64]| counts.iter().sum::<f64>() / counts.len() as f64;
        let layers = (0..first.layers.len()).map(|node| {
            let counts: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome.layers.get(node)).map(apq_device::Count::mean).collect();
            let spread = counts.iter().copied().fold(f64::NEG_INFINITY, f64::max) - counts.iter().copied().fold(f64::INFINITY, f64::min);
            let samples = outcomes.iter().filter_map(|outcome| outcome.layers.get(node)).map(|count| count.repeats).sum();
            LayerCount { node, samples, mean: mean(&counts), spread }
        });
        let totals: Vec<f64> = outcomes.iter().map(|outcome| outcome.run.mean()).collect();
        Ok(Run { counter: self.counter(first), layers: layers.collect(), total: whole.then(|| mean(&totals)) })
    }

    fn parallel(&self) -> usize {
        if self.emulated() { self.threads.max(1) } else { 1 }
    }
}
