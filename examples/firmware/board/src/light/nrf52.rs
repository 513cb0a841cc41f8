//! LED1 of the nRF52840 DK, on P0.13, which lights when the pin is low.

const SET: usize = 0x5000_0508;
const CLEAR: usize = 0x5000_050c;
const DIRECTION_SET: usize = 0x5000_0518;
const PIN: u32 = 13;

fn register(address: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address)
}

/// Makes the pin an output.
pub fn start() {
    set(false);
    // SAFETY: writing changes the pin alone.
    unsafe { register(DIRECTION_SET).write_volatile(1 << PIN) };
}

/// Light on or off.
pub fn set(on: bool) {
    // SAFETY: writing changes the pin alone.
    unsafe { register(if on { CLEAR } else { SET }).write_volatile(1 << PIN) };
}
