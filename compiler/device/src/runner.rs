//! What executes a board's program.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::board::BOARDS;

/// Bits each second of a serial port whose speed is not named.
const BAUD_DEFAULT: u32 = 115_200;

/// What executes a board's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runner {
    /// QEMU, with this machine.
    Emulator(&'static str),
    /// A command that takes a program as its last argument, writes it to a board, runs it and passes on its console: program and arguments.
    Command(Vec<String>),
    /// A board that already runs its program and waits on a serial port.
    Serial {
        /// The port.
        port: PathBuf,
        /// Bits each second.
        baud: u32,
    },
}

/// A runner that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunnerError {
    /// Nothing is named.
    #[error(
        "the runner is empty: name an emulated board (`qemu:mps2-an386`), a serial port (`serial:/dev/ttyACM0`) or a command (`probe-rs run --chip …`)"
    )]
    Empty,
    /// QEMU may have the machine, but there is no program for it.
    #[error("there is no program for QEMU's machine `{name}`; there are programs for {}", machines().join(", "))]
    Machine {
        /// As given.
        name: String,
    },
    /// The speed of a serial port is no number.
    #[error("the speed of the serial port, `{text}`, is not a number of bits each second")]
    Baud {
        /// As given.
        text: String,
    },
    /// The command's quotes do not match.
    #[error("the quotes of the runner `{text}` do not match")]
    Quotes {
        /// As given.
        text: String,
    },
}

fn machines() -> Vec<&'static str> {
    let mut machines: Vec<&str> = BOARDS.iter().filter_map(|board| board.machine).collect();
    machines.dedup();
    machines
}

impl FromStr for Runner {
    type Err = RunnerError;

    /// `qemu:MACHINE`, `serial:PORT`, `serial:PORT@BAUD`, or a command.
    fn from_str(text: &str) -> Result<Self, RunnerError> {
        if let Some(name) = text.strip_prefix("qemu:") {
            let machine = machines().into_iter().find(|machine| *machine == name);
            return machine.map(Self::Emulator).ok_or_else(|| RunnerError::Machine { name: name.into() });
        }
        if let Some(port) = text.strip_prefix("serial:") {
            let (port, baud) = match port.rsplit_once('@') {
                Some((port, baud)) => (port, baud.parse().map_err(|_| RunnerError::Baud { text: baud.into() })?),
                None => (port, BAUD_DEFAULT),
            };
            return if port.is_empty() { Err(RunnerError::Empty) } else { Ok(Self::Serial { port: port.into(), baud }) };
        }
        let words = shlex::split(text).ok_or_else(|| RunnerError::Quotes { text: text.into() })?;
        if words.is_empty() { Err(RunnerError::Empty) } else { Ok(Self::Command(words)) }
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emulator(machine) => write!(f, "qemu:{machine}"),
            Self::Command(words) => f.write_str(&words.join(" ")),
            Self::Serial { port, baud } => write!(f, "serial:{}@{baud}", port.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_are_read() {
        assert_eq!("qemu:mps3-an547".parse(), Ok(Runner::Emulator("mps3-an547")));
        let command = Runner::Command(["probe-rs", "run", "--chip", "a b"].map(String::from).into());
        assert_eq!("probe-rs run --chip 'a b'".parse(), Ok(command));
        let serial = |baud| Ok(Runner::Serial { port: "/dev/ttyACM0".into(), baud });
        assert_eq!("serial:/dev/ttyACM0".parse(), serial(115_200));
        assert_eq!("serial:/dev/ttyACM0@9600".parse(), serial(9600));
    }

    #[test]
    fn what_is_no_runner_is_named() {
        let error = |text: &str| text.parse::<Runner>().map_err(|error| error.to_string()).unwrap_err();
        assert!(error("qemu:vax").contains("`vax`") && error("qemu:vax").contains("mps2-an500"));
        assert!(error("serial:/dev/ttyACM0@fast").contains("`fast`"));
        assert!(error("probe-rs 'run").contains("quotes"));
        assert_eq!("".parse::<Runner>(), Err(RunnerError::Empty));
        assert_eq!("serial:".parse::<Runner>(), Err(RunnerError::Empty));
    }
}
