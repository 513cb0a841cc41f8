//! Everything that has to hold before a change is taken.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::{Failure, firmware, libtorch, no_std, process, python, tools, trainer};

/// How much is checked.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Extent {
    /// Everything.
    Full,
    /// Without the no_std builds and the documentation, and without the trainer where libtorch is not there yet.
    Quick,
}

/// Runs every check, the tests last. A check that fails does not keep the later ones from running, so that one run tells all. The sums over
/// the tests are the last line, whatever happened.
pub(crate) fn run(extent: Extent) -> ExitCode {
    let mut failures = Vec::new();
    let mut step = |title: &str, check: &mut dyn FnMut() -> Result<(), Failure>| {
        println!("\n== {title}");
        let start = Instant::now();
        match check() {
            Ok(()) => println!("== {title}: passed in {:.0} s", start.elapsed().as_secs_f64()),
            Err(failure) => {
                println!("== {title}: FAILED: {failure}");
                failures.push(format!("{title}: {failure}"));
            }
        }
    };
    let mut python = None;
    step("tools", &mut tools::install);
    step("onnxruntime", &mut || {
        python = Some(python::install()?);
        Ok(())
    });
    step("microcontrollers", &mut firmware::install_all);
    step("formatting", &mut || cargo(&["fmt", "--all", "--check"]));
    step("clippy", &mut || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    if extent == Extent::Full {
        step("no_std", &mut no_std::run);
        step("documentation", &mut || {
            process::run(process::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
        });
    }
    step("firmware", &mut || firmware::check(extent == Extent::Full));
    let mut tally = Tally::default();
    step("tests", &mut || tests(python.as_deref(), &mut tally));
    // Half a gigabyte that nobody asked for is fetched where nobody waits.
    if libtorch::present().is_some() || (extent == Extent::Full && std::env::var_os("CI").is_some()) {
        step("trainer", &mut || trainer::check(|line| tally.add(line)));
    } else {
        println!("trainer: skipped, there is no libtorch; `cargo xtask libtorch` fetches it");
    }

    for failure in &failures {
        println!("FAILED {failure}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    process::run(process::cargo().args(arguments))
}

fn tests(python: Option<&Path>, tally: &mut Tally) -> Result<(), Failure> {
    let mut command = process::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if let Some(python) = python {
        command.env("APQ_PYTHON", python);
    }
    process::run_lines(&mut command, |line| tally.add(line))?;
    if tally.passed == 0 { Err("no test ran".into()) } else { Ok(()) }
}

/// Sums over all test programs.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds a line such as `test result: ok. 5 passed; 0 failed; 1 ignored; ...`; other lines count nothing.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for count in counts.split("; ") {
            match count.split_once(' ').map(|(number, kind)| (number.parse::<u64>(), kind)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_summed() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
            "test a_test_result: ok. 9 passed; 9 failed ... ok",
            "",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 15, failed: 2 });
    }
}
