//! A board's program with a job in it, run by QEMU or by a command that puts it on a board.

use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use apq_protocol::frame::{self, FRAME_BYTES_MAX};
use apq_protocol::{Job, Message};

use crate::error::{DeviceError, io};
use crate::image::image;
use crate::outcome::{Collector, Outcome};
use crate::runner::Runner;

/// Lines of a console that an error repeats.
const CONSOLE_LINES_MAX: usize = 8;

/// Programs and Debian's packages of the emulators.
const EMULATOR_ARM: [&str; 2] = ["qemu-system-arm", "qemu-system-arm"];
const EMULATOR_RISCV: [&str; 2] = ["qemu-system-riscv32", "qemu-system-misc"];

/// Runs a job with a command that takes the program as its last argument.
pub(crate) fn run(
    runner: &Runner,
    command: Command,
    firmware: &Path,
    job: &Job<'_>,
    silence_max: Duration,
) -> Result<Outcome, DeviceError> {
    let missing = |error: std::io::Error| DeviceError::Firmware { path: firmware.into(), problem: error.to_string() };
    let program = image(firmware, &std::fs::read(firmware).map_err(missing)?, job)?;
    let mut file = tempfile::Builder::new().prefix("apq-").suffix(".elf").tempfile().map_err(io("a temporary file"))?;
    file.write_all(&program).map_err(io("a temporary file"))?;
    let mut console = Console::start(runner, command, file.path())?;
    let mut collector = Collector::default();
    while !collector.is_done() {
        let line = console.line(silence_max)?;
        let mut buffer = [0; FRAME_BYTES_MAX];
        match frame::read_line(&line, &mut buffer) {
            Some(bytes) => collector.take(&frame::open::<Message<'_>>(bytes?)?)?,
            None => console.keep(line),
        }
    }
    collector.finish(job)
}

/// A running command and what it writes. It is ended when it is dropped.
struct Console {
    child: Child,
    runner: String,
    lines: Receiver<String>,
    /// The last lines that hold no message.
    kept: Vec<String>,
}

impl Console {
    fn start(runner: &Runner, mut command: Command, program: &Path) -> Result<Self, DeviceError> {
        command.arg(program).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match (error.kind(), runner) {
            (ErrorKind::NotFound, Runner::Emulator(machine)) => {
                let [program, package] = emulator(machine);
                DeviceError::EmulatorMissing { program, package }
            }
            (ErrorKind::NotFound, _) => DeviceError::RunnerMissing { program: command.get_program().to_string_lossy().into() },
            _ => DeviceError::Io { what: format!("cannot start `{runner}`"), error },
        })?;
        let (sender, lines) = channel();
        read_lines(child.stdout.take(), sender.clone());
        read_lines(child.stderr.take(), sender);
        Ok(Self { child, runner: runner.to_string(), lines, kept: Vec::new() })
    }

    /// The next line of either stream.
    fn line(&mut self, silence_max: Duration) -> Result<String, DeviceError> {
        self.lines.recv_timeout(silence_max).map_err(|error| match error {
            RecvTimeoutError::Timeout => DeviceError::Silent { seconds: silence_max.as_secs(), console: self.kept.join("\n") },
            // Both streams have ended.
            RecvTimeoutError::Disconnected => {
                let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                DeviceError::Ended { runner: self.runner.clone(), status, console: self.kept.join("\n") }
            }
        })
    }

    fn keep(&mut self, line: String) {
        if self.kept.len() == CONSOLE_LINES_MAX {
            self.kept.remove(0);
        }
        self.kept.push(line);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It may have ended by itself; then neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(stream: Option<impl Read + Send + 'static>, sender: Sender<String>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

fn emulator(machine: &str) -> [&'static str; 2] {
    if machine == "virt" { EMULATOR_RISCV } else { EMULATOR_ARM }
}

/// QEMU, up to the program's path.
pub(crate) fn emulating(machine: &str) -> Command {
    let mut command = Command::new(emulator(machine)[0]);
    command.args(["-machine", machine, "-nographic", "-monitor", "none", "-serial", "none"]);
    if machine == "virt" {
        command.args(["-bios", "none"]);
    }
    // An instruction is a nanosecond of the emulated clock: the program counts instructions with its timer.
    command.args(["-icount", "shift=0", "-semihosting-config", "enable=on,target=native", "-kernel"]);
    command
}

/// A program with its arguments, up to the program's path.
pub(crate) fn external(words: &[String]) -> Command {
    let mut command = Command::new(words.first().map_or("", String::as_str));
    command.args(words.iter().skip(1));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE_MAX: Duration = Duration::from_secs(10);

    fn start(runner: &Runner, command: Command) -> Result<Console, DeviceError> {
        Console::start(runner, command, Path::new("program.elf"))
    }

    #[test]
    fn a_missing_emulator_is_named_with_its_package() {
        let error = start(&Runner::Emulator("virt"), Command::new("./no/qemu")).err();
        assert!(
            matches!(error, Some(DeviceError::EmulatorMissing { program: "qemu-system-riscv32", package: "qemu-system-misc" })),
            "{error:?}"
        );
    }

    #[test]
    fn a_missing_command_is_named() {
        let words = ["no-such-runner".to_owned()];
        let error = start(&Runner::Command(words.to_vec()), external(&words)).err();
        assert!(matches!(&error, Some(DeviceError::RunnerMissing { program }) if program == "no-such-runner"), "{error:?}");
    }

    #[test]
    fn a_command_that_ends_says_how() {
        let mut console =
            start(&Runner::Emulator("virt"), external(&["sh", "-c", "echo one; echo two >&2; exit 3"].map(String::from))).unwrap();
        let mut lines = [console.line(SILENCE_MAX).unwrap(), console.line(SILENCE_MAX).unwrap()];
        lines.sort();
        assert_eq!(lines, ["one", "two"]);
        console.keep("two".into());
        let error = console.line(SILENCE_MAX).map_err(|error| error.to_string());
        assert!(matches!(&error, Err(text) if text.contains("qemu:virt") && text.contains('3') && text.ends_with("two")), "{error:?}");
    }

    #[test]
    fn a_command_that_says_nothing_is_ended() {
        let mut console = start(&Runner::Emulator("virt"), external(&["sh", "-c", "exec sleep 60"].map(String::from))).unwrap();
        let error = console.line(Duration::from_millis(300)).err();
        assert!(matches!(error, Some(DeviceError::Silent { .. })), "{error:?}");
    }
}
