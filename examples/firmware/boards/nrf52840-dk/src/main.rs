//! A model that blinks on the nRF52840 DK.
#![no_std]
#![no_main]

apq_board::program!(blink::run);
