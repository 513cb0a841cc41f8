//! An ONNX node with typed access to its attributes and inputs; every failure names the node.

use tract_onnx::pb;

use super::error::{ImportError, Unsupported};
use super::facts::{Constant, Facts};

/// A node under import.
#[derive(Clone, Copy)]
pub(super) struct OnnxNode<'a> {
    pub(super) proto: &'a pb::NodeProto,
    pub(super) facts: &'a Facts,
    pub(super) opset: i64,
}

impl<'a> OnnxNode<'a> {
    /// The node's name, or that of its first output.
    pub(super) fn name(&self) -> &'a str {
        node_name(self.proto)
    }

    pub(super) fn invalid(&self, detail: impl Into<String>) -> ImportError {
        ImportError::Invalid { node: self.name().into(), operator: self.proto.op_type.clone(), detail: detail.into() }
    }

    pub(super) fn unsupported(&self, attribute: &str, detail: impl Into<String>, nearest: &str) -> ImportError {
        ImportError::Unsupported(Box::new(Unsupported {
            node: self.name().into(),
            operator: self.proto.op_type.clone(),
            attribute: (!attribute.is_empty()).then(|| attribute.into()),
            detail: detail.into(),
            nearest: nearest.into(),
        }))
    }

    fn attribute(&self, name: &str) -> Option<&'a pb::AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|a| a.i)
    }

    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|a| a.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|a| a.floats.as_slice())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.attribute(name).map(|a| String::from_utf8_lossy(&a.s).into_owned())
    }

    /// Two positive sizes, `[vertical, horizontal]`, or one for a network with one spatial axis.
    pub(super) fn pair(&self, name: &str, default: usize, spatial: usize) -> Result<[usize; 2], ImportError> {
        let Some(values) = self.ints(name) else { return Ok(if spatial == 1 { [1, default] } else { [default; 2] }) };
        let sizes: Option<Vec<usize>> = values.iter().map(|v| usize::try_from(*v).ok().filter(|v| (1..1 << 20).contains(v))).collect();
        match (spatial, sizes.as_deref()) {
            (2, Some([vertical, horizontal])) => Ok([*vertical, *horizontal]),
            (1, Some([horizontal])) => Ok([1, *horizontal]),
            _ => Err(self.invalid(format!("attribute {name} is {values:?}, expected {spatial} positive sizes"))),
        }
    }

    /// The name of input `index`, `None` where it is left out.
    pub(super) fn input(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub(super) fn required_input(&self, index: usize) -> Result<&'a str, ImportError> {
        self.input(index).ok_or_else(|| self.invalid(format!("input {index} is missing")))
    }

    /// Input `index` where its value is known at compile time.
    pub(super) fn constant(&self, index: usize) -> Result<Option<Constant>, ImportError> {
        match self.input(index) {
            Some(name) => self.facts.constant(name).map_err(|detail| self.invalid(detail)),
            None => Ok(None),
        }
    }

    /// A constant that must be there and finite.
    pub(super) fn weights(&self, index: usize, nearest: &str) -> Result<Constant, ImportError> {
        let name = self.required_input(index)?;
        let constant =
            self.constant(index)?.ok_or_else(|| self.unsupported(name, "the value is computed from the network's input", nearest))?;
        if let Some(position) = constant.values.iter().position(|v| !v.is_finite()) {
            return Err(self.invalid(format!("\"{name}\" holds {} at element {position}", constant.values[position])));
        }
        Ok(constant)
    }

    /// Integers given as an attribute in older opsets and as a constant input in newer ones.
    pub(super) fn ints_or_input(&self, name: &str, index: usize) -> Result<Option<Vec<i64>>, ImportError> {
        if let Some(values) = self.ints(name) {
            return Ok(Some(values.to_vec()));
        }
        match (self.input(index), self.constant(index)?) {
            (None, _) => Ok(None),
            (Some(_), Some(constant)) => Ok(Some(constant.values.iter().map(|v| *v as i64).collect())),
            (Some(input), None) => Err(self.unsupported(input, "the value is computed from the network's input", "a constant")),
        }
    }

    /// An axis counted from the end where negative.
    pub(super) fn axis(&self, value: i64, rank: usize) -> Result<usize, ImportError> {
        let axis = if value < 0 { value + rank as i64 } else { value };
        usize::try_from(axis)
            .ok()
            .filter(|axis| *axis < rank)
            .ok_or_else(|| self.invalid(format!("axis {value} of a tensor with {rank} axes")))
    }

    /// The shape that tract found for the node's first output, in ONNX order.
    pub(super) fn output_shape(&self) -> Result<Vec<usize>, ImportError> {
        let name = self.proto.output.first().ok_or_else(|| self.invalid("the node has no output"))?;
        self.facts.shape(name).ok_or_else(|| {
            self.unsupported("", "the shape of its output is not known at compile time", "fixed shapes, only the batch dynamic")
        })
    }
}

/// The name of a node, or that of its first output where it has none.
pub(super) fn node_name(proto: &pb::NodeProto) -> &str {
    match proto.output.first() {
        Some(output) if proto.name.is_empty() => output,
        _ => &proto.name,
    }
}
