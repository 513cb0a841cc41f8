//! Whether a pruned graph computes what the original computes with the channels zeroed out. Shares no code with the search for sets and with slicing:
//! it runs both graphs node by node and compares every tensor.

use crate::float::evaluate_node;
use crate::graph::{Graph, Node};

/// Largest difference that the order of sums explains, relative to the largest value of a tensor.
pub const TOLERANCE: f32 = 1e-4;

/// A pruned graph that is not the original with channels zeroed out: a bug of ours.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("internal: the pruned network is not the network with channels zeroed out at \"{at}\": {broken}")]
pub struct Fault {
    /// A tensor.
    pub at: String,
    /// What is wrong.
    pub broken: String,
}

/// Values of a tensor in the original and in the pruned network.
type Both = (Vec<f32>, Vec<f32>);

/// Compares the two on one input. `left` are the positions of each original tensor's innermost axis that the pruned graph has; the others are set to zero in
/// the original wherever they are made. Returns the largest difference of all tensors, relative to their largest values.
///
/// # Errors
/// A shape or a value differs.
pub fn check(original: &Graph, pruned: &Graph, left: &[Vec<usize>], input: &[f32]) -> Result<f32, Fault> {
    let fault = |at: &str, broken: String| Err(Fault { at: at.into(), broken });
    let whole = |tensor: usize| left[tensor].len() == original.tensors[tensor].channels();
    if left.len() != original.tensors.len() || pruned.tensors.len() != left.len() || original.nodes.len() != pruned.nodes.len() {
        return fault(&original.name, "tensors or nodes are missing".into());
    }
    if (original.input, original.output) != (pruned.input, pruned.output) || !whole(original.input.0) || !whole(original.output.0) {
        return fault(&original.name, "input or output has lost channels".into());
    }
    let mut values: Vec<(Vec<f32>, Vec<f32>)> = vec![Default::default(); left.len()];
    values[original.input.0] = (input.to_vec(), input.to_vec());
    let mut largest_difference = 0.0f32;
    for (tensor, (before, after)) in original.tensors.iter().zip(&pruned.tensors).enumerate() {
        if let (Some(before), Some(after)) = (&before.constant, &after.constant) {
            values[tensor] = (before.to_vec(), after.to_vec());
            largest_difference = largest_difference.max(compare(original, pruned, tensor, left, &mut values)?);
        }
    }
    for (before, after) in original.nodes.iter().zip(&pruned.nodes) {
        if (&before.name, &before.inputs, before.output) != (&after.name, &after.inputs, after.output) {
            return fault(&before.name, "the nodes differ".into());
        }
        let run = |graph: &Graph, node: &Node, of: fn(&Both) -> &Vec<f32>| {
            let inputs: Vec<&[f32]> = node.inputs.iter().map(|id| of(&values[id.0]).as_slice()).collect();
            evaluate_node(graph, node, &inputs)
        };
        let made = (run(original, before, |pair| &pair.0), run(pruned, after, |pair| &pair.1));
        values[before.output.0] = made;
        largest_difference = largest_difference.max(compare(original, pruned, before.output.0, left, &mut values)?);
    }
    Ok(largest_difference)
}

/// Zeroes what is gone from a tensor of the original, and compares the rest with the pruned tensor, element by element.
fn compare(
    original: &Graph,
    pruned: &Graph,
    tensor: usize,
    left: &[Vec<usize>],
    values: &mut [(Vec<f32>, Vec<f32>)],
) -> Result<f32, Fault> {
    let name = &original.tensors[tensor].name;
    let fault = |broken: String| Fault { at: name.clone(), broken };
    let (shape, positions) = (&original.tensors[tensor].shape, &left[tensor]);
    let channels = original.tensors[tensor].channels();
    let mut expected_shape = shape.clone();
    if let Some(last) = expected_shape.last_mut() {
        *last = positions.len();
    }
    let (before, after) = &mut values[tensor];
    if pruned.tensors[tensor].shape != expected_shape || before.len() != shape.iter().product::<usize>() {
        return Err(fault(format!("shape {:?} with {} of {channels} channels left", pruned.tensors[tensor].shape, positions.len())));
    }
    if positions.is_empty() || after.len() != before.len() / channels.max(1) * positions.len() {
        return Err(fault(format!("{} elements instead of {}", after.len(), before.len())));
    }
    let mut stays = vec![false; channels];
    for place in positions {
        *stays.get_mut(*place).ok_or_else(|| fault(format!("there is no channel {place}")))? = true;
    }
    let mut rest = after.iter();
    let (mut difference, mut largest) = (0.0f32, f32::MIN_POSITIVE);
    for row in before.chunks_exact_mut(channels.max(1)) {
        for (value, stays) in row.iter_mut().zip(&stays) {
            if *stays {
                let apart = (*value - rest.next().copied().unwrap_or(f32::NAN)).abs();
                if apart.is_nan() || apart > difference {
                    difference = apart;
                }
                largest = largest.max(value.abs());
            } else {
                *value = 0.0;
            }
        }
    }
    if rest.next().is_some() || difference.is_nan() || difference > TOLERANCE * largest.max(1e-3) {
        return Err(fault(format!("differs by {difference} (largest value {largest})")));
    }
    Ok(difference / largest)
}
