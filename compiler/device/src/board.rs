//! The boards that this project has programs for.

/// A board, or an emulated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name: QEMU's name of the machine, or the maker's.
    pub name: &'static str,
    /// Its core, as built-in targets are named.
    pub core: &'static str,
    /// QEMU's name of the machine; absent for a board that is not emulated.
    pub machine: Option<&'static str>,
    /// Rust's name of the target.
    pub target: &'static str,
    /// Clock of the core in Hz, where the board is real.
    pub clock_hz: Option<u32>,
}

/// All boards. A program for a Cortex-M0 runs on an emulated Cortex-M3, which executes the same instructions; the program has it stop at
/// addresses that a Cortex-M0 cannot load from.
pub const BOARDS: [Board; 10] = [
    emulated("mps2-an385", "cortex-m0", "thumbv6m-none-eabi"),
    emulated("mps2-an385", "cortex-m3", "thumbv7m-none-eabi"),
    emulated("mps2-an386", "cortex-m4", "thumbv7em-none-eabihf"),
    emulated("mps2-an500", "cortex-m7", "thumbv7em-none-eabihf"),
    emulated("mps2-an505", "cortex-m33", "thumbv8m.main-none-eabihf"),
    emulated("mps3-an547", "cortex-m55", "thumbv8m.main-none-eabihf"),
    emulated("virt", "rv32", "riscv32imac-unknown-none-elf"),
    real("nucleo-f446re", "cortex-m4", "thumbv7em-none-eabihf", 16_000_000),
    real("nrf52840-dk", "cortex-m4", "thumbv7em-none-eabihf", 64_000_000),
    real("rp2040-pico", "cortex-m0", "thumbv6m-none-eabi", 12_000_000),
];

const fn emulated(name: &'static str, core: &'static str, target: &'static str) -> Board {
    Board { name, core, machine: Some(name), target, clock_hz: None }
}

const fn real(name: &'static str, core: &'static str, target: &'static str, clock_hz: u32) -> Board {
    Board { name, core, machine: None, target, clock_hz: Some(clock_hz) }
}

impl Board {
    /// The emulated board with a core.
    pub fn emulating(core: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.core == core && board.machine.is_some())
    }
}
