//! The crystal of a Pico as the clock of its cores.

const CRYSTAL_CONTROL: usize = 0x4002_4000;
const CRYSTAL_STATE: usize = 0x4002_4004;
const CRYSTAL_DELAY: usize = 0x4002_400c;
const REFERENCE_CONTROL: usize = 0x4000_8030;
const REFERENCE_SELECTED: usize = 0x4000_8038;

const RANGE_TO_15_MHZ_ENABLED: u32 = 0xfab << 12 | 0xaa0;
/// A millisecond, in units of 256 periods.
const DELAY: u32 = 47;
const STABLE: u32 = 1 << 31;
const FROM_CRYSTAL: u32 = 2;

fn register(address: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address)
}

/// The cores run on the reference clock after reset; this one now comes from the crystal.
pub(crate) fn start() {
    // SAFETY: registers of the crystal and of the reference clock; nothing else uses them.
    unsafe {
        register(CRYSTAL_DELAY).write_volatile(DELAY);
        register(CRYSTAL_CONTROL).write_volatile(RANGE_TO_15_MHZ_ENABLED);
        while register(CRYSTAL_STATE).read_volatile() & STABLE == 0 {}
        register(REFERENCE_CONTROL).write_volatile(FROM_CRYSTAL);
        while register(REFERENCE_SELECTED).read_volatile() & (1 << FROM_CRYSTAL) == 0 {}
    }
}
