//! The core's cycle counter, of 32 bits.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::Peripherals;
use cortex_m::peripheral::DWT;

static LAST: AtomicU32 = AtomicU32::new(0);
static STARTS: AtomicU32 = AtomicU32::new(0);

/// Starts the counter.
pub fn start() {
    if let Some(mut peripherals) = Peripherals::take() {
        peripherals.DCB.enable_trace();
        peripherals.DWT.enable_cycle_counter();
    }
}

/// Ticks since the start. Has to be called at least once while the counter goes round, which takes 2^32 cycles.
#[inline(never)]
pub fn now() -> u64 {
    let count = DWT::cycle_count();
    if count < LAST.swap(count, Ordering::Relaxed) {
        STARTS.fetch_add(1, Ordering::Relaxed);
    }
    u64::from(STARTS.load(Ordering::Relaxed)) << 32 | u64::from(count)
}

/// Waits.
pub fn wait_ms(time: u32) {
    let begin = now();
    while now() - begin < u64::from(time) * u64::from(crate::CLOCK_HZ / 1000) {}
}
