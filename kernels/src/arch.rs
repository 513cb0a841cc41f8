//! Kernels for particular processors: the only place in the workspace with unsafe code.
//!
//! Each submodule is one architecture and has the same face: functions with the parameters of the kernel that they
//! stand in for, which return whether they ran. They return `false`, with the output untouched, where the processor
//! lacks the instructions or the parameters are not theirs; [`native`](crate::native) then calls
//! [`portable`](crate::portable). Whatever they rely on they check, so that no caller of a safe function can break
//! them.
//!
//! # What a core can do
//! A processor with an operating system is asked when the program runs. A microcontroller's program is built for its core, and the stable
//! compiler does not say which instructions of a Cortex-M core it may use: `cfg(target_feature)` is silent for Arm. `build.rs` reads the
//! target and `-C target-cpu` instead and sets `cfg(core_feature = "...")`, for every Cortex-M `thumb`, and:
//!
//! | build | `thumb2` | `dsp` | `mve` |
//! |---|---|---|---|
//! | `thumbv6m-none-eabi` (M0, M0+) | | | |
//! | `thumbv7m-none-eabi` (M3) | x | | |
//! | `thumbv7em-none-eabi`, `-eabihf` (M4, M7) | x | x | |
//! | `thumbv8m.main-none-eabi`, `-eabihf` | x | | |
//! | the same with `-C target-cpu=cortex-m33` | x | x | |
//! | the same with `-C target-cpu=cortex-m55` | x | x | x |
//!
//! `-C target-feature=-dsp`, `+dsp`, `-mve`, `+mve` are heeded. RISC-V needs none of this: there `cfg(target_feature = "m")` is set. Without
//! `thumb2` and on RISC-V a load or store must be aligned.
//!
//! `cargo xtask firmware test [CORE...] [-- CHECK...]` runs the comparisons with [`reference`](crate::reference) in an emulator, on each core.

#[cfg(core_feature = "dsp")]
pub(crate) mod arm_dsp;
#[cfg(core_feature = "mve")]
pub(crate) mod mve;
#[cfg(all(core_feature = "thumb", not(core_feature = "dsp")))]
pub(crate) mod thumb;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;
