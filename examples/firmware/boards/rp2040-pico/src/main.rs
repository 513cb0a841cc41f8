//! A model that blinks on the Raspberry Pi Pico.
#![no_std]
#![no_main]

/// What the boot ROM runs first: it makes the flash memory readable.
// SAFETY: the linker's script keeps this section at the place where the boot ROM looks, and nothing else there.
#[unsafe(link_section = ".boot2")]
#[used]
static SECOND_STAGE: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

apq_board::program!(blink::run);
