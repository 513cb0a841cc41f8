//! What the runtime takes of the flash memory: the smallest program that runs a model, built with some operators, arrangements and widths.

use std::path::{Path, PathBuf};

use super::cores::{self, Core};
use crate::Failure;
use crate::toolchain::Toolchain;

/// Operators, as features of `apq-runtime`.
const OPERATORS: [&str; 19] = [
    "conv",
    "fully-connected",
    "add",
    "mul",
    "average-pool",
    "max-pool",
    "requantize",
    "pad",
    "slice",
    "concat",
    "transpose",
    "table",
    "softmax",
    "reshape",
    "resize",
    "prelu",
    "matmul",
    "layer-norm",
    "constant",
];

/// With the one operator that has no kernel, at 8 bits: what every program has.
const BASE: [&str; 3] = ["reshape", "weights-8", "activations-8"];

/// ResNet8 at 8 bits.
const RESNET8: [&str; 4] = ["conv", "add", "average-pool", "fully-connected"];

/// `[CORE] [-- FEATURE...]`: the size with these features, or that of each operator.
pub(super) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let mut parts = arguments.splitn(2, |argument| *argument == "--");
    let cores = match parts.next().unwrap_or_default() {
        [] => cores::named(&["cortex-m4"])?,
        names => cores::named(names)?,
    };
    let toolchain = super::install(&cores)?;
    let features = parts.next().unwrap_or_default();
    for core in cores {
        if features.is_empty() {
            table(toolchain, core)?;
        } else {
            let (path, bytes) = size(toolchain, core, features)?;
            println!("{bytes} bytes of flash memory on {} with {}\n{}", core.name, features.join(" "), path.display());
        }
    }
    Ok(())
}

fn table(toolchain: Toolchain, core: &Core) -> Result<(), Failure> {
    let with = |more: &[&str]| {
        let features = [&BASE[..], &[core.arrangement], more].concat();
        size(toolchain, core, &features).map(|(_, bytes)| bytes)
    };
    let base = with(&[])?;
    let mut rows = vec![("start, loading and running", base)];
    for operator in OPERATORS.into_iter().filter(|operator| !BASE.contains(operator)) {
        rows.push((operator, with(&[operator])?.saturating_sub(base)));
    }
    let resnet8 = with(&RESNET8)?;
    println!("\nbytes of flash memory on {}, 8 bits, weights arranged `{}`", core.name, core.arrangement);
    rows.iter().for_each(|(name, bytes)| println!("{name:>28} {bytes:8}"));
    println!("{:>28} {resnet8:8}", "ResNet8's operators, in all");
    Ok(())
}

/// The program and the bytes that it loads into the flash memory.
fn size(toolchain: Toolchain, core: &Core, features: &[&str]) -> Result<(PathBuf, u64), Failure> {
    let flags = ["--package", "smallest", "--features", &features.join(",")];
    let path = super::build_with(toolchain, core, "examples/firmware", "smallest", &flags, None)?;
    let bytes = loaded_bytes(&path)?;
    Ok((path, bytes))
}

/// Bytes of all loadable segments of a 32-bit little-endian ELF file.
fn loaded_bytes(path: &Path) -> Result<u64, Failure> {
    let file = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let segments = || {
        let word = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?));
        let (list, count) = (word(28)? as usize, usize::from(u16::from_le_bytes(*file.get(44..)?.first_chunk()?)));
        // A segment's entry has 32 bytes: kind, offset, two addresses, bytes in the file.
        (0..count).map(|index| Some((word(list + index * 32)?, word(list + index * 32 + 16)?))).collect::<Option<Vec<_>>>()
    };
    let segments = segments().ok_or_else(|| format!("{} is no program", path.display()))?;
    const LOADABLE: u32 = 1;
    Ok(segments.iter().filter(|(kind, _)| *kind == LOADABLE).map(|(_, bytes)| u64::from(*bytes)).sum())
}
