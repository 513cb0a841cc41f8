//! The operators that can be imported. To add one: write its function here or in a neighbouring file, and give it a row in [`OPERATORS`].

mod activation;
mod arithmetic;
pub(super) mod attention;
mod cut;
mod elementwise;
mod linear;
mod pool;
pub(super) mod resize;
mod shape;
pub(super) mod transposed;

use std::collections::HashMap;

use tract_onnx::pb;

use super::error::{ImportError, Unsupported};
use super::node::{OnnxNode, node_name};
use super::qdq::Given;
use super::view::{Builder, View};

/// The state of an import.
pub(super) struct Importer {
    pub(super) builder: Builder,
    /// Values that depend on the network's input, by ONNX name.
    pub(super) values: HashMap<String, View>,
    /// Quantizers that the model brings.
    pub(super) given: Given,
}

impl Importer {
    /// Input `index` of a node, which must depend on the network's input.
    pub(super) fn value(&self, node: &OnnxNode<'_>, index: usize) -> Result<View, ImportError> {
        let name = node.required_input(index)?;
        match self.values.get(name) {
            Some(view) => Ok(view.clone()),
            None => Err(node.unsupported(name, "this input is a constant", "a constant on the other side")),
        }
    }

    /// Input `index` of a node, a tensor of its own where it is a constant.
    pub(super) fn value_or_constant(&mut self, node: &OnnxNode<'_>, index: usize) -> Result<View, ImportError> {
        let name = node.required_input(index)?;
        if self.is_value(node, index) {
            return self.value(node, index);
        }
        let constant = node.weights(index, "a constant")?;
        let axes = (0..constant.shape.len()).collect();
        let tensor = self.builder.graph.add_constant(name, constant.shape, constant.values);
        self.builder.graph.tensors[tensor.0].quantizer = self.given.activations.get(name).copied();
        Ok(View { tensor, axes })
    }

    /// True where input `index` depends on the network's input.
    pub(super) fn is_value(&self, node: &OnnxNode<'_>, index: usize) -> bool {
        node.input(index).is_some_and(|name| self.values.contains_key(name))
    }
}

type Import = fn(&mut Importer, OnnxNode<'_>) -> Result<View, ImportError>;

/// One row of the operator table.
pub(super) struct Operator {
    pub(super) op_type: &'static str,
    pub(super) import: Import,
}

/// Every ONNX operator that may depend on the network's input.
pub(super) const OPERATORS: &[Operator] = &[
    Operator { op_type: "Abs", import: activation::abs },
    Operator { op_type: "Add", import: arithmetic::add },
    Operator { op_type: "AveragePool", import: pool::average_pool },
    Operator { op_type: "BatchNormalization", import: elementwise::batch_normalization },
    Operator { op_type: "Clip", import: elementwise::clip },
    Operator { op_type: "Concat", import: shape::concat },
    Operator { op_type: "Conv", import: linear::conv },
    Operator { op_type: "ConvTranspose", import: transposed::conv_transpose },
    Operator { op_type: "Div", import: arithmetic::div },
    Operator { op_type: "Dropout", import: shape::identity },
    Operator { op_type: "Elu", import: activation::elu },
    Operator { op_type: "Erf", import: activation::erf },
    Operator { op_type: "Exp", import: activation::exp },
    Operator { op_type: "Flatten", import: shape::flatten },
    Operator { op_type: "Gelu", import: activation::gelu },
    Operator { op_type: "Gemm", import: linear::gemm },
    Operator { op_type: "Gather", import: cut::gather },
    Operator { op_type: "GlobalAveragePool", import: pool::global_average_pool },
    Operator { op_type: "GlobalMaxPool", import: pool::global_max_pool },
    Operator { op_type: "HardSigmoid", import: activation::hard_sigmoid },
    Operator { op_type: "HardSwish", import: activation::hard_swish },
    Operator { op_type: "Identity", import: shape::identity },
    Operator { op_type: "LayerNormalization", import: attention::layer_normalization },
    Operator { op_type: "LeakyRelu", import: activation::leaky_relu },
    Operator { op_type: "Log", import: activation::log },
    Operator { op_type: "MatMul", import: linear::matmul },
    Operator { op_type: "MaxPool", import: pool::max_pool },
    Operator { op_type: "Mish", import: activation::mish },
    Operator { op_type: "Mul", import: arithmetic::mul },
    Operator { op_type: "Neg", import: activation::neg },
    Operator { op_type: "Pad", import: shape::pad },
    Operator { op_type: "Pow", import: activation::pow },
    Operator { op_type: "Reciprocal", import: activation::reciprocal },
    Operator { op_type: "PRelu", import: activation::prelu },
    Operator { op_type: "ReduceMean", import: pool::reduce_mean },
    Operator { op_type: "Relu", import: elementwise::relu },
    Operator { op_type: "Reshape", import: shape::reshape },
    Operator { op_type: "Resize", import: resize::resize },
    Operator { op_type: "Selu", import: activation::selu },
    Operator { op_type: "Sigmoid", import: activation::sigmoid },
    Operator { op_type: "Slice", import: cut::slice },
    Operator { op_type: "Softmax", import: elementwise::softmax },
    Operator { op_type: "Softplus", import: activation::softplus },
    Operator { op_type: "Softsign", import: activation::softsign },
    Operator { op_type: "Split", import: cut::split },
    Operator { op_type: "Sqrt", import: activation::sqrt },
    Operator { op_type: "Squeeze", import: shape::squeeze },
    Operator { op_type: "Sub", import: arithmetic::sub },
    Operator { op_type: "Tanh", import: activation::tanh },
    Operator { op_type: "Transpose", import: shape::transpose },
    Operator { op_type: "Unsqueeze", import: shape::unsqueeze },
    Operator { op_type: "Upsample", import: resize::resize },
];

/// The row of a node's operator.
pub(super) fn find_operator(proto: &pb::NodeProto) -> Option<&'static Operator> {
    let standard = proto.domain.is_empty() || proto.domain == "ai.onnx";
    OPERATORS.iter().find(|operator| standard && operator.op_type == proto.op_type)
}

/// The error for an operator that has no row.
pub(super) fn unknown(proto: &pb::NodeProto) -> ImportError {
    let nearest = match proto.op_type.as_str() {
        "Celu" | "ThresholdedRelu" | "Shrink" => "Elu, LeakyRelu or Relu",
        "InstanceNormalization" | "GroupNormalization" => "BatchNormalization",
        "GridSample" | "RoiAlign" => "Resize",
        "DepthToSpace" | "SpaceToDepth" => "Reshape and Transpose",
        "ReduceMax" | "ReduceSum" => "ReduceMean over height and width",
        _ => "",
    };
    let nearest = if nearest.is_empty() {
        let names: Vec<&str> = OPERATORS.iter().map(|o| o.op_type).collect();
        format!("one of {}", names.join(", "))
    } else {
        nearest.into()
    };
    ImportError::Unsupported(Box::new(Unsupported {
        node: node_name(proto).into(),
        operator: proto.op_type.clone(),
        attribute: None,
        detail: "the operator is not supported on values that depend on the network's input".into(),
        nearest,
    }))
}
