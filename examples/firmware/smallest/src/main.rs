//! The smallest program that runs a model, for the operators that are turned on as features. What it takes of the flash memory is the runtime,
//! the kernels and a start of about a kilobyte.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::mem::MaybeUninit;

use apq_runtime::{Model, Session};
#[cfg(target_arch = "arm")]
use cortex_m_rt as rt;
#[cfg(target_arch = "riscv32")]
use riscv_rt as rt;

const ARENA_BYTES: usize = 64 << 10;

#[repr(align(16))]
struct Arena(MaybeUninit<[u8; ARENA_BYTES]>);

static mut ARENA: Arena = Arena(MaybeUninit::zeroed());

#[rt::entry]
fn start() -> ! {
    // SAFETY: the only use, in a function that is called once.
    let arena = unsafe { (&raw mut ARENA).cast::<[u8; ARENA_BYTES]>().as_mut() };
    // The optimiser knows neither file nor arena.
    let (file, arena) = (black_box(&[][..]), black_box(arena.map(|arena| &mut arena[..]).unwrap_or_default()));
    let class = Model::new_checked(file).ok().and_then(|model| {
        let mut session = Session::new(&model, arena).ok()?;
        session.input_codes_mut().fill(black_box(1));
        session.run(&mut ());
        Some(session.argmax())
    });
    black_box(class);
    loop {
        black_box(());
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        black_box(());
    }
}
