//! The README's commands do what it says.

use std::path::Path;
use std::process::Command;

/// The report of the first command of the README that begins with `start`, `more` at its end.
fn report(start: &str, more: &[&str]) -> serde_json::Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let line = readme.lines().find(|line| line.trim().starts_with(start)).expect("a command of the README");
    let (_, line) = line.split_once("compile ").unwrap();
    let line = line.split(" -o ").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("model.apq.d");
    let run = Command::new(env!("CARGO_BIN_EXE_apqc"))
        .arg("compile")
        .args(line.split(' '))
        .args(more)
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
    report
}

#[test]
fn the_first_command_meets_its_budget() {
    let report = report("cargo run --release -p apqc -- compile ", &[]);
    let accuracy = |part: &str| report[part]["accuracy_top1"].as_f64().unwrap();
    assert!(accuracy("fp32") > 0.9, "{}", accuracy("fp32"));
    assert!(accuracy("result") > accuracy("fp32") - 0.02, "{} against {}", accuracy("result"), accuracy("fp32"));
}

#[test]
fn a_supernet_is_searched_under_its_budget() {
    // Less of a search than a user's.
    let report = report("apqc compile --target bitfusion --latency 0.2ms examples/fashion", &["--iterations", "60", "--designs", "2"]);
    let accuracy = |part: &str| report[part]["accuracy_top1"].as_f64().unwrap();
    assert!(accuracy("fp32") > 0.91 && accuracy("result") > 0.91, "{} {}", accuracy("fp32"), accuracy("result"));
    // What the search believed the winner to cost is what its lowered file costs.
    let candidates = report["supernet"]["candidates"].as_array().unwrap();
    let winner = candidates.iter().find(|one| one["chosen"] == true).unwrap();
    for cost in ["latency_ms", "energy_mj"] {
        assert_eq!(winner[cost], report["result"][cost], "{cost}");
    }
}
