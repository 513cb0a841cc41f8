//! What a board and the tool that runs models on it tell each other.
//!
//! A [`Job`] is a model with its inputs and what is wanted of them: one block of bytes, which lies at a fixed place of the flash memory or is
//! sent in pieces. The board answers with [`Message`]s: as lines of text where it has a console ([`frame::Line`]), or as frames of bytes on a
//! serial port ([`frame::encode`]). Both carry a checksum, so that a frame that was cut or changed is an error and no wrong answer.
//!
//! `no_std`, no allocation, no panic on any bytes.
#![no_std]
#![forbid(unsafe_code)]

pub mod draw;
pub mod frame;
pub mod job;
mod message;

pub use frame::FrameError;
pub use job::{Inputs, Job, JobError, Wants};
pub use message::{Class, Fault, Message, Request, TEXT_BYTES_MAX, Text, Unit};

/// Version of the job's layout and of the messages. Board and tool must have the same.
pub const VERSION: u16 = 1;

/// Most layers whose counts a board reports.
pub const LAYERS_MAX: usize = 512;

/// Most bytes of an output or a job in one message.
pub const CHUNK_BYTES_MAX: usize = 256;
