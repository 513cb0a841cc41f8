//! Lengths of the lists in a description: the file stores none, a reader takes them from the shapes.

use apq_kernels::{Table, WeightShape};

use super::{ModelSpec, NodeSpec, OperatorSpec, WeightedSpec, WriteError};

/// Weights, output stage and table of a node are as long as the shapes of its tensors ask for.
///
/// A node whose tensors do not exist, or whose groups do not divide its channels, is left to the reader, which refuses it.
pub(super) fn check_lengths(spec: &ModelSpec, node: &NodeSpec, index: usize) -> Result<(), WriteError> {
    if let (OperatorSpec::Constant { codes }, Some(output)) = (&node.operator, spec.tensors.get(node.output)) {
        let elements = output.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        return if elements == Some(codes.len()) { Ok(()) } else { Err(WriteError::TableLength { node: index }) };
    }
    let first = node.inputs.first().and_then(|&first| spec.tensors.get(first));
    let Some((first, output)) = first.zip(spec.tensors.get(node.output)) else {
        return Ok(());
    };
    let (inputs, outputs) = (channels(&first.shape), channels(&output.shape));
    match &node.operator {
        OperatorSpec::Conv { window, groups, weighted } => {
            let [vertical, horizontal] = window.kernel.map(usize::from);
            let group_inputs = inputs.checked_div(*groups);
            let row_len = group_inputs.and_then(|each| each.checked_mul(vertical)?.checked_mul(horizontal));
            check_weighted(weighted, *groups, outputs, row_len, index)
        }
        OperatorSpec::FullyConnected { weighted } => check_weighted(weighted, 1, outputs, Some(inputs), index),
        OperatorSpec::Resize { rows, columns, .. } => {
            let side = |back: usize| output.shape.len().checked_sub(back).map_or(1, |axis| output.shape[axis]);
            if [rows.len(), columns.len()] == [side(3), side(2)] { Ok(()) } else { Err(WriteError::StageLength { node: index }) }
        }
        OperatorSpec::Prelu { slope_multiplier, slope_shift, .. } => {
            if [slope_multiplier.len(), slope_shift.len()] == [outputs; 2] {
                Ok(())
            } else {
                Err(WriteError::StageLength { node: index })
            }
        }
        OperatorSpec::LayerNorm { gamma, beta, .. } => {
            if [gamma.len(), beta.len()] == [outputs; 2] {
                Ok(())
            } else {
                Err(WriteError::StageLength { node: index })
            }
        }
        OperatorSpec::Table { entries } => {
            let entry_bytes = if first.bits.signed() || output.bits.signed() { 2 } else { 1 };
            let fits = entries.len() * entry_bytes == Table::entries_bytes(first.bits, output.bits);
            if fits { Ok(()) } else { Err(WriteError::TableLength { node: index }) }
        }
        _ => Ok(()),
    }
}

fn check_weighted(weighted: &WeightedSpec, groups: usize, outputs: usize, row_len: Option<usize>, node: usize) -> Result<(), WriteError> {
    let WeightedSpec { bias, multiplier, shift, weights, .. } = weighted;
    if [bias.len(), multiplier.len(), shift.len()] != [outputs; 3] {
        return Err(WriteError::StageLength { node });
    }
    let Some(row_len) = row_len else {
        return Ok(());
    };
    let shape = WeightShape { groups, rows: outputs, row_len };
    match weighted.arrangement.bytes(weighted.bits, &shape) {
        Some(bytes) if bytes != weights.len() => Err(WriteError::WeightLength { node }),
        _ => Ok(()),
    }
}

fn channels(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1)
}
