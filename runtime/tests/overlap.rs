//! Outputs over inputs: every distance between the two is either refused or gives the codes of tensors that lie apart, and what is refused
//! follows from rows read and written one by one.

mod common;

use apq_runtime::build::*;
use apq_runtime::{Arithmetic, LoadError, Model, NodeProblem, Session};
use common::*;
use rand::Rng;

/// Runs a model on these input codes; the bytes of its output.
fn run(file: &[u8], input: &[u8], arithmetic: Arithmetic) -> Vec<u8> {
    let model = Model::new_checked(file).unwrap_or_else(|error| panic!("{error}"));
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    arena.fill(0xa5);
    let mut session = Session::with_arithmetic(&model, &mut arena, arithmetic).unwrap();
    session.input_codes_mut().copy_from_slice(input);
    session.run(&mut ());
    session.output_bytes().to_vec()
}

/// A net of one node whose input is tensor 0 and whose output is the last tensor, at every distance from each other.
/// `allowed`: whether input and output may begin at these bytes where they overlap.
fn sweep(net: &mut Net, apart: &dyn Fn(usize, usize) -> bool) -> usize {
    let input = net.input_bytes();
    let expected = run(&net.file(), &input, Arithmetic::Native);
    let output = net.spec.output.tensor;
    let sizes = [0, output].map(|tensor| bytes(&net.spec.tensors[tensor].shape, net.spec.tensors[tensor].bits));
    let others: usize = net.spec.arena_bytes;
    let room = sizes[1].next_multiple_of(16);
    let mut overlapping = 0;
    // Everything but input and output stays where it is, behind all of this.
    let base = room + sizes[0].next_multiple_of(16) + room;
    for tensor in 1..output {
        net.spec.tensors[tensor].offset += base;
    }
    let scratch = net.spec.nodes[0].scratch.offset;
    net.spec.nodes[0].scratch.offset = scratch + base as u32;
    net.spec.arena_bytes = base + others;
    for at in (0..=room + sizes[0].next_multiple_of(16)).step_by(16) {
        net.spec.tensors[0].offset = room;
        net.spec.tensors[output].offset = at;
        let overlaps = at.max(room) < (at + sizes[1]).min(room + sizes[0]);
        let file = net.file();
        let loaded = Model::new_checked(&file).map(|_| ());
        if overlaps && !apart(room, at) {
            assert_eq!(loaded, Err(LoadError::Node { node: 0, problem: NodeProblem::Overlap }), "{at} {room} {:?}", net.spec);
            continue;
        }
        assert_eq!(loaded, Ok(()), "{at} {room} {:?}", net.spec);
        overlapping += usize::from(overlaps);
        for arithmetic in [Arithmetic::Native, Arithmetic::Reference] {
            assert_eq!(run(&file, &input, arithmetic), expected, "{at} {room} {arithmetic:?} {:?}", net.spec);
        }
    }
    overlapping
}

/// Whether rows can run one by one, upwards or downwards, so that none is written over a row that it or a later one reads.
fn rows_keep_apart(
    window: Window,
    [inputs, outputs]: [usize; 2],
    [input_row, output_row]: [usize; 2],
    input: usize,
    output: usize,
) -> bool {
    let [kernel, stride, dilation, pad] = [window.kernel, window.stride, window.dilation, window.pad].map(|pair| usize::from(pair[0]));
    let reads =
        |row: usize| (0..kernel).filter_map(move |tap| (row * stride + tap * dilation).checked_sub(pad)).filter(move |at| *at < inputs);
    // From the first row that is read to the last, all are handed to the kernel.
    let range = |row: usize| (input + reads(row).min().unwrap() * input_row, input + (reads(row).max().unwrap() + 1) * input_row);
    let clear = |written: usize, read: usize| {
        let (from, to) = range(read);
        let (begin, end) = (output + written * output_row, output + (written + 1) * output_row);
        end <= from || begin >= to
    };
    let upwards = (0..outputs).all(|row| (row..outputs).all(|later| clear(row, later)));
    let downwards = (0..outputs).all(|row| (0..=row).all(|later| clear(row, later)));
    upwards || downwards
}

#[test]
fn windows_by_rows() {
    let mut overlapping = 0;
    let windows = [
        POINT,
        THREE,
        Window { stride: [2, 2], ..THREE },
        Window { stride: [2, 1], pad: [0, 1], ..THREE },
        Window { stride: [3, 3], pad: [2, 0], kernel: [3, 1], ..THREE },
        Window { kernel: [5, 5], pad: [2, 2], ..THREE },
        Window { dilation: [2, 2], pad: [2, 2], ..THREE },
        Window { kernel: [2, 2], pad: [1, 1], ..THREE },
    ];
    for (seed, window) in windows.into_iter().enumerate() {
        for (operator, channels) in
            [("conv", 4), ("conv", 9), ("grouped", 8), ("depthwise", 5), ("depthwise", 16), ("max", 7), ("average", 3)]
        {
            for bits in [ActivationBits::A8, ActivationBits::A4, ActivationBits::A16] {
                let mut net = Net::new(seed as u64, &[1, 7, 6, 6], bits);
                net.spec.input = InputSpec { tensor: 0, raw: RawType::F32, mean: vec![0.0], std: vec![1.0] };
                let output_bits = if seed % 2 == 0 { bits } else { ActivationBits::A8 };
                let output = match operator {
                    "conv" => net.conv(0, window, 1, channels, WeightBits::W8, output_bits),
                    "grouped" => net.conv(0, window, 2, channels, WeightBits::W4, output_bits),
                    "depthwise" => {
                        net.spec.tensors[0].shape[3] = channels;
                        net.conv(0, window, channels, channels, WeightBits::W8, output_bits)
                    }
                    "max" => {
                        let [height, width] = output_size(window, 7, 6);
                        let output = net.tensor_like(&[1, height, width, 6], 0);
                        net.node(OperatorSpec::MaxPool(window), &[0], output);
                        output
                    }
                    _ => net.average_pool(0, window, output_bits),
                };
                let row = |tensor: usize| {
                    let tensor = &net.spec.tensors[tensor];
                    bytes(&tensor.shape[2..], tensor.bits)
                };
                let (heights, rows) = ([7, net.spec.tensors[output].shape[1]], [row(0), row(output)]);
                if net.spec.tensors[0].shape[3] != 6 {
                    // The input grew.
                    let base = bytes(&net.spec.tensors[0].shape, bits);
                    net.spec.tensors[output].offset += base;
                    net.spec.nodes[0].scratch.offset += base.next_multiple_of(16) as u32;
                    net.spec.tensors[output].offset = net.spec.tensors[output].offset.next_multiple_of(16);
                    net.spec.arena_bytes += 2 * base.next_multiple_of(16);
                }
                overlapping += sweep(&mut net, &|input, output| rows_keep_apart(window, heights, rows, input, output));
            }
        }
    }
    assert!(overlapping > 500, "{overlapping}");
}

#[test]
fn pools_that_count_their_padding() {
    let window = THREE;
    let mut net = Net::new(9, &[1, 6, 5, 4], ActivationBits::A8);
    let output = net.tensor(&[1, 6, 5, 4], ActivationBits::A8);
    let divisors = (1..=9).map(|count| DivisorSpec { count, multiplier: ((1u64 << 31) / u64::from(count) - 1) as i32, shift: 31 });
    let operator = OperatorSpec::AveragePool { window, counted_end: Some([0, 1]), divisors: divisors.collect() };
    net.node(operator, &[0], output);
    let overlapping = sweep(&mut net, &|input, output| rows_keep_apart(window, [6, 6], [20, 20], input, output));
    assert!(overlapping > 0);
}

#[test]
fn fully_connected_layers_by_rows() {
    for (inputs, outputs) in [(8, 8), (24, 8), (8, 40)] {
        let mut net = Net::new(5, &[1, 9, inputs], ActivationBits::A8);
        net.fully_connected(0, outputs, WeightBits::W8, ActivationBits::A8);
        let overlapping = sweep(&mut net, &|input, output| rows_keep_apart(POINT, [9, 9], [inputs, outputs], input, output));
        assert!(overlapping > 0);
    }
}

/// Small pixels, pixels longer than the piece that is read at once, and widths that differ.
#[test]
fn elementwise_operators_by_codes() {
    let mut overlapping = 0;
    for channels in [1, 3, 7, 64, 333] {
        for (seed, bits) in ACTIVATIONS.into_iter().enumerate() {
            for output_bits in ACTIVATIONS {
                for operator in 0..5 {
                    let shape = [1, 3, 2, channels];
                    let mut net = Net::new(seed as u64, &shape, bits);
                    net.spec.input = InputSpec { tensor: 0, raw: RawType::F32, mean: vec![0.0], std: vec![1.0] };
                    let mut inputs = vec![0];
                    if operator == 3 {
                        // A constant would be a second node: the input twice is as good.
                        inputs.push(0);
                    }
                    let output = net.tensor(&shape, output_bits);
                    let spec = match operator {
                        0 => OperatorSpec::Requantize(Rescale { multiplier: net.rng.random_range(1 << 29..1 << 30), shift: 30 }),
                        1 => OperatorSpec::Table { entries: table_entries(&mut net, bits, output_bits) },
                        2 => OperatorSpec::Prelu {
                            rescale: UNIT,
                            slope_multiplier: (0..channels).map(|_| net.rng.random_range(-(1 << 30)..1 << 30)).collect(),
                            slope_shift: vec![31; channels],
                        },
                        3 => OperatorSpec::Add(Add { multipliers: [1 << 19, 1 << 18], shift: 20, subtract: false }),
                        _ => {
                            inputs.push(0);
                            OperatorSpec::Mul(Rescale { multiplier: 1 << 30, shift: 34 })
                        }
                    };
                    net.node(spec, &inputs, output);
                    let sizes = [0, output].map(|tensor| bytes(&shape, net.spec.tensors[tensor].bits));
                    overlapping += sweep(&mut net, &|input, output| {
                        let (input_end, output_end) = (input + sizes[0], output + sizes[1]);
                        (output <= input && output_end <= input_end) || (output >= input && output_end >= input_end)
                    });
                }
            }
        }
    }
    assert!(overlapping > 500, "{overlapping}");
}

/// A sum over either of its inputs, and over both.
#[test]
fn sums_over_either_input() {
    let mut net = Net::new(3, &[1, 4, 4, 8], ActivationBits::A8);
    let other = net.conv(0, POINT, 1, 8, WeightBits::W8, ActivationBits::A8);
    net.add(0, other, ActivationBits::A8);
    let input = net.input_bytes();
    let expected = run(&net.file(), &input, Arithmetic::Native);
    let place = |net: &mut Net, sum: usize| {
        (net.spec.tensors[0].offset, net.spec.tensors[other].offset, net.spec.tensors[2].offset) = (128, 256, sum);
        net.spec.nodes[0].scratch.offset = 512;
        net.spec.arena_bytes = 512 + net.spec.nodes[0].scratch.length as usize;
        net.file()
    };
    for (sum, fits) in
        [(0, true), (112, true), (128, true), (144, false), (192, false), (240, false), (256, true), (272, true), (384, true)]
    {
        let file = place(&mut net, sum);
        assert_eq!(Model::new_checked(&file).is_ok(), fits, "{sum}");
        if fits {
            assert_eq!(run(&file, &input, Arithmetic::Native), expected, "{sum}");
        }
    }
}

#[test]
fn nothing_lies_over_what_it_broadcasts_or_moves() {
    let overlap = |net: &Net| {
        let problem = NodeProblem::Overlap;
        assert_eq!(Model::new_checked(&net.file()).map(|_| ()), Err(LoadError::Node { node: net.spec.nodes.len() as u16 - 1, problem }));
    };
    let mut net = Net::new(3, &[1, 1, 1, 16], ActivationBits::A8);
    let gated = net.tensor(&[1, 1, 1, 16], ActivationBits::A8);
    let operator = OperatorSpec::Slice(Slice { begin: [0; 3], step: [1; 3] });
    net.spec.tensors[gated] = TensorSpec { offset: 0, ..net.spec.tensors[0].clone() };
    net.node(operator, &[0], gated);
    overlap(&net);
    let mut net = Net::new(3, &[1, 2, 2, 16], ActivationBits::A8);
    let row = net.average_pool(0, Window { kernel: [2, 2], pad: [0, 0], ..THREE }, ActivationBits::A8);
    let gated = net.tensor(&[1, 2, 2, 16], ActivationBits::A8);
    net.node(OperatorSpec::Mul(Rescale { multiplier: 1 << 30, shift: 34 }), &[0, row], gated);
    assert!(Model::new_checked(&net.file()).is_ok());
    net.spec.tensors[gated].offset = net.spec.tensors[0].offset;
    overlap(&net);
}

/// Rows `rows` of a tensor as a view.
fn rows(net: &mut Net, of: usize, rows: std::ops::Range<usize>) -> usize {
    let mut shape = net.spec.tensors[of].shape.clone();
    shape[1] = rows.len();
    let view = net.view(&shape, of);
    net.spec.tensors[view].offset += bytes(&net.spec.tensors[of].shape[2..], net.spec.tensors[of].bits) * rows.start;
    view
}

/// A layer in parts: each writes some rows of one tensor, and they share the weights. The output lies over rows that no later part reads.
fn parts(cuts: &[usize], at: usize) -> (Net, Vec<u8>, Vec<u8>) {
    let mut net = Net::new(8, &[1, 9, 4, 4], ActivationBits::A8);
    let output = net.conv(0, THREE, 1, 4, WeightBits::W8, ActivationBits::A8);
    let input = net.input_bytes();
    let expected = run(&net.file(), &input, Arithmetic::Native);
    let node = net.spec.nodes.remove(0);
    net.spec.tensors[0].offset = 256;
    net.spec.tensors[output].offset = at;
    for cut in cuts.windows(2) {
        let (from, to) = (cut[0].saturating_sub(1), (cut[1] + 1).min(9));
        let (read, written) = (rows(&mut net, 0, from..to), rows(&mut net, output, cut[0]..cut[1]));
        let OperatorSpec::Conv { window, groups, weighted } = node.operator.clone() else { panic!("a convolution") };
        let pad = [u16::from(cut[0] == 0), 1];
        let operator = OperatorSpec::Conv { window: Window { pad, ..window }, groups, weighted };
        let scratch = Region { offset: 1024, ..node.scratch };
        net.spec.nodes.push(NodeSpec { operator, inputs: vec![read], output: written, scratch, ..node.clone() });
    }
    net.spec.arena_bytes = 1024 + node.scratch.length as usize;
    net.spec.output.tensor = output;
    (net, input, expected)
}

#[test]
fn a_layer_in_parts_gives_the_same_codes() {
    // A row has 16 bytes, so that part k may reach as far as one row below the one that it begins with.
    for (cuts, at) in
        [(vec![0, 9], 448), (vec![0, 9], 224), (vec![0, 3, 6, 9], 448), (vec![0, 3, 6, 9], 208), (vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 224)]
    {
        let (net, input, expected) = parts(&cuts, at);
        assert_eq!(run(&net.file(), &input, Arithmetic::Native), expected, "{cuts:?} {at}");
    }
    let one = parts(&[0, 9], 448).0.file().len();
    let three = parts(&[0, 3, 6, 9], 448).0.file().len();
    assert!(three < one + 300, "{three} {one}: parts share their weights");
}

#[test]
fn parts_that_destroy_what_later_parts_read() {
    let problem = |cuts: &[usize], at| Model::new_checked(&parts(cuts, at).0.file()).map(|_| ());
    // The first part runs downwards over its own rows, which are some of the second one's.
    assert_eq!(problem(&[0, 3, 9], 288), Err(LoadError::Node { node: 1, problem: NodeProblem::Unwritten { tensor: 0 } }));
    // Parts out of order, a gap between them, and one that comes twice.
    for cuts in [[3, 6, 9], [0, 3, 3], [0, 9, 3]] {
        let (mut net, ..) = parts(&[0, 3, 6, 9], 448);
        let places = cuts.map(|cut| cut / 3);
        let kept: Vec<NodeSpec> = places.iter().filter(|place| **place < 3).map(|place| net.spec.nodes[*place].clone()).collect();
        net.spec.nodes = kept;
        let error = Model::new_checked(&net.file()).map(|_| ()).unwrap_err();
        let order = matches!(error, LoadError::Node { problem: NodeProblem::Written { tensor: 1 }, .. });
        assert!(order || matches!(error, LoadError::Output { .. }), "{cuts:?} {error}");
    }
    let (mut net, ..) = parts(&[0, 3, 6, 9], 448);
    net.spec.nodes.pop();
    assert!(matches!(Model::new_checked(&net.file()).map(|_| ()), Err(LoadError::Output { .. })));
}

/// Rows move to the front of a tensor that lies over their own.
#[test]
fn copies_may_lie_anywhere() {
    for distance in [0, 16, 32, 48, 64, 80, 96, 112] {
        let mut net = Net::new(2, &[1, 6, 4, 4], ActivationBits::A8);
        let input = net.input_bytes();
        let kept = rows(&mut net, 0, 2..5);
        let moved = net.tensor_like(&[1, 3, 4, 4], 0);
        net.node(OperatorSpec::Reshape, &[kept], moved);
        net.spec.tensors[moved].offset = distance;
        net.spec.arena_bytes = 256;
        assert_eq!(run(&net.file(), &input, Arithmetic::Native), input[32..80], "{distance}");
    }
}
