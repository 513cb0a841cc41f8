//! Firmware holds no panicking code: the symbols of the smallest program that runs a model, with every operator, arrangement and width.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::{Object as _, ObjectSymbol as _};

/// Every operator, arrangement and width.
const EVERYTHING: [&str; 1] = ["full"];

/// Builds the program for a core.
fn program(core: &str, features: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(["xtask", "firmware", "size", core, "--"]).args(features).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().expect("cargo");
    assert!(output.status.success(), "{core}: {}", output.status);
    // The last line is the program's path.
    String::from_utf8_lossy(&output.stdout).lines().last().map(PathBuf::from).expect("the program's path")
}

/// Names of the functions that panicking code consists of.
fn panicking(program: &Path) -> Vec<String> {
    let bytes = std::fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let file = object::File::parse(&*bytes).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let names: Vec<String> = file.symbols().filter_map(|symbol| symbol.name().ok().map(String::from)).collect();
    assert!(names.iter().any(|name| name.contains("apq_runtime")), "{} has no symbols", program.display());
    names.into_iter().filter(|name| ["panicking", "unwrap_failed", "_fail"].iter().any(|part| name.contains(part))).collect()
}

#[test]
fn no_core_s_firmware_can_panic() {
    for core in ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55", "rv32"] {
        let found = panicking(&program(core, &EVERYTHING));
        assert!(found.is_empty(), "{core}: {found:?}");
    }
}

/// Flash memory of ResNet8 at 8 bits: runtime, kernels, start, and what the compiler brings.
#[test]
fn operators_that_no_model_needs_are_not_linked() {
    let bytes = |features: &[&str]| std::fs::metadata(program("cortex-m4", features)).map_or(0, |file| file.len());
    let resnet8 = bytes(&["conv", "add", "average-pool", "fully-connected", "pairs", "weights-8", "activations-8"]);
    let all = bytes(&EVERYTHING);
    assert!(resnet8 > 0 && resnet8 * 5 < all * 4, "{resnet8} of {all} bytes");
}
