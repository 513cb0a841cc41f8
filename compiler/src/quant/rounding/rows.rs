//! Rows of a layer's input: what each output element is computed from, at sampled positions.

use ndarray::Array2;

use crate::graph::{Graph, Node, Op, Window};

/// Where a layer is looked at, and how its rows lie in its input.
pub(super) struct Sampling<'a> {
    geometry: Geometry<'a>,
    /// Output positions in an image.
    positions: usize,
    /// Of these, how many are looked at.
    pub(super) sampled: usize,
}

enum Geometry<'a> {
    Dense { inputs: usize },
    Conv { window: &'a Window, groups: usize, input: [usize; 3], output: [usize; 2] },
}

/// Rows to gather for each weight of an output channel.
const ROWS_PER_WEIGHT: usize = 16;

/// Rows to gather at least.
const ROWS_MIN: usize = 4096;

/// Positions in an image, at most: neighbours tell much the same.
const POSITIONS_MAX: usize = 64;

impl<'a> Sampling<'a> {
    /// `None` for a node without weights.
    pub(super) fn new(graph: &'a Graph, node: &'a Node, images: usize) -> Option<Sampling<'a>> {
        let weights = node.op.weights()?;
        let input = graph.tensor(*node.inputs.first()?);
        let output = graph.tensor(node.output);
        let geometry = match &node.op {
            Op::Conv { window, groups, .. } => {
                let ([_, height, width, channels], [_, rows, columns, _]) =
                    (<[usize; 4]>::try_from(input.shape.as_slice()).ok()?, { <[usize; 4]>::try_from(output.shape.as_slice()).ok()? });
                Geometry::Conv { window, groups: *groups, input: [height, width, channels], output: [rows, columns] }
            }
            Op::FullyConnected { .. } => Geometry::Dense { inputs: weights.row_len() },
            _ => return None,
        };
        let positions = output.len() / weights.outputs().max(1);
        let wanted = (ROWS_PER_WEIGHT * weights.row_len()).max(ROWS_MIN).div_ceil(images.max(1));
        Some(Sampling { geometry, positions, sampled: wanted.min(POSITIONS_MAX).min(positions) })
    }

    /// Groups of output channels, each with inputs of its own.
    pub(super) fn groups(&self) -> usize {
        match self.geometry {
            Geometry::Dense { .. } => 1,
            Geometry::Conv { groups, .. } => groups,
        }
    }

    /// The positions looked at in an image: all of them, or an even spread that differs from image to image.
    pub(super) fn positions(&self, image: usize) -> Vec<usize> {
        if self.sampled == self.positions {
            return (0..self.positions).collect();
        }
        match self.geometry {
            Geometry::Dense { .. } => spread(image, self.sampled, [1, self.positions]),
            Geometry::Conv { output, .. } => spread(image, self.sampled, output),
        }
    }

    /// Appends the rows of one group at the sampled positions of an image.
    pub(super) fn gather(&self, values: &[f32], image: usize, group: usize, rows: &mut Vec<f32>) {
        for position in self.positions(image) {
            match &self.geometry {
                Geometry::Dense { inputs } => rows.extend_from_slice(&values[position * inputs..][..*inputs]),
                Geometry::Conv { window, groups, input, output } => {
                    let each = input[2] / groups;
                    let (y, x) = (position / output[1], position % output[1]);
                    for tap in 0..window.kernel[0] * window.kernel[1] {
                        let row = (y * window.stride[0] + tap / window.kernel[1] * window.dilation[0]).checked_sub(window.pad_begin[0]);
                        let column = (x * window.stride[1] + tap % window.kernel[1] * window.dilation[1]).checked_sub(window.pad_begin[1]);
                        match row.zip(column).filter(|(row, column)| *row < input[0] && *column < input[1]) {
                            Some((row, column)) => {
                                rows.extend_from_slice(&values[(row * input[1] + column) * input[2] + group * each..][..each]);
                            }
                            None => rows.extend(std::iter::repeat_n(0.0, each)),
                        }
                    }
                }
            }
        }
    }

    /// The rows of one group over all images, `[rows][K]`.
    pub(super) fn inputs<'v>(&self, images: impl Iterator<Item = &'v [f32]>, group: usize) -> Array2<f32> {
        let mut rows = Vec::new();
        let mut count = 0;
        for (image, values) in images.enumerate() {
            self.gather(values, image, group, &mut rows);
            count += self.sampled;
        }
        let width = rows.len() / count.max(1);
        Array2::from_shape_vec((count, width), rows).unwrap_or_default()
    }

    /// The outputs of a node at the sampled positions of an image, `[positions][O]`.
    pub(super) fn outputs(&self, values: &[f32], image: usize) -> Vec<f32> {
        let channels = values.len() / self.positions.max(1);
        self.positions(image).into_iter().flat_map(|position| values[position * channels..][..channels].iter().copied()).collect()
    }
}

/// Points of a low-discrepancy sequence (multiples of the inverse plastic number and its square), shifted by the golden ratio for each image.
fn spread(image: usize, count: usize, sides: [usize; 2]) -> Vec<usize> {
    const STEP: [f64; 2] = [0.754_877_666_246_692_8, 0.569_840_290_998_053_3];
    const SHIFT: [f64; 2] = [0.618_033_988_749_894_9, 0.414_213_562_373_095];
    let place = |index: usize, axis: usize| {
        let fraction = (index as f64 * STEP[axis] + (image + 1) as f64 * SHIFT[axis]).fract();
        ((fraction * sides[axis] as f64) as usize).min(sides[axis] - 1)
    };
    (0..count).map(|index| place(index, 0) * sides[1] + place(index, 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_spread_evenly_over_images() {
        let mut seen = vec![0; 12 * 12];
        for image in 0..100 {
            for position in spread(image, 36, [12, 12]) {
                seen[position] += 1;
            }
        }
        assert!(seen.iter().all(|count| (10..=40).contains(count)), "{seen:?}");
    }
}
