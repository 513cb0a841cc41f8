//! Every reader of files is fed damaged ones: for two seconds each, or as many as `APQ_FUZZ_SECONDS` says.

use std::process::Command;

#[test]
fn no_damaged_file_makes_a_reader_fail() {
    let seconds = std::env::var("APQ_FUZZ_SECONDS").unwrap_or_else(|_| "2".into());
    let status = Command::new(env!("CARGO_BIN_EXE_apq-fuzz")).args(["--seconds", &seconds]).status().expect("the fuzzer starts");
    assert!(status.success(), "a reader failed; the fuzzer printed how to run the case again");
}
