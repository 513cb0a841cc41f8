//! LED0 of the board: a bit of a register of its FPGA.

const LEDS: usize = 0x4002_8000;

/// Light on or off.
pub(crate) fn set(on: bool) {
    let register = core::ptr::with_exposed_provenance_mut::<u32>(LEDS);
    // SAFETY: a register of the board's, which nothing else uses; writing changes the lights alone.
    unsafe { register.write_volatile(u32::from(on)) };
}
