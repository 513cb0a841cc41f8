//! Between the order of an ONNX file's axes and the order in which our graph stores them.

/// Values in ONNX order, `shape` too, stored so that ONNX axis `i` is stored axis `axes[i]`, as our graph stores them.
pub fn stored(values: &[f32], shape: &[usize], axes: &[usize]) -> Vec<f32> {
    let mut result = vec![0.0; values.len()];
    for (index, value) in values.iter().enumerate() {
        result[place(index, shape, axes)] = *value;
    }
    result
}

/// The reverse of [`stored`]; `shape` in ONNX order.
pub fn in_onnx_order(values: &[f32], shape: &[usize], axes: &[usize]) -> Vec<f32> {
    (0..values.len()).map(|index| values[place(index, shape, axes)]).collect()
}

/// A stored shape in ONNX order.
pub fn onnx_shape(stored: &[usize], axes: &[usize]) -> Vec<usize> {
    axes.iter().map(|axis| stored[*axis]).collect()
}

/// Where the element with ONNX index `index` is stored.
fn place(mut index: usize, shape: &[usize], axes: &[usize]) -> usize {
    let (mut at, mut sizes) = (vec![0; shape.len()], vec![0; shape.len()]);
    for axis in (0..shape.len()).rev() {
        at[axes[axis]] = index % shape[axis];
        sizes[axes[axis]] = shape[axis];
        index /= shape[axis];
    }
    at.iter().zip(sizes).fold(0, |place, (at, size)| place * size + at)
}
