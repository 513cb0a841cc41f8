//! Kernels for particular processors: the only place in the workspace with unsafe code.
//!
//! Each submodule is one architecture and has the same face: functions with the parameters of the kernel that they
//! stand in for, which return whether they ran. They return `false`, with the output untouched, where the processor
//! lacks the instructions or the parameters are not theirs; [`native`](crate::native) then calls
//! [`portable`](crate::portable). Whatever they rely on they check, so that no caller of a safe function can break
//! them.

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;
