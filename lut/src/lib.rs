//! Layer keys, costs, the [`CostModel`] trait and lookup tables.
//!
//! A network's cost is the sum of the costs of its layers, and a layer's cost depends on nothing
//! but its [`LayerKey`]: operator, shape and bit widths. Whoever can answer for a key is a
//! [`CostModel`]: an analytic model of an accelerator, or a [`Table`] of measured or imported
//! entries, each with its [`Provenance`].
//!
//! Not here, on purpose:
//! - no file access and no printing: text comes in and goes out as `&str` and `String`;
//! - no guessing: a key that a table neither holds nor has a [`Fit`] for is [`CostError::Missing`], and what a fit answers is called an estimate;
//! - no silent zero: an operator outside a model is [`CostError::NotModelled`].
//!
//! `core` and `alloc` only, no atomics, so it also runs on a microcontroller.

#![no_std]

extern crate alloc;

mod bops;
mod candidate;
mod cost;
mod diff;
mod fallback;
mod format;
mod key;
mod memo;
mod merge;
mod operator;
mod profile;
mod provenance;
mod published;
mod table;

pub use bops::{bops, bops_total};
pub use candidate::{Candidate, CandidateError, WIDTHS};
pub use cost::{CYCLES_MAX, Cost, CostError, CostModel, CostValueError, Total, total};
pub use diff::{Diff, diff};
pub use fallback::WithFallback;
pub use format::{FORMAT_NAME, FORMAT_VERSION, FormatError};
pub use key::{KeyError, LayerKey};
pub use memo::Memo;
pub use merge::{MergeError, Merged, Prefer, merge};
pub use operator::{NAME_BYTES_MAX, Operator, OperatorError, OtherOperator};
pub use profile::{Counter, Fit, Path, Profile, ProfileError, Term, Unit};
pub use provenance::Provenance;
pub use published::{ImportError, PUBLISHED_CLOCK_HZ, import_published};
pub use table::{ENTRIES_MAX, Entry, EvaluateError, Table, TableError};
