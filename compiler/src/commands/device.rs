//! Flags that name a board or an emulator, and the machine that they name.

use std::path::PathBuf;
use std::time::Duration;

use apq_device::{Board, Runner};
use apq_profile::Device;
use apq_profile::synthetic::Limits;
use apq_targets::Target;
use clap::Args;

use super::failure::{input, input_with_hint};
use super::inputs;

/// Which board or emulator runs the layers.
#[derive(Debug, Args)]
#[group(id = "machine")]
pub(super) struct DeviceArgs {
    /// What runs the firmware: qemu:MACHINE, or a command that takes an ELF file behind its arguments: "probe-rs run --chip STM32F446RETx".
    #[arg(long, value_name = "CMD", conflicts_with = "port", help_heading = "Board")]
    runner: Option<String>,
    /// Serial port of a board that runs the firmware already, as DEV or DEV@BAUD.
    #[arg(long, value_name = "DEV", help_heading = "Board")]
    port: Option<String>,
    /// The board's program [default: of an emulated core, target/firmware/CORE.elf].
    #[arg(long, value_name = "FILE.elf", help_heading = "Board")]
    firmware: Option<PathBuf>,
    /// Runs of each layer [default: as many as the counter needs].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Board")]
    repeats: Option<u32>,
    /// Seconds without a word from the board after which it counts as silent.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400), help_heading = "Board")]
    timeout: u32,
}

/// Room in an emulator, whose boards have more memory than any that they stand for.
const EMULATED: Limits = Limits { file_bytes: 512 << 10, arena_bytes: 1 << 20, layers: 64 };

/// Of a board's flash, what is left to the program; of its RAM, to stack and counts.
const PROGRAM_BYTES: u64 = 128 << 10;
const STACK_BYTES: u64 = 16 << 10;

/// Largest file and number of layers for a board: a small one checks and flashes it within seconds.
const BOARD_FILE_BYTES_MAX: u64 = 128 << 10;
const BOARD_LAYERS: usize = 32;

/// Where an emulated core's program is looked for.
const FIRMWARE_FOLDER: &str = "target/firmware";

impl DeviceArgs {
    /// The machine; its times are at the target's clock.
    pub(super) fn open(&self, target: &Target) -> anyhow::Result<Device> {
        let runner: Runner = match (&self.runner, &self.port) {
            (Some(runner), _) => runner.parse().map_err(|error| input(format!("--runner {runner}: {error}")))?,
            (None, Some(port)) => format!("serial:{port}").parse().map_err(|error| input(format!("--port {port}: {error}")))?,
            (None, None) => {
                let machine = Board::emulating(target.name()).map(|board| format!("qemu:{}", board.name));
                return Err(input_with_hint(
                    "which board runs the layers? Give --runner CMD or --port DEV",
                    machine.map_or_else(String::new, |machine| format!("the core is emulated by --runner {machine}")),
                ));
            }
        };
        let firmware = self.firmware(&runner, target)?;
        let build = match &runner {
            Runner::Serial { .. } => String::new(),
            _ if firmware.is_file() => format!("firmware {}", &inputs::sha256(&[&inputs::read(&firmware)?])[..12]),
            // Said by the device, with what makes one.
            _ => String::new(),
        };
        Ok(Device {
            runner,
            firmware,
            core: target.name().to_string(),
            build,
            clock_hz: target.clock_hz(),
            repeats: self.repeats,
            silence_max: Duration::from_secs(self.timeout.into()),
            threads: rayon::current_num_threads(),
        })
    }

    fn firmware(&self, runner: &Runner, target: &Target) -> anyhow::Result<PathBuf> {
        match (&self.firmware, runner) {
            (Some(firmware), _) => Ok(firmware.clone()),
            (None, Runner::Serial { .. }) => Ok(PathBuf::new()),
            (None, Runner::Emulator(machine)) => {
                let core = match Board::emulating(target.name()) {
                    Some(board) if board.name == *machine => board.core,
                    // A target of the user's own: the core that the machine is usually for.
                    _ => apq_device::BOARDS.iter().rev().find(|board| board.machine == Some(machine)).map_or("", |board| board.core),
                };
                Ok(PathBuf::from(FIRMWARE_FOLDER).join(format!("{core}.elf")))
            }
            (None, Runner::Command(_)) => Err(input_with_hint(
                "the runner's command needs the board's program: give --firmware FILE.elf",
                "`cargo xtask firmware build` makes the programs of the boards in examples/firmware",
            )),
        }
    }
}

/// What a file may take of the machine.
pub(super) fn limits(device: &Device, target: &Target) -> Limits {
    if matches!(device.runner, Runner::Emulator(_)) {
        return EMULATED;
    }
    let small = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let memory = target.memory();
    let flash = memory.flash_bytes.map_or(BOARD_FILE_BYTES_MAX, |bytes| bytes.saturating_sub(PROGRAM_BYTES).min(BOARD_FILE_BYTES_MAX));
    let ram = memory.ram_bytes.map_or(EMULATED.arena_bytes as u64, |bytes| bytes.saturating_sub(STACK_BYTES));
    if let Runner::Serial { .. } = device.runner {
        // The file comes over the wire, into the same RAM.
        let half = small(ram / 2);
        return Limits { file_bytes: half, arena_bytes: half, layers: BOARD_LAYERS };
    }
    Limits { file_bytes: small(flash), arena_bytes: small(ram), layers: BOARD_LAYERS }
}
