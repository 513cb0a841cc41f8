//! The session in the caller's storage: opened, entered by one call at a time, closed.
#![allow(unsafe_code)]

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use apq_runtime::{Model, Tensor};

use crate::memory::{Plain, Span};
use crate::status::{Problem, Status};

/// Words of 64 bits in an `apq_session`.
pub const SESSION_WORDS: usize = 32;

/// Storage of a session; what is in it is the library's.
#[derive(Debug)]
#[repr(C)]
pub struct Session {
    /// The library's.
    pub opaque: [u64; SESSION_WORDS],
}

/// What an open session holds.
struct Slot {
    /// Tells an open session from zeroes, from another's bytes, and from its copy at another address.
    mark: AtomicUsize,
    /// A call is in the session.
    busy: AtomicBool,
    /// The input is written and not used yet.
    written: Cell<bool>,
    /// The output is that of the input written last.
    ran: Cell<bool>,
    model: Model<'static>,
    /// As many bytes as the model needs.
    arena: Span<u8>,
}

const _: () = assert!(size_of::<Slot>() <= size_of::<Session>() && align_of::<Slot>() <= align_of::<Session>());

const MARK: usize = 0x4150_5153;

/// A session that no other call is in, until this goes away.
pub(crate) struct Entered<'s> {
    slot: &'s Slot,
}

/// The mark of a session at this address.
fn mark(slot: *const Slot) -> usize {
    slot.addr() ^ MARK
}

/// The slot in `session`, if it is open.
///
/// # Safety
/// `session`, where it is neither null nor misaligned, is an `apq_session` of the caller's.
unsafe fn find<'s>(session: *const Session) -> Result<&'s Slot, Status> {
    if session.is_null() {
        return Err(Status::Null);
    }
    if !session.is_aligned() {
        return Err(Status::Misaligned);
    }
    let slot = session.cast::<Slot>();
    // SAFETY: not null, aligned, and inside an `apq_session`; an atomic word has no illegal bits, and whoever else looks uses it as one too.
    let found = unsafe { &(*slot).mark };
    if found.load(Ordering::Acquire) != mark(slot) {
        return Err(Status::NotOpen);
    }
    // SAFETY: the mark for this address is written last, by `open`, when everything else is there.
    Ok(unsafe { &*slot })
}

/// Sets the flag; false where it was set.
fn take(busy: &AtomicBool) -> bool {
    #[cfg(target_has_atomic = "8")]
    let was = busy.swap(true, Ordering::Acquire);
    // An interrupt between the two lines ends, and gives back what it took, before the second one runs.
    #[cfg(not(target_has_atomic = "8"))]
    let was = {
        let was = busy.load(Ordering::Acquire);
        busy.store(true, Ordering::Relaxed);
        was
    };
    !was
}

/// Enters a session.
///
/// # Safety
/// `session`, where it is neither null nor misaligned, is an `apq_session` of the caller's; its model and its arena are as they were given to
/// [`open`].
pub(crate) unsafe fn enter<'s>(session: *const Session) -> Result<Entered<'s>, Status> {
    // SAFETY: this function's condition.
    let slot = unsafe { find(session) }?;
    if take(&slot.busy) { Ok(Entered { slot }) } else { Err(Status::Busy) }
}

/// Opens a session in `session`, which may hold anything but a session in use.
///
/// # Safety
/// The three buffers are memory of the caller's, stay there until the session is closed or its storage used otherwise, the first and the
/// last are used by nobody else, and nobody writes to the model.
pub(crate) unsafe fn open(session: *mut Session, file: Span<u8>, arena: Span<u8>) -> Result<(), Problem> {
    let storage = Span::new(session.cast::<u64>(), SESSION_WORDS)?;
    storage.apart(&file)?;
    storage.apart(&arena)?;
    arena.apart(&file)?;
    // SAFETY: this function's condition.
    match unsafe { find(session) } {
        // Nobody comes in any more; the slot is written anew.
        Ok(slot) if take(&slot.busy) => slot.mark.store(0, Ordering::Release),
        Ok(_) => return Err(Status::Busy.into()),
        Err(_) => {}
    }
    // SAFETY: this function's condition.
    let model = Model::new_checked(unsafe { file.read() })?;
    // SAFETY: this function's condition; the reference ends with this line.
    apq_runtime::Session::new(&model, unsafe { arena.write() })?;
    let slot = session.cast::<Slot>();
    let fresh = Slot {
        mark: AtomicUsize::new(0),
        busy: AtomicBool::new(false),
        written: Cell::new(false),
        ran: Cell::new(false),
        model,
        arena: arena.first(model.arena_bytes()),
    };
    // SAFETY: `Span::new` has checked null and alignment for words of 64 bits, and a slot is neither larger nor more aligned than the storage;
    // the memory is the caller's.
    unsafe { slot.write(fresh) };
    // SAFETY: the slot was just written.
    unsafe { &(*slot).mark }.store(mark(slot), Ordering::Release);
    Ok(())
}

impl Entered<'_> {
    /// The model.
    pub(crate) fn model(&self) -> &Model<'static> {
        &self.slot.model
    }

    /// Refuses bytes that are the session's.
    pub(crate) fn apart<T: Plain>(&self, bytes: &Span<T>) -> Result<(), Status> {
        bytes.apart(&self.slot.arena)?;
        bytes.apart(&Span::new(ptr::from_ref(self.slot).cast::<u8>(), size_of::<Session>())?)
    }

    /// The place of a tensor in the arena.
    pub(crate) fn place(&self, tensor: &Tensor<'_>) -> (*mut u8, usize) {
        (self.slot.arena.start().wrapping_add(tensor.range().start), tensor.bytes())
    }

    /// The runtime's session over the arena.
    ///
    /// # Safety
    /// The arena is as it was given to [`open`], and nobody else uses it until the result goes away.
    pub(crate) unsafe fn session(&mut self) -> Result<apq_runtime::Session<'_, '_>, Status> {
        // SAFETY: this function's condition; the model has been checked with this arena.
        let arena = unsafe { self.slot.arena.write() };
        apq_runtime::Session::new(&self.slot.model, arena).map_err(|error| Problem::from(error).status)
    }

    /// The input is there for a run, and the output is gone.
    pub(crate) fn input_written(&self) {
        self.slot.written.set(true);
        self.slot.ran.set(false);
    }

    /// Refuses a run without input; after it there is none.
    pub(crate) fn use_input(&self) -> Result<(), Status> {
        if self.slot.written.replace(false) { Ok(()) } else { Err(Status::NoInput) }
    }

    /// The output is there.
    pub(crate) fn output_written(&self) {
        self.slot.ran.set(true);
    }

    /// Refuses to read an output that is not there.
    pub(crate) fn output_is_there(&self) -> Result<(), Status> {
        if self.slot.ran.get() { Ok(()) } else { Err(Status::NoOutput) }
    }

    /// Closes the session.
    pub(crate) fn close(self) {
        self.slot.mark.store(0, Ordering::Release);
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.slot.busy.store(false, Ordering::Release);
    }
}
