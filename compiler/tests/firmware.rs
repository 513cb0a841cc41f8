//! The C example, and the Rust example that embeds a model, on an emulated Cortex-M4, against the runtime on this machine byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use apq_runtime::build::AlignedBytes;
use apq_runtime::{Model, Session};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether the compiler and the emulator are there. Continuous integration installs them.
fn tools_are_there() -> bool {
    let missing: Vec<&str> = ["make", "arm-none-eabi-gcc", "qemu-system-arm"]
        .into_iter()
        .filter(|tool| Command::new(tool).arg("--version").output().is_err())
        .collect();
    if missing.is_empty() {
        return true;
    }
    let message = format!("skipped: there is no {}; `cargo xtask setup` installs them", missing.join(", "));
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
    println!("{message}");
    false
}

fn make(build: &Path, variables: &[String]) -> Output {
    let mut command = Command::new("make");
    command.arg("run").args(variables).arg(format!("BUILD={}", build.display())).arg(format!("APQC={}", env!("CARGO_BIN_EXE_apqc")));
    if let Some(cargo) = std::env::var_os("CARGO") {
        command.arg(format!("CARGO={}", Path::new(&cargo).display()));
    }
    command.stdin(Stdio::null()).current_dir(root().join("examples/firmware-c")).output().unwrap()
}

/// The line of each sample, as the program prints it, up to the class.
fn expected(file: &[u8], samples: &[u8]) -> Vec<String> {
    let file = AlignedBytes::from(file);
    let model = Model::new_checked(&file).unwrap();
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::new(&model, &mut arena).unwrap();
    let elements = session.input().shape.elements();
    let line = |(index, sample): (usize, &[u8])| {
        session.write_input_u8(sample).unwrap();
        session.run(&mut ());
        let codes: String = session.output_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sample {index} layers {} codes {codes} class {}", model.node_count(), session.argmax())
    };
    samples.chunks(elements).enumerate().map(line).collect()
}

/// The lines of samples that the run printed, without labels.
fn printed(run: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}{}", String::from_utf8_lossy(&run.stderr));
    let first_words = |line: &str| line.split(' ').take(8).collect::<Vec<_>>().join(" ");
    text.lines().filter(|line| line.starts_with("sample ")).map(first_words).collect()
}

#[test]
fn a_c_program_on_a_cortex_m4_gets_the_codes_of_this_machine() {
    if !tools_are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let build = folder.path().join("textures");
    let run = make(&build, &[]);
    let samples = fs::read(root().join("examples/textures/textures.samples.bin")).unwrap();
    let model = fs::read(build.join("textures.apq.d/model.apq")).unwrap();
    assert_eq!(printed(&run), expected(&model, &samples));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    // The images are one of each class, and this network knows most of them.
    let right =
        text.lines().filter(|line| line.contains("class ")).enumerate().filter(|(index, line)| line.contains(&format!("class {index} ")));
    assert!(right.count() >= 8, "{text}");
    assert!(text.contains("horizontal stripes"), "{text}");

    // What the program is linked from again: only the model differs.
    for name in ["plain-w4a4", "branches-w8a8"] {
        let model = root().join("fuzz/corpus/apq").join(name).with_extension("apq");
        let file = fs::read(&model).unwrap();
        let elements = Model::new_checked(&AlignedBytes::from(&*file)).unwrap().input().unwrap().tensor.shape.elements();
        let samples: Vec<u8> = (0..3 * elements).map(|index| (index * 151 + index / 7) as u8 % 4).collect();
        let samples_file = folder.path().join("samples");
        fs::write(&samples_file, &samples).unwrap();
        let variables = [format!("MODEL={}", model.display()), format!("SAMPLES={}", samples_file.display())];
        let build = folder.path().join(name);
        assert_eq!(printed(&make(&build, &variables)), expected(&file, &samples), "{name}");

        fs::write(&samples_file, &samples[1..]).unwrap();
        let cut = make(&build, &variables);
        assert!(!cut.status.success() && String::from_utf8_lossy(&cut.stdout).contains("ends within a sample"), "{cut:?}");
        let absent = make(&build, &[variables[0].clone(), "SAMPLES=no-such-file".into()]);
        assert!(!absent.status.success() && String::from_utf8_lossy(&absent.stdout).contains("no file of samples"), "{absent:?}");
    }
}

/// The tool; it must succeed.
fn apqc(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_apqc")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `cargo` in the folder of the Rust example, with an exported model and an input.
fn embed(command: &str, export: &Path, input: &Path) -> Output {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut run = Command::new(cargo);
    run.args(["xtask", "firmware", "cargo", "cortex-m4", "examples/firmware-embed", command, "--release", "--quiet"]);
    run.current_dir(root()).env("APQ_EXPORT", export).env("APQ_INPUT", input).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_rust_program_on_a_cortex_m4_embeds_a_model_and_blinks_its_class() {
    if !tools_are_there() {
        return;
    }
    const CLASS: usize = 2;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).display().to_string();
    let compile = "compile examples/textures/textures.onnx --target cortex-m4 --candidates w8a8 --cache";
    apqc(&[&compile.split(' ').collect::<Vec<_>>()[..], &[&text("cache"), "-o", &text("textures")]].concat());
    let model = text("textures/model.apq");
    apqc(&["export", &model, "--as", "rust", "--name", "model", "--labels", "examples/textures/textures.json", "-o", &text("export")]);
    let samples = fs::read(root().join("examples/textures/textures.samples.bin")).unwrap();
    let sample = samples.chunks(16 * 16 * 3).nth(CLASS).unwrap();
    fs::write(path("input"), sample).unwrap();

    let run = embed("run", &path("export"), &path("input"));
    let printed = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{printed}{}", String::from_utf8_lossy(&run.stderr));
    let expected = expected(&fs::read(&model).unwrap(), sample);
    let codes = expected[0].split(' ').nth(5).unwrap();
    let line = format!("textures: codes {codes} class {CLASS} vertical stripes");
    assert!(printed.lines().any(|printed| printed == line), "{printed} has no line {line}");

    // What the program wrote to the register of the lights.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let program = target.join("firmware/cortex-m4/thumbv7em-none-eabihf/release/firmware-embed");
    let mut emulator = Command::new("qemu-system-arm");
    emulator.args(["-machine", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none", "-trace", "mps2_fpgaio_write"]);
    emulator.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(program).arg("-D").arg(path("trace"));
    assert!(emulator.stdin(Stdio::null()).output().unwrap().status.success());
    let trace = fs::read_to_string(path("trace")).unwrap();
    let writes: Vec<&str> = trace.lines().filter_map(|line| line.split("offset 0x0 data ").nth(1)?.split_whitespace().next()).collect();
    assert_eq!(writes, ["0x1", "0x0"].repeat(CLASS + 1), "{trace}");

    let absent = embed("build", &path("nowhere"), &path("input"));
    let message = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert!(!absent.status.success() && message.contains("apqc export MODEL.apq --as rust"), "{message}");
    fs::write(path("input"), &sample[1..]).unwrap();
    let short = embed("build", &path("export"), &path("input"));
    let message = String::from_utf8_lossy(&short.stderr).into_owned();
    assert!(!short.status.success() && message.contains("APQ_INPUT has fewer bytes"), "{message}");
}
