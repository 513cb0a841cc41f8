//! A C program on this machine, built by the C compiler with all its warnings, against the Rust runtime byte for byte.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use apq_runtime::{Model, Node, Observer, Session, TensorView};

/// Bytes at an address that is a multiple of 16.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(bytes: &[u8]) -> Aligned {
        let mut padded = vec![0; bytes.len() + 15];
        let start = padded.as_ptr().addr().wrapping_neg() % 16;
        padded[start..start + bytes.len()].copy_from_slice(bytes);
        Aligned { bytes: padded, start, length: bytes.len() }
    }

    fn get(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

/// The static library: cargo has just built it for this test, beside the test.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = fs::read_dir(test.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let libraries = built.filter(|path| name(path).starts_with("libapq_runtime_c") && name(path).ends_with(".a"));
    libraries.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).expect("libapq_runtime_c.a beside the test")
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn checked(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a program with this flag can be linked: the sanitizer's library is a package of its own in places.
fn takes(flag: &str, folder: &Path) -> bool {
    let source = folder.join("empty.c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let program = folder.join("empty");
    run(Command::new("cc").arg(flag).arg(&source).arg("-o").arg(&program)).status.success()
        && run(&mut Command::new(&program)).status.success()
}

/// Builds the C program; its compiler is the one that Rust links with.
fn program(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join("host");
    let mut command = Command::new("cc");
    command.args([
        "-std=c11",
        "-D_POSIX_C_SOURCE=200809L",
        "-O1",
        "-g",
        "-pedantic",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wconversion",
        "-Wshadow",
    ]);
    if takes("-fsanitize=address,undefined", folder) {
        command.arg("-fsanitize=address,undefined");
    } else {
        println!("without the address sanitizer: this compiler does not have it");
    }
    command.arg("-I").arg(root.join("include")).arg(root.join("tests/c/host.c")).arg(library());
    command.args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program);
    checked(&mut command);
    program
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Prints each layer as the C program does.
struct Lines(String);

impl Observer for Lines {
    fn after(&mut self, _: usize, node: &Node<'_>, output: &TensorView<'_>) {
        writeln!(self.0, "layer {} {}  {}", node.name, node.operator.name(), hex(output.bytes())).unwrap();
    }
}

/// What the C program must print.
fn expected(file: &[u8], input: &[u8]) -> String {
    let mut file = Aligned::new(file);
    let model = Model::new_checked(file.get()).unwrap();
    let mut arena = Aligned::new(&vec![0; model.arena_bytes()]);
    let mut session = Session::new(&model, arena.get()).unwrap();
    let (from, to) = (model.input().unwrap(), model.output().unwrap());
    let mut text = format!("version {} {}\n", env!("CARGO_PKG_VERSION"), apq_runtime::FORMAT_VERSION);
    writeln!(text, "model {} {} {}", model.name(), model.arena_bytes(), model.node_count()).unwrap();
    for (name, tensor) in [("input", &from.tensor), ("output", &to.tensor)] {
        let (bits, zero_point, scale) = (tensor.bits.bits(), tensor.zero_point, tensor.scale.to_bits());
        let (elements, bytes) = (tensor.shape.elements(), tensor.bytes());
        writeln!(text, "{name} {} {} {bits} bits {scale:08x} {zero_point} {elements} {bytes}", tensor.name, tensor.shape).unwrap();
    }
    writeln!(text, "kind {} {} {}", from.raw_type as i32, to.classes, u8::from(to.softmax_removed)).unwrap();

    session.write_input_u8(input).unwrap();
    session.run(&mut ());
    writeln!(text, "u8 {}", hex(session.output_bytes())).unwrap();
    session.write_input_i8(&input.iter().map(|&byte| byte as i8).collect::<Vec<_>>()).unwrap();
    session.run(&mut ());
    writeln!(text, "i8 {}", hex(session.output_bytes())).unwrap();
    session.write_input_f32(&input.iter().map(|&byte| f32::from(byte) / 64.0 - 2.0).collect::<Vec<_>>()).unwrap();
    let mut lines = Lines(String::new());
    session.run(&mut lines);
    text += &lines.0;
    writeln!(text, "f32 {}", hex(session.output_bytes())).unwrap();
    for (place, &byte) in session.input_codes_mut().iter_mut().zip(input.iter().cycle()) {
        *place = byte;
    }
    session.run(&mut ());
    for name in ["place", "packed", "there"] {
        writeln!(text, "{name} {}", hex(session.output_bytes())).unwrap();
    }
    writeln!(text, "argmax {}", session.argmax()).unwrap();
    let mut values = vec![0.0; to.tensor.shape.elements()];
    session.read_output_f32(&mut values).unwrap();
    for (code, value) in session.output_codes().zip(values) {
        writeln!(text, "value {code} {:08x}", value.to_bits()).unwrap();
    }
    text
}

#[test]
fn a_c_program_gets_the_codes_of_the_runtime_and_a_status_for_every_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/apq");
    let mut models: Vec<PathBuf> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    models.sort();
    assert!(models.len() >= 2, "{}", corpus.display());
    for path in models {
        let file = fs::read(&path).unwrap();
        let elements = {
            let mut file = Aligned::new(&file);
            Model::new_checked(file.get()).unwrap().input().unwrap().tensor.shape.elements()
        };
        let input: Vec<u8> = (0..elements).map(|index| (index * 89 + index * index % 57) as u8).collect();
        let input_file = folder.path().join("input");
        fs::write(&input_file, &input).unwrap();
        let printed = checked(Command::new(&program).arg(&path).arg(&input_file));
        assert_eq!(printed, expected(&file, &input), "{}", path.display());
    }
}
