//! The steps of a layer that are no matrix product. Each sums in an order of its own that depends on the sizes alone.

/// Columns that are summed in registers while the rows pass.
const COLUMNS: usize = 40;

/// Sums of a dot product that run side by side.
const LANES: usize = 16;

/// `row = max(bias + sum of weight rows, 0)` over the rows that `ones` names, in their order.
///
/// `weight` is `[dimensions, row.len()]`, and every index is below `dimensions`.
pub(super) fn gather_relu(ones: &[u32], weight: &[f32], bias: &[f32], row: &mut [f32]) {
    let width = row.len();
    let mut first = 0;
    let (mut parts, mut biases) = (row.chunks_exact_mut(COLUMNS), bias.chunks_exact(COLUMNS));
    for (part, bias) in parts.by_ref().zip(biases.by_ref()) {
        let mut sums = [0.0; COLUMNS];
        sums.copy_from_slice(bias);
        for &one in ones {
            let start = one as usize * width + first;
            if let Some(addends) = weight.get(start..start + COLUMNS) {
                sums.iter_mut().zip(addends).for_each(|(sum, addend)| *sum += addend);
            }
        }
        part.iter_mut().zip(sums).for_each(|(value, sum)| *value = relu(sum));
        first += COLUMNS;
    }
    let (part, bias) = (parts.into_remainder(), biases.remainder());
    part.copy_from_slice(bias);
    for &one in ones {
        let start = one as usize * width + first;
        if let Some(addends) = weight.get(start..start + part.len()) {
            part.iter_mut().zip(addends).for_each(|(sum, addend)| *sum += addend);
        }
    }
    part.iter_mut().for_each(|value| *value = relu(*value));
}

/// Adds `bias` to every row and cuts below zero.
pub(super) fn bias_relu(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value = relu(*value + bias));
    }
}

/// Sum of products, in [`LANES`] sums that are added up in order.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

/// No number stays none, so that it is not taken for an accuracy.
fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}
