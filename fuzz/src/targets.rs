//! The readers of files. A target is a line in [`ALL`] and a folder in the corpus.

use apq_examples::onnx::supernet;
use apq_lut::{Table, import_published};
use apq_runtime::build::{AlignedBytes, seal};
use apq_runtime::{Arithmetic, Kernel, Model, Session};
use apqc::network::Network;
use apqc::quant::groups::{Grouping, QuantizerGroup};
use apqc::supernet::read_predictor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::corpus::small_space;

/// One reader.
pub(crate) struct Target {
    /// Name on the command line, and of the folder in the corpus.
    pub(crate) name: &'static str,
    /// Reads a file and does with it what the tool would; whether it was accepted. Must not panic.
    pub(crate) run: fn(&[u8]) -> bool,
    /// Makes a damaged file right where the damage would hide all other.
    pub(crate) repair: fn(&mut [u8], &mut ChaCha8Rng),
}

/// Every reader.
pub(crate) const ALL: &[Target] = &[
    Target { name: "apq", run: apq, repair: checksum },
    Target { name: "onnx", run: |file| Network::load(file, "fuzz", None, |_, _, _| ()).is_ok(), repair: nothing },
    Target { name: "target", run: |file| text(file, target), repair: nothing },
    Target { name: "assignment", run: |file| text(file, assignment), repair: nothing },
    Target { name: "lut", run: |file| text(file, lut), repair: nothing },
    Target { name: "supernet", run: once_for_all, repair: nothing },
    Target { name: "predictor", run: |file| read_predictor(file, &small_space()).is_ok(), repair: nothing },
];

fn nothing(_: &mut [u8], _: &mut ChaCha8Rng) {}

/// Most files get the right checksum, which almost no damage leaves right.
fn checksum(file: &mut [u8], random: &mut ChaCha8Rng) {
    if random.random_bool(0.95) {
        let mut aligned = AlignedBytes::from(&*file);
        seal(&mut aligned);
        file.copy_from_slice(&aligned);
    }
}

fn text(file: &[u8], read: fn(&str) -> bool) -> bool {
    std::str::from_utf8(file).is_ok_and(read)
}

/// Arena and multiply-accumulates above which a model is read but not run.
const ARENA_BYTES_MAX: usize = 1 << 20;
const MACS_MAX: usize = 1 << 22;

/// A compiled model: read, and what is accepted is run by the fast kernels and by the obvious ones.
fn apq(file: &[u8]) -> bool {
    let file = AlignedBytes::from(file);
    let Ok(model) = Model::new_checked(&file) else {
        return false;
    };
    let macs = model.nodes().fold(0usize, |sum, node| match model.kernel(&node) {
        Some(Kernel::Conv(conv)) => sum.saturating_add(conv.macs()),
        Some(Kernel::FullyConnected(layer)) => sum.saturating_add(layer.as_conv().macs()),
        _ => sum,
    });
    if model.arena_bytes() > ARENA_BYTES_MAX || macs > MACS_MAX {
        return true;
    }
    let outputs = [Arithmetic::Native, Arithmetic::Reference].map(|arithmetic| {
        let mut arena = AlignedBytes::zeroed(model.arena_bytes());
        let mut session = Session::with_arithmetic(&model, &mut arena, arithmetic).expect("the arena is as the model wants it");
        session.input_codes_mut().iter_mut().zip(0u8..=255).for_each(|(code, value)| *code = value.wrapping_mul(37));
        session.run(&mut ());
        session.output_bytes().to_vec()
    });
    assert_eq!(outputs[0], outputs[1], "the fast kernels differ from the reference");
    true
}

/// Bit widths for the groups of a network: those that the corpus names.
fn assignment(text: &str) -> bool {
    let Ok(assignment) = apqc::assignment::parse(text) else {
        return false;
    };
    let group = |name: &str, candidates: &[&str]| QuantizerGroup {
        name: name.into(),
        nodes: Vec::new(),
        tensors: Vec::new(),
        candidates: candidates.iter().map(|candidate| candidate.parse().expect("a width")).collect(),
        weighted: true,
    };
    let groups = vec![group("first", &["w2a8", "w4a8", "w8a8"]), group("classifier", &["w4a8", "w8a8", "w8a16"])];
    let grouping = Grouping { groups, of_tensor: Vec::new(), of_node: Vec::new(), quantizer: Vec::new(), given: Vec::new() };
    if let Ok(widths) = assignment.resolve(&grouping) {
        assert_eq!(widths.len(), grouping.groups.len(), "each group has a width");
        let possible = widths.iter().zip(&grouping.groups).all(|(width, group)| group.candidates.contains(width));
        assert!(possible, "a group has a width that it cannot have");
        let listed = assignment.candidates();
        assert!(widths.iter().all(|width| listed.contains(width)), "a width is not in the file");
    }
    true
}

/// A target's description; one that is accepted survives its own form.
fn target(text: &str) -> bool {
    let Ok(target) = apq_targets::Target::from_toml(text) else {
        return false;
    };
    let again = apq_targets::Target::from_toml(&target.to_toml().expect("a legal target can be written"));
    assert_eq!(again.as_ref(), Ok(&target), "a target that is read back is another");
    true
}

/// A lookup table, ours or published; one that is accepted survives our own form.
fn lut(text: &str) -> bool {
    let Ok(table) = Table::from_json(text).map_err(drop).or_else(|()| import_published(text).map_err(drop)) else {
        return false;
    };
    let again = Table::from_json(&table.to_json().expect("a legal table can be written"));
    assert_eq!(again.as_ref(), Ok(&table), "a table that is read back is another");
    true
}

/// A supernet; one that is accepted survives its own form, and its extreme subnets are ordinary networks.
fn once_for_all(file: &[u8]) -> bool {
    let Ok(Some(read)) = supernet::read(file) else {
        return false;
    };
    for architecture in [read.space().smallest(), read.space().largest()] {
        let subnet = read.extract(&architecture).expect("an architecture of the space");
        assert_eq!(supernet::read(&subnet.to_onnx()), Ok(None), "a subnet is an ordinary network");
    }
    let again = supernet::read(&read.to_onnx());
    assert_eq!(again, Ok(Some(read)), "a supernet that is read back is another");
    true
}
