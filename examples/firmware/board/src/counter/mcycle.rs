//! The core's cycle counter, of 64 bits.

use riscv::register::mcycle;

/// The counter always runs.
pub fn start() {}

/// Ticks since the start.
#[inline(never)]
pub fn now() -> u64 {
    mcycle::read64()
}
