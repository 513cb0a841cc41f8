//! How much stack a call uses: the stack is painted before, and looked at after.

unsafe extern "C" {
    /// Above the stack, which grows downwards.
    static _stack_start: [u8; 0];
}

/// Bytes of RAM that are kept for the stack.
pub const STACK_BYTES: usize = 8 << 10;

/// Bytes below the painting function's own frame that stay as they are.
const MARGIN: usize = 64;

const PAINT: u32 = 0xa5a5_5a5a;

/// Lowest address that the stack may use.
pub(crate) fn limit() -> usize {
    (&raw const _stack_start).addr() - STACK_BYTES
}

/// Paints what is free of the stack. Returns where it stopped.
#[inline(never)]
fn paint() -> usize {
    let here = 0u32;
    let top = ((&raw const here).addr() - MARGIN) & !3;
    for address in (limit()..top).step_by(4) {
        let place = core::ptr::with_exposed_provenance_mut::<u32>(address);
        // SAFETY: between the stack's limit and its pointer nothing lives; no interrupt's frame lives longer than the interrupt.
        unsafe { place.write_volatile(PAINT) };
    }
    top
}

/// Runs `call` and returns the most bytes of stack below this function's caller, what `call` itself takes included.
#[inline(never)]
pub fn measure(call: impl FnOnce()) -> u32 {
    let here = 0u32;
    let top = (&raw const here).addr();
    let painted = paint();
    call();
    let is_painted = |address: &usize| {
        let place = core::ptr::with_exposed_provenance::<u32>(*address);
        // SAFETY: the address lies in the stack, in RAM.
        unsafe { place.read_volatile() == PAINT }
    };
    let untouched = (limit()..painted).step_by(4).take_while(is_painted).count() * 4;
    (top - limit() - untouched) as u32
}
