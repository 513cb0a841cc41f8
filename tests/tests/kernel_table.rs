//! Every row that a built-in target's kernel table claims is run: one operator at those widths, fast kernels against the reference arithmetic.

use apq_kernels::{Table, pack};
use apq_lut::Operator;
use apq_runtime::build::*;
use apq_runtime::{Arithmetic, Model, Session};
use apq_targets::Target;
use apq_tests::{arena, random};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Channels that fill no byte at any sub-byte width.
const IMAGE: [usize; 4] = [1, 6, 5, 7];

/// A model of few nodes whose tensors lie one after the other.
struct Net {
    spec: ModelSpec,
    random: ChaCha8Rng,
}

impl Net {
    fn new(seed: &str, shape: &[usize], bits: ActivationBits) -> Net {
        let spec = ModelSpec {
            name: seed.into(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            groups: Vec::new(),
            input: InputSpec { tensor: 0, raw: RawType::F32, mean: vec![0.0], std: vec![1.0] },
            output: OutputSpec { tensor: 0, classes: 0, softmax_removed: false },
            arena_bytes: 0,
        };
        let mut net = Net { spec, random: random::seeded(seed) };
        net.tensor(shape, bits);
        net
    }

    /// A tensor with a quantizer of its own.
    fn tensor(&mut self, shape: &[usize], bits: ActivationBits) -> usize {
        // Near the middle, so that results lie on both sides of it.
        let zero_point = if bits.signed() { 0 } else { self.random.random_range(bits.hi() / 3..=bits.hi() - bits.hi() / 3) };
        let scale = self.random.random_range(0.01..0.1f32);
        self.place(TensorSpec { name: String::new(), shape: shape.to_vec(), bits, scale, zero_point, offset: 0, alias: None })
    }

    /// A tensor with the quantizer of another.
    fn alike(&mut self, shape: &[usize], other: usize) -> usize {
        let tensor = TensorSpec { shape: shape.to_vec(), ..self.spec.tensors[other].clone() };
        self.place(tensor)
    }

    fn place(&mut self, mut tensor: TensorSpec) -> usize {
        tensor.offset = self.spec.arena_bytes;
        let rows: usize = tensor.shape.iter().rev().skip(1).product();
        let bytes = rows * pack::row_bytes(tensor.bits, tensor.shape[tensor.shape.len() - 1]);
        self.spec.arena_bytes += bytes.next_multiple_of(apq_runtime::ALIGNMENT);
        self.spec.tensors.push(tensor);
        self.spec.tensors.len() - 1
    }

    /// A node that writes `output`, which becomes the network's output.
    fn node(&mut self, operator: OperatorSpec, inputs: &[usize], output: usize) {
        let node = NodeSpec {
            name: String::new(),
            operator,
            inputs: inputs.to_vec(),
            output,
            group: None,
            clamp: None,
            scratch: Region::default(),
        };
        self.spec.nodes.push(node);
        self.spec.output.tensor = output;
        let length = scratch_bytes(&self.spec, self.spec.nodes.len() - 1);
        let offset = self.spec.arena_bytes;
        self.spec.arena_bytes += length.next_multiple_of(apq_runtime::ALIGNMENT);
        let small = |bytes: usize| u32::try_from(bytes).expect("a small model");
        self.spec.nodes.last_mut().expect("it was just pushed").scratch = Region { offset: small(offset), length: small(length) };
    }

    /// A factor near 1.
    fn rescale(&mut self) -> Rescale {
        Rescale { multiplier: self.random.random_range(1 << 30..i32::MAX), shift: self.random.random_range(30..=31) }
    }

    fn weighted(
        &mut self,
        bits: WeightBits,
        outputs: usize,
        row_len: usize,
        input: ActivationBits,
        output: ActivationBits,
    ) -> WeightedSpec {
        let row_bytes = pack::weight_row_bytes(bits, row_len);
        let mut weights = vec![0; row_bytes * outputs];
        for row in weights.chunks_exact_mut(row_bytes) {
            let codes: Vec<i8> = (0..row_len).map(|_| self.random.random_range(bits.lo()..=bits.hi()) as i8).collect();
            pack::pack_weights(bits, &codes, row);
        }
        // Sums of that size spread over the output's codes.
        let width = |bits: u32| f64::from(bits);
        let shift = 30.0 + width(bits.bits()) + width(input.bits()) + (row_len as f64).log2() / 2.0 - width(output.bits()) - 1.0;
        WeightedSpec {
            bits,
            accumulator: Accumulator::I32,
            arrangement: Arrangement::RowMajor,
            weights,
            bias: (0..outputs).map(|_| self.random.random_range(-500..500)).collect(),
            multiplier: (0..outputs).map(|_| self.random.random_range(1 << 30..i32::MAX)).collect(),
            shift: vec![shift.clamp(1.0, 62.0) as u8; outputs],
        }
    }
}

/// One operator at those widths; widths of outputs that are free go round.
fn network(operator: &Operator, weight_bits: u8, bits: ActivationBits) -> Net {
    let seed = format!("{operator} w{weight_bits} {bits:?}");
    let mut net = Net::new(&seed, &IMAGE, bits);
    let free = ActivationBits::ALL[net.random.random_range(0..ActivationBits::ALL.len())];
    let square = |side: u16, stride: u16, pad: u16| Window { kernel: [side; 2], stride: [stride; 2], dilation: [1; 2], pad: [pad; 2] };
    let weights = || WeightBits::try_from(weight_bits).unwrap_or_else(|error| panic!("{seed}: {error}"));
    match operator {
        Operator::Conv => {
            let output = net.tensor(&[1, 3, 3, 9], free);
            let weighted = net.weighted(weights(), 9, 63, bits, free);
            net.node(OperatorSpec::Conv { window: square(3, 2, 1), groups: 1, weighted }, &[0], output);
        }
        Operator::Depthwise => {
            let output = net.tensor(&IMAGE, free);
            let weighted = net.weighted(weights(), 7, 9, bits, free);
            net.node(OperatorSpec::Conv { window: square(3, 1, 1), groups: 7, weighted }, &[0], output);
        }
        Operator::FullyConnected => {
            let output = net.tensor(&[1, 6, 5, 11], free);
            let weighted = net.weighted(weights(), 11, 7, bits, free);
            net.node(OperatorSpec::FullyConnected { weighted }, &[0], output);
        }
        Operator::Add | Operator::Sub | Operator::Mul | Operator::Concat => {
            // The second input: the first one under another quantizer.
            let second = net.tensor(&IMAGE, bits);
            let rescale = net.rescale();
            net.node(OperatorSpec::Requantize(rescale), &[0], second);
            let rescale = net.rescale();
            match operator {
                Operator::Concat => {
                    let output = net.tensor(&[1, 6, 5, 14], free);
                    let rescales = vec![Some(rescale), Some(net.rescale())];
                    net.node(OperatorSpec::Concat { axis: 3, rescales }, &[0, second], output);
                }
                Operator::Add | Operator::Sub => {
                    let output = net.tensor(&IMAGE, free);
                    let digits = if bits.signed() { 31 } else { 21 };
                    let multipliers = [0; 2].map(|_| net.random.random_range(1 << (digits - 2)..1 << (digits - 1)));
                    net.node(
                        OperatorSpec::Add(Add { multipliers, shift: digits as u8 - 1, subtract: *operator == Operator::Sub }),
                        &[0, second],
                        output,
                    );
                }
                _ => {
                    let output = net.tensor(&IMAGE, free);
                    // Products have twice as many bits as codes.
                    let shift = (30 + 2 * bits.bits()).saturating_sub(free.bits()) as u8;
                    net.node(OperatorSpec::Mul(Rescale { shift, ..rescale }), &[0, second], output);
                }
            }
        }
        Operator::AveragePool => {
            let output = net.tensor(&IMAGE, free);
            let divisors = [4, 6, 9].map(|count| DivisorSpec { count, multiplier: (1 << 30) / count as i32, shift: 30 });
            net.node(OperatorSpec::AveragePool { window: square(3, 1, 1), counted_end: None, divisors: divisors.to_vec() }, &[0], output);
        }
        Operator::MaxPool => {
            let output = net.alike(&[1, 3, 3, 7], 0);
            net.node(OperatorSpec::MaxPool(square(3, 2, 1)), &[0], output);
        }
        Operator::Requantize => {
            let output = net.tensor(&IMAGE, free);
            let rescale = net.rescale();
            net.node(OperatorSpec::Requantize(rescale), &[0], output);
        }
        Operator::Pad => {
            let output = net.alike(&[1, 8, 8, 7], 0);
            net.node(OperatorSpec::Pad(Pad { before: [1, 2, 0], code: bits.hi() - 1 }), &[0], output);
        }
        Operator::Resize => {
            // Bilinear at every width; nearest neighbour before it, so that both run.
            let copied = net.alike(&[1, 9, 4, 7], 0);
            let (rows, columns) = ((0..9).map(|y| (y * 5 / 8) << 11).collect(), (0..4).map(|x| x << 11).collect());
            net.node(OperatorSpec::Resize { rows, columns, rescale: None }, &[0], copied);
            let output = net.tensor(&[1, 5, 7, 7], free);
            let rows = (0..5).map(|y| y * 3000 + 17).collect();
            let columns = (0..7).map(|x| x * 1000).collect();
            let digits = if bits.signed() { 23 } else { 31 };
            let multiplier = net.random.random_range(1 << (digits - 1)..(1i64 << digits) - 1) as i32;
            let shift = (digits as u32 + 22 + bits.bits() - free.bits()) as u8;
            net.node(
                OperatorSpec::Resize { rows, columns, rescale: Some(Rescale { multiplier, shift: shift.min(62) }) },
                &[copied],
                output,
            );
        }
        Operator::Prelu => {
            let output = net.tensor(&IMAGE, free);
            let rescale = net.rescale();
            let slope_multiplier = (0..7).map(|_| net.random.random_range(-i32::MAX..i32::MAX)).collect();
            net.node(OperatorSpec::Prelu { rescale, slope_multiplier, slope_shift: vec![31; 7] }, &[0], output);
        }
        Operator::Slice => {
            let output = net.alike(&[1, 3, 4, 3], 0);
            net.node(OperatorSpec::Slice(Slice { begin: [1, 0, 2], step: [2, 1, 2] }), &[0], output);
        }
        Operator::Transpose => {
            let output = net.alike(&[1, 7, 6, 5], 0);
            net.node(OperatorSpec::Transpose { axes: vec![0, 3, 1, 2] }, &[0], output);
        }
        Operator::Softmax => {
            let wide = net.random.random_bool(0.5);
            let (bits, scale) = if wide { (ActivationBits::A16, 1.0 / 32767.0) } else { (ActivationBits::A8, 1.0 / 255.0) };
            let output = net.tensor(&IMAGE, bits);
            (net.spec.tensors[output].scale, net.spec.tensors[output].zero_point) = (scale, 0);
            net.node(OperatorSpec::Softmax(Rescale { multiplier: 1 << 30, shift: 16 }), &[0], output);
        }
        Operator::Table => {
            let output = net.tensor(&IMAGE, free);
            let points = if bits.signed() { Table::POINTS } else { 1 << bits.bits() };
            let entries = (0..points).map(|_| net.random.random_range(free.lo()..=free.hi()) as i16).collect();
            net.node(OperatorSpec::Table { entries }, &[0], output);
        }
        Operator::MatMul => {
            // Every pixel of a row against every pixel of that row, of the input in another width.
            let right = ActivationBits::try_from(weight_bits).unwrap_or_else(|error| panic!("{seed}: {error}"));
            let second = net.tensor(&IMAGE, right);
            let rescale = net.rescale();
            net.node(OperatorSpec::Requantize(rescale), &[0], second);
            let output = net.tensor(&[1, 6, 5, 5], free);
            let shift = (32 + bits.bits() + right.bits()).saturating_sub(free.bits()) as u8;
            let rescale = Rescale { shift, ..net.rescale() };
            net.node(OperatorSpec::MatMul(MatMul { transposed: true, rescale }), &[0, second], output);
        }
        Operator::LayerNorm => {
            let output = net.tensor(&IMAGE, free);
            // One standard deviation is a quarter of the output's codes.
            let spread = 1i32 << free.bits().saturating_sub(2);
            let gamma = (0..7).map(|_| net.random.random_range(spread << 7..spread << 8)).collect();
            let beta = (0..7).map(|_| net.random.random_range(-(spread << 12)..spread << 12)).collect();
            net.node(OperatorSpec::LayerNorm { epsilon: 3, gamma, beta, shift: 31 }, &[0], output);
        }
        other => panic!("the table claims a kernel for {other}, which no model can hold"),
    }
    net
}

/// Output bytes of a model in one arithmetic.
fn run(model: &Model<'_>, arithmetic: Arithmetic, seed: &str) -> Vec<u8> {
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    arena.fill(0x5a);
    let mut session = Session::with_arithmetic(model, &mut arena, arithmetic).unwrap_or_else(|error| panic!("{seed}: {error}"));
    let tensor = session.input().clone();
    let mut random = random::seeded(seed);
    for row in session.input_codes_mut().chunks_exact_mut(tensor.pixel_bytes()) {
        row.fill(0);
        (0..tensor.shape.channels())
            .for_each(|channel| pack::set_code(row, tensor.bits, channel, random.random_range(tensor.bits.lo()..=tensor.bits.hi())));
    }
    session.run(&mut ());
    session.output_bytes().to_vec()
}

#[test]
fn every_row_of_every_built_in_kernel_table_runs() {
    let mut rows = 0;
    for name in Target::builtin_names() {
        let target = Target::builtin(name).unwrap_or_else(|error| panic!("{error}"));
        for row in target.kernels() {
            assert!(Arrangement::from_name(&row.arrangement).is_some(), "{name}: there is no arrangement {}", row.arrangement);
            for operator in &row.operators {
                let weights: &[u8] = if operator.has_weights() { &row.weight_bits } else { &[8] };
                for (weight_bits, activation_bits) in weights.iter().flat_map(|w| row.activation_bits.iter().map(move |a| (*w, *a))) {
                    let bits = ActivationBits::try_from(activation_bits).unwrap_or_else(|error| panic!("{name}: {error}"));
                    let net = network(operator, weight_bits, bits);
                    let label = format!("{name}: {}", net.spec.name);
                    let file = write(&net.spec).unwrap_or_else(|error| panic!("{label}: {error}"));
                    let model = Model::new_checked(&file).unwrap_or_else(|error| panic!("{label}: {error}"));
                    arena::check(&model).unwrap_or_else(|problem| panic!("{label}: {problem}"));
                    let expected = run(&model, Arithmetic::Reference, &label);
                    assert!(expected.windows(2).any(|pair| pair[0] != pair[1]), "{label}: every byte is {}", expected[0]);
                    for arithmetic in [Arithmetic::Native, Arithmetic::BitFused] {
                        assert_eq!(run(&model, arithmetic, &label), expected, "{label} {arithmetic:?}");
                    }
                    rows += 1;
                }
            }
        }
    }
    assert!(rows >= 3 * (3 * 4 * 5 + 5 * 5 + 15 * 5), "{rows} kernels were run");
}
