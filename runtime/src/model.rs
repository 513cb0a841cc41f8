//! A checked file, read in place.

use apq_kernels::Arrangement;
use serde::Serialize;

use crate::built;
use crate::decode::{Decode, Reader};
use crate::error::{LoadError, Name};
use crate::header::{ALIGNMENT, Header, word};
use crate::input::{Input, InputRecord, Output, OutputRecord};
use crate::kernel::{Kernel, bind};
use crate::node::{Node, Operator};
use crate::tensor::Tensor;
use crate::{check, raw};

/// Most arrangements that one file may use.
pub(crate) const ARRANGEMENTS_MAX: usize = 8;

/// Bytes of one entry of the offset table.
pub(crate) const OFFSET_BYTES: usize = 4;

/// Head of the graph section, after the lists of operators and arrangements.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct GraphRecord<'a> {
    pub(crate) name: &'a str,
    pub(crate) arena_bytes: u32,
    pub(crate) tensors: u16,
    pub(crate) nodes: u16,
    pub(crate) groups: u16,
    pub(crate) input: InputRecord,
    pub(crate) output: OutputRecord,
}

/// An `.apq` file that has been proved right.
///
/// Holds no more than a few words: everything is read from the file when it is asked for, one record at a time.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    file_bytes: usize,
    graph: &'a [u8],
    raw: &'a [u8],
    /// Where the offset table starts in the graph section.
    table: usize,
    record: GraphRecord<'a>,
    /// The operators that the file names, by their place in [`Operator::NAMES`].
    operators: u32,
    arrangements: [Option<Arrangement>; ARRANGEMENTS_MAX],
}

impl<'a> Model<'a> {
    /// Proves a file right, in this order: magic, length, checksum; format version, operators and arrangements; then
    /// every offset, shape, width, constant and place in the arena, and that no sum can leave its accumulator.
    ///
    /// After this no accessor and no run of the model can fail, panic, or read out of bounds. The time is that of
    /// reading the file a few times (hostile files: 64 times), plus (tensors x nodes) record reads, plus for each
    /// pool at most one look at each of its windows, which is less than what a run does.
    ///
    /// # Errors
    /// See [`LoadError`]; [`LoadError::class`] tells a bad file from one that needs more than this build has.
    pub fn new_checked(file: &'a [u8]) -> Result<Self, LoadError> {
        let header = Header::read(file)?;
        let (graph, raw) = header.sections(file)?;
        let (operators, rest) = read_operators(graph)?;
        let (arrangements, rest) = read_arrangements(rest)?;
        if !file.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(LoadError::Misaligned);
        }
        let (record, rest) = take::<GraphRecord<'_>>(rest)?;
        let table = graph.len() - rest.len();
        let model = Self { file_bytes: file.len(), graph, raw, table, record, operators, arrangements };
        check::model(&model)?;
        Ok(model)
    }

    /// Name of the model.
    pub fn name(&self) -> &'a str {
        self.record.name
    }

    /// Bytes of the arena that a [`Session`](crate::Session) needs: all codes, input and output among them, and scratch.
    pub fn arena_bytes(&self) -> usize {
        self.record.arena_bytes as usize
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// Bytes of the raw section: weights, biases, requantisation constants and tables.
    pub fn raw_bytes(&self) -> usize {
        self.raw.len()
    }

    /// Number of tensors, views included.
    pub fn tensor_count(&self) -> usize {
        usize::from(self.record.tensors)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        usize::from(self.record.nodes)
    }

    /// Number of quantizer groups.
    pub fn group_count(&self) -> usize {
        usize::from(self.record.groups)
    }

    /// Tensor `index`, if there is one.
    pub fn tensor(&self, index: u16) -> Option<Tensor<'a>> {
        if index >= self.record.tensors {
            return None;
        }
        self.decode(usize::from(index))
    }

    /// Node `index`, in the order in which nodes run, if there is one.
    pub fn node(&self, index: u16) -> Option<Node<'a>> {
        if index >= self.record.nodes {
            return None;
        }
        self.decode(self.node_place(index))
    }

    /// Name of quantizer group `index`, if there is one.
    pub fn group(&self, index: u16) -> Option<&'a str> {
        if index >= self.record.groups {
            return None;
        }
        self.decode(self.node_place(self.record.nodes) + usize::from(index))
    }

    /// All tensors, by number.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'a>> + '_ {
        (0..self.record.tensors).filter_map(|index| self.tensor(index))
    }

    /// All nodes, in the order in which they run.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> + '_ {
        (0..self.record.nodes).filter_map(|index| self.node(index))
    }

    /// Names of the quantizer groups, by number.
    pub fn groups(&self) -> impl Iterator<Item = &'a str> + '_ {
        (0..self.record.groups).filter_map(|index| self.group(index))
    }

    /// Names of the operators that the model uses.
    pub fn operators(&self) -> impl Iterator<Item = &'static str> + '_ {
        let names = Operator::NAMES.iter().enumerate();
        names.filter(|(index, _)| self.operators >> index & 1 == 1).map(|(_, &name)| name)
    }

    /// Arrangements of weights that the model uses.
    pub fn arrangements(&self) -> impl Iterator<Item = Arrangement> + '_ {
        self.arrangements.iter().flatten().copied()
    }

    /// Arrangement of a node's weights: `weighted.arrangement` is a place in the file's list.
    pub fn arrangement(&self, place: u8) -> Option<Arrangement> {
        self.arrangements.get(usize::from(place)).copied().flatten()
    }

    /// Parameters of a node's kernel, with its weights and constants, as the executor passes them on.
    pub fn kernel(&self, node: &Node<'_>) -> Option<Kernel<'a>> {
        let output = self.tensor(node.output)?;
        let first = match node.inputs.first() {
            Some(&index) => self.tensor(index)?,
            None => output.clone(),
        };
        let second = node.inputs.get(1).and_then(|&index| self.tensor(index));
        bind(self, node, &first, second.as_ref(), &output).ok()
    }

    /// What the network reads.
    pub fn input(&self) -> Option<Input<'a>> {
        let record = &self.record.input;
        let tensor = self.tensor(record.tensor)?;
        let (mean, std, table) = raw::input(self.raw, record, tensor.bits)?;
        Some(Input { index: record.tensor, tensor, raw_type: record.raw_type, mean, std, table })
    }

    /// What the network writes.
    pub fn output(&self) -> Option<Output<'a>> {
        let record = &self.record.output;
        Some(Output {
            index: record.tensor,
            tensor: self.tensor(record.tensor)?,
            classes: record.classes as usize,
            softmax_removed: record.softmax_removed,
        })
    }

    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    pub(crate) fn record(&self) -> &GraphRecord<'a> {
        &self.record
    }

    pub(crate) fn operator_set(&self) -> u32 {
        self.operators
    }

    /// Where the record of a node stands in the offset table.
    pub(crate) fn node_place(&self, index: u16) -> usize {
        usize::from(self.record.tensors) + usize::from(index)
    }

    /// Number of records.
    pub(crate) fn record_count(&self) -> usize {
        self.node_place(self.record.nodes) + usize::from(self.record.groups)
    }

    /// Where the first record must start: behind the offset table.
    pub(crate) fn records_begin(&self) -> usize {
        self.table + self.record_count() * OFFSET_BYTES
    }

    /// Where record `place` starts in the graph section; the section's end for the place after the last one.
    pub(crate) fn record_offset(&self, place: usize) -> Option<usize> {
        if place == self.record_count() {
            return Some(self.graph.len());
        }
        word(self.graph, self.table + place * OFFSET_BYTES).map(|offset| offset as usize)
    }

    /// Decodes the beginning of record `place`.
    pub(crate) fn decode<T: Decode<'a>>(&self, place: usize) -> Option<T> {
        let bytes = self.graph.get(self.record_offset(place)?..)?;
        T::decode(&mut Reader::new(bytes))
    }

    /// Decodes record `place`, which must end where the next one starts.
    pub(crate) fn decode_whole<T: Decode<'a>>(&self, place: usize) -> Option<T> {
        let bytes = self.graph.get(self.record_offset(place)?..self.record_offset(place + 1)?)?;
        let (record, rest) = take(bytes).ok()?;
        rest.is_empty().then_some(record)
    }
}

/// The set of operators that the file names, as places in [`Operator::NAMES`], and the bytes after the list.
fn read_operators(graph: &[u8]) -> Result<(u32, &[u8]), LoadError> {
    let (count, mut rest) = take::<u32>(graph)?;
    let mut operators = 0u32;
    for _ in 0..count {
        let (name, after) = take::<&str>(rest)?;
        rest = after;
        match Operator::NAMES.iter().position(|&known| known == name) {
            Some(index) if built::has(index) => operators |= 1 << index,
            _ => {
                return Err(LoadError::Operator { name: Name::new(name) });
            }
        }
    }
    Ok((operators, rest))
}

type Arrangements = [Option<Arrangement>; ARRANGEMENTS_MAX];

/// The arrangements that the file names, and the bytes after the list.
fn read_arrangements(bytes: &[u8]) -> Result<(Arrangements, &[u8]), LoadError> {
    let (count, mut rest) = take::<u32>(bytes)?;
    let mut arrangements = [None; ARRANGEMENTS_MAX];
    for place in 0..count {
        let (name, after) = take::<&str>(rest)?;
        rest = after;
        let known = Arrangement::from_name(name).ok_or(LoadError::Arrangement { name: Name::new(name) })?;
        *arrangements.get_mut(place as usize).ok_or(LoadError::Graph)? = Some(known);
    }
    Ok((arrangements, rest))
}

fn take<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), LoadError> {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader).ok_or(LoadError::Graph)?;
    Ok((value, reader.rest()))
}
