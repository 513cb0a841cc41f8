//! The board's memory: the place of a job, and the RAM that no variable takes.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::stack;

unsafe extern "C" {
    static _job_begin: [u8; 0];
    static _job_end: [u8; 0];
    /// Behind the last variable.
    static __sheap: [u8; 0];
}

const ALIGNMENT: usize = 16;

/// The place of a job, which the linker's script keeps free of everything else.
pub fn job() -> &'static [u8] {
    let (begin, end) = ((&raw const _job_begin).cast::<u8>(), (&raw const _job_end).addr());
    // SAFETY: the symbols are bounds of memory that can be read and that no program writes.
    unsafe { core::slice::from_raw_parts(begin, end.saturating_sub(begin.addr())) }
}

/// All RAM between the last variable and the stack, at a multiple of 16. Nothing at the second call.
pub fn take() -> &'static mut [u8] {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.load(Ordering::Relaxed) {
        return &mut [];
    }
    TAKEN.store(true, Ordering::Relaxed);
    let begin = (&raw const __sheap).cast::<u8>().cast_mut();
    let begin = begin.wrapping_add(begin.align_offset(ALIGNMENT));
    let length = stack::limit().saturating_sub(begin.addr());
    // SAFETY: the linker puts no variable there, the stack stays above its limit, and the flag lets one caller have it. A core that takes no
    // interrupt between load and store, as none is on at that time, sees the flag as one step.
    unsafe { core::slice::from_raw_parts_mut(begin, length) }
}
