//! No node destroys what is still to be read.
//!
//! Independent of how the plan was made: each tensor that owns memory is followed through all nodes in the order in
//! which they run. It is *whole* from the moment it is written until a node's output or scratch memory touches its bytes.
//! Every read of it, or of a view of it, must find it whole; the network's output must be whole at the end. Nothing is
//! stored, so that the time is (tensors x nodes) record reads.

use crate::error::{LoadError, NodeProblem, PortProblem};
use crate::model::Model;
use crate::node::{INPUTS_MAX, Region};
use crate::tensor::Tensor;

/// The front of a [`Node`](crate::Node) record: all that matters here.
#[derive(serde::Deserialize)]
struct Wiring {
    inputs: heapless::Vec<u16, INPUTS_MAX>,
    output: u16,
    scratch: Region,
}

/// First byte and end of a range in the arena.
type Bytes = (usize, usize);

pub(super) fn check(model: &Model<'_>) -> Result<(), LoadError> {
    for node in 0..model.record().nodes {
        own_places(model, node).map_err(|problem| LoadError::Node { node, problem })?;
    }
    let output = model.root(model.record().output.tensor);
    for tensor in 0..model.record().tensors {
        let Some(record) = model.tensor(tensor) else {
            continue;
        };
        if record.alias.is_some() {
            continue;
        }
        let whole = follow(model, tensor, bytes_of(&record))?;
        if !whole && output == Some(tensor) {
            return Err(LoadError::Output { problem: PortProblem::Unwritten });
        }
    }
    Ok(())
}

/// A node writes a tensor that owns its memory, and neither that nor its scratch memory touches what it reads.
fn own_places(model: &Model<'_>, node: u16) -> Result<(), NodeProblem> {
    let wiring = wiring(model, node).ok_or(NodeProblem::Record)?;
    let output = model.tensor(wiring.output).ok_or(NodeProblem::Reference)?;
    if output.alias.is_some() {
        return Err(NodeProblem::Written { tensor: wiring.output });
    }
    let (output, scratch) = (bytes_of(&output), scratch_of(&wiring));
    let mut touched = overlap(output, scratch);
    for &input in &wiring.inputs {
        let input = model.tensor(input).ok_or(NodeProblem::Reference)?;
        touched |= overlap(output, bytes_of(&input)) || overlap(scratch, bytes_of(&input));
    }
    if touched { Err(NodeProblem::Overlap) } else { Ok(()) }
}

/// Follows one tensor through all nodes; whether it is whole at the end.
fn follow(model: &Model<'_>, tensor: u16, bytes: Bytes) -> Result<bool, LoadError> {
    let mut written = model.record().input.tensor == tensor;
    let mut whole = written;
    for node in 0..model.record().nodes {
        let error = |problem| LoadError::Node { node, problem };
        let wiring = wiring(model, node).ok_or(error(NodeProblem::Record))?;
        let reads = wiring.inputs.iter().any(|&input| model.root(input) == Some(tensor));
        if reads && !whole {
            return Err(error(NodeProblem::Unwritten { tensor }));
        }
        if wiring.output == tensor {
            if written {
                return Err(error(NodeProblem::Written { tensor }));
            }
            (written, whole) = (true, true);
        } else {
            let output = model.tensor(wiring.output).ok_or(error(NodeProblem::Reference))?;
            whole &= !overlap(bytes_of(&output), bytes);
            whole &= !overlap(scratch_of(&wiring), bytes);
        }
    }
    Ok(whole)
}

fn wiring(model: &Model<'_>, node: u16) -> Option<Wiring> {
    model.decode(model.node_place(node))
}

fn bytes_of(tensor: &Tensor<'_>) -> Bytes {
    let begin = tensor.offset as usize;
    (begin, begin.saturating_add(tensor.bytes()))
}

fn scratch_of(wiring: &Wiring) -> Bytes {
    let begin = wiring.scratch.offset as usize;
    (begin, begin.saturating_add(wiring.scratch.length as usize))
}

/// Whether two ranges share a byte; an empty one shares none.
fn overlap(a: Bytes, b: Bytes) -> bool {
    a.0.max(b.0) < a.1.min(b.1)
}
