//! A board that waits on a serial port: the job is sent to its RAM.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use apq_protocol::frame::{self, Decoder, ENCODED_BYTES_MAX};
use apq_protocol::{CHUNK_BYTES_MAX, Job, Message, Request};

use crate::error::{DeviceError, io};
use crate::outcome::{Collector, Outcome};

/// How long one look at the port waits.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(port: &Path, baud: u32, job: &Job<'_>, silence_max: Duration) -> Result<Outcome, DeviceError> {
    let open = serialport::new(port.to_string_lossy(), baud).timeout(LOOK).open();
    let stream = open.map_err(|error| DeviceError::Port { port: port.into(), error })?;
    converse(stream, job, silence_max)
}

/// Sends the job piece by piece, each acknowledged, and collects the answers.
fn converse(stream: impl Read + Write, job: &Job<'_>, silence_max: Duration) -> Result<Outcome, DeviceError> {
    let mut content = vec![0; job.bytes().ok_or(DeviceError::Job)?];
    job.write(&mut content).ok_or(DeviceError::Job)?;
    let mut line = Line { stream, decoder: Decoder::default(), silence_max };
    let mut collector = Collector::default();
    // Whatever an earlier conversation left is ended by an empty frame.
    line.write(&[0])?;
    line.send(&Request::Begin { length: content.len() as u32 })?;
    line.until_ready(0, &mut collector)?;
    for (index, bytes) in content.chunks(CHUNK_BYTES_MAX).enumerate() {
        let offset = (index * CHUNK_BYTES_MAX) as u32;
        line.send(&Request::Piece { offset, bytes })?;
        line.until_ready(offset + bytes.len() as u32, &mut collector)?;
    }
    line.send(&Request::Run)?;
    while !collector.is_done() {
        line.receive(|message| collector.take(message))?;
    }
    collector.finish(job)
}

struct Line<S> {
    stream: S,
    decoder: Decoder,
    silence_max: Duration,
}

impl<S: Read + Write> Line<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).map_err(io("the serial port"))
    }

    fn send(&mut self, request: &Request<'_>) -> Result<(), DeviceError> {
        let mut buffer = [0; ENCODED_BYTES_MAX];
        let frame = frame::encode(request, &mut buffer).ok_or(DeviceError::Job)?;
        self.write(frame)
    }

    /// Waits until the board has that many bytes of the job.
    fn until_ready(&mut self, bytes: u32, collector: &mut Collector) -> Result<(), DeviceError> {
        let mut ready = false;
        while !ready {
            self.receive(|message| {
                ready = *message == Message::Ready { received: bytes };
                collector.take(message)
            })?;
        }
        Ok(())
    }

    /// Hands on the next message.
    fn receive(&mut self, take: impl FnOnce(&Message<'_>) -> Result<(), DeviceError>) -> Result<(), DeviceError> {
        let start = Instant::now();
        let mut byte = [0];
        while start.elapsed() < self.silence_max {
            match self.stream.read(&mut byte) {
                Ok(0) => return Err(DeviceError::Io { what: "the serial port".into(), error: ErrorKind::UnexpectedEof.into() }),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
                Err(error) => return Err(io("the serial port")(error)),
            }
            if let Some(frame) = self.decoder.push(byte[0]) {
                return take(&frame::open::<Message<'_>>(frame?)?);
            }
        }
        if self.decoder.is_inside() {
            return Err(apq_protocol::FrameError::Cut.into());
        }
        Err(DeviceError::Silent { seconds: self.silence_max.as_secs(), console: String::new() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use apq_protocol::{Fault, FrameError, Inputs, Unit, VERSION, Wants};

    use super::*;
    use crate::error::Refusal;

    /// A board that answers each request as a function says, and cuts bytes off the end of its last answer.
    struct Board<F> {
        decoder: Decoder,
        answer: F,
        bytes: VecDeque<u8>,
        requests: usize,
    }

    impl<F: FnMut(Request<'_>) -> Vec<u8>> Read for Board<F> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.bytes.pop_front() {
                Some(byte) => buffer[0] = byte,
                None => return Err(ErrorKind::TimedOut.into()),
            }
            Ok(1)
        }
    }

    impl<F: FnMut(Request<'_>) -> Vec<u8>> Write for Board<F> {
        fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
            for &byte in buffer {
                if let Some(frame) = self.decoder.push(byte) {
                    self.requests += 1;
                    self.bytes.extend((self.answer)(frame::open(frame.unwrap()).unwrap()));
                }
            }
            Ok(buffer.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn bytes(messages: &[Message<'_>]) -> Vec<u8> {
        let mut buffer = [0; ENCODED_BYTES_MAX];
        messages.iter().flat_map(|message| frame::encode(message, &mut buffer).unwrap().to_vec()).collect()
    }

    const HELLO: Message<'_> = Message::Hello { version: VERSION, board: "b", kernels: "k", unit: Unit::Cycles, arena_bytes_max: 9 };

    fn talk(answer: impl FnMut(Request<'_>) -> Vec<u8>) -> (usize, Result<Outcome, DeviceError>) {
        let mut board = Board { decoder: Decoder::default(), answer, bytes: VecDeque::new(), requests: 0 };
        let wants = Wants { run: true, ..Wants::default() };
        let job = Job { model: &[7; 500], inputs: Inputs::Drawn { seed: 0, count: 1 }, repeats: 4, arena_bytes: None, wants };
        let result = converse(&mut board, &job, Duration::from_millis(200));
        (board.requests, result)
    }

    /// A board that does everything right, until the answer to the last request, which is given.
    fn obedient(last: &[u8]) -> impl FnMut(Request<'_>) -> Vec<u8> + '_ {
        |request| match request {
            Request::Begin { .. } => bytes(&[HELLO, Message::Ready { received: 0 }]),
            Request::Piece { offset, bytes: piece } => bytes(&[Message::Ready { received: offset + piece.len() as u32 }]),
            Request::Run => last.to_vec(),
        }
    }

    #[test]
    fn a_job_goes_over_in_pieces() {
        let model = Message::Model { name: "m", arena_bytes: 5, nodes: 0, input_bytes: 1, output_bytes: 1 };
        let (requests, result) = talk(obedient(&bytes(&[model, Message::Run { count: 40, repeats: 4 }, Message::Done])));
        let outcome = result.unwrap();
        assert_eq!((outcome.board.as_str(), outcome.model.as_str(), outcome.run.mean()), ("b", "m", 10.0));
        // 576 bytes in three pieces.
        assert_eq!(requests, 5);
    }

    #[test]
    fn an_answer_cut_anywhere_is_an_error() {
        let whole = bytes(&[Message::Run { count: 40, repeats: 4 }, Message::Done]);
        let first = bytes(&[Message::Run { count: 40, repeats: 4 }]).len();
        for cut in 0..whole.len() {
            let (_, result) = talk(obedient(&whole[..cut]));
            match result {
                Err(DeviceError::Frame(FrameError::Cut)) if cut != 0 && cut != first => {}
                // Between two frames nothing is cut; the board is silent.
                Err(DeviceError::Silent { .. }) if cut == 0 || cut == first => {}
                other => panic!("{cut}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_board_that_answers_nothing_is_silent() {
        assert!(matches!(talk(|_| Vec::new()), (1, Err(DeviceError::Silent { .. }))));
    }

    #[test]
    fn a_refusal_ends_the_job() {
        let refusal = bytes(&[Message::Failed(Fault::Arena { needed: 9, given: 4 })]);
        assert!(matches!(talk(obedient(&refusal)), (_, Err(DeviceError::Refused(Refusal::Arena { needed: 9, given: 4 })))));
        let version = Message::Hello { version: VERSION + 1, board: "b", kernels: "k", unit: Unit::Cycles, arena_bytes_max: 9 };
        assert!(matches!(talk(|_| bytes(&[version])), (1, Err(DeviceError::Version { .. }))));
        assert!(matches!(talk(obedient(&bytes(&[Message::Done]))), (_, Err(DeviceError::Answer { .. }))));
    }
}
