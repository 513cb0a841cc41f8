//! Values of the ONNX graph as views of our channel-last tensors, and the graph under construction.
//!
//! ONNX stores images `[N, C, H, W]`, we store them `[N, H, W, C]`. A [`View`] remembers how the ONNX axes lie in the stored tensor, so that a
//! transpose costs nothing until an operator needs another order, and most networks need none.

use crate::graph::{Clamp, Graph, Node, Op, TensorId};

/// A value of the ONNX graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) tensor: TensorId,
    /// ONNX axis `i` is stored axis `axes[i]`.
    pub(super) axes: Vec<usize>,
}

/// The graph under construction.
pub(super) struct Builder {
    pub(super) graph: Graph,
}

impl Builder {
    /// The shape of a value in ONNX order.
    pub(super) fn shape(&self, view: &View) -> Vec<usize> {
        let stored = &self.graph.tensor(view.tensor).shape;
        view.axes.iter().map(|axis| stored[*axis]).collect()
    }

    /// Appends a node whose output is stored with `shape`.
    pub(super) fn push(&mut self, name: &str, op: Op, inputs: Vec<TensorId>, shape: Vec<usize>, clamp: Clamp) -> TensorId {
        let output = self.graph.add_tensor(name, shape);
        self.graph.nodes.push(Node { name: name.into(), op, inputs, output, clamp });
        output
    }

    /// The same value stored so that ONNX axis `i` is stored axis `axes[i]`.
    pub(super) fn arranged(&mut self, name: &str, view: &View, axes: &[usize]) -> TensorId {
        if view.axes == axes {
            return view.tensor;
        }
        let stored = self.graph.tensor(view.tensor).shape.clone();
        let rank = axes.len();
        // Output stored axis `axes[i]` is input stored axis `view.axes[i]`.
        let mut perm = vec![0; rank];
        for i in 0..rank {
            perm[axes[i]] = view.axes[i];
        }
        let shape: Vec<usize> = perm.iter().map(|axis| stored[*axis]).collect();
        let order: Vec<usize> = perm.iter().copied().filter(|axis| stored[*axis] != 1).collect();
        if order.is_sorted() {
            self.push(&format!("{name}.reshape"), Op::Reshape, vec![view.tensor], shape, Clamp::NONE)
        } else {
            self.push(&format!("{name}.transpose"), Op::Transpose { perm }, vec![view.tensor], shape, Clamp::NONE)
        }
    }

    /// The value stored in ONNX order.
    pub(super) fn plain(&mut self, name: &str, view: &View) -> TensorId {
        let axes: Vec<usize> = (0..view.axes.len()).collect();
        self.arranged(name, view, &axes)
    }

    /// The value as an image, `[1, H, W, C]` for `[1, C, H, W]`, or `[1, 1, L, C]` for `[1, C, L]`.
    pub(super) fn image(&mut self, name: &str, view: &View) -> TensorId {
        if view.axes.len() == 4 {
            return self.arranged(name, view, &IMAGE_AXES);
        }
        let stored = self.arranged(name, view, &SEQUENCE_AXES);
        let [_, length, channels] = self.graph.tensor(stored).shape[..] else { return stored };
        self.push(&format!("{name}.image"), Op::Reshape, vec![stored], vec![1, 1, length, channels], Clamp::NONE)
    }

    /// The value of an operator on images whose input had `rank` axes.
    pub(super) fn after_image(&mut self, name: &str, tensor: TensorId, rank: usize) -> View {
        if rank == 4 {
            return View { tensor, axes: IMAGE_AXES.to_vec() };
        }
        let shape = &self.graph.tensor(tensor).shape;
        let shape = vec![1, shape[2], shape[3]];
        let tensor = self.push(&format!("{name}.sequence"), Op::Reshape, vec![tensor], shape, Clamp::NONE);
        View { tensor, axes: SEQUENCE_AXES.to_vec() }
    }

    /// The value with ONNX axis 1, the channels, stored innermost.
    pub(super) fn channel_last(&mut self, name: &str, view: &View) -> View {
        let rank = view.axes.len();
        if rank < 2 || view.axes[1] == rank - 1 {
            return view.clone();
        }
        let mut axes: Vec<usize> = vec![0, rank - 1];
        axes.extend(1..rank - 1);
        View { tensor: self.arranged(name, view, &axes), axes }
    }

    /// The value with ONNX axis `axis` stored innermost, the others in their order.
    pub(super) fn innermost(&mut self, name: &str, view: &View, axis: usize) -> View {
        let mut axes = view.axes.clone();
        let (moved, last) = (axes[axis], axes.len() - 1);
        axes.iter_mut().filter(|stored| **stored > moved).for_each(|stored| *stored -= 1);
        axes[axis] = last;
        View { tensor: self.arranged(name, view, &axes), axes }
    }

    /// The same elements, in ONNX order, under another ONNX shape.
    pub(super) fn reshaped(&mut self, name: &str, view: &View, shape: &[usize]) -> View {
        let from = self.shape(view);
        let stored_axes_of_long: Vec<usize> = (0..from.len()).filter(|i| from[*i] != 1).map(|i| view.axes[i]).collect();
        let long = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|size| *size != 1).collect() };
        if long(&from) == long(shape) {
            // Only axes of size 1 come or go: keep the stored order of the others, and put the new unit axes first.
            let new_long: Vec<usize> = (0..shape.len()).filter(|i| shape[*i] != 1).collect();
            let units: Vec<usize> = (0..shape.len()).filter(|i| shape[*i] == 1).collect();
            let mut by_stored: Vec<usize> = (0..new_long.len()).collect();
            by_stored.sort_by_key(|k| stored_axes_of_long[*k]);
            let order: Vec<usize> = units.into_iter().chain(by_stored.into_iter().map(|k| new_long[k])).collect();
            let mut axes = vec![0; shape.len()];
            order.iter().enumerate().for_each(|(stored, onnx)| axes[*onnx] = stored);
            let stored_shape = order.iter().map(|onnx| shape[*onnx]).collect();
            let tensor = self.push(name, Op::Reshape, vec![view.tensor], stored_shape, Clamp::NONE);
            return View { tensor, axes };
        }
        let plain = self.plain(name, view);
        let tensor = self.push(name, Op::Reshape, vec![plain], shape.to_vec(), Clamp::NONE);
        View { tensor, axes: (0..shape.len()).collect() }
    }
}

/// `[N, C, H, W]` stored as `[N, H, W, C]`.
pub(super) const IMAGE_AXES: [usize; 4] = [0, 3, 1, 2];
/// `[N, C, L]` stored as `[N, L, C]`.
pub(super) const SEQUENCE_AXES: [usize; 3] = [0, 2, 1];
