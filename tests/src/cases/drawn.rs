//! Networks drawn at random: operators in orders that nobody thought of.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Case, Sketch, case};

/// Networks that are drawn from the first kinds of steps, and from all of them.
const NETWORKS: [(usize, usize); 2] = [(60, 16), (24, KINDS)];

/// Kinds of steps.
const KINDS: usize = 24;

/// Nodes of a network, about.
const NODES: usize = 9;

/// Elements of a value at most, so that no test takes long.
const ELEMENTS_MAX: usize = 600;

/// A value of the network and its shape.
#[derive(Clone)]
struct Value {
    name: String,
    shape: Vec<usize>,
}

pub(super) fn cases() -> Vec<Case> {
    NETWORKS.into_iter().flat_map(|(count, kinds)| (0..count).map(move |number| draw(number, kinds))).collect()
}

fn draw(number: usize, kinds: usize) -> Case {
    // Cases are named by constants; these few bytes live as long as the tests.
    let name = if kinds == KINDS { format!("drawn-of-all-{number}") } else { format!("drawn-{number}") };
    let name: &'static str = Box::leak(name.into_boxed_str());
    let opset = [11, 12, 13, 15, 17][number % 5];
    let input: &[usize] = [&[1, 3, 6, 5][..], &[1, 4, 4, 4], &[1, 12], &[1, 5, 7], &[1, 2, 8, 3]][number % 5];
    case(name, opset, input, |net| {
        let mut values = vec![Value { name: "input".into(), shape: input.to_vec() }];
        while values.len() < NODES {
            // Mostly a chain, with branches now and then.
            let from = if net.random.random_bool(0.75) { values.len() - 1 } else { net.random.random_range(0..values.len()) };
            let from = values[from].clone();
            if let Some(next) = step(net, &values, &from, opset, kinds).filter(|next| next.shape.iter().product::<usize>() <= ELEMENTS_MAX)
            {
                values.push(next);
            }
        }
        values.pop().map(|value| value.name).unwrap_or_default()
    })
}

/// One more operator, where the drawn one suits the value.
fn step(net: &mut Sketch, values: &[Value], from: &Value, opset: i64, kinds: usize) -> Option<Value> {
    let value = |name: String, shape: &[usize]| Some(Value { name, shape: shape.to_vec() });
    let (x, shape) = (from.name.as_str(), from.shape.as_slice());
    let rank = shape.len();
    match net.random.random_range(0..kinds) {
        0..4 if rank >= 3 => conv(net, from),
        0..4 => linear(net, from),
        4 => value(net.node("Relu", &[x], &[]), shape),
        5 => {
            let bounds = [-0.4, 0.9].map(|bound| net.constant(&[], &[bound]));
            value(net.node("Clip", &[x, &bounds[0], &bounds[1]], &[]), shape)
        }
        6 => value(net.norm(x, shape[1]), shape),
        7 => {
            let axis = net.random.random_range(1..rank);
            let mut sizes = vec![1; rank];
            sizes[axis] = shape[axis];
            let c = net.vector(&sizes, 0.6);
            let order = if net.random.random_bool(0.5) { [x, &c] } else { [c.as_str(), x] };
            value(net.node("Add", &order, &[]), shape)
        }
        8 => {
            let others: Vec<&Value> = values.iter().filter(|other| other.shape == shape).collect();
            let other = others.choose(&mut net.random)?.name.clone();
            value(net.node("Add", &[x, &other], &[]), shape)
        }
        9 => {
            let axis = net.random.random_range(1..rank);
            let fits = |other: &&Value| other.shape.len() == rank && (0..rank).all(|a| a == axis || other.shape[a] == shape[a]);
            let others: Vec<&Value> = values.iter().filter(fits).collect();
            let other = (*others.choose(&mut net.random)?).clone();
            let mut joined = shape.to_vec();
            joined[axis] += other.shape[axis];
            value(net.node("Concat", &[x, &other.name], &[("axis", (axis as i64).into())]), &joined)
        }
        10 | 11 if rank >= 3 => pool(net, from),
        12 => {
            let mut pads = vec![0; 2 * rank];
            let mut padded = shape.to_vec();
            for axis in 1..rank {
                pads[axis] = net.random.random_range(0..2);
                pads[axis + rank] = net.random.random_range(0..2);
                padded[axis] += (pads[axis] + pads[axis + rank]) as usize;
            }
            let pads = net.integers(&pads);
            let fill = if net.random.random_bool(0.5) { 0.0 } else { 0.4 };
            let fill = net.constant(&[], &[fill]);
            value(net.node("Pad", &[x, &pads, &fill], &[]), &padded)
        }
        13 if rank >= 3 => {
            let mut perm: Vec<i64> = (0..rank as i64).collect();
            let (a, b) = (net.random.random_range(1..rank), net.random.random_range(1..rank));
            perm.swap(a, b);
            let (a, b) = (net.random.random_range(1..rank), net.random.random_range(1..rank));
            perm.swap(a, b);
            let turned: Vec<usize> = perm.iter().map(|axis| shape[*axis as usize]).collect();
            value(net.node("Transpose", &[x], &[("perm", perm.as_slice().into())]), &turned)
        }
        14 => reshape(net, from),
        15 if opset >= 13 && net.random.random_bool(0.3) => {
            let axis = net.random.random_range(1..rank) as i64;
            value(net.node("Softmax", &[x], &[("axis", axis.into())]), shape)
        }
        16 | 17 => {
            let op = ["Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Elu", "Softplus"].choose(&mut net.random)?;
            value(net.node(op, &[x], &[]), shape)
        }
        18 => {
            let op = if net.random.random_bool(0.5) { "Mul" } else { "Sub" };
            let others: Vec<&Value> = values.iter().filter(|other| other.shape == shape).collect();
            let other = others.choose(&mut net.random)?.name.clone();
            // Products of products would leave every range.
            let bounded = net.node("Tanh", &[&other], &[]);
            value(net.node(op, &[x, &bounded], &[]), shape)
        }
        19 if rank >= 3 => {
            let pooled = net.node("GlobalAveragePool", &[x], &[]);
            let gate = net.node("Sigmoid", &[&pooled], &[]);
            value(net.node("Mul", &[x, &gate], &[]), shape)
        }
        20 if rank <= 4 => {
            let axis = net.random.random_range(1..rank);
            let size = shape[axis];
            let begin = net.random.random_range(0..size);
            let end = net.random.random_range(begin + 1..size + 1);
            let step = net.random.random_range(1..3);
            let lists = [begin, end, axis, step].map(|number| net.integers(&[number as i64]));
            let mut rest = shape.to_vec();
            rest[axis] = (end - begin).div_ceil(step);
            value(net.node("Slice", &[x, &lists[0], &lists[1], &lists[2], &lists[3]], &[]), &rest)
        }
        21 if (3..=4).contains(&rank) => {
            let mut sizes = shape.to_vec();
            sizes[2..].iter_mut().for_each(|size| *size = net.random.random_range(1..9));
            let list: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
            let list = net.integers(&list);
            let empty = net.constant(&[0], &[]);
            let mode = if net.random.random_bool(0.6) { "linear" } else { "nearest" };
            let convention = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"].choose(&mut net.random)?;
            let attributes = [("mode", mode.into()), ("coordinate_transformation_mode", (*convention).into())];
            value(net.node("Resize", &[x, &empty, &empty, &list], &attributes), &sizes)
        }
        22 if rank >= 2 => {
            let mut slopes = vec![1; rank];
            slopes[1] = shape[1];
            let slopes = net.vector(&slopes, 0.4);
            value(net.node("PRelu", &[x, &slopes], &[]), shape)
        }
        23 if rank == 4 => {
            let (outputs, kernel) = (net.random.random_range(1..5), net.random.random_range(2..4));
            let w = net.weights(&[shape[1], outputs, kernel, kernel]);
            let strides = [("strides", [2, 2].into())];
            let sides = [2, 3].map(|axis| 2 * (shape[axis] - 1) + kernel);
            value(net.node("ConvTranspose", &[x, &w], &strides), &[1, outputs, sides[0], sides[1]])
        }
        _ => None,
    }
}

fn conv(net: &mut Sketch, from: &Value) -> Option<Value> {
    let (channels, spatial) = (from.shape[1], from.shape.len() - 2);
    let depthwise = net.random.random_bool(0.3);
    let (groups, outputs) = if depthwise { (channels, channels) } else { (1, net.random.random_range(1..9)) };
    let (mut weights, mut shape) = (vec![outputs, channels / groups], vec![1, outputs]);
    let (mut begin, mut end, mut strides) = (Vec::new(), Vec::new(), Vec::new());
    for axis in 0..spatial {
        let kernel = net.random.random_range(1..4);
        let [before, after] = [0, 1].map(|_| net.random.random_range(0..2));
        let stride = net.random.random_range(1..3);
        let room = (from.shape[axis + 2] + before + after).checked_sub(kernel)?;
        weights.push(kernel);
        shape.push(room / stride + 1);
        begin.push(before as i64);
        end.push(after as i64);
        strides.push(stride as i64);
    }
    let w = net.weights(&weights);
    let b = net.vector(&[outputs], 0.3);
    let pads: Vec<i64> = begin.into_iter().chain(end).collect();
    let attributes = [("pads", pads.as_slice().into()), ("strides", strides.as_slice().into()), ("group", (groups as i64).into())];
    Some(Value { name: net.node("Conv", &[&from.name, &w, &b], &attributes), shape })
}

fn pool(net: &mut Sketch, from: &Value) -> Option<Value> {
    if net.random.random_bool(0.2) {
        let op = if net.random.random_bool(0.5) { "GlobalAveragePool" } else { "GlobalMaxPool" };
        let mut shape = from.shape.clone();
        shape[2..].fill(1);
        return Some(Value { name: net.node(op, &[&from.name], &[]), shape });
    }
    let (mut shape, mut kernels, mut strides, mut begin, mut end) =
        (from.shape[..2].to_vec(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for size in &from.shape[2..] {
        let kernel = net.random.random_range(1..4);
        let stride = net.random.random_range(1..3);
        let [before, after] = [0, 1].map(|_| net.random.random_range(0..kernel.min(2)));
        shape.push((size + before + after).checked_sub(kernel)? / stride + 1);
        kernels.push(kernel as i64);
        strides.push(stride as i64);
        begin.push(before as i64);
        end.push(after as i64);
    }
    let pads: Vec<i64> = begin.into_iter().chain(end).collect();
    let mut attributes =
        vec![("kernel_shape", kernels.as_slice().into()), ("strides", strides.as_slice().into()), ("pads", pads.as_slice().into())];
    if net.random.random_bool(0.5) {
        return Some(Value { name: net.node("MaxPool", &[&from.name], &attributes), shape });
    }
    attributes.push(("count_include_pad", i64::from(net.random.random_bool(0.5)).into()));
    Some(Value { name: net.node("AveragePool", &[&from.name], &attributes), shape })
}

fn linear(net: &mut Sketch, from: &Value) -> Option<Value> {
    let rank = from.shape.len();
    let outputs = net.random.random_range(1..9);
    let mut shape = from.shape.clone();
    shape[rank - 1] = outputs;
    let w = net.weights(&[from.shape[rank - 1], outputs]);
    Some(Value { name: net.node("MatMul", &[&from.name, &w], &[]), shape })
}

/// Moves a factor from one axis to another, or merges the axes from one on.
fn reshape(net: &mut Sketch, from: &Value) -> Option<Value> {
    let rank = from.shape.len();
    let at = net.random.random_range(1..rank);
    let mut shape = from.shape.clone();
    if net.random.random_bool(0.5) {
        shape.truncate(at);
        shape.push(from.shape[at..].iter().product());
    } else {
        let factor = [2, 3].into_iter().find(|factor| shape[at].is_multiple_of(*factor) && rank < 4)?;
        shape[at] /= factor;
        shape.insert(at, factor);
    }
    let sizes: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
    let sizes = net.integers(&sizes);
    Some(Value { name: net.node("Reshape", &[&from.name, &sizes], &[]), shape })
}
