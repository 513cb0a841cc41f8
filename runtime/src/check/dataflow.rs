//! No node destroys what is still to be read.
//!
//! Independent of how the plan was made: each tensor that owns memory is followed through all nodes in the order in
//! which they run. It is written from its first byte on, whole or in parts. Its bytes are *intact* from the moment they are
//! written until another node's output or scratch memory touches them. Every read of it, or of a view of it, must find
//! its bytes intact; the network's output must be intact at the end. Of intact bytes with a hole only those on one side are
//! remembered, so that nothing has to be stored and the time is (tensors x nodes) record reads.

use crate::decode::{Decode, Reader};
use crate::error::{LoadError, NodeProblem, PortProblem};
use crate::model::Model;
use crate::node::{INPUTS_MAX, Region};
use crate::overlap::{Bytes, bytes_of, order, overlap};

/// The front of a [`Node`](crate::Node) record: all that matters here.
struct Wiring {
    inputs: heapless::Vec<u16, INPUTS_MAX>,
    output: u16,
    scratch: Region,
}

impl<'a> Decode<'a> for Wiring {
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self { inputs: Decode::decode(reader)?, output: Decode::decode(reader)?, scratch: Decode::decode(reader)? })
    }
}

pub(super) fn check(model: &Model<'_>) -> Result<(), LoadError> {
    for node in 0..model.record().nodes {
        own_places(model, node).map_err(|problem| LoadError::Node { node, problem })?;
    }
    let port = LoadError::Output { problem: PortProblem::Unwritten };
    let output_root = model.root(model.record().output.tensor);
    let output = model.tensor(model.record().output.tensor).ok_or(port)?;
    for tensor in 0..model.record().tensors {
        let Some(record) = model.tensor(tensor) else {
            continue;
        };
        if record.alias.is_some() {
            continue;
        }
        let intact = follow(model, tensor, bytes_of(&record))?;
        if output_root == Some(tensor) && !intact.holds(bytes_of(&output)) {
            return Err(port);
        }
    }
    Ok(())
}

/// A node's scratch memory touches nothing that it reads or writes, and its output touches an input only where an order
/// of its rows or codes allows that.
fn own_places(model: &Model<'_>, node: u16) -> Result<(), NodeProblem> {
    let wiring = wiring(model, node).ok_or(NodeProblem::Record)?;
    let output = model.tensor(wiring.output).ok_or(NodeProblem::Reference)?;
    let scratch = scratch_of(&wiring);
    let mut scratch_touched = overlap(bytes_of(&output), scratch);
    let mut output_touches = false;
    for &input in &wiring.inputs {
        let input = model.tensor(input).ok_or(NodeProblem::Reference)?;
        output_touches |= overlap(bytes_of(&output), bytes_of(&input));
        scratch_touched |= overlap(scratch, bytes_of(&input));
    }
    if scratch_touched || (output_touches && !can_overlap(model, node)?) {
        return Err(NodeProblem::Overlap);
    }
    Ok(())
}

fn can_overlap(model: &Model<'_>, node: u16) -> Result<bool, NodeProblem> {
    let node = model.node(node).ok_or(NodeProblem::Record)?;
    let tensor = |place: usize| node.inputs.get(place).and_then(|&index| model.tensor(index));
    let kernel = model.kernel(&node).ok_or(NodeProblem::Record)?;
    let output = model.tensor(node.output).ok_or(NodeProblem::Reference)?;
    let Some(first) = tensor(0).filter(|_| node.inputs.len() <= 2) else { return Ok(false) };
    Ok(order(&kernel, &first, tensor(1).as_ref(), &output).is_some())
}

/// What is left of a tensor.
#[derive(Clone, Copy)]
struct Intact {
    bytes: Bytes,
}

impl Intact {
    fn holds(self, bytes: Bytes) -> bool {
        self.bytes.0 <= bytes.0 && bytes.1 <= self.bytes.1
    }

    /// Takes these bytes away.
    fn lose(&mut self, bytes: Bytes) {
        if !overlap(self.bytes, bytes) {
            return;
        }
        let (below, above) = ((self.bytes.0, bytes.0.max(self.bytes.0)), (bytes.1.min(self.bytes.1), self.bytes.1));
        self.bytes = if below.1 - below.0 > above.1 - above.0 { below } else { above };
    }

    /// Adds bytes behind all that have been written so far.
    fn gain(&mut self, bytes: Bytes) {
        let first = if self.bytes.1 == bytes.0 { self.bytes.0 } else { bytes.0 };
        self.bytes = (first, bytes.1);
    }
}

/// Follows one tensor through all nodes; what is left of it at the end.
fn follow(model: &Model<'_>, tensor: u16, bytes: Bytes) -> Result<Intact, LoadError> {
    let given = model.record().input.tensor == tensor;
    let mut written = if given { bytes.1 } else { bytes.0 };
    let mut intact = Intact { bytes: (bytes.0, written) };
    for node in 0..model.record().nodes {
        let error = |problem| LoadError::Node { node, problem };
        let wiring = wiring(model, node).ok_or(error(NodeProblem::Record))?;
        for &input in &wiring.inputs {
            let input = model.tensor(input).filter(|record| record.alias.unwrap_or(input) == tensor);
            if input.is_some_and(|input| !intact.holds(bytes_of(&input))) {
                return Err(error(NodeProblem::Unwritten { tensor }));
            }
        }
        let output = model.tensor(wiring.output).ok_or(error(NodeProblem::Reference))?;
        let own = bytes_of(&output);
        intact.lose(scratch_of(&wiring));
        if output.alias.unwrap_or(wiring.output) != tensor {
            intact.lose(own);
        } else if own.0 == written {
            intact.gain(own);
            written = own.1;
        } else {
            return Err(error(NodeProblem::Written { tensor }));
        }
    }
    Ok(intact)
}

fn wiring(model: &Model<'_>, node: u16) -> Option<Wiring> {
    model.decode(model.node_place(node))
}

fn scratch_of(wiring: &Wiring) -> Bytes {
    let begin = wiring.scratch.offset as usize;
    (begin, begin.saturating_add(wiring.scratch.length as usize))
}
