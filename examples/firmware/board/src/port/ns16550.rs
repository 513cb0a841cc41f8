//! The serial port of QEMU's RISC-V board.

use crate::PORT;

const DATA: usize = 0;
const STATE: usize = 5;

const RECEIVED: u8 = 1;
const SEND_EMPTY: u8 = 1 << 5;

fn register(offset: usize) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(PORT + offset)
}

/// The port is on.
pub fn start() {}

/// Waits for a byte.
pub fn receive() -> u8 {
    // SAFETY: registers of the port, which can be read at any time.
    unsafe {
        while register(STATE).read_volatile() & RECEIVED == 0 {}
        register(DATA).read_volatile()
    }
}

/// Sends a byte.
pub fn send(byte: u8) {
    // SAFETY: registers of the port; nothing else uses it.
    unsafe {
        while register(STATE).read_volatile() & SEND_EMPTY == 0 {}
        register(DATA).write_volatile(byte);
    }
}
