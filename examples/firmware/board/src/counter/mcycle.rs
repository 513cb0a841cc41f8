//! The core's cycle counter, of 64 bits.

use riscv::register::mcycle;

/// The counter always runs.
pub fn start() {}

/// Ticks since the start.
#[inline(never)]
pub fn now() -> u64 {
    mcycle::read64()
}

/// Waits.
pub fn wait_ms(time: u32) {
    let begin = now();
    while now() - begin < u64::from(time) * u64::from(crate::CLOCK_HZ / 1000) {}
}
