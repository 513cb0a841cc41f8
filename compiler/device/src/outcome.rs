//! A board's messages, put together.

use apq_protocol::{Job, Message, Unit, VERSION};

use crate::error::DeviceError;

/// What a job brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The board's name.
    pub board: String,
    /// What its kernels are written for, such as `dsp`.
    pub kernels: String,
    /// What the counts are.
    pub unit: Unit,
    /// The model's name.
    pub model: String,
    /// Bytes of the arena.
    pub arena_bytes: u32,
    /// Number of nodes.
    pub nodes: u16,
    /// The packed codes of each input's output, if they were wanted.
    pub outputs: Vec<Vec<u8>>,
    /// What each node cost, by its number, if that was wanted.
    pub layers: Vec<Count>,
    /// What a whole run cost; of no runs, if that was not wanted.
    pub run: Count,
    /// Most bytes of stack in use below the call of a run, if that was wanted.
    pub stack_bytes: Option<u32>,
}

/// A cost in the outcome's unit, summed over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Sum.
    pub sum: u64,
    /// Runs.
    pub repeats: u32,
}

impl Count {
    /// Cost of one run; 0 where none was counted.
    pub fn mean(&self) -> f64 {
        if self.repeats == 0 { 0.0 } else { self.sum as f64 / f64::from(self.repeats) }
    }
}

/// Collects messages.
#[derive(Debug)]
pub(crate) struct Collector {
    outcome: Outcome,
    greeted: bool,
    output_bytes: usize,
    layers: Vec<Option<Count>>,
    done: bool,
}

impl Default for Collector {
    fn default() -> Self {
        let outcome = Outcome {
            board: String::new(),
            kernels: String::new(),
            unit: Unit::Instructions,
            model: String::new(),
            arena_bytes: 0,
            nodes: 0,
            outputs: Vec::new(),
            layers: Vec::new(),
            run: Count::default(),
            stack_bytes: None,
        };
        Self { outcome, greeted: false, output_bytes: 0, layers: Vec::new(), done: false }
    }
}

impl Collector {
    /// Takes a message.
    pub(crate) fn take(&mut self, message: &Message<'_>) -> Result<(), DeviceError> {
        match *message {
            Message::Hello { version, .. } if version != VERSION => return Err(DeviceError::Version { version }),
            Message::Hello { board, kernels, unit, .. } => {
                (self.outcome.board, self.outcome.kernels) = (board.into(), kernels.into());
                (self.outcome.unit, self.greeted) = (unit, true);
            }
            Message::Ready { .. } => {}
            Message::Model { name, arena_bytes, nodes, output_bytes, .. } => {
                (self.outcome.model, self.outcome.arena_bytes, self.outcome.nodes) = (name.into(), arena_bytes, nodes);
                self.output_bytes = output_bytes as usize;
                self.layers = vec![None; usize::from(nodes)];
            }
            Message::Output { input, offset, codes } => self.output(input as usize, offset as usize, codes)?,
            Message::Layer { index, count, repeats } => {
                let place = self.layers.get_mut(usize::from(index));
                *place.ok_or_else(|| wrong(format!("there is no layer {index}")))? = Some(Count { sum: count, repeats });
            }
            Message::Run { count, repeats } => self.outcome.run = Count { sum: count, repeats },
            Message::Stack { bytes } => self.outcome.stack_bytes = Some(bytes),
            Message::Failed(fault) => return Err(DeviceError::Refused(fault.into())),
            Message::Done => self.done = true,
        }
        Ok(())
    }

    /// Pieces come in order.
    fn output(&mut self, input: usize, offset: usize, codes: &[u8]) -> Result<(), DeviceError> {
        if input == self.outcome.outputs.len() && offset == 0 {
            self.outcome.outputs.push(Vec::new());
        }
        match self.outcome.outputs.last_mut() {
            Some(output) if output.len() == offset && offset + codes.len() <= self.output_bytes => output.extend(codes),
            _ => return Err(wrong(format!("a piece of output {input} is missing or comes out of turn"))),
        }
        if self.outcome.outputs.len() == input + 1 { Ok(()) } else { Err(wrong(format!("output {input} comes out of turn"))) }
    }

    /// Whether the last message has come.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// What has come, if it is all that the job wants.
    pub(crate) fn finish(mut self, job: &Job<'_>) -> Result<Outcome, DeviceError> {
        if !self.greeted {
            return Err(wrong("the board has not said who it is"));
        }
        let wants = job.wants;
        if wants.outputs {
            let whole = self.outcome.outputs.iter().filter(|output| output.len() == self.output_bytes).count();
            if whole as u64 != u64::from(job.inputs.count()) {
                return Err(wrong(format!("{whole} of {} outputs have come", job.inputs.count())));
            }
        }
        if wants.layers {
            let missing = self.layers.iter().position(Option::is_none);
            if let Some(index) = missing {
                return Err(wrong(format!("the cost of layer {index} is missing")));
            }
            self.outcome.layers = self.layers.into_iter().flatten().collect();
        }
        if wants.run && self.outcome.run.repeats != job.repeats {
            return Err(wrong("the cost of a run is missing"));
        }
        if wants.stack && self.outcome.stack_bytes.is_none() {
            return Err(wrong("the use of the stack is missing"));
        }
        Ok(self.outcome)
    }
}

fn wrong(what: impl Into<String>) -> DeviceError {
    DeviceError::Answer { what: what.into() }
}
