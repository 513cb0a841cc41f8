//! A model that blinks on the STM32F446 Nucleo.
#![no_std]
#![no_main]

apq_board::program!(blink::run);
