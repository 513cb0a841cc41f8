//! A small model, the emulated boards' programs, and the same runs on this machine.
#![allow(dead_code)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use apq_device::{Board, Inputs, Runner, checkout, draw};
use apq_runtime::build::*;
use apq_runtime::{Model, Session};

/// Far more than any run takes on a machine that does other things too.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Whether QEMU is there. Says why a test is skipped where it is not; with `CI=true` that fails.
pub(crate) fn emulators_are_there() -> bool {
    let missing =
        ["qemu-system-arm", "qemu-system-riscv32"].into_iter().find(|program| Command::new(program).arg("--version").output().is_err());
    let Some(missing) = missing else { return true };
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no {missing}; run `cargo xtask setup`");
    println!("skipped: no {missing}; run `cargo xtask setup`");
    false
}

/// The program for the emulated board with a core, built once.
pub(crate) fn firmware(core: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(|error| error.into_inner());
    let built = built.get_or_insert_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    built.entry(core.into()).or_insert_with(|| checkout::firmware(&root, core).unwrap_or_else(|error| panic!("{error}"))).clone()
}

/// The emulated board with a core.
pub(crate) fn emulator(core: &str) -> Runner {
    let machine = Board::emulating(core).and_then(|board| board.machine);
    Runner::Emulator(machine.unwrap_or_else(|| panic!("no board has a {core}")))
}

fn tensor(shape: &[usize], offset: usize) -> TensorSpec {
    let (bits, scale) = (ActivationBits::A8, 0.05);
    TensorSpec { name: String::new(), shape: shape.to_vec(), bits, scale, zero_point: 7, offset, alias: None }
}

fn weighted(outputs: usize, row_len: usize, bits: WeightBits) -> WeightedSpec {
    let mut weights = vec![0; outputs * row_len * bits.bits() as usize / 8];
    draw::fill(1, row_len as u32, &mut weights);
    let arrangement = Arrangement::RowMajor;
    let (bias, multiplier) = ((0..outputs as i32).map(|channel| channel * 999 - 4000).collect(), vec![1_900_000_000; outputs]);
    WeightedSpec { bits, accumulator: Accumulator::I32, arrangement, weights, bias, multiplier, shift: vec![40; outputs] }
}

fn node(operator: OperatorSpec, input: usize, output: usize) -> NodeSpec {
    NodeSpec { name: String::new(), operator, inputs: vec![input], output, group: Some(0), clamp: None, scratch: Region::default() }
}

/// A 3 x 3 convolution of a 6 x 6 image and a fully connected layer of 4-bit weights.
pub(crate) fn model() -> Vec<u8> {
    let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad: [1, 1] };
    let conv = OperatorSpec::Conv { window, groups: 1, weighted: weighted(8, 36, WeightBits::W8) };
    let flat = TensorSpec { alias: Some(1), ..tensor(&[1, 288], 144) };
    let mut spec = ModelSpec {
        name: "small".into(),
        tensors: vec![tensor(&[1, 6, 6, 4], 0), tensor(&[1, 6, 6, 8], 144), flat, tensor(&[1, 10], 432)],
        nodes: vec![node(conv, 0, 1), node(OperatorSpec::FullyConnected { weighted: weighted(10, 288, WeightBits::W4) }, 2, 3)],
        groups: vec!["all".into()],
        input: InputSpec { tensor: 0, raw: RawType::U8, mean: vec![128.0], std: vec![64.0] },
        output: OutputSpec { tensor: 3, classes: 10, softmax_removed: false },
        arena_bytes: 448,
    };
    for index in 0..spec.nodes.len() {
        let length = scratch_bytes(&spec, index);
        if length > 0 {
            spec.nodes[index].scratch = Region { offset: 448, length: length as u32 };
            spec.arena_bytes = spec.arena_bytes.max(448 + length);
        }
    }
    let file = write(&spec).expect("a model");
    Model::new_checked(&file).expect("a model");
    file.to_vec()
}

/// The outputs of the same inputs on this machine.
pub(crate) fn outputs_here(file: &[u8], inputs: &Inputs<'_>) -> Vec<Vec<u8>> {
    let file = AlignedBytes::from(file);
    let model = Model::new_checked(&file).expect("a model");
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::new(&model, &mut arena).expect("an arena");
    let mut run = |index| {
        let codes = session.input_codes_mut();
        match (inputs, inputs.given(index)) {
            (Inputs::Drawn { seed, .. }, _) => draw::fill(*seed, index, codes),
            (_, given) => codes.copy_from_slice(given.expect("an input")),
        }
        session.run(&mut ());
        session.output_bytes().to_vec()
    };
    (0..inputs.count()).map(&mut run).collect()
}
