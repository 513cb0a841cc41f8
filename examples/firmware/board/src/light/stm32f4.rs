//! LD2 of a Nucleo-64 board, on PA5.

const CLOCKS: usize = 0x4002_3830;
const MODES: usize = 0x4002_0000;
const SET: usize = 0x4002_0018;
const PIN: u32 = 5;

fn register(address: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address)
}

/// Makes the pin an output.
pub fn start() {
    // SAFETY: registers of the clocks and of port A; nothing else uses them.
    unsafe {
        register(CLOCKS).write_volatile(register(CLOCKS).read_volatile() | 1);
        // The clock reaches the port two cycles later.
        register(CLOCKS).read_volatile();
        let modes = register(MODES).read_volatile();
        register(MODES).write_volatile(modes & !(0b11 << (2 * PIN)) | 0b01 << (2 * PIN));
    }
}

/// Light on or off.
pub fn set(on: bool) {
    // SAFETY: writing sets or resets the pin alone.
    unsafe { register(SET).write_volatile(1 << if on { PIN } else { PIN + 16 }) };
}
