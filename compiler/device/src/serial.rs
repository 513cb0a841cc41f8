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
