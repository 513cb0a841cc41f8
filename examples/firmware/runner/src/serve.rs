//! Jobs over the serial port, one after the other.

use apq_board::port;
use apq_protocol::frame::{self, Decoder, ENCODED_BYTES_MAX};
use apq_protocol::{Fault, Job, JobError, Message, Request};

use crate::execute::{self, Failure};

const ALIGNMENT: usize = 16;

/// Writes a message to the port.
fn send(message: &Message<'_>) {
    let mut buffer = [0; ENCODED_BYTES_MAX];
    frame::encode(message, &mut buffer).unwrap_or_default().iter().for_each(|&byte| port::send(byte));
}

/// Does what the port asks for. The job comes to lie at the end of the memory, the arena at its start.
pub(crate) fn forever(memory: &mut [u8]) -> ! {
    port::start();
    let mut decoder = Decoder::default();
    let (mut length, mut received) = (0, 0);
    loop {
        let Some(frame) = decoder.push(port::receive()) else { continue };
        let request = frame.and_then(frame::open::<Request<'_>>);
        let (arena, place) = memory.split_at_mut_checked(place(memory.len(), length).unwrap_or(0)).unwrap_or_default();
        match request {
            Err(error) => refuse(Fault::Frame(error)),
            Ok(Request::Begin { length: bytes }) => {
                received = 0;
                match self::place(arena.len() + place.len(), bytes) {
                    Some(_) => {
                        length = bytes;
                        execute::hello(arena.len() + place.len() - bytes as usize, &mut send);
                        send(&Message::Ready { received });
                    }
                    None => refuse(Fault::Room { needed: bytes, given: (arena.len() + place.len()) as u32 }),
                }
            }
            Ok(Request::Piece { offset, bytes }) => {
                let free = place.get_mut(received as usize..length as usize).and_then(|free| free.get_mut(..bytes.len()));
                match free {
                    Some(free) if offset == received => {
                        free.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                        received += bytes.len() as u32;
                        send(&Message::Ready { received });
                    }
                    _ => refuse(Fault::Piece { expected: received, given: offset }),
                }
            }
            Ok(Request::Run) => match run(place, length, received, arena) {
                Ok(()) => send(&Message::Done),
                Err(failure) => failure.tell(&mut send),
            },
        }
    }
}

/// Where a job of that many bytes starts, if it fits.
fn place(memory_bytes: usize, job_bytes: u32) -> Option<usize> {
    Some(memory_bytes.checked_sub(job_bytes as usize)? / ALIGNMENT * ALIGNMENT)
}

fn run(place: &[u8], length: u32, received: u32, arena: &mut [u8]) -> Result<(), Failure> {
    if received != length {
        return Err(Fault::Job(JobError::Length).into());
    }
    let job = Job::read(place).map_err(Fault::Job)?;
    execute::job(&job, arena, &mut send)
}

fn refuse(fault: Fault<'_>) {
    send(&Message::Failed(fault));
}
