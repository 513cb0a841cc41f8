//! Offsets of raw blocks that are wrong on purpose behind a right checksum.

mod common;

use apq_runtime::build::*;
use apq_runtime::{HEADER_BYTES, LoadError, Model, NodeProblem};
use common::*;

/// Two fully connected layers whose blocks are all at offsets of two bytes in the graph section, and those offsets.
fn two_layers() -> (Vec<u8>, Vec<u8>) {
    let mut net = Net::new(3, &[1, 64], ActivationBits::A8);
    net.spec.input.raw = RawType::F32;
    let hidden = net.fully_connected(0, 64, WeightBits::W8, ActivationBits::A8);
    net.fully_connected(hidden, 64, WeightBits::W8, ActivationBits::A8);
    let file = net.file();
    let raw_begin = file.len() - Model::new_checked(&file).unwrap().raw_bytes();
    (file[..raw_begin].to_vec(), file[raw_begin..].to_vec())
}

/// Bytes of the weights of a layer, and of its output stage.
const WEIGHTS_BYTES: u16 = 64 * 64;
const STAGE_BYTES: u16 = 64 * 9;

/// A number as two bytes of a varint, as long as any offset of [`two_layers`] but the first.
fn varint(value: u16) -> [u8; 2] {
    assert!(value < 1 << 14);
    [value as u8 | 0x80, (value >> 7) as u8]
}

/// Replaces the one place where the graph section holds this offset.
fn replace(graph: &mut [u8], from: u16, to: u16) {
    let places: Vec<usize> = (HEADER_BYTES..graph.len() - 1).filter(|&at| graph[at..at + 2] == varint(from)).collect();
    assert_eq!(places.len(), 1, "{from}");
    graph[places[0]..places[0] + 2].copy_from_slice(&varint(to));
}

/// Loads the sections as one file with a right header.
fn load(graph: &[u8], raw: &[u8]) -> Result<(), LoadError> {
    let mut file = AlignedBytes::zeroed(graph.len() + raw.len());
    file[..graph.len()].copy_from_slice(graph);
    file[graph.len()..].copy_from_slice(raw);
    file[32..36].copy_from_slice(&(raw.len() as u32).to_le_bytes());
    seal(&mut file);
    Model::new_checked(&file).map(|_| ())
}

#[test]
fn blocks_outside_the_section_or_not_aligned() {
    let (graph, raw) = two_layers();
    assert_eq!(load(&graph, &raw), Ok(()));
    let second = WEIGHTS_BYTES + STAGE_BYTES;
    for from in [WEIGHTS_BYTES, second, second + WEIGHTS_BYTES] {
        for to in [from + 1, from + 2, 16380, 16383] {
            let mut graph = graph.clone();
            replace(&mut graph, from, to);
            let node = u16::from(from >= second);
            assert_eq!(load(&graph, &raw), Err(LoadError::Node { node, problem: NodeProblem::Raw }), "{from} {to}");
        }
    }
}

/// Many nodes over one block would make a small file slow to check; a few are parts of one layer.
#[test]
fn nodes_that_share_their_weights() {
    let layers = |count: usize| {
        let mut net = Net::new(3, &[1, 64], ActivationBits::A8);
        net.spec.input.raw = RawType::F32;
        let mut last = net.fully_connected(0, 64, WeightBits::W8, ActivationBits::A8);
        for _ in 1..count {
            let output = net.tensor(&[1, 64], ActivationBits::A8);
            let operator = net.spec.nodes[0].operator.clone();
            net.node(operator, &[last], output);
            last = output;
        }
        net.file()
    };
    let (one, many) = (layers(1), layers(60));
    let raw_bytes = |file: &[u8]| Model::new_checked(file).unwrap_or_else(|error| panic!("{error}")).raw_bytes();
    assert_eq!(raw_bytes(&one), raw_bytes(&many));
    let shared = LoadError::Node { node: 64, problem: NodeProblem::RawShared };
    assert_eq!(Model::new_checked(&layers(66)).map(|_| ()), Err(shared));
}
