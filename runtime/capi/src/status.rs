//! What a call says about its end.
#![forbid(unsafe_code)]

use core::ffi::{CStr, c_char};

use apq_runtime::{ArenaError, LengthError, LoadError};

/// Bytes of the name in a problem, its NUL included.
pub const NAME_BYTES: usize = 32;

/// How a call ended. The numbers stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A pointer is null.
    Null = 1,
    /// A pointer does not suit its type's alignment.
    Misaligned = 2,
    /// An address and a length reach past the end of memory.
    Range = 3,
    /// Two buffers that must be apart share bytes.
    Overlap = 4,
    /// A buffer has not one element for each code, or not the packed bytes of the tensor.
    Length = 5,
    /// The session is not open.
    NotOpen = 6,
    /// The session is in use, by another thread or by the run whose callback this is.
    Busy = 7,
    /// No input was written since the last run, which may have used its bytes.
    NoInput = 8,
    /// There is no output yet: the model has not run since the session was opened or its input was last touched.
    NoOutput = 9,
    /// The arena is shorter than the model needs.
    ArenaTooSmall = 10,
    /// The arena does not start at a multiple of 16.
    ArenaMisaligned = 11,
    /// The model does not start at a multiple of 16.
    ModelMisaligned = 12,
    /// The bytes are no `.apq` file.
    ModelMagic = 20,
    /// The file is not as long as its header says.
    ModelLength = 21,
    /// A byte of the file has changed.
    ModelChecksum = 22,
    /// The file contradicts itself.
    ModelInvalid = 23,
    /// The file has a format version that this library does not read.
    ModelVersion = 30,
    /// The file needs an operator that this library lacks.
    ModelOperator = 31,
    /// The file needs kernels for an arrangement of weights that this library lacks.
    ModelArrangement = 32,
}

/// Every status with its text.
const TEXTS: [(Status, &CStr); 20] = [
    (Status::Ok, c"done"),
    (Status::Null, c"a pointer is null"),
    (Status::Misaligned, c"a pointer does not suit the alignment of its type"),
    (Status::Range, c"an address and a length reach past the end of memory"),
    (Status::Overlap, c"two buffers that must be apart share bytes"),
    (Status::Length, c"a buffer has not as many elements as the tensor"),
    (Status::NotOpen, c"the session is not open"),
    (Status::Busy, c"the session is in use"),
    (Status::NoInput, c"no input was written since the last run"),
    (Status::NoOutput, c"the model has not run on this input yet"),
    (Status::ArenaTooSmall, c"the arena is shorter than the model needs"),
    (Status::ArenaMisaligned, c"the arena must start at a multiple of 16"),
    (Status::ModelMisaligned, c"the model must start at a multiple of 16"),
    (Status::ModelMagic, c"this is not an .apq file"),
    (Status::ModelLength, c"the file is not as long as its header says"),
    (Status::ModelChecksum, c"the file is damaged: its checksum does not fit its bytes"),
    (Status::ModelInvalid, c"the file contradicts itself"),
    (Status::ModelVersion, c"the file has a format version that this library does not read"),
    (Status::ModelOperator, c"the model needs an operator that this library lacks"),
    (Status::ModelArrangement, c"the model needs an arrangement of weights that this library lacks"),
];

/// Text of a status; any number will do.
pub(crate) fn text(status: i32) -> &'static CStr {
    TEXTS.iter().find(|(known, _)| *known as i32 == status).map_or(c"unknown status", |(_, text)| text)
}

/// What a status does not say: numbers and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Problem {
    /// How the call ended.
    pub status: Status,
    /// Number of the tensor or layer that is wrong, where the file contradicts itself in one; its format version where that is
    /// the matter; else 0.
    pub place: u32,
    /// Bytes that are needed: of the arena, or of the file by its header; else 0.
    pub needed_bytes: usize,
    /// Bytes that were given.
    pub given_bytes: usize,
    /// The operator or arrangement that is missing, NUL-terminated, cut to 31 bytes; else empty.
    pub name: [c_char; NAME_BYTES],
}

impl Problem {
    /// No more to say than `status`.
    pub(crate) fn new(status: Status) -> Self {
        Self { status, place: 0, needed_bytes: 0, given_bytes: 0, name: [0; NAME_BYTES] }
    }

    fn with_name(mut self, name: &str) -> Self {
        // The last byte stays NUL.
        let Some((_, places)) = self.name.split_last_mut() else {
            return self;
        };
        for (place, &byte) in places.iter_mut().zip(name.as_bytes()) {
            *place = byte as c_char;
        }
        self
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::new(status)
    }
}

impl From<LengthError> for Status {
    fn from(_: LengthError) -> Self {
        Self::Length
    }
}

impl From<ArenaError> for Problem {
    fn from(error: ArenaError) -> Self {
        match error {
            ArenaError::TooSmall { needed, given } => Self { needed_bytes: needed, given_bytes: given, ..Self::new(Status::ArenaTooSmall) },
            _ => Self::new(Status::ArenaMisaligned),
        }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Magic => Self::new(Status::ModelMagic),
            LoadError::Length { stored, actual } => {
                Self { needed_bytes: stored as usize, given_bytes: actual as usize, ..Self::new(Status::ModelLength) }
            }
            LoadError::Checksum => Self::new(Status::ModelChecksum),
            LoadError::Version { version } => Self { place: u32::from(version), ..Self::new(Status::ModelVersion) },
            LoadError::Operator { name } => Self::new(Status::ModelOperator).with_name(name.as_str()),
            LoadError::Arrangement { name } => Self::new(Status::ModelArrangement).with_name(name.as_str()),
            LoadError::Misaligned => Self::new(Status::ModelMisaligned),
            LoadError::Tensor { tensor, .. } => Self { place: u32::from(tensor), ..Self::new(Status::ModelInvalid) },
            LoadError::Node { node, .. } => Self { place: u32::from(node), ..Self::new(Status::ModelInvalid) },
            _ => Self::new(Status::ModelInvalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use apq_runtime::Name;

    use super::*;

    /// The name, and that it ends in time.
    fn name(problem: &Problem) -> String {
        let end = problem.name.iter().position(|&byte| byte == 0).unwrap();
        String::from_utf8(problem.name[..end].iter().map(|&byte| byte as u8).collect()).unwrap()
    }

    #[test]
    fn what_the_library_lacks_is_named() {
        let problem = Problem::from(LoadError::Operator { name: Name::new("layer-norm") });
        assert_eq!((problem.status, name(&problem).as_str()), (Status::ModelOperator, "layer-norm"));
        let long = "x".repeat(40);
        let problem = Problem::from(LoadError::Arrangement { name: Name::new(&long) });
        assert_eq!((problem.status, name(&problem).as_str()), (Status::ModelArrangement, &long[..31]));
        let problem = Problem::from(LoadError::Version { version: 7 });
        assert_eq!((problem.status, problem.place, name(&problem).as_str()), (Status::ModelVersion, 7, ""));
    }

    #[test]
    fn every_status_has_a_text_of_its_own() {
        let mut texts: Vec<&CStr> = TEXTS.iter().map(|&(status, _)| text(status as i32)).collect();
        assert!(TEXTS.windows(2).all(|pair| (pair[0].0 as i32) < pair[1].0 as i32));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), TEXTS.len());
        assert_eq!(text(-1), c"unknown status");
    }
}
