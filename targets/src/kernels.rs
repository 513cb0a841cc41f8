//! The kernel table: which operators exist at which bit widths.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use apq_lut::{Operator, WIDTHS};
use serde::{Deserialize, Serialize};

use crate::TargetError;

/// The arrangement of weights in which an output channel's weights follow each other,
/// `[O][H][W][I]`, each channel starting at a byte.
pub const ROW_MAJOR: &str = "row-major";

/// One row of a kernel table: all pairs of the widths exist for all of the operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelRow {
    /// The operators.
    pub operators: Vec<Operator>,
    /// Bits of the weights; empty for operators without weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight_bits: Vec<u8>,
    /// Bits of the activations.
    pub activation_bits: Vec<u8>,
    /// Name of the order in which the kernel wants its weights; [`ROW_MAJOR`] where nothing is
    /// said.
    #[serde(default = "row_major")]
    pub arrangement: String,
}

/// Widths at which an operator has no kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSupported {
    /// The operator.
    pub operator: Operator,
    /// Bits of the weights; empty for operators without weights.
    pub weight_bits: Vec<u8>,
    /// Bits of the activations; each is missing at each of the weight bits.
    pub activation_bits: Vec<u8>,
}

fn row_major() -> String {
    ROW_MAJOR.to_string()
}

impl KernelRow {
    /// Whether the row has this kernel. Weight bits do not matter to operators without weights.
    #[must_use]
    pub fn covers(&self, operator: &Operator, weight_bits: u8, activation_bits: u8) -> bool {
        self.operators.contains(operator)
            && (!operator.has_weights() || self.weight_bits.contains(&weight_bits))
            && self.activation_bits.contains(&activation_bits)
    }

    /// Weight bits to write down for an operator of this row: none where it has no weights.
    fn weights_of(&self, operator: &Operator) -> Vec<Option<u8>> {
        if operator.has_weights() { self.weight_bits.iter().copied().map(Some).collect() } else { [None].into() }
    }
}

/// Checks that every row says something and no kernel is said twice.
pub(crate) fn check(rows: &[KernelRow]) -> Result<(), TargetError> {
    let mut seen = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        let fail = |reason| TargetError::KernelRow { number: index + 1, reason };
        if row.operators.is_empty() || row.activation_bits.is_empty() {
            return Err(fail("it needs operators and activation_bits"));
        }
        if row.operators.iter().any(|operator| matches!(operator, Operator::Other(_))) {
            return Err(fail(
                "unknown operator; known: conv, depthwise, fully_connected, matmul, add, mul, sub, average_pool, max_pool, requantize, pad, slice, \
                 resize, prelu, concat, transpose, softmax, table, layer_norm",
            ));
        }
        let weighted = row.operators.iter().filter(|op| op.has_weights()).count();
        if weighted != 0 && weighted != row.operators.len() {
            return Err(fail("operators with and without weights need rows of their own"));
        }
        if (weighted == 0) != row.weight_bits.is_empty() {
            return Err(fail("weight_bits belong to operators with weights, and to them only"));
        }
        let widths = row.weight_bits.iter().chain(&row.activation_bits);
        if !widths.into_iter().all(|bits| WIDTHS.contains(bits)) {
            return Err(fail("bit widths are 2, 4, 6, 8 or 16"));
        }
        if row.arrangement.is_empty() {
            return Err(fail("the arrangement has no name"));
        }
        for operator in &row.operators {
            for weight_bits in row.weights_of(operator) {
                for &activation_bits in &row.activation_bits {
                    let kernel = (operator, weight_bits, activation_bits, &row.arrangement);
                    if !seen.insert(kernel) {
                        return Err(TargetError::DuplicateKernel {
                            operator: operator.clone(),
                            weight_bits,
                            activation_bits,
                            arrangement: row.arrangement.clone(),
                        });
                    }
                }
            }
        }
    }
    Ok(())
}

/// What `rows` do not have of all named operators at all widths, in the order of the operators;
/// weight bits that lack the same activation bits share a line.
pub(crate) fn not_supported(rows: &[KernelRow]) -> Vec<NotSupported> {
    let missing = |operator: &Operator, weight_bits: u8| -> Vec<u8> {
        let covered = |bits: u8| rows.iter().any(|row| row.covers(operator, weight_bits, bits));
        WIDTHS.into_iter().filter(|&bits| !covered(bits)).collect()
    };
    let mut lines: Vec<NotSupported> = Vec::new();
    for operator in Operator::NAMED {
        let start = lines.len();
        let weights: &[u8] = if operator.has_weights() { &WIDTHS } else { &[8] };
        for &weight_bits in weights {
            let activation_bits = missing(&operator, weight_bits);
            if activation_bits.is_empty() {
                continue;
            }
            let same = lines[start..].iter_mut().find(|line| line.activation_bits == activation_bits);
            match same {
                Some(line) => line.weight_bits.push(weight_bits),
                None => lines.push(NotSupported {
                    operator: operator.clone(),
                    weight_bits: if operator.has_weights() { [weight_bits].into() } else { Vec::new() },
                    activation_bits,
                }),
            }
        }
    }
    lines
}
