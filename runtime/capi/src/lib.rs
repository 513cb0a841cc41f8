//! C interface of the `.apq` runtime: what `include/apq_runtime.h` declares.
//!
//! The library keeps nothing: no global, no allocation, no file, no clock. A session lives in an `apq_session` of the caller's, runs the
//! model where it lies, in an arena of the caller's. Every function checks what it is given - null, alignment, length, address ranges that
//! wrap or overlap, a session that is not open or in use - and answers with a [`Status`]; what it cannot check is that the addresses
//! are memory of the caller's, and that the model's bytes stay as they are while a session is open.
//!
//! Different sessions are independent of each other, and may share a model. One session serves one thread at a time: whoever
//! comes while it is in use, the callback of a run among them, gets [`Status::Busy`]. On processors without an atomic exchange (Cortex-M0)
//! that holds for interrupts, which end before they return, but not for two threads.
//!
//! The static library needs no C library. `cargo build --release -p apq-runtime-c --target thumbv7em-none-eabihf` makes it for a Cortex-M4F.
#![no_std]

// On a host the standard library brings the panic handler.
#[cfg(not(target_os = "none"))]
extern crate std;

mod api;
mod describe;
mod memory;
mod observe;
mod session;
mod status;

pub use api::{
    apq_abi_version, apq_argmax, apq_close, apq_format_version, apq_input_place, apq_model_check, apq_open, apq_output_place,
    apq_read_codes, apq_read_f32, apq_read_packed, apq_run, apq_run_observed, apq_session_info, apq_status_text, apq_version,
    apq_write_f32, apq_write_i8, apq_write_packed, apq_write_u8,
};
pub use describe::{Input, ModelInfo, Output, RawType, SHAPE_MAX, Tensor, Text};
pub use observe::{Layer, Moment, Observe};
pub use session::{SESSION_WORDS, Session};
pub use status::{NAME_BYTES, Problem, Status};

/// Version of this interface: a header and a library fit where both have the same one.
pub const ABI_VERSION: u32 = 1;

#[cfg(all(target_os = "none", feature = "panic-handler"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics; the compiler asks for a handler all the same.
    loop {
        core::hint::spin_loop();
    }
}
