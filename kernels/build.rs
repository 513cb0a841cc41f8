//! Says which instructions of a Cortex-M core `src/arch` may use: the stable compiler knows them (`-C target-cpu`, `-C target-feature`) but does
//! not tell the code.
//!
//! Sets `cfg(core_feature = "...")`:
//!
//! | value | instructions | cores |
//! |---|---|---|
//! | `thumb` | those of every Cortex-M | M0 and all below |
//! | `thumb2` | 32-bit Thumb: long multiplication, bit fields, loads and stores at any address | M3 and all below |
//! | `dsp` | two 16-bit products at once, saturation, packing | M4, M7, and of M33 and later those that have it |
//! | `mve` | vectors of 128 bits | M55, M85 |
//! | `v8m` | those of ARMv8-M | M23, M33, M55, M85 |

/// Cores of ARMv8-M whose name brings DSP instructions along, as LLVM has it.
const CORES_DSP: [&str; 5] = ["cortex-m33", "cortex-m35p", "cortex-m52", "cortex-m55", "cortex-m85"];
/// As above, vector instructions.
const CORES_MVE: [&str; 3] = ["cortex-m52", "cortex-m55", "cortex-m85"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo::rustc-check-cfg=cfg(core_feature, values(\"thumb\", \"thumb2\", \"dsp\", \"mve\", \"v8m\"))");
    let target = std::env::var("TARGET").unwrap_or_default();
    if !target.starts_with("thumbv") {
        return;
    }
    println!("cargo::rustc-cfg=core_feature=\"thumb\"");
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let options = Options::read(&flags);
    let thumb2 = target.starts_with("thumbv7") || target.starts_with("thumbv8m.main");
    let dsp_core = CORES_DSP.contains(&options.core) || ["cortex-m4", "cortex-m7"].contains(&options.core);
    let dsp = target.starts_with("thumbv7em") || (thumb2 && dsp_core);
    let mve = thumb2 && CORES_MVE.contains(&options.core);
    if target.starts_with("thumbv8m") {
        println!("cargo::rustc-cfg=core_feature=\"v8m\"");
    }
    for (name, by_core) in [("thumb2", thumb2), ("dsp", dsp), ("mve", mve)] {
        if options.switched(name).unwrap_or(by_core) {
            println!("cargo::rustc-cfg=core_feature=\"{name}\"");
        }
    }
}

/// What the compiler was told of the core.
struct Options<'a> {
    core: &'a str,
    /// Such as `+dsp`, in order.
    features: Vec<&'a str>,
}

impl<'a> Options<'a> {
    /// From `-C target-cpu=NAME`, written as one argument or as two; the last one counts.
    fn read(flags: &'a str) -> Self {
        let mut options = Self { core: "", features: Vec::new() };
        for argument in flags.split('\x1f') {
            let option = argument.strip_prefix("-C").unwrap_or(argument).trim_start();
            if let Some(core) = option.strip_prefix("target-cpu=") {
                options.core = core;
            } else if let Some(features) = option.strip_prefix("target-feature=") {
                options.features.extend(features.split(','));
            }
        }
        options
    }

    /// Whether a feature was turned on or off by name; `mve.fp` includes `mve`, which includes `dsp`.
    fn switched(&self, name: &str) -> Option<bool> {
        let on: &[&str] = match name {
            "mve" => &["+mve", "+mve.fp"],
            "dsp" => &["+dsp", "+mve", "+mve.fp"],
            _ => &[],
        };
        let off: &[&str] = match name {
            "mve" => &["-mve", "-dsp"],
            "dsp" => &["-dsp"],
            _ => &[],
        };
        let last = self.features.iter().rev().find(|feature| on.contains(feature) || off.contains(feature))?;
        Some(on.contains(last))
    }
}
