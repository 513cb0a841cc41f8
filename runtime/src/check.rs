//! Proof that a file whose checksum is right describes a model that can run.
//!
//! In order:
//!
//! 1. the offset table names records that follow each other and fill the section, and each decodes to its end;
//! 2. every tensor has a legal shape and quantizer and an aligned place inside the arena, and then every view shows a tensor
//!    of the same bytes;
//! 3. input and output exist, and the input's tables hold codes;
//! 4. every node suits its tensors ([`node`]), and all together read little raw data more often than once;
//! 5. no node destroys what is still to be read ([`dataflow`]).

use apq_kernels::ActivationBits;

use crate::error::{LoadError, NodeProblem, PortProblem, TensorProblem};
use crate::header::ALIGNMENT;
use crate::model::Model;
use crate::node::Node;
use crate::raw;
use crate::tensor::Tensor;

mod dataflow;
mod node;

/// How often all nodes together may read the raw section: nodes that compute one layer in parts share its blocks, but many
/// nodes over one block would make a small file take hours to check.
const RAW_READS_MAX: usize = 64;

/// Everything behind the header and the lists of operators and arrangements.
pub(crate) fn model(model: &Model<'_>) -> Result<(), LoadError> {
    records(model)?;
    for index in 0..model.record().tensors {
        tensor(model, index).map_err(|problem| LoadError::Tensor { tensor: index, problem })?;
    }
    // After all shapes: a view may show a tensor that comes later.
    for index in 0..model.record().tensors {
        view(model, index).map_err(|problem| LoadError::Tensor { tensor: index, problem })?;
    }
    input(model).map_err(|problem| LoadError::Input { problem })?;
    output(model).map_err(|problem| LoadError::Output { problem })?;
    let mut operators = 0u32;
    let mut raw_left = model.raw().len().saturating_mul(RAW_READS_MAX);
    for index in 0..model.record().nodes {
        let operator = node::check(model, index, &mut raw_left).map_err(|problem| LoadError::Node { node: index, problem })?;
        operators |= 1 << operator;
    }
    if operators != model.operator_set() {
        return Err(LoadError::Graph);
    }
    dataflow::check(model)
}

/// The offset table and the length of every record.
fn records(model: &Model<'_>) -> Result<(), LoadError> {
    let (tensors, groups) = (model.tensor_count(), model.node_place(model.record().nodes));
    let mut begin = model.records_begin();
    for place in 0..model.record_count() {
        if model.record_offset(place) != Some(begin) {
            return Err(LoadError::Graph);
        }
        begin = model.record_offset(place + 1).ok_or(LoadError::Graph)?;
        if place < tensors {
            let problem = TensorProblem::Record;
            let error = LoadError::Tensor { tensor: place as u16, problem };
            model.decode_whole::<Tensor<'_>>(place).ok_or(error)?;
        } else if place < groups {
            let problem = NodeProblem::Record;
            let error = LoadError::Node { node: (place - tensors) as u16, problem };
            model.decode_whole::<Node<'_>>(place).ok_or(error)?;
        } else {
            model.decode_whole::<&str>(place).ok_or(LoadError::Graph)?;
        }
    }
    if model.record_count() == 0 && model.record_offset(0) != Some(begin) {
        return Err(LoadError::Graph);
    }
    Ok(())
}

fn tensor(model: &Model<'_>, index: u16) -> Result<(), TensorProblem> {
    let tensor = model.tensor(index).ok_or(TensorProblem::Record)?;
    if !tensor.bits.is_built() {
        return Err(TensorProblem::Width);
    }
    if !tensor.shape.is_legal() {
        return Err(TensorProblem::Shape);
    }
    if !(tensor.scale.is_finite() && tensor.scale > 0.0) {
        return Err(TensorProblem::Scale);
    }
    let codes_signed = tensor.bits.signed();
    if !tensor.bits.contains(tensor.zero_point) || (codes_signed && tensor.zero_point != 0) {
        return Err(TensorProblem::ZeroPoint);
    }
    let offset = tensor.offset as usize;
    let inside = offset.checked_add(tensor.bytes()).is_some_and(|end| end <= model.arena_bytes());
    // A view begins at a pixel of what it shows.
    let aligned = tensor.alias.is_some() || offset.is_multiple_of(ALIGNMENT);
    if !aligned || !inside {
        return Err(TensorProblem::Placement);
    }
    Ok(())
}

fn view(model: &Model<'_>, index: u16) -> Result<(), TensorProblem> {
    let tensor = model.tensor(index).ok_or(TensorProblem::Record)?;
    let Some(shown) = tensor.alias else {
        return Ok(());
    };
    let shown = model.tensor(shown).ok_or(TensorProblem::Alias)?;
    if shows(&tensor, &shown) { Ok(()) } else { Err(TensorProblem::Alias) }
}

/// Whether a view's bytes are those of whole pixels of the tensor that it shows, and mean the same.
fn shows(view: &Tensor<'_>, shown: &Tensor<'_>) -> bool {
    let (bytes, all) = (view.range(), shown.range());
    let at_pixel = bytes.start.checked_sub(all.start).is_some_and(|begin| begin.is_multiple_of(shown.pixel_bytes().max(1)));
    let inside = at_pixel && bytes.end <= all.end;
    shown.alias.is_none() && inside && same_quantizer(view, shown) && packs_alike(view, shown)
}

/// Whether equal codes stand for equal real values.
fn same_quantizer(a: &Tensor<'_>, b: &Tensor<'_>) -> bool {
    a.bits == b.bits && a.zero_point == b.zero_point && a.scale.to_bits() == b.scale.to_bits()
}

/// Whether the same codes in the same order are the same bytes.
fn packs_alike(a: &Tensor<'_>, b: &Tensor<'_>) -> bool {
    let fills_bytes = |tensor: &Tensor<'_>| match tensor.bits {
        ActivationBits::A2 => tensor.shape.channels().is_multiple_of(4),
        ActivationBits::A4 => tensor.shape.channels().is_multiple_of(2),
        ActivationBits::A6 | ActivationBits::A8 | ActivationBits::A16 => true,
    };
    a.shape.channels() == b.shape.channels() || (fills_bytes(a) && fills_bytes(b))
}

fn input(model: &Model<'_>) -> Result<(), PortProblem> {
    let record = &model.record().input;
    let tensor = model.tensor(record.tensor).ok_or(PortProblem::Reference)?;
    if tensor.alias.is_some() {
        return Err(PortProblem::Reference);
    }
    let lists = record.lists as usize;
    if lists != 1 && lists != tensor.shape.channels() {
        return Err(PortProblem::Preprocessing);
    }
    let (mean, std, _) = raw::input(model.raw(), record, tensor.bits).ok_or(PortProblem::Raw)?;
    if !mean.iter().all(|mean| mean.is_finite()) || !std.iter().all(|&std| std.is_finite() && std != 0.0) {
        return Err(PortProblem::Preprocessing);
    }
    let input = model.input().ok_or(PortProblem::Raw)?;
    if input.raw_type.has_table() {
        for list in 0..lists {
            let legal = |byte| input.look_up(byte, list).is_some_and(|code| tensor.bits.contains(code));
            if !(0..=u8::MAX).all(legal) {
                return Err(PortProblem::Table);
            }
        }
    }
    Ok(())
}

fn output(model: &Model<'_>) -> Result<(), PortProblem> {
    let record = &model.record().output;
    let tensor = model.tensor(record.tensor).ok_or(PortProblem::Reference)?;
    let classes = record.classes as usize;
    if classes != 0 && classes != tensor.shape.elements() {
        return Err(PortProblem::Classes);
    }
    Ok(())
}
