//! Runs a model without a console and blinks the class that it finds: class 0 once, class 1 twice, and so on, again and again. An error is a
//! light that stays on.
//!
//! The model is the file that the environment variable `APQ_MODEL` names when this is built, its input the bytes of the file `APQ_INPUT`:
//! one for each value, unsigned, channel last. Without a model, that of the job in the flash memory runs; without an input, a drawn one.
#![no_std]

use apq_board::{counter, light, memory};
use apq_protocol::{Job, draw};
use apq_runtime::{Model, Session};

/// The runtime reads a model at multiples of 16.
#[repr(align(16))]
#[allow(dead_code)]
struct Aligned<T>(T);

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Does not return.
pub fn run() -> bool {
    counter::start();
    light::start();
    let class = classify(memory::take());
    light::set(class.is_none());
    loop {
        if let Some(class) = class {
            blink(class);
        }
    }
}

/// Class of the input; `None` where the model is refused.
fn classify(arena: &mut [u8]) -> Option<usize> {
    let file = match MODEL {
        Some(file) => file,
        None => Job::read(memory::job()).ok()?.model,
    };
    let model = Model::new_checked(file).ok()?;
    let mut session = Session::new(&model, arena).ok()?;
    match INPUT {
        Some(input) => session.write_input_u8(input).ok()?,
        None => draw::fill(0, 0, session.input_codes_mut()),
    }
    session.run(&mut ());
    Some(session.argmax())
}

fn blink(class: usize) {
    for _ in 0..=class {
        light::set(true);
        counter::wait_ms(150);
        light::set(false);
        counter::wait_ms(250);
    }
    counter::wait_ms(1500);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    light::set(true);
    loop {}
}
