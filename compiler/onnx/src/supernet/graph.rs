//! Networks of a space as ONNX graphs.

use std::collections::BTreeMap;

use serde_json::json;

use super::layers::NORM;
use super::{Convolution, EPSILON, METADATA_KEY, Role, Subnet, Supernet, Tensor, VERSION, convolutions};
use crate::{Dim, GraphBuilder};
use apq_search::space::Space;

/// The operator set of the file.
const OPSET: i64 = 13;

/// Names of the constants that ReLU6 clips to.
const CLIP: [&str; 2] = ["clip.min", "clip.max"];

/// The largest network with the transforms and the metadata.
pub(super) fn supernet(supernet: &Supernet) -> Vec<u8> {
    let space = &supernet.space;
    let mut graph = network(space, &convolutions(space, &space.largest()), &supernet.tensors);
    graph.metadata(METADATA_KEY, &json!({ "version": VERSION, "space": space }).to_string()).to_bytes()
}

/// A subnet as an ordinary network.
pub(super) fn subnet(subnet: &Subnet) -> Vec<u8> {
    network(subnet.space(), subnet.convolutions(), subnet.tensors()).to_bytes()
}

fn network(space: &Space, convolutions: &[Convolution], tensors: &BTreeMap<String, Tensor>) -> GraphBuilder {
    let mut graph = GraphBuilder::new(OPSET);
    let [height, width, channels] = space.input.map(|size| size as usize);
    let batch = Dim::Symbol("N");
    graph.input("input", &[batch, channels.into(), height.into(), width.into()]);
    for (name, tensor) in tensors {
        graph.initializer(name, &tensor.shape, &tensor.values);
    }
    graph.initializer(CLIP[0], &[], &[0.0]).initializer(CLIP[1], &[], &[6.0]);
    let mut last = "input".to_owned();
    // What the block that is being written reads.
    let mut block_input = String::new();
    for convolution in convolutions {
        if convolution.role == Role::Expand {
            block_input.clone_from(&last);
        }
        last = layer(&mut graph, convolution, &last);
        if convolution.role == (Role::Project { residual: true }) {
            let sum = convolution.name.replace(".project", ".add");
            graph.node("Add", &sum, &[&last, &block_input], &[&sum], &[]);
            last = sum;
        }
    }
    graph.node("GlobalAveragePool", "pool", &[&last], &["pool"], &[]);
    graph.node("Flatten", "flatten", &["pool"], &["flatten"], &[("axis", 1.into())]);
    let inputs = ["flatten", "classifier.weight", "classifier.bias"];
    graph.node("Gemm", "classifier", &inputs, &["output"], &[("transB", 1.into())]);
    graph.output("output", &[batch, (space.classes as usize).into()]);
    graph
}

/// A convolution, its norm and, behind all but projections, ReLU6; the name of what they give.
fn layer(graph: &mut GraphBuilder, convolution: &Convolution, input: &str) -> String {
    let Convolution { name, kernel, stride, .. } = convolution;
    let (kernel, stride) = (*kernel as i64, *stride as i64);
    let group = if convolution.is_depthwise() { convolution.inputs as i64 } else { 1 };
    let attributes =
        [("kernel_shape", [kernel; 2].into()), ("strides", [stride; 2].into()), ("pads", [kernel / 2; 4].into()), ("group", group.into())];
    graph.node("Conv", name, &[input, &convolution.weight()], &[name], &attributes);
    let norm = format!("{name}.norm");
    let parts = NORM.map(|part| format!("{norm}.{part}"));
    let inputs = [name, &parts[0], &parts[1], &parts[2], &parts[3]].map(String::as_str);
    graph.node("BatchNormalization", &norm, &inputs, &[&norm], &[("epsilon", EPSILON.into())]);
    if !convolution.is_clamped() {
        return norm;
    }
    let clip = format!("{name}.clip");
    graph.node("Clip", &clip, &[&norm, CLIP[0], CLIP[1]], &[&clip], &[]);
    clip
}
