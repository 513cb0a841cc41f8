//! `bench firmware`: whole models on emulated cores, in instructions, beside the columns of CMSIS-NN.
//!
//! Quantizers come from drawn samples: what a network takes does not depend on them. The columns of CMSIS-NN are recorded: its functions
//! built with gcc 12.2 -Ofast, counted in QEMU, requantisation and im2col included.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use apq_device::{Board, Runner, Wants, checkout};
use apq_examples::mobilenet::{Norms, visual_wake_words};
use apq_lut::Candidate;
use apq_profile::Device;
use apq_profile::keys::model_keys;
use apq_runtime::Model;
use apq_targets::Target;
use apq_tests::compiled::{Prepared, lowered};
use apq_tests::random;
use apqc::network::Network;
use apqc::quant::ranges::RangeRule;
use serde_json::{Value, json};

use crate::models::data_folder;
use crate::table::Table;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Samples that give the quantizers.
const SAMPLES: usize = 4;

/// Runs that are counted; an emulator counts the same in each, but for the timer's coarseness.
const RUNS: u32 = 4;

/// Longest time between two messages.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// A model: its name in the JSON, in the tables, and its file; the visual wake words network is made here.
const MODELS: [(&str, &str, Option<&str>); 4] = [
    ("resnet8", "ResNet8", Some("mlperftiny_resnet8_cifar10")),
    ("dscnn", "DS-CNN", Some("mlperftiny_dscnn_kws")),
    ("vww", "MobileNetV1 0.25, random weights", None),
    ("ad", "autoencoder", Some("mlperftiny_ad01_autoencoder")),
];

/// One line: core, model, widths, largest number of millions of instructions of convolutions, depthwise and fully connected layers, CMSIS-NN's,
/// largest arena and the peers'.
struct Line {
    core: &'static str,
    model: &'static str,
    bits: &'static str,
    reach: Option<f64>,
    peer: Option<f64>,
    arena: Option<(u32, u32)>,
}

const fn line(
    core: &'static str,
    model: &'static str,
    bits: &'static str,
    reach: Option<f64>,
    peer: Option<f64>,
    arena: Option<(u32, u32)>,
) -> Line {
    Line { core, model, bits, reach, peer, arena }
}

const LINES: [Line; 20] = [
    line("cortex-m4", "resnet8", "w8a8", Some(16.0), Some(27.50), Some((51200, 66624))),
    line("cortex-m4", "dscnn", "w8a8", Some(4.2), Some(7.79), Some((18048, 17744))),
    line("cortex-m4", "vww", "w8a8", Some(11.5), Some(24.69), Some((57344, 65312))),
    line("cortex-m4", "ad", "w8a8", Some(0.42), Some(0.58), Some((1280, 1672))),
    line("cortex-m4", "resnet8", "w4a8", None, Some(49.38), None),
    line("cortex-m4", "resnet8", "w2a2", None, None, None),
    line("cortex-m4", "dscnn", "w4a8", None, Some(13.92), None),
    line("cortex-m7", "resnet8", "w8a8", None, Some(27.55), None),
    line("cortex-m7", "dscnn", "w8a8", None, Some(7.70), None),
    line("cortex-m33", "resnet8", "w8a8", None, Some(27.50), None),
    line("cortex-m33", "dscnn", "w8a8", None, Some(7.74), None),
    line("cortex-m55", "resnet8", "w8a8", Some(3.6), Some(4.40), None),
    line("cortex-m55", "dscnn", "w8a8", None, Some(1.77), None),
    line("cortex-m3", "resnet8", "w8a8", None, Some(39.29), None),
    line("cortex-m3", "resnet8", "w4a8", Some(0.6 * 39.29), Some(39.29), None),
    line("cortex-m3", "dscnn", "w8a8", None, Some(10.43), None),
    line("cortex-m0", "resnet8", "w8a8", None, Some(90.65), None),
    line("cortex-m0", "resnet8", "w4a8", Some(0.6 * 90.65), Some(90.65), None),
    line("cortex-m0", "dscnn", "w8a8", None, Some(28.79), None),
    line("rv32", "resnet8", "w8a8", None, None, None),
];

/// Largest ratio to W8A8 on the same core.
const RATIOS: [(&str, &str, &str, f64); 2] = [("cortex-m4", "resnet8", "w4a8", 1.08), ("cortex-m4", "resnet8", "w2a2", 0.75)];

/// What a model took.
struct Counted {
    /// Convolutions, depthwise and fully connected layers.
    weighted: f64,
    total: f64,
    arena_bytes: u32,
    file_bytes: usize,
    stack_bytes: Option<u32>,
}

/// The section; only the lines of one core where that is named.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let json = arguments.windows(2).any(|pair| pair == ["--format", "json"]);
    let core = arguments.iter().find(|word| Board::emulating(word).is_some());
    let data = data_folder();
    let (mut table, mut models, mut counts) =
        (Table::new("Whole models on emulated cores, millions of instructions"), Vec::new(), Vec::new());
    let (mut failed, mut missing) = (0, Vec::new());
    for line in LINES.iter().filter(|line| core.is_none_or(|core| core == line.core)) {
        let Some(onnx) = onnx(data.as_deref(), line.model) else {
            missing.push(line.model);
            continue;
        };
        match counted(line, &onnx) {
            Ok(count) => {
                models.push(as_json(line, &count));
                rows(&mut table, line, &count, &counts);
                counts.push((line, count));
            }
            Err(error) => {
                failed += 1;
                eprintln!("error: {} {} on {}: {error}", line.model, line.bits, line.core);
            }
        }
    }
    missing.dedup();
    if !missing.is_empty() {
        eprintln!("skipped: {}; their files are not there (APQ_DATA)", missing.join(", "));
    }
    if json {
        println!("{:#}", json!({ "models": models }));
    } else {
        failed += table.print();
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The bytes of a model and where its other files are.
struct Onnx {
    bytes: Vec<u8>,
    folder: Option<PathBuf>,
}

fn onnx(data: Option<&Path>, model: &str) -> Option<Onnx> {
    let (_, _, file) = MODELS.into_iter().find(|(name, ..)| *name == model)?;
    let Some(file) = file else { return Some(Onnx { bytes: visual_wake_words(0, Norms::Folded), folder: None }) };
    let folder = data?.join("models");
    let bytes = std::fs::read(folder.join(file).with_extension("onnx")).ok()?;
    Some(Onnx { bytes, folder: Some(folder) })
}

fn counted(line: &Line, onnx: &Onnx) -> Result<Counted> {
    let target = Target::builtin(line.core)?;
    let candidate: Candidate = line.bits.parse()?;
    let network = Network::load(&onnx.bytes, line.model, onnx.folder.as_deref(), |_, _, _| {})?;
    let samples = random::samples(line.model, network.sample_shape().iter().product(), SAMPLES);
    let prepared = Prepared::new(&network, &target, &[candidate], &samples, RangeRule::MinMax)?;
    let mut quantized = prepared.widest();
    quantized.layout = Some(&target);
    let file = lowered(&quantized).file;
    let model = Model::new_checked(&file)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let machine = Board::emulating(line.core).and_then(|board| board.machine).ok_or("there is no emulated board")?;
    let device = Device {
        runner: Runner::Emulator(machine),
        firmware: checkout::firmware(&root, line.core)?,
        core: line.core.into(),
        build: String::new(),
        clock_hz: target.clock_hz(),
        repeats: None,
        silence_max: SILENCE_MAX,
        threads: 1,
    };
    let outcome = device.job(&file, RUNS, Wants { layers: true, run: true, stack: true, outputs: false })?;
    let weighted = model_keys(&model)
        .iter()
        .filter(|(_, key)| key.operator.has_weights())
        .filter_map(|(node, _)| outcome.layers.get(*node))
        .map(|count| count.mean())
        .sum();
    Ok(Counted {
        weighted,
        total: outcome.run.mean(),
        arena_bytes: outcome.arena_bytes,
        file_bytes: file.len(),
        stack_bytes: outcome.stack_bytes,
    })
}

fn as_json(line: &Line, count: &Counted) -> Value {
    let whole = |count: f64| count.round() as u64;
    json!({
        "model": line.model,
        "core": line.core,
        "bits": line.bits,
        "instructions": whole(count.weighted),
        "instructions_total": whole(count.total),
        "cycles_modelled": null,
        "arena_bytes": count.arena_bytes,
        "flash_bytes": count.file_bytes,
        "stack_bytes": count.stack_bytes,
    })
}

fn rows(table: &mut Table, line: &Line, count: &Counted, before: &[(&Line, Counted)]) {
    let name = MODELS.into_iter().find(|(name, ..)| *name == line.model).map_or("", |(_, name, _)| name);
    let what = format!("{name} {} on {}", line.bits, line.core);
    let millions = |count: f64| format!("{:.3}", count / 1e6);
    let reach = line.reach.map_or(String::new(), |reach| format!("<= {reach:.2}"));
    let peer = line.peer.map_or(String::new(), |peer| format!("{peer:.2} (CMSIS-NN s8, or its 4-bit weights)"));
    let ours = format!("{} ({} in all)", millions(count.weighted), millions(count.total));
    table.row(what.clone(), ours, reach, peer, line.reach.map(|reach| count.weighted <= reach * 1e6));
    if let Some((reach, peer)) = line.arena {
        let met = Some(count.arena_bytes <= reach);
        table.row(format!("{what}: arena, bytes"), count.arena_bytes.to_string(), format!("<= {reach}"), peer.to_string(), met);
    }
    for (_, _, _, reach) in RATIOS.iter().filter(|(core, model, bits, _)| [*core, model, bits] == [line.core, line.model, line.bits]) {
        let uniform = before.iter().find(|(other, _)| [other.core, other.model, other.bits] == [line.core, line.model, "w8a8"]);
        if let Some((_, uniform)) = uniform {
            let ratio = count.weighted / uniform.weighted;
            table.row(format!("{what}: part of W8A8"), format!("{ratio:.3}"), format!("<= {reach}"), "", Some(ratio <= *reach));
        }
    }
    let stack = count.stack_bytes.map_or("-".into(), |bytes| bytes.to_string());
    table.row(format!("{what}: stack of a run, file, bytes"), format!("{stack}, {}", count.file_bytes), "", "", None);
}
