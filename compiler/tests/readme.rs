//! The README's first command does what it says.

use std::path::Path;
use std::process::Command;

#[test]
fn the_first_command_meets_its_budget() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let prefix = "cargo run --release -p apqc -- ";
    let line = readme.lines().find_map(|line| line.trim().strip_prefix(prefix)).expect("the README's first command");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("textures.apq.d");
    let run = Command::new(env!("CARGO_BIN_EXE_apqc"))
        .args(line.split(' '))
        .args(["--format", "json", "-o"])
        .arg(&output)
        .arg("--cache")
        .arg(folder.path().join("cache"))
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(output.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["feasible"], true);
    let accuracy = |part: &str| report[part]["accuracy_top1"].as_f64().unwrap();
    assert!(accuracy("fp32") > 0.9, "{}", accuracy("fp32"));
    assert!(accuracy("result") > accuracy("fp32") - 0.02, "{} against {}", accuracy("result"), accuracy("fp32"));
}
