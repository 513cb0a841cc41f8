//! From a description to the bytes of a file.

use alloc::vec::Vec;

use apq_kernels::{ActivationBits, pack};
use serde::Serialize;

use super::lengths::check_lengths;
use super::raw::{RawSection, words};
use super::{AlignedBytes, InputSpec, ModelSpec, NodeSpec, OperatorSpec, TensorSpec, WeightedSpec, WriteError};
use crate::header::{ALIGNMENT, HEADER_BYTES, Header};
use crate::input::{InputRecord, OutputRecord, RawType, quantize_input};
use crate::model::{ARRANGEMENTS_MAX, GraphRecord, OFFSET_BYTES};
use crate::node::{AveragePool, Concat, Conv, LayerNorm, Node, Operator, Prelu, Resize, Weighted};
use crate::tensor::{Shape, Tensor};

/// Lays a model out as a file. The same description gives the same bytes.
///
/// # Errors
/// Something is larger than the format can say, or a list is not as long as the shapes ask for; see [`WriteError`].
pub fn write(spec: &ModelSpec) -> Result<AlignedBytes, WriteError> {
    let mut raw = RawSection::default();
    let arrangements = arrangements(spec);
    let mut records = Vec::new();
    let mut offsets = Vec::new();
    for (index, tensor) in spec.tensors.iter().enumerate() {
        offsets.push(records.len());
        append(&mut records, &tensor_record(tensor, index)?)?;
    }
    let mut operators = 0u32;
    for (index, node) in spec.nodes.iter().enumerate() {
        let record = node_record(spec, node, index, &arrangements, &mut raw)?;
        operators |= 1 << record.operator.index();
        offsets.push(records.len());
        append(&mut records, &record)?;
    }
    for group in &spec.groups {
        offsets.push(records.len());
        append(&mut records, group)?;
    }
    let used = Operator::NAMES.iter().enumerate().filter(|(index, _)| operators >> index & 1 == 1);
    let operator_names: Vec<&str> = used.map(|(_, &name)| name).collect();
    let head = GraphRecord {
        name: &spec.name,
        arena_bytes: large(spec.arena_bytes)?,
        tensors: small(spec.tensors.len())?,
        nodes: small(spec.nodes.len())?,
        groups: small(spec.groups.len())?,
        input: input_record(spec, &spec.input, &mut raw)?,
        output: OutputRecord {
            tensor: small(spec.output.tensor)?,
            classes: large(spec.output.classes)?,
            softmax_removed: spec.output.softmax_removed,
        },
    };
    let mut graph = Vec::new();
    append(&mut graph, &operator_names)?;
    append(&mut graph, &arrangements)?;
    append(&mut graph, &head)?;
    let records_begin = graph.len() + offsets.len() * OFFSET_BYTES;
    for offset in offsets {
        graph.extend_from_slice(&large(records_begin + offset)?.to_le_bytes());
    }
    graph.extend_from_slice(&records);
    assemble(&graph, &raw.bytes)
}

/// Header, graph section, padding, raw section.
fn assemble(graph: &[u8], raw: &[u8]) -> Result<AlignedBytes, WriteError> {
    let graph_end = HEADER_BYTES + graph.len();
    let raw_offset = graph_end.next_multiple_of(ALIGNMENT);
    large(raw_offset + raw.len())?;
    let mut file = AlignedBytes::zeroed(raw_offset + raw.len());
    if let Some(target) = file.get_mut(HEADER_BYTES..graph_end) {
        target.copy_from_slice(graph);
    }
    if let Some(target) = file.get_mut(raw_offset..) {
        target.copy_from_slice(raw);
    }
    let header = Header { graph_offset: HEADER_BYTES, graph_length: graph.len(), raw_offset, raw_length: raw.len() };
    header.write(&mut file);
    Ok(file)
}

/// Names of the arrangements in the order in which nodes first use them.
fn arrangements(spec: &ModelSpec) -> Vec<&'static str> {
    let mut names = Vec::new();
    for node in &spec.nodes {
        if let OperatorSpec::Conv { weighted, .. } | OperatorSpec::FullyConnected { weighted } = &node.operator {
            let name = weighted.arrangement.name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn tensor_record(tensor: &TensorSpec, index: usize) -> Result<Tensor<'_>, WriteError> {
    Ok(Tensor {
        name: &tensor.name,
        shape: Shape::new(&tensor.shape).ok_or(WriteError::Shape { tensor: index })?,
        bits: tensor.bits,
        scale: tensor.scale,
        zero_point: tensor.zero_point,
        offset: large(tensor.offset)?,
        alias: tensor.alias.map(small).transpose()?,
    })
}

fn node_record<'s>(
    spec: &ModelSpec,
    node: &'s NodeSpec,
    index: usize,
    arrangements: &[&str],
    raw: &mut RawSection,
) -> Result<Node<'s>, WriteError> {
    let mut inputs = heapless::Vec::new();
    for &input in &node.inputs {
        inputs.push(small(input)?).map_err(|_| WriteError::Node { node: index })?;
    }
    check_lengths(spec, node, index)?;
    let operator = match &node.operator {
        OperatorSpec::Conv { window, groups, weighted } => {
            Operator::Conv(Conv { window: *window, groups: large(*groups)?, weighted: weighted_record(weighted, arrangements, raw)? })
        }
        OperatorSpec::FullyConnected { weighted } => Operator::FullyConnected(weighted_record(weighted, arrangements, raw)?),
        OperatorSpec::Add(add) => Operator::Add(*add),
        OperatorSpec::Mul(rescale) => Operator::Mul(*rescale),
        OperatorSpec::AveragePool { window, counted_end, divisors } => {
            let counts: Vec<u8> = divisors.iter().flat_map(|divisor| divisor.count.to_le_bytes()).collect();
            let multipliers: Vec<u8> = divisors.iter().flat_map(|divisor| divisor.multiplier.to_le_bytes()).collect();
            let shifts: Vec<u8> = divisors.iter().map(|divisor| divisor.shift).collect();
            Operator::AveragePool(AveragePool {
                window: *window,
                counted_end: *counted_end,
                divisors: small(divisors.len())?,
                raw: raw.push(&[&counts, &multipliers, &shifts]).ok_or(WriteError::TooLarge)?,
            })
        }
        OperatorSpec::MaxPool(window) => Operator::MaxPool(*window),
        OperatorSpec::Requantize(rescale) => Operator::Requantize(*rescale),
        OperatorSpec::Pad(pad) => Operator::Pad(*pad),
        OperatorSpec::Slice(slice) => Operator::Slice(*slice),
        OperatorSpec::Concat { axis, rescales } => Operator::Concat(Concat {
            axis: u8::try_from(*axis).map_err(|_| WriteError::Node { node: index })?,
            rescales: heapless::Vec::from_slice(rescales).map_err(|_| WriteError::Node { node: index })?,
        }),
        OperatorSpec::Transpose { axes } => {
            let mut list = heapless::Vec::new();
            for &axis in axes {
                let axis = u8::try_from(axis).map_err(|_| WriteError::Node { node: index })?;
                list.push(axis).map_err(|_| WriteError::Node { node: index })?;
            }
            Operator::Transpose { axes: list }
        }
        OperatorSpec::Table { entries } => {
            let bytes = table_bytes(spec, node, entries).ok_or(WriteError::TableEntry { node: index })?;
            Operator::Table { raw: raw.push(&[&bytes]).ok_or(WriteError::TooLarge)? }
        }
        OperatorSpec::Softmax(rescale) => Operator::Softmax(*rescale),
        OperatorSpec::Reshape => Operator::Reshape,
        OperatorSpec::Resize { rows, columns, rescale } => {
            let (rows, columns) = (words(rows, u32::to_le_bytes), words(columns, u32::to_le_bytes));
            Operator::Resize(Resize { rescale: *rescale, raw: raw.push(&[&rows, &columns]).ok_or(WriteError::TooLarge)? })
        }
        OperatorSpec::Prelu { rescale, slope_multiplier, slope_shift } => {
            let multiplier = words(slope_multiplier, i32::to_le_bytes);
            Operator::Prelu(Prelu { rescale: *rescale, raw: raw.push(&[&multiplier, slope_shift]).ok_or(WriteError::TooLarge)? })
        }
        OperatorSpec::MatMul(product) => Operator::MatMul(*product),
        OperatorSpec::LayerNorm { epsilon, gamma, beta, shift } => {
            let parts = [words(gamma, i32::to_le_bytes), words(beta, i32::to_le_bytes)];
            let raw = raw.push(&[&parts[0], &parts[1]]).ok_or(WriteError::TooLarge)?;
            Operator::LayerNorm(LayerNorm { epsilon: *epsilon, shift: *shift, raw })
        }
        OperatorSpec::Constant { codes } => {
            let bytes = constant_bytes(spec, node, codes).ok_or(WriteError::TableEntry { node: index })?;
            Operator::Constant { raw: raw.push(&[&bytes]).ok_or(WriteError::TooLarge)? }
        }
    };
    Ok(Node {
        inputs,
        output: small(node.output)?,
        scratch: node.scratch,
        name: &node.name,
        group: node.group.map(small).transpose()?,
        clamp: node.clamp,
        operator,
    })
}

fn weighted_record(weighted: &WeightedSpec, arrangements: &[&str], raw: &mut RawSection) -> Result<Weighted, WriteError> {
    let place = arrangements.iter().position(|&name| name == weighted.arrangement.name());
    let place = place.filter(|&place| place < ARRANGEMENTS_MAX).ok_or(WriteError::TooMany)?;
    let bias = words(&weighted.bias, i32::to_le_bytes);
    let multiplier = words(&weighted.multiplier, i32::to_le_bytes);
    Ok(Weighted {
        bits: weighted.bits,
        accumulator: weighted.accumulator,
        arrangement: place as u8,
        weights: raw.push(&[&weighted.weights]).ok_or(WriteError::TooLarge)?,
        stage: raw.push(&[&bias, &multiplier, &weighted.shift]).ok_or(WriteError::TooLarge)?,
    })
}

/// Entries of a table as `apq_kernels::Table` reads them: one byte each where neither side has 16 bits.
fn table_bytes(spec: &ModelSpec, node: &NodeSpec, entries: &[i16]) -> Option<Vec<u8>> {
    let input = spec.tensors.get(*node.inputs.first()?)?;
    let output = spec.tensors.get(node.output)?;
    if input.bits == ActivationBits::A16 || output.bits == ActivationBits::A16 {
        return Some(entries.iter().flat_map(|entry| entry.to_le_bytes()).collect());
    }
    entries.iter().map(|&entry| u8::try_from(entry).ok()).collect()
}

/// The codes of a constant, packed as its tensor is.
fn constant_bytes(spec: &ModelSpec, node: &NodeSpec, codes: &[i16]) -> Option<Vec<u8>> {
    let output = spec.tensors.get(node.output)?;
    let channels = output.shape.last().copied().filter(|&channels| channels > 0)?;
    if !codes.iter().all(|&code| output.bits.contains(i32::from(code))) {
        return None;
    }
    let mut bytes = Vec::new();
    for row in codes.chunks_exact(channels) {
        let begin = bytes.len();
        bytes.resize(begin + pack::row_bytes(output.bits, channels), 0);
        pack::pack_row(output.bits, row, bytes.get_mut(begin..)?);
    }
    Some(bytes)
}

fn input_record(spec: &ModelSpec, input: &InputSpec, raw: &mut RawSection) -> Result<InputRecord, WriteError> {
    let tensor = spec.tensors.get(input.tensor).ok_or(WriteError::Input)?;
    if input.mean.len() != input.std.len() {
        return Err(WriteError::Input);
    }
    let mut table = Vec::new();
    if input.raw.has_table() {
        for (&mean, &std) in input.mean.iter().zip(&input.std) {
            for byte in 0..=u8::MAX {
                let (lo, hi) = (tensor.bits.lo(), tensor.bits.hi());
                let x = input.raw.value(byte);
                let code = quantize_input(x, mean, std, tensor.scale, tensor.zero_point, lo, hi);
                if tensor.bits.signed() {
                    table.extend_from_slice(&(code as i16).to_le_bytes());
                } else {
                    table.push(code as u8);
                }
            }
        }
        debug_assert!(table.len() >= input.mean.len() * RawType::TABLE_ENTRIES);
    }
    let mean = words(&input.mean, f32::to_le_bytes);
    let std = words(&input.std, f32::to_le_bytes);
    Ok(InputRecord {
        tensor: small(input.tensor)?,
        raw_type: input.raw,
        lists: large(input.mean.len())?,
        raw: raw.push(&[&mean, &std, &table]).ok_or(WriteError::TooLarge)?,
    })
}

fn append(bytes: &mut Vec<u8>, record: &impl Serialize) -> Result<(), WriteError> {
    // Serialising into memory fails for nothing that a record can hold.
    let encoded = postcard::to_allocvec(record).map_err(|_| WriteError::TooLarge)?;
    bytes.extend_from_slice(&encoded);
    Ok(())
}

fn small(value: usize) -> Result<u16, WriteError> {
    u16::try_from(value).map_err(|_| WriteError::TooMany)
}

fn large(value: usize) -> Result<u32, WriteError> {
    u32::try_from(value).map_err(|_| WriteError::TooLarge)
}
