//! Values: the element types, constant tensors, and the attributes of a node.

use super::proto;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Unsigned 8 bits.
    U8,
    /// Signed 8 bits.
    I8,
    /// Signed 32 bits.
    I32,
    /// Signed 64 bits.
    I64,
    /// One byte, 0 or 1.
    Bool,
}

impl Element {
    /// The number that `TensorProto.DataType` gives to the type.
    pub(super) fn code(self) -> i32 {
        match self {
            Element::F32 => 1,
            Element::U8 => 2,
            Element::I8 => 3,
            Element::I32 => 6,
            Element::I64 => 7,
            Element::Bool => 9,
            Element::F64 => 11,
        }
    }
}

/// A constant tensor, row-major; an empty shape is a scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    element: Element,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// A float32 tensor.
    pub fn f32(shape: &[usize], values: &[f32]) -> Self {
        Self::of_bytes(Element::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// An int64 tensor.
    pub fn i64(shape: &[usize], values: &[i64]) -> Self {
        Self::of_bytes(Element::I64, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// An int32 tensor.
    pub fn i32(shape: &[usize], values: &[i32]) -> Self {
        Self::of_bytes(Element::I32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// An int8 tensor.
    pub fn i8(shape: &[usize], values: &[i8]) -> Self {
        Self::of_bytes(Element::I8, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A uint8 tensor.
    pub fn u8(shape: &[usize], values: &[u8]) -> Self {
        Self::of_bytes(Element::U8, shape, values.to_vec())
    }

    /// Any element type, from little-endian bytes. The number of bytes is not compared with the shape.
    pub fn of_bytes(element: Element, shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { element, shape: shape.to_vec(), bytes }
    }

    pub(super) fn into_proto(self, name: Option<&str>) -> proto::TensorProto {
        proto::TensorProto {
            dims: self.shape.iter().map(|&size| size as i64).collect(),
            data_type: Some(self.element.code()),
            name: name.map(str::to_owned),
            raw_data: Some(self.bytes),
            ..Default::default()
        }
    }
}

/// The value of an attribute. `From` covers integers, floats, strings, tensors, and arrays and slices of integers and floats.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// `i`
    Int(i64),
    /// `f`
    Float(f32),
    /// `s`
    String(String),
    /// `t`
    Tensor(Tensor),
    /// `ints`
    Ints(Vec<i64>),
    /// `floats`
    Floats(Vec<f32>),
    /// `strings`
    Strings(Vec<String>),
}

impl Attribute {
    pub(super) fn to_proto(&self, name: &str) -> proto::AttributeProto {
        let mut out = proto::AttributeProto { name: Some(name.to_owned()), ..Default::default() };
        out.kind = Some(match self.clone() {
            Attribute::Int(value) => {
                out.i = Some(value);
                proto::KIND_INT
            }
            Attribute::Float(value) => {
                out.f = Some(value);
                proto::KIND_FLOAT
            }
            Attribute::String(value) => {
                out.s = Some(value.into_bytes());
                proto::KIND_STRING
            }
            Attribute::Tensor(value) => {
                out.t = Some(value.into_proto(None));
                proto::KIND_TENSOR
            }
            Attribute::Ints(values) => {
                out.ints = values;
                proto::KIND_INTS
            }
            Attribute::Floats(values) => {
                out.floats = values;
                proto::KIND_FLOATS
            }
            Attribute::Strings(values) => {
                out.strings = values.into_iter().map(String::into_bytes).collect();
                proto::KIND_STRINGS
            }
        });
        out
    }
}

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Attribute::Int(value)
    }
}

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        Attribute::Float(value)
    }
}

impl From<&str> for Attribute {
    fn from(value: &str) -> Self {
        Attribute::String(value.to_owned())
    }
}

impl From<Tensor> for Attribute {
    fn from(value: Tensor) -> Self {
        Attribute::Tensor(value)
    }
}

impl From<&[i64]> for Attribute {
    fn from(values: &[i64]) -> Self {
        Attribute::Ints(values.to_vec())
    }
}

impl<const N: usize> From<[i64; N]> for Attribute {
    fn from(values: [i64; N]) -> Self {
        Attribute::Ints(values.to_vec())
    }
}

impl From<&[f32]> for Attribute {
    fn from(values: &[f32]) -> Self {
        Attribute::Floats(values.to_vec())
    }
}

impl<const N: usize> From<[f32; N]> for Attribute {
    fn from(values: [f32; N]) -> Self {
        Attribute::Floats(values.to_vec())
    }
}
