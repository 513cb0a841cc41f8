//! The light of a Pico, on GPIO25.

const RESETS_CLEAR: usize = 0x4000_c000 + 0x3000;
const RESETS_DONE: usize = 0x4000_c008;
const BANK_AND_PADS: u32 = 1 << 5 | 1 << 8;
const FUNCTION: usize = 0x4001_4000 + 8 * PIN + 4;
const FUNCTION_PROCESSOR: u32 = 5;
const OUTPUT_SET: usize = 0xd000_0014;
const OUTPUT_CLEAR: usize = 0xd000_0018;
const ENABLE_SET: usize = 0xd000_0024;
const PIN: usize = 25;

fn register(address: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address)
}

/// Makes the pin an output.
pub fn start() {
    // SAFETY: registers of the resets and of the pin; nothing else uses them.
    unsafe {
        register(RESETS_CLEAR).write_volatile(BANK_AND_PADS);
        while register(RESETS_DONE).read_volatile() & BANK_AND_PADS != BANK_AND_PADS {}
        register(FUNCTION).write_volatile(FUNCTION_PROCESSOR);
        register(ENABLE_SET).write_volatile(1 << PIN);
    }
}

/// Light on or off.
pub fn set(on: bool) {
    // SAFETY: writing changes the pin alone.
    unsafe { register(if on { OUTPUT_SET } else { OUTPUT_CLEAR }).write_volatile(1 << PIN) };
}
