//! The serial port of Arm's development boards.

use crate::PORT;

const DATA: usize = 0;
const STATE: usize = 4;
const CONTROL: usize = 8;
const DIVIDER: usize = 16;

const SEND_FULL: u32 = 1;
const RECEIVED: u32 = 2;

fn register(offset: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(PORT + offset)
}

/// Turns the port on.
pub fn start() {
    // The least divider that the port takes: an emulator passes bytes on at any speed.
    // SAFETY: registers of the port; nothing else uses it.
    unsafe {
        register(DIVIDER).write_volatile(16);
        register(CONTROL).write_volatile(0b11);
    }
}

/// Waits for a byte.
pub fn receive() -> u8 {
    // SAFETY: registers of the port, which can be read at any time.
    unsafe {
        while register(STATE).read_volatile() & RECEIVED == 0 {}
        register(DATA).read_volatile() as u8
    }
}

/// Sends a byte.
pub fn send(byte: u8) {
    // SAFETY: registers of the port; nothing else uses it.
    unsafe {
        while register(STATE).read_volatile() & SEND_FULL != 0 {}
        register(DATA).write_volatile(byte.into());
    }
}
