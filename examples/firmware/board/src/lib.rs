//! What the firmware programs share: for each board its memory, start, console, counter, serial port and light. Which board is a feature of
//! this crate. Nothing here is more than a few registers, since the crates of the project need no hardware abstraction.
#![no_std]

#[cfg(target_arch = "arm")]
#[path = "arm.rs"]
mod start;
#[cfg(target_arch = "riscv32")]
#[path = "riscv.rs"]
mod start;

#[cfg(light = "rp2040")]
#[path = "clock/rp2040.rs"]
mod clock;
#[cfg(counter = "dwt")]
#[path = "counter/dwt.rs"]
pub mod counter;
#[cfg(counter = "mcycle")]
#[path = "counter/mcycle.rs"]
pub mod counter;
#[cfg(counter = "systick")]
#[path = "counter/systick.rs"]
pub mod counter;
#[cfg(light = "nrf52")]
#[path = "light/nrf52.rs"]
pub mod light;
#[cfg(light = "rp2040")]
#[path = "light/rp2040.rs"]
pub mod light;
#[cfg(light = "stm32f4")]
#[path = "light/stm32f4.rs"]
pub mod light;
pub mod memory;
#[cfg(port = "cmsdk")]
#[path = "port/cmsdk.rs"]
pub mod port;
#[cfg(port = "ns16550")]
#[path = "port/ns16550.rs"]
pub mod port;
pub mod stack;

use apq_protocol::Unit;
pub use semihosting::{experimental::env::args, print, println};
#[doc(hidden)]
pub use start::{prepare, rt};

include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// What the counter counts.
pub const UNIT: Unit = if IS_EMULATED { Unit::Instructions } else { Unit::Cycles };

/// Ticks of the counter as [`UNIT`]s.
pub fn units(ticks: u64) -> u64 {
    const NANOSECONDS: u64 = 1_000_000_000;
    if IS_EMULATED { ticks.saturating_mul(NANOSECONDS / GCD) / (CLOCK_HZ as u64 / GCD) } else { ticks }
}

/// Of a second in nanoseconds and the clock: products stay small.
const GCD: u64 = gcd(1_000_000_000, CLOCK_HZ as u64);

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Makes `fn() -> bool` the program: the console is told success or failure at its end, which ends an emulator with status 0 or 1.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        use $crate::rt;

        #[rt::entry]
        fn start() -> ! {
            $crate::prepare();
            $crate::end($main())
        }
    };
}

/// Tells the console the end of the program.
pub fn end(success: bool) -> ! {
    semihosting::process::exit(i32::from(!success))
}
