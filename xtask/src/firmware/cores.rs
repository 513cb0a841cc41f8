//! The cores: how each is compiled for, and the machine that emulates it.

use crate::Failure;
use crate::toolchain::Toolchain;

/// A core and its emulated board.
pub(crate) struct Core {
    pub(crate) name: &'static str,
    /// The compiler's target.
    pub(crate) target: &'static str,
    /// The compiler's name of the core.
    pub(super) cpu: &'static str,
    /// QEMU's name of the machine, and the feature of the crate `apq-board`.
    pub(crate) machine: &'static str,
    /// Arrangement of weights that its kernels are fastest with.
    pub(crate) arrangement: &'static str,
}

/// A Cortex-M3 runs what is compiled for a Cortex-M0: QEMU's only board with that core has 16 KiB of RAM. The board's start has it stop where
/// a Cortex-M0 would.
pub(crate) const CORES: [Core; 7] = [
    Core { name: "cortex-m0", target: "thumbv6m-none-eabi", cpu: "cortex-m0", machine: "mps2-an385", arrangement: "unsigned" },
    Core { name: "cortex-m3", target: "thumbv7m-none-eabi", cpu: "cortex-m3", machine: "mps2-an385", arrangement: "unsigned" },
    Core { name: "cortex-m4", target: "thumbv7em-none-eabihf", cpu: "cortex-m4", machine: "mps2-an386", arrangement: "pairs" },
    Core { name: "cortex-m7", target: "thumbv7em-none-eabihf", cpu: "cortex-m7", machine: "mps2-an500", arrangement: "pairs" },
    Core { name: "cortex-m33", target: "thumbv8m.main-none-eabihf", cpu: "cortex-m33", machine: "mps2-an505", arrangement: "pairs" },
    Core { name: "cortex-m55", target: "thumbv8m.main-none-eabihf", cpu: "cortex-m55", machine: "mps3-an547", arrangement: "vectors" },
    Core { name: "rv32", target: "riscv32imac-unknown-none-elf", cpu: "generic-rv32", machine: "virt", arrangement: "unsigned" },
];

impl Core {
    pub(crate) fn is_riscv(&self) -> bool {
        self.target.starts_with("riscv")
    }

    /// Flags that choose the core and the linker's script.
    pub(crate) fn compiler_flags(&self, toolchain: Toolchain) -> String {
        let linker = match toolchain {
            Toolchain::InUse => "",
            Toolchain::Debian => " -C linker=ld.lld -C linker-flavor=ld.lld",
        };
        format!("-C target-cpu={} -C link-arg=-Tlink.x{linker}", self.cpu)
    }
}

/// A real board: the folder of its project in `examples/firmware/boards`, with the project's own settings for cargo.
pub(crate) struct Board {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
}

pub(crate) const BOARDS: [Board; 3] = [
    Board { name: "nucleo-f446re", target: "thumbv7em-none-eabihf" },
    Board { name: "nrf52840-dk", target: "thumbv7em-none-eabihf" },
    Board { name: "rp2040-pico", target: "thumbv6m-none-eabi" },
];

/// The cores of those names; all where there is none.
pub(crate) fn named(names: &[&str]) -> Result<Vec<&'static Core>, Failure> {
    if names.is_empty() {
        return Ok(CORES.iter().collect());
    }
    let find = |name: &&str| {
        let known = CORES.map(|core| core.name).join(", ");
        CORES.iter().find(|core| core.name == *name).ok_or_else(|| format!("there is no core `{name}`; there are {known}"))
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_found_by_name() {
        assert_eq!(named(&[]).map(|cores| cores.len()), Ok(CORES.len()));
        assert_eq!(
            named(&["cortex-m33", "rv32"]).map(|cores| cores.iter().map(|core| core.machine).collect()),
            Ok(vec!["mps2-an505", "virt"])
        );
        let failure = named(&["cortex-m9"]).err().unwrap_or_default();
        assert!(failure.contains("cortex-m9") && failure.contains("cortex-m55"), "{failure}");
    }
}
