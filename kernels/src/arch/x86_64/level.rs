//! Which instructions this processor has, and the operating system keeps registers for.

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU8, Ordering};

/// Sets of instructions that there are kernels for, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// SSE2: what every x86-64 has, and [`portable`](crate::portable) is compiled for.
    Baseline,
    /// AVX2, with SSE4.2 and POPCNT, which the compiler may use wherever AVX2 is.
    Avx2,
    /// AVX-512 F, BW, VL and VNNI; with AVX2, and with FMA and F16C, which the compiler may use wherever AVX-512 is.
    Vnni,
}

/// Asked once: the answer does not change, and `cpuid` takes as long as a small layer.
pub(super) fn level() -> Level {
    const UNKNOWN: u8 = u8::MAX;
    static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    // Relaxed: whoever does not see another thread's answer finds the same one.
    match KNOWN.load(Ordering::Relaxed) {
        0 => Level::Baseline,
        1 => Level::Avx2,
        2 => Level::Vnni,
        _ => {
            let level = detect();
            KNOWN.store(level as u8, Ordering::Relaxed);
            level
        }
    }
}

// `cpuid` became a safe function after the oldest compiler that this crate builds with.
#[allow(unused_unsafe)]
fn detect() -> Level {
    let has = |word: u32, bits: &[u32]| bits.iter().all(|bit| word >> bit & 1 == 1);
    // SAFETY: every x86-64 has `cpuid`.
    let (last, features) = unsafe { (__cpuid(0).eax, __cpuid(1).ecx) };
    let (fma, sse42, popcnt, osxsave, avx, f16c) = (12, 20, 23, 27, 28, 29);
    if last < 7 || !has(features, &[sse42, popcnt, osxsave, avx]) {
        return Level::Baseline;
    }
    // SAFETY: leaf 7 exists, as `last` says.
    let more = unsafe { __cpuid_count(7, 0) };
    // SAFETY: OSXSAVE says that `xgetbv` is there, and register 0 is there with it.
    let kept = unsafe { enabled_state() };
    // Register 0: XMM, YMM; opmask, upper halves of ZMM0-15, ZMM16-31.
    let (ymm, zmm) = (kept & 0b110 == 0b110, kept & 0b1110_0110 == 0b1110_0110);
    let (avx2, avx512_f, avx512_bw, avx512_vl, avx512_vnni) = (5, 16, 30, 31, 11);
    if !ymm || !has(more.ebx, &[avx2]) {
        Level::Baseline
    } else if zmm && has(features, &[fma, f16c]) && has(more.ebx, &[avx512_f, avx512_bw, avx512_vl]) && has(more.ecx, &[avx512_vnni]) {
        Level::Vnni
    } else {
        Level::Avx2
    }
}

/// The states that the operating system saves for a thread.
#[target_feature(enable = "xsave")]
fn enabled_state() -> u64 {
    // SAFETY: register 0 exists wherever the instruction does.
    unsafe { _xgetbv(0) }
}
