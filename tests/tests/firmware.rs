//! Whole models on every emulated core: the same bytes as on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use apq_device::{BOARDS, Board, Inputs, Job, Runner, Wants, checkout, draw, run};
use apq_runtime::{Model, Session, build::AlignedBytes};
use apq_targets::Target;
use apq_tests::compiled::Prepared;
use apq_tests::data::{self, AUTOENCODER, DSCNN, RESNET8, RESNET20, RealModel, drawn};
use apqc::compile::raw_type;
use apqc::data::{Dataset, Preprocess};
use apqc::lower::{RawInput, lower};
use apqc::network::Network;
use apqc::plan::Effort;
use apqc::quant::ranges::RangeRule;

/// Far more than a run takes; the slowest core needs seconds for the largest model.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Inputs of each model.
const INPUTS: Inputs<'_> = Inputs::Drawn { seed: 11, count: 2 };

/// Those with a board, where QEMU is there. Says why a test is skipped where it is not; with `CI=true` that fails.
fn boards() -> Vec<&'static Board> {
    let missing = ["qemu-system-arm", "qemu-system-riscv32"].into_iter().find(|name| Command::new(name).arg("--version").output().is_err());
    if let Some(missing) = missing {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no {missing}; run `cargo xtask setup`");
        println!("skipped: no {missing}; run `cargo xtask setup`");
        return Vec::new();
    }
    BOARDS.iter().filter(|board| board.machine.is_some()).collect()
}

fn firmware(core: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    checkout::firmware(&root, core).unwrap_or_else(|error| panic!("{error}"))
}

/// The outputs of the same inputs on this machine.
fn outputs_here(file: &AlignedBytes) -> Vec<Vec<u8>> {
    let model = Model::new_checked(file).unwrap_or_else(|error| panic!("{error}"));
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::new(&model, &mut arena).unwrap_or_else(|error| panic!("{error}"));
    let Inputs::Drawn { seed, count } = INPUTS else { return Vec::new() };
    let mut one = |index| {
        draw::fill(seed, index, session.input_codes_mut());
        session.run(&mut ());
        session.output_bytes().to_vec()
    };
    (0..count).map(&mut one).collect()
}

/// The model for a core, its weights arranged for that core's kernels.
fn file(network: &Network, samples: &Dataset, preprocess: &Preprocess, core: &str, candidate: &str) -> AlignedBytes {
    let target = Target::builtin(core).unwrap_or_else(|error| panic!("{error}"));
    let candidate = candidate.parse().unwrap_or_else(|error| panic!("{error}"));
    let values: Vec<Vec<f32>> = (0..samples.len()).map(|index| samples.to_f32(index, preprocess)).collect();
    let prepared = Prepared::new(network, &target, &[candidate], &values, RangeRule::MinMax).unwrap_or_else(|error| panic!("{error}"));
    let mut quantized = prepared.widest();
    quantized.layout = Some(&target);
    let input = RawInput { raw: raw_type(samples), preprocess: preprocess.clone() };
    lower(&quantized, &input, Effort::default()).unwrap_or_else(|error| panic!("{core}: {error}")).file
}

fn compare(name: &str, network: &Network, samples: &Dataset, preprocess: &Preprocess, candidates: &[&str]) {
    for board in boards() {
        let Some(machine) = board.machine else { continue };
        let program = firmware(board.core);
        for candidate in candidates {
            let file = file(network, samples, preprocess, board.core, candidate);
            let wants = Wants { outputs: true, ..Wants::default() };
            let job = Job { model: &file, inputs: INPUTS, repeats: 0, arena_bytes: None, wants };
            let outcome = run(&Runner::Emulator(machine), &program, &job, SILENCE_MAX);
            let outcome = outcome.unwrap_or_else(|error| panic!("{name} {candidate} on {}: {error}", board.core));
            assert_eq!(outcome.outputs, outputs_here(&file), "{name} {candidate} on {}", board.core);
            println!("{name} {candidate} on {}: the same {} bytes", board.core, outcome.outputs.concat().len());
        }
    }
}

#[test]
fn the_repository_s_own_model() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/textures/textures.onnx");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let network = Network::load(&bytes, "textures", path.parent(), |_, _, _| {}).unwrap_or_else(|error| panic!("{error}"));
    let samples = drawn("textures", network.sample_shape(), 4);
    let channels = network.graph.tensor(network.graph.input).channels();
    compare("textures", &network, &samples, &Preprocess::identity(channels), &["w8a8", "w4a8", "w2a8", "w4a4", "w2a2", "w8a16", "w6a6"]);
}

#[test]
fn real_models() {
    let Some(folder) = data::folder() else { return };
    for model in [RESNET8, DSCNN, AUTOENCODER, RESNET20] {
        let RealModel { name, .. } = model;
        let network = model.load(&folder);
        let samples = model.samples(&folder, &network, "calib", 4);
        let preprocess = model.preprocess(&folder, &network);
        compare(name, &network, &samples, &preprocess, &["w8a8", "w4a8"]);
    }
}
