//! Every kernel of `apq_kernels::native` against the reference, on the core that this program is built for.
//!
//! Arguments are parts of names of checks; without any, all run. A difference is a panic, which prints the parameters and ends the emulator
//! with status 1.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use apq_board::println;
use apq_kernels::testing::native::CHECKS;
use embedded_alloc::LlffHeap;

/// Of the smallest board's RAM, a quarter is left for the stack.
const HEAP_BYTES: usize = 3 << 19;
const ARGUMENT_BYTES_MAX: usize = 256;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();
static mut HEAP_MEMORY: MaybeUninit<[u8; HEAP_BYTES]> = MaybeUninit::uninit();

apq_board::program!(run);

fn run() -> bool {
    // SAFETY: the only use of the memory, and this function is called once, before anything is allocated.
    unsafe { HEAP.init((&raw mut HEAP_MEMORY).addr(), HEAP_BYTES) };
    let is_wanted = |name: &str| {
        // The first argument is the program's name.
        let arguments = apq_board::args::<ARGUMENT_BYTES_MAX>();
        let Ok(arguments) = arguments else { return true };
        let (mut any, mut wanted) = (false, false);
        for argument in (&arguments).skip(1).flatten() {
            any = true;
            wanted |= name.contains(argument);
        }
        wanted || !any
    };
    let mut ran = 0;
    for check in CHECKS {
        if !check.here {
            println!("{}: not for this core", check.name);
        } else if is_wanted(check.name) {
            (check.run)();
            println!("{}: ok", check.name);
            ran += 1;
        }
    }
    println!("{ran} of {} checks on {} with {} kernels", CHECKS.len(), apq_board::NAME, apq_kernels::native::KIND);
    ran > 0
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    apq_board::end(false)
}
