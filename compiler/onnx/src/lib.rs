//! ONNX files as plain data: a small writer for any operator, attribute and initializer, and the messages of the format ([`proto`]) for reading and
//! changing a file. No protobuf compiler.
//!
//! The writer checks nothing about operators: it writes what it is told, so that tests can also write files that an importer has to refuse.
//!
//! ```
//! use apq_onnx::{Dim, GraphBuilder};
//!
//! let bytes = GraphBuilder::new(13)
//!     .input("input", &[Dim::Symbol("N"), 3.into(), 8.into(), 8.into()])
//!     .initializer("w", &[4, 3, 3, 3], &[0.5; 4 * 27])
//!     .node("Conv", "conv", &["input", "w"], &["c"], &[("pads", [1, 1, 1, 1].into()), ("group", 1.into())])
//!     .node("Relu", "relu", &["c"], &["output"], &[])
//!     .output("output", &[Dim::Symbol("N"), 4.into(), 8.into(), 8.into()])
//!     .to_bytes();
//! assert!(apq_onnx::summary(&bytes).is_ok());
//! ```

mod attribute;
pub mod proto;
pub mod supernet;

pub use attribute::{Attribute, Element, Tensor};

use prost::Message;

/// The version of the container format that is written: the oldest one that knows every operator set up to 17.
const IR_VERSION: i64 = 8;

/// One dimension of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim<'a> {
    /// A name for a size that is known only at run time, such as `N` for the batch.
    Symbol(&'a str),
    /// A size in elements.
    Fixed(usize),
}

impl From<usize> for Dim<'_> {
    fn from(size: usize) -> Self {
        Dim::Fixed(size)
    }
}

/// Builds one graph; every call adds to it, in the order in which it will stand in the file.
///
/// Nodes must be added in topological order, as ONNX demands. An empty string among a node's inputs is an optional input left out.
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    opset: i64,
    graph: proto::GraphProto,
    metadata: Vec<proto::StringStringEntryProto>,
}

impl GraphBuilder {
    /// An empty graph that uses version `opset` of the standard operators.
    pub fn new(opset: i64) -> Self {
        let graph = proto::GraphProto { name: Some("graph".to_owned()), ..Default::default() };
        Self { opset, graph, metadata: Vec::new() }
    }

    /// A float32 input.
    pub fn input(&mut self, name: &str, shape: &[Dim]) -> &mut Self {
        self.input_of(name, Element::F32, shape)
    }

    /// An input of another element type.
    pub fn input_of(&mut self, name: &str, element: Element, shape: &[Dim]) -> &mut Self {
        self.graph.input.push(value_info(name, element, Some(shape)));
        self
    }

    /// A float32 output.
    pub fn output(&mut self, name: &str, shape: &[Dim]) -> &mut Self {
        self.output_of(name, Element::F32, shape)
    }

    /// An output of another element type.
    pub fn output_of(&mut self, name: &str, element: Element, shape: &[Dim]) -> &mut Self {
        self.graph.output.push(value_info(name, element, Some(shape)));
        self
    }

    /// A float32 output whose shape is left for the reader to infer, its rank included.
    pub fn output_of_any_shape(&mut self, name: &str) -> &mut Self {
        self.graph.output.push(value_info(name, Element::F32, None));
        self
    }

    /// A recorded shape for an intermediate float32 tensor; readers may use it or not.
    pub fn value_info(&mut self, name: &str, shape: &[Dim]) -> &mut Self {
        self.graph.value_info.push(value_info(name, Element::F32, Some(shape)));
        self
    }

    /// A float32 constant: `shape` in elements (empty for a scalar), `values` row-major, in the layout of the operator that reads it
    /// (`[O, I, H, W]` for the weights of a convolution).
    pub fn initializer(&mut self, name: &str, shape: &[usize], values: &[f32]) -> &mut Self {
        self.initializer_of(name, Tensor::f32(shape, values))
    }

    /// An int64 constant, such as the shape that Reshape reads.
    pub fn initializer_i64(&mut self, name: &str, shape: &[usize], values: &[i64]) -> &mut Self {
        self.initializer_of(name, Tensor::i64(shape, values))
    }

    /// A constant of any element type.
    pub fn initializer_of(&mut self, name: &str, tensor: Tensor) -> &mut Self {
        self.graph.initializer.push(tensor.into_proto(Some(name)));
        self
    }

    /// One node of operator `op` of the standard domain; `name` is the node's own name, which messages and reports show.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attribute)]) -> &mut Self {
        self.node_of("", op, name, inputs, outputs, attributes)
    }

    /// One node of operator `op` of the operator set `domain` (`""` is the standard one). Another domain is not declared in the file's list of
    /// operator sets: the only use here is a file that must be refused.
    pub fn node_of(
        &mut self,
        domain: &str,
        op: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> &mut Self {
        self.graph.node.push(proto::NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: outputs.iter().map(|&name| name.to_owned()).collect(),
            name: Some(name.to_owned()),
            op_type: Some(op.to_owned()),
            attribute: attributes.iter().map(|(name, value)| value.to_proto(name)).collect(),
            domain: (!domain.is_empty()).then(|| domain.to_owned()),
        });
        self
    }

    /// An entry of the file's metadata, which tools show and keep.
    pub fn metadata(&mut self, key: &str, value: &str) -> &mut Self {
        self.metadata.push(proto::StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) });
        self
    }

    /// The whole file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let standard = proto::OperatorSetIdProto { domain: Some(String::new()), version: Some(self.opset) };
        let model = proto::ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("apq".to_owned()),
            graph: Some(self.graph.clone()),
            opset_import: vec![standard],
            metadata_props: self.metadata.clone(),
        };
        model.encode_to_vec()
    }
}

fn value_info(name: &str, element: Element, shape: Option<&[Dim]>) -> proto::ValueInfoProto {
    let dimension = |dim: &Dim| match *dim {
        Dim::Symbol(symbol) => proto::DimensionProto { dim_param: Some(symbol.to_owned()), ..Default::default() },
        Dim::Fixed(size) => proto::DimensionProto { dim_value: Some(size as i64), ..Default::default() },
    };
    let shape = shape.map(|dims| proto::TensorShapeProto { dim: dims.iter().map(dimension).collect() });
    let tensor_type = proto::TensorTypeProto { elem_type: Some(element.code()), shape };
    let value_type = proto::TypeProto { tensor_type: Some(tensor_type) };
    proto::ValueInfoProto { name: Some(name.to_owned()), value_type: Some(value_type) }
}

/// What [`summary`] reads back from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Version of the standard operator set, 0 when the file declares none.
    pub opset: i64,
    /// Names of the graph's inputs, initializers not included.
    pub inputs: Vec<String>,
    /// Names of the graph's outputs.
    pub outputs: Vec<String>,
    /// The operator of every node, in the order of the file.
    pub ops: Vec<String>,
    /// Elements of all initializers together.
    pub parameters: usize,
}

/// Reads a file back as far as [`Summary`] goes.
///
/// # Errors
/// The bytes are not an ONNX protobuf.
pub fn summary(bytes: &[u8]) -> Result<Summary, prost::DecodeError> {
    let model = proto::ModelProto::decode(bytes)?;
    let standard = model.opset_import.iter().find(|set| set.domain.as_deref().unwrap_or("").is_empty());
    let opset = standard.and_then(|set| set.version).unwrap_or(0);
    let graph = model.graph.unwrap_or_default();
    let elements = |tensor: &proto::TensorProto| tensor.dims.iter().map(|&dim| dim.max(0) as usize).product::<usize>();
    Ok(Summary {
        opset,
        parameters: graph.initializer.iter().map(elements).sum(),
        inputs: graph.input.into_iter().filter_map(|value| value.name).collect(),
        outputs: graph.output.into_iter().filter_map(|value| value.name).collect(),
        ops: graph.node.into_iter().filter_map(|node| node.op_type).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_as_it_was_built() {
        let mut graph = GraphBuilder::new(17);
        graph.input("x", &[Dim::Symbol("N"), 2.into()]);
        graph.initializer("w", &[3, 2], &[1.0; 6]).initializer_i64("scalar", &[], &[7]);
        graph.node("Gemm", "g", &["x", "w"], &["h"], &[("transB", 1.into())]);
        graph.node_of("elsewhere", "Custom", "c", &["h"], &["y"], &[]).output_of_any_shape("y");
        let expected = Summary {
            opset: 17,
            inputs: vec!["x".into()],
            outputs: vec!["y".into()],
            ops: vec!["Gemm".into(), "Custom".into()],
            parameters: 7,
        };
        assert_eq!(summary(&graph.to_bytes()), Ok(expected));
        assert!(summary(b"not a protobuf").is_err());
    }

    #[test]
    fn an_attribute_of_zero_is_on_the_wire() {
        let node = |attributes: &[(&str, Attribute)]| {
            let mut graph = GraphBuilder::new(13);
            graph.node("Op", "n", &[], &[], attributes);
            proto::ModelProto::decode(&graph.to_bytes()[..]).unwrap().graph.unwrap().node.remove(0)
        };
        let read = node(&[("axis", 0.into()), ("alpha", 0.0.into()), ("mode", "".into())]);
        let [axis, alpha, mode] = &read.attribute[..] else { panic!("{read:?}") };
        assert_eq!((axis.i, axis.kind), (Some(0), Some(proto::KIND_INT)));
        assert_eq!((alpha.f, alpha.kind), (Some(0.0), Some(proto::KIND_FLOAT)));
        assert_eq!((mode.s.as_deref(), mode.kind), (Some(&b""[..]), Some(proto::KIND_STRING)));
    }
}
