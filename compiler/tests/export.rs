//! Exports of compiled models: compiled, linted, formatted and read back by the tools that they are for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A small classifier, compiled.
const MODEL: &str = "fuzz/corpus/apq/plain-w4a4.apq";

/// Runs the tool; its exit code, stdout and stderr.
fn apqc(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_apqc")).args(arguments).current_dir(root()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Exports `model` to a fresh folder.
fn export(model: &str, form: &str, more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let mut arguments = vec!["export", model, "--as", form, "-o", output.to_str().unwrap()];
    arguments.extend(more);
    let (code, _, stderr) = apqc(&arguments);
    assert_eq!(code, 0, "{stderr}");
    (folder, output)
}

fn checked(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What `apqc inspect` says about the model.
fn inspected(model: &str) -> Value {
    let (code, stdout, stderr) = apqc(&["inspect", model, "--format", "json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// Labels that no language takes as they are, one for each output.
fn odd_labels(folder: &Path, outputs: usize) -> PathBuf {
    let labels: Vec<String> = (0..outputs).map(|index| format!("\"{index}\\ ??/ */ é\n{{}}")).collect();
    let path = folder.join("labels.json");
    fs::write(&path, serde_json::json!({ "classes": labels }).to_string()).unwrap();
    path
}

fn outputs(inspection: &Value) -> usize {
    inspection["output"]["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).product()
}

/// The lines that both programs print.
fn expected(inspection: &Value, bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    let mut text = format!("{} {} {sum} 0\n", bytes.len(), inspection["arena_bytes"]);
    for role in ["input", "output"] {
        let port = &inspection[role];
        let sizes: Vec<String> = port["shape"].as_array().unwrap().iter().map(Value::to_string).collect();
        let scale = (port["scale"].as_f64().unwrap() as f32).to_bits();
        let name = port["name"].as_str().unwrap();
        text += &format!("{name} {} {} {scale:08x} {}\n", sizes.join("x"), port["bits"], port["zero_point"]);
    }
    for index in 0..outputs(inspection) {
        text += &format!("\"{index}\\ ??/ */ é\n{{}}\n");
    }
    text
}

const C_MAIN: &str = r#"
#include <stdio.h>
#include <string.h>
#include "net.h"

static void port(const char *name, const int *shape, int rank, int bits, float scale, int zero_point) {
    unsigned word;
    int axis;
    memcpy(&word, &scale, sizeof word);
    printf("%s ", name);
    for (axis = 0; axis < rank; axis++) printf("%s%d", axis == 0 ? "" : "x", shape[axis]);
    printf(" %d %08x %d\n", bits, word, zero_point);
}

int main(void) {
    static const int input[NET_INPUT_RANK] = NET_INPUT_SHAPE, output[NET_OUTPUT_RANK] = NET_OUTPUT_SHAPE;
    unsigned sum = 0;
    size_t i;
    for (i = 0; i < sizeof net_model; i++) sum = sum * 31u + net_model[i];
    printf("%d %d %u %d\n", NET_MODEL_BYTES, NET_ARENA_BYTES, sum, (int)((size_t)net_model % NET_ALIGNMENT));
    port(NET_INPUT_NAME, input, NET_INPUT_RANK, NET_INPUT_BITS, NET_INPUT_SCALE, NET_INPUT_ZERO_POINT);
    port(NET_OUTPUT_NAME, output, NET_OUTPUT_RANK, NET_OUTPUT_BITS, NET_OUTPUT_SCALE, NET_OUTPUT_ZERO_POINT);
    for (i = 0; i < NET_LABELS; i++) printf("%s\n", net_labels[i]);
    return 0;
}
"#;

#[test]
fn c_compiles_without_a_warning_and_says_what_the_file_says() {
    let inspection = inspected(MODEL);
    let scratch = tempfile::tempdir().unwrap();
    let labels = odd_labels(scratch.path(), outputs(&inspection));
    let (_folder, out) = export(MODEL, "c", &["--name", "net", "--labels", labels.to_str().unwrap()]);
    fs::write(out.join("main.c"), C_MAIN).unwrap();
    for standard in ["-std=c99", "-std=c11", "-std=gnu17"] {
        let mut command = Command::new("cc");
        command.args([standard, "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wundef", "-Wtrigraphs"]);
        checked(command.args(["net.c", "main.c", "-o", "main"]).current_dir(&out));
        let printed = checked(Command::new("./main").current_dir(&out));
        assert_eq!(printed, expected(&inspection, &fs::read(root().join(MODEL)).unwrap()), "{standard}");
    }
}

const RUST_MAIN: &str = r#"//! Prints what the model's module says.

mod net;

fn port(tensor: &net::Tensor) {
    let sizes: Vec<String> = tensor.shape.iter().map(|size| size.to_string()).collect();
    assert_eq!(tensor.elements, tensor.shape.iter().product::<usize>());
    println!("{} {} {} {:08x} {}", tensor.name, sizes.join("x"), tensor.bits, tensor.scale.to_bits(), tensor.zero_point);
}

fn main() {
    static ARENA: net::Arena = net::Arena::zeroed();
    let sum = net::MODEL.iter().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    let place = (net::MODEL.as_ptr().addr() | ARENA.0.as_ptr().addr()) % 16;
    println!("{} {} {sum} {place}", net::MODEL_BYTES, net::ARENA_BYTES);
    port(&net::INPUT);
    port(&net::OUTPUT);
    net::LABELS.iter().for_each(|label| println!("{label}"));
}
"#;

#[test]
fn rust_is_formatted_and_without_a_lint_and_says_what_the_file_says() {
    let inspection = inspected(MODEL);
    let scratch = tempfile::tempdir().unwrap();
    let labels = odd_labels(scratch.path(), outputs(&inspection));
    let (_folder, out) = export(MODEL, "rust", &["--name", "net", "--labels", labels.to_str().unwrap()]);
    fs::write(out.join("main.rs"), RUST_MAIN).unwrap();
    let manifest = "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[[bin]]\nname = \"user\"\npath = \"main.rs\"\n\
        [lints.rust]\nmissing_docs = \"warn\"\nunreachable_pub = \"warn\"\nunsafe_code = \"forbid\"\n[workspace]\n";
    fs::write(out.join("Cargo.toml"), manifest).unwrap();
    let target = out.join("target");
    let cargo = |arguments: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        checked(Command::new(cargo).args(arguments).current_dir(&out).env("CARGO_TARGET_DIR", &target))
    };
    assert_eq!(cargo(&["run", "--quiet", "--offline"]), expected(&inspection, &fs::read(root().join(MODEL)).unwrap()));
    cargo(&["clippy", "--quiet", "--offline", "--", "-D", "warnings"]);
    // Whatever the settings are; the program above is no matter of theirs.
    fs::write(out.join("main.rs"), "mod net;\n\nfn main() {}\n").unwrap();
    cargo(&["fmt", "--check"]);
    fs::copy(root().join("rustfmt.toml"), out.join("rustfmt.toml")).unwrap();
    cargo(&["fmt", "--check"]);
}

#[test]
fn an_export_appears_whole_twice_the_same_and_replaces_nothing_unasked() {
    for (form, files) in [
        ("c", &["manifest.json", "plain.c", "plain.h"][..]),
        ("rust", &["manifest.json", "plain.apq", "plain.rs"]),
        ("encodings", &["manifest.json", "plain.encodings.json"]),
    ] {
        let (_first, one) = export(MODEL, form, &[]);
        let (_second, two) = export(MODEL, form, &[]);
        let mut names: Vec<String> = fs::read_dir(&one).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, files);
        for name in files {
            assert_eq!(fs::read(one.join(name)).unwrap(), fs::read(two.join(name)).unwrap(), "{name}");
        }
        let arguments = ["export", MODEL, "--as", form, "-o", one.to_str().unwrap()];
        let (code, _, stderr) = apqc(&arguments);
        assert!(code == 2 && stderr.contains("--force"), "{stderr}");
        fs::write(one.join("stranger"), "").unwrap();
        assert_eq!(apqc(&[&arguments[..], &["--force"]].concat()).0, 0);
        assert!(!one.join("stranger").exists());
    }
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("three.txt"), "one\ntwo\nthree\n").unwrap();
    fs::write(path("none.json"), "{\"mean\": 0}").unwrap();
    let mut damaged = fs::read(root().join(MODEL)).unwrap();
    damaged[200] ^= 4;
    fs::write(path("damaged.apq"), &damaged).unwrap();
    let mut newer = fs::read(root().join(MODEL)).unwrap();
    newer.truncate(newer.len() - 1);
    fs::write(path("cut.apq"), &newer).unwrap();
    let out = path("out");
    for (model, more, code, words) in [
        (MODEL.into(), &["--as", "onnx-qdq"][..], 3, &["onnx-qdq", "--as c, rust, encodings"][..]),
        (MODEL.into(), &["--as", "java"], 2, &["java"]),
        (MODEL.into(), &[], 2, &["--as"]),
        (MODEL.into(), &["--as", "c", "--name", "My Net"], 2, &["My Net"]),
        (MODEL.into(), &["--as", "c", "--labels", &path("three.txt")], 2, &["3 labels", "three.txt"]),
        (MODEL.into(), &["--as", "rust", "--labels", &path("none.json")], 2, &["none.json", "classes"]),
        (MODEL.into(), &["--as", "rust", "--labels", &path("absent.txt")], 2, &["absent.txt"]),
        (path("damaged.apq"), &["--as", "c"], 2, &["damaged.apq", "checksum"]),
        (path("cut.apq"), &["--as", "c"], 2, &["cut.apq"]),
        (path("absent.apq"), &["--as", "c"], 2, &["absent.apq"]),
        ("README.md".into(), &["--as", "c"], 2, &["README.md", "not an .apq file"]),
    ] {
        let arguments = [&["export", &model][..], more, &["-o", &out]].concat();
        let (is, stdout, stderr) = apqc(&arguments);
        assert_eq!((is, stdout.as_str()), (code, ""), "{arguments:?}: {stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{arguments:?}: {stderr}");
        assert!(!Path::new(&out).exists(), "{arguments:?}");
    }
}

#[test]
fn encodings_give_the_weights_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let compile = "compile fuzz/corpus/onnx/plain.onnx --target host --calib normal:0,1 --candidates w8a8 --rounding nearest";
    let (code, _, stderr) = apqc(
        &[&compile.split(' ').collect::<Vec<_>>()[..], &["--weight-ranges", "minmax", "-o", &path("d"), "--cache", &path("cache")]]
            .concat(),
    );
    assert_eq!(code, 0, "{stderr}");
    let model = path("d/model.apq");
    let (_folder, out) = export(&model, "encodings", &[]);
    let encodings: Value = serde_json::from_str(&fs::read_to_string(out.join("plain.encodings.json")).unwrap()).unwrap();
    let number = |encoding: &Value, field: &str| encoding[field].as_f64().unwrap();

    let memory = inspected(&model)["memory"].as_array().unwrap().clone();
    let activations = encodings["activation_encodings"].as_object().unwrap();
    assert_eq!(activations.len(), memory.len());
    for encoding in activations.values().map(|list| &list[0]) {
        let steps = (number(encoding, "bitwidth")).exp2() - 1.0;
        assert!((number(encoding, "max") - number(encoding, "min") - steps * number(encoding, "scale")).abs() < 1e-6, "{encoding}");
        assert!((number(encoding, "min") - number(encoding, "offset") * number(encoding, "scale")).abs() < 1e-6, "{encoding}");
    }

    // The network of the corpus has weights that a formula gives; with the ranges of their extremes the largest of each channel is a code's value.
    let weights = |index: usize| ((index * 7919 + 13) % 101) as f64 / 101.0 - 0.5;
    let parameters = encodings["param_encodings"].as_object().unwrap();
    assert!(parameters.len() >= 2, "{parameters:?}");
    let first = parameters.values().next().unwrap().as_array().unwrap();
    let row_len = 27;
    for (channel, encoding) in first.iter().enumerate() {
        let row = (channel * row_len..(channel + 1) * row_len).map(weights);
        let largest = row.fold(0.0f64, |largest, weight| largest.max(weight.abs()));
        let scale = number(encoding, "scale");
        assert!((largest / scale / 127.0 - 1.0).abs() < 0.01, "channel {channel}: {largest} {scale}");
        assert_eq!((encoding["bitwidth"].as_u64(), encoding["is_symmetric"].as_str()), (Some(8), Some("True")));
    }
}
