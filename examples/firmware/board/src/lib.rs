//! What the firmware programs share: the start of each emulated board, its console and its end. Which board is a feature of this crate,
//! named as QEMU names the machine.
#![no_std]

#[cfg(target_arch = "arm")]
#[path = "arm.rs"]
mod core_parts;
#[cfg(target_arch = "riscv32")]
#[path = "riscv.rs"]
mod core_parts;

#[doc(hidden)]
pub use core_parts::{prepare, rt};
pub use semihosting::{experimental::env::args, print, println};

/// QEMU's name for the machine.
pub const MACHINE: &str = env!("BOARD_MACHINE");

/// Makes `fn() -> bool` the program: the emulator ends with status 0 where it returns true, else 1.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        use $crate::rt;

        #[rt::entry]
        fn start() -> ! {
            $crate::prepare();
            $crate::end($main())
        }
    };
}

/// Ends the emulator with status 0 or 1.
pub fn end(success: bool) -> ! {
    semihosting::process::exit(i32::from(!success))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    end(false)
}
