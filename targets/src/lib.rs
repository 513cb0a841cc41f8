//! What can be compiled for, and what it costs there.
//!
//! - [`Target`]: memories, clock, default candidates, the kernel table and where costs come from;
//!   built in ([`Target::builtin`]) or read from TOML.
//! - lookup tables of the built-in cores ([`Target::builtin_table`]), as `apqc profile` wrote them;
//! - [`BitFusion`]: cycles and energy of a layer on the BitFusion accelerator, exactly as in the
//!   table that APQ published.
//!
//! The kernel table is a claim: this crate does not know the kernels' code, and a test elsewhere
//! runs every row. `core` and `alloc` only; where the processor has no atomic compare-and-swap
//! the TOML functions are absent and everything else is there.

#![no_std]

extern crate alloc;

pub mod bitfusion;
mod builtin;
mod costs;
mod exclusion;
mod kernels;
mod target;
#[cfg(target_has_atomic = "ptr")]
mod text;

pub use bitfusion::BitFusion;
pub use exclusion::Exclusion;
pub use kernels::{KernelRow, NotSupported, ROW_MAJOR};
pub use target::{BUILTIN_TABLE, CostSource, Description, KERNEL_ROWS_MAX, Memory, Target, TargetError};
