//! The functions of the header.
//!
//! What every function relies on, and no check can see: that addresses which are not null and aligned are memory of the caller's, of the
//! length given, and that model and arena of an open session are left alone but through its functions. The notes at the single sites call
//! it the header's conditions.
#![allow(unsafe_code)]
// Said once, above and in the header.
#![allow(clippy::missing_safety_doc)]

use core::ffi::{c_char, c_void};

use apq_runtime::Model;

use crate::describe::ModelInfo;
use crate::memory::{Place, Plain, Span};
use crate::observe::{Callback, Observe};
use crate::session::{Entered, Session, enter, open};
use crate::status::{Problem, Status, text};

/// What a call came to.
fn ended(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(Status::Ok)
}

/// The place for details, if the caller wants them, which must be apart from the other buffers.
fn details(problem: *mut Problem, others: &[Result<Span<u8>, Status>]) -> Result<Option<Place<Problem>>, Status> {
    if problem.is_null() {
        return Ok(None);
    }
    let place = Place::new(problem)?;
    others.iter().flatten().try_for_each(|other| place.bytes().apart(other))?;
    Ok(Some(place))
}

/// As [`ended`], with the details in the caller's place.
///
/// # Safety
/// The header's conditions for `place`.
unsafe fn ended_with(place: Option<Place<Problem>>, result: Result<(), Problem>) -> Status {
    let end = result.err().unwrap_or(Problem::new(Status::Ok));
    if let Some(place) = place {
        // SAFETY: this function's condition.
        unsafe { place.store(end) };
    }
    end.status
}

/// Version of the library, NUL-terminated, as `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn apq_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Version of the interface of the library; the header was made for `APQ_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn apq_abi_version() -> u32 {
    crate::ABI_VERSION
}

/// Version of the file format that the library reads.
#[unsafe(no_mangle)]
pub extern "C" fn apq_format_version() -> u32 {
    u32::from(apq_runtime::FORMAT_VERSION)
}

/// Text of a status, NUL-terminated; never null, whatever the number.
#[unsafe(no_mangle)]
pub extern "C" fn apq_status_text(status: i32) -> *const c_char {
    text(status).as_ptr()
}

/// Proves a model right, and describes it.
///
/// `model`: the bytes of an `.apq` file, at a multiple of 16. `info` gets what it is; its names lie in the model's bytes.
/// `problem` may be null; else it gets what the status does not say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_model_check(model: *const c_void, model_bytes: usize, info: *mut ModelInfo, problem: *mut Problem) -> Status {
    let file = Span::new(model.cast::<u8>(), model_bytes);
    let check = || {
        let (file, info) = (file?, Place::new(info)?);
        info.bytes().apart(&file)?;
        // SAFETY: the header's conditions.
        let model = Model::new_checked(unsafe { file.read() })?;
        let described = ModelInfo::new(&model).ok_or(Status::ModelInvalid)?;
        // SAFETY: the header's conditions.
        unsafe { info.store(described) };
        Ok(())
    };
    match details(problem, &[file]) {
        // SAFETY: the header's conditions.
        Ok(place) => unsafe { ended_with(place, check()) },
        Err(status) => status,
    }
}

/// Opens a session: proves the model right and gives it its arena.
///
/// `session`: any storage of its type; a session that is open there ends. `model`: the bytes of an `.apq` file, at a multiple of 16, which
/// stay there and as they are. `arena`: at a multiple of 16, at least as long as the model needs, whatever its bytes; it is the
/// session's. None of the three may share bytes. `problem` may be null; else it gets what the status does not say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_open(
    session: *mut Session,
    model: *const c_void,
    model_bytes: usize,
    arena: *mut c_void,
    arena_bytes: usize,
    problem: *mut Problem,
) -> Status {
    let file = Span::new(model.cast::<u8>(), model_bytes);
    let arena = Span::new(arena.cast::<u8>().cast_const(), arena_bytes);
    let storage = Span::new(session.cast::<u8>().cast_const(), size_of::<Session>());
    // SAFETY: the header's conditions.
    let opened = || unsafe { open(session, file?, arena?) };
    match details(problem, &[file, arena, storage]) {
        // SAFETY: the header's conditions.
        Ok(place) => unsafe { ended_with(place, opened()) },
        Err(status) => status,
    }
}

/// Closes a session. There is nothing to give back: storage, model and arena are the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_close(session: *mut Session) -> Status {
    // SAFETY: the header's conditions.
    ended(unsafe { enter(session) }.map(Entered::close))
}

/// Describes the model of a session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_session_info(session: *const Session, info: *mut ModelInfo) -> Status {
    // SAFETY: the header's conditions.
    let entered = unsafe { enter(session) };
    ended(entered.and_then(|entered| {
        let info = Place::new(info)?;
        entered.apart(&info.bytes())?;
        let described = ModelInfo::new(entered.model()).ok_or(Status::ModelInvalid)?;
        // SAFETY: the header's conditions.
        unsafe { info.store(described) };
        Ok(())
    }))
}

/// Writes the input from a buffer of the caller's.
///
/// # Safety
/// The header's conditions.
unsafe fn write_input<T: Plain>(
    session: *mut Session,
    data: *const T,
    count: usize,
    write: impl FnOnce(&mut apq_runtime::Session<'_, '_>, &[T]) -> Result<(), Status>,
) -> Status {
    let written = || {
        // SAFETY: this function's condition.
        let mut entered = unsafe { enter(session) }?;
        let data = Span::new(data, count)?;
        entered.apart(&data)?;
        // SAFETY: this function's condition, and the buffers were just seen to be apart.
        let (mut runtime, data) = unsafe { (entered.session()?, data.read()) };
        write(&mut runtime, data)?;
        entered.input_written();
        Ok(())
    };
    ended(written())
}

/// Writes the input from unsigned bytes, one for each code, channel last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_write_u8(session: *mut Session, data: *const u8, count: usize) -> Status {
    // SAFETY: the header's conditions.
    unsafe { write_input(session, data, count, |runtime, data| Ok(runtime.write_input_u8(data)?)) }
}

/// Writes the input from signed bytes, one for each code, channel last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_write_i8(session: *mut Session, data: *const i8, count: usize) -> Status {
    // SAFETY: the header's conditions.
    unsafe { write_input(session, data, count, |runtime, data| Ok(runtime.write_input_i8(data)?)) }
}

/// Writes the input from real numbers before preprocessing, one for each code, channel last; the model knows mean and deviation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_write_f32(session: *mut Session, data: *const f32, count: usize) -> Status {
    // SAFETY: the header's conditions.
    unsafe { write_input(session, data, count, |runtime, data| Ok(runtime.write_input_f32(data)?)) }
}

/// Writes the input from packed codes: `packed_bytes` of its tensor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_write_packed(session: *mut Session, codes: *const c_void, bytes: usize) -> Status {
    // SAFETY: the header's conditions.
    unsafe { write_input(session, codes.cast::<u8>(), bytes, |runtime, data| copy_all(runtime.input_codes_mut(), data)) }
}

/// Copies bytes into as many places.
fn copy_all(places: &mut [u8], bytes: &[u8]) -> Result<(), Status> {
    if places.len() != bytes.len() {
        return Err(Status::Length);
    }
    places.copy_from_slice(bytes);
    Ok(())
}

/// Stores the address and the length of packed codes in the arena.
///
/// # Safety
/// The header's conditions for `place` and `bytes`.
unsafe fn store_place<P>(entered: &Entered<'_>, place: *mut P, bytes: *mut usize, found: (P, usize)) -> Result<(), Status> {
    let (place, bytes) = (Place::new(place)?, Place::new(bytes)?);
    entered.apart(&place.bytes())?;
    entered.apart(&bytes.bytes())?;
    place.bytes().apart(&bytes.bytes())?;
    // SAFETY: this function's condition.
    unsafe {
        place.store(found.0);
        bytes.store(found.1);
    }
    Ok(())
}

/// Where the packed codes of the input lie in the arena, to be filled there before `apq_run`. Ask again before each run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_input_place(session: *mut Session, codes: *mut *mut u8, bytes: *mut usize) -> Status {
    let find = || {
        // SAFETY: the header's conditions.
        let entered = unsafe { enter(session) }?;
        let tensor = entered.model().input().ok_or(Status::ModelInvalid)?.tensor;
        // SAFETY: the header's conditions.
        unsafe { store_place(&entered, codes, bytes, entered.place(&tensor)) }?;
        entered.input_written();
        Ok(())
    };
    ended(find())
}

/// Where the packed codes of the output lie in the arena, until the input is written again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_output_place(session: *const Session, codes: *mut *const u8, bytes: *mut usize) -> Status {
    let find = || {
        // SAFETY: the header's conditions.
        let entered = unsafe { enter(session) }?;
        entered.output_is_there()?;
        let tensor = entered.model().output().ok_or(Status::ModelInvalid)?.tensor;
        let (start, length) = entered.place(&tensor);
        // SAFETY: the header's conditions.
        unsafe { store_place(&entered, codes, bytes, (start.cast_const(), length)) }
    };
    ended(find())
}

/// Runs the model on the input that was written. The input's bytes may be used for other tensors: write it again before the next run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_run(session: *mut Session) -> Status {
    // SAFETY: the header's conditions.
    unsafe { run(session, &mut ()) }
}

/// As `apq_run`; `observe` is called with `context` before and after each layer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_run_observed(session: *mut Session, observe: Observe, context: *mut c_void) -> Status {
    match observe {
        // SAFETY: the header's conditions.
        Some(observe) => unsafe { run(session, &mut Callback { observe, context }) },
        None => Status::Null,
    }
}

/// # Safety
/// The header's conditions.
unsafe fn run(session: *mut Session, observer: &mut impl apq_runtime::Observer) -> Status {
    let mut ran = || {
        // SAFETY: this function's condition.
        let mut entered = unsafe { enter(session) }?;
        entered.use_input()?;
        // SAFETY: this function's condition; the session is entered, so that a callback cannot reach the arena through it.
        unsafe { entered.session() }?.run(observer);
        entered.output_written();
        Ok(())
    };
    ended(ran())
}

/// Reads the output into a buffer of the caller's.
///
/// # Safety
/// The header's conditions.
unsafe fn read_output<T: Plain>(
    session: *const Session,
    data: *mut T,
    count: usize,
    read: impl FnOnce(&apq_runtime::Session<'_, '_>, &mut [T]) -> Result<(), Status>,
) -> Status {
    let was_read = || {
        // SAFETY: this function's condition.
        let mut entered = unsafe { enter(session) }?;
        entered.output_is_there()?;
        let data = Span::new(data.cast_const(), count)?;
        entered.apart(&data)?;
        // SAFETY: this function's condition, and the buffers were just seen to be apart.
        let (runtime, data) = unsafe { (entered.session()?, data.write()) };
        read(&runtime, data)
    };
    ended(was_read())
}

/// Reads the codes of the output, one number for each, channel last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_read_codes(session: *const Session, codes: *mut i32, count: usize) -> Status {
    let copy = |runtime: &apq_runtime::Session<'_, '_>, places: &mut [i32]| {
        if places.len() != runtime.output_codes().len() {
            return Err(Status::Length);
        }
        for (place, code) in places.iter_mut().zip(runtime.output_codes()) {
            *place = code;
        }
        Ok(())
    };
    // SAFETY: the header's conditions.
    unsafe { read_output(session, codes, count, copy) }
}

/// Reads the real values of the output, one for each code, channel last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_read_f32(session: *const Session, values: *mut f32, count: usize) -> Status {
    // SAFETY: the header's conditions.
    unsafe { read_output(session, values, count, |runtime, values| Ok(runtime.read_output_f32(values)?)) }
}

/// Reads the packed codes of the output: `packed_bytes` of its tensor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_read_packed(session: *const Session, codes: *mut c_void, bytes: usize) -> Status {
    // SAFETY: the header's conditions.
    unsafe { read_output(session, codes.cast::<u8>(), bytes, |runtime, places| copy_all(places, runtime.output_bytes())) }
}

/// Place of the largest code of the output; of several, the first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apq_argmax(session: *const Session, place: *mut usize) -> Status {
    let find = || {
        // SAFETY: the header's conditions.
        let mut entered = unsafe { enter(session) }?;
        entered.output_is_there()?;
        let place = Place::new(place)?;
        entered.apart(&place.bytes())?;
        // SAFETY: the header's conditions; place and arena were just seen to be apart.
        unsafe { place.store(entered.session()?.argmax()) };
        Ok(())
    };
    ended(find())
}
