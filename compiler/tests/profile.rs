//! `apqc profile` and `apqc lut check` with runners that are no boards: this test program itself, and commands that fail.

use std::path::{Path, PathBuf};
use std::process::Command;

use apq_device::{Job, Unit};
use apq_profile::keys::layer_key;
use apq_protocol::Message;
use apq_protocol::frame::{FRAME_BYTES_MAX, Line};
use apq_runtime::Model;
use apq_runtime::build::AlignedBytes;
use object::{Object, ObjectSection};
use serde_json::Value;

/// What names the behaviour of [`the_fake_board`].
const BEHAVIOUR: &str = "APQ_TEST_BOARD";

/// Not a test: what `--runner` starts. Its last argument is the program with the job in it.
#[test]
#[ignore = "a board, run by the other tests"]
fn the_fake_board() {
    let Ok(behaviour) = std::env::var(BEHAVIOUR) else { return };
    let path = std::env::args().next_back().unwrap();
    let program = std::fs::read(path).unwrap();
    let file = object::File::parse(&*program).unwrap();
    let job = file.section_by_name(".job").unwrap().data().unwrap();
    let job = Job::read(job).unwrap();
    let bytes = AlignedBytes::from(job.model);
    let model = Model::new_checked(&bytes).unwrap();
    let say = |message: &Message<'_>| {
        let mut buffer = [0; FRAME_BYTES_MAX];
        println!("{}", Line::new(message, &mut buffer).unwrap());
    };
    match behaviour.as_str() {
        "silent" => std::thread::sleep(std::time::Duration::from_secs(60)),
        "broken" => {
            eprintln!("Error: no probe was found");
            std::process::exit(3);
        }
        _ => {}
    }
    let kernels = if behaviour == "other" { "newer" } else { "none" };
    let board = "fake-board";
    say(&Message::Hello { version: apq_protocol::VERSION, board, kernels, unit: Unit::Cycles, arena_bytes_max: 1 << 20 });
    let (arena_bytes, nodes) = (model.arena_bytes() as u32, model.node_count() as u16);
    say(&Message::Model { name: model.name(), arena_bytes, nodes, input_bytes: 1, output_bytes: 1 });
    let repeats = job.repeats;
    let of = |node: &apq_runtime::Node<'_>| layer_key(&model, node).map_or(100, |key| 100 + 2 * key.macs().unwrap_or(0));
    let counts: Vec<u64> = model.nodes().map(|node| of(&node)).collect();
    if job.wants.run {
        let count = counts.iter().sum::<u64>() * u64::from(repeats);
        say(&Message::Run { count, repeats });
    }
    if behaviour == "dies" && nodes > 8 {
        std::process::exit(1);
    }
    for (index, count) in counts.iter().enumerate() {
        say(&Message::Layer { index: index as u16, count: count * u64::from(repeats), repeats });
    }
    say(&Message::Done);
}

struct Sandbox(tempfile::TempDir);

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox(tempfile::tempdir().unwrap());
        std::fs::write(sandbox.path("board.elf"), program()).unwrap();
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the tool with this program as its runner, behaving as named.
    fn board(&self, behaviour: &str, line: &str) -> Ran {
        let runner = format!("{} --exact the_fake_board --ignored --nocapture", std::env::current_exe().unwrap().display());
        let mut command = self.command(line);
        command.env(BEHAVIOUR, behaviour).args(["--runner", &runner, "--firmware", "board.elf"]);
        ran(&mut command)
    }

    fn plain(&self, line: &str) -> Ran {
        ran(&mut self.command(line))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc"));
        command.current_dir(self.0.path()).args(line.split_whitespace()).args(["--format", "json", "-q"]);
        command
    }

    fn table(&self, name: &str) -> apq_lut::Table {
        apq_lut::Table::from_json(&std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A program for a 32-bit core that holds nothing but a place for a job.
fn program() -> Vec<u8> {
    use object::write::{Object as File, Symbol, SymbolSection};
    let mut file = File::new(object::BinaryFormat::Elf, object::Architecture::Arm, object::Endianness::Little);
    for (name, value) in [("_job_begin", 0x10_0000), ("_job_end", 0x20_0000)] {
        file.add_symbol(Symbol {
            name: name.into(),
            value,
            size: 0,
            kind: object::SymbolKind::Data,
            scope: object::SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Absolute,
            flags: object::SymbolFlags::None,
        });
    }
    file.write().unwrap()
}

fn assert_fails(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
    }
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
}

#[test]
fn a_board_is_measured_and_its_table_compiled_against() {
    let sandbox = Sandbox::new();
    let run = sandbox.board("works", "profile --target cortex-m4 --candidates w8a8 -o mine.json");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&result["board"], &result["unit"], &result["resumed"]), (&"fake-board".into(), &"cycles".into(), &0.into()));
    assert!(result["measured"].as_u64().unwrap() > 200 && result["skipped"].as_array().unwrap().is_empty(), "{result}");
    assert!(result["fit_error_max"].as_f64().unwrap() < 0.01, "{result}");
    let table = sandbox.table("mine.json");
    let (key, entry) = table.iter().next().unwrap();
    let (_, samples, mean, spread) = entry.provenance.counts().unwrap();
    assert_eq!((samples, mean, spread), (3, (100 + 2 * key.macs().unwrap()) as f64, 0.0));
    assert!(!sandbox.path("mine.json.part").exists());
    // Not a second time over it.
    let again = sandbox.board("works", "profile --target cortex-m4 --candidates w8a8 -o mine.json");
    assert_fails(&again, 2, &["mine.json is there already", "--force"]);
    // Every layer of a model is predicted exactly, or at least estimated.
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/apq/plain-w8a8.apq");
    std::fs::copy(model, sandbox.path("m.apq")).unwrap();
    let run = sandbox.board("works", "lut check --target cortex-m4 --lut mine.json m.apq");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let checked: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(checked["error_rel_max"].as_f64().unwrap() < 0.01 && checked["met"] == true, "{checked}");
    assert!(checked["models"][0]["layers"][0]["estimated"].is_boolean());
    // A table of one model's layers.
    let run = sandbox.board("works", "profile --target cortex-m4 m.apq -o model.json");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(sandbox.table("model.json").len() >= 3);
}

#[test]
fn what_a_failed_call_has_measured_is_not_lost_and_never_half_a_table() {
    let sandbox = Sandbox::new();
    let line = "profile --target cortex-m4 --candidates w4a8 -o t.json";
    // The first file is small enough for this board, a later one is not.
    let failed = sandbox.board("dies", line);
    assert_fails(&failed, 2, &["ended before the board had answered"]);
    assert!(!sandbox.path("t.json").exists());
    let run = sandbox.board("works", line);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let whole = std::fs::read(sandbox.path("t.json")).unwrap();
    // The same from a part.
    let table = sandbox.table("t.json");
    let mut part = apq_profile::measure::Counts::of(&table).table().unwrap().to_json().unwrap();
    let cut = part.match_indices('\n').nth(40).unwrap().0;
    let end = part.find("\n],\"not_modelled\"").unwrap();
    part.replace_range(cut - 1..end, "");
    std::fs::write(sandbox.path("t.json.part"), &part).unwrap();
    std::fs::remove_file(sandbox.path("t.json")).unwrap();
    let run = sandbox.board("works", line);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(result["resumed"], 40);
    assert_eq!(std::fs::read(sandbox.path("t.json")).unwrap(), whole);
    // Another firmware does not go on with it.
    std::fs::remove_file(sandbox.path("t.json")).unwrap();
    std::fs::write(sandbox.path("t.json.part"), part).unwrap();
    assert_fails(&sandbox.board("other", line), 2, &["the machine changed"]);
    let run = sandbox.board("other", &format!("{line} --force"));
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn boards_that_do_not_work_are_named() {
    let sandbox = Sandbox::new();
    let line = "profile --target cortex-m4 -o t.json";
    assert_fails(&sandbox.board("silent", &format!("{line} --timeout 1")), 2, &["has not answered for 1 s"]);
    assert_fails(&sandbox.board("broken", line), 2, &["no probe was found", "ended before"]);
    assert_fails(&sandbox.plain(line), 2, &["which board", "qemu:mps2-an386"]);
    assert_fails(&sandbox.plain(&format!("{line} --runner qemu:vax")), 2, &["`vax`", "mps2-an386"]);
    assert_fails(&sandbox.plain(&format!("{line} --runner probe-rs")), 2, &["--firmware"]);
    assert_fails(&sandbox.plain(&format!("{line} --runner no-such-tool --firmware board.elf")), 2, &["no-such-tool"]);
    assert_fails(
        &sandbox.plain(&format!("{line} --runner qemu:mps2-an386 --firmware none.elf")),
        2,
        &["none.elf", "cargo xtask firmware build"],
    );
    assert_fails(&sandbox.plain(&format!("{line} --port /dev/no-such-port")), 2, &["/dev/no-such-port"]);
    assert_fails(&sandbox.plain(&format!("{line} --port /dev/x --runner y")), 2, &["cannot be used with"]);
    let mut without = sandbox.command(&format!("{line} --runner qemu:mps2-an386 --firmware board.elf"));
    assert_fails(&ran(without.env("PATH", "/nowhere")), 2, &["qemu-system-arm", "missing"]);
    assert_fails(&sandbox.board("works", "profile --target cortex-m4 --candidates w5a5 -o t.json"), 2, &["w5a5"]);
    std::fs::write(sandbox.path("no.elf"), "text").unwrap();
    assert_fails(&sandbox.plain(&format!("{line} --runner true --firmware no.elf")), 2, &["no.elf", "ELF"]);
    assert!(!sandbox.path("t.json").exists() && !sandbox.path("t.json.part").exists());
}

#[test]
fn predictions_that_are_wrong_show() {
    let sandbox = Sandbox::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/apq/plain-w8a8.apq");
    std::fs::copy(model, sandbox.path("m.apq")).unwrap();
    // The built-in table of a real core is far from this board.
    let run = sandbox.board("works", "lut check --target cortex-m4 m.apq");
    assert_eq!(run.code, 1, "{}", run.stderr);
    let checked: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(checked["met"], false);
    assert_fails(&sandbox.board("works", "lut check --target host m.apq"), 3, &["no lookup table"]);
    std::fs::write(sandbox.path("m.onnx"), "x").unwrap();
    assert_fails(&sandbox.board("works", "lut check --target cortex-m4 m.onnx"), 2, &["not a compiled model"]);
}
