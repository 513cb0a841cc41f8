//! Start and faults of a RISC-V core.

/// `entry`, which marks where a program starts.
pub use riscv_rt as rt;

/// Nothing is to be done.
pub fn prepare() {}

// SAFETY: the start files call a function of this name and this type at exceptions that have no handler.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(frame: &rt::TrapFrame) -> ! {
    let (cause, at) = (riscv::register::mcause::read().bits(), riscv::register::mepc::read());
    crate::println!("exception {cause} at {at:#010x}, called from {:#010x}", frame.ra);
    crate::end(false)
}
