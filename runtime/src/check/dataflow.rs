//! No node destroys what is still to be read.
//!
//! Independent of how the plan was made: each tensor that owns memory is followed through all nodes, from the last to the first. Bytes of
//! it are *needed* from a read back to the node that writes them; between the two no other node's output or scratch memory may touch
//! them. A tensor is written from its first byte on, whole or in parts. Of what is needed only the first and the last byte are
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
    for tensor in 0..model.record().tensors {
        let Some(record) = model.tensor(tensor) else {
            continue;
        };
        if record.alias.is_some() {
            continue;
        }
        follow(model, tensor, bytes_of(&record))?;
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

/// What later nodes read of a tensor.
struct Needed {
    bytes: Bytes,
    /// The first node that reads after the place that has been reached; `None` for the network's output.
    reader: Option<u16>,
}

impl Needed {
    fn read(&mut self, bytes: Bytes, reader: Option<u16>) {
        let empty = self.bytes.0 >= self.bytes.1;
        self.bytes = if empty { bytes } else { (self.bytes.0.min(bytes.0), self.bytes.1.max(bytes.1)) };
        self.reader = reader;
    }

    fn missing(&self, tensor: u16) -> LoadError {
        match self.reader {
            Some(node) => LoadError::Node { node, problem: NodeProblem::Unwritten { tensor } },
            None => LoadError::Output { problem: PortProblem::Unwritten },
        }
    }
}

/// Follows one tensor from the end of the run to its beginning.
fn follow(model: &Model<'_>, tensor: u16, bytes: Bytes) -> Result<(), LoadError> {
    let given = model.record().input.tensor == tensor;
    let mut needed = Needed { bytes: (0, 0), reader: None };
    let shows = |index: u16| model.tensor(index).filter(|record| record.alias.unwrap_or(index) == tensor);
    if let Some(output) = shows(model.record().output.tensor) {
        needed.read(bytes_of(&output), None);
    }
    // The part that has been written last, seen from here.
    let mut part: Option<(u16, usize)> = None;
    for node in (0..model.record().nodes).rev() {
        let error = |problem| LoadError::Node { node, problem };
        let wiring = wiring(model, node).ok_or(error(NodeProblem::Record))?;
        let output = model.tensor(wiring.output).ok_or(error(NodeProblem::Reference))?;
        let own = bytes_of(&output);
        let writes = output.alias.unwrap_or(wiring.output) == tensor;
        let destroys = overlap(scratch_of(&wiring), needed.bytes) || (!writes && overlap(own, needed.bytes));
        if destroys {
            return Err(needed.missing(tensor));
        }
        if writes {
            if given || part.is_some_and(|(_, begin)| begin != own.1) {
                return Err(error(NodeProblem::Written { tensor }));
            }
            // What is behind this part has not been written yet.
            if needed.bytes.0 < needed.bytes.1 && needed.bytes.1 > own.1 {
                return Err(needed.missing(tensor));
            }
            part = Some((node, own.0));
            needed.bytes.1 = needed.bytes.1.min(own.0);
        }
        for &input in &wiring.inputs {
            if let Some(input) = shows(input) {
                needed.read(bytes_of(&input), Some(node));
            }
        }
    }
    match part {
        Some((node, begin)) if begin != bytes.0 => Err(LoadError::Node { node, problem: NodeProblem::Written { tensor } }),
        _ if !given && needed.bytes.0 < needed.bytes.1 => Err(needed.missing(tensor)),
        _ => Ok(()),
    }
}

fn wiring(model: &Model<'_>, node: u16) -> Option<Wiring> {
    model.decode(model.node_place(node))
}

fn scratch_of(wiring: &Wiring) -> Bytes {
    let begin = wiring.scratch.offset as usize;
    (begin, begin.saturating_add(wiring.scratch.length as usize))
}
