//! A model in a program for a microcontroller: file, input and arena are placed by the linker, so that the build fails where they do not
//! fit. Prints the codes of the output, and blinks the class: class 0 once, class 1 twice, and so on.
#![no_std]
#![no_main]

mod led;

use apq_runtime::{Model, Session};
use cortex_m_rt::entry;
use semihosting::{print, println, process};

// `model` as exported, and `INPUT`.
include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The arena's size is known when this is compiled.
static mut ARENA: model::Arena = model::Arena::zeroed();

/// The first sample of the input.
const SAMPLE: &[u8; model::INPUT.elements] = match INPUT.first_chunk() {
    Some(sample) => sample,
    None => panic!("APQ_INPUT has fewer bytes than the model's input has values"),
};

/// A light's time on, and off, in cycles of the core.
const BLINK_CYCLES: u32 = 5_000_000;

#[entry]
fn start() -> ! {
    let arena = &raw mut ARENA;
    // SAFETY: the only reference ever made, in a function that runs once.
    let arena = unsafe { &mut *arena };
    match classify(&mut arena.0) {
        Ok(class) => {
            blink(class);
            process::exit(0)
        }
        Err(error) => {
            led::set(true);
            println!("error: {error}");
            process::exit(1)
        }
    }
}

/// Runs the sample, prints what came out, and returns its class.
fn classify(arena: &mut [u8]) -> Result<usize, Error> {
    let model = Model::new_checked(model::MODEL).map_err(Error::Model)?;
    let mut session = Session::new(&model, arena).map_err(Error::Arena)?;
    session.write_input_u8(SAMPLE).map_err(Error::Input)?;
    session.run(&mut ());
    let class = session.argmax();
    print!("{}: codes ", model::NAME);
    for byte in session.output_bytes() {
        print!("{byte:02x}");
    }
    println!(" class {class} {}", model::LABELS.get(class).copied().unwrap_or(""));
    Ok(class)
}

fn blink(class: usize) {
    for _ in 0..=class {
        led::set(true);
        cortex_m::asm::delay(BLINK_CYCLES);
        led::set(false);
        cortex_m::asm::delay(BLINK_CYCLES);
    }
}

/// Why there is no class.
enum Error {
    Model(apq_runtime::LoadError),
    Arena(apq_runtime::ArenaError),
    Input(apq_runtime::LengthError),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Arena(error) => error.fmt(f),
            Self::Input(error) => error.fmt(f),
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(101)
}
