//! Memory that a caller in C hands over: every check that can be made, and then a reference.
#![allow(unsafe_code)]

use crate::status::Status;

/// Elements at an address of the caller's: not null, aligned, and inside the address space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<T> {
    start: *mut T,
    count: usize,
}

impl<T: Plain> Span<T> {
    /// `count` elements from `start` on.
    pub(crate) fn new(start: *const T, count: usize) -> Result<Self, Status> {
        if start.is_null() {
            return Err(Status::Null);
        }
        if !start.is_aligned() {
            return Err(Status::Misaligned);
        }
        // A slice may have half of the address space, and no address wraps.
        let bytes = count.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize).ok_or(Status::Range)?;
        start.addr().checked_add(bytes).ok_or(Status::Range)?;
        Ok(Self { start: start.cast_mut(), count })
    }

    /// Refuses a span that shares bytes with `other`.
    pub(crate) fn apart<U: Plain>(&self, other: &Span<U>) -> Result<(), Status> {
        let (begin, end) = self.bounds();
        let (other_begin, other_end) = other.bounds();
        if begin < other_end && other_begin < end { Err(Status::Overlap) } else { Ok(()) }
    }

    /// First byte, and the byte behind the last one.
    fn bounds(&self) -> (usize, usize) {
        let begin = self.start.addr();
        // Neither can overflow, as `new` has seen.
        (begin, begin.saturating_add(self.count.saturating_mul(size_of::<T>())))
    }

    /// The first element's address.
    pub(crate) fn start(&self) -> *mut T {
        self.start
    }

    /// The first `count` elements, or all where there are fewer.
    pub(crate) fn first(self, count: usize) -> Self {
        Self { count: self.count.min(count), ..self }
    }

    /// The elements, to be read.
    ///
    /// # Safety
    /// The memory is the caller's, holds elements, and nobody writes to it during `'a`.
    pub(crate) unsafe fn read<'a>(self) -> &'a [T] {
        // SAFETY: `new` has checked null, alignment and length; the rest is this function's condition.
        unsafe { core::slice::from_raw_parts(self.start, self.count) }
    }

    /// The elements, to be written.
    ///
    /// # Safety
    /// The memory is the caller's and writable, and nobody else reads or writes it during `'a`.
    pub(crate) unsafe fn write<'a>(self) -> &'a mut [T] {
        // SAFETY: `new` has checked null, alignment and length; the rest is this function's condition.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.count) }
    }
}

/// Room for one value at an address of the caller's: not null, aligned, and inside the address space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<T>(*mut T);

impl<T> Place<T> {
    /// Room for a `T` at `start`.
    pub(crate) fn new(start: *mut T) -> Result<Self, Status> {
        if start.is_null() {
            return Err(Status::Null);
        }
        if !start.is_aligned() {
            return Err(Status::Misaligned);
        }
        Span::new(start.cast::<u8>(), size_of::<T>()).map(|_| Self(start))
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Span<u8> {
        Span { start: self.0.cast(), count: size_of::<T>() }
    }

    /// Writes `value`.
    ///
    /// # Safety
    /// The memory is the caller's and writable, and nobody else uses it during the call.
    pub(crate) unsafe fn store(self, value: T) {
        // SAFETY: `new` has checked null and alignment; the rest is this function's condition.
        unsafe { self.0.write(value) };
    }
}

/// Numbers of which every bit pattern is a value.
pub(crate) trait Plain: Copy {}

impl Plain for u8 {}
impl Plain for i8 {}
impl Plain for u64 {}
impl Plain for i32 {}
impl Plain for f32 {}
