//! Start and faults of a Cortex-M.

use cortex_m_rt::{ExceptionFrame, exception};

/// `entry`, which marks where a program starts.
pub use cortex_m_rt as rt;

/// Has a Pico run on its crystal, 12 MHz, instead of the oscillator that starts it, whose frequency nobody knows. Makes a Cortex-M3 that runs a program for a Cortex-M0 stop at addresses that a Cortex-M0 cannot load from.
pub fn prepare() {
    #[cfg(light = "rp2040")]
    crate::clock::start();
    const UNALIGN_TRP: u32 = 1 << 3;
    if cfg!(v6m_on_v7m) {
        // SAFETY: the register exists on every Cortex-M; nothing else uses it, since no interrupt is on.
        unsafe { (*cortex_m::peripheral::SCB::PTR).ccr.modify(|ccr| ccr | UNALIGN_TRP) };
    }
}

/// SAFETY: only prints and ends.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    crate::println!("hard fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr());
    crate::end(false)
}
