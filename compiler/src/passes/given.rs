//! Where a quantized model gives an operator's output a quantizer that the operator cannot write, a requantisation behind it does.

use crate::graph::{Clamp, Graph, Node, Op};
use crate::quant::ranges::ActivationQuantizer;

/// Operators that keep codes write their input's quantizer; a softmax writes a whole number of steps from 0 to 1.
pub(super) fn requantize(graph: &mut Graph) -> usize {
    let mut applied = 0;
    let mut index = 0;
    // The tensor whose codes each tensor has, and the quantizer that these are sure to have.
    let mut source: Vec<usize> = (0..graph.tensors.len()).collect();
    let mut held: Vec<Option<ActivationQuantizer>> = graph.tensors.iter().map(|tensor| tensor.quantizer).collect();
    while index < graph.nodes.len() {
        let node = &graph.nodes[index];
        let (input, output) = (node.inputs[0], node.output);
        let wanted = graph.tensor(output).quantizer;
        let writes = match &node.op {
            op if op.keeps_codes() => {
                let from = source[input.0];
                let same = wanted.is_none() || held[from].is_none() || held[from] == wanted;
                if same {
                    source[output.0] = from;
                    held[from] = held[from].or(wanted);
                }
                same
            }
            Op::Softmax => wanted.is_none_or(|quantizer| {
                let steps = 1.0 / f64::from(quantizer.scale);
                let whole = (steps - steps.round()).abs() < 1e-3 * steps && steps >= 0.5;
                quantizer.zero_point == 0 && quantizer.bits >= 8 && whole
            }),
            _ => true,
        };
        if !writes {
            let (name, shape) = (graph.tensor(output).name.clone(), graph.tensor(output).shape.clone());
            let own = graph.add_tensor(format!("{name}.codes"), shape);
            source.push(own.0);
            held.push(None);
            let (name, clamp) = (format!("{}.requantize", graph.nodes[index].name), Clamp::NONE);
            graph.nodes[index].output = own;
            graph.nodes.insert(index + 1, Node { name, op: Op::Clamp, inputs: vec![own], output, clamp });
            applied += 1;
            index += 1;
        }
        index += 1;
    }
    applied
}
