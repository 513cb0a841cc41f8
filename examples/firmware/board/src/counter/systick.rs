//! The core's timer, of 24 bits, with an interrupt that counts how often it starts anew.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;

const RELOAD: u32 = 0x00ff_ffff;
const ENABLE_WITH_INTERRUPT_FROM_CORE_CLOCK: u32 = 0b111;
const PENDING: u32 = 1 << 26;

static STARTS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    STARTS.store(STARTS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Starts the counter.
pub fn start() {
    // SAFETY: nothing else uses the timer.
    unsafe {
        (*SYST::PTR).rvr.write(RELOAD);
        (*SYST::PTR).cvr.write(0);
        (*SYST::PTR).csr.write(ENABLE_WITH_INTERRUPT_FROM_CORE_CLOCK);
    }
}

/// Ticks since the start.
#[inline(never)]
pub fn now() -> u64 {
    cortex_m::interrupt::free(|_| {
        // SAFETY: the register can be read at any time.
        let left = || unsafe { (*SYST::PTR).cvr.read() };
        let first = left();
        // A new start that the interrupt has not counted yet: it was before or just after the first look.
        // SAFETY: as above.
        let pending = unsafe { (*SCB::PTR).icsr.read() } & PENDING != 0;
        let left = if pending { left() } else { first };
        let starts = STARTS.load(Ordering::Relaxed).wrapping_add(u32::from(pending));
        u64::from(starts) * (u64::from(RELOAD) + 1) + u64::from(RELOAD - left)
    })
}

/// Waits.
pub fn wait_ms(time: u32) {
    let begin = now();
    while now() - begin < u64::from(time) * u64::from(crate::CLOCK_HZ / 1000) {}
}
