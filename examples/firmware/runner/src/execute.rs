//! One job.

use apq_board::{NAME, UNIT, stack};
use apq_protocol::{CHUNK_BYTES_MAX, Class, Fault, Inputs, Job, LAYERS_MAX, Message, Text, VERSION, draw};
use apq_runtime::{ArenaError, ErrorClass, LoadError, Model, Session};

use crate::measure;

/// Bytes behind the arena that no run may change.
const GUARD_BYTES: usize = 64;
const GUARD: u8 = 0xa5;

/// Who is told.
pub(crate) trait Send: FnMut(&Message<'_>) {}
impl<F: FnMut(&Message<'_>)> Send for F {}

/// Why a job failed; text that was made on the way goes with it.
pub(crate) enum Failure {
    /// As it is.
    Fault(Fault<'static>),
    /// The model is refused.
    Load(LoadError),
}

impl From<Fault<'static>> for Failure {
    fn from(fault: Fault<'static>) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    /// The last message of a job that failed.
    pub(crate) fn tell(&self, send: &mut impl Send) {
        match self {
            Self::Fault(fault) => send(&Message::Failed(*fault)),
            Self::Load(error) => {
                let class = match error.class() {
                    ErrorClass::BadFile => Class::BadFile,
                    ErrorClass::Unsupported => Class::Unsupported,
                    ErrorClass::Misuse => Class::Misuse,
                };
                send(&Message::Failed(Fault::Load { class, text: Text::of(error).as_str() }));
            }
        }
    }
}

/// The first message: who speaks.
pub(crate) fn hello(memory_bytes: usize, send: &mut impl Send) {
    let arena_bytes_max = arena_bytes_max(memory_bytes) as u32;
    send(&Message::Hello { version: VERSION, board: NAME, kernels: apq_kernels::native::KIND, unit: UNIT, arena_bytes_max });
}

fn arena_bytes_max(memory_bytes: usize) -> usize {
    memory_bytes.saturating_sub(GUARD_BYTES + measure::COUNTS_BYTES)
}

/// Does a job and tells what it asks for. `memory` starts at a multiple of 16.
pub(crate) fn job(job: &Job<'_>, memory: &mut [u8], send: &mut impl Send) -> Result<(), Failure> {
    let model = Model::new_checked(job.model).map_err(Failure::Load)?;
    let most = arena_bytes_max(memory.len());
    let (counts, memory) = memory.split_at_mut_checked(measure::COUNTS_BYTES).unwrap_or_default();
    let counts: &mut [u64] = bytemuck::try_cast_slice_mut(counts).unwrap_or_default();
    let arena_bytes = job.arena_bytes.map_or(model.arena_bytes(), |bytes| bytes as usize).min(most);
    let (arena, rest) = memory.split_at_mut_checked(arena_bytes).unwrap_or_default();
    let guard = rest.get_mut(..GUARD_BYTES).unwrap_or_default();
    guard.fill(GUARD);
    let mut session = Session::new(&model, arena).map_err(arena_fault)?;
    let nodes = model.node_count();
    send(&Message::Model {
        name: model.name(),
        arena_bytes: model.arena_bytes() as u32,
        nodes: nodes as u16,
        input_bytes: session.input().bytes() as u32,
        output_bytes: session.output().bytes() as u32,
    });
    inputs(job, &mut session, send)?;
    if job.wants.run {
        let (count, repeats) = (measure::run(job.repeats, &mut session, |session| load(&job.inputs, 0, session)), job.repeats);
        send(&Message::Run { count, repeats });
    }
    if job.wants.layers {
        let counts = counts.get_mut(..nodes).ok_or(Fault::Layers { nodes: nodes as u16 })?;
        measure::layers(job.repeats, &mut session, |session| load(&job.inputs, 0, session), counts);
        for (index, &count) in counts.iter().enumerate() {
            send(&Message::Layer { index: index as u16, count, repeats: job.repeats });
        }
    }
    if guard.iter().all(|&byte| byte == GUARD) { Ok(()) } else { Err(Fault::Overrun.into()) }
}

/// Runs every input once and tells the outputs and the use of the stack.
fn inputs(job: &Job<'_>, session: &mut Session<'_, '_>, send: &mut impl Send) -> Result<(), Failure> {
    if let Inputs::Given { each, .. } = job.inputs {
        let needed = session.input().bytes() as u32;
        if each != needed {
            return Err(Fault::Input { needed, given: each }.into());
        }
    }
    let mut stack_bytes = 0;
    for input in 0..job.inputs.count() {
        load(&job.inputs, input, session);
        stack_bytes = stack::measure(|| session.run(&mut ())).max(stack_bytes);
        if job.wants.outputs {
            for (piece, codes) in session.output_bytes().chunks(CHUNK_BYTES_MAX).enumerate() {
                send(&Message::Output { input, offset: (piece * CHUNK_BYTES_MAX) as u32, codes });
            }
        }
    }
    if job.wants.stack {
        send(&Message::Stack { bytes: stack_bytes });
    }
    Ok(())
}

fn load(inputs: &Inputs<'_>, index: u32, session: &mut Session<'_, '_>) {
    let codes = session.input_codes_mut();
    match (inputs, inputs.given(index)) {
        (Inputs::Drawn { seed, .. }, _) => draw::fill(*seed, index, codes),
        (_, given) => codes.iter_mut().zip(given.unwrap_or_default()).for_each(|(code, given)| *code = *given),
    }
}

fn arena_fault(error: ArenaError) -> Failure {
    let (needed, given) = match error {
        ArenaError::TooSmall { needed, given } => (needed as u32, given as u32),
        // The memory starts at a multiple of 16, so that it is none of its bytes.
        _ => (0, 0),
    };
    Fault::Arena { needed, given }.into()
}

const _: () = assert!(measure::COUNTS_BYTES == LAYERS_MAX * size_of::<u64>());
