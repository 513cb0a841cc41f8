//! `apqc inspect`: what is in a compiled model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use apq_kernels::Accumulator;
use apq_runtime::{FORMAT_VERSION, Kernel, Model, Node, Tensor};
use clap::Args;
use serde::Serialize;

use super::failure::Exit;
use super::{Context, inputs};
use crate::report::layers::shape_text;
use crate::report::tables::table;
use crate::units::human_bytes;

/// Layers, groups, bits, sizes, memory map and needed kernels of a compiled model.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The compiled model.
    #[arg(value_name = "MODEL.apq")]
    model: PathBuf,
}

#[derive(Debug, Serialize)]
struct Inspection {
    name: String,
    format_version: u16,
    flash_bytes: usize,
    weights_bytes: usize,
    arena_bytes: usize,
    input: Port,
    output: Port,
    groups: Vec<GroupLine>,
    layers: Vec<LayerLine>,
    memory: Vec<MemoryLine>,
    kernels: Vec<KernelLine>,
}

/// What goes in or comes out.
#[derive(Debug, Serialize)]
struct Port {
    name: String,
    shape: Vec<usize>,
    bits: u8,
    scale: f32,
    zero_point: i32,
    /// Of the raw data that the model was compiled for.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_type: Option<&'static str>,
    /// Preprocessing; one for all channels, or one for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mean: Vec<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    std: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    softmax_removed: Option<bool>,
}

#[derive(Debug, Serialize)]
struct GroupLine {
    name: String,
    /// 0 for a group without weights.
    weight_bits: u8,
    activation_bits: u8,
    ops: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LayerLine {
    name: String,
    op: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
    /// 0 for an operation without weights.
    weight_bits: u8,
    activation_bits: u8,
    output_bits: u8,
    weights_bytes: usize,
    scratch_bytes: u32,
    /// 0 for an operation that does not multiply by weights.
    accumulator_bits: u8,
}

/// Where a tensor lies in the arena, and from which layer to which it is needed.
#[derive(Debug, Serialize)]
struct MemoryLine {
    tensor: String,
    offset: u32,
    bytes: usize,
    bits: u8,
    shape: Vec<usize>,
    /// The tensor whose bytes this one shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    view_of: Option<String>,
    /// First layer that writes it; absent for the network's input.
    #[serde(skip_serializing_if = "Option::is_none")]
    written_by: Option<String>,
    /// Last layer that reads it; absent for the network's output.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_read_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct KernelLine {
    operator: &'static str,
    /// 0 for an operator without weights.
    weight_bits: u8,
    activation_bits: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrangement: Option<&'static str>,
}

/// The command.
pub(crate) fn inspect(context: &Context, args: &InspectArgs) -> anyhow::Result<Exit> {
    let file = inputs::apq(&args.model)?;
    let model = inputs::checked(&args.model, &file)?;
    let inspection = inspection(&model);
    context.console.result(&inspection, || text(&inspection))?;
    Ok(Exit::Done)
}

fn bits(tensor: &Tensor<'_>) -> u8 {
    tensor.bits.bits() as u8
}

fn shape(tensor: &Tensor<'_>) -> Vec<usize> {
    tensor.shape.sizes().collect()
}

/// A name, or the number of what has none.
fn named(name: &str, index: usize) -> String {
    if name.is_empty() { format!("#{index}") } else { name.into() }
}

fn inspection(model: &Model<'_>) -> Inspection {
    let layers: Vec<LayerLine> = model.nodes().enumerate().filter_map(|(index, node)| layer(model, index, &node)).collect();
    let mut kernels = BTreeSet::new();
    for node in model.nodes() {
        if let Some(line) = kernel(model, &node) {
            kernels.insert(line);
        }
    }
    Inspection {
        name: model.name().into(),
        format_version: FORMAT_VERSION,
        flash_bytes: model.file_bytes(),
        weights_bytes: all_weights_bytes(model),
        arena_bytes: model.arena_bytes(),
        input: model.input().map_or_else(no_port, |port| Port {
            raw_type: Some(port.raw_type.name()),
            mean: port.mean.to_vec(),
            std: port.std.to_vec(),
            ..plain_port(&port.tensor)
        }),
        output: model.output().map_or_else(no_port, |port| Port {
            classes: Some(port.classes).filter(|classes| *classes > 0),
            softmax_removed: Some(port.softmax_removed),
            ..plain_port(&port.tensor)
        }),
        groups: groups(model, &layers),
        memory: memory(model),
        kernels: kernels.into_iter().collect(),
        layers,
    }
}

fn plain_port(tensor: &Tensor<'_>) -> Port {
    Port {
        name: tensor.name.into(),
        shape: shape(tensor),
        bits: bits(tensor),
        scale: tensor.scale,
        zero_point: tensor.zero_point,
        ..no_port()
    }
}

fn no_port() -> Port {
    Port {
        name: String::new(),
        shape: Vec::new(),
        bits: 0,
        scale: 1.0,
        zero_point: 0,
        raw_type: None,
        mean: Vec::new(),
        std: Vec::new(),
        classes: None,
        softmax_removed: None,
    }
}

fn first_input<'m>(model: &Model<'m>, node: &Node<'_>) -> Option<Tensor<'m>> {
    model.tensor(*node.inputs.first()?)
}

fn op_name(model: &Model<'_>, node: &Node<'_>) -> &'static str {
    match model.kernel(node) {
        Some(Kernel::Conv(conv)) if conv.groups > 1 && conv.groups == conv.input.channels => "depthwise",
        _ => match node.operator.name() {
            "fully-connected" => "fully_connected",
            "average-pool" => "average_pool",
            "max-pool" => "max_pool",
            other => other,
        },
    }
}

fn weights_bytes(model: &Model<'_>, node: &Node<'_>) -> usize {
    match model.kernel(node) {
        Some(Kernel::Conv(conv)) => conv.weights.len(),
        Some(Kernel::FullyConnected(layer)) => layer.weights.len(),
        _ => 0,
    }
}

/// Strips of one layer share their weights.
fn all_weights_bytes(model: &Model<'_>) -> usize {
    let block = |node: Node<'_>| Some((node.weighted()?.weights, weights_bytes(model, &node)));
    model.nodes().filter_map(block).collect::<BTreeMap<u32, usize>>().into_values().sum()
}

fn layer(model: &Model<'_>, index: usize, node: &Node<'_>) -> Option<LayerLine> {
    let (input, output) = (first_input(model, node)?, model.tensor(node.output)?);
    let weighted = node.weighted();
    Some(LayerLine {
        name: named(node.name, index),
        op: op_name(model, node),
        group: node.group.and_then(|group| model.group(group)).map(String::from),
        input_shape: shape(&input),
        output_shape: shape(&output),
        weight_bits: weighted.map_or(0, |weighted| weighted.bits.bits() as u8),
        activation_bits: bits(&input),
        output_bits: bits(&output),
        weights_bytes: weights_bytes(model, node),
        scratch_bytes: node.scratch.length,
        accumulator_bits: weighted.map_or(0, |weighted| match weighted.accumulator {
            Accumulator::I32 => 32,
            Accumulator::I64 => 64,
        }),
    })
}

fn groups(model: &Model<'_>, layers: &[LayerLine]) -> Vec<GroupLine> {
    let group = |name: &str| {
        let members: Vec<&LayerLine> = layers.iter().filter(|layer| layer.group.as_deref() == Some(name)).collect();
        GroupLine {
            name: name.into(),
            weight_bits: members.iter().map(|layer| layer.weight_bits).max().unwrap_or(0),
            activation_bits: members.first().map_or(0, |layer| layer.activation_bits),
            ops: distinct(members.iter().map(|layer| layer.name.clone())),
        }
    };
    model.groups().map(group).collect()
}

/// The strips of a layer have one name.
fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}

fn memory(model: &Model<'_>) -> Vec<MemoryLine> {
    let mut written: Vec<Option<String>> = vec![None; model.tensor_count()];
    let mut read: Vec<Option<String>> = vec![None; model.tensor_count()];
    for (index, node) in model.nodes().enumerate() {
        let name = named(node.name, index);
        if let Some(slot) = written.get_mut(usize::from(node.output)) {
            slot.get_or_insert_with(|| name.clone());
        }
        for input in &node.inputs {
            if let Some(slot) = read.get_mut(usize::from(*input)) {
                *slot = Some(name.clone());
            }
        }
    }
    let line = |(index, tensor): (usize, Tensor<'_>)| MemoryLine {
        tensor: named(tensor.name, index),
        offset: tensor.offset,
        bytes: tensor.bytes(),
        bits: bits(&tensor),
        shape: shape(&tensor),
        view_of: tensor.alias.and_then(|alias| Some(named(model.tensor(alias)?.name, usize::from(alias)))),
        written_by: written.get(index).cloned().flatten(),
        last_read_by: read.get(index).cloned().flatten(),
    };
    model.tensors().enumerate().map(line).collect()
}

fn kernel(model: &Model<'_>, node: &Node<'_>) -> Option<KernelLine> {
    let weighted = node.weighted();
    Some(KernelLine {
        operator: op_name(model, node),
        weight_bits: weighted.map_or(0, |weighted| weighted.bits.bits() as u8),
        activation_bits: bits(&first_input(model, node)?),
        arrangement: weighted.and_then(|weighted| model.arrangement(weighted.arrangement)).map(|arrangement| arrangement.name()),
    })
}

/// A width for people: a dash for none.
fn width(weight_bits: u8, activation_bits: u8) -> String {
    if weight_bits == 0 { format!("a{activation_bits}") } else { format!("w{weight_bits}a{activation_bits}") }
}

fn text(inspection: &Inspection) -> String {
    let head = format!(
        "{}: file {}, weights {}, arena {}, format version {}\ninput {} {} {}-bit codes from raw {}, output {} {}-bit codes{}",
        inspection.name,
        human_bytes(inspection.flash_bytes as u64),
        human_bytes(inspection.weights_bytes as u64),
        human_bytes(inspection.arena_bytes as u64),
        inspection.format_version,
        inspection.input.name,
        shape_text(&inspection.input.shape),
        inspection.input.bits,
        inspection.input.raw_type.unwrap_or("data"),
        shape_text(&inspection.output.shape),
        inspection.output.bits,
        if inspection.output.softmax_removed == Some(true) { " (a softmax was left out)" } else { "" },
    );
    let mut layers = table(&["layer", "op", "input", "output", "width", "weights", "scratch", "acc"], 2);
    for layer in &inspection.layers {
        let accumulator = if layer.accumulator_bits == 0 { "-".into() } else { format!("i{}", layer.accumulator_bits) };
        layers.add_row([
            layer.name.clone(),
            layer.op.into(),
            shape_text(&layer.input_shape),
            shape_text(&layer.output_shape),
            width(layer.weight_bits, layer.activation_bits),
            layer.weights_bytes.to_string(),
            layer.scratch_bytes.to_string(),
            accumulator,
        ]);
    }
    let mut groups = table(&["group", "width", "members"], 1);
    if let Some(members) = groups.column_mut(2) {
        members.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    for group in &inspection.groups {
        groups.add_row([group.name.clone(), width(group.weight_bits, group.activation_bits), group.ops.join(", ")]);
    }
    let mut memory = table(&["tensor", "from", "to", "bytes", "bits", "written by", "last read by"], 1);
    for line in &inspection.memory {
        let end = line.offset as usize + line.bytes;
        let written = match (&line.view_of, &line.written_by) {
            (Some(root), _) => format!("view of {root}"),
            (None, Some(writer)) => writer.clone(),
            (None, None) => "input".into(),
        };
        let last = line.last_read_by.clone().unwrap_or_else(|| "-".into());
        memory.add_row([
            line.tensor.clone(),
            line.offset.to_string(),
            end.to_string(),
            line.bytes.to_string(),
            line.bits.to_string(),
            written,
            last,
        ]);
    }
    let mut kernels = table(&["kernel", "width", "weights arranged"], 1);
    for line in &inspection.kernels {
        kernels.add_row([line.operator.to_string(), width(line.weight_bits, line.activation_bits), line.arrangement.unwrap_or("-").into()]);
    }
    format!("{head}\n\nLayers\n{layers}\n\nQuantizer groups\n{groups}\n\nMemory map of the arena\n{memory}\n\nNeeded kernels\n{kernels}")
}
