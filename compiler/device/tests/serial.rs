//! A board that waits on a serial port: an emulated one, whose port is a pseudo terminal.
#![cfg(unix)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use apq_device::{DeviceError, Inputs, Job, Refusal, Runner, Wants, run};
use apq_protocol::frame::{self, Decoder, ENCODED_BYTES_MAX};
use apq_protocol::{Fault, FrameError, Message, Request};
use common::{SILENCE_MAX, emulators_are_there, firmware, model, outputs_here};

/// A running emulator; it is ended when it is dropped.
struct Board {
    child: Child,
    port: PathBuf,
}

impl Board {
    fn start() -> Self {
        let mut command = Command::new("qemu-system-arm");
        command.args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "pty", "-icount", "shift=0"]);
        command.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(firmware("cortex-m4"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("QEMU");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // "char device redirected to /dev/pts/3 (label serial0)"
        let port = lines.find_map(|line| Some(PathBuf::from(line.ok()?.split_whitespace().find(|word| word.starts_with("/dev/"))?)));
        Self { child, port: port.expect("the name of the port") }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn job(model: &[u8]) -> Job<'_> {
    let wants = Wants { outputs: true, layers: true, run: true, stack: true };
    Job { model, inputs: Inputs::Drawn { seed: 2, count: 2 }, repeats: 4, arena_bytes: None, wants }
}

#[test]
fn jobs_go_over_the_serial_port_one_after_the_other() {
    if !emulators_are_there() {
        return;
    }
    let (board, model) = (Board::start(), model());
    let runner = Runner::Serial { port: board.port.clone(), baud: 115_200 };
    let send = |job: &Job<'_>| run(&runner, "".as_ref(), job, SILENCE_MAX);
    let first = send(&job(&model)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first.outputs, outputs_here(&model, &job(&model).inputs));
    assert!(first.run.mean() > 1000.0);
    let small = send(&Job { arena_bytes: Some(16), ..job(&model) });
    assert!(matches!(small, Err(DeviceError::Refused(Refusal::Arena { given: 16, .. }))), "{small:?}");
    assert_eq!(send(&job(&model)).unwrap_or_else(|error| panic!("{error}")).outputs, first.outputs);
}

#[test]
fn a_request_cut_short_is_refused_and_the_next_one_is_heard() {
    if !emulators_are_there() {
        return;
    }
    let (board, model) = (Board::start(), model());
    let mut port = serialport::new(board.port.to_string_lossy(), 115_200).timeout(Duration::from_secs(20)).open().expect("the port");
    let mut buffer = [0; ENCODED_BYTES_MAX];
    let frame = frame::encode(&Request::Piece { offset: 0, bytes: &[5; 40] }, &mut buffer).expect("a frame").to_vec();
    port.write_all(&[&frame[..frame.len() / 2], &[0]].concat()).expect("sending");
    let (mut decoder, mut byte) = (Decoder::default(), [0]);
    let message = loop {
        port.read_exact(&mut byte).expect("an answer");
        if let Some(frame) = decoder.push(byte[0]) {
            break frame::open::<Message<'_>>(frame.expect("a frame")).expect("a message");
        }
    };
    assert_eq!(message, Message::Failed(Fault::Frame(FrameError::Cut)));
    drop(port);
    let runner = Runner::Serial { port: board.port.clone(), baud: 115_200 };
    assert!(run(&runner, "".as_ref(), &job(&model), SILENCE_MAX).is_ok());
}

#[test]
fn a_port_that_is_not_there_is_named() {
    let runner = Runner::Serial { port: "/dev/no-such-port".into(), baud: 115_200 };
    let result = run(&runner, "".as_ref(), &job(&[]), SILENCE_MAX);
    assert!(matches!(&result, Err(DeviceError::Port { port, .. }) if port.ends_with("no-such-port")), "{result:?}");
}
