//! Runs the model of a job and tells what came out and what it cost.
//!
//! The job lies at a fixed place of the flash memory, put there together with this program, and the answer goes to the console: the emulator's
//! or the debugging probe's. Where there is no job, and the board has a serial port, the program waits there for jobs.
#![no_std]
#![no_main]

mod console;
mod execute;
mod measure;
#[cfg(feature = "serial")]
mod serve;

use apq_board::memory;
use apq_protocol::{Fault, Job, Message, Text};

apq_board::program!(run);

fn run() -> bool {
    apq_board::counter::start();
    let memory = memory::take();
    let mut console = console::send;
    execute::hello(memory.len(), &mut console);
    let job = match Job::read(memory::job()) {
        #[cfg(feature = "serial")]
        Err(apq_protocol::JobError::Magic) => serve::forever(memory),
        job => job,
    };
    let result = job.map_err(|error| Fault::Job(error).into()).and_then(|job| execute::job(&job, memory, &mut console));
    match &result {
        Ok(()) => console(&Message::Done),
        Err(failure) => failure.tell(&mut console),
    }
    result.is_ok()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    console::send(&Message::Failed(Fault::Panicked { text: Text::of(info).as_str() }));
    apq_board::end(false)
}
