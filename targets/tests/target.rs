//! Target descriptions: built in, from TOML, and the ones that are refused.

use apq_lut::{Candidate, Operator};
use apq_targets::{CostSource, Target, TargetError};

const BOARD: &str = r#"
name = "board"
description = "a board"
clock_hz = 48000000
cost = "table"
table = "board.lut.json"
candidates = ["w4a8", "w8a8"]

[memory]
flash_bytes = 262144

[[kernels]]
operators = ["conv", "fully_connected"]
weight_bits = [4, 8]
activation_bits = [8]

[[kernels]]
operators = ["conv"]
weight_bits = [8]
activation_bits = [8]
arrangement = "pairs"

[[kernels]]
operators = ["add", "max_pool"]
activation_bits = [8, 16]
"#;

fn error(text: &str) -> TargetError {
    Target::from_toml(text).unwrap_err()
}

fn replaced(from: &str, to: &str) -> TargetError {
    assert!(BOARD.contains(from), "{from}");
    error(&BOARD.replacen(from, to, 1))
}

#[test]
fn a_description_is_read() {
    let target = Target::from_toml(BOARD).unwrap();
    assert_eq!(target.name(), "board");
    assert_eq!(target.clock_hz(), 48_000_000);
    assert_eq!(target.cost_source(), CostSource::Table);
    assert_eq!(target.table_file(), Some("board.lut.json"));
    assert_eq!(target.memory().flash_bytes, Some(262_144));
    assert_eq!(target.memory().ram_bytes, None);
    assert_eq!(target.candidates().len(), 2);

    let other: Operator = "max_pool".parse().unwrap();
    assert!(target.kernel_supports(&Operator::Conv, 4, 8));
    assert!(!target.kernel_supports(&Operator::Conv, 6, 8));
    assert!(!target.kernel_supports(&Operator::Conv, 8, 16));
    assert!(!target.kernel_supports(&Operator::Depthwise, 8, 8));
    assert!(target.kernel_supports(&Operator::Add, 2, 16), "weights do not matter to add");
    assert!(!target.kernel_supports(&Operator::Add, 8, 4));
    assert!(target.kernel_supports(&other, 8, 8));
    let arrangements: Vec<_> = target.arrangements(&Operator::Conv, 8, 8).collect();
    assert_eq!(arrangements, ["row-major", "pairs"]);
}

#[test]
fn what_is_missing_is_listed() {
    let target = Target::from_toml(BOARD).unwrap();
    let lines = target.not_supported();
    let of = |operator: Operator| -> Vec<(Vec<u8>, Vec<u8>)> {
        lines.iter().filter(|line| line.operator == operator).map(|line| (line.weight_bits.clone(), line.activation_bits.clone())).collect()
    };
    let all = vec![2, 4, 6, 8, 16];
    assert_eq!(of(Operator::Conv), [(vec![2, 6, 16], all.clone()), (vec![4, 8], vec![2, 4, 6, 16])]);
    assert_eq!(of(Operator::Depthwise), [(all.clone(), all.clone())]);
    assert_eq!(of(Operator::Add), [(vec![], vec![2, 4, 6])]);
    assert_eq!(of(Operator::Softmax), [(vec![], all)]);
    // Nothing is both supported and not.
    for line in &lines {
        for &activation_bits in &line.activation_bits {
            for &weight_bits in line.weight_bits.iter().chain(&[8]).take(line.weight_bits.len().max(1)) {
                assert!(!target.kernel_supports(&line.operator, weight_bits, activation_bits));
            }
        }
    }
}

#[test]
fn built_in_targets() {
    assert_eq!(
        Target::builtin_names(),
        ["bitfusion", "cortex-m0", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7", "host", "rv32"]
    );
    for &name in Target::builtin_names() {
        let target = Target::builtin(name).unwrap();
        assert_eq!(target.name(), name);
        for operator in Operator::NAMED {
            for weight_bits in [2, 4, 6, 8] {
                for activation_bits in [2, 4, 6, 8, 16] {
                    assert!(target.kernel_supports(&operator, weight_bits, activation_bits), "{operator}");
                }
            }
        }
    }
    let names = |name: &str| -> Vec<String> {
        let target = Target::builtin(name).unwrap();
        target.candidates().iter().map(Candidate::to_string).collect()
    };
    assert_eq!(names("bitfusion"), ["w4a4", "w4a6", "w4a8", "w6a6", "w6a8", "w8a8"]);
    assert_eq!(names("cortex-m4"), ["w2a8", "w4a8", "w8a8", "w8a16"]);
    assert_eq!(names("host"), ["w2a8", "w4a8", "w8a8", "w8a16"]);
    let m4 = Target::builtin("cortex-m4").unwrap();
    assert_eq!(m4.memory().flash_bytes, Some(524_288));
    assert_eq!(m4.memory().ram_bytes, Some(131_072));
    assert_eq!(m4.cost_source(), CostSource::Table);
    let bitfusion = Target::builtin("bitfusion").unwrap();
    assert_eq!(bitfusion.cost_source(), CostSource::BitFusion);
    assert_eq!(bitfusion.clock_hz(), 500_000_000);
}

#[test]
fn text_and_back() {
    for &name in Target::builtin_names() {
        let target = Target::builtin(name).unwrap();
        let text = target.to_toml().unwrap();
        assert_eq!(Target::from_toml(&text), Ok(target), "{text}");
    }
    let board = Target::from_toml(BOARD).unwrap();
    assert_eq!(Target::from_toml(&board.to_toml().unwrap()), Ok(board));
}

#[test]
fn an_unknown_name_is_told_the_known_ones() {
    let error = Target::builtin("cortex-m9").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no target `cortex-m9`; known: bitfusion, cortex-m0, cortex-m3, cortex-m33, cortex-m4, cortex-m55, cortex-m7, host, rv32"
    );
}

#[test]
fn what_is_not_a_description_is_refused_with_its_place() {
    // A field that is missing has no place but the table's.
    let cases: [(&str, u32); 14] = [
        ("", 1),
        ("name = ", 1),
        ("name = \"x\"\nname = \"y\"", 2),
        (&BOARD.replacen("clock_hz = 48000000", "", 1), 1),
        (&BOARD.replacen("clock_hz = 48000000", "clock_hz = -1", 1), 4),
        (&BOARD.replacen("clock_hz = 48000000", "clock_hz = \"fast\"", 1), 4),
        (&BOARD.replacen("clock_hz", "clock_mhz", 1), 4),
        (&BOARD.replacen("cost = \"table\"", "cost = \"guess\"", 1), 5),
        (&BOARD.replacen("w4a8", "w5a8", 1), 7),
        (&BOARD.replacen("w4a8", "8/8", 1), 7),
        (&BOARD.replacen("flash_bytes", "rom_bytes", 1), 10),
        (&BOARD.replacen("weight_bits = [4, 8]", "weight_bits = [4, 256]", 1), 14),
        (&BOARD.replacen("arrangement", "order", 1), 21),
        (&BOARD.replacen("\"add\"", "\"add two\"", 1), 24),
    ];
    for (bad, line) in cases {
        let error = error(bad);
        assert!(matches!(error, TargetError::Toml(_)), "{bad}\n{error}");
        assert!(error.to_string().contains(&format!("at line {line}, column ")), "{bad}\n{error}");
    }
}

#[test]
fn fields_that_cannot_be_are_refused() {
    for (from, to) in [
        ("name = \"board\"", "name = \" \""),
        ("48000000", "0"),
        ("262144", "0"),
        ("cost = \"table\"", "cost = \"bops\""),
        ("[\"w4a8\", \"w8a8\"]", "[]"),
        ("[\"w4a8\", \"w8a8\"]", "[\"w8a8\", \"w8a8\"]"),
    ] {
        let error = replaced(from, to);
        assert!(matches!(error, TargetError::Field { .. }), "{to}: {error}");
    }
}

#[test]
fn candidates_that_no_kernel_runs_are_refused() {
    for candidate in ["w2a8", "w8a16", "w16a8"] {
        let error = replaced("w4a8", candidate);
        assert_eq!(error.to_string(), format!("target `board`: no row of the kernel table can run candidate {candidate}"));
    }
    let none = &BOARD[..BOARD.find("[[kernels]]").unwrap()];
    let none = none.replacen("candidates", "kernels = []\ncandidates", 1);
    assert!(matches!(error(&none), TargetError::CandidateWithoutKernel { .. }));
}

#[test]
fn kernels_said_twice_are_refused() {
    let error = replaced("arrangement = \"pairs\"", "");
    assert_eq!(error.to_string(), "the kernel table has conv w8 a8 row-major twice");
    let error = replaced("[8, 16]", "[8, 8]");
    assert_eq!(error.to_string(), "the kernel table has add a8 row-major twice");
    let error = replaced("\"conv\", \"fully_connected\"", "\"conv\", \"conv\"");
    assert!(matches!(error, TargetError::DuplicateKernel { .. }));
}

#[test]
fn rows_that_say_nothing_or_too_much_are_refused() {
    for (from, to, number) in [
        ("operators = [\"conv\"]", "operators = [\"convolution\"]", 2),
        ("operators = [\"conv\"]", "operators = []", 2),
        ("activation_bits = [8, 16]", "activation_bits = []", 3),
        ("weight_bits = [4, 8]", "weight_bits = []", 1),
        ("weight_bits = [4, 8]", "weight_bits = [4, 7]", 1),
        ("activation_bits = [8, 16]", "activation_bits = [8, 32]", 3),
        ("activation_bits = [8, 16]", "activation_bits = [8, 16]\nweight_bits = [8]", 3),
        ("operators = [\"conv\"]", "operators = [\"conv\", \"add\"]", 2),
        ("arrangement = \"pairs\"", "arrangement = \"\"", 2),
    ] {
        let error = replaced(from, to);
        assert!(matches!(error, TargetError::KernelRow { number: n, .. } if n == number), "{to}: {error}");
    }
}

#[test]
fn search_exclusions_name_layers() {
    let text = format!("{BOARD}\n[[search_exclusions]]\noperators = [\"depthwise\", \"add\"]\nkernel = [5, 3]\nweight_bits = [2, 4]\n");
    let target = Target::from_toml(&text).unwrap();
    assert_eq!(Target::from_toml(&target.to_toml().unwrap()).unwrap(), target);
    let excludes = |operator, kernel, w, a| target.search_excludes(&operator, kernel, Candidate::new(w, a).unwrap());
    assert!(excludes(Operator::Depthwise, [5, 3], 4, 16) && excludes(Operator::Add, [5, 3], 8, 8), "a sum has no weights");
    assert!(!excludes(Operator::Depthwise, [5, 3], 8, 8) && !excludes(Operator::Depthwise, [3, 5], 4, 8));
    assert!(!excludes(Operator::Conv, [5, 3], 4, 8));
    assert!(!target.kernel_supports(&Operator::Depthwise, 8, 8), "an exclusion adds no kernel");
    for (from, to) in [
        ("[\"depthwise\", \"add\"]", "[]"),
        ("kernel = [5, 3]\nweight_bits = [2, 4]", ""),
        ("kernel = [5, 3]", "kernel = [0, 3]"),
        ("weight_bits = [2, 4]", "weight_bits = [2, 3]"),
    ] {
        let error = Target::from_toml(&text.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(error, TargetError::Exclusion { number: 1, .. }), "{to}: {error}");
    }
}

#[test]
fn every_core_answers_for_the_layers_of_any_network_at_its_candidates() {
    use apq_lut::{CostModel, LayerKey};
    for &name in Target::builtin_names().iter().filter(|name| name.starts_with("cortex-") || **name == "rv32") {
        let target = Target::builtin(name).unwrap();
        let table = target.builtin_table().unwrap().unwrap();
        let counter = table.profile().unwrap().counter();
        assert_eq!((counter.board.as_str(), counter.unit.name(), counter.clock_hz), (name, "instructions", target.clock_hz()));
        for &bits in target.candidates() {
            let conv = |channels, kernel| LayerKey::conv([23, 17], channels, 19, [kernel; 2], [1, 1], [0; 4], bits).unwrap();
            let depthwise = LayerKey::depthwise([23, 17], 24, [5, 5], [2, 2], [2; 4], bits).unwrap();
            let keys = [conv(3, 3), conv(24, 3), conv(24, 1), depthwise, LayerKey::fully_connected(1, 300, 7, bits)];
            for key in keys {
                let cost = table.cost(&key).unwrap();
                assert!(cost.cycles.is_none() && cost.latency_ns.unwrap() > 1e3 && table.estimates(&key), "{name}: {key}");
            }
        }
    }
}
