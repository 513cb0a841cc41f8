//! Invariants that hold between passes:
//!
//! 1. Every id points to a tensor; every tensor has rank 1 to 5, a batch of 1 and no empty axis.
//! 2. Nodes stand in execution order: an input is the network's input or the output of an earlier node.
//! 3. Each tensor is made by at most one node, and the network's input and constants, which hold finite values for their shape, by none; the network's output is made by a node or is the input.
//! 4. Shapes agree with the operator: the shape of a node's output follows from its inputs and parameters.
//! 5. Weights and biases are finite and have the length that the shapes ask for.
//! 6. Clamp bounds are ordered and not NaN.

use super::{Graph, Node, Op, Window};

/// A graph that breaks an invariant: a bug of the importer or of a pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("internal: the graph is inconsistent at node \"{node}\": {broken}")]
pub struct GraphError {
    /// The node's name.
    pub node: String,
    /// The invariant, in words.
    pub broken: String,
}

/// Checks the invariants listed at the top of this file.
pub fn verify(graph: &Graph) -> Result<(), GraphError> {
    let mut made = vec![false; graph.tensors.len()];
    let fail = |node: &str, broken: String| Err(GraphError { node: node.into(), broken });
    for tensor in &graph.tensors {
        if tensor.shape.is_empty() || tensor.shape.len() > 5 || tensor.shape[0] != 1 || tensor.is_empty() {
            return fail(&tensor.name, format!("shape {:?}", tensor.shape));
        }
    }
    if graph.input.0 >= made.len() || graph.output.0 >= made.len() {
        return fail(&graph.name, "input or output is not a tensor".into());
    }
    made[graph.input.0] = true;
    for (made, tensor) in made.iter_mut().zip(&graph.tensors) {
        if let Some(values) = &tensor.constant {
            if values.len() != tensor.len() || !finite(values) || *made {
                return fail(&tensor.name, "a constant of another size, not finite, or also the input".into());
            }
            *made = true;
        }
    }
    for node in &graph.nodes {
        if node.inputs.iter().any(|id| id.0 >= made.len() || !made[id.0]) {
            return fail(&node.name, "reads a tensor that no earlier node makes".into());
        }
        if node.output.0 >= made.len() || made[node.output.0] {
            return fail(&node.name, "makes a tensor that exists already".into());
        }
        made[node.output.0] = true;
        if node.clamp.lo.is_nan() || node.clamp.hi.is_nan() || node.clamp.lo > node.clamp.hi {
            return fail(&node.name, format!("clamp {:?}", node.clamp));
        }
        check_shapes(graph, node).or_else(|broken| fail(&node.name, broken))?;
    }
    if !made[graph.output.0] {
        return fail(&graph.name, "no node makes the output".into());
    }
    Ok(())
}

fn check_shapes(graph: &Graph, node: &Node) -> Result<(), String> {
    let inputs: Vec<&[usize]> = node.inputs.iter().map(|id| graph.tensor(*id).shape.as_slice()).collect();
    let output = graph.tensor(node.output).shape.as_slice();
    let arity = match node.op {
        Op::Add | Op::Sub | Op::Mul | Op::MatMul { .. } => 2..=2,
        Op::Concat { .. } => 1..=usize::MAX,
        _ => 1..=1,
    };
    if !arity.contains(&inputs.len()) {
        return Err(format!("{} inputs", inputs.len()));
    }
    let expected = expected_shape(node, &inputs, output)?;
    let ok = match expected {
        Some(shape) => shape == output,
        None => inputs[0].iter().product::<usize>() == output.iter().product::<usize>(),
    };
    if ok { Ok(()) } else { Err(format!("{inputs:?} cannot give {output:?}")) }
}

/// The output shape, or `None` where any shape with the same number of elements will do.
fn expected_shape(node: &Node, inputs: &[&[usize]], output: &[usize]) -> Result<Option<Vec<usize>>, String> {
    let first = inputs[0];
    let shape = match &node.op {
        Op::Conv { weights, window, groups } => {
            let [1, _, _, channels] = *first else { return Err(format!("convolution of {first:?}")) };
            let taps = window.kernel[0] * window.kernel[1];
            let fits = *groups > 0
                && channels % groups == 0
                && weights.outputs() % groups == 0
                && weights.values.len() == weights.outputs() * taps * (channels / groups);
            if !fits || !finite(&weights.values) || !finite(&weights.bias) {
                return Err("weights do not fit the convolution, or are not finite".into());
            }
            windowed(window, first, weights.outputs())?
        }
        Op::FullyConnected { weights } => {
            let inputs = *first.last().unwrap_or(&0);
            if weights.values.len() != weights.outputs() * inputs || !finite(&weights.values) || !finite(&weights.bias) {
                return Err("weights do not fit the fully connected layer, or are not finite".into());
            }
            let mut shape = first.to_vec();
            *shape.last_mut().ok_or("no axis")? = weights.outputs();
            shape
        }
        Op::Add | Op::Sub | Op::Mul => {
            if inputs[1] != first && !is_row_of(inputs[1], first) {
                return Err(format!("{} of {first:?} and {:?}", node.op.name(), inputs[1]));
            }
            first.to_vec()
        }
        Op::Slice { begin, step } => {
            let output = output.to_vec();
            let inside = |axis: usize| step[axis] > 0 && begin[axis] + (output[axis] - 1) * step[axis] < first[axis];
            if [begin.len(), step.len(), output.len()] != [first.len(); 3] || !(0..first.len()).all(inside) {
                return Err(format!("slice of {first:?} from {begin:?} step {step:?} as {output:?}"));
            }
            output
        }
        Op::ChannelAffine { scale, offset } => {
            let channels = *first.last().unwrap_or(&0);
            if scale.len() != channels || offset.len() != channels || !finite(scale) || !finite(offset) {
                return Err("channel vectors of another length, or not finite".into());
            }
            first.to_vec()
        }
        Op::Concat { axis } => {
            let mut shape = first.to_vec();
            let same = |other: &&&[usize]| other.len() == first.len() && (0..first.len()).all(|a| a == *axis || other[a] == first[a]);
            if *axis >= first.len() || !inputs.iter().all(|other| same(&other)) {
                return Err(format!("concatenation of {inputs:?} along {axis}"));
            }
            shape[*axis] = inputs.iter().map(|other| other[*axis]).sum();
            shape
        }
        Op::MaxPool { window } | Op::AveragePool { window, .. } => {
            let [1, _, _, channels] = *first else { return Err(format!("pooling of {first:?}")) };
            windowed(window, first, channels)?
        }
        Op::Resize { rows, columns, interpolate } => {
            let [1, height, width, channels] = *first else { return Err(format!("resize of {first:?}")) };
            let last = |size: usize| (size - 1) as f32;
            let inside = |at: &f32, size: usize| (0.0..=last(size)).contains(at) && (*interpolate || at.fract() == 0.0);
            if !rows.iter().all(|at| inside(at, height)) || !columns.iter().all(|at| inside(at, width)) {
                return Err("a coordinate lies outside the input".into());
            }
            vec![1, rows.len(), columns.len(), channels]
        }
        Op::Prelu { slopes } => {
            if Some(&slopes.len()) != first.last() || !finite(slopes) {
                return Err("slopes are not one for each channel, or not finite".into());
            }
            first.to_vec()
        }
        Op::Pad { pads, .. } if pads.len() == first.len() => {
            first.iter().zip(pads).map(|(size, (before, after))| size + before + after).collect()
        }
        Op::Pad { pads, .. } => return Err(format!("{} pads for {first:?}", pads.len())),
        Op::Reshape => return Ok(None),
        Op::Transpose { perm } => {
            let mut seen = perm.clone();
            seen.sort_unstable();
            if !seen.iter().copied().eq(0..first.len()) {
                return Err(format!("{perm:?} is no permutation of {} axes", first.len()));
            }
            perm.iter().map(|axis| first[*axis]).collect()
        }
        Op::MatMul { transposed, scale } => {
            let rank = first.len();
            let second = inputs[1];
            if rank < 2 || second.len() != rank || first[..rank - 2] != second[..rank - 2] || !scale.is_finite() || *scale <= 0.0 {
                return Err(format!("product of {first:?} and {second:?} by {scale}"));
            }
            let (inner, columns) = if *transposed { (second[rank - 1], second[rank - 2]) } else { (second[rank - 2], second[rank - 1]) };
            if inner != first[rank - 1] {
                return Err(format!("product of {first:?} and {second:?}"));
            }
            let mut shape = first.to_vec();
            shape[rank - 1] = columns;
            shape
        }
        Op::LayerNorm { gamma, beta, epsilon } => {
            let channels = *first.last().unwrap_or(&0);
            let fits = gamma.len() == channels && beta.len() == channels && finite(gamma) && finite(beta);
            if !fits || !epsilon.is_finite() || *epsilon < 0.0 {
                return Err("gamma or beta of another length, or not finite".into());
            }
            first.to_vec()
        }
        Op::Table { .. } | Op::Softmax | Op::Clamp => first.to_vec(),
    };
    Ok(Some(shape))
}

/// Whether `row` is one row of channels for every row of `shape`.
fn is_row_of(row: &[usize], shape: &[usize]) -> bool {
    row.len() == shape.len() && row.last() == shape.last() && row.iter().rev().skip(1).all(|size| *size == 1)
}

fn windowed(window: &Window, input: &[usize], channels: usize) -> Result<Vec<usize>, String> {
    let positive = |pair: [usize; 2]| pair[0] > 0 && pair[1] > 0;
    if !positive(window.kernel) || !positive(window.stride) || !positive(window.dilation) {
        return Err(format!("window {window}"));
    }
    let side = |axis: usize| window.output(axis, input[axis + 1]).ok_or_else(|| format!("window {window} is larger than {input:?}"));
    Ok(vec![1, side(0)?, side(1)?, channels])
}

fn finite(values: &[f32]) -> bool {
    values.iter().all(|v| v.is_finite())
}
